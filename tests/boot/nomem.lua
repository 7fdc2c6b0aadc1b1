-- SPDX-License-Identifier: MIT
-- Each allocation of a call fails once (/proc/self/fail_nth): the program sees ENOMEM, or is served all the same;
-- nothing is left behind, and the kernel goes on.
-- harts: 1 4
local baseline = require "lib.baseline"

-- A file system on the disk keeps blocks of its tables, and ever other ones: mounted anew it keeps none.
local remount = "umount /mnt && mount -t vfat /dev/vda /mnt"

for work in ("fork thread threads exec wait map memfd pipe reader poll futex tty many tmpfs names proc mount timer queue fat"):gmatch "%a+" do
    baseline.same(work, function()
        local command = "inject fail " .. work
        local status, out = host.sh(work == "fat" and command .. " && " .. remount or command, 60000)
        is(status, 0, command .. ": " .. out)
    end)
end
done()
