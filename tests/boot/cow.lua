-- SPDX-License-Identifier: MIT
-- Copy on write: n sharers that write all at once make n - 1 copies, each page's last owner keeps it.
local pages = 600

local function output()
    return select(2, host.sh("cat /tmp/cow.out"))
end

local function copies(pids)
    local sum = 0
    for _, pid in ipairs(pids) do sum = sum + k.pid(pid).space.cow_copies end
    return sum
end

local function try(kind, want)
    host.sh("mkfifo /tmp/cow.go; : >/tmp/cow.out")
    host.sh(("cow %s %d /tmp/cow.go >/tmp/cow.out 2>&1 </dev/null &"):format(kind, pages))
    ok(eventually(function() return output():find("ready") end, 20), kind .. ": all share the pages")
    local pids = {}
    for pid in output():gmatch("%d+") do
        if pid ~= "0" then pids[#pids + 1] = tonumber(pid) end
    end
    local before = copies(pids)
    host.sh("echo >/tmp/cow.go")
    ok(eventually(function() return output():find("written") end, 20), kind .. ": all have written")
    is(copies(pids) - before, want, kind .. ": copies made")
    host.sh("echo >/tmp/cow.go")
    ok(eventually(function() return output():find("fine") end, 20), kind .. ": each sees what it wrote")
    host.sh("rm /tmp/cow.go")
end

try("family", 2 * pages)
try("orphans", pages)
done()
