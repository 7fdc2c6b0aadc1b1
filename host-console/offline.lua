-- SPDX-License-Identifier: MIT
-- `k` over a dump, on the host: the same names, read-only. Gets the dump as a list of records (host-console/dump.lua says which)
-- and the prelude's print.lua, seq.lua and show.lua as text. Gives back the function that shows results.
local records, print_lua, seq_lua, show_lua, asserted = ...
local objects, roots, fields = {}, {}, {Gone = {}}

local function check(good, i) if not good then error(("record %d is none of kmon's"):format(i), 0) end end
local function is(kind, ...)
    for i = 1, select("#", ...) do if type((select(i, ...))) ~= kind then return false end end
    return true
end
for i, r in ipairs(records) do
    if r.key then
        check(is("string", r.key, r.class, r.line) and is("table", r.fields, r.methods), i)
        objects[r.key] = r
    elseif r.root then
        check(is("string", r.root), i)
        roots[r.root] = r
    elseif r.class then
        check(is("string", r.class) and is("table", r.fields), i)
        for _, f in ipairs(r.fields) do check(is("table", f) and is("string", f[1], f[2]), i) end
        fields[r.class] = r.fields
    end
end

local proxies, value, list = {}, nil, nil
local record = setmetatable({}, {__mode = "k"})     -- proxy -> its record

local monitor = {list = {}, write = function(s) io.write(s) end, asserted = asserted}
function monitor.class(v) return record[v] and record[v].class end
function monitor.classes()
    local out = {}
    for name, list_of in pairs(fields) do
        local class = {name = name, fields = {}}
        for i, f in ipairs(list_of) do class.fields[i] = {name = f[1], type = f[2]} end
        out[#out + 1] = class
    end
    return out
end
function monitor.copy(v)
    local out = {}
    for name, x in pairs(record[v].fields) do out[name] = value(x) end
    return out
end
local p = {}
for name, source in pairs{print = print_lua, seq = seq_lua} do assert(load(source, "=" .. name))(monitor, p) end
p.is_snap = function() return false end     -- a dump has no values of other times
assert(load(show_lua, "=show"))(monitor, p)

local function read_only() error("a dump is read-only", 2) end

local Object = {__newindex = read_only}
function Object.__tostring(o) return record[o].line end
function Object.__index(o, name)
    local r = record[o]
    if r.fields[name] ~= nil then return value(r.fields[name]) end
    if r.methods[name] ~= nil then return function() return value(r.methods[name]) end end
    for _, f in ipairs(fields[r.class] or {}) do if f[1] == name then return nil end end
    error(("%s has no field '%s' in the dump"):format(r.class, tostring(name)), 2)
end
function Object.__pairs(o)
    local names, i = fields[record[o].class] or {}, 0
    return function()
        i = i + 1
        if names[i] then return names[i][1], value(record[o].fields[names[i][1]]) end
    end
end

local function object(key)
    if not proxies[key] then
        proxies[key] = setmetatable({}, Object)
        record[proxies[key]] = objects[key] or {class = "Gone", line = key .. " (gone)", fields = {}, methods = {}}
    end
    return proxies[key]
end

-- Of kernel objects: a sequence, also indexable by id.
function list(items)
    local s = p.seq(function()
        local i = 0
        return function() i = i + 1 return items[i] and value(items[i]) end
    end)
    local base = {__call = function(_, _, last)
        local at = 0
        for i, x in ipairs(items) do if last ~= nil and value(x) == last then at = i end end
        return items[at + 1] and value(items[at + 1])
    end, __len = function() return #items end, __newindex = read_only, __metatable = "Seq"}
    function base.__index(_, name)
        if math.type(name) == "integer" then
            for _, x in ipairs(items) do if record[value(x)].id == name then return value(x) end end
            return nil
        end
        return p.methods[name] or error("a sequence has no method '" .. tostring(name) .. "'", 2)
    end
    return debug.setmetatable(s, base)
end

function value(v)
    if type(v) ~= "table" then return v end
    if v["$ref"] then return object(v["$ref"]) end
    if v[1] ~= nil and type(v[1]) == "table" and v[1]["$ref"] then return list(v) end
    local out = {}
    for name, x in pairs(v["$rows"] or v) do out[name] = value(x) end
    return v["$rows"] and setmetatable(out, {__columns = v["$columns"]}) or out
end

local function find(root, field, wanted)
    for x in list(roots[root] and roots[root].value or {}) do
        if record[x].fields[field] == wanted then return x end
    end
    return nil, ("none with %s %s in the dump"):format(field, tostring(wanted))
end

k = setmetatable({}, {__newindex = read_only, __tostring = function() return "k: a dump of the kernel" end,
    __index = function(_, name)
        local r = roots[name]
        if not r then error(("k has no member '%s' in the dump"):format(tostring(name)), 2) end
        if r.call then return function() return value(r.value) end end
        return value(r.value)
    end,
    __pairs = function() return function(_, name)
        local r
        name, r = next(roots, name)
        return name, name and k[name]
    end end})
rawset(k, "task", function(x) return find("tasks", type(x) == "string" and "name" or "id", x) end)
rawset(k, "pid", function(x) return find("tasks", "pid", x) end)
rawset(k, "queue", function(x) return find("queues", "name", x) end)
return p.show
