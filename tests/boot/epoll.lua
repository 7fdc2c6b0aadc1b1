-- kmon: --initrd build/tests.cpio
-- harts: 2
-- How many watches of epolls a user may have.
local limit = "/proc/sys/fs/epoll/max_user_watches"
local _, before = host.sh("cat " .. limit)
ok(tonumber(before) > 1000, "there is a limit: " .. before)
isnt(host.sh("echo -1 >" .. limit), 0, "it cannot be less than none")
isnt(host.sh("echo many >" .. limit), 0, "nor a word")
is(host.sh("echo 10 >" .. limit), 0, "it can be set")
is(select(2, host.sh("cat " .. limit)), "10\n", "and is")
local status, out = host.sh("/tests/abi/epoll_limits few")
is(status, 0, "a program runs into it")
is(out, [[
in one epoll: 5
in another: 4
why no more: ENOSPC
again what is there: EEXIST
by another user to the same: ENOSPC
to its own: 3
the other: exit 0
after one is closed: 0
after all are: 10
]], "and has as many as it may")
host.sh("echo " .. before .. " >" .. limit)
done()
