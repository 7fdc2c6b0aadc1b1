-- SPDX-License-Identifier: MIT
-- baseline.same(name, work): after `work()` there is as much of everything as before, counted exactly (k.account).
--
-- work runs once before the count, so that caches hold what it uses. What ends in the background (a reaper, an orphan) is
-- waited for by its effect: the counts are right at some moment of the next 20 s, or the difference is what leaked.
-- The parts, for work that is not the same each time: baseline.settled() and baseline.since(counts).
local baseline = {}

local function difference(before, after)
    local lines = {}
    for name, n in pairs(before) do
        if after[name] ~= n then lines[#lines + 1] = ("%s: %d before, %d after"):format(name, n, after[name]) end
    end
    table.sort(lines)
    return lines
end

-- Nobody is on the way: nothing is queued, and of the harts only the monitor's is up. The shell that was asked to run something
-- has come back to where it waits, however slowly. The harts are asked, not the tasks, of which there may be 20,000.
local function still()
    local up = 0
    for hart in k.harts do
        if hart.queued > 0 then return false end
        if not hart.idle then up = up + 1 end
    end
    return up <= 1
end

-- The counts, once two in a row are equal, nobody is on the way and nothing waits to be freed: nothing ends in the background.
local function settled()
    local last = k.account()
    eventually(function()
        local now = k.account()
        local same = #difference(last, now) == 0 and now["epochs pending"] == 0
        last = now
        return same and still()
    end, 20)
    return last
end

baseline.settled = settled

-- What differs from the counts before, as lines; none if all is given back within 20 s.
function baseline.since(before)
    local lines
    eventually(function()
        lines = difference(before, k.account())
        return #lines == 0
    end, 20)
    return lines
end

function baseline.same(name, work)
    work()
    local before = settled()
    work()
    local lines = baseline.since(before)
    ok(#lines == 0, name)
    for _, line in ipairs(lines) do diag(line) end
end

return baseline
