-- SPDX-License-Identifier: MIT
-- Objects of each class with all of their fields, for fields.t to compare with what lies in memory: from the examples of the classes
-- and from programs that wait in several ways, then whatever their fields lead to. A line each:
--   class NAME FIELD ...      object CLASS#ID@OWNER NS NS (before and after it was copied)      field NAME LETTER VALUE
-- LETTER: n nil, b boolean, i integer, s text, o object, l list (VALUE: how many), t table.
local MOST <const> = 24

local function find(name) return k.tasks():where{name = name}:first() end
k.mode = "rw"
k.syscall_counts = true
host.sh("mkfifo /tmp/fifo /tmp/go; dd if=/dev/zero of=/mnt/three bs=4096 count=3 2>/dev/null; sync")
host.spawn([[exec 7<>/tmp/fifo; printf 0123456789 >&7; sh -c 'trap : USR1; trap "" USR2; sleep 2000; :' & sleep 1000 | cat & crowd futex 3 /tmp/go >/tmp/crowd.out 2>&1 &]])
eventually(function() return find("cat") and find("sleep") and host.sh("grep -q ready /tmp/crowd.out") == 0 end, 20, "programs wait in each way")
k.queue("vda.0").held = true
host.spawn("dd if=/dev/zero of=/mnt/three bs=4096 count=3 conv=fsync 2>/dev/null & dd if=/dev/zero of=/mnt/three bs=1 count=1 2>/dev/null &")
local lock = eventually(function() -- both have come to where they wait, and will not go on
    return k.locks():where(function(l)
        local holder, first = l.holder, l:queue()[1]
        return holder and first and holder.name == "dd" and first.name == "dd" and tostring(holder.wait):find("block") and
            tostring(first.wait):find("mutex")
    end):first()
end, 20, "a program holds a lock, and another waits for it")
k.task("sleep").nice = 5
k.task("sleep").deadline = k.ns + 3600 * 1000000000
local birth = k.tls("task"):where{name = "birth"}:first()
birth.disabled = true
host.spawn("mkfifo /tmp/young; lazy 1 <>/tmp/young >/dev/null &")
local young = eventually(function() return find("lazy") end, 20, "one is born without a piece of its storage")
birth.disabled = false
k.fault.inject("deadlock")
local locks = eventually(function()
    local list = k.locks():where{kind = "rwlock"}:list()
    return #list == 2 and list
end, 20, "two wait for each other's rwlock")
k.fault.inject("full-channel")
eventually(function() return #k.channels() == 3 and k.channels():where{senders = 2}:first() end, 20, "tasks wait for channels")
local refused = k.construct("refused", function() error("not today") end)
host.sh("true")
local trace = k.trace("sys.enter", {by = {"call"}})
k.mode = "unsafe"
k.fault.inject("long-poll", 1, {ms = 600000})   -- one hart does the same thing all the time
eventually(function() return find("computes") and find("computes").state == "running" end, 20, "a hart is busy")

local seen, waiting, count = {}, {}, {}
local function key(x)
    local class, id, owner = reflect.class(x)
    local name = ("%s#%d@%d"):format(class, id, owner)
    if not seen[name] and (count[class] or 0) < MOST then
        seen[name], count[class] = true, (count[class] or 0) + 1
        waiting[#waiting + 1] = {name, x}
    end
    return name
end

local function rows(t)
    local objects = {}
    for i, x in pairs(t) do if reflect.class(x) then objects[#objects + 1] = i .. "=" .. key(x) end end
    if #objects > 0 then return table.concat(objects, ";") end
    local out = {}
    for i, row in ipairs(t) do
        local names = {}
        for name, v in pairs(row) do names[#names + 1] = name .. "=" .. tostring(v) end
        table.sort(names)
        out[i] = table.concat(names, ",")
    end
    return table.concat(out, ";")
end

local function text(v)
    if v == nil then return "n" end
    if reflect.class(v) then return "o " .. key(v) end
    if type(v) == "boolean" then return "b " .. tostring(v) end
    if math.type(v) == "integer" then return "i " .. v end
    if type(v) == "string" then return "s " .. v:gsub("%c", "?") end
    if getmetatable(v) ~= "List" then return "t " .. rows(v) end
    for x in v:take(MOST) do key(x) end
    return "l " .. #v
end

local fields = {}
for _, class in ipairs(reflect.classes()) do
    fields[class.name] = class.fields
    local names = {}
    for i, f in ipairs(class.fields) do names[i] = f.name end
    print("class " .. class.name .. " " .. table.concat(names, " "))
    local good, x = pcall(load("return " .. class.example))
    if good and reflect.class(x) then key(x) end
end
for x in young.tls do key(x) end
for x in k.harts[#k.harts - 1].tls do key(x) end
for _, l in ipairs(locks) do key(l) end
for _, x in ipairs{lock, trace, k.pt, k.mounts():first().vnodes:first()} do key(x) end
for _, name in ipairs{"crowd", "cat", "sleep", "dd"} do key(find(name)) end
for _, list in ipairs{k.tasks(), k.futexes(), k.locks(), k.channels(), k.pipes(), k.timers(), k.irqs(), k.devices(), k.points(), k.mounts(), k.queues(), k.heap, k.syscalls(), k.log, k.virtio_devices(),
        find("crowd").space:map(), find("sh").signals, find("cat").files, k.tls("task"), k.tls("hart")} do text(list) end
for _, leaf in ipairs{table.unpack(find("crowd").space.pt:leaves{}, 1, 12)} do
    key(k.phys:frame(leaf.pa))
    key(find("crowd").space.pt:walk(leaf.va + 8))
end
key(find("crowd").space.pt:walk(0x3000))
while #waiting > 0 do
    local name, x = table.unpack(table.remove(waiting, 1))
    local before = k.ns
    local copy = reflect.copy(x)
    if copy then
        print(("object %s %d %d"):format(name, before, k.ns))
        for _, f in ipairs(fields[name:match("^%a+")]) do print(("field %s %s"):format(f.name, text(copy[f.name]))) end
    end
end
print("ready")
while true do k.sleep(1000) end     -- its own trace, and what it holds back, end with it
