-- SPDX-License-Identifier: MIT
-- dump: runs in the kernel and prints everything that can be asked for without an argument, a JSON object a line:
--   {"class": NAME, "doc", "place", "example", "display", "fields": [[name, type, doc, writable], ...],
--       "methods": [[name, signature, doc, example, changes], ...]}      of all classes, first
--   {"member": NAME, "signature", "doc", "example"}                      of k, without a signature a field
--   {"root": NAME, "value": ...}                                         what k.NAME is, or k.NAME(): NAME may end in arguments
--   {"key": KEY, "line": TEXT, "fields": [value, ...], "methods": {name: value}, "ns": TIME}    the fields in the order of the class,
--       and all of one moment, about TIME (k.ns); the line, what is in a list and what a method says are each of one a little later
--   {"table": ADDRESS, "entries": TEXT}                                  a page table (below)
-- KEY is CLASS#ID, with @OWNER where the class has owners. Inside a value a kernel object is {"$ref": KEY}, a list of them
-- {"$list": CLASS, "items": [...]}, or with their number, "left", in place of items that are left out; a function is
-- {"$call": true}, a table that is shown in columns {"$rows": [...], "$columns": [...], "$addresses": [...]}, the names of integers of
-- its rows that are addresses. The last record is
--   {"end": true, "objects": HOW MANY, "dropped": of those that were left out, "from": TIME, "to": TIME}
local OBJECTS, LEVELS, ITEMS, ENTRIES = 4000, 8, 1000, 16384
local METHODS = {"backtrace", "tree", "registers", "map", "gaps", "ring", "chains", "counts", "properties", "queue", "mappers", "objects"}
local CALLS = {"tasks", "spaces", "queues", "ttys", "devices", "irqs", "syscalls", "timers", "tls", "tls hart", "tls task",
    "journal", "points", "account", "memory", "memory true", "waits", "lint", "locks", "channels", "futexes", "pipes", "mounts",
    "virtio_devices"}
local LEFT = {Vnode = true}             -- lists of a file system's thousands
local LINEAR = 0xffffffc000000000       -- where physical memory is seen (KVA_OFFSET)
local VALID, RIGHTS, USER = 1, 14, 16   -- bits of an entry

local classes, api, identify = schema()
local names, methods, known, waiting, count, dropped, begun = {}, {}, {}, {}, 0, 0, k.ns    -- names, methods: of a class
local encode

