-- SPDX-License-Identifier: MIT
-- Random system calls leave a kernel that lives and owes nothing. Arguments: CALLS (8000), SEED (1), and `covered` where the
-- kernel must say what was covered. Every call that it serves is made, or left out for a reason.
--
-- A step is `fuzz SEED CALLS SWARM`. In a kernel built with COVER=1 what it covers guides: a swarm (the choice and the weights of
-- calls) whose step reached places that none before had reached is kept; three steps in four take one of the kept, the newest
-- more often, and the others try a new one. What fails is repeated by the command in its line.
-- harts: 1 4
-- kmon: --timeout 300
local baseline = require "lib.baseline"
local args = {...}
local calls, seed, each = tonumber(args[1]) or 8000, tonumber(args[2]) or 1, 2000
local covered, cover = pcall(function() return k.cover end)
local kept, places, steps = {}, 0, math.max(1, calls // each)

math.randomseed(seed)

local function choose_swarm()
    if #kept == 0 or math.random(4) == 1 then return math.random(1 << 30) end
    return kept[#kept - math.floor(#kept * math.random() ^ 2)]
end

-- Says what was covered for the first time since the last call, and keeps the swarm if that is something.
local function note(swarm, command)
    local now = cover()
    places = now.places
    if now.fresh == 0 then return end
    local names = {}
    for name, count in pairs(cover("functions")) do names[#names + 1] = {name = name, count = count} end
    table.sort(names, function(a, b) return a.count > b.count end)
    for i, f in ipairs(names) do names[i] = f.name .. ":" .. f.count end
    diag(("%s: %d new places: %s"):format(command, now.fresh, table.concat(names, " ", 1, math.min(#names, 6))))
    kept[#kept + 1] = swarm
    cover("forget")
end

-- Every second step's seed is of this build: where a function lies differs from commit to commit.
local build = tonumber(tostring(k.sym("user_loop")):match("%x+$"), 16) or 0

-- A file system on the disk keeps blocks of its tables, and ever other ones: mounted anew it keeps none.
local function run(command)
    command = command .. " && umount /mnt && mount -t vfat /dev/vda /mnt"
    local status, out = host.sh(command, 600000)
    if status ~= 0 then ok(false, ("%s: status %d: %s"):format(command, status, out)) end
end

run(("fuzz %d %d"):format(seed, each)) -- what is filled for good, is filled once
local before = baseline.settled()
for i = 1, steps do
    local swarm = choose_swarm()
    local command = ("fuzz %d %d %d"):format((i % 2 == 0 and build or seed) + i * 1000, each, swarm)
    run(command)
    local lines = baseline.since(before)
    if #lines > 0 then
        ok(false, command .. ": all is given back")
        for _, line in ipairs(lines) do diag(line) end
        before = baseline.settled()
    end
    if covered then note(swarm, command) end
end
if covered or args[3] == "covered" then ok(places > 0 and #kept > 0, "places were covered, and swarms kept") end
ok(true, ("%d calls in %d steps; %d places, %d swarms kept"):format(steps * each, steps, places, #kept))

-- Asked last: after so long an answer the shell's heap grew by a page among the steps.
local status, listed = host.sh("fuzz --calls")
local known, unknown = {}, {}
for nr in listed:gmatch("%f[^\n\0]%d+") do known[tonumber(nr)] = true end
for call in k.syscalls() do
    if not known[call.nr] then unknown[#unknown + 1] = call.name end
end
ok(status == 0 and #unknown == 0, "every call is made, or left out for a reason")
if #unknown > 0 then diag("neither: " .. table.concat(unknown, " ")) end
done()
