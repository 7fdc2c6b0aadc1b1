-- SPDX-License-Identifier: MIT
-- kmon: --initrd build/tests.cpio
-- The log as objects: the lines that dmesg shows, by number, until newer ones take their place.
local function said()
    local out = {}
    for level, seconds, text in select(2, host.sh("dmesg -r")):gmatch("<(%d)>%[ *([%d.]+)%] ([^\r\n]*)") do
        out[#out + 1] = ("%s %s %s"):format(level, seconds, text)
    end
    return out
end
local levels = {error = 3, warning = 4, info = 5, debug = 6}
local function told(lines)
    local out = {}
    for _, l in ipairs(lines) do out[#out + 1] = ("%d %d.%06d %s"):format(levels[l.level], l.ns // 1000000000, l.ns // 1000 % 1000000, l.text) end
    return out
end

host.sh(":") -- when it answers, all is mounted, and what boot has to say is said
local mine, dmesg = told(k.log:list()), said()
ok(#dmesg > 5 and #dmesg < 64, "dmesg has the whole log")
is(table.concat(mine, "\n"), table.concat(dmesg, "\n"), "k.log has the same lines, times and levels")
is(k.log[0].text, "Tidepool on hart " .. k.harts[k.log[0].hart].hart_id, "the first is the kernel's, by the hart that boots")
is(#k.log, #dmesg, "they are counted")
is(k.log:tail(1)[1], k.log[#dmesg - 1], "the last")
is(#k.log:tail(1000), #dmesg, "no more than there are")
is(k.log:where{level = "info"}:count() + k.log:where(function(l) return l.level ~= "info" end):count(), #dmesg, "each has a level")
fails(function() k.log(5) end, "a list takes no arguments: :take(n) and :tail(n) cut it", "a list is not called with a number")
fails(function() return k.log[100000] end, "there is no LogLine#100000", "what is not written yet")

-- A line for each mount.
local first, n = k.log[0], #k.log
is(host.sh("umount /mnt && mount -t vfat /dev/vda /mnt"), 0, "the disk is mounted again")
is(#k.log, n + 1, "which is a line")
like(k.log:tail(1)[1].text, "^fat32 vda: ", "about it")
ok(k.log:tail(1)[1].ns >= k.log[n - 1].ns, "later than the one before")
is(host.sh("for i in $(seq 280); do umount /mnt && mount -t vfat /dev/vda /mnt || exit 1; done", 100000), 0, "and 280 times more")
is(#k.log, 256, "256 are kept")
local ids = {}
for id in pairs(k.log) do ids[#ids + 1] = id end
is(ids[1] .. " " .. ids[#ids], (n + 281 - 256) .. " " .. (n + 280), "the newest")
fails(function() return first.text end, "stale handle: LogLine#0 was overwritten", "the first is gone")
is(table.concat(told(k.log:tail(64)), "\n"), table.concat(said(), "\n"), "dmesg shows the last 64")
done()
