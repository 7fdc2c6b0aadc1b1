-- SPDX-License-Identifier: MIT
-- Hart-local and task-local storage: the lists of constructors, and where each instance lies.
--
--   kmon run lua-scripts/tls.lua [PID]      with the instances of one process's task
local pid = tonumber((...))

local function list(title, all)
    local rows = {}
    for l in all do
        rows[#rows + 1] = {
            order = l.order, name = l.name, bytes = l.size, state = l.state, made = l.constructed,
            unmade = l.destroyed, at = l.at, address = l.address ~= 0 and ("%x"):format(l.address) or nil,
        }
    end
    table.sort(rows, function(a, b) return a.order < b.order end)
    print(title)
    print(#rows == 0 and "  (none)" or tabulate(rows,
        {"order>", "name", "bytes>", "state", "made>", "unmade>", "address>", "at"}))
end

if pid then
    local t = k.pid(pid)
    list(tostring(t), t.tls)
else
    list("of each task:", k.tls("task"))
    list("of each hart:", k.tls("hart"))
    for h in k.harts do list(tostring(h), h.tls) end
end
