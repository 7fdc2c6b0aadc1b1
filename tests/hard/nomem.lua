-- SPDX-License-Identifier: MIT
-- Where one allocation in n of the kernel fails, programs see errors and may end of them, the shell too; the kernel goes on.
local works = { "churn exec 20", "churn open 20", "churn kill 10", "churn signal 200", "stress 2 1", "fuzz 1 500" }
local refused, served = 0, 0
for round = 1, 18 do
    local work = works[round % #works + 1]
    local fine, status, out = pcall(host.sh, work, 3000)
    if fine then served = served + 1 end
    if not fine or status ~= 0 then
        refused = refused + 1
        diag(work .. ": " .. (tostring(fine and out or status):match("[^\n]*memory[^\n]*") or "failed"))
    end
end
ok(refused > 0, "programs are refused memory")
ok(served > 0, "programs run")
ok(#k.harts > 0 and k.account(), "the kernel goes on")
done()
