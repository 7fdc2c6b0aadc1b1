-- SPDX-License-Identifier: MIT
-- `k` over a dump, on the host: the same names, read-only. Gets the function that reads a dump into a list of records
-- (host-console/dump.lua says which), the dump's name, files of the prelude and answers.lua as text by their names, and a
-- function to call when an assertion fails. Gives back the function that shows results.
local read, file, texts, asserted = ...

-- An object is an empty table. its record: {dump, class, id, owner, line, fields, methods}; its class is as in monitor.classes().
local record = setmetatable({}, {__mode = "k"})
local dumps = setmetatable({}, {__mode = "k"})      -- the `k` of a dump -> the dump
local function read_only() error("a dump is read-only", 2) end

local monitor, p, answers = {list = {}, asserted = asserted}, {}, {}
function monitor.write(s) io.write(s) end
function monitor.class(v)
    local r = record[v]
    if r and r.class.fields then return r.class.name, r.id, r.owner end
end
local value, list

-- ---- what the records say

local function check(good, i) if not good then error(("record %d: this is no dump of kmon's"):format(i), 0) end end
local function is(kind, ...)
    for i = 1, select("#", ...) do if type((select(i, ...))) ~= kind then return false end end
    return true
end

-- Of rows, tables with these names.
local function named(rows, i, ...)
    local out = {}
    check(is("table", rows), i)
    for n, row in ipairs(rows) do
        check(is("table", row) and is("string", row[1]), i)
        out[n] = {}
        for at, name in ipairs{...} do out[n][name] = row[at] end
    end
    return out
end

