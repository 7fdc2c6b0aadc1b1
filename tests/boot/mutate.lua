-- SPDX-License-Identifier: MIT
-- Random changes, sensible and not, for SECONDS from SEED (arguments; 20 and 1), while programs compute, fork, wait and write
-- to the disk. Whatever is asked for in mode rw, the machine lives, and when all is set right again nothing has leaked. A change
-- that is refused may say anything but that the monitor itself is wrong. Each kind of change must be made now and then, else
-- nothing was tried.
-- harts: 4
-- kmon: --timeout none
local baseline = require "lib.baseline"
local args = {...}
local seconds, seed = tonumber(args[1]) or 20, tonumber(args[2]) or 1
local programs = {"lazy --every 5 8", "spin 2", "stress 1 100000", "sleep 1000", "sleep 1000 | blocked 3"}
local names = {lazy = true, spin = true, stress = true, sleep = true, blocked = true, dd = true}

local state = seed
local function random(n) -- 0 .. n - 1
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 33) % n
end
local function one_of(t) return t[random(#t) + 1] end
local function chance(n) return random(n) == 0 end

local function victims()
    local out = {}
    for t in k.tasks() do
        local good, name = pcall(function() return t.name end)
        if good and names[name] then out[#out + 1] = t end
    end
    return out
end
local function spawn() host.spawn("{ " .. one_of(programs) .. "; } >/dev/null 2>&1 &") end

local function write_to_disk()
    host.spawn("touch /tmp/on; for i in 1 2; do while [ -e /tmp/on ]; do dd if=/dev/zero of=/mnt/mutate.$i bs=4096 count=64 "
        .. "conv=fsync; done & done >/dev/null 2>&1")
end

-- Somebody to do it to: mostly a program of ours, now and then init, a kernel task, or one that is gone.
local gone
local function victim(alive)
    if chance(20) then return k.pid(1) end
    if chance(20) then return k.task("reaper") end
    if gone and chance(20) then return gone end
    gone = #alive > 0 and one_of(alive) or k.pid(1)
    return gone
end
local function mapping(t)
    local all = t.space:map():list()
    return one_of(all)
end
local function address(t)
    if chance(8) then return one_of {0, 1, 4096, 1 << 38, (1 << 38) - 4096, -4096, 0xffffffc080200000, random(1 << 30)} end
    local m = mapping(t)
    return m.lo + random(m.bytes >> 12) * 4096 + (chance(12) and random(4096) or 0)
end
local function range(m)
    if chance(3) then return end
    local lo = m.lo + random(m.bytes >> 12) * 4096
    local hi = chance(8) and lo - random(3) * 4096 or lo + (random(16) + 1) * 4096
    return lo, hi
end
local function letters(set)
    local s = ""
    for c in set:gmatch(".") do if chance(2) then s = s .. c end end
    return s
end
local registers = {"pc", "ra", "sp", "gp", "tp", "a0", "a7", "s0", "t6"}
local disk = k.queue("vda.0")

-- The disk's queue, mostly; now and then that of no device, once it has been made (broken-ring).
local function a_queue()
    local good, planted = pcall(k.queue, "planted.0")
    return good and planted and chance(6) and planted or disk
end
-- Requests that are held, mostly; the second is another one if there are two.
local function heads(queue)
    local ring = chance(4) and {} or queue:chains()
    local n = #ring > 0 and random(#ring)
    if not n then return random(70), random(70) end
    return ring[n + 1].head, ring[(n + 1) % #ring + 1].head
end
local function mine(t) return t.pid ~= 1 and t.space or error("init would keep it") end
local function own(t) return names[t.name] and t or error("others would keep it") end
local function in_lua() -- constructors of this session
    local out = {}
    for x in k.tls("task") do if x.name:find("^mutate%d") then out[#out + 1] = x end end
    return out
end
local function rule(t)
    local r = {pid = t.pid, harts = chance(2) and random((1 << #k.harts) + 1) or nil}
    if chance(2) then r.weight = random(70) else r.deadline_ms = random(50) end
    if chance(3) then r.pid, r.task = nil, t end
    return r
end

-- Traces with options of all kinds, of which each may be wrong.
local probes, traces = {}, {}
local points = k.points():map(function(p) return p.name end):list()
local function a_point() return chance(30) and one_of {"", "sys.entr", 7, {}} or one_of(points) end
local function conditions(t)
    if chance(12) then return one_of {1, "pid", {1}, {none = 1}} end
    local out = {pid = names[t.name] and t.pid or one_of(victims()).pid}
    if chance(6) then out.pid = {[one_of {"ge", "lt", "ne", "eq", "like"}] = random(100)} end
    if chance(6) then
        local name = one_of {"call", "ns", "va", "result", "kind", "name", "task", "bytes"}
        out[name] = one_of {"getppid", "write", "anon", 3, -1, 1 << 63, 0.5, true, t, {}, {eq = "x"}, {ge = 1, lt = 1 << 40}}
    end
    return out
end
local function options(t)
    local bad = chance(4)
    return {
        where = not chance(4) and conditions(t) or nil,
        by = chance(2) and (bad and one_of {"none", 7, {}, "call", {"kind", "access"}, {"pid", "none"}} or one_of {"pid", {"name"}, {"pid", "name"}}) or nil,
        agg = bad and one_of {"quantize(ns)", "avg(result)", "sum(", "max(none)", 7, {}, {"min(ns)", "max(ns)"}} or one_of {"count", "sum(pid)"},
        keys = chance(3) and (bad and one_of {0, 1 << 40, -1, "x"} or one_of {1, 2, 64, 256}) or nil,
        secs = chance(12) and (bad and one_of {0, -1, 1 << 40, "x"} or one_of {0.001, 0.01}) or nil,
        odd = bad and chance(4) and 1 or nil,
    }
end
local function stream_options(t)
    local o = options(t)
    o.by, o.agg, o.keys, o.secs = nil, nil, nil, nil
    o.ring = chance(2) and (chance(4) and one_of {0, 1, 1 << 40, -1, "x"} or one_of {16, 64, 1024}) or nil
    o.max = chance(4) and one_of {0, 1, 50, -1, "x"} or nil
    return o
end
local function keep(x)
    if #traces > 3 then k.off(table.remove(traces, 1)) end
    if type(x) ~= "table" then traces[#traces + 1] = x end -- not the rows of one that is over
end

local changes = {
    entry = function(t) t.space.pt:set(address(t), letters("vrwxuadhg")) end,
    ["good entry"] = function(t) t.space.pt:set(address(t), "vru" .. letters("adxw")) end,
    protect = function(t) local m = mapping(t) m:protect(letters("rwx"), range(m)) end,
    remove = function(t) local m = mapping(t) m:remove(range(m)) end,
    unload = function(t) local m = mapping(t) m:unload(range(m)) end,
    split = function(t) mine(t):find(address(t)):split(address(t)) end,
    add = function(t)
        mine(t):add((random(64) + 1) * 4096 - (chance(8) and 1 or 0), letters("rwx"), chance(2) and address(t) or 0)
    end,
    suspend = function(t) t:suspend() end,
    resume = function(t) t:resume() end,
    signal = function(t) t:signal(random(66)) end,
    nice = function(t) t.nice = random(60) - 30 end,
    deadline = function(t) t.deadline = chance(4) and random(1 << 40) or k.ns + random(1 << 31) end,
    register = function(t)
        if chance(2) then pcall(function() t:suspend() end) k.sleep(1) end
        t:set_register(one_of(registers), chance(2) and address(t) or random(1 << 31) - 5)
    end,
    ["run again"] = function(t) one_of(t.tls:list()):run_again() end,
    disable = function() local x = one_of(k.tls("task"):list()) x.disabled = not x.disabled end,
    order = function() one_of(k.tls("task"):list()).order = random(4) end,
    hold = function() local q = a_queue() q.held = not q.held end,
    delay = function() a_queue().delay_ms = one_of {0, 0, 1, 5, 20, 70000} end,
    release = function() local q = a_queue() q:release((heads(q))) end,
    reorder = function() local q = a_queue() q:reorder(heads(q)) end,
    kick = function() a_queue():kick() end,
    interrupt = function() one_of(k.irqs():list()).hart = random(#k.harts + 1) end,
    ["run queue"] = function() k.sched.queue = one_of {"ring", "locked"} end,
    flusher = function() k.flusher.age_ms = random(1000) end,
    policy = function(t)
        local list = {}
        for i = 1, random(4) do list[i] = rule(i == 1 and t or victim(victims())) end
        k.policy = list
    end,
    construct = function()
        if #in_lua() > 3 then one_of(in_lua()):remove() end
        k.construct("mutate" .. random(6), function(t)
            if chance(4) then t.nice = random(20) end
            if chance(8) then k.sleep(random(3)) end
        end)
    end,
    ["take out"] = function() one_of(in_lua()):remove() end,
    ["fault for one"] = function(t)
        k.fault.inject(one_of {"lost-wake", "failed-alloc"}, random(9), {task = own(t)})
    end,
    fault = function()
        k.fault.inject(one_of {"delayed-io", "deadlock", "full-channel", "leaked-frame", "broken-ring"}, random(9))
    end,
    ["fault over"] = function() k.fault.remove(one_of(k.fault.list()).name) end,
    freeze = function(t)
        local spins = chance(8)
        k.freeze(function()
            for _ = 1, random(3) do t:backtrace() end
            while spins do end
        end, {ms = random(4)})
    end,
    pause = function(t)
        if #probes > 3 then k.off(table.remove(probes, 1)) end
        probes[#probes + 1] = k.on(one_of {"sys.enter", "fault.page"}, function(e)
            if chance(4) then pcall(function() e.task.nice = random(20) end) end
        end, {pause = not chance(4), where = {pid = own(t).pid}})
    end,
    ["no pause"] = function() k.off(table.remove(probes, random(#probes) + 1)) end,
    ["syscall counts"] = function() k.syscall_counts = not k.syscall_counts end,
    trace = function(t) keep(k.trace(a_point(), options(t))) end,
    events = function(t)
        local what = chance(3) and {a_point(), a_point(), one_of(points)} or a_point()
        keep(k.events(what, stream_options(t)))
    end,
    ["events to a function"] = function(t)
        local o = stream_options(t)
        o.secs = one_of {0.001, 0.01}
        k.events(a_point(), o, function() if chance(8) then error("enough") end return not chance(8) end)
    end,
    on = function(t)
        local o = {where = conditions(t), pause = chance(2), odd = chance(30) and 1 or nil}
        keep(k.on(a_point(), function(e) pcall(tostring, e.task) end, o))
    end,
    ["read a trace"] = function()
        local x = one_of(k.traces():where(function(x) return chance(8) or x.kind ~= "calls" end):list())
        if chance(3) then x:stop() end
        if chance(8) and x.kind == "counts" or x.kind == "events" then x:take(random(40)) else x:rows() end
    end,
    off = function()
        if chance(8) then k.off() probes, traces = {}, {} end
        k.off(chance(6) and one_of {0, -1, 1 << 40, "x"} or table.remove(traces))
    end,
    ["undo a fault"] = function()
        for _, row in ipairs(k.journal()) do
            if tostring(row.what):find("broken%-ring") then return k.undo(row.n) end
        end
        error("there is none")
    end,
    undo = function() k.undo() end,
    ["undo a row"] = function() k.undo(chance(4) and random(200) or one_of(k.journal()).n) end,
    -- never made
    ["run again a hart's"] = function() one_of(k.harts:list()).tls:first():run_again() end,
    fail = function() local q = a_queue() q:fail((heads(q))) end,
    hold_now = function(t) t:suspend {now = true} end,
    ["unsafe fault"] = function() k.fault.inject(one_of {"failed-io", "dropped-ipi", "long-poll"}, random(9)) end,
    stale = function(t) t.space.pt:set(address(t), "vru", {flush = false}) end,
}
local never = {["run again a hart's"] = true, fail = true, hold_now = true, stale = true, ["unsafe fault"] = true, interrupt = #k.harts == 1}
local kinds = {}
for name in pairs(changes) do kinds[#kinds + 1] = name end
table.sort(kinds)
local looks = {
    function(t) for _ in pairs(t) do end end,
    function(t) t:backtrace() end,
    function(t) for f in t.files do tostring(f) end end,
    function(t) k.phys:frame(one_of(t.space.pt:leaves{}).pa):owners() end,
    function() for l in k.locks() do tostring(l) end end,
    function() for c in k.channels() do c:queue() end end,
    function() for x in k.timers() do tostring(x) end end,
    function() for f in k.futexes() do tostring(f) end end,
    function() a_queue():ring() end,
    function() for x in k.traces() do tostring(x) end end,
    function() k.lint() end,
}

local wrong, made, refused
local function try(name, f, t)
    local good, message = pcall(f, t)
    if good then
        made[name] = (made[name] or 0) + 1
    else
        refused[name] = (refused[name] or 0) + 1
        message = tostring(message)
        if message:find("not enough memory") or message:find("overflow") then wrong[message] = true end
    end
end

local function set_right()
    k.mode = "rw"
    for q in k.queues() do
        pcall(function() q.delay_ms = 0 end)
        pcall(function() q.held = false end)
    end
    for x in k.tls("task") do if x.disabled then x.disabled = false end end
    k.off()
    probes, traces = {}, {}
    pcall(function() k.syscall_counts = false end) -- is off already
    for _, x in ipairs(in_lua()) do x:remove() end
    for _, f in ipairs(k.fault.list()) do if f.on then k.fault.remove(f.name) end end
    k.policy = {}
    pcall(function() k.sched.queue = "ring" end)
    k.flusher.age_ms = 30000
    for t in k.tasks() do pcall(function() if t.suspended then t:resume() end end) end
    eventually(function()
        host.sh("rm -f /tmp/on; killall -9 lazy spin stress sleep blocked dd 2>/dev/null")
        return #victims() == 0
    end, 60, "the programs end")
    for _, t in ipairs(victims()) do
        pcall(function() diag(("%s: %s, attn %s"):format(t, t.state, t.attn)) end)
    end
    is(host.sh("rm -f /mnt/mutate.* /tmp/stress.*; umount /mnt && mount -t vfat /dev/vda /mnt", 60000), 0, "the disk works")
end

-- "split 12 of 40, ...": how often each was made.
local function account()
    local t = {}
    for _, name in ipairs(kinds) do
        t[#t + 1] = ("%s %d of %d"):format(name, made[name] or 0, (made[name] or 0) + (refused[name] or 0))
    end
    return table.concat(t, ", ")
end

local function mutate(from)
    state, wrong, made, refused = from, {}, {}, {}
    write_to_disk()
    for _ = 1, 6 do spawn() end
    local alive, steps, till = victims(), 0, k.ns + seconds * 500000000
    while k.ns < till do
        steps = steps + 1
        if steps % 20 == 1 then
            alive = victims()
            if #alive < 8 then spawn() end
        end
        local t, name = victim(alive), one_of(kinds)
        if chance(6) then
            pcall(one_of(looks), t)
        elseif chance(10) then
            pcall(k.dry, function() changes[name](t) end)
        else
            try(name, changes[name], t)
        end
        if chance(12) then k.sleep(random(3)) end
    end
    set_right()
    for message in pairs(wrong) do ok(false, message) end
    for _, name in ipairs(kinds) do
        if never[name] then
            is(made[name], nil, name .. " is never made here in mode rw")
        elseif not made[name] and (refused[name] or 0) > 60 then
            ok(false, name .. " was never made")
        end
    end
    diag(("seed %d, %d steps: %s"):format(from, steps, account()))
end

k.mode = "rw"
k.session = {budget = 1000000 * (100 + seconds * 10)} -- a second of it takes 1 to 2 million instructions
baseline.same("all is as it was", function()
    mutate(seed)
    seed = seed + 1
end)
is(#k.phys:leaks(), 0, "no frame is lost")
done()
