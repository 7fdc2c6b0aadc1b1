-- SPDX-License-Identifier: MIT
-- Rings of io_uring end with operations under way, and storms of cancellation pass: nothing is left of them. An argument N makes
-- it N times as long (make soak).
-- kmon: --initrd build/tests.cpio
local baseline = require "lib.baseline"
local times = tonumber((...)) or 1

baseline.same("rings end with operations under way", function()
    local status, out = host.sh(("cd /tmp && /tests/abi/uring_storm %d"):format(4 * times), 3600000)
    is(status, 0, "the program ends")
    ok(not out:find("not all"), "and all was right: " .. out:gsub("\n", ", "))
end)
done()
