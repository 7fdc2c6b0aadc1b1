-- SPDX-License-Identifier: MIT
-- Trace points count exactly what a program does, and filters, keys and histograms say the same of it.
-- kmon: --initrd build/tests.cpio
local baseline = require "lib.baseline"
local traced = require "lib.traced"
local tell, during, by, pid = traced.tell, traced.during, traced.by, traced.pid
local mine = {pid = pid}
local function count(rows, n, what) is(rows[1] and rows[1].count or 0, n, what) end

-- ---- what each point counts, against what the program was told to do

do
    local enter, exit = during(function() tell "calls 3000" tell "fails 70" tell "yields 50" end,
        k.trace("sys.enter", {where = mine, by = "call"}),
        k.trace("sys.exit", {where = mine, by = {"call", "result"}, agg = {"sum(ns)", "min(ns)", "max(ns)", "avg(ns)"}}))
    enter = by("call", enter)
    is(enter.getppid.count, 3000, "sys.enter counts each call")
    is(enter.close.count, 70, "and each that fails")
    is(enter.sched_yield.count, 50, "and each yield")
    exit = by("call", exit)
    local calls = exit.getppid
    is(calls.count, 3000, "sys.exit as many")
    is(calls.result, traced.task.parent, "with their results")
    is(exit.close.result, -9, "negative ones, too")
    is(exit.sched_yield.count, 50, "a yield comes back")
    ok(calls.max > 0 and calls.min <= calls.avg and calls.avg <= calls.max and calls.sum >= calls.count * calls.min,
        "least, mean and largest are in order")
    is(calls.avg, calls.sum // calls.count, "the mean is the sum by the count")
end
do
    local faults, hist, maps, cleared, made = during(function() tell "faults 300" tell "reads 200" tell "maps 40" end,
        k.trace("fault.page", {where = mine, by = {"kind", "access"}}),
        k.trace("fault.page", {where = mine, agg = "quantize(ns)"}),
        k.trace("map.change", {where = mine, by = {"what"}}),
        k.trace("pt.set", {where = {pid = pid, new = 0}}),
        k.trace("pt.set", {where = {pid = pid, old = 0}, by = {"bytes"}}))
    faults = by("kind", faults)
    is(faults.anon.count, 300, "fault.page counts each first write")
    is(faults.anon.access, "write", "which is one")
    is(faults.zero.count, 200, "and each first read")
    local sum = 0
    for _, b in ipairs(hist[1].hist) do sum = sum + b.count end
    is(hist[1].count, 500, "all of them")
    is(sum, 500, "the buckets of the histogram add up to them")
    like(tostring(hist), "count=500\n +%d+ |#", "and are drawn")
    maps = by("what", maps)
    is(maps.map.count, 42, "map.change counts each mapping made")
    is(maps.unmap.count, 42, "and removed")
    count(cleared, 500, "pt.set counts each entry cleared")
    is(by("bytes", made)[4096].count, 500, "and each that was made")
end
do
    local born, signals = during(function() tell "forks 25" end,
        k.trace("task.spawn", {where = mine}), k.trace("signal.send", {where = {signal = 17, to = pid}}))
    count(born, 25, "task.spawn counts each child")
    count(signals, 25, "signal.send each end of one")
end
do
    local wakes, waits = during(function() for _ = 1, 10 do tell "calls 1" end end,
        k.trace("task.wake", {where = {woken = traced.task}}),
        k.trace("task.poll", {where = {task = traced.task, how = "wait"}}))
    local woken, waited = wakes[1].count, waits[1].count
    ok(woken >= 10 and woken <= waited, ("it is woken for each line, and waits no less often: %d, %d"):format(woken, waited))
end
do
    local queue = k.queue("vda.0")
    local adds = queue.adds
    local added, used, irqs = during(function()
            is(host.sh("dd if=/dev/vda of=/dev/null bs=4096 count=64 skip=9000 2>/dev/null", 30000), 0, "the disk is read")
        end,
        k.trace("vq.add", {where = {queue = "vda.0"}}), k.trace("vq.used", {where = {queue = "vda.0"}, agg = "max(ns)"}),
        k.trace("irq", {where = {device = "vda"}}))
    count(added, queue.adds - adds, "vq.add counts what the queue counted")
    is(used[1].count, added[1].count, "and all of it is given back: vq.used")
    ok(irqs[1].count > 0 and irqs[1].count <= used[1].count, "the disk's interrupts tell of it")
end
do
    local timers = during(function() is(host.sh("usleep 1000; usleep 1000; usleep 1000", 30000), 0, "programs sleep") end,
        k.trace("timer.fire", {by = {"fn"}, agg = "max(late)"}))
    local fired, late = 0, true
    for _, row in ipairs(timers) do
        if row.fn ~= "slice_over" then fired = fired + row.count end
        late = late and row.max >= 0 and row.max < 10 * 1000000000
    end
    ok(fired >= 3, "a timer fires for each sleep")
    ok(late, "none before its time")
end
if #k.harts > 1 then
    local locks = k.trace("lock.wait", {by = {"lock"}, agg = "sum(ns)"})
    ok(eventually(function()
        host.sh("churn lookup 400 4", 60000)
        return locks:rows()[1]
    end, 60), "harts wait for each other's locks")
    local row = locks:stop()[1]
    ok(type(row.lock) == "string" and row.sum > 0, "by name and time: " .. tostring(row.lock))
    k.off(locks)
end

-- ---- filters

local FIRST, STRIDE = 0x2000000000, 16 * 4096
do
    local function page(n) return FIRST + n * STRIDE end
    local inside, outside, other, one, nobody, named = during(function() tell "faults 100" end,
        k.trace("fault.page", {where = {pid = pid, va = {ge = page(10), lt = page(30)}}}),
        k.trace("fault.page", {where = {pid = pid, va = {gt = page(89), le = page(120)}}}),
        k.trace("fault.page", {where = {pid = pid, va = {ne = page(5), ge = FIRST, lt = page(1000)}}}),
        k.trace("fault.page", {where = {task = traced.task, va = page(7), access = "write"}}),
        k.trace("fault.page", {where = {pid = pid + 1000}}),
        k.trace("sys.exit", {where = {pid = pid, call = "madvise", result = {le = 0, gt = -1}}}))
    count(inside, 20, "a range of addresses")
    count(outside, 10, "with the other bounds")
    count(other, 99, "all but one")
    count(one, 1, "one task, one address, one word")
    count(nobody, 0, "another process has none")
    count(named, 1, "a call by its name, a signed result")
end
do
    local few = during(function() tell "faults 40" end, k.trace("fault.page", {where = mine, by = {"va"}, keys = 8}))
    local kept, other, sum = 0, 0, 0
    for _, row in ipairs(few) do
        if row.other then other = row.count else kept = kept + 1 end
        sum = sum + row.count
    end
    ok(kept == 8 and other == 32, "more keys than it has room for are counted together")
    is(sum, 40, "and none is missing")
end

-- ---- mistakes are named

fails(function() k.trace("fault.pge") end, "did you mean 'fault.page'?", "a point")
fails(function() k.trace("fault.page", {by = {"knd"}}) end, "did you mean 'kind'?", "a key")
fails(function() k.trace("fault.page", {where = {call = 3}}) end, "has no 'call'", "a condition")
fails(function() k.trace("fault.page", {where = {access = "wrote"}}) end, "read write", "a word")
fails(function() k.trace("fault.page", {where = {va = {near = 3}}}) end, "eq ne lt le gt ge", "a comparison")
fails(function() k.trace("fault.page", {where = {ns = "x"}}) end, "is a number", "a number")
fails(function() k.trace("vq.used", {where = {queue = {lt = "vda"}}}) end, "no order", "an order of names")
fails(function() k.trace("sys.exit", {where = {call = "getpppid"}}) end, "no system call", "a call")
fails(function() k.trace("fault.page", {agg = "median(ns)"}) end, "quantize(x)", "a function")
fails(function() k.trace("fault.page", {agg = "sum"}) end, "sum(x)", "its variable")
fails(function() k.trace("fault.page", {agg = {"sum(ns)", "max(va)"}}) end, "same variable", "two variables")
fails(function() k.trace("fault.page", {by = {"pid", "task", "hart", "va"}}) end, "at most 3", "too many keys")
fails(function() k.trace("fault.page", {secs = -1}) end, "above 0", "a time")
is(k.traces():count(), 0, "what was refused has not begun")
fails(function() for _ = 1, 40 do k.trace("irq") end end, "at most", "too many")
k.off()
is(k.traces():count(), 0, "they are all taken off")
is(k.points():where{on = true}:count(), 0, "and nobody listens")

-- ---- what it keeps is given back

baseline.same("traces give back all they had", function()
    local t = k.trace("fault.page", {by = {"va", "pid", "hart"}, keys = 256, agg = "quantize(ns)"})
    local s = k.events({"sys.enter", "task.poll"}, {ring = 4096})
    tell "faults 50"
    t:stop()
    k.off()
end)
traced.quit()
done()
