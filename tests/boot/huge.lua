-- SPDX-License-Identifier: MIT
-- 2 MiB pages: a first touch makes leaves of level 1, what changes a part of one splits it and no other, and all frames and
-- tables come back.
local baseline = require "lib.baseline"
local MIB2, said = 2 << 20, 0

local function output()
    return select(2, host.sh("cat /tmp/huge.out"))
end

local function tell(letter, want)
    local before = select(2, output():gsub("\n", ""))
    host.sh(("echo %s >/tmp/huge.go"):format(letter))
    local answer
    eventually(function()
        local lines = {}
        for line in output():gmatch("[^\n]+") do lines[#lines + 1] = line end
        answer = lines[before + 1]
        return answer
    end, 20)
    if want then is(answer, want, "the program: " .. letter) end
end

local function start()
    host.sh("rm -f /tmp/huge.go; mkfifo /tmp/huge.go; : >/tmp/huge.out")
    host.sh("huge /tmp/huge.go >/tmp/huge.out 2>&1 </dev/null &")
    local at, pid
    eventually(function()
        at, pid = output():match("at (%x+) (%d+)\n")
        return at
    end, 20)
    return tonumber(at, 16), k.pid(tonumber(pid)).space
end

local function finish(space)
    host.sh("echo q >/tmp/huge.go")
    ok(eventually(function() return not pcall(function() return space.resident end) end, 20), "the program ends")
end

-- What each of the three shows: "2M" for one leaf, else how many of 4 KiB.
local function leaves(space, base)
    local shown = {}
    for i = 0, 2 do
        local list = space.pt:leaves { lo = base + i * MIB2, hi = base + (i + 1) * MIB2 }
        local levels = #space.pt:walk(base + i * MIB2 + 0x9000).steps
        if #list == 1 and list[1].pages == 512 and levels == 2 then
            shown[#shown + 1] = "2M"
        else
            shown[#shown + 1] = levels == 2 and "?" or #list
        end
    end
    return table.concat(shown, " ")
end

local function all()
    local base, space = start()
    local pt, resident, faults = space.pt, space.resident, space.faults
    is(base % MIB2, 0, "an aligned place")
    is(leaves(space, base), "0 0 0", "nothing is there")
    tell("t", "done")
    is(leaves(space, base), "2M 2M 2M", "three touches make three leaves")
    is(space.huge, 3, "which the space counts")
    ok(space.resident - resident >= 3 * 512, "with all their pages")
    faults = space.faults
    tell("w", "done")
    ok(space.faults - faults < 20, "no page of them faults any more: " .. space.faults - faults)
    local list = pt:leaves { lo = base, hi = base + MIB2 }
    local walk = pt:walk(base + 0x5678)
    is(list[1].pa % MIB2, 0, "the frames are one run, aligned")
    is(walk.pa, list[1].pa + 0x5678, "a walk ends at the leaf and finds the byte in it")
    is(walk.bits, list[1].bits, "its bits are the leaf's")
    ok(select(2, host.sh("cat /proc/meminfo")):match("AnonHugePages: +(%d+)") + 0 >= 3 * 2048, "/proc/meminfo says so")
    tell("u", "done")
    is(leaves(space, base), "511 2M 2M", "unmapping a page splits its leaf only")
    tell("c", "right")
    tell("p", "done")
    is(leaves(space, base), "511 512 2M", "protecting a page splits its leaf only")
    tell("f", "done")
    tell("c", "right")
    tell("d", "done")
    is(leaves(space, base), "511 512 0", "dropping all of it leaves nothing")
    is(space.huge, 0, "no leaf is left")
    tell("c", "right")
    finish(space)
end

local function monitor_changes_one()
    local base, space = start()
    tell("w", "done")
    k.mode = "rw"
    local bits = space.pt:walk(base + 0x3000).bits
    space.pt:set(base + 0x3000, (bits:gsub("w", "-")))
    is(leaves(space, base), "512 2M 2M", "the monitor changes a page's bits: its leaf is split")
    is(space.pt:walk(base + 0x3000).bits, (bits:gsub("w", "-")), "that page has lost w")
    is(space.pt:walk(base + 0x4000).bits, bits, "its neighbour has not")
    tell("w", "done")
    tell("c", "right")
    finish(space)
end

monitor_changes_one()
baseline.same("every frame and table is given back", all)
done()
