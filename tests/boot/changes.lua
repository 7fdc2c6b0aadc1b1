-- SPDX-License-Identifier: MIT
-- kmon: --initrd build/tests.cpio
-- Each change of the monitor in turn: a dry run changes nothing, a refusal neither, the change has its effect in the program,
-- its row is in the journal, and undo takes it back (or the row says that nothing can).
local function find(name) return k.tasks():where{name = name}:first() end

-- A change as a whole: refused in ro, dry, made, and what undo says of it.
local function change(what, make, looks)
    local before = looks()
    k.mode = "ro"
    fails(make, "needs mode rw", what .. ": not in mode ro")
    local notes = k.dry(make)
    is(#notes, 1, what .. ": a dry run says what would be done: " .. tostring(notes[1]))
    is(looks(), before, what .. ": and does nothing")
    k.mode = "rw"
    local rows = #k.journal()
    make()
    isnt(looks(), before, what .. ": it is done")
    if what ~= "add" then -- which says afterwards where it is
        is(k.journal()[#k.journal()].what, notes[1], what .. ": the journal has the dry run's words")
    end
    return before
end
local function undone(what, before, looks)
    local rows, i = k.journal(), #k.journal()
    while not rows[i].undoable or rows[i].undone_by do i = i - 1 end
    k.undo()
    is(looks(), before, what .. ": undo takes it back")
    fails(function() k.undo(rows[i].n) end, "row " .. rows[i].n .. " was undone by row", what .. ": and once only")
end
local function refused(make, why, what, looks)
    local before, rows = looks and looks(), #k.journal()
    fails(make, why, what)
    if looks then is(looks(), before, what .. ": all is as it was") end
    is(#k.journal(), rows, what .. ": nothing in the journal")
end

host.sh("mkfifo /tmp/in")
host.spawn("exec 8<>/tmp/in; lazy 4 </tmp/in >/tmp/out &")
local lazy = eventually(function() return find("lazy") end, 20, "a program runs")
local mapped = require "lib.mapped"
local m = eventually(function() return mapped(lazy, 4 << 20) end, 10, "it has mapped 4 MiB")
local space, pt = lazy.space, lazy.space.pt
local function page(n) return m.lo + n * 4096 end
local function say(word, n) host.sh(("echo %s %d >/tmp/in"):format(word, n)) end
local function layout()
    local out = {}
    for x in space:map() do out[#out + 1] = ("%x-%x %s"):format(x.lo, x.hi, x.perm) end
    return table.concat(out, " ")
end
say("touch", 1) say("touch", 2)
eventually(function() return pt:walk(page(2)).pa end, 10, "and touches two pages")

-- ---- mappings

local at
local before = change("add", function() at = space:add(8192, "rw-") end, layout)
is(at.bytes, 8192, "add: as large as was asked for")
is(at.perm, "rw-p", "add: with the rights")
undone("add", before, layout)
refused(function() space:add(4096, "rw-", m.lo) end, "is mapped there", "add where something is", layout)
refused(function() space:add(100, "rw-") end, "not whole pages", "add of part of a page", layout)
refused(function() space:add(4096, "rw-", 1 << 40) end, "not in user space", "add beyond user space", layout)
refused(function() space:add(1 << 36, "rw-") end, "no room", "add of more than there is", layout)

before = change("split", function() m:split(page(8)) end, layout)
is(m.bytes, 8 * 4096, "split: the first part")
is(space:find(page(8)).lo, page(8), "split: the second begins where it was cut")
undone("split", before, layout)
refused(function() m:split(page(8) + 1) end, "not at a page", "split inside a page", layout)
refused(function() m:split(m.lo) end, "begins there already", "split at the beginning", layout)

before = change("protect", function() m:protect("r--", page(4), page(6)) end, layout)
undone("protect", before, layout)

before = change("remove", function() m:remove(page(16), page(32)) end, layout)
is(space:find(page(16)), nil, "remove: nothing is there")
undone("remove", before, layout)
refused(function() m:remove(page(0), page(4)) end, "pages of its own would be lost", "remove of what a program wrote", layout)
refused(function() m:remove(page(0), page(4) + 1) end, "not whole pages", "remove of half a page", layout)
local text = space:map():first()
local object = text.object
local function text_pages() return layout() .. object.mappings end
before = change("remove a file's", function() text:remove() end, text_pages)
undone("remove a file's", before, text_pages)

-- What is shared has its pages as long as somebody maps it, who need not be who mapped it then.
local function start(how)
    host.sh("mkfifo /tmp/in2")
    host.spawn("exec 9<>/tmp/in2; lazy " .. how .. " 1 </tmp/in2 >/tmp/out2 &")
    local p = eventually(function() return k.tasks():where{name = "lazy"}:list()[2] end, 20, "another program runs")
    local all = eventually(function() return mapped(p, 1 << 20) end, 10, "it has mapped 1 MiB")
    return p, all.lo, function(word, n, says)
        host.sh(("echo %s %d >/tmp/in2"):format(word, n))
        eventually(function() return select(2, host.sh("tail -n 1 /tmp/out2")):find(says) end, 10, word .. ": it says " .. says)
    end
end
local sharer, lo, tell = start("--shared")
local function part(n) return lo + n * 4096 end
local function all() return sharer.space:find(lo) end
local function region(n) local x = sharer.space:find(part(n)) return x and ("%x-%x %s"):format(x.lo, x.hi, x.perm) or "nothing" end
local function shared() return region(3) .. " " .. region(9) end
tell("touch", 3, "touched page 3")
tell("touch", 9, "touched page 9")
refused(function() all():remove() end, "2 pages that nothing else has would be lost", "remove of what only it maps", shared)
before = change("remove a part of what is shared", function() all():remove(part(0), part(8)) end, shared)
undone("remove a part of what is shared", before, shared)
tell("read", 3, "page 3 holds 4")
tell("fork", 0, "child %d")
before = change("remove what a child maps too", function() all():remove() end, shared)
undone("remove what a child maps too", before, shared)
tell("read", 3, "page 3 holds 4")
tell("read", 9, "page 9 holds 10")
tell("join", 0, "has ended")
refused(function() all():remove() end, "2 pages that nothing else has would be lost", "remove when the child has ended", shared)
k.mode = "unsafe"
all():remove()
k.mode = "rw"
is(sharer.space:find(part(3)), nil, "remove of what only it maps, in unsafe mode")
is(k.journal()[#k.journal()].undoable, false, "remove of what only it maps: cannot be undone")
tell("quit", 0, "")
eventually(function() return #k.tasks():where{name = "lazy"}:list() == 1 end, 10, "it ends")

-- The same with a file that has lost its name.
host.sh("rm /tmp/in2; dd if=/dev/zero of=/tmp/nameless bs=4096 count=256 2>/dev/null")
sharer, lo, tell = start("--file /tmp/nameless")
before = change("remove of a file", function() all():remove() end, shared)
undone("remove of a file", before, shared)
host.sh("rm /tmp/nameless")
refused(function() all():remove() end, "256 pages that nothing else has would be lost", "remove of a file that is deleted", shared)
tell("quit", 0, "")
eventually(function() return #k.tasks():where{name = "lazy"}:list() == 1 end, 10, "it ends")

local init = k.pid(1).space:map():first()
refused(function() init:remove() end, "it is init's", "remove of init's text")
refused(function() init:protect("---") end, "it is init's", "protect of init's text")

local function valid() return tostring(pt:walk(page(1)).bits:find("v$") ~= nil) .. tostring(pt:walk(page(2)).bits:find("v$") ~= nil) end
before = change("unload", function() m:unload() end, valid)
is(valid(), "falsefalse", "unload: no page is valid")
undone("unload", before, valid)
m:unload()
local faults = space.faults
say("read", 1)
eventually(function() return space.faults > faults and pt:walk(page(1)).pa end, 10, "unload: the next touch faults")
refused(function() space:find(page(100)):unload(page(100), page(101)) end, "no page is there", "unload of nothing", valid)

-- ---- a task

local function nice() return lazy.nice end
before = change("nice", function() lazy.nice = 7 end, nice)
is(host.sh("grep -q ' 27 7 ' /proc/" .. lazy.pid .. "/stat"), 0, "nice: /proc says so")
undone("nice", before, nice)
refused(function() lazy.nice = 20 end, "from -20 to 19", "a niceness that does not exist", nice)

refused(function() lazy:set_register("a0", 1) end, "suspend it first", "registers of a task that waits in the kernel")
refused(function() lazy:set_register("sstatus", 1) end, "there is no register", "registers of the kernel")
host.spawn("sleep 1 & spin & echo spins")
local spin = eventually(function() return find("spin") end, 10, "another spins")
spin:suspend()
eventually(function() return spin.state == "suspended" and spin.fn == "user_attend" end, 10, "and is suspended") -- parked
local function s11()
    for _, r in ipairs(spin:registers()) do if r.name == "t6" then return r.value end end
end
before = change("register", function() spin:set_register("t6", 0x1234) end, s11)
is(s11(), 0x1234, "register: the value")
undone("register", before, s11)
refused(function() spin:set_register("pc", 0x10001) end, "odd address", "an odd pc", s11)
spin:set_register("pc", 0xffffffc080200000)
spin:resume()
eventually(function() return not find("spin") end, 10, "a pc in the kernel ends the program, and nothing else")
refused(function() k.pid(1):signal("KILL") end, "it is init", "a signal to init")
refused(function() lazy:signal("NONE") end, "there is no signal", "a signal that does not exist")
refused(function() k.task("reaper"):signal(9) end, "kernel task", "a signal to a kernel task")

eventually(function() return not find("sleep") end, 20) -- for a second, from above
host.spawn("sleep 1000 & sleep 1001 & sleep 1002 &")
local sleeps = eventually(function()
    local l = k.tasks():where{name = "sleep", state = "waiting"}:list()
    return #l == 3 and l
end, 10, "three sleep")
k.mode = "rw"
is(#k.dry(function() sleeps[1]:signal("TERM") end), 1, "signal: a dry run")
is(sleeps[1].state, "waiting", "signal: which sends nothing")
sleeps[1]:signal("TERM")
eventually(function() return not pcall(function() return sleeps[1].state end) end, 10, "signal: it ends")
fails(function() k.undo(k.journal()[#k.journal()].n) end, "cannot be undone", "signal: what was sent was sent")
local function deadline() return sleeps[2].deadline end
local when = k.ns + 3600000000000
before = change("deadline", function() sleeps[2].deadline = when end, deadline)
undone("deadline", before, deadline)
refused(function() sleeps[2].deadline = 1 end, "that time is over", "a deadline that is over", deadline)
refused(function() sleeps[2].deadline = -1 end, "a time is not negative: -1", "a deadline before the machine was there", deadline)
refused(function() sleeps[2].deadline = math.mininteger end, "a time is not negative", "nor the least", deadline)
refused(function() sleeps[2].deadline = math.maxinteger end, "more than a year away", "a deadline that nobody will see", deadline)
sleeps[2].deadline = k.ns + 50000000
eventually(function() return not pcall(function() return sleeps[2].state end) end, 10, "deadline: it is ended then")
is(sleeps[3].state, "waiting", "and no other")
sleeps[3]:signal(15)

-- ---- storage of a task

local birth = lazy.tls:where{name = "birth"}:first()
local function born() return lazy.born end
before = change("run a constructor again", function() birth:run_again() end, born)
undone("run a constructor again", before, born)
local tls = k.tls("task"):where{name = "birth"}:first()
local function order() return tls.order end
local other = 3 - tls.order -- there are two
before = change("constructors change places", function() tls.order = other end, order)
host.spawn("spin &")
local young = eventually(function() return find("spin") end, 10, "a task is born")
ok(young.born > 0 and young.creator > 0, "both constructors ran, in the other order")
young:signal("KILL")
undone("constructors change places", before, order)
refused(function() tls.order = 9 end, "no other constructor is number 9", "a place that nobody has", order)
local function disabled() return tls.disabled end
before = change("disable a constructor", function() tls.disabled = true end, disabled)
undone("disable a constructor", before, disabled)
refused(function() tls.disabled = false end, "it is so already", "enable what is enabled", disabled)
refused(function() tls:run_again() end, "this is the list", "a constructor of nobody")
refused(function() k.harts[0].tls:first():run_again() end, "a hart's is in use", "a hart's in mode rw")

-- ---- a page table entry, once more as a whole

local walk = pt:walk(page(1))
local function bits() return walk.bits end
before = change("entry", function() walk.bits = "vrua" end, bits)
undone("entry", before, bits)
refused(function() walk.bits = "vrwug" end, "never global", "a global entry", bits)

-- In mode unsafe: without the shootdown (of an entry that is given more rights, which no build objects to), and a task that is
-- held where it waits, with what it holds.
refused(function() pt:set(page(1), "vruad", {flush = false}) end, "needs mode unsafe", "an entry without shootdown", bits)
refused(function() lazy:suspend{now = true} end, "needs mode unsafe", "a task held at its await")
pt:set(page(1), "vruad")
k.mode = "unsafe"
pt:set(page(1), "vrwuad", {flush = false})
like(walk.bits, "wrv$", "stale: the table has the new rights")
is(#lazy:suspend{now = true}, 0, "hold: it has no lock")
is(lazy.state, "held", "hold: it is parked where it waits")
k.undo()
isnt(lazy.state, "held", "hold: undo lets it go")
k.mode = "rw"

-- ---- a virtqueue

local queue = k.queue("vda.0")
local function held() return queue.held end
before = change("hold", function() queue.held = true end, held)
undone("hold", before, held)
local function delay() return queue.delay_ms end
before = change("delay", function() queue.delay_ms = 300 end, delay)
refused(function() queue.held = true end, "handed on late", "hold with a delay", delay)
local began = k.ns
is(host.sh("dd if=/dev/vda of=/dev/null bs=4096 count=1 skip=7777 2>/dev/null"), 0, "delay: a read comes back")
ok(k.ns - began >= 300000000, "delay: but not before its time")
undone("delay", before, delay)
began = k.ns
refused(function() queue.delay_ms = 100000 end, "from 0 to 60000", "a delay that is too long", delay)
refused(function() queue:reorder(0, 1) end, "is not held", "reorder of what is not held")
queue.held = true
host.spawn("for i in 1 2; do dd if=/dev/vda of=/tmp/r$i bs=4096 count=1 skip=$((i*1000+9000)) 2>/dev/null & done; wait; echo both read")
eventually(function() return queue.held_count == 2 end, 10, "two completions are held")
local heads = {queue:chains()[1].head, queue:chains()[2].head}
is(#k.dry(function() queue:reorder(heads[1], heads[2]) end), 1, "reorder: a dry run")
queue:reorder(heads[1], heads[2])
like(k.undo(), "exchange", "reorder: undo exchanges them again")
queue:reorder(heads[1], heads[2])
refused(function() queue:release(255) end, "is not held", "release of what is not held")
queue:release(heads[2])
eventually(function() return queue.held_count == 1 end, 10, "release: one goes on by itself")
queue.held = false
host.expect("both read", 10000)
ok(true, "let go, both programs end")
local kicks = queue.kicks
queue:kick()
ok(queue.kicks >= kicks, "kick: with nothing to do the device need not hear")

-- ---- interrupts and the rest

if #k.harts > 1 then
    local blk = k.irqs():where{name = "blk"}:first()
    local function hart() return blk.hart end
    before = change("deliver an interrupt elsewhere", function() blk.hart = (blk.hart + 1) % #k.harts end, hart)
    local there, count = blk.hart
    for _, c in ipairs(blk:counts()) do if c.hart == there then count = c.count end end
    host.sh("dd if=/dev/vda of=/dev/null bs=4096 count=1 skip=5555 2>/dev/null")
    for _, c in ipairs(blk:counts()) do if c.hart == there then ok(c.count > count, "and there it comes") end end
    undone("deliver an interrupt elsewhere", before, hart)
    refused(function() blk.hart = 99 end, "no hart 99", "a hart that does not exist", hart)
end

-- ---- what was tried left nothing behind

say("quit", 0)
eventually(function() return not find("lazy") end, 10, "the program ends")
like(select(2, host.sh("cat /tmp/out")), "page 1 holds 2\n", "what it wrote was there when its page was valid again")
is(#k.phys:leaks(), 0, "no frame is lost")
done()
