-- SPDX-License-Identifier: MIT
-- dump: runs in the kernel and prints everything that can be asked for without an argument, a JSON object a line:
--   {"class": NAME, "fields": [[name, type], ...]}
--   {"key": KEY, "class": NAME, "line": TEXT, "id": N, "fields": {...}, "methods": {name: value}}
--   {"root": NAME, "call": whether it is a function, "value": ...}
-- A table that is shown in columns is {"$rows": [...], "$columns": [...]}. A kernel object inside a value is {"$ref": KEY}.
local OBJECTS, LEVELS, ITEMS = 4000, 8, 1000
local METHODS = {"backtrace", "map", "gaps", "ring", "stats", "tree"}
local CALLS = {"tasks", "spaces", "queues", "ttys", "devices", "irqs", "syscalls", "timers", "tls", "journal", "points",
    "account", "memory", "waits", "lint", "locks"}

local known, waiting, classes, count, dropped = {}, {}, {}, 0, 0
local encode

local escapes = {['"'] = '\\"', ["\\"] = "\\\\"}
local function text(s)
    s = s:gsub('[%c"\\\127-\255]', function(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end)
    return '"' .. s .. '"'
end

local function is_list(v)
    local meta = getmetatable(v)
    return meta == "List" or meta == "Seq"
end

-- The key is what an object calls itself, and a number where several do (mappings of two spaces).
local function reference(v)
    local name = tostring(v):match("^%S+")
    local same = known[name] or {}
    known[name] = same
    for i, object in ipairs(same) do
        if object == v then return '{"$ref":' .. text(name .. "~" .. i) .. "}" end
    end
    if count == OBJECTS then
        dropped = dropped + 1
        return text(tostring(v))
    end
    count = count + 1
    same[#same + 1] = v
    waiting[#waiting + 1] = {name .. "~" .. #same, v}
    return '{"$ref":' .. text(name .. "~" .. #same) .. "}"
end

local function array(next_item, level)
    local out = {}
    for x in next_item do
        if #out == ITEMS then dropped = dropped + 1 break end
        out[#out + 1] = encode(x, level + 1)
    end
    return "[" .. table.concat(out, ",") .. "]"
end

local function map(t, level)
    local out, i, meta = {}, 0, getmetatable(t)
    if #t > 0 then
        local items = array(function() i = i + 1 return t[i] end, level)
        if type(meta) ~= "table" or not meta.__columns then return items end
        return '{"$rows":' .. items .. ',"$columns":' .. encode(meta.__columns, level) .. "}"
    end
    for name, x in pairs(t) do
        if type(x) ~= "function" then out[#out + 1] = text(tostring(name)) .. ":" .. encode(x, level + 1) end
    end
    return "{" .. table.concat(out, ",") .. "}"
end

function encode(v, level)
    local kind = math.type(v) or type(v)
    if kind == "integer" or kind == "boolean" then return tostring(v) end
    if kind == "float" then return v == v and v - v == 0 and ("%.17g"):format(v) or "null" end
    if kind == "string" then return text(v) end
    if level > LEVELS then return text(tostring(v)) end
    if kind == "userdata" and not is_list(v) then return reference(v) end
    if kind == "userdata" or kind == "table" and is_list(v) then return array(v, level) end
    if kind == "table" then return map(v, level) end
    return "null"
end

local function class_of(v, name)
    if classes[name] then return end
    classes[name] = true
    local fields = {}
    for field, kind in help(v):gmatch("\n  %.(%S+)%s+(.-)  ") do
        fields[#fields + 1] = "[" .. text(field) .. "," .. text(kind) .. "]"
    end
    print('{"class":' .. text(name) .. ',"fields":[' .. table.concat(fields, ",") .. "]}")
end

local function describe(key, v)
    local line, fields, methods = tostring(v), {}, {}
    local name, id = line:match("^(%a+)#(%w+)")
    if not name then return end
    class_of(v, name)
    for field, x in pairs(v) do fields[#fields + 1] = text(field) .. ":" .. encode(x, 2) end
    for _, method in ipairs(METHODS) do
        local good, x = pcall(function() return v[method](v) end)
        if good and x ~= nil then methods[#methods + 1] = text(method) .. ":" .. encode(x, 1) end
    end
    print(('{"key":%s,"class":%s,"line":%s,"id":%d,"fields":{%s},"methods":{%s}}'):format(text(key), text(name), text(line),
        tonumber(id) or 0, table.concat(fields, ","), table.concat(methods, ",")))
end

local function root(name, call, v)
    print(('{"root":%s,"call":%s,"value":%s}'):format(text(name), tostring(call), encode(v, 1)))
end

for _, name in ipairs(CALLS) do
    local good, v = pcall(function() return k[name]() end)
    if good then root(name, true, v) end
end
root("log", true, k.log(64))
for name, v in pairs(k) do
    if type(v) ~= "function" and name ~= "log" then root(name, false, v) end
end
while #waiting > 0 do
    local object = table.remove(waiting)
    local good, why = pcall(describe, object[1], object[2])
    if not good and not tostring(why):find("stale handle", 1, true) then error(object[1] .. ": " .. why, 0) end
end
print(('{"end":true,"objects":%d,"dropped":%d}'):format(count, dropped))
