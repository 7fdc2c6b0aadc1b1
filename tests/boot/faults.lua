-- SPDX-License-Identifier: MIT
-- Faults on purpose (k.fault): programs see the errno that belongs to it, undo ends it, and nothing is left behind.
-- harts: 1 2 4
local baseline = require "lib.baseline"
k.mode = "unsafe"

local function fault(name)
    for _, f in ipairs(k.fault.list()) do if f.name == name then return f end end
end
local function out(command)
    local status, text = host.sh(command .. " 2>&1")
    return text, status
end

is(#k.fault.list(), 10, "there are ten")
for _, f in ipairs(k.fault.list()) do ok(not f.on and f.hits == 0, f.name .. " is off") end

-- Failed I/O, where nothing of the file is cached.
k.fault.inject("failed-io", 1)
ok(fault("failed-io").on, "it is in force")
local text, status = out("cat /mnt/lines.txt")
like(text, "lines.txt.*: Input/output error", "a read fails with EIO")
isnt(status, 0, "and the program says so")
fails(function() k.fault.inject("delayed-io") end, "another fault is in force on vda.0", "a queue has one fault")
local journal = k.journal()
is(journal[#journal].kind, "fault.inject", "it is in the journal")
like(journal[#journal].what, "failed%-io, seed 1", "with its seed")
fails(function() k.fault.inject("failed-io", 1) end, "k.fault.remove ends it", "it is switched on once")
k.undo()
ok(not fault("failed-io").on, "undo ends it")
fails(function() k.fault.remove("failed-io") end, "'failed-io' is off", "what is off is not removed")
ok(fault("failed-io").hits > 0, "it has happened")
is(select(2, host.sh("cat /mnt/lines.txt >/tmp/lines")), "", "then the file can be read")

-- Delayed I/O: by virtual time, so it is late by that at least.
k.fault.inject("delayed-io", 3, {ms = 300})
local from = k.ns
is(select(2, host.sh("cat /mnt/README.TXT >/dev/null")), "", "a file is read")
ok(k.ns - from >= 300000000, "late")
k.fault.remove("delayed-io")
ok(not fault("delayed-io").on, "it is removed by its name")
ok(fault("delayed-io").hits > 0, "by the fault")

-- The seed says which: of 24 reads of the disk, one request each, of pages that nobody has read.
local next_page = 3000
local function failures(seed)
    k.fault.inject("failed-io", seed, {every = 2})
    local _, which = host.sh(("for i in $(seq %d 24 %d); do dd if=/dev/vda of=/dev/null bs=4096 count=1 skip=$i 2>/dev/null; echo $?; done"):format(
        next_page, next_page + 23 * 24))
    k.undo()
    next_page = next_page + 24 * 24
    return which
end
local one = failures(11)
ok(one:find("0") and one:find("1"), "some reads fail, some do not")
is(failures(11), one, "the same ones with the same seed")
isnt(failures(12), one, "others with another")

-- Failed allocations: a program that forks is told ENOMEM, and nothing leaks.
local enomem
baseline.same("nothing is lost where memory was short", function()
    local _, pid = host.sh([[mkfifo /tmp/go
        sh -c 'read go </tmp/go; for i in 1 2 3 4 5 6 7 8 9; do (cat /proc/meminfo); done' >/dev/null 2>/tmp/errors & echo $!]])
    local sh = k.pid(tonumber(pid))
    ok(eventually(function() return sh.state == "waiting" and sh.wait == "the other end of a FIFO" end, 20), "a program is ready")
    k.fault.inject("failed-alloc", 4, {every = 5, task = sh})
    local status, said = host.sh("inject fail pipe 2>&1") -- another hook, installed while this one is
    ok(status == 0 and tonumber(said:match("%d+")) > 0, "a program fails its own n-th allocation meanwhile: " .. said:gsub("\n", ""))
    host.sh("echo go >/tmp/go")
    ok(eventually(function() return not pcall(function() return sh.name end) end, 20), "the program ends")
    k.undo()
    ok(fault("failed-alloc").hits > 0, "allocations have failed")
    local _, errors = host.sh("cat /tmp/errors; rm /tmp/errors /tmp/go")
    enomem = enomem or errors:find("Cannot allocate memory") or errors:find("Out of memory")
    diag(errors)
end)
ok(enomem, "it was told so")

-- Dropped interrupts between harts make the system slow, not wrong.
k.fault.inject("dropped-ipi", 5, {every = 2})
local runs = 0
repeat
    if host.sh("stress 4 2 >/dev/null", 300000) ~= 0 then ok(false, "programs run while interrupts get lost") end
    runs = runs + 1
until #k.harts == 1 or fault("dropped-ipi").hits > 0 or runs == 20
k.undo()
ok(#k.harts == 1 or fault("dropped-ipi").hits > 0, "some do, and programs run")

-- A dry run does nothing.
local notes = k.dry(function() k.fault.inject("failed-io", 9) end)
like(notes[1], "inject failed%-io, seed 9", "a dry run says what would be")
ok(not fault("failed-io").on, "and does nothing")
fails(function() k.undo(#k.journal()) end, "undone by", "what is undone is not undone again")
is(out("echo fine"), "fine\n", "the system goes on")

-- A write that fails comes out at fsync; the file system is read-only from then on.
host.sh("echo old >/mnt/new; sync")
k.fault.inject("failed-io", 2)
text, status = out("dd if=/proc/version of=/mnt/new conv=notrunc,fsync")
like(text, "Input/output error", "fsync fails with EIO")
isnt(status, 0, "and the program says so")
k.undo()
is(out("cat /mnt/lines.txt | cmp - /tmp/lines && echo same"), "same\n", "what was there can be read")
done()
