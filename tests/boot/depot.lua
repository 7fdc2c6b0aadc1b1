-- SPDX-License-Identifier: MIT
-- Free frames that the harts trade by the batch: whoever has them, each is counted once.
local function used(m) return m.kernel + m.anon + m.cache + m.table + m.slab + m.heap end

-- Free by the counts of harts, depot and buddies; used by a walk over all frames.
local function balanced(what)
    local m
    ok(eventually(function() m = k.memory(true); return m.free + used(m) == m.total end, 20), what)
    return m
end

local function churn(what) is(host.sh("churn " .. what, 120000), 0, "churn " .. what) end

balanced("every frame is free or used")
churn "frames 8192 4" -- so that there are batches
local before = balanced("when programs have given back single pages, too")
churn "frames 32768 4"
local m = balanced("and again")
ok(m.depot > 0, "some lie in the depot")
ok(2 * (m.from_depot - before.from_depot) > m.refills - before.refills, "harts are refilled from it")
ok(2 * (m.to_depot - before.to_depot) > m.spills - before.spills, "with what others left there")

churn "exec 60 8"
churn "fault 8192 8"
balanced("when processes have come and gone")
k.account()
m = balanced("and when the harts have given back what they kept")
is(m.depot, 0, "the depot is empty then")

churn "frames 8192 8"
m = balanced("and again")
is(host.sh("hog", 120000), 137, "memory is all taken by one program")
local n = balanced("and given back, every frame once")
ok(n.collected > m.collected or #k.harts == 1, "before it was ended, the other harts gave what they kept for themselves: " ..
    n.collected - m.collected)
done()