local add = {}
function add.class(d, r, i)
    check(is("string", r.class), i)
    local c = {name = r.class, doc = r.doc, place = r.place, example = r.example, display = r.display, at = {}, method = {}}
    c.fields = named(r.fields, i, "name", "type", "doc", "writable")
    c.methods = named(r.methods, i, "name", "signature", "doc", "example", "changes")
    for n, f in ipairs(c.fields) do c.at[f.name] = n end
    for _, m in ipairs(c.methods) do
        c.method[m.name] = m
        m.fn = answers.method(c, m)
    end
    d.classes[#d.classes + 1] = c
    d.class[c.name] = c
end
function add.member(d, r, i)
    check(is("string", r.member), i)
    local a = {name = r.member, signature = r.signature, doc = r.doc, example = r.example}
    a.fn = answers.member(d, a)
    d.api[#d.api + 1] = a
    d.member[a.name] = a
end
function add.root(d, r, i)
    check(is("string", r.root), i)
    d.roots[r.root] = r
end
function add.key(d, r, i)
    check(is("string", r.key, r.line) and is("table", r.fields, r.methods) and is("number", r.ns), i)
    local class, id, owner = r.key:match("^(%a+)#(%-?%d+)@?(%-?%d*)$")
    check(d.class[class], i)
    d.objects[r.key] = {dump = d, class = d.class[class], key = r.key, id = math.tointeger(id), line = r.line, fields = r.fields,
        methods = r.methods, ns = r.ns, owner = math.tointeger(owner) or 0}
end
function add.table(d, r, i)
    check(math.type(r.table) == "integer" and is("string", r.entries), i)
    d.tables[r.table] = r.entries
end

add["end"] = function(d, r, i)
    check(is("number", r.from, r.to), i)
    d.from, d.to = r.from, r.to
end

local function load_dump(name)
    local d = {classes = {}, class = {}, api = {}, member = {}, roots = {}, objects = {}, tables = {}, proxies = {}, from = 0, to = 0}
    for i, r in ipairs(read(name)) do
        for kind, f in pairs(add) do if r[kind] then f(d, r, i) break end end
    end
    return d
end

-- ---- objects

local Object = {__newindex = read_only}
function Object.__tostring(o) return record[o].line end
function Object.__eq(a, b)
    a, b = record[a], record[b]
    return a ~= nil and b ~= nil and a.key == b.key
end
function Object.__index(o, name)
    local r = record[o]
    local at, m = r.class.at[name], r.class.method[name]
    if at then return value(r.dump, r.fields[at]) end
    if m then return m.fn end
    if name == "__display" then
        local by = {}
        for word in (r.class.display or "table"):gmatch("%S+") do by[#by + 1] = word end
        return {kind = table.remove(by, 1), by = by, class = r.class.name}
    end
    if not r.class.fields then error(r.line .. ": it had gone, or there were too many objects; ask a running kernel", 2) end
    error(("%s has no field '%s' in the dump"):format(r.class.name, tostring(name)), 2)
end
function Object.__pairs(o)
    local i = 0
    return function()
        i = i + 1
        local f = record[o].class.fields[i]
        if f then return f.name, o[f.name] end
    end
end

-- The object of a record that an answer made: its fields are values.
local function object(r)
    local o = setmetatable({}, Object)
    record[o] = r
    return o
end

local function proxy(d, key)
    d.proxies[key] = d.proxies[key] or object(d.objects[key] or
        {class = {name = "Gone", at = {}, method = {}}, key = key, line = key .. " is not in the dump", fields = {}, methods = {},
        id = math.tointeger(key:match("#(%-?%d+)"))})
    return d.proxies[key]
end

-- Of kernel objects: a sequence, also indexable by id.
function list(d, class, items, left)
    local function all()
        if left then error(("the dump does not keep these %d: ask a running kernel"):format(left), 0) end
        return items
    end
    local s = p.seq(function()
        local i = 0
        return function() i = i + 1 return value(d, all()[i]) end
    end)
    local base = {__newindex = read_only, __metatable = "Seq"}
    function base.__call(_, _, last)
        local at = 0
        for i, x in ipairs(all()) do if last ~= nil and rawequal(value(d, x), last) then at = i end end
        return value(d, items[at + 1])
    end
    function base.__len() return left or #items end
    function base.__tostring() return "list of " .. class end
    function base.__pairs()
        local i = 0
        return function()
            i = i + 1
            local x = value(d, all()[i])
            if x then return record[x].id, x end
        end
    end
    function base.__index(_, name)
        if math.type(name) == "integer" then
            for _, x in ipairs(all()) do if record[value(d, x)].id == name then return value(d, x) end end
            error(("there is no %s#%d in the dump"):format(class, name), 2)
        end
        return p.methods[name] or error("a list has no method '" .. tostring(name) .. "'", 2)
    end
    return debug.setmetatable(s, base)
end

-- For `for a, b in list:each("a", "b")`.
function monitor.list.each(s, ...)
    local names, it = {...}, p.each(s)
    return function()
        local x, out = it(), {}
        if x == nil then return nil end
        for i, name in ipairs(names) do out[i] = x[name] end
        return table.unpack(out, 1, #names)
    end
end

-- What the dump says, as Lua sees it, under the name `called`. What an answer made is that already.
function value(d, v, called)
    if type(v) ~= "table" or record[v] or getmetatable(v) then return v end
    if v["$ref"] then return proxy(d, v["$ref"]) end
    if v["$list"] then return list(d, v["$list"], v.items, v.left) end
    if v["$call"] then return answers.nothing(called) end
    local out = {}
    for name, x in pairs(v["$rows"] or v) do out[math.tointeger(name) or name] = value(d, x, name) end
    if not v["$rows"] then return out end
    local meta = {__addresses = {}}
    for _, name in ipairs(v["$addresses"] or {}) do meta.__addresses[name] = true end
    for _, row in ipairs(out) do if next(meta.__addresses) then setmetatable(row, meta) end end
    return setmetatable(out, {__columns = v["$columns"]})
end

-- ---- k

local function open_dump(name)
    local d = load_dump(name)
    local function get(_, member)
        local a = d.member[member]
        if not a then error(("k has no member '%s' in the dump"):format(tostring(member)), 2) end
        if a.signature then return a.fn end
        return a.fn()
    end
    d.k = setmetatable({}, {__index = get, __newindex = read_only, __metatable = "k",
        __tostring = function() return ("k: a dump of the kernel, made from %.6f s to %.6f s"):format(d.from / 1e9, d.to / 1e9) end,
        __pairs = function()
            local i = 0
            return function()
                i = i + 1
                if d.api[i] then return d.api[i].name, d.k[d.api[i].name] end
            end
        end})
    dumps[d.k] = d
    return d
end

assert(load(texts.answers, "=answers"))(answers, p, record, dumps, value, object)
local main = open_dump(file)
function monitor.classes() return main.classes end
function monitor.api() return table.move(main.api, 1, #main.api, 1, {}) end     -- who gets it sorts it
function monitor.copy(v)
    local out = {}
    for name, x in pairs(v) do out[name] = x end
    return out
end
k = main.k
for _, name in ipairs{"print", "seq", "layout", "show", "snap", "help"} do
    assert(load(texts[name], "=" .. name))(monitor, p)
end
-- Another dump, to be compared: k.diff(dump("before.json"), k).
function dump(other) return open_dump(other).k end
return p.show
