-- SPDX-License-Identifier: MIT
-- The mappings of a process: where, with which rights, of what, how much of it is there.
--
--   kmon run lua-scripts/maps.lua [PID or NAME]      without an argument: of every process
local who = ...
local tasks
if not who then
    tasks = k.tasks():where{kind = "user"}:list()
else
    tasks = {tonumber(who) and k.pid(tonumber(who)) or k.task(who)}
end

local seen = {}
for _, t in ipairs(tasks) do
    local space = t.space
    local id = space and tostring(space):match("#(%d+)")
    if space and not seen[id] then
        seen[id] = true
        print(("%s (pid %d): %s"):format(t.name, t.pid, space))
        local rows = {}
        for m in space:map() do
            rows[#rows + 1] = {
                from = ("%x"):format(m.lo), to = ("%x"):format(m.hi), perm = m.perm, kind = m.kind,
                offset = ("%x"):format(m.offset), pages = m.bytes >> 12, there = m.resident,
                lazy = m.lazy and "lazy" or "",
            }
        end
        print(tabulate(rows, {"from>", "to>", "perm", "kind", "offset>", "pages>", "there>", "lazy"}))
    end
end
