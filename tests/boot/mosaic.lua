-- SPDX-License-Identifier: MIT
-- 10,000 mappings of a process stream at the line's speed: to find a row and make its text takes less than to send it, for the
-- last rows no more than for the first, and nothing is kept of those that have gone. Under -icount a nanosecond is an
-- instruction: where a hart does one in each, the 630 kB/s that QEMU's UART was seen to do leave it 1,587 for a byte.
-- harts: 1
-- kmon: --icount --timeout 250
local MAPPINGS, BYTE, KEPT = 10000, 1587, 65536

host.sh("mkfifo /tmp/said")
is(select(2, host.sh(("mosaic %d >/tmp/said 2>&1 & read line </tmp/said; echo $line"):format(MAPPINGS), 100000)), "ready\n",
    "a process has them")
local space = k.task("mosaic").space
ok(#space:map() >= MAPPINGS, ("each its own: %d"):format(#space:map()))

-- Instructions until what fn printed has gone out: what the hart does not sleep through.
local function busy() return k.ns - k.harts[0].idle_ns end
local function cost(fn)
    collectgarbage()
    host.args()
    local begun = busy()
    fn()
    host.args() -- is sent behind it
    return busy() - begun
end

-- n rows, from the first or behind one: how many bytes they have, and the last.
local function rows(n, put, behind)
    local bytes, last = 0, nil
    for m in space:map(), nil, behind do
        local line = "# " .. tostring(m)
        bytes = bytes + #line + 1
        put(line)
        n, last = n - 1, m
        if n == 0 then break end
    end
    return bytes, last
end
local function nothing() end

-- The host reads what is sent before more is: QEMU drops what its socket does not take, and virtual time does not wait.
local unread = 0
local function send(line)
    print(line)
    unread = unread + 1
    if unread % 200 == 0 then host.args() end
end

local bytes, where = rows(MAPPINGS - 1000, nothing)
local first = cost(function() rows(1000, nothing) end)
local last = cost(function() rows(1000, nothing, where) end)
ok(last <= first + first // 10, ("1,000 rows: %d instructions, the last %d"):format(first, last))

local made, peak = cost(function() rows(MAPPINGS, nothing) end), k.session.peak
local sent = cost(function() bytes = rows(MAPPINGS, send) end)
ok(sent <= bytes * BYTE, ("%d bytes: %d instructions for each, at most %d"):format(bytes, sent // bytes, BYTE))
local line = sent - made
ok(made <= line, ("of a row's %d instructions %d make it, %d send it"):format(sent // MAPPINGS, made // MAPPINGS, line // MAPPINGS))
local kept = k.session.peak - peak
ok(kept <= KEPT, ("and %d bytes are kept"):format(kept))
host.sh("killall mosaic; rm /tmp/said")
done()
