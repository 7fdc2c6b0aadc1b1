-- SPDX-License-Identifier: MIT
-- Virtqueues: indices, the requests in flight, their descriptors, the task that waits for each, and what is broken.
--
--   kmon run lua-scripts/ring.lua [QUEUE]      without an argument: all of them
local name = ...
local function broken(row) return row.broken and "; broken: " .. row.broken or "" end

for q in k.queues() do
    if not name or q.name == name then
        print(q)
        print(("  available %d, used by the device %d, taken %d, last kick at %d; %d requests, %d kicks"):format(
            q.avail_idx, q.used_idx, q.last_used, q.kicked_idx, q.adds, q.kicks))
        for _, r in ipairs(q:chains()) do
            print(("  [%3d] %s for %d us: %s%s"):format(r.head, r.state, r.us, tostring(r.task or "nobody waits"), broken(r)))
            local ok, chain = pcall(q.chain, q, r.head)
            for _, d in ipairs(ok and chain or {}) do
                print(("    %3d   %#12x %6d bytes  %s%s"):format(d.index, d.addr, d.len, d.flags, broken(d)))
            end
        end
    end
end
