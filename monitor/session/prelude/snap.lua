-- SPDX-License-Identifier: MIT
-- Values of objects at a moment (x:snap(), k.snapshot), and what differs between two (k.diff).
local monitor, p = ...
local is_seq, show_nested, by_class = p.is_seq, p.show_nested, p.by_class
local concat, sort, raise = table.concat, table.sort, error

-- fields of an object of that class at ns -> the same table as a Snap: walked in the order that the class declares.
function p.wrap(class, id, fields, ns)
    local name = ("%s#%d as it was at %.6f s"):format(class, id, ns / 1e9)
    local function order() return by_class()[class].fields end
    return setmetatable(fields, {
        __name = "Snap",
        __metatable = "Snap",
        __tostring = function() return name end,
        __index = function(_, key) -- what was nil then is so now
            for _, field in ipairs(order()) do if field.name == key then return nil end end
            raise(("%s has no field '%s'"):format(class, tostring(key)), 2)
        end,
        __pairs = function(t)
            local list, i = order(), 0
            return function()
                i = i + 1
                if list[i] then return list[i].name, rawget(t, list[i].name) end
            end
        end,
    })
end

local function show_snap(s)
    local lines = {tostring(s)}
    for field, v in pairs(s) do lines[#lines + 1] = ("  %-14s %s"):format(field, show_nested(v, 2, {})) end
    return concat(lines, "\n")
end
function p.is_snap(v) return type(v) == "table" and getmetatable(v) == "Snap" end
p.show_snap = show_snap

local function keys(a, b)
    local list, seen = {}, {}
    for _, t in ipairs {a, b} do
        for key in next, t do
            if not seen[key] then
                seen[key] = true
                list[#list + 1] = key
            end
        end
    end
    sort(list, function(x, y)
        if type(x) == type(y) and (type(x) == "number" or type(x) == "string") then return x < y end
        return tostring(x) < tostring(y)
    end)
    return list
end

-- Offline, in kmon --dump, objects and sequences are tables too.
local function has_parts(v) return type(v) == "table" and not is_seq(v) and not monitor.class(v) end

local function compare(rows, path, a, b, depth)
    if has_parts(a) and has_parts(b) and depth < 8 then
        for _, key in ipairs(keys(a, b)) do
            local at = path == "" and tostring(key) or type(key) == "number" and path .. "[" .. key .. "]" or
                path .. "." .. tostring(key)
            compare(rows, at, rawget(a, key), rawget(b, key), depth + 1)
        end
    elseif a ~= b and not (is_seq(a) and is_seq(b) and tostring(a) == tostring(b)) then
        rows[#rows + 1] = {field = path == "" and "value" or path, before = a, after = b}
    end
end

function p.diff(a, b)
    local rows = {}
    if monitor.class(a) then a = a:snap() end
    if monitor.class(b) then b = b:snap() end
    compare(rows, "", a, b, 0)
    return setmetatable(rows, {__columns = {"field", "before", "after"}})
end
