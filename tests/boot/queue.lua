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
eventually(function() return k.sched.injected == 0 end, 10, "nothing stays in the injector")
done()
