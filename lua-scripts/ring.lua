-- SPDX-License-Identifier: MIT
-- Virtqueues: indices, the requests in flight, their descriptors, and the task that waits for each.
--
--   kmon run lua-scripts/ring.lua [QUEUE]      without an argument: all of them
local name = ...
for q in k.queues() do
    if not name or q.name == name then
        print(q)
        print(("  available %d, used by the device %d, taken %d, last kick at %d; %d requests, %d kicks"):format(
            q.avail_idx, q.used_idx, q.last_used, q.kicked_idx, q.adds, q.kicks))
        for _, r in ipairs(q:ring()) do
            local waiter = r.task and tostring(k.task(r.task)) or "nobody waits"
            print(("  [%3d] %s for %d us: %s"):format(r.head, r.state, r.us, waiter))
            local ok, chain = pcall(q.chain, q, r.head)
            for _, d in ipairs(ok and chain or {}) do
                print(("          %#12x %6d bytes, %s"):format(d.pa, d.bytes, d.direction))
            end
        end
    end
end
