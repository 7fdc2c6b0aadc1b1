-- SPDX-License-Identifier: MIT
-- Every task: what it is, what it does or waits for, and since when.
--
--   kmon run lua-scripts/ps.lua [-b]      -b: with the async backtrace of each
--
-- Each is printed as it is found: there may be more than this session could hold.
local with_frames, now = ... == "-b", k.ns

local function show_row(t)
    local row = t:snap()
    print(("%5d %5s  %-15s %-9s %4d %9d %12s  %s"):format(row.id, row.pid > 0 and row.pid or "-", row.name, row.state,
        row.hart.index, row.polls, row.state == "running" and "-" or ("%.3f"):format((now - row.since) / 1e9), row.wait or ""))
end

local function show_frames(t)
    print(t)
    local ok, steps = pcall(t.backtrace, t)
    if not ok then
        print("  " .. steps)
        return
    end
    for i, s in ipairs(steps) do
        print(("  #%-2d %-20s %-34s %s"):format(i - 1, s.fn, s.at, s.waits_for))
    end
end

if not with_frames then print("   id   pid  name            state     hart     polls      seconds  waits_for") end
for t in k.tasks() do
    pcall(with_frames and show_frames or show_row, t)   -- else it exited while we looked
end
