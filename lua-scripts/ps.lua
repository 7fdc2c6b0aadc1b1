-- SPDX-License-Identifier: MIT
-- Every task: what it is, what it does or waits for, and since when.
--
--   kmon run lua-scripts/ps.lua [-b]      -b: with the async backtrace of each
local with_frames = ... == "-b"

local rows, now = {}, k.ns
for t in k.tasks() do
    local ok, row = pcall(function()
        return {
            id = t.id, pid = t.pid > 0 and t.pid or nil, name = t.name, state = t.state,
            hart = t.hart.index, polls = t.polls, waits_for = t.wait,
            seconds = t.state == "running" and "-" or ("%.3f"):format((now - t.since) / 1e9), task = t,
        }
    end)
    if ok then rows[#rows + 1] = row end    -- else it exited while we looked
end

if not with_frames then
    print(tabulate(rows, {"id>", "pid>", "name", "state", "hart>", "polls>", "seconds>", "waits_for"}))
    return
end
for _, row in ipairs(rows) do
    print(row.task)
    local ok, steps = pcall(row.task.backtrace, row.task)
    if ok then
        for i, s in ipairs(steps) do
            print(("  #%-2d %-20s %-34s %s"):format(i - 1, s.fn, s.at, s.waits_for))
        end
    else
        print("  " .. steps)
    end
end
