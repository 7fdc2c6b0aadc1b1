-- SPDX-License-Identifier: MIT
-- A timeline of the whole machine while a command runs, for a viewer of Chrome's trace format (https://ui.perfetto.dev):
-- a track for each hart with the polls of tasks, in them system calls and page faults, and interrupts; and a track for each
-- thread with its calls from beginning to end, however often it waited meanwhile.
--
--   kmon run lua-scripts/timeline.lua 'ls -lR /mnt' [SECONDS [EVENTS]] >timeline.json
--
-- Events stay in the kernel until the command is over, so that the line's own traffic is not on the picture: at most EVENTS
-- (16384) of each hart. What comes after them is lost, which the hart's track and `lost` tell.
local command, seconds, room = ...
assert(command, "usage: timeline.lua COMMAND [SECONDS [EVENTS]]")
local ms = math.floor(assert(tonumber(seconds or 60), "SECONDS is a number") * 1000)
local HARTS = 0 -- the viewer's process whose threads are the harts; no program has this pid

local names = {} -- of tasks, by id: who has ended before it could be asked is known by its number
local function learn()
    for t in k.tasks() do names[t.id] = t.name end
end
local function learn_one(e) pcall(function() names[e.task.id] = e.task.name end) end
learn()

local begun = k.on("sys.exit", learn_one, {where = {call = "execve", result = 0}})
local trace = k.events({"task.poll", "sys.enter", "sys.exit", "fault.page", "irq"}, {ring = tonumber(room or 16384)})
local ran, status = pcall(host.sh, command, ms)
trace:stop()
k.off(begun)
learn()

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
local function slice(name, from, to, pid, tid, args)
    local ns = math.max(to - from, 0)
    add("X", name, from, pid, tid, (',"dur":%d.%03d%s'):format(ns // 1000, ns % 1000, args or ""))
end

local on = {}       -- of each hart, since its last poll ended: the first event, the call that is open, one that ended first
local calls = {}    -- of each task: the call in which its last poll ended
local threads = {}  -- of each task: its process
local function fresh(hart) on[hart] = {} end
for h = 0, #k.harts - 1 do fresh(h) end

-- A poll is told of when it ends; what was in it was told of before, and is a slice as soon as it ends. The time of an event
-- is taken a little after what it tells of, so the first may seem to lie before the poll's beginning.
local function at(e, task, time)
    local x = on[e.hart]
    x.first, x.last, x.task = x.first or time, e.at, task
    return x
end
local function enter(e, task)
    local x = at(e, task, e.at)
    x.open, x.since = e.call, e.at
end
local function leave(e, task)
    local x = at(e, task, e.at)
    if x.open then
        slice(x.open, x.since, e.at, HARTS, e.hart)
    else
        x.resumed, x.till = e.call, e.at -- begun in an earlier poll; where this one begins is not known yet
    end
    x.open, x.left = nil, true
end
local function fault(e, task)
    local from = e.at - e.ns
    at(e, task, from)
    slice("fault: " .. tostring(e.kind), from, e.at, HARTS, e.hart)
end
local function poll(e, task)
    local x = on[e.hart]
    local from = math.min(e.at - e.ns, x.first or e.at)
    slice(name_of(task), from, e.at, HARTS, e.hart)
    if x.resumed then slice(x.resumed, from, x.till, HARTS, e.hart) end
    if not x.open and not x.left and calls[task] then x.open, x.since = calls[task], from end
    if x.open then slice(x.open, x.since, e.at, HARTS, e.hart) end
    calls[task] = e.how ~= "end" and x.open or nil
    fresh(e.hart)
end

-- One that was not over when the trace was is known by what was in it.
local function cut_off(hart)
    local x = on[hart]
    if not x.first then return end
    slice(name_of(x.task), x.first, x.last, HARTS, hart)
    if x.resumed then slice(x.resumed, x.first, x.till, HARTS, hart) end
    if x.open then slice(x.open, x.since, x.last, HARTS, hart) end
end

local function thread(e, task)
    if threads[task] or e.pid == 0 then return end
    threads[task] = e.pid
    label("thread_name", name_of(task), e.pid, task)
    label("process_name", name_of(task), e.pid, task)
end

local handlers = {
    ["task.poll"] = poll,
    ["sys.enter"] = enter,
    ["sys.exit"] = function(e, task)
        leave(e, task)
        thread(e, task)
        slice(e.call, e.at - e.ns, e.at, e.pid, task, (',"args":{"result":%d}'):format(e.result))
    end,
    ["fault.page"] = fault,
    ["irq"] = function(e) add("i", tostring(e.device), e.at, HARTS, e.hart, ',"s":"t"') end,
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
            fresh(e.hart)
            add("i", ("%d events are lost"):format(e.lost), last, HARTS, e.hart, ',"s":"t"')
        else
            last = e.at
            handlers[e.point](e, id_of(e.task))
        end
    end
until #events == 0
for h = 0, #k.harts - 1 do cut_off(h) end
k.off(trace)
flush()
print(('],"otherData":{"command":%s,"status":%s,"lost":%d}}'):format(text(command), ran and tostring(status) or "null", lost))
