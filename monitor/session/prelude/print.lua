-- SPDX-License-Identifier: MIT
-- print, assert and tabulate. Every file of the prelude gets `monitor` (class/reflect.c,
-- session/eval.c) and `p`, the table through which they know each other.
local monitor, p = ...
local concat, traceback = table.concat, debug.traceback

function print(...)
    local out = table.pack(...)
    for i = 1, out.n do out[i] = tostring(out[i]) end
    monitor.write(concat(out, "\t") .. "\n")
end

-- "file:line" of the function nearest to the top that is not of the prelude, or nil.
function p.where()
    for level = 3, 12 do
        local at = traceback("", level):match("\n%s+([^\n]-:%d+): in")
        if at and not at:find("^prelude/") then return at end
    end
end

local raise = error

-- Raises, for what somebody else's function did wrong: with its place in front, not this one's.
function p.refuse(format, ...)
    local at = p.where()
    raise((at and at .. ": " or "") .. format:format(...), 0)
end

function assert(v, ...)
    if v then return v, ... end
    local message = select("#", ...) > 0 and (...) or "assertion failed!"
    monitor.asserted(message)
    raise(message, type(message) == "string" and 2 or 0)
end

-- Whether that integer of a record is an address, by its metatable (class/class.h).
function p.is_address(row, name)
    local meta = getmetatable(row)
    local names = type(meta) == "table" and rawget(meta, "__addresses")
    return names and names[name] and math.type(rawget(row, name)) == "integer"
end

-- rows: list of tables. columns: list of names, each perhaps "name>" for right alignment.
-- get(row, name), when given, takes the place of row[name].
function tabulate(rows, columns, get)
    local width, right, lines = {}, {}, {}
    for c, name in ipairs(columns) do
        local plain = name:gsub(">$", "")
        right[c] = plain ~= name
        width[c] = utf8.len(plain) or #plain
    end
    local cells = {}
    for r, row in ipairs(rows) do
        cells[r] = {}
        for c, name in ipairs(columns) do
            local key = name:gsub(">$", "")
            local v
            if get then v = get(row, key) else v = row[key] end
            local text = v == nil and "-" or p.is_address(row, key) and ("0x%x"):format(v) or tostring(v)
            cells[r][c] = text
            width[c] = math.max(width[c], utf8.len(text) or #text)
        end
    end
    local function line(cell)
        local out = {}
        for c = 1, #columns do
            local text = cell[c]
            local pad = (" "):rep(width[c] - (utf8.len(text) or #text))
            out[c] = right[c] and pad .. text or text .. pad
        end
        return (concat(out, "  "):gsub("%s+$", ""))
    end
    local head = {}
    for c, name in ipairs(columns) do head[c] = (name:gsub(">$", "")) end
    lines[1] = line(head)
    for r = 1, #rows do lines[r + 1] = line(cells[r]) end
    return concat(lines, "\n")
end

p.tabulate = tabulate
