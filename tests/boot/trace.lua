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
    local wakes, waits = during(function()
            for _ = 1, 10 do tell "calls 1" end
            eventually(function() return traced.task.state == "waiting" end, 20) -- its answer came before that
        end,
        k.trace("task.wake", {where = {woken = traced.task}}),
        k.trace("task.poll", {where = {task = traced.task, how = "wait"}}))
    local woken, waited = wakes[1].count, waits[1].count
    ok(woken >= 10 and woken <= waited, ("it is woken for each line, and waits no less often: %d, %d"):format(woken, waited))
end
do
    -- The disk and its interrupts have counts of their own, taken before a trace begins and after, before it stops and after:
    -- what the trace says lies between them, whoever else uses the disk.
    local function adds() return k.queue("vda.0").adds end
    local function interrupts() return k.irqs():where{name = "blk"}:first().count end
    local skip = 9000 -- of pages that nobody has read
    local function between(what, truth, point, options)
        local before = truth()
        local t = k.trace(point, options)
        local began = truth()
        skip = skip + 1000
        is(host.sh(("dd if=/dev/vda of=/dev/null bs=4096 count=64 skip=%d 2>/dev/null"):format(skip), 30000), 0, "the disk is read")
        local last = truth()
        local n = t:stop()[1].count
        local after = truth()
        k.off(t)
        ok(n >= last - began and n <= after - before and n > 0,
            ("%s: between %d and %d: %d"):format(what, last - began, after - before, n))
    end
    between("vq.add counts what the queue counts", adds, "vq.add", {where = {queue = "vda.0"}})
    between("irq counts what the controller's driver counts", interrupts, "irq", {where = {device = "blk"}})
end
do
    -- What was read ahead is on its way when dd has ended.
    local function rests() return eventually(function() return k.memory().reading_ahead == 0 end, 20) end
    rests()
    local added, used = during(function()
            is(host.sh("dd if=/dev/vda of=/dev/null bs=4096 count=64 skip=14000 2>/dev/null", 30000), 0, "the disk is read")
            rests()
        end,
        k.trace("vq.add", {where = {queue = "vda.0"}, by = "head"}),
        k.trace("vq.used", {where = {queue = "vda.0"}, by = "head", agg = "min(ns)"}))
    local same, waited = #added == #used and #added > 0, true
    used = by("head", used)
    for _, row in ipairs(added) do
        local back = used[row.head]
        same = same and back and back.count == row.count
        waited = waited and back and back.min > 0
    end
    ok(same, "vq.used gives back each chain of vq.add, by its head")
    ok(waited, "after some time")
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
        k.trace("fault.page", {where = {pid = pid, va = {gt = page(89), le = page(95)}}}),
        k.trace("fault.page", {where = {pid = pid, va = {ne = page(5), ge = FIRST, lt = page(1000)}}}),
        k.trace("fault.page", {where = {task = traced.task, va = page(7), access = "write"}}),
        k.trace("fault.page", {where = {pid = pid + 1000}}),
        k.trace("sys.exit", {where = {pid = pid, call = "madvise", result = {le = 0, gt = -1}}}))
    count(inside, 20, "a range of addresses")
    count(outside, 6, "with the other bounds")
    count(other, 99, "all but one")
    count(one, 1, "one task, one address, one word")
    count(nobody, 0, "another process has none")
    count(named, 1, "a call by its name, a signed result")
