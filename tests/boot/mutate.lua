-- SPDX-License-Identifier: MIT
-- Random changes, sensible and not, while programs run: STEPS of them from SEED (arguments; 700 and 1). Whatever is asked for in
-- mode rw, the machine lives, and when all is set right again nothing has leaked. A change that is refused may say anything
-- but that the monitor itself is wrong.
-- harts: 4
local baseline = require "lib.baseline"
local args = {...}
local steps, seed = tonumber(args[1]) or 700, tonumber(args[2]) or 1
local programs = {"lazy --every 5 8", "spin 2", "stress 1 100000", "sleep 1000", "sleep 1000 | blocked 3"}
local names = {lazy = true, spin = true, stress = true, sleep = true, blocked = true}

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

-- Somebody to do it to: mostly a program of ours, now and then init, a kernel task, or one that is gone.
local gone
local function victim(alive)
    if chance(20) then return k.pid(1) end
    if chance(20) then return k.task("reaper") end
    if gone and chance(20) then return gone end
    gone = one_of(alive) or k.pid(1)
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
local queue = k.queue("vda.0")

local changes = {
    function(t) t.space.pt:set(address(t), letters("vrwxuadhg")) end,
    function(t) t.space.pt:set(address(t), "vru" .. letters("adxw")) end,
    function(t) local m = mapping(t) m:protect(letters("rwx"), range(m)) end,
    function(t) local m = mapping(t) m:remove(range(m)) end,
    function(t) local m = mapping(t) m:unload(range(m)) end,
    function(t) if t.pid ~= 1 then mapping(t):split(address(t)) end end, -- init would keep it
    function(t) if t.pid ~= 1 then t.space:add((random(64) + 1) * 4096 - (chance(8) and 1 or 0), letters("rwx"), chance(2) and address(t) or 0) end end,
    function(t) t:suspend() end,
    function(t) t:resume() end,
    function(t) t:signal(random(66)) end,
    function(t) t.nice = random(60) - 30 end,
    function(t) t.deadline = chance(4) and random(1 << 40) or k.ns + random(1 << 31) end,
    function(t) t:set_register(one_of(registers), chance(2) and address(t) or random(1 << 31) - 5) end,
    function(t) t.tls:first():run_again() end,
    function() local x = k.tls("task"):first() x.disabled = not x.disabled end,
    function() one_of(k.tls("task"):list()).order = random(4) end,
    function() queue.held = not queue.held end,
    function() queue.delay_ms = one_of {0, 0, 1, 5, 20, 70000} end,
    function() queue:release(random(70)) end,
    function() queue:reorder(random(70), random(70)) end,
    function() queue:kick() end,
    function() queue:fail(random(70)) end, -- in mode unsafe only
    function() one_of(k.irqs():list()).hart = random(#k.harts + 1) end,
    function() k.sched.queue = one_of {"ring", "locked"} end,
    function() k.flusher.age_ms = random(1000) end,
    function() k.undo() end,
    function() k.undo(random(200)) end,
}
local looks = {
    function(t) for _ in pairs(t) do end end,
    function(t) t:backtrace() end,
    function(t) for f in t.files do tostring(f) end end,
    function(t) k.phys:frame(tonumber(one_of(t.space.pt:leaves{}).pa, 16)):owners() end,
    function() for l in k.locks() do tostring(l) end end,
    function() for x in k.timers() do tostring(x) end end,
    function() for f in k.futexes() do tostring(f) end end,
    function() queue:ring() end,
}

local wrong, done_well, refused
local function try(f, t)
    local good, message = pcall(f, t)
    if good then
        done_well = done_well + 1
    else
        refused = refused + 1
        message = tostring(message)
        if message:find("not enough memory") or message:find("overflow") then wrong[message] = true end
    end
end

local function set_right()
    k.mode = "rw"
    pcall(function() queue.delay_ms = 0 end)
    pcall(function() queue.held = false end)
    for x in k.tls("task") do if x.disabled then x.disabled = false end end
    pcall(function() k.sched.queue = "ring" end)
    k.flusher.age_ms = 30000
    for t in k.tasks() do pcall(function() if t.suspended then t:resume() end end) end
    eventually(function()
        host.sh("killall -9 lazy spin stress sleep blocked 2>/dev/null")
        return #victims() == 0
    end, 30)
end

local function mutate(from)
    state, wrong, done_well, refused = from, {}, 0, 0
    for _ = 1, 6 do spawn() end
    local alive = victims()
    for i = 1, steps do
        if i % 20 == 1 then
            alive = victims()
            if #alive < 5 then spawn() end
        end
        local t, f = victim(alive), one_of(changes)
        if chance(6) then
            try(one_of(looks), t)
        elseif chance(10) then
            local before = #k.journal() + 0
            pcall(k.dry, function() f(t) end)
        else
            try(f, t)
        end
        if chance(12) then k.sleep(random(3)) end
    end
    set_right()
    for message in pairs(wrong) do ok(false, message) end
    ok(done_well > steps / 10 and refused > steps / 10,
        ("seed %d: %d were made, %d refused"):format(from, done_well, refused))
end

k.mode = "rw"
baseline.same("all is as it was", function()
    mutate(seed)
    seed = seed + 1
end)
is(#k.phys:leaks(), 0, "no frame is lost")
done()
