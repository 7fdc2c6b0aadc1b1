-- SPDX-License-Identifier: MIT
-- How a list of objects is laid out, by the kind that their class says (__display): the same in the kernel and, of a dump, on the
-- host. Each gets the objects that are shown, their lines, and the members that `by` names, and changes the lines.
local monitor, p = ...
local concat, unpack = table.concat, table.unpack     -- a script may have a `table` of its own

local layout = {}
function layout.table() end

-- by: the member that is the object around it. What is within another is indented; the order stays.
function layout.tree(objects, lines, parent)
    local depth = {}        -- by id, of those that came before
    for i, x in ipairs(objects) do
        local ok, around = pcall(function() return x[parent] end)
        local _, id = monitor.class(x)
        local _, outer = monitor.class(ok and around or nil)
        depth[id] = outer and depth[outer] and depth[outer] + 1 or 0
        lines[i] = ("  "):rep(depth[id]) .. lines[i]
    end
end

-- A bar behind each line, all of them in one column.
local function add_bars(objects, lines, bar)
    local width = 0
    for _, line in ipairs(lines) do width = math.max(width, utf8.len(line) or #line) end
    for i, x in ipairs(objects) do
        local ok, text = pcall(bar, x)
        if ok then lines[i] = lines[i] .. (" "):rep(width - (utf8.len(lines[i]) or #lines[i])) .. "  |" .. text .. "|" end
    end
end

-- by: the method that gives a row of cells. '#': something is there.
function layout.map(objects, lines, cells)
    add_bars(objects, lines, function(x)
        local out = {}
        for i, n in ipairs(x[cells](x)) do out[i] = n > 0 and "#" or "." end
        return concat(out)
    end)
end

local RING = 16

-- by: how many places there are, and how many of them are free. '#': taken.
function layout.ring(objects, lines, size, free)
    add_bars(objects, lines, function(x)
        local taken = ((x[size] - x[free]) * RING + x[size] - 1) // x[size]
        return ("#"):rep(taken) .. ("."):rep(RING - taken)
    end)
end

local LEVELS = " .:+#"

local function power(n)
    local bits = 0
    while n > 0 do n, bits = n >> 1, bits + 1 end
    return bits
end

-- by: the member that is a list of {lo, hi, count}, by powers of two. A column for each of them, the same for all objects, the
-- fuller the darker; no bar where there is no list.
function layout.hist(objects, lines, buckets)
    local from, to = 64, 0
    for _, x in ipairs(objects) do
        local ok, list = pcall(function() return x[buckets] end)
        for _, b in ipairs(ok and list or {}) do from, to = math.min(from, power(b.lo)), math.max(to, power(b.lo)) end
    end
    add_bars(objects, lines, function(x)
        local most, level, out = 0, {}, {}
        for _, b in ipairs(x[buckets]) do most = math.max(most, b.count) end
        for _, b in ipairs(x[buckets]) do level[power(b.lo)] = math.ceil(b.count * (#LEVELS - 1) / most) end
        for i = from, to do
            local at = (level[i] or 0) + 1
            out[#out + 1] = LEVELS:sub(at, at)
        end
        return table.concat(out)
    end)
end

-- The lines of objects of one class, changed; others stay as they are.
function p.lay_out(objects, lines)
    local class = monitor.class(objects[1])
    for _, x in ipairs(objects) do if not class or monitor.class(x) ~= class then return end end
    if class then
        local d = objects[1].__display
        layout[d.kind](objects, lines, unpack(d.by))
    end
end
