-- SPDX-License-Identifier: MIT
-- Works of `inject HOW` (user/inject.c), each of which must end well and leave nothing behind.
local baseline = require "lib.baseline"

-- A file system on the disk keeps blocks of its tables, and ever other ones: mounted anew it keeps none.
local remount = "umount /mnt && mount -t vfat /dev/vda /mnt"

return function(how, works)
    for work in works:gmatch "%a+" do
        baseline.same(work, function()
            local command = ("inject %s %s"):format(how, work)
            local status, out = host.sh(work == "fat" and command .. " && " .. remount or command, 60000)
            is(status, 0, command .. ": " .. out)
        end)
    end
    done()
end
