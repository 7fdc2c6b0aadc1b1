-- harts: 1 4
-- kmon: --mem 49M
-- Why dirty pages are written: for who syncs, for age, for pressure; each only for that.
local function why(work)
    local a = k.flusher
    local synced, aged, pressed = a.synced, a.aged, a.pressed
    work()
    local b = k.flusher
    return b.synced - synced, b.aged - aged, b.pressed - pressed
end
local function write(pages) return ("dd if=/dev/zero of=/mnt/f bs=4096 count=%d 2>/dev/null"):format(pages) end

is(k.flusher.age_ms, 30000, "what is dirty may be so for 30 s")
local synced, aged, pressed = why(function() is(host.sh(write(40) .. "; sync"), 0, "40 pages, and sync") end)
is(synced .. " " .. aged .. " " .. pressed, "40 0 0", "are written for that")
synced, aged, pressed = why(function()
    is(host.sh("dd if=/dev/zero of=/mnt/f bs=4096 count=40 conv=fsync 2>/dev/null"), 0, "40 pages, and fsync")
end)
is(synced .. " " .. aged .. " " .. pressed, "40 0 0", "are written for that, too")

-- Age: nothing happens while they are young; then they go, without anybody asking.
synced, aged, pressed = why(function()
    is(host.sh(write(30)), 0, "30 pages")
    k.sleep(300)
end)
is(synced .. " " .. aged .. " " .. pressed, "0 0 0", "stay dirty while they are young")
is(k.flusher.dirty, 30, "all of them")
k.mode = "rw"
k.flusher.age_ms = 200
eventually(function() return k.flusher.dirty == 0 end, 10, "and are written once they are old")
eventually(function() return k.flusher.aged == 30 end, 10, "for that") -- counted when the write is over
local sum = select(2, host.sh("dd if=/dev/urandom of=/mnt/g bs=4096 count=20 2>/dev/null; md5sum </mnt/g"))
eventually(function() return k.flusher.dirty == 0 end, 10, "so are others, without a change of the age")
is(host.sh("umount /mnt && mount -t vfat /dev/vda /mnt"), 0, "what was written")
is(select(2, host.sh("md5sum </mnt/g")), sum, "is on the disk")
k.undo()
is(k.flusher.age_ms, 30000, "the age is what it was")

-- Pressure: more than a tenth of memory.
synced, aged, pressed = why(function() is(host.sh(write(2000), 60000), 0, "8 MiB") end)
ok(pressed > 0 and synced == 0 and aged == 0, ("are written since they are many: %d pages"):format(pressed))
done()