local escapes = {['"'] = '\\"', ["\\"] = "\\\\"}
local function text(s)
    s = s:gsub('[%c"\\\127-\255]', function(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end)
    return '"' .. s .. '"'
end

local function reference(v)
    local class, id, owner = identify(v)
    local key = ("%s#%d"):format(class, id) .. (owner ~= 0 and ("@%d"):format(owner) or "")
    if not known[key] and count == OBJECTS then
        dropped = dropped + 1
    elseif not known[key] then
        count = count + 1
        known[key] = true
        waiting[#waiting + 1] = {key, v, class}
    end
    return '{"$ref":' .. text(key) .. "}"
end

local function array(next_item, level)
    local out = {}
    for x in next_item do
        if #out == ITEMS then dropped = dropped + 1 break end
        out[#out + 1] = encode(x, level + 1)
    end
    return "[" .. table.concat(out, ",") .. "]"
end

local function addresses(row)
    local meta, out = getmetatable(row), {}
    for name in pairs(type(meta) == "table" and meta.__addresses or {}) do
        if math.type(rawget(row, name)) == "integer" then out[#out + 1] = text(name) end
    end
    return "[" .. table.concat(out, ",") .. "]"
end

local function map(t, level)
    local out, i, meta = {}, 0, getmetatable(t)
    if #t > 0 and t[0] == nil then
        local items = array(function() i = i + 1 return t[i] end, level)
        if type(meta) ~= "table" or not meta.__columns then return items end
        return ('{"$rows":%s,"$columns":%s,"$addresses":%s}'):format(items, encode(meta.__columns, level), addresses(t[1]))
    end
    for name, x in pairs(t) do out[#out + 1] = text(tostring(name)) .. ":" .. encode(x, level + 1) end
    return "{" .. table.concat(out, ",") .. "}"
end

function encode(v, level)
    local kind, meta = math.type(v) or type(v), getmetatable(v)
    if kind == "integer" or kind == "boolean" then return tostring(v) end
    if kind == "float" then return v == v and v - v == 0 and ("%.17g"):format(v) or "null" end
    if kind == "string" then return text(v) end
    if kind == "nil" then return "null" end
    if kind == "function" then return '{"$call":true}' end
    if level > LEVELS then return text(tostring(v)) end
    if meta == "List" then
        local class = tostring(v):match("(%w+)$")
        local items = LEFT[class] and '"left":' .. #v or '"items":' .. array(v, level)
        return ('{"$list":"%s",%s}'):format(class, items)
    end
    if meta == "Seq" then return array(v, level) end
    if kind == "userdata" then return reference(v) end
    return kind == "table" and map(v, level) or "null"
end

-- ---- what help knows

local function record(first, keys, x)
    local out = {first}
    for _, name in ipairs(keys) do
        if x[name] ~= nil then out[#out + 1] = text(name) .. ":" .. text(x[name]) end
    end
    return table.concat(out, ",")
end

local function members(list, columns)
    local out = {}
    for i, x in ipairs(list) do
        local row = {}
        for j, name in ipairs(columns) do row[j] = encode(x[name], 1) end
        if row[#row] == "false" then row[#row] = nil end
        out[i] = "[" .. table.concat(row, ",") .. "]"
    end
    return "[" .. table.concat(out, ",") .. "]"
end

local function describe_class(c)
    names[c.name], methods[c.name] = {}, {}
    for i, f in ipairs(c.fields) do names[c.name][i] = f.name end
    for _, m in ipairs(c.methods) do methods[c.name][m.name] = true end
    print(('{%s,"fields":%s,"methods":%s}'):format(record('"class":' .. text(c.name), {"doc", "place", "example", "display"}, c),
        members(c.fields, {"name", "type", "doc", "writable"}),
        members(c.methods, {"name", "signature", "doc", "example", "changes"})))
end

-- ---- page tables: the entries that are not zero, in order, each as the number in hexadecimal. Before it INDEX= where it does not
-- follow the one before; behind it *REFERENCES of the frame of a user's page, unless 1; then +N: N more, each of the next frame.

local tables, entries = {}, 0
local function page_table(pa, level)
    local bytes = not tables[pa] and entries < ENTRIES and k.peek(LINEAR + pa, 4096)
    if not bytes then return end
    tables[pa] = true
    local out, at, step, last, last_refs, more, below = {}, 0, 0x400 << 9 * level, nil, nil, 0, {}
    local function flush()
        if more > 0 then out[#out + 1] = "+" .. more end
        more = 0
    end
    local from = bytes:find("[^\0]")
    while from do
        local index = (from - 1) // 8
        local e = ("<I8"):unpack(bytes, index * 8 + 1)
        local refs = e & USER ~= 0 and (k.phys:frame(e >> 10 << 12) or {}).refs or 1
        if index == at and last and e == last + step and refs == last_refs then
            more = more + 1
        else
            flush()
            out[#out + 1] = (index ~= at and index .. "=" or "") .. ("%x"):format(e) .. (refs ~= 1 and "*" .. refs or "")
            entries = entries + 1
        end
        if e & VALID ~= 0 and e & RIGHTS == 0 and level > 0 then below[#below + 1] = e >> 10 << 12 end
        at, last, last_refs = index + 1, e, refs
        from = bytes:find("[^\0]", at * 8 + 1)
    end
    flush()
    print(('{"table":%d,"entries":"%s"}'):format(pa, table.concat(out, " ")))
    for _, child in ipairs(below) do page_table(child, level - 1) end
end

-- ---- objects

local function chains(queue)
    local out = {}
    for _, row in ipairs(queue:chains()) do
        local good, chain = pcall(queue.chain, queue, row.head)
        if good then out[tostring(row.head)] = chain end
    end
    return out
end

local function describe(key, v, class)
    local ns, fields, said = k.ns, {}, {}
    local snap = v:snap()
    for i, name in ipairs(names[class]) do fields[i] = encode(rawget(snap, name), 2) end
    local line = tostring(v)
    for _, name in ipairs(METHODS) do
        local good, x = pcall(methods[class][name] and v[name], v)
        if good and x ~= nil then said[#said + 1] = text(name) .. ":" .. encode(x, 1) end
    end
    if class == "VirtQueue" then said[#said + 1] = '"chain":' .. encode(chains(v), 1) end
    if class == "PageTable" then page_table(v.root, 2) end
    print(('{"key":%s,"line":%s,"fields":[%s],"methods":{%s},"ns":%d}'):format(text(key), text(line), table.concat(fields, ","),
        table.concat(said, ","), ns))
end

local function root(name, v) print(('{"root":%s,"value":%s}'):format(text(name), encode(v, 1))) end

for _, c in ipairs(classes) do describe_class(c) end
for _, a in ipairs(api) do print("{" .. record('"member":' .. text(a.name), {"signature", "doc", "example"}, a) .. "}") end
local fields = {}
for _, a in ipairs(api) do if not a.signature then fields[#fields + 1] = a.name end end
classes, api = nil, nil     -- the heap of a session is small
for _, name in ipairs(fields) do root(name, k[name]) end
for _, call in ipairs(CALLS) do
    local name, argument = call:match("^(%S+) ?(.*)$")
    if argument == "true" then argument = true elseif argument == "" then argument = nil end
    local good, v = pcall(k[name], argument)
    if good then root(call, v) end
end
while #waiting > 0 do
    local object = table.remove(waiting)
    local good, why = pcall(describe, table.unpack(object))
    if not good and not tostring(why):find("stale handle", 1, true) then error(object[1] .. ": " .. why, 0) end
end
print(('{"end":true,"objects":%d,"dropped":%d,"from":%d,"to":%d}'):format(count, dropped, begun, k.ns))
