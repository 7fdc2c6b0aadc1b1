-- SPDX-License-Identifier: MIT
-- top: one look at the system, in the kernel. It stays in the session as kmon_top: a look then costs one line to send.
-- chosen: a task's id, or 0; most: how many tasks can be shown.
function kmon_top(chosen, filter, most)
local begun, session = k.ns, k.session
local out = {mode = k.mode, harts = {}, tasks = {}, queues = {}, maps = {}, total = 0}
for h in k.harts do
    out.harts[#out.harts + 1] = {index = h.index, idle_ns = h.idle_ns, idle = h.idle, queued = h.queued,
        current = h.current and h.current.name or ""}
end

-- Children behind their parents; kernel tasks, which have none, first.
local children, roots, by_pid = {}, {}, {}
for t in k.tasks() do
    local good, row = pcall(function()
        return {id = t.id, pid = t.pid, parent = t.parent, name = t.name, state = t.state, wait = t.wait or "", user = t.kind == "user",
            leader = t.pid == t.tid, hart = t.hart and t.hart.index, polls = t.polls}
    end)
    if good then
        out.total = out.total + 1
        if row.user and row.leader then by_pid[row.pid] = row end
        roots[#roots + 1] = row
    end
end
local top = {}
for _, row in ipairs(roots) do
    local over = row.user and (row.leader and by_pid[row.parent] or not row.leader and by_pid[row.pid])
    if over and over ~= row then
        children[over] = children[over] or {}
        table.insert(children[over], row)
    else
        top[#top + 1] = row
    end
end
local function matches(row)
    return filter == "" or row.name:find(filter, 1, true) or row.state:find(filter, 1, true) or row.wait:find(filter, 1, true)
end
local function add(row, depth)
    if matches(row) and #out.tasks < most then
        row.depth = depth
        local steps = {}
        pcall(function()
            for _, step in ipairs(k.task(row.id):backtrace()) do steps[#steps + 1] = step.fn end
        end)
        row.chain = table.concat(steps, " < ")
        out.tasks[#out.tasks + 1] = row
    end
    for _, child in ipairs(children[row] or {}) do if depth < 20 then add(child, depth + 1) end end
end
for _, row in ipairs(top) do add(row, 0) end

local task = chosen > 0 and k.task(chosen) or out.tasks[1] and k.task(out.tasks[1].id)
pcall(function()
    out.chosen = task.name
    for m in task.space:map() do
        out.maps[#out.maps + 1] = {lo = ("%x"):format(m.lo), hi = ("%x"):format(m.hi), perm = m.perm, kind = m.kind,
            pages = (m.hi - m.lo) // 4096, resident = m.resident}
        if #out.maps == most then break end
    end
end)
for q in k.queues() do
    out.queues[#out.queues + 1] = {name = q.name, size = q.size, in_flight = q.in_flight, held = q.held_count, adds = q.adds,
        completions = q.completions, kicks = q.kicks}
end
out.used, out.size = session.used, session.size
out.ns = k.ns
out.cost_ns = out.ns - begun
return out
end
