-- Memory under load: every byte is right, what programs held comes back, exhaustion ends one program only.
local function used()
    local m = k.memory()
    return m.anon + m.table
end
local function settles(limit, what)
    ok(eventually(function() return used() <= limit end, 20), what)
end

host.sh("stress 2 1")
local before = used()
is(host.sh("stress 4 6"), 0, "fork, copy on write, threads and mappings on all harts")
settles(before + 32, "no user frame is lost")
for s in k.spaces() do
    ok(s.resident <= s.peak, "a space counts its pages: " .. tostring(s))
end

is(host.sh("hog"), 137, "a program that takes all memory is killed")
settles(before + 32, "and gives it back")
is(select(2, host.sh("echo alive")), "alive\n", "the shell goes on")
ok(k.memory().free > 0, "and so does the kernel")

-- Cached file pages give way to programs.
local none = k.memory().cache
is(host.sh("dd if=/dev/zero of=/mnt/big bs=64k count=128 2>/dev/null; sync"), 0, "8 MiB are written")
local sum = select(2, host.sh("md5sum </mnt/big"))
ok(k.memory().cache >= none + 2048, "and cached")
is(host.sh("hog"), 137, "memory is taken from the cache")
ok(k.memory().cache < none + 1024, "which gives way")
is(select(2, host.sh("md5sum </mnt/big")), sum, "what was given up is read again")
done()
