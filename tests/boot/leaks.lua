-- SPDX-License-Identifier: MIT
-- What programs used is given back to the last object: frames, heap, descriptors, tasks, spaces, names. An argument N
-- makes it N times as long (make soak).
-- harts: 1 4
-- kmon: --initrd build/tests.cpio
local baseline = require "lib.baseline"
local times = tonumber((...)) or 1

local function runs(what, n, workers)
    local command = ("churn %s %d %d"):format(what, n * times, workers or 4)
    return function() is(host.sh(command, 3600000), 0, command) end
end

baseline.same("programs run and end", runs("exec", 200))
baseline.same("pages are touched", runs("fault", 8192))
baseline.same("signals storm", runs("signal", 1000))
baseline.same("real-time signals queue and are taken", function()
    is(host.sh("/tests/abi/sig_storm >/dev/null", 3600000), 0, "sig_storm")
end)
baseline.same("timers run, overrun and are left behind", function()
    is(host.sh("/tests/abi/timers_posix >/dev/null", 3600000), 0, "timers_posix")
end)
for _, name in ipairs { "eventfd", "epoll", "epoll_wait", "timerfd", "signalfd", "uring", "uring_ops" } do
    baseline.same(name .. " leaves nothing", function()
        is(host.sh("cd /tmp && /tests/abi/" .. name .. " >/dev/null", 3600000), 0, name)
    end)
end
baseline.same("children are killed wherever they are", runs("kill", 60))
baseline.same("processes are looked up while they come and go", runs("lookup", 200))
baseline.same("mounts come and go under those who walk across", runs("mount", 400))
baseline.same("descriptors are used while threads that share them end", runs("share", 100, 1))
baseline.same("files are opened and left open", runs("open", 100))
done()
