-- SPDX-License-Identifier: MIT
-- Who listens pays, and nobody after that: what calls, faults, mappings, turns and children cost is, once all traces are off, what
-- it was before the first. Under -icount a nanosecond is an instruction.
-- harts: 1
-- kmon: --icount --initrd build/tests.cpio
-- build: usual
local traced = require "lib.traced"
k.mode = "rw"
local all = k.points():map(function(p) return p.name end):list()

local function cost(what)
    local least = math.maxinteger
    for _ = 1, 5 do least = math.min(least, traced.tell(what)) end
    return least
end
for _, what in ipairs{"calls 1000", "fails 1000", "yields 1000", "faults 200", "maps 200", "forks 10"} do
    local before = cost(what)
    for _, point in ipairs(all) do k.trace(point) end
    local on = cost(what)
    k.off()
    k.syscall_counts = true
    local counted = cost(what)
    k.syscall_counts = false
    local after = cost(what)
    local text = ("%s: %d instructions before, %d while all points are counted, %d while calls are, %d after")
    ok(on > before + before // 20 and counted > before and after <= before + before // 100, text:format(what, before, on, counted, after))
end
is(k.points():where{on = true}:count(), 0, "nobody listens")
traced.quit()
done()
