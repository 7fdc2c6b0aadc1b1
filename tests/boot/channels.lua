-- SPDX-License-Identifier: MIT
-- Channels are met at the tasks that wait for them. The fault "full-channel" plants a full one, a oneshot for which its receiver
-- waits, and a broadcast: what is in each, who waits in which order, and that nothing of them is left when it is undone.
local baseline = require "lib.baseline"
local names <const> = {"sender one", "sender two", "receiver", "watcher"}

local function named(name) return k.tasks():where{name = name}:first() end
local function of(kind) return k.channels():where{kind = kind}:first() end
local function waiting(c)
    local out = {}
    for i, row in ipairs(c:queue()) do out[i] = row.side .. " " .. row.task.name end
    return table.concat(out, ", ")
end
local function stands()     -- each has come to where it waits
    return eventually(function() return #k.channels() == 3 and of("channel").senders == 2 end, 20)
end
local function ended()
    return eventually(function()
        for _, name in ipairs(names) do if named(name) then return false end end
        return true
    end, 20)
end

is(#k.channels(), 0, "nobody waits for a channel at first")
fails(function() k.fault.inject("full-channel") end, "needs mode rw", "to plant one is a change")
k.mode = "rw"
k.fault.inject("full-channel")
fails(function() k.fault.inject("full-channel") end, "in force already", "once at a time")
ok(stands(), "a channel, a broadcast and a oneshot are waited for")

-- ---- what they say

local full, sent, come = of("channel"), of("broadcast"), of("oneshot")
is(full.name, "planted full", "the channel has its name")
is(full.count, 2, "two messages")
is(full.limit, 2, "which is all that it takes")
is(full.closed, false, "it is open")
is(full.receivers, 0, "nobody waits to receive")
is(waiting(full), "send sender one, send sender two", "who sends waits in turn")
is(waiting(full), "send sender one, send sender two", "and goes on waiting")
like(tostring(full), "channel 'planted full' has 2 of 2, 2 senders and 0 receivers wait$", "so says its line")
is(("Channel#0x%x"):format(full.address), tostring(full):match("^%S+"), "it is known by its address")
is(sent.name, "planted sent", "the broadcast has its name")
is(sent.count, 2, "it keeps what was sent")
is(sent.limit, 4, "of four values that it could")
is(waiting(sent), "receive watcher", "and who has heard them waits for more")
is(come.name, nil, "the oneshot has none")
is(come.count, 0, "it is not set")
is(come.limit, 1, "it takes one value")
is(waiting(come), "receive receiver", "for which the receiver waits")

local waits = {}
for _, row in ipairs(k.waits()) do waits[row.name] = ("%s: %s"):format(row.waits_for, row.object) end
is(waits["sender one"], "room in a channel: planted full", "k.waits names the channel of a sender")
is(waits.watcher, "broadcast: planted sent", "the broadcast")
is(waits.receiver, ("oneshot: 0x%x"):format(come.address), "and the oneshot by its address")

-- Full is not wrong: whoever receives may come at any time, and nobody has what another waits for.
for _ = 1, 3 do
    for _, f in ipairs(k.lint()) do ok(false, "k.lint: " .. f.kind .. ": " .. f.text) end
end
is(#k.lint(), 0, "k.lint has nothing to say of a full channel")
ok(#named("sender one"):tree() == 1, "and a sender's tree ends with itself")

-- ---- closed, while somebody has not gone yet: he is held where he waits

k.mode = "unsafe"
named("sender one"):hold()
k.fault.remove("full-channel")
ok(eventually(function() return not named("sender two") and not named("watcher") and not named("receiver") end, 20), "closed, the others end")
ok(eventually(function() return #k.channels() == 1 end, 20), "the one that is held has the channel still, once it has been woken")
is(full.closed, true, "it is closed")
is(full.senders, 0, "nobody is in its queue")
is(#full:queue(), 0, "as that says")
is(full.count, 0, "and what was in it has been received")
like(tostring(full), ", closed$", "its line says so, too")
fails(function() k.fault.inject("full-channel") end, "have not ended yet", "it is not planted anew meanwhile")
fails(function() return sent.count end, "has nobody who waits", "the broadcast is gone")
fails(function() return come.count end, "has nobody who waits", "and so is the oneshot")
named("sender one"):resume()
ok(ended(), "let go, it ends")
is(#k.channels(), 0, "and nothing is left")
fails(function() return full.count end, "has nobody who waits", "of the channel either")
fails(function() full:queue() end, "stale handle", "nor of its queue")
k.mode = "rw"

-- ---- undo, at once and when all wait

baseline.same("undo gives everything back", function()
    k.fault.inject("full-channel")
    ok(stands(), "planted")
    k.undo()
    ok(ended(), "undo ends its tasks")
    k.fault.inject("full-channel")
    k.undo()
    ok(ended(), "also before they have come to where they wait")
    is(#k.channels(), 0, "no channel is left")
end)
done()
