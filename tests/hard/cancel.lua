-- SPDX-License-Identifier: MIT
-- Where every thread is killed at some wait, programs end of it, now here, now there, and those they belong to see it; nothing
-- that they had stays.
-- kmon: --initrd build/tests.cpio
local baseline = require "lib.baseline"
local works = {
    "churn exec 20", "churn open 20", "churn kill 10", "churn signal 200", "churn fault 512", "churn share 10 1", "stress 4 1",
    "/tests/abi/futex", "/tests/abi/pipes", "/tests/abi/epoll_wait", "/tests/abi/threads", "/tests/abi/uring_storm 4",
    "cat /proc/*/status", "ls -lR /proc /tmp", "for i in 1 2 3 4 5 6 7 8 9; do echo $i; done | sort -r | cat",
}
host.sh(":") -- it is there when it answers
local shell = k.task("sh").pid

local function pids()
    local list = {}
    for t in k.tasks() do
        local there, pid = pcall(function() return t.pid end)
        if there and pid and pid > 1 and pid ~= shell then list[#list + 1] = pid end
    end
    return list
end

-- Until it ends well: who does it may be killed, too.
local function surely(command)
    for _ = 1, 100 do
        if host.sh(command .. " 2>/dev/null") == 0 then return end
    end
    error(command .. ": never ends well")
end

-- Some wait for ever for one that was killed.
local function clear()
    for _ = 1, 100 do
        if #pids() == 0 then break end
        host.sh("kill -9 " .. table.concat(pids(), " ") .. " 2>/dev/null")
    end
    surely("rm -rf /tmp/work")
end

local killed, ended = 0, 0
local function all()
    for _, work in ipairs(works) do
        surely("mkdir -p /tmp/work && : >/tmp/status")
        host.sh("{ (cd /tmp/work && " .. work .. ") >/dev/null 2>&1; echo $? >/tmp/status; } </dev/null &")
        for _ = 1, 100 do
            if #pids() == 0 then break end
            k.sleep(20)
        end
        clear()
        local _, status = host.sh("read status </tmp/status; echo $status")
        local number = tonumber(status)
        if number and number <= 128 then ended = ended + 1 else killed = killed + 1 end
    end
    surely("rm -f /tmp/status") -- it has a page, or none when who was to write it was killed
end

-- Its own memory, which grows with what it is told and with how many it has to wait for at once: no leak.
local function pages_of_shell()
    local n = 0
    for m in k.pid(shell).space:map() do
        if m.kind == "heap" or m.kind == "stack" or m.kind == "anonymous" then n = n + m.resident end
    end
    return n
end

all()
local before, had = baseline.settled(), pages_of_shell()
for _ = 1, 3 do all() end
before["frames anon"] = before["frames anon"] + pages_of_shell() - had
local lines = baseline.since(before)
ok(killed > 0, ("programs are killed: %d"):format(killed))
ok(ended > 0, ("programs end by themselves: %d"):format(ended))
is(table.concat(lines, ", "), "", "nothing of them stays")
done()
