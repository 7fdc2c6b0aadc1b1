-- SPDX-License-Identifier: MIT
-- A change to a space that somebody has been changing for too long is refused, says who that is, and is good for later.
-- harts: 1 4
k.mode = "unsafe"
host.spawn("touch /tmp/on; while [ -e /tmp/on ]; do polls sparse unmap; done >/dev/null 2>&1 &")

-- Parked with its space's lock; else it goes on.
local function is_caught(t)
    if t.name ~= "polls" then return end
    t:hold()
    k.sleep(5)
    for l in k.locks() do
        if l.name == "space" and l.holder and l.holder.id == t.id then return true end
    end
    t:resume()
end
local holder = eventually(function()
    for t in k.tasks() do
        local there, caught = pcall(is_caught, t)
        if there and caught then return t end
        pcall(function() if not there and t.name == "polls" then t:resume() end end)
    end
end, 60, "a program is held in the middle of munmap")

local m = holder.space:map():where(function(x) return x.bytes > 4096 end):first()
local map, rows = tostring(holder.space:map()), #k.journal()
local from = k.ns
fails(function() m:split(m.lo + 4096) end, ("Task#%d polls has been changing this space for 100 ms"):format(holder.id),
    "a change of its mappings is refused, and the holder named")
local took = (k.ns - from) / 1e6
ok(took >= 100, ("after %.0f ms"):format(took))
is(tostring(holder.space:map()), map, "the mappings are what they were")
is(#k.journal(), rows, "and nothing is in the journal")

host.sh("rm /tmp/on")
holder:resume()
ok(eventually(function() return not pcall(function() return holder.name end) end, 60), "let go, it comes to its end")
ok(eventually(function() return not k.tasks():where{name = "polls"}:first() end, 60), "and so does who watched it")
done()
