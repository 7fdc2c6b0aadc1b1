-- SPDX-License-Identifier: MIT
-- top: one look at the system, in the kernel. It stays in the session as kmon_top: a look then costs one line to send.
-- chosen: a task's id, or 0; most: how many tasks can be shown; stacks: with the steps of what they await.
function kmon_top(chosen, filter, most, stacks)
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
local has_text = filter ~= ""
local function matches(row)
    for _, text in ipairs{row.name, row.state, row.wait, row.chain} do
        if text:find(filter, 1, true) then return true end
    end
end
local function await(row)
    local steps, names = {}, {}
    pcall(function()
        for _, step in ipairs(k.task(row.id):backtrace()) do
            names[#names + 1] = step.fn
            steps[#steps + 1] = ("%s  %s  %s"):format(step.fn, step.at, step.waits_for)
        end
    end)
    row.chain = table.concat(names, " < ")
    return steps
end
local room = 300 -- steps: a reply is bounded
local function add(row, depth)
    if #out.tasks < most then
        local steps = await(row)
        if not has_text or matches(row) then
            row.depth = depth
            if stacks and #steps <= room then
                row.stack = steps
                room = room - #steps
            end
            out.tasks[#out.tasks + 1] = row
        end
    end
    for _, child in ipairs(children[row] or {}) do if depth < 20 then add(child, depth + 1) end end
end
for _, row in ipairs(top) do add(row, 0) end

local task = chosen > 0 and k.task(chosen) or out.tasks[1] and k.task(out.tasks[1].id)
pcall(function()
    out.chosen, out.chosen_id = task.name, task.id
    for m in task.space:map() do
        local v = m:snap()
        out.maps[#out.maps + 1] = {lo = ("%x"):format(v.lo), hi = ("%x"):format(v.hi), perm = v.perm, kind = v.kind,
            pages = v.bytes // 4096, resident = v.resident, cells = m:cells()}
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
