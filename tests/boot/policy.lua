-- SPDX-License-Identifier: MIT
-- Scheduling policy as data (k.policy): programs that compute on one hart share it by their weights, a deadline bounds how
-- long a woken program waits behind them, harts are kept to; and undo brings back what was.
-- kmon: --icount --timeout 200
k.mode = "rw"
local function named(name)
    local list = {}
    for t in k.tasks() do if t.name == name then list[#list + 1] = t end end
    return list
end
host.sh("spin >/dev/null & spin >/dev/null & spin >/dev/null &")
local spins = eventually(function()
    local list = named("spin")
    return #list == 3 and list
end, 10)
ok(spins, "three programs compute")

-- Shares of the time that the three had over a second, in percent. The monitor has something to do each `ms`.
local function shares(ms)
    local from, sum, share = {}, 0, {}
    k.sleep(50)
    for i, t in ipairs(spins) do from[i] = t.utime + t.stime end
    local till = k.ns + 900000000
    while k.ns < till do k.sleep(ms or 900) end
    for i, t in ipairs(spins) do
        share[i] = t.utime + t.stime - from[i]
        sum = sum + share[i]
    end
    for i = 1, 3 do share[i] = 100 * share[i] / sum end
    return share
end
local function near(got, want, name)
    local good = true
    for i = 1, 3 do good = good and math.abs(got[i] - want[i]) <= 5 end
    ok(good, ("%s: %.1f %.1f %.1f"):format(name, table.unpack(got)))
end

-- All on the monitor's hart, so that there is something to share.
local HERE <const> = 1
local function rules(a, b, c)
    local list = {}
    for i, w in ipairs {a, b, c} do list[i] = {pid = spins[i].pid, weight = w, harts = HERE} end
    return list
end
k.policy = rules(1, 1, 1)
near(shares(), {100 / 3, 100 / 3, 100 / 3}, "equal weights, equal shares")
for _, t in ipairs(spins) do is(t.hart.index, 0, "it runs where the rule says") end
k.policy = rules(1, 2, 5)
near(shares(), {12.5, 25, 62.5}, "weights 1, 2 and 5")
near(shares(1), {12.5, 25, 62.5}, "while the monitor is busy, too")
k.sched.queue = "locked"
near(shares(), {12.5, 25, 62.5}, "and in the locked queue")
near(shares(1), {12.5, 25, 62.5}, "there with a busy monitor")
k.undo()
local list = rules(1, 1, 1)
list[4] = {task = spins[1], weight = 3, harts = HERE}
k.policy = list
near(shares(), {60, 20, 20}, "a rule for a task comes before that for its process")
is(#k.policy, 4, "k.policy tells them")
is(k.policy[4].weight, 3, "as they were set")

-- Bad rules are refused and change nothing.
fails(function() k.policy = {{pid = 1, wieght = 2}} end, "no option 'wieght'; did you mean 'weight'?", "a rule's names are checked")
fails(function() k.policy = {{weight = 2}} end, "about a task or a pid", "so is whom it is about")
fails(function() k.policy = {{pid = 1, weight = 65}} end, "weight: a whole number from 1 to 64", "and its numbers")
fails(function() k.policy = {{pid = 1, harts = 1 << #k.harts}} end, "harts: a whole number from 1", "there is no such hart")
fails(function() k.policy = {1} end, "each a table", "a policy is a list of rules")
fails(function() k.policy = {{task = k.task("monitor"), harts = HERE}} end, "the monitor stays where it is",
    "who makes the changes is moved by none")
is(#k.policy, 4, "the old one is in force")
k.mode = "ro"
for _ = 1, 20 do pcall(function() k.policy = {{pid = 1, weight = 2}} end) end
k.mode = "rw"
is(#k.policy, 4, "however often another one is refused")

-- One that is set while another is read: each is what it was.
local function in_between(_, field)
    if field == "weight" then k.policy = {{pid = 1, weight = 7}, {pid = 2, weight = 7}} end
end
k.policy = {setmetatable({pid = 1}, {__index = in_between})}
is(#k.policy, 1, "one is read while another is set, and comes after it")
k.undo()
is(#k.policy, 2, "undone, the other is in force")
is(k.policy[2].weight, 7, "as it was set")
k.undo()
is(#k.policy, 4, "and before it the one before")

-- Turns of any length end for the kernel's tasks with the slice: the monitor, which sleeps a millisecond at a time among those
-- that compute for long; and sooner, with a deadline of its own.
local function late()
    local most = 0
    k.sleep(20) -- the slice in which the rules changed is as long as it was
    for _ = 1, 5 do
        local at = k.ns
        k.sleep(1)
        most = math.max(most, k.ns - at)
    end
    return most / 1e6
end
list = rules(64, 64, 64)
k.policy = list
local without = late()
list[4] = {task = k.task("monitor"), deadline_ms = 1}
k.policy = list
local with = late()
ok(without <= 25, ("behind those with a weight of 64 it wakes after %.1f ms"):format(without))
ok(with <= 3, ("with a deadline of 1 ms after %.1f ms"):format(with))
k.sched.queue = "locked"
with = late()
ok(with <= 3, ("with the locked queue after %.1f ms"):format(with))
k.policy = rules(64, 64, 64)
without = late()
ok(without <= 25, ("and without a deadline there after %.1f ms"):format(without))
k.undo()
k.undo()

-- Undo. Programs have slices of a millisecond, and turns that others can wait for.
k.policy = rules(4, 4, 4)
list = rules(4, 4, 4)
list[4] = {task = k.task("monitor"), deadline_ms = 1}
k.policy = list
-- Who is born meanwhile inherits where it may run, and gets back what its parent does.
list = {{pid = k.task("sh").pid, harts = HERE}}
k.policy = list
host.sh("sh -c 'spin >/dev/null & exec spin >/dev/null' &")
local born = eventually(function()
    local now = named("spin")
    return #now == 5 and {now[4], now[5]}
end, 10)
for _, t in ipairs(born or {}) do is(t.affinity, HERE, "a child inherits the harts of a rule") end
k.undo()
for _, t in ipairs(born or {}) do isnt(t.affinity, HERE, "and may run anywhere when the rule has gone") end
for _, t in ipairs(born or {}) do host.sh("kill -9 " .. t.pid) end
is(#k.policy, 4, "undo brings the old rules back")
k.undo()
is(#k.policy, 3, "and takes the deadline back")
k.policy = {}
is(#k.policy, 0, "no rules, no policy")
for _, t in ipairs(spins) do isnt(t.affinity, HERE, "who was moved may run where it could before") end
host.sh("killall -9 spin")
k.undo()
is(#k.policy, 3, "rules about those that have ended harm nobody")
k.policy = {}
is(select(2, host.sh("echo alive")), "alive\n", "the system goes on")
done()
