-- SPDX-License-Identifier: MIT
-- k.every: functions that run again and again while the script does something else, bounded in number, taken off by a mistake.
-- harts: 1 2
local ticks = 0
local n = k.every(0.01, function(number)
    ticks = ticks + 1
    assert(number == n or n == nil)
end)
ok(eventually(function() return ticks >= 5 end, 10), "a job runs while the script sleeps")
is(#k.jobs(), 1, "k.jobs has it")
is(k.jobs()[1].every_ms, 10, "with its period")
ok(k.jobs()[1].runs >= 5, "and how often it ran")
local before = ticks
host.sh("sleep 1")
ok(ticks > before, "it runs while the host is waited for")
k.stop(n)
before = ticks
k.sleep(50)
is(ticks, before, "stopped it runs no more")
fails(function() k.stop(n) end, "there is no job", "nor can it be stopped again")

fails(function() k.every(0, print) end, "a millisecond to a day", "a period is positive")
fails(function() k.every(1) end, "function expected", "a job is a function")
for _ = 1, 8 do k.every(60, print) end
fails(function() k.every(60, print) end, "8 jobs are the most", "there are few")
k.stop()
is(#k.jobs(), 0, "all are stopped")

-- A job that fails is taken off, and the script that waited is told.
k.every(0.001, function() error("mine") end)
fails(function() k.sleep(1000) end, "mine", "its error is told")
is(#k.jobs(), 0, "it is taken off")

-- One that sleeps does not run inside itself.
local inside, deepest = 0, 0
k.every(0.001, function()
    inside = inside + 1
    deepest = math.max(deepest, inside)
    if inside == 1 then k.sleep(20) end
    inside = inside - 1
end)
k.sleep(200)
k.stop()
is(deepest, 1, "a job that sleeps is not run inside itself")
done()
