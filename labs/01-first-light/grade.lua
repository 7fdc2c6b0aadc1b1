-- SPDX-License-Identifier: MIT
-- Lab 01: what is true is read from the kernel that runs, on the student's machine, in virtual time.
local lab = require "lib.lab"
local me = lab.begin(...)

local function logged(pattern)
    for line in k.log do
        if line.text:find(pattern) then return line.ns end
    end
    error("the log has lost its line " .. pattern)
end

-- The letters of the handout in the order of their moments.
local function order()
    local last_hart = 0
    for hart in k.harts do last_hart = math.max(last_hart, hart.started_ns) end
    local moments = {
        a = k.pid(1).born,
        b = k.task("sh").born,
        c = logged "^vda: ",
        d = last_hart,
        e = logged "^initrd: ",
        f = logged "^fat32 ",
    }
    local letters = {"a", "b", "c", "d", "e", "f"}
    table.sort(letters, function(x, y) return moments[x] < moments[y] end)
    return table.concat(letters, " ")
end

local function asleep()
    local n = 0
    for hart in k.harts do n = n + (hart.idle and 1 or 0) end
    return n
end

local function used()
    local m = k.memory()
    return m.total - m.free
end

-- A rule that is asked while nothing happens, and while a program runs.
local function rule_in_time(name, truth, start)
    local rule, why = lab.rule(name)
    local good = rule ~= nil
    if rule then good, why = lab.try(rule, "while nothing runs", nil, truth) end
    if good then
        start()
        good, why = lab.try(rule, "while a program runs", nil, truth)
        host.type("\3")
    end
    return lab.check(name, good, why)
end

local function waiting()
    return k.tasks():where{state = "waiting"}:count()
end

local function let_more_wait()
    local before = waiting()
    host.spawn("blocked 5")
    eventually(function() return waiting() >= before + 5 end, 20)
end

local function take_memory()
    host.spawn("lazy 8")
    host.type("touch 0-2047\n")
    host.expect("touched pages 0%-2047", 20000)
end

local function rights(va)
    return (k.pt:walk(va).bits:gsub("[^rwx]", ""))
end

-- Two processes of one program, when each of them waits.
local function twins()
    host.spawn("sleep 100000000 | blocked & sleep 100000000 | blocked &")
    return eventually(function()
        local pids = {}
        for t in k.tasks():where{name = "blocked", state = "waiting"} do
            if t.tid == t.pid then pids[#pids + 1] = t.pid end
        end
        return #pids == 2 and {k.pid(pids[1]).space, k.pid(pids[2]).space}
    end, 20)
end

-- Kinds of mappings that two processes of one program have at different addresses.
local function moved()
    local spaces = twins()
    local places, kinds = {{}, {}}, {}
    for i = 1, 2 do
        for m in spaces[i]:map() do
            if m.kind ~= "anonymous" then places[i][m.kind] = (places[i][m.kind] or "") .. (" %x"):format(m.lo) end
        end
    end
    for kind, at in pairs(places[1]) do
        if places[2][kind] ~= at then kinds[#kinds + 1] = kind end
    end
    return table.concat(kinds, " ")
end

local function leaf_rule()
    local rule, why = lab.rule("leaf")
    local good = rule ~= nil
    for _, name in ipairs({"init", "sh", "flusher", "reaper", "monitor"}) do
        local t = k.task(name)
        if good then
            good, why = lab.try(rule, "of the task " .. name, {t = t}, function() return t:backtrace()[1].fn end)
        end
    end
    return lab.check("leaf", good, why)
end

local walk = k.pt:walk(me.address)
local indexes = {}
for _, step in ipairs(walk.steps) do indexes[#indexes + 1] = step.index end

lab.value("harts", #k.harts, "k.harts lists them; is it your machine that you looked at?")
lab.value("order", order(), "the log has a time in each line, a task has one in .born, a hart in .started_ns")
lab.value("asleep", asleep(), "k.harts again, while nothing runs: .idle, and who is it that looks?")
rule_in_time("waiting", waiting, let_more_wait)
rule_in_time("used", used, take_memory)
lab.value("physical", ("0x%x"):format(walk.pa), "walk your own address, A, in the kernel's page table")
lab.value("indexes", table.concat(indexes, " "), "one index for each step of the walk, the root's first")
lab.value("page", 4 << 9 * walk.steps[#walk.steps].level, "count the levels that the walk did not need: each is a factor of 512")
lab.value("rights", rights(k.sym("space_fault")) .. " " .. rights(me.address),
    "of each of the two walks' .bits the letters r, w and x; first space_fault, then A", lab.sort_letters)
lab.value("moved", moved(), "compare the two maps line by line", lab.sort_words)
leaf_rule()
done()
