-- SPDX-License-Identifier: MIT
-- kmon: --initrd build/tests.cpio
-- Every class is one table: each field of it is in help, completion, JSON, pairs, the prompt and the editor's stubs, and a
-- live object has it. What the fields say is then compared with what programs and /proc say of the same things.
local function find(name) return k.tasks():where{name = name}:first() end
local function object(class)
    local f = load("return " .. class.example)
    local good, v = pcall(f)
    return good and v or nil, v
end

local function lines(command)
    local status, out = host.sh(command)
    if status ~= 0 then diag(command .. ": " .. out) end
    return out
end

-- Something of each kind is there: a pipe with a reader, a FIFO, three threads that wait for one futex, memory that is shared.
host.sh("mkfifo /tmp/fifo /tmp/go")
host.spawn([[exec 7<>/tmp/fifo; printf 0123456789 >&7; sh -c 'trap : USR1; trap "" USR2; sleep 2000; :' & sleep 1000 | cat & crowd futex 3 /tmp/go >/tmp/crowd.out 2>&1 &]])
eventually(function() return find("cat") and host.sh("grep -q ready /tmp/crowd.out") == 0 end, 20, "programs wait in each way")

-- ---- from the tables alone

local stubs = stubs()
local function complete(line)
    local words, set = select(2, reflect.complete(line, #line)), {}
    for _, word in ipairs(words) do set[word] = true end
    return set
end

is(table.concat(select(2, reflect.complete('k.task("s', 9)), " "):match("%f[%w]select%f[%W]"), nil, "nothing of Lua is offered within quotes")
ok(complete('k.task("s').sh, "but the names of tasks to k.task")
ok(complete([[k.queue("vda]])["vda.0"], "and those of queues to k.queue")
is(next(complete('print("s')), nil, "else nothing")
ok(complete('print("s", sel').select, "and behind them what there was")
ok(help():find("stubs()", 1, true) and help("stubs"):find("LuaCATS", 1, true) and help(_G.stubs):find("LuaCATS", 1, true), "help tells of stubs")

local function check_texts(class)
    local wrong = {}
    local function need(good, what) if not good then wrong[#wrong + 1] = what end end
    local help_text = help(class.name)
    local _, stub_at = stubs:find("---@class " .. class.name .. "\n", 1, true)
    need(stub_at, "no stub")
    local stub = stubs:sub(stub_at or 1, (stubs:find("\n---[^@`][^\n]*\n---@class ", stub_at or 1) or 0) - 1)
    need(help_text:find(class.place, 1, true), "help: no C place")
    need(help_text:find(class.example, 1, true), "help: no example")
    local words = complete(class.example .. ".")
    for _, f in ipairs(class.fields) do
        need(load("return k." .. f.name), f.name .. " is no name that Lua takes")
        need(help_text:find("." .. f.name .. " ", 1, true), "help: " .. f.name)
        local one = help(class.name .. "." .. f.name)
        need(one:find(f.doc, 1, true) and one:find(class.place, 1, true) and one:find(f.type, 1, true), "help of " .. f.name)
        need(one:find(f.writable and ", writable" or ", read-only", 1, true), "help: may " .. f.name .. " be set?")
        need(words[f.name], "completion: " .. f.name)
        need(stub:find("---@field " .. f.name .. " ", 1, true), "stub: " .. f.name)
    end
    words = complete(class.example .. ":")
    for _, m in ipairs(class.methods) do
        for _, f in ipairs(class.fields) do need(f.name ~= m.name, m.name .. " is a field and a method") end
        need(help_text:find(m.signature, 1, true), "help: " .. m.name)
        need(m.example and m.doc, "no example of " .. m.name)
        need(words[m.name], "completion: " .. m.name)
        need(stub:find("function " .. class.name .. ":" .. m.name .. "(", 1, true), "stub: " .. m.name)
    end
    return wrong
end

-- ---- with an object

local kinds = {table = 0, tree = 1, map = 1, ring = 2, hist = 1}      -- by how many members
local lua_type = {boolean = "boolean", string = "string", integer = "number", address = "number", nanoseconds = "number"}

local function fits(f, v)
    if v == nil then return f.type == "string" or not lua_type[f.type] end
    if lua_type[f.type] then return type(v) == lua_type[f.type] end
    local list, class = f.type:match("^list of (%u%w*)"), f.type:match("^%u%w*$")
    if list then return tostring(v) == "list of " .. list end
    if class then return reflect.class(v) == class end
    return type(v) == "table"
end

local function check_object(class, x)
    if type(class) == "string" then
        for _, c in ipairs(reflect.classes()) do if c.name == class then return check_object(c, x) end end
    end
    local wrong, seen, order = {}, {}, {}
    local function need(good, what) if not good then wrong[#wrong + 1] = what end end
    local plain, copy, shown = reflect.plain(x), reflect.copy(x), reflect.show(x)
    for name, v in pairs(x) do
        seen[name] = true
        order[#order + 1] = name
    end
    for i, f in ipairs(class.fields) do
        local good, v = pcall(function() return x[f.name] end)
        need(good, ("%s raises %s"):format(f.name, tostring(v)))
        need(not good or fits(f, v), ("%s, a %s, is %s"):format(f.name, f.type, tostring(v)))
        need(seen[f.name] and order[i] == f.name, "pairs: " .. f.name)
        need(fits(f, copy[f.name]), "copy: " .. f.name)
        need((plain[f.name] ~= nil) == (copy[f.name] ~= nil), "JSON: " .. f.name)
        need(shown:find("\n  " .. f.name .. " ", 1, true), "prompt: " .. f.name)
        need(x.__display.columns[i] == f.name, "__display: " .. f.name)
        if not f.writable then
            local set, message = pcall(function() x[f.name] = 1 end)
            need(not set and message:find("read-only", 1, true), f.name .. " can be assigned")
        end
    end
    need(kinds[x.__display.kind] == #x.__display.by and x.__display.class == class.name, "__display")
    for _, name in ipairs(x.__display.by) do need(complete(class.example .. ".")[name] or complete(class.example .. ":")[name], "__display by " .. name) end
    need(tostring(x):find("^" .. class.name .. "#"), "tostring")
    return wrong
end

local classes, without = reflect.classes(), {}
for _, class in ipairs(classes) do
    local wrong = class.example and check_texts(class) or {"no example"}
    local x = class.example and object(class)
    if x then
        for _, w in ipairs(check_object(class, x)) do wrong[#wrong + 1] = w end
    else
        without[#without + 1] = class.name
    end
    ok(#wrong == 0, ("%s: %d fields, %d methods%s"):format(class.name, #class.fields, #class.methods, x and "" or " (none now)"))
    for i = 1, math.min(#wrong, 10) do diag(wrong[i]) end
end
table.sort(without)
is(table.concat(without, " "), "Channel Lock", "each class has an object now, but that nobody has a lock or waits for a channel")

-- ---- which methods change something: a dump refuses these. In mode ro so does the kernel.

local wrong, refused = {}, 0
for _, class in ipairs(classes) do
    for _, m in ipairs(class.name ~= "Trace" and class.methods or {}) do    -- one's own traces end in every mode
        -- As in the example, of an object that is there now.
        local call = m.example:match(":" .. m.name .. "([({].*)$")
        local good, why = pcall(load("local x = ... return x:" .. m.name .. (call or "()")), object(class))
        local needs = not good and tostring(why):find(" needs mode ", 1, true) ~= nil
        if m.changes then refused = refused + (needs and 1 or 0) end
        if needs and not m.changes or good and m.changes then wrong[#wrong + 1] = class.name .. ":" .. m.name end
        if m.changes and not help(class.name .. ":" .. m.name):find("(changes the kernel)", 1, true) then wrong[#wrong + 1] = "help of " .. m.name end
    end
end
is(table.concat(wrong, " "), "", "methods that change something say so, and no others")
ok(refused >= 17, "and most were refused now, as the mode is ro")

local untold = {}
for _, a in ipairs(reflect.api()) do
    local text = help(a.signature and "k." .. a.name or a.name)
    if not (a.doc and text:find(a.doc, 1, true) and complete("k.")[a.name]
            and stubs:find("k." .. a.name .. (a.signature and "(" or " ="), 1, true)) then untold[#untold + 1] = a.name end
end
is(table.concat(untold, " "), "", "and every member of k is in help, completion and stubs")

-- ---- what others say of the same things

local crowd = find("crowd")
local crowd_pid, crowd_space = crowd.pid, crowd.space

-- tasks and harts
is(#k.harts, tonumber(lines("nproc")), "harts: nproc")
local pids = {}
for pid in lines("ls /proc"):gmatch("%f[%d]%d+") do pids[tonumber(pid)] = true end
local unknown = {}
for t in k.tasks():where{kind = "user"} do
    if not pids[t.pid] and host.sh("test -d /proc/" .. t.pid) == 0 then unknown[#unknown + 1] = t.pid end
end
is(table.concat(unknown, " "), "", "tasks: the directories of /proc")

-- mounts
local mounts = {}
for m in k.mounts() do mounts[#mounts + 1] = ("%s %s %s"):format(m.path, m.type, m.read_only and "ro" or "rw") end
local said = {}
for path, kind, how in lines("cat /proc/mounts"):gmatch("%S+ (%S+) (%S+) (r[ow])[^\n]*") do
    said[#said + 1] = ("%s %s %s"):format(path, kind, how)
end
table.sort(mounts) table.sort(said)
is(table.concat(mounts, "; "), table.concat(said, "; "), "mounts: /proc/mounts")

-- interrupts: each source, and its count at each hart
wrong = {}
for source, rest in lines("cat /proc/interrupts"):gmatch("\n *(%d+):([ %d]+)PLIC") do
    local i, sum = k.irqs()[tonumber(source)], 0
    for n in rest:gmatch("%d+") do sum = sum + n end
    if i.count < sum or #i:counts() ~= #k.harts then wrong[#wrong + 1] = source end
    for _, c in ipairs(i:counts()) do sum = sum - c.count end
    if sum > 0 then wrong[#wrong + 1] = source end
end
is(table.concat(wrong, " "), "", "interrupts: not fewer than /proc/interrupts said before")
is(k.devices():where{name = "serial@10000000"}:first().registers, 0x10000000, "devices: the UART is where virt has it")
like(k.devices():where{name = "serial@10000000"}:first():properties()[1].name, "^%l", "and its node says more")
like(tostring(k.devices():where{name = "serial@10000000"}:first().irq), "uart", "its interrupt is the UART's")

-- descriptors
wrong = {}
local n = 0
for fd, path in lines(("ls -l /proc/%d/fd"):format(crowd_pid)):gmatch(" (%d+) %-> (%S+)") do
    n = n + 1
    if crowd.files[tonumber(fd)].path ~= path then wrong[#wrong + 1] = fd end
end
is(table.concat(wrong, " "), "", "files: where /proc/PID/fd leads")
is(#crowd.files, n, "and as many")
is(crowd.files[1].vnode.ino, tonumber(lines("stat -c %i /tmp/crowd.out")), "a file's vnode: stat")
is(crowd.files[1].position, tonumber(lines("stat -c %s /tmp/crowd.out")), "a file's position: what was written")
is(tostring(k.pid(1).files[0].tty), tostring(k.ttys():first()), "init's input is the console")
local v, facts = crowd.files[1].vnode, lines("stat -c '%i %s %h %u %a' /tmp/crowd.out")
is(("%d %d %d %d %s\n"):format(v.ino, v.size, v.links, v.uid, v.mode:sub(2)), facts, "vnodes: stat")
is(v.path, "/tmp/crowd.out", "and its name")

-- pipes
local cat = find("cat")
local pipe = cat.files[0].pipe
is(("pipe:[%d]\n"):format(cat.files[0].vnode.ino), lines(("readlink /proc/%d/fd/0"):format(cat.pid)), "pipes: the number")
is(pipe.bytes, 0, "nothing is in it")
is(pipe.reader, cat, "and who reads waits")
is(pipe.writers, 1, "one end to write: sleep's")
local fifo
for x in k.mounts():where{path = "/tmp"}:first().vnodes do if x.path == "/tmp/fifo" then fifo = x end end
is(fifo.pipe.bytes, 10, "a FIFO holds what was written")
is(fifo.pipe.anonymous, false, "it is no pipe of pipe(2)")

-- signals: three masks of /proc/PID/status
local function mask(t, which)
    local m = 0
    for s in t.signals do if which(s) then m = m | 1 << (s.number - 1) end end
    return ("%016x"):format(m)
end
local sh = k.tasks():where(function(t) return t.name == "sh" and t.signals[10].action == "handled" and t.signals[12].action == "ignored" end):first()
local status = lines(("cat /proc/%d/status"):format(sh.pid))
is(mask(sh, function(s) return s.action == "ignored" end), status:match("SigIgn:%s+(%x+)"), "signals: ignored")
is(mask(sh, function(s) return s.action == "handled" end), status:match("SigCgt:%s+(%x+)"), "signals: handled")
is(mask(crowd, function(s) return s.blocked end), lines(("cat /proc/%d/status"):format(crowd_pid)):match("SigBlk:%s+(%x+)"),
    "signals: blocked")

-- futexes
local waits = {}
for f in k.futexes() do if f.space == crowd_space then waits[#waits + 1] = f end end
ok(#waits >= 3, "futexes: three threads wait")
local same = 0
for _, f in ipairs(waits) do if f.waiters == 3 then same = same + 1 end end
is(same, 3, "for the same word")
local elsewhere = ""
for _, f in ipairs(waits) do if not f.task.fn:find("futex") then elsewhere = elsewhere .. tostring(f.task) end end
is(elsewhere, "", "as their leaf frames say")

-- timers: sleep's
local sleeps = k.timers():where(function(x) return x.left > 900e9 and x.left <= 1000e9 end):list()
is(#sleeps, 1, "timers: the 1000 seconds of sleep")
like(sleeps[1].fires, "^sleeper_fire", "with the function that wakes it")

-- symbols
is(k.symbols()[k.sym("space_fault")].name, "space_fault", "symbols: by k.sym")
local here = k.sym("space_fault")
is(k.sym(here + k.symbols()[here].bytes - 2):match("^[%w_]+"), "space_fault", "its last instruction is in it")
isnt(k.sym(here + k.symbols()[here].bytes):match("^[%w_]+"), "space_fault", "the next one is not")

-- the heap and epochs, by their own account
local account = k.account()
wrong = {}
for class in k.heap do if ("heap %04u"):format(class.size) == "heap 3072" and class.used ~= account["heap 3072"] then wrong[1] = class.size end end
is(#wrong, 0, "heap: the largest objects, by k.account")
local epochs = k.epochs:snap() -- of one moment
is(epochs.pending, epochs.retired - epochs.freed, "epochs")

-- ---- memory: objects, frames and whose they are

host.sh("dd if=/dev/zero of=/mnt/three bs=4096 count=3 2>/dev/null")
local three
for x in k.mounts():where{path = "/mnt"}:first().vnodes do if x.path == "/mnt/three" then three = x end end
is(three.size, 12288, "a file of three pages")
is(three.object.pages, 3, "which are in memory")
is(three.object.dirty, 3, "and dirty")
ok(three.object.dirty_since > 0, "since a time")
host.sh("sync")
is(three.object.dirty, 0, "after sync none is")
is(three.object.written, 3, "three were written")
is(#three.object:frames(), 3, "its pages are listed")
local page = three.object:frames()[2]
local frame = k.phys:frame(page.pa)
is(frame.kind, "cache", "one is a frame of the page cache")
is(frame.object, three.object, "of that object")
is(frame.index, 1, "the second")
is(#frame:owners(), 1, "owned by it alone")
is(frame.refs, 1, "by one reference")

-- Every frame of some spaces: as many references as owners. Programs that run are left out: they change meanwhile.
local function owners_fit(space, most)
    local checked, wrong = 0, nil
    for _, leaf in ipairs(space.pt:leaves{}) do
        local f = k.phys:frame(leaf.pa)
        if leaf.pages == 1 and not f.zero and f.kind ~= "kernel" and f.pins == 0 and checked < most then
            checked = checked + 1
            if #f:owners() ~= f.refs then wrong = wrong or ("%s: %d owners"):format(f, #f:owners()) end
        end
    end
    return checked, wrong
end
local checked, bad = owners_fit(cat.space, 12)
ok(checked > 5 and not bad, ("%d frames of cat: each reference has its owner %s"):format(checked, bad or ""))
local walk = crowd.space.pt:walk(waits[1].address)
local own = k.phys:frame(walk.pa):owners()
is(#own, 1, "the page of the futex is crowd's alone")
is(own[1].space, crowd.space, "by an entry of its table")
is(own[1].va, waits[1].address & ~4095, "at its address")
is(k.phys:frame(crowd.space.pt.root):owners()[1].space, crowd.space, "the root of its table is its space's")
local shown = cat.space:map():first()
ok(shown.object.vnode.path:find("busybox"), "the first mapping shows " .. shown.object.vnode.path)
local mapped = false
for _, m in ipairs(shown.object:mappers()) do mapped = mapped or m == shown end
ok(mapped, "which knows it among its mappers")
local count = 0
for _, o in ipairs(k.phys:objects()) do count = count + o.pages end
ok(count > 0 and count <= k.phys.cached + k.phys.shared, "the objects' pages are not more than there are")

-- ---- leaks

local function leaked()
    local out = {}
    for _, l in ipairs(k.phys:leaks()) do out[#out + 1] = ("%s %d of %d"):format(l.frame, l.found, l.refs) end
    return table.concat(out, "; ")
end
is(leaked(), "", "no frame has references that nobody holds")
k.mode = "unsafe"
local lost = k.phys:lose()
is(#lost:owners(), 0, "a frame that was lost on purpose has no owner")
is(leaked(), tostring(lost) .. " 0 of 1", "and is found")
k.undo()
k.mode = "rw"
is(leaked(), "", "undo gives it back")

-- ---- a lock: two programs write to one file while its disk does not answer

local queue = k.queue("vda.0")
host.sh("sync; echo 3 >/proc/sys/vm/drop_caches 2>/dev/null; true")
queue.held = true
host.spawn("dd if=/dev/zero of=/mnt/three bs=4096 count=3 conv=fsync 2>/dev/null & dd if=/dev/zero of=/mnt/three bs=1 count=1 2>/dev/null &")
local lock = eventually(function() -- both have come to where they wait, and will not go on
    return k.locks():where(function(l)
        local holder, first = l.holder, l:queue()[1]
        return holder and first and holder.name == "dd" and first.name == "dd" and tostring(holder.wait):find("block") and
            tostring(first.wait):find("mutex")
    end):first()
end, 20, "a program holds a lock, and another waits for it")
if lock then
    is(lock.holder.name, "dd", "locks: who holds it")
    is(lock:queue()[1].name, "dd", "and who waits")
    like(tostring(lock:queue()[1].wait), "mutex", "as its await point says")
    for _, w in ipairs(check_object("Lock", lock)) do ok(false, "Lock: " .. w) end
end
k.undo()
eventually(function() return not find("dd") end, 20, "both are done when the disk answers")

-- ---- channels: of each kind one (tests/boot/channels.lua says more)

k.fault.inject("full-channel")
if eventually(function() return #k.channels() == 3 end, 20, "tasks wait for a channel, a broadcast and a oneshot") then
    for c in k.channels() do is(table.concat(check_object("Channel", c), "; "), "", c.kind) end
end
k.undo()
eventually(function() return #k.channels() == 0 end, 20, "undone, nobody does")
host.sh("echo >/tmp/go; rm -f /mnt/three")
for t in k.tasks():where{name = "sleep"} do host.sh(("kill %d"):format(t.pid)) end
eventually(function() return not find("crowd") and not find("cat") and not find("sleep") end, 20, "all programs end")

done()
