-- SPDX-License-Identifier: MIT
-- Values as text at the prompt: objects with their fields, lists by line, records as tables.
local monitor, p = ...
local concat, sort = table.concat, table.sort
local each, is_list, is_seq, seq, tabulate = p.each, p.is_list, p.is_seq, p.seq, p.tabulate

local SHOWN, DEPTH = 200, 4

local function quote(s)
    return (("%q"):format(s):gsub("\\\n", "\\n"))
end

local show_nested

local function by_class()
    local map = {}
    for _, c in ipairs(monitor.classes()) do map[c.name] = c end
    return map
end

-- A table that says itself how it looks, as a histogram does.
local function is_drawn(v)
    local meta = type(v) == "table" and getmetatable(v)
    return type(meta) == "table" and meta.__tostring ~= nil
end

-- A value as a field of its object: addresses in hexadecimal.
local function field_text(f, v)
    if v == nil then return "nil" end
    if f.type == "address" then return ("0x%x"):format(v) end
    if f.type == "nanoseconds" then return ("%.6f s"):format(v / 1e9) end
    if is_drawn(v) then return (tostring(v):gsub("^ ", "\n ")) end
    return show_nested(v, 2, {})
end

local function show_object(v)
    local copy, lines = monitor.copy(v), {tostring(v)}
    if copy then
        for _, f in ipairs(by_class()[monitor.class(v)].fields) do
            lines[#lines + 1] = ("  %-14s %s"):format(f.name, field_text(f, copy[f.name]))
        end
    end
    return concat(lines, "\n")
end

local function is_row(v)
    if type(v) ~= "table" then return false end
    for key, x in pairs(v) do
        local one = is_seq(x) or monitor.class(x) or p.is_snap(x)      -- shown by its line, though it may be a table
        if type(key) ~= "string" or type(x) == "table" and not one or type(x) == "function" then return false end
    end
    return next(v) ~= nil
end

-- A list of plain records is shown as a table; its columns are those of the metatable, or sorted.
local function show_rows(t)
    local meta = getmetatable(t)
    local columns = type(meta) == "table" and meta.__columns
    if not columns then
        local seen = {}
        columns = {}
        for _, row in ipairs(t) do
            for name in pairs(row) do
                if not seen[name] then
                    seen[name] = true
                    columns[#columns + 1] = name
                end
            end
        end
        sort(columns)
    end
    return tabulate(t, columns, rawget)     -- a record refuses names that only others have
end

local function show_table(t, depth, seen)
    if seen[t] then return "<cycle>" end
    if depth >= DEPTH then return "{...}" end
    seen[t] = true
    local parts, n, all = {}, #t, 0
    local function add(text)
        all = all + 1
        if all <= SHOWN then parts[#parts + 1] = text end
    end
    for i = 1, n do add(show_nested(t[i], depth + 1, seen)) end
    local names = {}
    for key in pairs(t) do
        if math.type(key) ~= "integer" or key < 1 or key > n then names[#names + 1] = key end
    end
    sort(names, function(a, b)
        if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then return a < b end
        return type(a) < type(b)
    end)
    for _, key in ipairs(names) do
        local name = type(key) == "string" and key:match("^[%a_][%w_]*$") or
            "[" .. show_nested(key, depth + 1, seen) .. "]"
        add(name .. " = " .. (p.is_address(t, key) and ("0x%x"):format(t[key]) or show_nested(t[key], depth + 1, seen)))
    end
    seen[t] = nil
    if all > SHOWN then parts[#parts + 1] = ("... and %d more"):format(all - SHOWN) end
    local one = "{" .. concat(parts, ", ") .. "}"
    if #one <= 90 then return one end
    local pad = ("  "):rep(depth + 1)
    return "{\n" .. pad .. concat(parts, ",\n" .. pad) .. "\n" .. ("  "):rep(depth) .. "}"
end

function show_nested(v, depth, seen)
    if type(v) == "string" then return quote(v) end
    if is_seq(v) then return tostring(v) end
    if type(v) == "table" and not p.is_snap(v) and not is_drawn(v) then
        return show_table(v, depth, seen)
    end
    return tostring(v)
end

local function show_seq(s)
    local lines, objects, n = {}, {}, 0
    for x in each(s) do
        n = n + 1
        if n <= SHOWN then objects[n], lines[n] = x, show_nested(x, 1, {}) end
        if n == SHOWN and is_list(s) then -- the others need not be had to be counted
            n = n + monitor.behind(s, x)
            break
        end
    end
    p.lay_out(objects, lines)
    if n > SHOWN then lines[#lines + 1] = ("... and %d more"):format(n - SHOWN) end
    return n == 0 and "(none)" or concat(lines, "\n")
end

local function show(v)
    if type(v) == "string" then return v end
    if is_seq(v) then return show_seq(v) end
    if monitor.class(v) then return show_object(v) end
    if p.is_snap(v) then return p.show_snap(v) end
    if type(v) == "table" and #v > 0 and not is_drawn(v) then
        local rows, handles = true, true
        for _, x in ipairs(v) do
            rows = rows and is_row(x)
            handles = handles and monitor.class(x) ~= nil
        end
        if rows then return show_rows(v) end
        if handles then return show_seq(seq(function()
            local i = 0
            return function() i = i + 1 return v[i] end
        end)) end
    end
    return show_nested(v, 0, {})
end

local function show_all(...)
    local out, lines = table.pack(...), false
    for i = 1, out.n do
        out[i] = show(out[i])
        lines = lines or out[i]:find("\n", 1, true)
    end
    return concat(out, lines and "\n" or "\t")
end


p.show, p.show_nested, p.by_class = show_all, show_nested, by_class
