-- SPDX-License-Identifier: MIT
-- Ten thousand programs begin and end, a million pages are faulted in, signals storm: half of each before the count and
-- half after it, and as much is left as before.
-- harts: 4
-- kmon: --timeout none
local baseline = require "lib.baseline"

local faults = 0
for _, work in ipairs { "exec 5000", "fault 500000", "signal 10000" } do
    baseline.same("churn " .. work, function()
        local status, said = host.sh("churn " .. work, 3600000)
        is(status, 0, work)
        if work:find("fault") then faults = faults + math.tointeger(said:match("(%d+) faults")) end
    end)
end
ok(faults >= 1000000, "a million page faults, and not only pages: " .. faults)
done()
