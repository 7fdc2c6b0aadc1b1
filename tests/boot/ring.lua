-- SPDX-License-Identifier: MIT
-- A virtqueue's rings: what a request looks like in them, whose it is, that a queue at work is never called broken, and what is
-- said of each mistake that was planted.
local LINEAR <const> = 0xffffffc000000000     -- where physical memory is seen
local queue = k.queue("vda.0")

local function row_at(ring, index, name)
    local row = ring[index % queue.size + 1]
    ok(row.at:find("%f[%w_]" .. name .. "%f[^%w_]"), name .. " is shown where it stands")
    return row
end
local function broken(rows)
    local said = {}
    for _, row in ipairs(rows) do
        if row.broken then said[#said + 1] = (rawget(row, "index") or row.head) .. " " .. row.broken end
    end
    return table.concat(said, "\n")
end

-- ---- at rest

host.sh("sync")
eventually(function() return queue.free == queue.size end, 10, "the disk rests")
local ring = queue:ring()
is(#ring, queue.size, "the ring shows every descriptor")
local free = 0
for i, row in ipairs(ring) do if row.index == i - 1 and row.state == "free" and not row.task then free = free + 1 end end
is(free, queue.size, "all of them free")
is(broken(ring), "", "and whole")
is(#queue:chains(), 0, "nothing is asked for")
for _, name in ipairs{"avail_idx", "kicked_idx", "used_idx", "last_used"} do row_at(ring, queue[name], name) end
fails(function() queue:chain(0) end, "heads no chain in flight", "a free descriptor heads no chain")
fails(function() queue:chain(queue.size) end, "no such descriptor", "and there are no others")

-- ---- a request that the device has answered, and nobody was told

k.mode = "rw"
queue.held = true
host.spawn("dd if=/dev/vda of=/dev/null bs=4096 count=1 skip=12345 2>/dev/null; echo has read")
eventually(function() return queue.held_count == 1 end, 10, "a completion is held back")
local request = queue:chains()[1]
is(request.state, "held", "the request is shown")
is(request.task.name, "dd", "and the task that waits for it")
eventually(function() return tostring(request.task.wait):find("block") end, 10, "as that one says, too")
is(broken{request}, "", "it is whole")

-- Virtio 1.2, 5.2.6: a header of type (0: read), reserved, sector; what is read; a byte of status.
local chain = queue:chain(request.head)
is(#chain, request.descs, "its descriptors are as many as were added")
is(chain[1].index, request.head, "the first is its head")
is(("<I4I4I8"):unpack(k.peek(LINEAR + chain[1].addr, chain[1].len)), 0, "which leads to a header: it reads")
is(select(3, ("<I4I4I8"):unpack(k.peek(LINEAR + chain[1].addr, 16))), 12345 * 8, "from the sector that dd wants")
local bytes, flags, ends = 0, {}, true
for i, d in ipairs(chain) do
    flags[i] = d.flags
    bytes = bytes + (d.flags:find("WRITE") and d.len or 0)
    ends = ends and (i == #chain or d.next == chain[i + 1].index)
end
is(table.concat(flags, ", "), "NEXT" .. (", NEXT WRITE"):rep(#chain - 2) .. ", WRITE", "the device reads the header and writes the rest")
is(bytes, 4096 + 1, "a page and the status")
ok(ends, "each next is the next one")

ring = queue:ring()
local same = 0
for _, d in ipairs(chain) do
    local row = ring[d.index + 1]
    if row.addr == d.addr and row.len == d.len and row.flags == d.flags and row.next == d.next and row.state == "held"
        and row.head == request.head and row.task == request.task then same = same + 1 end
end
is(same, #chain, "the ring shows the same of each, and whose it is")
is(ring[(queue.avail_idx - 1) % queue.size + 1].avail, request.head, "the last available entry is its head")
local used = ring[(queue.used_idx - 1) % queue.size + 1]
is(used.used, request.head, "so is the last used one")
is(used.written, bytes, "of which all was written")
row_at(ring, queue.last_used, "used_idx")
is(broken(ring), "", "all is whole")
k.undo()
host.expect("has read", 10000)

-- ---- a queue at work

local function works() return k.tasks():where{name = "dd"}:first() end
local said, seen, waited
local function look(name, count, apart)     -- none of it is in memory yet
    queue.held = true
    host.spawn(("for i in 1 2 3 4; do dd if=/dev/vda of=/dev/null bs=16384 count=%d skip=$((i*%d)) 2>/dev/null & done; wait; echo %s: all have read"):format(
        count, apart, name))
    eventually(function() return queue.held_count > 0 end, 20, name .. ": programs read")
    said, seen, waited = "", 0, 0
    local function once()
        for _, r in ipairs(queue:chains()) do
            seen = seen + 1
            if r.task and pcall(function() return r.task.name end) then waited = waited + 1 end
            said = said .. broken{r}
        end
    end
    eventually(function() once() return waited > 0 end, 20) -- all may be over when the script has its next turn
    queue.held = false
    local looks = 0
    repeat
        looks = looks + 1
        once()
        if looks % 50 == 0 then said = said .. broken(queue:ring()) end   -- its rows take time
    until said ~= "" or not works()
    is(said, "", name .. ": nothing of it was broken at any moment")
    host.expect(name .. ": all have read", 60000)
end
look("at full speed", 800, 800)
k.fault.inject("delayed-io", 5, {every = 2, ms = 2})
look("late", 100, 150)
ok(seen > 0 and waited > 0, "there were requests, and tasks that waited for them")
k.fault.remove("delayed-io")

-- ---- each mistake

k.fault.inject("broken-ring")
local planted = k.queue("planted.0")
local expected = {
    [0] = "used entry 301 is out of range: there are 32 descriptors",
    "used entry 24 heads no chain in flight",
    "available entry 300 is out of range: there are 32 descriptors",
    nil, nil,
    "next 3 is in this chain already: a loop",
    nil,
    "next 300 is out of range: there are 32 descriptors",
    "the available ring's idx is 9, and the driver's 8",
    "the chain ends after 1 descriptors, and 3 were added",
    "in no chain and not on the free list",
    "in no chain and not on the free list",
    [13] = "no bytes",
    [17] = "the device reads it, after one that it writes",
    [20] = "INDIRECT, which was not agreed on",
    [23] = "in no chain and not on the free list",
    [29] = "next 28 is on the free list already: a loop",
    [30] = "in no chain and not on the free list",
    [31] = "in no chain and not on the free list",
}
for _, row in ipairs(planted:ring()) do is(row.broken, expected[row.index], "planted: " .. row.index) end
is(planted:ring()[21].flags, "WRITE INDIRECT", "flags by their names")
is(planted:ring()[11].state, "lost", "a descriptor that nobody has is lost")
local lengths, chains = {}, planted:chains()
for i, r in ipairs(chains) do lengths[i] = #planted:chain(r.head) end
is(table.concat(lengths, " "), "3 3 2 1 3 3 3 4", "a chain is followed as far as it goes, and no further")
is(broken(chains), [[
0 in the chain of 0 and in that of 21
3 next 3 is in this chain already: a loop
6 next 300 is out of range: there are 32 descriptors
9 the chain ends after 1 descriptors, and 3 were added
12 no bytes
15 the device reads it, after one that it writes
18 INDIRECT, which was not agreed on
21 in the chain of 0 and in that of 21]], "and the request says what is wrong in it")

local found = k.lint()
ok(#found > 10 and found[1].kind == "broken ring", "k.lint finds it")
like(found[1].text, "^planted%.0: ", "and says of which queue")
k.undo()
is(broken(planted:ring()), "", "undo mends it")
is(#k.lint(), 0, "and k.lint is silent")
k.fault.inject("broken-ring")
is(planted:ring()[6].broken, expected[5], "it can be planted again")
k.undo()
done()
