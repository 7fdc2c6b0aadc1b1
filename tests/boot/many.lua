-- SPDX-License-Identifier: MIT
-- Ten thousand programs begin and end, a million pages are touched, signals storm: half of each before the count and
-- half after it, and as much is left as before.
-- harts: 4
-- kmon: --timeout none
local baseline = require "lib.baseline"

for _, work in ipairs { "exec 5000", "fault 500000", "signal 10000" } do
    baseline.same("churn " .. work, function() is(host.sh("churn " .. work, 3600000), 0, work) end)
end
done()
