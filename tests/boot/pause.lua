-- SPDX-License-Identifier: MIT
-- What a pause holds is the task or the completion it is about, while everything else goes on; and what is done meanwhile to
-- what it holds decides how it ends.
-- kmon: --initrd build/tests.cpio
local traced = require "lib.traced"
local tell, pid = traced.tell, traced.pid
local FIRST, STRIDE = 0x2000000000, 16 * 4096
local function gone(id) return not k.tasks():where{id = id}:first() end

host.sh("yes >/dev/null & sleep 0", 30000)
local yes = eventually(function() return k.tasks():where{name = "yes"}:first() end, 20, "another program runs")
local yes_id = yes.id
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
    local calls = 0
    traced.begin "calls 300"
    local probe = k.on("sys.enter", function() calls = calls + 1 end, {pause = true, where = {pid = pid, call = "getppid"}})
    traced.go()
    local till = k.ns + 60 * 1000000000 -- a script that does not wait is not called back
    repeat until traced.task.state == "held" or k.ns > till
    is(traced.task.state, "held", "a call is held")
    k.off(probe)
    traced.finish "calls 300"
    is(calls, 0, "when its pause is taken off it goes on, and calls back nobody")
end
do
    local calls, held = {0, 0}, 0
    local function pause(i)
        return k.on("sys.enter", function(e)
            calls[i] = calls[i] + 1
            if e.held then held = held + 1 end
        end, {pause = true, where = {pid = pid, call = "getppid"}})
    end
    local probes = {pause(1), pause(2)}
    tell "calls 5"
    for _, probe in ipairs(probes) do k.off(probe) end
    is(table.concat(calls, " "), "5 5", "two pauses at one point are both told")
    is(held, 5, "and one of them holds")
end

-- ---- what is held changes meanwhile

do
    -- A call whose task is suspended while it is held is not made when the callback is over, but when it is resumed.
    local made = k.trace("sys.exit", {where = {pid = pid, call = "getppid"}})
    local function count() return made:rows()[1] and made:rows()[1].count or 0 end
    local over = false
    local probe = k.on("sys.enter", function(e)
        if not over then e.task:suspend() end
        over = true
    end, {pause = true, where = {pid = pid, call = "getppid"}})
    traced.begin "calls 3"
    traced.go()
    ok(eventually(function() return over and traced.task.state == "suspended" end, 20), "a callback suspends what it holds")
    is(count(), 0, "no call is made when it is over")
    traced.task:resume()
    traced.finish "calls 3"
    is(count(), 3, "but when it is resumed")
    k.off(probe)
    k.off(made)
end
do
    -- The program's status tells: it is killed for a write that its mapping allowed when the fault began.
    local there = {ge = FIRST, lt = FIRST + (1 << 30)}
    local kinds = k.trace("fault.page", {where = {va = there}, by = "kind"})
    local faults = 0
    local probe = k.on("fault.page", function(e)
        faults = faults + 1
        if e.va == FIRST + 3 * STRIDE then e.task.space:find(e.va):protect("r--") end
    end, {pause = true, where = {va = there}})
    is(host.sh("echo faults 6 | traced >/dev/null", 60000), 128 + 11, "a write ends with SIGSEGV when its page is protected while it is held")
    k.off(probe)
    is(faults, 1 + 4, "at that page, and not before") -- the first is the program's own
    kinds = traced.by("kind", kinds:stop())
    is(("%d %d"):format(kinds.anon.count, kinds.denied.count), "4 1", "which is what the faults say, too")
    k.off()
end
do
    local calls = 0
    local probe = k.on("sys.enter", function(e)
        calls = calls + 1
        is(host.sh("kill -9 " .. yes.pid, 30000), 0, "a task that is held is killed")
    end, {pause = true, where = {pid = yes.pid}})
    ok(eventually(function() return calls > 0 and gone(yes_id) end, 20), "and ends when it is let go")
    is(calls, 1, "without another call")
    k.off(probe)
end
do
    local probe = k.on("sys.enter", function() error "a mistake" end, {pause = true, where = {pid = pid, call = "getppid"}})
    local good, why = pcall(function()
        traced.begin "calls 1"
        traced.go()
        k.sleep(60000)
    end)
    ok(not good and why:find("tests/boot/pause.lua:%d+: a mistake$"), "a callback's error is the script's, with its line: " .. tostring(why))
    traced.finish "calls 1"
    ok(true, "what it held has gone on")
    k.off(probe)
end
is(k.traces():count(), 0, "nobody listens any more")

traced.quit()
done()
