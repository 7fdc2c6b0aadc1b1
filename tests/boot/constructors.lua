-- SPDX-License-Identifier: MIT
-- k.construct: a constructor written in Lua runs for every thread that is born later, before the newborn's first step, on the
-- monitor; what it does is a change like any other; its mistakes and its slowness harm nobody.
-- kmon: --timeout 100
local still = require "lib.still"
local function listed(name) return k.tls("task"):where{name = name}:first() end

-- A newborn waits for half a second at most. Where the machine below gives the monitor's hart no time for as long, it is born without
-- what has not run for it, which is counted: then fn makes others, so that what is asked afterwards is of newborns that were in time.
local function late_ones()
    local n = 0
    for t in k.tls("task"):where{state = "run by the monitor at birth"} do n = n + t.late end
    return n
end
local function in_time(fn)
    local got
    eventually(function()
        local before = late_ones()
        got = table.pack(fn())
        return late_ones() == before
    end, 60)
    return table.unpack(got, 1, got.n)
end
local function run() return host.sh("sleep 0", 60000) end
local function born() return in_time(run) end

-- What the constructors themselves change stands in the journal, too: the latest of each kind.
local function undo(kind)
    for i = #k.journal(), 1, -1 do
        local row = k.journal()[i]
        if row.kind == kind and row.undoable then return k.undo(row.n) end
    end
end

fails(function() k.construct("early", print) end, "needs mode rw", "a constructor needs mode rw")
k.mode = "rw"
local calls = {}
local dry = k.dry(function() k.construct("noted", print) end)
is(dry[1], "add the constructor noted", "a dry run says what it would do")
ok(not listed("noted"), "and does not")
fails(function() k.construct("", print) end, "a name of 1 to 31 bytes", "it has a name")
fails(function() k.construct("x") end, "function expected", "and a function")

-- ---- it runs, once for each, before the newborn does anything

