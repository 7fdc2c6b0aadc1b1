-- SPDX-License-Identifier: MIT
-- Three ways to look consistently: an object as a value (:snap), several at one moment (k.snapshot), a system that stands
-- still (k.freeze); and what differs between two looks (k.diff).
-- kmon: --initrd build/tests.cpio
local still = require "lib.still"
local harts = #k.harts
host.sh(":") -- when it answers, boot is over
require("lib.baseline").settled() -- and its shell has ended

-- Values.
local task = k.task("sh")
local snap = task:snap()
is(snap.name, "sh", "a snap has the object's fields")
is(getmetatable(snap), "Snap", "it is a value, no handle")
fails(function() return snap.nmae end, "Task has no field 'nmae'", "an unknown field is named")
local first
for name in pairs(snap) do first = first or name end
is(first, "id", "it is walked in the order of the class")
like(tostring(snap), "^Task#%d+ as it was at", "it says when it was")
is(#k.diff(snap, snap), 0, "nothing differs from itself")
host.sh("true")
local changed = {}
for _, d in ipairs(k.diff(snap, task)) do changed[d.field] = d end
ok(changed.polls and changed.polls.after > changed.polls.before, "the task has been polled since")
ok(not changed.name and not changed.id, "what is equal is left out")
is(k.diff({a = {1, 2}}, {a = {1, 3}})[1].field, "a[2]", "tables are compared by what is in them")
is(k.diff(1, 2)[1].after, 2, "so are plain values")

-- A snapshot.
fails(function() k.snapshot {1} end, "takes kernel objects, not a number", "only objects")
local shot = still.held(k.snapshot, {sh = task, boot = k.harts[0], space = task.space})
is(shot.sh.name, "sh", "a snapshot has what was asked for")
is(shot.boot.index, 0, "by name")
ok(k.pause_us > 0, "it held the system up for " .. k.pause_us .. " us")

-- Frozen: nothing moves but the monitor.
local function moved(ms)
    local function sum()
        local polls, switches = 0, 0
        for t in k.tasks() do polls = polls + t.polls end
        for h in k.harts do switches = switches + h.switches end
        return polls + switches
    end
    return still.freeze(function()
        local before, till = sum(), k.ns + ms * 1000000
        while k.ns < till do end
        return sum() - before
    end)
end
host.sh("(stress 4 1000 & spin 2>/dev/null & spin 2>/dev/null &) >/dev/null 2>&1")
local stress = eventually(function() return k.tasks():where{name = "stress"}:list()[2] end, 20, "programs run")
local polls = stress.polls
ok(eventually(function() return stress.polls > polls end, 20), "the system is busy")
is(moved(20), 0, "and stands still while it is frozen")
ok(k.pause_us >= 20000, "for as long as fn took: " .. k.pause_us .. " us")
is(select("#", still.freeze(function() return 1, nil, 3 end)), 3, "what fn returns is returned")
fails(function() still.freeze(function() error("mine") end) end, "mine", "its errors come out")
fails(function() still.freeze(function() k.freeze(function() end) end) end, "one freezer at a time", "not twice at once")
fails(function() still.freeze(function() print("x") end) end, "print inside k.freeze", "no printing meanwhile")
fails(function() still.freeze(function() k.sleep(1) end) end, "sleep inside k.freeze", "no sleep")
fails(function() still.freeze(function() k.account() end) end, "thawed, since fn waited", "what waits thaws")
fails(function() still.freeze(function() k.account() while true do end end) end, "thawed, since fn waited", "and ends fn")
fails(function() still.freeze(function() k.account() pcall(k.freeze, print) while true do end end) end, "thawed, since fn waited",
    "also where it begins another one")
fails(function() k.freeze(function() end, {ms = 0}) end, "ms: a whole number from 1 to 1000", "a freeze has a length")

-- All of a snapshot is of one moment: a hart and a task that are busy, each under 32 names, have counted the same under all of them.
local busy, names = {hart = k.harts[#k.harts - 1], task = stress}, {}
for i = 1, 32 do names["hart" .. i], names["task" .. i] = busy.hart, busy.task end
local different, moments, seen = 0, 0, nil
local function look()
    local shot = still.held(k.snapshot, names)
    for i = 2, 32 do
        if shot["task" .. i].polls ~= shot.task1.polls or shot["hart" .. i].switches ~= shot.hart1.switches then different = different + 1 end
    end
    moments = moments + (shot.task1.polls ~= seen and 1 or 0)
    seen = shot.task1.polls
end
for _ = 1, 100 do look() end
eventually(function() look() return moments > 10 end, 20)
is(different, 0, "a snapshot is of one moment")
ok(moments > 10, "and the task goes on in between: it was seen at " .. moments .. " moments")

-- It thaws by itself.
fails(function() still.begun(k.freeze, function() while true do end end, {ms = 30}) end, "thawed after 30 ms",
    "a loop without an end is ended")
fails(function() still.begun(k.freeze, function() while true do pcall(function() while true do end end) end end, {ms = 30}) end,
    "thawed after 30 ms", "pcall does not hold it")
local co = coroutine.wrap(function() still.begun(k.freeze, function() while true do end end, {ms = 30}) end)
fails(co, "thawed after 30 ms", "nor does a coroutine")
n = 0
for i = 1, 100000 do n = n + i end
is(n, 5000050000, "and the script goes on unharmed")

-- Under storms of page faults, forks and changes of mappings: no deadlock, everything comes to its end.
local storm = "(churn fault 4096 4; churn exec 20 4; /tests/abi/mem_threads; stress 4 5) >/dev/null 2>&1"
local froze, longest, running = 0, 0, 0
host.sh(storm .. " & storm=$!; (while kill -0 $storm; do sleep 0.1; done; touch /tmp/over) 2>/dev/null &")
repeat
    local alive = still.freeze(function()
        local n = 0
        for t in k.tasks() do n = n + (t.state == "running" and 1 or 0) end
        return n
    end)
    running = math.max(running, alive)
    froze = froze + 1
    longest = math.max(longest, k.pause_us)
    still.held(k.snapshot, {a = k.harts[0], b = task})
    k.sleep(5)
until froze >= 40 and host.sh("test -e /tmp/over") == 0 or froze > 2000
ok(froze <= 2000, "the storm comes to its end, frozen " .. froze .. " times, for " .. longest .. " us at most")
ok(running >= 1 and running <= harts, "of all tasks no more run at a moment than there are harts: " .. running)
-- An object that has to be looked for is none for a snapshot: it is refused, and the script goes on.
local lock = eventually(function() for l in k.locks() do return l end end, 20, "somebody has a lock")
host.sh("killall -9 stress spin churn 2>/dev/null; rm -f /tmp/over")
eventually(function() return not pcall(function() return lock.name end) end, 20)
local good, why = pcall(still.begun, k.snapshot, {lock = lock})
ok(good or why:find("the snapshot was not done"), "a snapshot of what has gone: " .. tostring(why))
local rounds = 0
for i = 1, 100000 do rounds = rounds + 1 end
is(rounds, 100000, "ends no script")
is(select(2, host.sh("echo alive")), "alive\n", "the system goes on")
done()
