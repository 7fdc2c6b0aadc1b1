-- SPDX-License-Identifier: MIT
-- Everybody gets a turn, with either kind of run queue; and a task runs where its affinity says.
k.mode = "rw"

local function fair(what)
    local status, output = host.sh("fair " .. what, 60000)
    is(status, 0, ("fair %s with %s: %s"):format(what, k.sched.queue, (output:gsub("%s+$", ""))))
end

local other = {ring = "locked", locked = "ring"}
for _ = 1, 2 do
    for _, what in ipairs{"pingpong", "spin", "crowd", "move"} do fair(what) end
    k.sched.queue = other[k.sched.queue]
end

-- A task that never enters the kernel of its own will is moved from hart to hart while nobody else wants to run.
is(host.sh("spin 1 >/dev/null & sleep 0"), 0, "a task spins")
local spin = eventually(function() return k.tasks():where{name = "spin"}:first() end, 10, "it runs")
local function place(mask) return host.sh(("taskset -p %x %d >/dev/null"):format(mask, spin.pid)) end
for hart = 0, #k.harts - 1 do
    is(place(1 << hart), 0, "it is bound to hart " .. hart)
    eventually(function() return spin.hart.index == hart end, 10, "and goes there")
end
is(place(0), 1, "it must be allowed somewhere")
is(place((1 << #k.harts) - 1), 0, "it may run anywhere again")
eventually(function() return spin.utime + spin.stime > 200000000 end, 10, "its time shows while it runs")
-- While the machine below gives a hart no time, that of where it was goes on: in the long run it is mostly the program.
ok(eventually(function() return spin.utime > 200000000 and spin.stime < spin.utime end, 20),
    ("and most is its own: %d ns, the kernel's %d"):format(spin.utime, spin.stime))
local task = k.task("reaper")
ok(task.stime > 0 and task.utime == 0, "a kernel task's is the kernel's")
is(host.sh("kill -9 " .. spin.pid), 0, "and is killed")
done()
