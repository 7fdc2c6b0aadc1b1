-- SPDX-License-Identifier: MIT
-- What a page fault changes, as k.diff shows it: the walk ends at a page, the mapping and the space have one more, the thread has
-- one more fault; and nothing else of them differs. The same for a page that is given back.
host.sh("mkfifo /tmp/in")
host.spawn("exec 8<>/tmp/in; lazy 4 </tmp/in >/tmp/out &")
local lazy = eventually(function() return k.tasks():where{name = "lazy"}:first() end, 20, "a program runs")
local m = eventually(function() return require("lib.mapped")(lazy, 4 << 20) end, 10, "it has mapped 4 MiB")
local space = lazy.space
local at = m.lo + 300 * 4096
local walk, phys = space.pt:walk(at), k.phys

-- Once it waits for the next command; what it was told before has come out by then.
local function look()
    eventually(function() return lazy.state == "waiting" end, 20)
    return {walk = walk:snap(), map = m:snap(), space = space:snap(), faults = lazy:stats().faults}
end
local function told(command)
    local _, before = host.sh("cat /tmp/out")
    host.sh(("echo %s >/tmp/in"):format(command))
    eventually(function() return select(2, host.sh("cat /tmp/out")) ~= before end, 20)
    return look()
end
local function differences(a, b)
    local rows, names = {}, {}
    for _, d in ipairs(k.diff(a, b)) do
        rows[d.field] = d
        -- the entries say the same once more; harts are where it ran last
        if not d.field:find("^walk%.steps") and d.field ~= "space.harts" then names[#names + 1] = d.field end
    end
    table.sort(names)
    return rows, table.concat(names, " ")
end

-- The first touch brings tables, and what libc does when it first prints; from then on it is the page alone.
told("touch 299")
local before = look()
is(before.walk.pa, nil, "the page is not there")
local after = told("touch 300")
local rows, names = differences(before, after)
is(names, "faults map.resident space.faults space.peak space.resident walk.bits walk.pa walk.pte walk.stops", "a fault changes these")
is(rows["map.resident"].after - rows["map.resident"].before, 1, "a page more in the mapping")
is(rows["space.resident"].after - rows["space.resident"].before, 1, "and in the space")
is(rows["space.faults"].after - rows["space.faults"].before, 1, "by one fault")
is(rows.faults.after - rows.faults.before, 1, "which the thread counts, too")
is(phys:frame(after.walk.pa):owners()[1].va, at, "the walk leads to a frame whose owner is this address")
like(rows["walk.stops"].before, "level 0", "before, it stopped at the last level")

local gone = told("drop 300")
rows, names = differences(after, gone)
is(names, "map.resident space.resident walk.bits walk.pa walk.pte walk.stops", "what is given back changes these")
is(rows["map.resident"].after, before.map.resident, "to what it was")
is(#k.diff(before.walk, gone.walk), 0, "the walk stops where it stopped")
host.sh("echo quit >/tmp/in")
done()
