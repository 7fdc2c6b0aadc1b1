-- SPDX-License-Identifier: MIT
-- What methods and functions of `k` answer over a dump (offline.lua): what the dump says they said, or what can be made of the rest of
-- it, as the kernel makes it. All others refuse.
local answers, p, record, dumps, value, object = ...
local PAGE, LEVELS, HALF, LEAVES = 4096, 3, 1 << 38, 4096
local VALID, RIGHTS = 1, 14         -- bits of an entry

local function refuse(what)
    error(what .. " cannot be told from a dump, which is read-only and of one moment: ask a running kernel", 3)
end
function answers.nothing(what) return function() refuse(what) end end

-- ---- page tables

-- Text of a table -> {[index] = {entry, references}}; dump.lua says how it is written.
local function decode(text, level)
    local out, at, e, refs = {}, 0, 0, 1
    for word in text:gmatch("%S+") do
        local more = word:match("^%+(%d+)$")
        if more then
            for _ = 1, math.min(tonumber(more), 511) do
                e = e + (0x400 << 9 * level)
                out[at], at = {e, refs}, at + 1
            end
        else
            local index, entry, n = word:match("^(%d-)=?(%x+)%*?(%d*)$")
            at, e, refs = tonumber(index) or at, tonumber(entry, 16), tonumber(n) or 1
            out[at], at = {e, refs}, at + 1
        end
    end
    return out
end

local function page_table(d, pa, level)
    if type(d.tables[pa]) == "string" then d.tables[pa] = decode(d.tables[pa], level) end
    return d.tables[pa] or error(("the dump does not keep the page table at 0x%x: ask a running kernel"):format(pa), 0)
end

local function frame(e) return e >> 10 << 12 end
local function is_leaf(e) return e & RIGHTS ~= 0 end

local letters = {{"h", 256}, {"d", 128}, {"a", 64}, {"g", 32}, {"u", 16}, {"x", 8}, {"w", 4}, {"r", 2}, {"v", 1}}
local function bits(e)
    local out = {}
    for i, l in ipairs(letters) do out[i] = e & l[2] ~= 0 and l[1] or "-" end
    return table.concat(out)
end

