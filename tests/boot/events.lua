-- SPDX-License-Identifier: MIT
-- Events come one by one, in order, with what is lost of them; and what a pause holds is the task or the completion it is
-- about, while everything else goes on.
-- kmon: --initrd build/tests.cpio
local traced = require "lib.traced"
local tell, pid = traced.tell, traced.pid
local FIRST = 0x2000000000

-- ---- events, and what is lost of them

local function take_all(stream)
    local events, lost = {}, 0
    repeat
        local part = stream:take(1000)
        for _, e in ipairs(part) do
            if e.lost then lost = lost + e.lost else events[#events + 1] = e end
        end
    until #part == 0
    return events, lost
end
do
    local s = k.events("sys.exit", {where = {pid = pid, call = "getppid"}, ring = 1024})
    tell "calls 700"
    s:stop()
    local events, lost = take_all(s)
    is(#events, 700, "what fits into the rings is all there")
    is(lost, 0, "and nothing lost")
    local ordered, same = true, true
    for i, e in ipairs(events) do
        ordered = ordered and (i == 1 or e.at >= events[i - 1].at)
        same = same and e.call == "getppid" and e.pid == pid and e.task == traced.task and e.point == "sys.exit"
            and e.result == traced.task.parent
    end
    ok(ordered, "in order of time")
    ok(same, "with their arguments, and who ran")
    k.off(s)
end
do
    local s = k.events({"sys.enter", "sys.exit"}, {where = {pid = pid, call = "getppid"}, ring = 16})
    tell "calls 2000"
    s:stop()
    local hits, counted = s.hits, s.lost
    is(hits, 4000, "each call is seen twice")
    local events, lost = take_all(s)
    ok(#events >= 16 and #events <= 16 * #k.harts, "a ring that is overrun keeps what it has room for")
    is(lost, counted, "what it tells to be lost is what was counted as lost")
    is(#events + lost, hits, "and with what there is it is everything")
    k.off(s)
end
do
    local n, right = 0, true
    traced.begin "calls 20"
    local r = k.events("sys.enter", {where = {pid = pid, call = "getppid"}, secs = 60}, function(e)
        n = n + 1
        right = right and e.call == "getppid"
        return n < 20
    end)
    is(n, 20, "events come to a function until it has enough")
    is(r.events, 20, "which are counted")
    ok(right and r.lost == 0, "and are the right ones")
    traced.finish "calls 20"
end
fails(function() k.events({}) end, "no trace point", "an empty list is refused")
fails(function() k.events("irq", {ring = 1 << 20}) end, "16384", "and too large a ring")
fails(function() while true do k.events("irq", {ring = 16384}) end end, "at most", "and too much of it")
k.off()

-- ---- pauses

host.sh("yes >/dev/null & sleep 0", 30000)
local yes = eventually(function() return k.tasks():where{name = "yes"}:first() end, 20, "another program runs")
do
    local calls, held, went_on = 0, true, true
    local others = k.trace("sys.exit", {where = {pid = yes.pid}})
    local function progress() return others:rows()[1] and others:rows()[1].count or 0 end
    local probe = k.on("sys.enter", function(e)
        calls = calls + 1
        held = held and eventually(function() return traced.task.state == "held" end, 5) and e.call == "getppid" and e.held
        local before = progress()
        went_on = went_on and eventually(function() return progress() > before + 10 end, 10)
        held = held and traced.task.state == "held"
    end, {pause = true, where = {pid = pid, call = "getppid"}})
    tell "calls 5"
    k.off(probe)
    k.off(others)
    is(calls, 5, "a pause at sys.enter comes once for each call")
    ok(held, "its task is held")
    ok(went_on, "while others go on with their calls")
end
do
    local faults, absent = 0, true
    local probe = k.on("fault.page", function(e)
        faults = faults + 1
        absent = absent and not traced.task.space.pt:walk(e.va).pa and e.kind == nil and e.access == "write"
    end, {pause = true, where = {pid = pid, va = {ge = FIRST, lt = FIRST + (1 << 30)}}})
    tell "faults 6"
    k.off(probe)
    is(faults, 6, "a pause at fault.page comes once for each page")
    ok(absent, "before there is one, or a kind of fault")
end
do
    local queue, held = k.queue("vda.0"), 0
    local probe = k.on("vq.used", function() held = held + queue.held_count end, {pause = true, where = {queue = "vda.0"}})
    is(host.sh("dd if=/dev/vda of=/dev/null bs=4096 count=1 skip=31000 2>/dev/null", 30000), 0, "a paused read ends well")
    k.off(probe)
    ok(held > 0, "a pause at vq.used holds the completion back")
    is(queue.held_count, 0, "afterwards nothing is held")
end
do
    local probe = k.on("sys.enter", function() end, {pause = true, where = {pid = pid, call = "getppid"}})
    traced.begin "calls 300"
    ok(eventually(function() return traced.task.state == "held" end, 10), "a call is held")
    k.off(probe)
    traced.finish "calls 300"
    ok(true, "what is held when its pause is taken off goes on")
end
fails(function() k.on("lock.wait", print, {pause = true}) end, "cannot pause", "a pause inside of locks is refused")
fails(function() k.on("fault.page", print, {pause = true, where = {ns = 3}}) end, "not known yet", "and a condition on what comes later")
is(k.traces():count(), 0, "nobody listens any more")

host.sh("kill " .. yes.pid, 30000)
traced.quit()
done()
