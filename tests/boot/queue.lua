-- SPDX-License-Identifier: MIT
-- Run queues: the kind is changed again and again while programs run, and no task is lost; then each kind alone.
local other = {ring = "locked", locked = "ring"}

local first = k.sched.queue
ok(other[first], "the kind of the run queues has a name")
k.mode = "rw"
fails(function() k.sched.queue = "heap" end, "invalid option 'heap'", "there are two kinds")
fails(function() k.sched.queue = first end, "already", "a change changes something")
k.sched.queue = other[first]
is(k.sched.queue, other[first], "it can be changed")
like(k.undo(), "^make the run queues " .. first, "and undone")

local function runs(name) return k.tasks():where{name = name}:first() ~= nil end
for name, command in pairs{stress = "stress 6 30", forktree = "forktree 4 5", blocked = "echo all | blocked 400"} do
    local changes, round = 0, 0
    repeat
        round = round + 1
        host.spawn(("%s && echo %s is right in round %d"):format(command, name, round))
        eventually(function() return runs(name) end, 20)
        local ended = eventually(function()
            k.sched.queue = other[k.sched.queue]
            changes = changes + 1
            return not runs(name)
        end, 60)
        if not ended then break end
        host.expect(("%s is right in round %d"):format(name, round), 20000)
    until changes >= 10
    ok(changes >= 10, ("%s ends and is right in %d rounds, the kind changed %d times"):format(name, round, changes))
end

for _, kind in ipairs{other[k.sched.queue], k.sched.queue} do
    if k.sched.queue ~= kind then k.sched.queue = kind end
    is(host.sh("stress 4 4"), 0, "programs run with " .. kind)
end
-- Who stands in the queue of a hart, in turn: with all harts at rest exactly those that wait for it.
local hart = k.harts[#k.harts - 1]
host.spawn("for i in 1 2 3 4 5; do spin & done; wait")
local spins = eventually(function()
    local list = k.tasks():where{name = "spin"}:list()
    return #list == 5 and list
end, 20, "five programs compute")
local policy, spinning = {}, {}
for i, t in ipairs(spins) do
    policy[i], spinning[t.id] = {pid = t.pid, harts = 1 << hart.index}, true
end
k.policy = policy
local still = require "lib.still"
local function look()
    return still.freeze(function()
        local place, wrong, count, since = {}, {}, 0, 0
        for i, t in ipairs(hart:queue()) do
            if place[t.id] then wrong[#wrong + 1] = tostring(t) .. " stands there twice" end
            place[t.id] = i
            if spinning[t.id] and i > 1 then    -- the first may be before its turn
                if t.since < since then wrong[#wrong + 1] = tostring(t) .. " is behind one that came later" end
                since = t.since
            end
            if t.state ~= "ready" then wrong[#wrong + 1] = tostring(t) .. " is " .. t.state end
        end
        for _, t in ipairs(spins) do
            if (t.state == "ready") ~= (place[t.id] ~= nil) then
                wrong[#wrong + 1] = ("%s is %s, its place %s"):format(t, t.state, place[t.id])
            end
            if place[t.id] then count = count + 1 end
        end
        if #hart:queue() ~= hart.queued then wrong[#wrong + 1] = "the count is another" end
        return wrong, count
    end)
end
for _, kind in ipairs{other[k.sched.queue], k.sched.queue} do
    if k.sched.queue ~= kind then k.sched.queue = kind end
    eventually(function() -- each is taken along when it next has a turn where it was
        local wrong, count = look()
        return #wrong == 0 and count >= 4
    end, 20, "they are on one hart")
    for _ = 1, 20 do
        local wrong, count = look()
        ok(#wrong == 0 and count >= 4, ("%s: %d stand in the queue"):format(kind, count))
        for _, what in ipairs(wrong) do diag(what) end
        k.sleep(20)
    end
end
for _, t in ipairs(spins) do t:signal("KILL") end
eventually(function() return k.sched.injected == 0 end, 10, "nothing stays in the injector")
done()
