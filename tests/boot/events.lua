-- SPDX-License-Identifier: MIT
-- Events come one by one, in order, with what is lost of them told at its place.
-- kmon: --initrd build/tests.cpio
local traced = require "lib.traced"
local tell, pid = traced.tell, traced.pid

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
    traced.begin "calls 3000000" -- enough to go on until there is somebody who listens
    traced.go()
    local r = k.events("sys.enter", {where = {pid = pid, call = "getppid"}, secs = 60}, function(e)
        n = n + 1
        right = right and e.call == "getppid"
        return n < 20
    end)
    is(n, 20, "events come to a function until it has enough")
    is(r.events, 20, "which are counted")
    ok(right and r.lost == 0, "and are the right ones")
    traced.finish "calls 3000000"
end
do
    -- The script does not wait, so nothing is called back until the program is done: what the rings have no room for is counted.
    traced.begin "calls 3000"
    local calls = 0
    local id = k.on("sys.enter", function() calls = calls + 1 end, {where = {pid = pid, call = "getppid"}})
    local t = k.traces():where{id = id}:first()
    local till = k.ns + 60 * 1000000000
    traced.go()
    repeat until t.hits >= 3000 or k.ns > till
    is(calls, 0, "a script that does not wait is not called back")
    traced.finish "calls 3000"
    eventually(function() return calls + t.lost >= t.hits end, 20)
    is(t.hits, 3000, "each call is told of")
    ok(calls >= 128 and calls <= 128 * #k.harts, "a ring's worth of them for each hart calls back: " .. calls)
    is(calls + t.lost, t.hits, "and the rest is counted as lost")
    is(k.points():where{name = "sys.enter"}:first().lost, t.lost, "by the point, too")
    k.off(id)
end
fails(function() while true do k.events("irq", {ring = 16384}) end end, "at most", "and too much of it")
k.off()

traced.quit()
done()
