-- SPDX-License-Identifier: MIT
-- A program is killed at each of its waits in turn (/proc/self/kill_nth): it ends there and then, nothing is left
-- behind, and who waits for it goes on.
-- harts: 1 4
local baseline = require "lib.baseline"

-- A file system on the disk keeps blocks of its tables, and ever other ones: mounted anew it keeps none.
local remount = "umount /mnt && mount -t vfat /dev/vda /mnt"

for work in ("reader fat wait futex poll tty sleep threads mount tmpfs memfd proc fork"):gmatch "%a+" do
    baseline.same(work, function()
        local command = "inject kill " .. work
        local status, out = host.sh(work == "fat" and command .. " && " .. remount or command, 60000)
        is(status, 0, command .. ": " .. out)
    end)
end
done()
