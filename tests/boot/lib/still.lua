-- SPDX-License-Identifier: MIT
-- A freeze or a snapshot is refused where a hart comes to no safe point in time, and ends where its time is over before fn is done. A
-- machine that gives a hart no time for a while makes both happen. Nobody stands still then (which the sleep before the next one needs),
-- and it can be asked for again.
local still = {}

local function unless(texts, fn, ...)
    local got, args = nil, table.pack(...)
    eventually(function()
        got = table.pack(pcall(fn, table.unpack(args, 1, args.n)))
        if got[1] then return true end
        for _, text in ipairs(texts) do if tostring(got[2]):find(text) then return false end end
        return true
    end, 60)
    if not got[1] then error(got[2], 0) end
    return table.unpack(got, 2, got.n)
end

-- What fn(...) returns or raises once it is not refused like that; where it is about the end of its time, once it is begun.
function still.held(fn, ...) return unless({"hart %d+ came to no safe point within", "thawed after %d+ ms: "}, fn, ...) end
function still.begun(fn, ...) return unless({"hart %d+ came to no safe point within"}, fn, ...) end
function still.freeze(fn) return still.held(k.freeze, fn, {ms = 1000}) end

return still
