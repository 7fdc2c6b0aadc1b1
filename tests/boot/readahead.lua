-- SPDX-License-Identifier: MIT
-- harts: 1 2 4
-- A file read from front to back is read from the disk in few requests, each page once, and before it is asked for; a file
-- read here and there is read a page at a time. What is on its way is waited for by who wants it, and by nobody else.
local baseline = require "lib.baseline"
local PAGES = 256
local function disk() return k.queue("vda.0") end
local function cold()
    is(host.sh("umount /mnt && mount -t vfat /dev/vda /mnt && ls -l /mnt >/dev/null"), 0, "nothing is cached")
end
-- What of the counters has changed since `work` began.
local function counting(work)
    local m, requests = k.memory(), disk().adds
    work()
    local n, r = k.memory(), {requests = disk().adds - requests}
    for _, name in ipairs { "fills", "filled", "ahead", "waits" } do r[name] = n[name] - m[name] end
    return r
end
local function reading(command) return counting(function() is(host.sh(command), 0, command) end) end
local function arrived() return k.memory().reading_ahead == 0 end

is(host.sh(("dd if=/dev/urandom of=/mnt/f bs=4k count=%d 2>/dev/null; cp /mnt/f /tmp/f"):format(PAGES)), 0, "a MiB")
cold()
local r = reading("for i in 200 7 100 255; do dd if=/mnt/f of=/dev/null bs=4k skip=$i count=1 2>/dev/null; done")
is(("%d %d %d"):format(r.fills, r.filled, r.ahead), "4 4 0", "here and there: a page each")

-- With the last page the file system learns where all of the file lies, so what comes then is data alone.
local function last_page_known()
    cold()
    is(host.sh(("dd if=/mnt/f of=/dev/null bs=4k skip=%d 2>/dev/null"):format(PAGES - 1)), 0, "the last page")
end

-- A program that has the file open and reads when it is told to: step(n) has it read n pages.
local function open()
    host.sh("rm -f /tmp/go /tmp/ready; mkfifo /tmp/go /tmp/ready")
    host.sh("(while read n <&4 && [ $n != end ]; do dd bs=4k count=$n of=/dev/null 2>/dev/null; echo $? >&5; done) " ..
        "</mnt/f >/dev/null 2>&1 4<>/tmp/go 5<>/tmp/ready &")
end
local function begin(n) return host.sh(("echo %s >/tmp/go"):format(n)) end
local function ended() return host.sh("read n </tmp/ready && exit $n", 20000) end
local function step(n)
    begin(n)
    return ended()
end
local function close() is(host.sh("{ echo end >/tmp/go; cat >/dev/null; } </tmp/ready", 20000), 0, "it ends") end

-- Windows of 4, 8, 16 and then 32 pages. Only the first is waited for if the disk has time enough.
last_page_known()
local function windows_up_to(most)
    local windows, left, window = 0, PAGES - 1, 4
    while left > 0 do
        windows, left, window = windows + 1, left - math.min(left, window), math.min(most, window * 2)
    end
    return windows
end
local windows = windows_up_to(32)
open()
r = counting(function()
    local wrong = 0
    for i = 0, PAGES - 4, 4 do
        for _, n in ipairs(i == 0 and {1, 3} or {4}) do
            if step(n) ~= 0 then wrong = wrong + 1 end
            eventually(arrived, 20)
        end
    end
    is(wrong, 0, "a file is read in steps")
end)
is(r.filled, PAGES - 1, "each page is read once")
is(r.fills, windows, "in windows of 4, 8, 16 and 32 pages")
is(r.requests, windows, "a request each")
is(r.ahead, windows - 1, "all but the first ahead")
is(r.waits, 1, "which alone is waited for")
close()

-- Advice, about an open file and about a mapping.
local function advised(words)
    last_page_known()
    local r = reading("ahead /mnt/f " .. words)
    eventually(arrived, 20)
    return ("%d %d %d"):format(r.filled, r.fills, r.ahead)
