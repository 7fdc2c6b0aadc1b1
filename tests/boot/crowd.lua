-- SPDX-License-Identifier: MIT
-- What it takes to wait: the kernel's memory for a thread in futex and for a process in read or pause, without page
-- tables and user pages, counted in whole frames; and 20,000 threads that wait at once in 512 MiB.
-- harts: 1 4
-- kmon: --mem 512M
local baseline = require "lib.baseline"

local function output() return select(2, host.sh("cat /tmp/crowd.out")) end
local function says(word) return function() return output():find(word) or output():find("not so") end end

local function kernel_bytes()
    k.account() -- each hart gives back what it keeps
    local m = k.memory(true)
    return (m.kernel + m.slab + m.heap) * 4096
end

local function heap_used()
    local used = {}
    for class in k.heap do used[class.size] = class.used end
    return used
end

local function report(before, n)
    for size, used in pairs(heap_used()) do
        local more = (used - before[size]) / n
        if more >= 0.01 then diag(("  %.2f blocks of %d bytes"):format(more, size)) end
    end
end

local function crowd(what, n)
    host.sh("mkfifo /tmp/crowd.go; : >/tmp/crowd.out")
    local before, heap = kernel_bytes(), heap_used()
    host.sh(("crowd %s %d /tmp/crowd.go >/tmp/crowd.out 2>&1 </dev/null &"):format(what, n))
    ok(eventually(says "ready", 60), ("%d wait in %s"):format(n, what))
    baseline.settled()
    local each = (kernel_bytes() - before) / n
    diag(("%s: %.0f bytes of kernel memory each"):format(what, each))
    report(heap, n)
    host.sh("echo >/tmp/crowd.go")
    ok(eventually(says "fine", 60), "and all end: " .. output())
    host.sh("rm /tmp/crowd.go")
    return each
end

local each
baseline.same("20,000 threads leave nothing", function() each = crowd("futex", 20000) end)
ok(each <= 3072, "a blocked thread takes at most 3 KiB: " .. each)
for _, what in ipairs {"read", "pause"} do
    baseline.same("processes leave nothing", function() each = crowd(what, 500) end)
    ok(each <= 12288, "a blocked process takes at most 12 KiB: " .. each)
end
done()
