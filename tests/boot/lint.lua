-- SPDX-License-Identifier: MIT
-- k.lint finds each kind of mistake that k.fault plants, says where, and is silent when it is undone; and says nothing of a
-- system that is merely busy.
local harts = #k.harts

local function only(kind, limits)
    local found = k.lint(limits)
    return #found > 0 and found[1].kind == kind and found or nil
end
local function finds(kind, limits, pattern, name)
    local found = eventually(function() return only(kind, limits) end, 20)
    if not ok(found, name) then
        for _, f in ipairs(k.lint(limits)) do diag(f.kind .. ": " .. f.text) end
        return
    end
    like(found[1].text, pattern, name .. ": its evidence")
    return found[1]
end
local function silent(name)
    local found = k.lint()
    is(#found, 0, name)
    for _, f in ipairs(found) do diag(f.kind .. ": " .. f.text) end
end
local function named(name)
    for t in k.tasks():where{name = name} do return t end
end

silent("nothing is wrong at first")
fails(function() k.lint {disk = 1} end, "no option 'disk'", "an unknown limit is named")
fails(function() k.lint {io_ms = 0} end, "io_ms: a whole number from 1 to 3600000", "so is an impossible one")
fails(function() k.fault.inject("deadlock") end, "needs mode rw", "a fault is a change")
k.mode = "rw"
fails(function() k.fault.inject("dead-lock") end, "did you mean 'deadlock'", "its name is looked up")
fails(function() k.fault.inject("deadlock", 1, {ms = 5}) end, "no option 'ms'", "so are its options")
fails(function() k.fault.inject("failed-io") end, "needs mode unsafe", "what loses data is unsafe")

-- Deadlock.
k.fault.inject("deadlock")
fails(function() k.fault.inject("deadlock") end, "in force already", "once at a time")
finds("deadlock", nil, "taker %a+ waits for rwlock, to write planted %a+, had by Task#%d+ taker", "a deadlock")
local locks = k.locks():where{kind = "rwlock"}:sort("name"):list()
is(#locks, 2, "k.locks() shows both")
for i, name in ipairs{"first", "second"} do
    local l, waiter = locks[i], k.task(i == 1 and "taker two" or "taker one")
    is(l.name, "planted " .. name, "by its name")
    is(l.holder.name, i == 1 and "taker one" or "taker two", "with its writer")
    ok(l.waiters == 1 and l:queue()[1].id == waiter.id, "and who waits for it")
    is(l.units, 0, "nothing of it is free")
end
is(k.locks():where{kind = "semaphore"}:first(), nil, "as no other kind")
local tree = k.task("taker one"):tree()
ok(#tree >= 2 and tree[2].line:find("deadlock"), "its tree ends where it began")
k.undo()
ok(eventually(function() return not named("taker one") and not named("taker two") end, 10), "undo ends its tasks")
silent("and it is gone")

-- Lost wake: who reads the FIFO is told nothing of what comes.
host.sh("mkfifo /tmp/fifo; sleep 1000 >/tmp/fifo & cat /tmp/fifo >/tmp/out &")
local reader = eventually(function()
    local t = named("cat")
    return t and t.state == "waiting" and t.wait:find("pipe") and t
end, 10)
ok(reader, "a program waits for a pipe")
k.fault.inject("lost-wake", 1, {task = reader})
host.sh("echo hello >/tmp/fifo")
local found = finds("lost wake", nil, "cat waits for bytes in a pipe: it was taken out of the queue", "a lost wake")
ok(found and found.task == reader, "whose it was")
is(select(2, host.sh("cat /tmp/out")), "", "nothing was read")
k.undo()
ok(eventually(function() return select(2, host.sh("cat /tmp/out")) == "hello\n" end, 10), "undo wakes it")
silent("all is well again")
host.sh("kill %1 2>/dev/null; killall sleep cat; rm /tmp/fifo")

-- A killed task is not held up by a wake that is to be lost.
host.sh("sleep 1000 &")
local sleeper = eventually(function()
    local t = named("sleep")
    return t and t.state == "waiting" and t
end, 10)
k.fault.inject("lost-wake", 1, {task = sleeper})
host.sh("killall -9 sleep")
ok(eventually(function() return not named("sleep") end, 10), "SIGKILL gets through")
k.undo()

-- Stuck I/O.
k.fault.inject("delayed-io", 1, {ms = 600000})
host.sh("cat /mnt/lines.txt >/tmp/lines 2>&1 &")
finds("stuck I/O", {io_ms = 100}, "vda.0: the request at descriptor %d+ is done, and held back here; Task#%d+ waits",
    "stuck I/O")
local waits = k.waits()
local seen
for _, w in ipairs(waits) do seen = seen or w.waits_for == "block request" and w.object == "vda" end
ok(seen, "k.waits names the disk")
k.undo()
ok(eventually(function() return not named("cat") end, 10), "undo hands the request on")
ok(select(2, host.sh("cmp /tmp/lines /mnt/lines.txt && echo same")):find("same"), "the bytes are right")
silent("the disk works")

-- Long polls: who asks needs another hart than the one that computes.
k.mode = "unsafe"
if harts == 1 then
    fails(function() k.fault.inject("long-poll") end, "no hart but the monitor's", "one hart has nobody to ask")
else
    k.fault.inject("long-poll", 1, {ms = 600000})
    finds("long poll", {poll_ms = 300}, "in one poll of Task#%d+ computes", "a long poll")
    k.undo()
    ok(eventually(function() return not named("computes") end, 10), "undo ends it")
    silent("every hart comes by")
end
k.mode = "rw"

-- Leaks.
is(#k.lint {leaks = true}, 0, "no frame is nobody's")
k.fault.inject("leaked-frame")
finds("leak", {leaks = true}, "Frame#%S+ anon, 1 references, 0 pins: nobody has so many", "a leaked frame")
k.undo()
is(#k.lint {leaks = true}, 0, "undo gives it back")

-- Busy is not wrong.
host.sh("(stress 4 10; churn exec 60 4; churn signal 200 4) >/tmp/busy 2>&1 &")
local looks = 0
repeat
    for _, f in ipairs(k.lint()) do ok(false, "silent under load: " .. f.kind .. ": " .. f.text) end
    looks = looks + 1
until not named("stress") and not named("churn") and looks > 10
ok(true, "silent under load, " .. (looks > 10 and "many" or "few") .. " looks")
done()
