-- SPDX-License-Identifier: MIT
-- No call keeps a hart from others who are ready for longer than a poll may take, whatever the memory is like that it works
-- on. Under -icount a nanosecond is an instruction.
-- harts: 1
-- kmon: --icount
-- build: usual
local LONGEST = 200000
local calls = {"unmap", "exit", "exec", "fork", "move", "protect", "discard", "flags", "shrink", "mincore"}
local shapes = {"sparse", "wide", "huge", "dense", "big", "many"}
local one_mapping = {move = true, shrink = true} -- calls that want it

local function short(call, shape)
    local status, took = host.sh(("polls %s %s"):format(shape, call), 120000)
    took = tonumber(took) or -1
    ok(status == 0 and took > 0 and took <= LONGEST, ("%s, %s: polls of %d instructions at most"):format(call, shape, took))
end
for _, shape in ipairs(shapes) do
    for _, call in ipairs(calls) do
        if not (shape == "many" and one_mapping[call]) then short(call, shape) end
    end
end
short("nest", "watched")
short("nest", "shared")
done()