end
do
    local each = during(function() tell "faults 100" end, k.trace("fault.page", {where = mine, by = {"access", "va"}, keys = 256}))
    local pages, once = 0, true
    for va, row in pairs(by("va", each)) do
        once = once and row.count == 1 and row.access == "write" and (va - FIRST) % STRIDE == 0 and va < FIRST + 100 * STRIDE
        pages = pages + 1
    end
    ok(once and pages == 100 and #each == 100, "a row for each of many keys, however like they are: " .. #each)
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

-- ---- a trace outlives its task

do
    host.spawn("sleep 1000")
    local sleep = eventually(function() return k.tasks():where{name = "sleep"}:first() end, 20, "a program runs")
    local gone, itself = sleep.pid, sleep.id
    local t = k.trace("task.poll", {where = {task = sleep}, by = {"task", "how"}})
    local s = k.events({"task.poll", "sys.enter"}, {where = {pid = gone}})
    host.type("\3")
    eventually(function() return not k.tasks():where{id = itself}:first() end, 20, "and ends")
    local rows = by("how", t:stop())
    is(rows["end"] and rows["end"].count, 1, "its end is counted once")
    local name = "Task#" .. itself
    ok(tostring(rows["end"].task):find(name, 1, true), "by its number: " .. tostring(rows["end"].task))
    fails(function() return rows["end"].task.name end, "stale handle: " .. name .. " exited", "which says that it is gone")
    s:stop()
    local last
    for _, e in ipairs(s:take(1000)) do last = e end
    is(last.point .. " " .. last.how .. " " .. last.pid, "task.poll end " .. gone, "its last event is its end")
    fails(function() return last.task.name end, "stale handle", "of the same task")
    k.off()
end

-- ---- mistakes are named, with the script's line

for _, mistake in ipairs{
    {'k.trace("fault.pge")', "no trace point 'fault.pge'; did you mean 'fault.page'?"},
    {'k.trace()', "string expected, got nil"},
    {'k.trace("fault.page", 7)', "table expected, got number"},
    {'k.trace("fault.page", {bye = "kind"})', "no option 'bye'; did you mean 'by'?"},
    {'k.trace("fault.page", {7})', "{name = value} expected"},
    {'k.trace("fault.page", {by = {"knd"}})', "did you mean 'kind'?"},
    {'k.trace("fault.page", {where = 3})', "a table of conditions expected"},
    {'k.trace("fault.page", {where = {3}})', "{name = value} expected"},
    {'k.trace("fault.page", {where = {call = 3}})', "has no 'call'"},
    {'k.trace("fault.page", {where = {access = "wrote"}})', "'access' is one of: - read write"},
    {'k.trace("fault.page", {where = {va = {near = 3}}})', "eq ne lt le gt ge"},
    {'k.trace("fault.page", {where = {va = {gt = 1, ge = 2, lt = 3, le = 4, eq = 5, ne = 6}, ns = {gt = 1, lt = 2, ne = 3}}})', "at most 8 conditions"},
    {'k.trace("fault.page", {where = {ns = "x"}})', "'ns' is a number"},
    {'k.trace("fault.page", {where = {ns = 1.5}})', "cannot be compared"},
    {'k.trace("vq.used", {where = {queue = {lt = "vda"}}})', "names have no order"},
    {'k.trace("sys.exit", {where = {call = "getpppid"}})', "no system call 'getpppid'"},
    {'k.trace("timer.fire", {where = {fn = "no_such"}})', "no function 'no_such'"},
    {'k.trace("fault.page", {agg = "median(ns)"})', "quantize(x), not 'median(ns)'"},
    {'k.trace("fault.page", {agg = "sum"})', "sum(x)"},
    {'k.trace("fault.page", {agg = {"sum(ns)", "max(va)"}})', "same variable"},
    {'k.trace("vq.used", {agg = "sum(queue)"})', "'queue' is no number"},
    {'k.trace("fault.page", {by = {"pid", "task", "hart", "va"}})', "at most 3 keys"},
    {'k.trace("fault.page", {keys = 257})', "keys: a whole number from 1 to 256"},
    {'k.trace("fault.page", {secs = -1})', "secs: a number above 0"},
    {'k.trace("fault.page", {secs = 0 / 0})', "secs: a number above 0"},
    {'k.events("fault.pge")', "did you mean 'fault.page'?"},
    {'k.events({"irq", "fault.pge"})', "did you mean 'fault.page'?"},
    {'k.events({})', "no trace point is named"},
    {'k.events({"irq", {}})', "a name expected, not a table"},
    {'k.events("irq", {where = {call = 3}})', "'irq' has no 'call'"},
    {'k.events("irq", {wher = {source = 3}})', "did you mean 'where'?"},
    {'k.events("irq", {ring = 1 << 20})', "ring: a whole number from 1 to 16384"},
    {'k.events("irq", {max = 0})', "max: a whole number"},
    {'k.events("irq", {}, 3)', "function expected, got number"},
    {'k.events("irq"):rows()', "this trace is of kind 'events'"},
    {'k.events("irq"):take(0)', "1 to 10000 events"},
    {'k.trace("irq"):take()', "this trace is of kind 'counts'"},
    {'local t = k.trace("irq") k.off(t) return t.hits', "stale handle: Trace#"},
    {'k.on("irk", print)', "did you mean 'irq'?"},
    {'k.on("irq")', "function expected, got no value"},
    {'k.on("irq", print, {pause = true})', "'irq' cannot pause"},
    {'k.on("fault.page", print, {paus = true})', "did you mean 'pause'?"},
    {'k.on("fault.page", print, {pause = true, where = {ns = 3}})', "'ns' is not known yet"},
    {'k.off("x")', "number expected, got string"},
    {'k.off(99)', "there is no trace 99: k.traces() lists them"},
    {'k.off(k.task(1))', "Trace or its number expected, got Task"},
} do
    local source, message = table.unpack(mistake)
    local good, why = pcall(load("\n\n" .. source, "@wrong.lua"))
    why = tostring(why)
    ok(not good and why:find("wrong.lua:3: ", 1, true) == 1 and why:find(message, 1, true), source .. ": " .. why)
    for t in k.traces() do
        if t.kind ~= "calls" and not source:find(":", 1, true) then ok(false, "has begun: " .. source) end
    end
    k.off()
end
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
