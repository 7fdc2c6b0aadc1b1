-- SPDX-License-Identifier: MIT
-- Harts that have nothing to do wait for an interrupt. Under -icount time that all harts wait through costs nothing, and
-- time that one of them spins through costs an instruction for every nanosecond: a day would take hours.
-- kmon: --icount
local before = {}
for i = 0, #k.harts - 1 do before[i] = k.harts[i].idle_ns end
is(host.sh("sleep 86400", 20000), 0, "a day without work ends at once")
for i = 0, #k.harts - 1 do
    ok(k.harts[i].idle_ns - before[i] > 86300000000000, ("hart %d was idle all day"):format(i))
end
done()
