-- Looking inside a running kernel, and changing it: each change is validated, journalled, undone,
-- while the program under study goes on.
local function find(name) return k.tasks():where{name = name}:first() end
local mapped = require "lib.mapped"

-- ---- reading

host.sh(":") -- when it answers, boot is over
require("lib.baseline").settled() -- and whom it began has ended
ok(#k.harts >= 1, "there are harts")
is(k.harts[0].online, true, "the boot hart is online")
for t in k.tasks() do
    local steps = t:backtrace()
    if #steps == 0 or not steps[#steps].at:match("^%a+/.+%.c:%d+$") then
        ok(false, "backtrace of " .. tostring(t))
    end
end
ok(true, "every task has a backtrace with file and line")
like(tostring(k.pid(1)), "^Task#%d+ init pid 1", "init is pid 1")
is(k.pid(1).parent, 0, "and has no parent")
fails(function() return k.pid(1).nmae end, "did you mean 'name'?", "a wrong field is an error with a suggestion")
fails(function() k.pid(1).name = "x" end, "Task.name is read-only", "a field without a setter says so")
fails(function() return k.task(999999) end, "there is no Task#999999", "no such task")
fails(function() return k.tsks() end, "did you mean 'tasks'?", "k's members, too")
is(#k.pid(1).space:map(), k.pid(1).space.mappings, "every mapping is listed")
is(k.pid(1).space:find(0x100), nil, "nothing is mapped at 0x100")
like(k.pid(1).space.pt:walk(0x100).stops, "^level %d: the entry is empty", "the walk says where it stops")
for _, va in ipairs{0x4000010000, (1 << 62) + 0x10000, 0xffffffbfffffffff, math.mininteger} do
    local why = ("0x%x is no Sv39 address"):format(va)
    is(table.concat({tostring(k.pid(1).space.pt:walk(va)), select(2, k.pid(1).space.pt:walk(va))}, " "), "nil " .. why, why)
    is(select(2, k.pt:walk(va)), why, "nor one of the kernel's")
    is(select(2, k.pid(1).space:find(va)), why, "nothing can be there")
end
for _, va in ipairs{0x3fffffffff, 0xffffffc000000000, -1} do
    ok(k.pid(1).space.pt:walk(va), ("0x%x is an address"):format(va))
end
like(k.pt:walk(0xffffffc080200000).bits, "x%-rv$", "kernel text is executable and not writable")
is(select(2, k.peek(0x1000)), "fault 0x1000", "a bad read is an answer, not a fault")
is(#k.peek(0xffffffc080200000, 16), 16, "kernel memory can be read")
ok(#k.syscalls() > 100, "system calls are listed")
ok(k.memory().free > 0, "frames are counted")
ok(k.pt.tables >= #k.pt:walk(0xffffffc080200000).steps, "the kernel's table has tables: " .. k.pt.tables)
is(k.pt.resident, nil, "and no user frames to be counted")
is(k.pid(1).space.pt.tables, k.pid(1).space.tables, "a space's has as many as the space says")
fails(function() return ("x"):rep(1e9) end, "not enough memory", "a script's memory is bounded")
is(#(""):rep(1 << 62), 0, "an endless repetition of nothing ends")
fails(function() return table.unpack({}, 1, 1e8) end, "too many results", "so is its stack")
local function deep() return (("a"):gsub("a", deep)) end
fails(deep, "stack overflow", "and its C stack")

-- ---- modes

local init = k.pid(1)
k.mode = "ro"
fails(function() init:suspend() end, "needs mode rw", "ro changes nothing")
is(k.dry(function() init:suspend() end)[1], "suspend Task#" .. init.id .. " init", "a dry run says what would be done")
is(init.suspended, false, "and does not do it")
local limits = k.session
local tried = k.dry(function()
    k.mode = "unsafe"
    init:signal("TERM")
    k.session = {heap = limits.heap - 4096, budget = limits.budget - 1}
end)
is(k.mode, "ro", "nor sets the mode")
is(tried[1], "make the mode unsafe", "but says so")
like(tried[2], "^send TERM to Task#%d+ init", "and tries the rest in that mode")
is(k.session.heap .. " " .. k.session.budget, limits.heap .. " " .. limits.budget, "nor the limits: " .. tried[3])
k.session = {budget = limits.budget * 2}
for _ = 1, limits.budget * 6 // 5 do end
ok(true, "a budget that is raised holds for the command that is under way")
fails(function() k.dry(function() k.mode = "rw" error("oh") end) end, "oh", "nor when it fails")
is(k.mode, "ro", "is the mode another")

-- A register is read in unsafe alone; where no device answers, the access faults.
local uart = 0xffffffc000000000 + k.devices():where{driver = "uart16550"}:first().registers
local interrupts, nobody = uart + 1, 0xffffffc018000000 -- PC16550D: Interrupt Enable Register
is(select(2, k.peek(interrupts, 1)), ("0x%x: not RAM (unsafe mode reads it all the same)"):format(interrupts), "a register")
is(select(2, k.peek(nobody)), ("0x%x: not RAM (unsafe mode reads it all the same)"):format(nobody), "and what is nobody's")
k.mode = "unsafe"
is(k.peek(interrupts, 1):byte() & 1, 1, "is read in unsafe: bytes that come interrupt")
is(select(2, k.peek(nobody)), ("fault 0x%x"):format(nobody), "what is nobody's faults")
k.mode = "rw"
fails(function() k.task("reaper"):suspend() end, "no user border", "a kernel task cannot be suspended")

-- ---- a program under study

host.spawn("lazy 64")
local lazy = eventually(function() return find("lazy") end, 20, "the program runs")
local lazy_id = lazy.id
local mapping = eventually(function()
    return mapped(lazy, 64 << 20)
end, 10, "it has mapped 64 MiB")
local space, pt = lazy.space, lazy.space.pt
is(mapping.resident, 0, "no page is there")
is(mapping.lazy, true, "it is lazy")
local function page(n) return mapping.lo + n * 4096 end
local function touch(n) host.type("touch " .. n .. "\n") end
local function said(what, n)
    host.expect("lazy: " .. what .. " page " .. n .. " ", 10000)
end

touch(7) said("touched", 7)
ok(pt:walk(page(7)).pa, "a touched page is there")
is(mapping.resident, 1, "one page is resident")
is(#pt:leaves{lo = mapping.lo, hi = mapping.hi}, 1, "one leaf in the page table")
local leaf = pt:leaves{lo = mapping.lo, hi = mapping.hi}[1]
is(pt:walk(leaf.va).pa, leaf.pa, "whose addresses are numbers")
is(k.phys:frame(leaf.pa).pa, leaf.pa, "of a frame")
is(k.phys:frame(leaf.pa):owners()[1].va, leaf.va, "which knows where it is")
is(pt:walk(leaf.va).steps[1].table, pt.root, "a walk begins at the root")
is(space:gaps()[1].to, space:map():first().lo, "and the first gap ends where the first mapping begins")
local shown = tabulate({leaf}, {"va", "pages"}):match("\n(.*)")
is(shown, ("0x%x  1"):format(leaf.va), "shown in hexadecimal")
is(table.concat(mapping:cells(4), " "), "1 0 0 0", "in the first quarter of the mapping")
touch(16383) said("touched", 16383)
is(table.concat(mapping:cells(4), " "), "1 0 0 1", "and one in the last")
host.type("drop 16383\n") said("dropped", 16383)
is(table.concat(mapping:cells(1)), "1", "which is given back")
is(#mapping:cells(), 24, "as many cells as are shown in a row")
fails(function() mapping:cells(0) end, "1 to 256 cells", "but not none")
fails(function() mapping:cells(257) end, "1 to 256 cells", "nor more than fit")

-- 1: a task
lazy:suspend()
touch(8)
eventually(function() return lazy.state == "suspended" end, 10, "a suspended task parks at the user border")
ok(not pt:walk(page(8)).pa, "and touches nothing")
fails(function() lazy:suspend() end, "suspended already", "it cannot be suspended twice")
like(k.undo(), "^resume", "undo resumes it")
said("touched", 8)
ok(pt:walk(page(8)).pa, "and it goes on")

-- 2: a mapping
mapping.perm = "r--"
is(mapping.perm, "r--p", "rights of a mapping change")
like(pt:walk(page(7)).bits, "%-rv$", "in the page table, too")
host.type("read 7\n")
host.expect("page 7 holds 8", 10000)
ok(true, "reading goes on")
like(k.undo(), "rw%-", "undo gives the rights back")
touch(9) said("touched", 9)
fails(function() mapping:protect("rw-", mapping.lo + 5) end, "not whole pages", "half a page is refused")
fails(function() mapping:protect("rw-", mapping.lo - 4096) end, "not within one mapping", "so is a range that is not mapped")

-- 3: a page table entry
local walk = pt:walk(page(7))
local before, faults = walk.bits, space.faults
pt:set(page(7), "vruad")
is(walk.bits, "-da-u--rv", "an entry has lost W")
touch(7) said("touched", 7)
ok(space.faults > faults, "the next write faults: no stale translation is left")
eventually(function() return walk.bits == before end, 10, "and the fault gives W back")
pt:set(page(7), "hruad")
is(walk.pa, nil, "an entry without V leads nowhere")
like(k.undo(), "^entry of", "undo")
is(walk.bits, before, "restores it")
fails(function() walk.bits = "vwu" end, "reserved", "W without R is refused")
fails(function() walk.bits = "vrw" end, "without u", "so is an entry for the kernel")
fails(function() pt:set(0x1000, "vru") end, "no frame", "and an address without a frame")

-- pausing on a fault: only the faulting task waits
local seen, state, walked
local probe = k.on("fault.page", function(e)
    if e.va == page(100) then
        walked = pt:walk(e.va).stops
        eventually(function() -- on another hart it is about to park when it is told of
            state = e.task.state
            return state == "held"
        end, 10)
        seen = e.va
    end
end, {pause = true, where = {pid = lazy.pid}})
touch(100)
eventually(function() return seen end, 10, "a page fault calls back")
is(state, "held", "the faulting task is parked")
ok(walked, "its page is not there yet")
said("touched", 100)
ok(pt:walk(page(100)).pa, "then it goes on and gets its page")
k.off(probe)
fails(function() k.on("vq.add", print, {pause = true}) end, "cannot pause", "a point inside of locks cannot pause")
fails(function() k.on("fault.pge", print) end, "did you mean 'fault.page'?", "points are suggested")

host.type("quit\n")
eventually(function() return not find("lazy") end, 10, "the program ends")
fails(function() return lazy.state end, "stale handle: Task#" .. lazy_id .. " exited", "its handle is stale")
fails(function() return mapping.lo end, "stale handle", "so is its mapping's")

-- 4: a constructor of task-local storage
local birth = k.tls("task"):where{name = "birth"}:first()
ok(birth.constructed > 0, "constructors ran")
is(birth.state, "constructed at birth", "the list says what happens at birth")
birth.disabled = true
host.spawn("sleep 1000")
local t = eventually(function() return find("sleep") end, 10, "a task is born")
is(t.born, 0, "without the disabled constructor's object")
k.undo()
is(birth.disabled, false, "undo enables it")
local instance = t.tls:where{name = "birth"}:first()
is(instance.state, "not constructed", "for those born later: this one was born without")
is(t.tls:where{name = "creator"}:first().state, "constructed", "but with the other")
eventually(function() return t.state == "waiting" end, 10, "it waits")
instance:run_again()
ok(t.born > 0 and instance.state == "constructed", "the constructor can be run for it")
k.undo()
ok(t.born == 0 and instance.state == "not constructed", "and what it made taken away again")
for h in k.harts do
    for x in h.tls do is(x.state, x.ctor and "constructed" or "zeroed", tostring(h) .. " has its " .. x.name) end
end
host.type("\3")
eventually(function() return not find("sleep") end, 10)
host.spawn("sleep 1000")
t = eventually(function() return find("sleep") end, 10, "another is born")
ok(t.born > 0, "with it")
is(t.tls:where{name = "birth"}:first().state, "constructed", "as its instance says")
host.type("\3")
eventually(function() return not find("sleep") end, 10)

-- 5: a virtqueue
local queue = k.queue("vda.0")
queue.held = true
host.spawn("dd if=/dev/vda of=/dev/null bs=4096 count=1 skip=12345 2>/dev/null; echo has read")
eventually(function() return queue.held_count > 0 end, 10, "a completion is held back")
local row = queue:chains()[1]
is(row.state, "held", "the ring shows it")
ok(#queue:chain(row.head) >= 2, "with its descriptors")
fails(function() queue:fail(row.head) end, "needs mode unsafe", "failing a request needs mode unsafe")
local reader = eventually(function() return find("dd") end, 10, "the reader waits")
local waits = reader:backtrace()
ok(#waits > 2, "in " .. waits[1].fn)
k.undo()
host.expect("has read", 10000)
is(queue.held_count, 0, "undo hands it on, and the reader is done")

-- ---- the journal

ok(#k.journal() > 8, "every change is in the journal")
fails(function() k.undo() end, "no frame", "what is gone cannot be undone: the same validator says so")
done()