end
local alone, windows64 = PAGES - 1, windows_up_to(64)
is(advised("read"), ("%d %d %d"):format(alone, windows, windows - 1), "no advice")
is(advised("sequential read"), ("%d %d %d"):format(alone, windows64, windows64 - 1), "sequential: windows of up to 64")
is(advised("random read"), ("%d %d 0"):format(alone, alone), "random: a page each")
is(advised("random normal read"), ("%d %d %d"):format(alone, windows, windows - 1), "what was said is taken back")
is(advised("touch"), ("%d %d %d"):format(alone, windows, windows - 1), "a mapping is read ahead, too")
is(advised("msequential touch"), ("%d %d %d"):format(alone, windows64, windows64 - 1), "sequential")
is(advised("mrandom touch"), ("%d %d 0"):format(alone, alone), "random")
is(advised("half"), "127 7 5", "from the middle: the block around the first page, then ahead")
is(advised("back"), ("%d %d 0"):format(alone, PAGES / 16), "backwards: block by block")
is(advised("mrandom back"), ("%d %d 0"):format(alone, alone), "random")
for _, word in ipairs { "willneed", "readahead", "mwillneed" } do
    is(advised(word), ("%d 4 4"):format(alone), word .. ": all is read")
    is(reading("ahead /mnt/f read").waits, 0, "and not waited for")
    is(select(2, host.sh("ahead /mnt/f cached dontneed cached")), PAGES .. "\n0\n", "until it is not needed")
end

-- The disk is mute, and the reader goes on to the end of what was read before; there it waits.
k.mode = "unsafe"
local function held() return disk().held_count end
local function waits() return k.memory().waits end
local function opened() -- with the first window there
    last_page_known()
    open()
    is(step(1), 0, "the first page is read")
end
opened()
disk().held = true
r = counting(function() is(step(3), 0, "three more are, while the disk says nothing") end)
is(("%d %d"):format(r.ahead, r.waits), "1 0", "the next window was begun, and nobody waits")
local before = waits()
begin(8)
eventually(function() return waits() > before end, 20, "who wants that waits")
eventually(function() return held() == 2 end, 20, "the one behind it is on its way, too")
disk().held = false
is(ended(), 0, "and is served")
eventually(arrived, 20, "nothing stays behind")
is(waits() - before, 1, "it waited once")
is(host.sh("cmp /mnt/f /tmp/f"), 0, "all of it is right")
close()

-- What cannot be read ahead is nobody's error. Who wants it reads it himself, and is told.
local function fail_all()
    for _, request in ipairs(disk():chains()) do
        if request.state == "held" then disk():fail(request.head) end
    end
end
opened()
disk().held = true
is(step(3), 0, "a window is read ahead")
eventually(function() return held() == 1 end, 20)
fail_all()
eventually(arrived, 20, "it fails")
begin(1)
eventually(function() return held() > 0 end, 20, "who wants it reads it again")
eventually(function()
    fail_all() -- with its neighbours, and then alone
    return not k.tasks():where{name = "dd"}:first()
end, 20)
is(ended(), 1, "and is told that it cannot be read")
disk().held = false
is(step(1), 0, "another time it can")
is(host.sh("cmp /mnt/f /tmp/f"), 0, "nothing is lost")
close()

-- A command that has to wait for what is on its way.
local function waits_for_disk(command, what)
    local name = command:match("%w+")
    host.sh(("rm -f /tmp/status; (%s; echo $? >/tmp/status) >/dev/null 2>&1 &"):format(command))
    local function task() return k.tasks():where{name = name}:first() end
    eventually(function() return task() and task().state == "waiting" and task().wait == what end, 20, command .. " waits")
    disk().held = false
    eventually(function() return select(2, host.sh("cat /tmp/status")) == "0\n" end, 20, "and goes on")
end
local function on_its_way()
    opened()
    disk().held = true
    is(step(3), 0, "a window is read ahead")
    eventually(function() return held() == 1 end, 20)
end
baseline.same("nothing is left of it", function()
    on_its_way()
    close()
    waits_for_disk("umount /mnt", "the vnode reaper")
    is(host.sh("mount -t vfat /dev/vda /mnt"), 0, "the disk is free")
end)
on_its_way()
waits_for_disk("truncate -s 20992 /mnt/f", "page being read")
is(host.sh("truncate -s 40960 /mnt/f && head -c 20992 /tmp/f >/tmp/g && truncate -s 40960 /tmp/g && cmp /mnt/f /tmp/g"), 0,
    "a file cut off between sectors of a page that is on its way has zeroes there when it grows")
close()
host.sh("cp /tmp/f /mnt/f")
on_its_way()
close()
is(host.sh("rm /mnt/f"), 0, "a file is removed amid what is read")
disk().held = false
is(host.sh("cp /tmp/f /mnt/f && umount /mnt && mount -t vfat /dev/vda /mnt && cmp /mnt/f /tmp/f"), 0, "its place is used again")
done()
