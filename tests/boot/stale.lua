-- SPDX-License-Identifier: MIT
-- A page table entry that is changed without the shootdown (mode unsafe): a program goes on with the translation that its hart
-- has cached, until that is flushed. The program makes no system call, and on the one hart no other takes its place,
-- for which all translations would go.
-- harts: 1
-- build: usual
k.mode = "unsafe"
host.spawn("spin")
local _, address = host.expect("counters at 0x(%x+)", 20000)
local spin, page = k.task("spin"), tonumber(address, 16)
local space, walk = spin.space, spin.space.pt:walk(page)
local counter = 0xffffffc000000000 + walk.pa -- in the kernel's own map
local function count() return (("<I8"):unpack(k.peek(counter, 8))) end
local function goes_on()
    local before = count()
    return eventually(function() return count() > before end, 20)
end

ok(goes_on(), "a program writes to a page")
local before, faults = walk.bits, space.faults
space.pt:set(page, "vruad", {flush = false})
for _ = 1, 3 do ok(goes_on(), "without w it goes on") end
like(walk.bits, "%-rv$", "the table says that it may not")
is(space.faults, faults, "and it has not faulted: the translation is stale")
space.pt:set(page, "vruad")
ok(goes_on(), "flushed")
is(space.faults, faults + 1, "it faults, once")
is(walk.bits, before, "and is given w back")
host.type("\3")
done()