local function columns(rows, names)
    local out = {}
    for name in names:gmatch("%S+") do out[#out + 1] = name end
    return setmetatable(rows, {__columns = out})
end

-- The record with those of its integers shown as addresses.
local function addressed(row, ...)
    local names = {}
    for _, name in ipairs{...} do names[name] = true end
    return setmetatable(row, {__addresses = names})
end

-- fn(va, entry, references, pages) for each entry of [lo, hi) that has a frame, in order, until it gives true.
local function each_leaf(d, pa, level, base, lo, hi, fn)
    local t, bytes = page_table(d, pa, level), PAGE << 9 * level
    for i = math.max(lo - base, 0) // bytes, 511 do
        local va, slot = base + i * bytes, t[i]
        if va >= hi then return false end
        if slot and (level == 0 or is_leaf(slot[1])) then
            if fn(va, slot[1], slot[2], bytes // PAGE) then return true end
        elseif slot and slot[1] & VALID ~= 0 and each_leaf(d, frame(slot[1]), level - 1, va, lo, hi, fn) then
            return true
        end
    end
end

local function integer(v, i)
    return math.tointeger(v) or error(("bad argument #%d: number expected, got %s"):format(i, type(v)), 3)
end

-- The values of fields by name -> an object that is not in the dump.
local function made(r, class, id, line, fields)
    local c, out = r.dump.class[class], {}
    for i, f in ipairs(c.fields) do out[i] = fields[f.name] end
    return object{dump = r.dump, class = c, id = id, owner = r.id, key = ("%s#%d@%d"):format(class, id, r.id), fields = out,
        methods = {}, line = ("%s#0x%x %s"):format(class, id, line)}
end

-- Else nil and why: bits 63 to 39 are as bit 38 is.
local function is_va(va)
    local high = va >> 38
    if high == 0 or high == (1 << 26) - 1 then return true end
    return nil, ("0x%x is no Sv39 address"):format(va)
end

local Class = {PageTable = {}, Space = {}, Mapping = {}, VirtQueue = {}}

function Class.PageTable.walk(r, o, va)
    local d, steps, e = r.dump, {}, nil
    va = integer(va, 1)
    local good, why = is_va(va)
    if not good then return nil, why end
    local at, level, stops = o.root, LEVELS, nil
    repeat
        level = level - 1
        local index = va >> 12 + 9 * level & 511
        e = (page_table(d, at, level)[index] or {0})[1]
        steps[#steps + 1] = addressed({level = level, table = at, index = index, entry = e, bits = bits(e)}, "table", "entry")
        at = frame(e)
    until level == 0 or e & VALID == 0 or is_leaf(e)
    local pa = e & VALID ~= 0 and at | va & (PAGE << 9 * level) - 1 or nil
    if not pa then stops = ("level %d: the entry %s"):format(level, e ~= 0 and "keeps a frame but is not valid" or "is empty") end
    return made(r, "Walk", va, pa and ("-> %x %s"):format(pa, bits(e)) or "stops at " .. stops,
        {pa = pa, stops = stops, bits = bits(e), pte = e, pt = o, steps = columns(steps, "level> table> index> entry> bits")})
end

function Class.PageTable.leaves(r, o, range)
    range = type(range) == "table" and range or {}
    if r.id == 0 then error("only the tables of spaces list their leaves", 0) end
    local rows = {}
    each_leaf(r.dump, o.root, LEVELS - 1, 0, range.lo or 0, math.min(range.hi or HALF, HALF), function(va, e, refs, pages)
        rows[#rows + 1] = addressed({va = va, pa = frame(e), pages = pages, bits = bits(e), refs = refs}, "va", "pa")
        return #rows == LEAVES
    end)
    return columns(rows, "va> pa> bits pages> refs>")
end

function Class.Space.find(_, o, va)
    va = integer(va, 1)
    local good, why = is_va(va)
    if not good then return nil, why end
    for m in o:map() do if m.lo <= va and va < m.hi then return m end end
    return nil, "nothing is mapped there"
end

function Class.Mapping.cells(r, o, n)
    n = n == nil and 24 or integer(n, 1)
    if n < 1 or n > 256 then error("bad argument #1: there are 1 to 256 cells", 0) end
    local lo, pages, out = o.lo, o.bytes // PAGE, {}
    for i = 1, math.min(n, pages) do out[i] = 0 end
    local function cell(page) return ((page + 1) * #out - 1) // pages + 1 end
    each_leaf(r.dump, o.space.pt.root, LEVELS - 1, 0, lo, o.hi, function(va, _, _, more)
        for at = math.max(va, lo), math.min(va + more * PAGE, o.hi) - PAGE, PAGE do
            local i = cell((at - lo) // PAGE)
            out[i] = out[i] + 1
        end
    end)
    return out
end

function Class.VirtQueue.chain(r, _, head)
    head = integer(head, 1)
    return value(r.dump, r.methods.chain[tostring(head)]) or
        error(("descriptor %d heads no chain in flight"):format(head), 0)
end

local function snap(r, o)
    local fields = {}
    for name, x in pairs(o) do fields[name] = x end
    return p.wrap(r.class.name, r.id, fields, r.ns)
end

function answers.method(c, m)
    local known = m.name == "snap" and snap or Class[c.name] and Class[c.name][m.name]
    return function(o, ...)
        local r = record[o]
        if not r or r.class.name ~= c.name then
            error(("bad argument #1 to '%s': %s expected"):format(m.name, c.name), 2)
        end
        if m.changes then error(("%s:%s changes the kernel: a dump is read-only"):format(c.name, m.name), 2) end
        if known then return known(r, o, ...) end
        if r.methods[m.name] == nil or select("#", ...) > 0 then refuse(c.name .. ":" .. m.name) end
        return value(r.dump, r.methods[m.name])
    end
end

-- ---- k

local Member = {}

local function find(d, what, wanted, good)
    for t in d.member.tasks.fn() do if good(t) then return t end end
    error(("there is no %s %s in the dump"):format(what, tostring(wanted)), 0)
end
function Member.task(d, x)
    return find(d, "task", x, function(t) return x == (type(x) == "string" and t.name or record[t].id) end)
end
function Member.pid(d, x) return find(d, "process", x, function(t) return x ~= 0 and (t.pid == x or t.tid == x) end) end
function Member.queue(d, x)
    for q in d.member.queues.fn() do if q.name == x then return q end end
    error(("there is no queue '%s'; k.queues() lists them"):format(tostring(x)), 0)
end

function Member.syscall(d, x)
    for s in d.member.syscalls.fn() do if s.name == x or s.nr == x then return s end end
    error(("there is no system call '%s'; k.syscalls() lists them"):format(tostring(x)), 0)
end

function Member.pte(_, e)
    e = integer(e, 1)
    local is = e & VALID == 0 and (e == 0 and "empty" or "not valid, keeps a frame") or is_leaf(e) and "leaf" or "points to a table"
    return addressed({pa = frame(e), bits = bits(e), is = is}, "pa")
end

-- Objects of a whole dump, for k.diff of two.
local function all(v)
    if not dumps[v] then return v end
    local out = {}
    for key in pairs(dumps[v].objects) do out[key] = value(dumps[v], {["$ref"] = key}):snap() end
    return out
end
function Member.diff(_, a, b) return p.diff(all(a), all(b)) end

function Member.snapshot(_, objects)
    local out = {}
    for name, o in pairs(objects) do out[name] = record[o].class.fields and o:snap() or false end
    return out
end

function answers.member(d, a)
    return function(...)
        if Member[a.name] then return Member[a.name](d, ...) end
        local name = table.concat({a.name, select("#", ...) > 0 and tostring((...)) or nil}, " ")
        if not d.roots[name] or select("#", ...) > 1 then refuse("k." .. a.name) end
        return value(d, d.roots[name].value)
    end
end
