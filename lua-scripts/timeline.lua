-- SPDX-License-Identifier: MIT
-- A timeline of the whole machine while a command runs, for a viewer of Chrome's trace format (https://ui.perfetto.dev):
-- a track for each hart with the polls of tasks, in them system calls and page faults, and interrupts; and a track for each
-- thread with its calls from beginning to end, however often it waited meanwhile.
--
--   kmon run lua-scripts/timeline.lua 'ls -lR /mnt' [SECONDS] >timeline.json
--
-- Events stay in the kernel until the command is over, so that the line's own traffic is not on the picture. A ring that
-- was too small is told, where it was.
local command, seconds = ...
assert(command, "usage: timeline.lua COMMAND [SECONDS]")
local ms = math.floor(assert(tonumber(seconds or 60), "SECONDS is a number") * 1000)
local HARTS = 0 -- the viewer's process whose threads are the harts; no program has this pid

local names = {} -- of tasks, by id: who is born and ends meanwhile is known by its number
local function learn()
    for t in k.tasks() do names[t.id] = t.name end
end
learn()

local trace = k.events({"task.poll", "sys.enter", "sys.exit", "fault.page", "irq"}, {ring = 16384})
local ran, status = pcall(host.sh, command, ms)
learn()
trace:stop()

-- ---- writing

local parts, first = {}, true
local function flush()
    if #parts > 0 then print(table.concat(parts, "\n")) end
    parts = {}
end
local function text(s)
    return '"' .. tostring(s):gsub('[%c"\\\x7f-\xff]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end
local function add(ph, name, ns, pid, tid, more)
    local line = ('{"ph":"%s","name":%s,"ts":%d.%03d,"pid":%d,"tid":%d%s}'):format(ph, text(name), ns // 1000, ns % 1000,
        pid, tid, more or "")
    parts[#parts + 1] = (first and "" or ",") .. line
    first = false
    if #parts == 20 then flush() end
end
local function label(what, name, pid, tid)
    add("M", what, 0, pid, tid, (',"args":{"name":%s}'):format(text(name)))
end

-- ---- tracks

local function id_of(task) return task and tonumber(tostring(task):match("#(%d+)")) end
local function name_of(id) return names[id] or "task " .. tostring(id) end

local inside = {}   -- of each hart: what came since its last poll ended, {kind, at, name}
local calls = {}    -- of each task: the call in which its last poll ended
local threads = {}  -- of each task: its process
for h = 0, #k.harts - 1 do inside[h] = {} end

-- A poll has ended: its track gets what lies in it. Each begin has its end, whatever is missing. The time of an event is taken
-- a little after what it tells of, so the first may seem to lie before the beginning.
local function poll(hart, task, from, to)
    local open
    for _, x in ipairs(inside[hart]) do
        if x.kind == "irq" then
            add("i", x.name, x.at, HARTS, hart, ',"s":"t"')
        elseif x.at < from then
            from = x.at
        end
    end
    local function leave(at)
        if open then add("E", open, at, HARTS, hart) end
        open = nil
    end
    local function enter(name, at)
        leave(at)
        open = name
        add("B", name, at, HARTS, hart)
    end
    add("B", name_of(task), from, HARTS, hart)
    if calls[task] then enter(calls[task], from) end
    for _, x in ipairs(inside[hart]) do
        if x.kind == "enter" then
            enter(x.name, x.at)
        elseif x.kind == "fault" then
            enter(x.name, math.max(x.from, from))
        end
        if x.kind == "exit" or x.kind == "fault" then leave(x.at) end
    end
    calls[task] = open
    leave(to)
    add("E", name_of(task), to, HARTS, hart)
    inside[hart] = {}
end

local function thread(e, task)
    if threads[task] or e.pid == 0 then return end
    threads[task] = e.pid
    label("thread_name", name_of(task), e.pid, task)
    label("process_name", name_of(task), e.pid, task)
end

local handlers = {
    ["task.poll"] = function(e, task) poll(e.hart, task, e.at - e.ns, e.at) end,
    ["sys.enter"] = function(e) table.insert(inside[e.hart], {kind = "enter", at = e.at, name = e.call}) end,
    ["sys.exit"] = function(e, task)
        table.insert(inside[e.hart], {kind = "exit", at = e.at})
        thread(e, task)
        add("X", e.call, e.at - e.ns, e.pid, task, (',"dur":%d.%03d,"args":{"result":%d}'):format(e.ns // 1000, e.ns % 1000,
            e.result))
    end,
    ["fault.page"] = function(e)
        table.insert(inside[e.hart], {kind = "fault", at = e.at, from = e.at - e.ns, name = "fault: " .. tostring(e.kind)})
    end,
    ["irq"] = function(e) table.insert(inside[e.hart], {kind = "irq", at = e.at, name = tostring(e.device)}) end,
}

-- ---- all of it

print '{"displayTimeUnit":"ns","traceEvents":['
label("process_name", "harts", HARTS, 0)
for h = 0, #k.harts - 1 do label("thread_name", "hart " .. h, HARTS, h) end
local lost, last = 0, 0
repeat
    local events = trace:take(100)
    for _, e in ipairs(events) do
        if e.lost then
            lost = lost + e.lost
            inside[e.hart] = {}
            add("i", ("%d events are lost"):format(e.lost), last, HARTS, e.hart, ',"s":"t"')
        else
            last = e.at
            handlers[e.point](e, id_of(e.task))
        end
    end
until #events == 0
k.off(trace)
flush()
print(('],"otherData":{"command":%s,"status":%s,"lost":%d}}'):format(text(command), ran and tostring(status) or "null", lost))
