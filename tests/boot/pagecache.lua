-- kmon: --mem 49M
-- The page cache in little memory: a file that is bigger is written and read back right, writers wait for
-- the disk, what is read again stays, and what is mapped gives way, too.
local function sh(command) return host.sh(command, 100000) end
local function memory() return k.memory() end
local total, rooted = memory().total, memory().cached -- the root file system has no other place

-- 34 MiB through 25 MiB of free memory; no two pages are alike.
local stream = "for i in $(seq 1 17); do printf %0${i}d $i; cat /bin/busybox; done"
local m = memory()
is(sh(stream .. " >/mnt/big"), 0, "a file bigger than memory is written")
local n = memory()
ok(n.written - m.written > 4400, "most of it went to the disk on the way: " .. n.written - m.written)
ok(n.dirty * 4 < total, "little is dirty: " .. n.dirty .. " of " .. total)
is(select(2, sh("(" .. stream .. ") | cmp - /mnt/big && echo same")), "same\n", "and read back right")
m = memory()
ok(m.evicted > n.evicted, "pages were given up for it: " .. m.evicted - n.evicted)
is(m.ended, 0, "no program was ended")

-- A hog takes the memory of the cache, also of pages that are mapped.
is(host.sh("cp /bin/busybox /mnt/busybox; sync"), 0, "a program on the disk")
host.sh("/mnt/busybox sleep 1000 & sleep 0.5")
is(host.sh("hog"), 137, "memory is taken from the cache")
ok(memory().cached < rooted + 300, "which gives way: " .. memory().cached - rooted)
is(select(2, host.sh("/mnt/busybox echo runs")), "runs\n", "a program whose pages were taken runs on")
is(host.sh("killall busybox"), 0, "and the one that slept, too")
is(select(2, host.sh("cmp /bin/busybox /mnt/busybox && echo same")), "same\n", "with the right contents")

-- Faster than the disk: the writer waits.
m = memory()
is(sh("dd if=/dev/zero of=/mnt/big bs=1M count=40 2>/dev/null"), 0, "zeroes faster than the disk takes them")
ok(memory().throttled > m.throttled, "the writer has to wait")
done()
