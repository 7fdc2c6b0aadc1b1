-- SPDX-License-Identifier: MIT
-- Rings of io_uring end with operations under way, and storms of cancellation pass: nothing is left of them, and whoever looks at
-- their tasks meanwhile is in nobody's way. What a user's rings may take of the kernel's memory, and a chain, is limited. An
-- argument N makes it N times as long (make soak).
-- kmon: --initrd build/tests.cpio
local baseline = require "lib.baseline"
local times = tonumber((...)) or 1

baseline.same("rings end with operations under way", function()
    local status, out = host.sh(("cd /tmp && /tests/abi/uring_storm %d"):format(4 * times), 3600000)
    is(status, 0, "the program ends")
    ok(not out:find("not all"), "and all was right: " .. out:gsub("\n", ", "))
end)

-- A task that somebody borrows to look at cannot be polled by who made it.
local looks = 0
local function look(t) return assert(t.name:find("^uring")) and t:backtrace() end
host.sh(("cd /tmp && { /tests/abi/uring_storm %d; echo over; } >storm.out 2>&1 </dev/null &"):format(4 * times))
local function over() return select(2, host.sh("cat /tmp/storm.out")):find("over") end
repeat
    for _ = 1, 200 do
        for t in k.tasks() do
            if pcall(look, t) then looks = looks + 1 end -- else it has ended
        end
    end
until over()
ok(looks > 0, ("tasks of rings were looked at: %d times"):format(looks))
ok(not select(2, host.sh("cat /tmp/storm.out; rm /tmp/storm.out")):find("not all"), "which is nothing to them")

local function value(out, key) return out:match(key .. ": ([^\n]*)") end
baseline.same("what was limited is given back", function()
    local _, out = host.sh("/tests/abi/uring_storm limits", 3600000)
    diag((out:gsub("\n", ", ")))
    is(value(out, "rings, then"), "ENOMEM", "rings are refused before descriptors run out")
    is(value(out, "as many again"), "yes", "what they took is given back")
    local bytes, memory = tonumber(value(out, "bytes of rings")) or 0, k.memory().total * 4096
    ok(bytes > memory / 20 and bytes <= memory / 16, ("all of them take %d of %d bytes"):format(bytes, memory))
    ok((tonumber(value(out, "chains")) or 0) > 100, "chains of operations are refused too, and not at once")
    is(value(out, "and rings again"), "yes", "what those took is given back")
    is(value(out, "a long chain"), "102", "each of too long a chain fails, in order")
    is(value(out, "an overflow"), "512", "completions without room are kept in order")
    is(value(out, "cancelled"), "200", "all are cancelled")
end)
done()
