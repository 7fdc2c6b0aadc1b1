-- SPDX-License-Identifier: MIT
-- The mappings of a process: where, with which rights, of what, how much of it is there.
--
--   kmon run lua-scripts/maps.lua [PID or NAME]      without an argument: of every process
--
-- Each is printed as it is found: there may be more than this session could hold.
local who = ...
local ROW = "%10x  %10x  %-4s  %-13s  %10x  %8d  %8d%s"
local seen = {}

local function show(t)
    local space = t.space
    local id = space and tostring(space):match("#(%d+)")
    if not space or seen[id] then return end
    seen[id] = true
    print(("%s (pid %d): %s"):format(t.name, t.pid, space))
    print("      from          to  perm  kind               offset     pages     there")
    for m in space:map() do
        local ok, row = pcall(m.snap, m)    -- it may be gone since it was found
        if ok then
            print(ROW:format(row.lo, row.hi, row.perm, row.kind, row.offset, row.bytes >> 12, row.resident,
                row.lazy and "  lazy" or ""))
        end
    end
end

if who then
    show(tonumber(who) and k.pid(tonumber(who)) or k.task(who))
else
    for t in k.tasks():where{kind = "user"} do show(t) end
end
