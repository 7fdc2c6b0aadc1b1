-- A file read from front to back is read from the disk in few requests, each page once; a file read here and there is
-- read a page at a time.
local PAGES = 256
local function disk() -- requests it was given
    for q in k.queues() do
        if q.name == "vda.0" then return q.adds end
    end
end
local function cold()
    is(host.sh("umount /mnt && mount -t vfat /dev/vda /mnt && ls -l /mnt >/dev/null"), 0, "nothing is cached")
end
local function reading(command)
    local m, requests = k.memory(), disk()
    is(host.sh(command), 0, command)
    local n = k.memory()
    return {requests = disk() - requests, fills = n.fills - m.fills, filled = n.filled - m.filled}
end

is(host.sh(("dd if=/dev/urandom of=/mnt/f bs=4k count=%d 2>/dev/null; cp /mnt/f /tmp/f"):format(PAGES)), 0, "a MiB")
cold()
local r = reading("for i in 200 7 100 255; do dd if=/mnt/f of=/dev/null bs=4k skip=$i count=1 2>/dev/null; done")
is(("%d %d"):format(r.fills, r.filled), "4 4", "here and there: a page each")
cold()

-- With the last page the file system learns where all of the file lies, so what comes then is data alone: windows of
-- 4, 8 and then 16 pages.
is(host.sh(("dd if=/mnt/f of=/dev/null bs=4k skip=%d 2>/dev/null"):format(PAGES - 1)), 0, "the last page")
local runs, left, window = 0, PAGES - 1, 4
while left > 0 do
    runs, left, window = runs + 1, left - math.min(left, window), math.min(16, window * 2)
end
r = reading("cmp /mnt/f /tmp/f")
is(r.filled, PAGES - 1, "each page is read once")
is(r.fills, runs, "in runs of 4, 8 and 16 pages")
is(r.requests, runs, "a request each")
done()
