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

-- Children behind their parents; kernel tasks, which have none, first. There may be many thousands: of all of them only numbers
-- are looked at, or what is filtered by; each parent keeps as many as can be shown; in full are fetched those that are shown.
local THOUSANDS, KEPT = 1000, 12000     -- above: the steps of all are not searched; so many that are filtered out are kept
local has_text, kept, below = filter ~= "", 0, {[0] = {}}   -- below: of each process, and of none
out.total = #k.tasks()
local function chain(id, steps)
    local names = {}
    pcall(function()
        for _, step in ipairs(k.task(id):backtrace()) do
            names[#names + 1] = step.fn
            if steps then steps[#steps + 1] = ("%s  %s  %s"):format(step.fn, step.at, step.waits_for) end
        end
    end)
    return table.concat(names, " < ")
end
local function matches(id, ...)
    for i = 1, select("#", ...) do
        if ((select(i, ...)) or ""):find(filter, 1, true) then return true end
    end
    return out.total <= THOUSANDS and chain(id):find(filter, 1, true) ~= nil
end
local function under(pid, tid, parent)
    local over = pid == tid and parent or pid
    local list = below[over]
    if not list then
        list = {}
        below[over] = list
    end
    return list
end
if has_text then
    for id, pid, tid, parent, name, state, wait, fn in k.tasks():each("id", "pid", "tid", "parent", "name", "state", "wait", "fn") do
        local list = under(pid, tid, parent)
        if (list.shown or 0) < most and matches(id, name, state, wait, fn) then
            list.shown = (list.shown or 0) + 1
            list[#list + 1] = id
        elseif pid ~= 0 and pid == tid and kept < KEPT then
            kept = kept + 1
            list[#list + 1] = -id           -- perhaps it has children that match
        end
    end
else
    for id, pid, tid, parent in k.tasks():each("id", "pid", "tid", "parent") do
        local list = below[pid == tid and parent or pid] or under(pid, tid, parent)
        local n = #list
        if n < most then list[n + 1] = id end
    end
end

local room = 300 -- steps: a reply is bounded
local function add_row(t, depth)
    local row, steps = {id = t.id, pid = t.pid, name = t.name, state = t.state, wait = t.wait or "", user = t.kind == "user",
        hart = t.hart and t.hart.index, polls = t.polls, depth = depth}, {}
    row.chain = chain(row.id, steps)
    if stacks and #steps <= room then
        row.stack = steps
        room = room - #steps
    end
    out.tasks[#out.tasks + 1] = row
end
local add
local function add_all(ids, depth)
    for _, id in ipairs(ids) do
        if #out.tasks == most then return end
        pcall(add, id, depth)           -- it may have ended
    end
end
function add(id, depth)
    local t = k.task(math.abs(id))
    local pid, leader = t.pid, t.pid == t.tid
    if id > 0 then add_row(t, depth) end
    local children = leader and below[pid]
    if children and depth < 20 then
        below[pid] = nil
        add_all(children, depth + 1)
    end
end
local tops = below[0]
below[0] = nil
add_all(tops, 0)
for _, ids in pairs(below) do add_all(ids, 0) end   -- whose leader has ended

pcall(function()
    local task = k.task(chosen > 0 and chosen or out.tasks[1].id)
    out.chosen, out.chosen_id = task.name, task.id
    for m in task.space:map() do
        local v = m:snap()
        out.maps[#out.maps + 1] = {lo = ("%x"):format(v.lo), hi = ("%x"):format(v.hi), perm = v.perm, kind = v.kind,
            pages = v.bytes // 4096, resident = v.resident, cells = m:cells()}
        if #out.maps == most then break end
    end
end)
local LETTER <const> = {free = ".", ["in flight"] = "#", held = "="}
local function slots(q)     -- of the descriptors of a queue, a letter each
    if q.in_flight + q.held_count == 0 then return ("."):rep(q.size) end
    local letters = {}
    for i, slot in ipairs(q:ring()) do letters[i] = LETTER[slot.state] or "?" end
    return table.concat(letters)
end
for q in k.queues() do
    out.queues[#out.queues + 1] = {name = q.name, size = q.size, in_flight = q.in_flight, held = q.held_count, adds = q.adds,
        completions = q.completions, kicks = q.kicks, slots = slots(q)}
end
out.used, out.size = session.used, session.size
out.ns = k.ns
out.cost_ns = out.ns - begun
return out
end