local first = k.construct("first", function(t)
    calls[#calls + 1] = {"first", t.id, t.name, t.utime}
    t.nice = 7
end)
is(first.state, "run by the monitor at birth", "it is in the list")
ok(first.at:find("tests/boot/constructors.lua:%d+$"), "with its place: " .. first.at)
is(born(), 0, "a program runs")
local seen = #calls
ok(seen >= 1 and first.constructed == seen, "its thread was constructed")
local sleeper = in_time(function()
    local _, out = host.sh("killall -9 sleep 2>/dev/null; sleep 1000 >/dev/null & sleep 0; echo -n started $!", 60000)
    local said, pid = out:match("(%a+) (%d+)")
    is(said, "started", "a program goes on")
    return eventually(function() return k.tasks():where{name = "sleep", pid = tonumber(pid)}:first() end, 20, "and is seen")
end)
is(sleeper.nice, 7, "with what its constructor changed")
local row = k.journal()[#k.journal()]
ok(row.kind == "task.nice" and row.undoable, "which the journal has")
is(host.sh("for i in $(seq 70); do sleep 0; done", 60000), 0, "many are born")
local nices = k.journal()
is(nices[1].what, "add the constructor first", "the journal has not lost what was before them")
is(#nices, 2, "their changes have one row")
ok(nices[2].times + first.late > 70, "which counts them")
local once = {}
for _, c in ipairs(calls) do ok(not once[c[2]], "one call for each") once[c[2]] = true end

-- ---- the order, disabling, running again, taking out

local second = k.construct("second", function(t) calls[#calls + 1] = {"second", t.id} end)
local function order_of_next()
    in_time(function()
        calls = {}
        run()
    end)
    local out = {}
    for i, c in ipairs(calls) do if c[2] == calls[1][2] then out[#out + 1] = c[1] end end
    return table.concat(out, " ")
end
is(order_of_next(), "first second", "two run in the order of the list")
second.order = first.order
is(order_of_next(), "second first", "which can be changed")
fails(function() second.order = 1 end, "no other constructor is number 1", "but not to before those in C")
fails(function() k.tls("task"):where{name = "birth"}:first().order = first.order end, "no other constructor", "nor one in C to behind them")
undo "tls.order"
is(order_of_next(), "first second", "and changed back")
first.disabled = true
is(order_of_next(), "second", "one that is disabled does not run")
ok(first.skipped_last, "as its item says")
first.disabled = false
calls = {}
sleeper.tls:where{name = "second"}:first():run_again()
ok(#calls == 1 and calls[1][2] == sleeper.id, "it can be run for a task that there is")
fails(function() second:run_again() end, "this is the list", "not for none")
second:remove()
ok(not listed("second"), "it can be taken out")
is(order_of_next(), "first", "and runs no more")
undo "tls.remove"
is(order_of_next(), "first second", "and be put back where it was")
fails(function() listed("birth"):remove() end, "one in C is disabled, not removed", "one in C stays")
second:remove()
fails(function() return second.name end, "stale handle", "its handle is stale")
local adding
for _, r in ipairs(k.journal()) do if r.what == "add the constructor first" then adding = r.n end end
k.undo(adding)
ok(not listed("first"), "adding one can be undone")

-- ---- mistakes and slowness

local bad = k.construct("bad", function() local t = nil; return t.field end)
local after = k.construct("after", function() end)
is(born(), 0, "a newborn survives the mistake of its constructor")
is(born(), 0, "and so does the next")
ok(bad.failed >= 2 and bad.constructed == 0, "which is counted")
ok(bad.error:find("tests/boot/constructors.lua:%d+: attempt to index a nil value"), "and kept: " .. bad.error)
ok(after.constructed >= 2, "those behind it run all the same")
bad:remove()
local endless = k.construct("endless", function() while true do pcall(error) end end)
local before = after.constructed
is(born(), 0, "a newborn survives one that does not end")
ok(endless.error:find("constructors.lua:%d+: instruction budget of 200000 spent"), "which is ended: " .. endless.error)
ok(after.constructed > before, "and those behind it run")
endless:remove()

local slow = k.construct("slow", function() k.sleep(800) end)
local behind = k.construct("behind", function() end)
is(host.sh("sleep 0 & sleep 0; wait", 60000), 0, "newborns do not wait for one that sleeps for long")
ok(eventually(function() return behind.late >= 2 end, 20), "and go without those behind it, as their items say")
slow:remove()
behind:remove()
local late = after.late
host.spawn("sleep 0")
local till = k.ns + 3000000000
repeat until k.ns > till -- nobody is attended to
k.sleep(20)
ok(after.late >= late, "a script that does not wait keeps no newborn for longer than half a second")
local own
own = k.construct("own", function() own:remove() end)
ok(eventually(function() run() return not listed("own") end, 60), "one takes itself out")

-- Threads, and many at a time.
before = after.constructed + after.late
is(host.sh("mkfifo /tmp/b; { sleep 1000 | blocked 20 >/tmp/b; } & read line </tmp/b", 60000), 0, "a process makes threads")
ok(eventually(function() return after.constructed + after.late >= before + 20 end, 20), "which are constructed, too")
host.sh("killall blocked; rm /tmp/b")
for i = 1, 7 do k.construct("more" .. i, function() end) end
fails(function() k.construct("one more", print) end, "8 constructors in Lua are the most", "there are few")

for t in k.tls("task"):where{state = "run by the monitor at birth"} do t:remove() end

-- A script that has run for long and is told to stop right after a constructor has run: it is unwound, not thrown away.
k.session = {budget = 1000000000}
for i = 1, 25000000 do end
local constructed = false
k.construct("brief", function()
    for i = 1, 5000 do end
    constructed = true
end)
host.sh("touch /tmp/on; while [ -e /tmp/on ]; do sleep 0.1; done >/dev/null 2>&1 &")
local function deep(n)
    if n == 0 then k.account() else pcall(deep, n - 1) end
end
local function freeze_after_one()
    constructed = false
    while not constructed do k.sleep(20) end
    k.freeze(function() deep(60) end)
end
fails(function() still.held(freeze_after_one) end, "thawed, since fn waited", "a script that has run for long is unwound")
listed("brief"):remove()
host.sh("rm /tmp/on")

-- A newborn that waits is a task like others, and can be killed.
local waits, where, seen_of = nil, nil, {}
k.construct("look", function(t)
    if where then return end
    seen_of = {t.id, eventually(function() return t.state == "waiting" and t.state end, 10), t:backtrace()}
end)
k.construct("kills", function(t) -- which runs if the newborn waits still
    if not where and seen_of[1] == t.id then waits, where = seen_of[2], seen_of[3] end
    t:signal("KILL")
end)
ok(eventually(function() return run() ~= 0 and where end, 60), "one that its constructor kills does not run")
is(waits, "waiting", "a newborn waits meanwhile")
local names = {}
for _, step in ipairs(where) do names[#names + 1] = step.fn end
ok(table.concat(names, " "):find("^event_wait constructors thread_born user_loop"), "where its backtrace says: " .. table.concat(names, " "))
listed("look"):remove()
listed("kills"):remove()
sleeper:signal("KILL")
is(born(), 0, "without them programs run as before")
done()
