-- SPDX-License-Identifier: MIT
-- Pages turn from lazy to resident: starts user/lazy in the guest, which maps memory and touches a
-- page when it is told to. Each fault parks the program while we look: the walk before, then after.
--
--   kmon run lua-scripts/lazy.lua [PAGES]
local count = tonumber((...) or 3)

host.spawn("lazy 64")
local task = eventually(function() return k.tasks():where{name = "lazy"}:first() end, 20)
assert(task, "the guest did not start 'lazy'")

local function big()
    return task.space:map():where{bytes = 64 << 20}:first()
end
local mapping = assert(eventually(big, 10), "lazy has mapped nothing")
local pt = task.space.pt

print(task)
print(("%d MiB at %x: lazy = %s, %d of %d pages are there"):format(mapping.bytes >> 20, mapping.lo,
    mapping.lazy, mapping.resident, mapping.bytes >> 12))

local function show(when, va)
    local w = pt:walk(va)
    print(("  %-7s %s"):format(when, w))
    for _, s in ipairs(w.steps) do
        print(("          level %d  table %s  [%3d]  %s  %s"):format(s.level, s.table, s.index, s.entry, s.bits))
    end
end

local seen
local probe = k.on("fault.page", function(e)
    if e.va < mapping.lo or e.va >= mapping.hi then return end
    seen = e.va
    print(("\nfault at %x, %s is parked: %s"):format(e.va, e.task.name, e.task.state))
    show("before", e.va)
end, {pause = true, where = {pid = task.pid}})

for i = 1, count do
    local page = i * 1000
    seen = nil
    host.type(("touch %d\n"):format(page))
    local va = mapping.lo + page * 4096
    assert(eventually(function() return seen end, 10), "no fault came")
    assert(eventually(function() return pt:walk(va).pa end, 10), "the page did not come")
    show("after", va)
end
k.off(probe)

print(("\n%d of %d pages are there"):format(mapping.resident, mapping.bytes >> 12))
host.type("quit\n")
