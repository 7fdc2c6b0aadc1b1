-- SPDX-License-Identifier: MIT
-- The program user/traced, told what to do through FIFOs: traced.tell "calls 100" returns when it has
-- done so.
local traced = {}

-- The shell keeps both open, so that nobody waits for another end.
host.spawn("mkfifo /tmp/t.in /tmp/t.out; exec 8<>/tmp/t.in 9<>/tmp/t.out; traced <&8 >&9 &")
eventually(function() return k.tasks():where{name = "traced"}:first() end, 20)
local function answer(command)
    local status, line = host.sh(command .. "read line </tmp/t.out; echo $line", 60000)
    assert(status == 0, line)
    return line
end
traced.pid = tonumber(answer(""):match("traced: pid (%d+)"))
traced.task = k.tasks():where{pid = traced.pid}:first()

-- It has been told, and does it from traced.go() on, which does not wait; traced.finish waits until it is done.
function traced.begin(what)
    k.mode = "rw"
    traced.task:suspend()
    host.sh(("echo %s >/tmp/t.in"):format(what), 30000)
    assert(eventually(function() return traced.task.state == "suspended" end, 20), "it does not listen")
end
function traced.go() traced.task:resume() end
function traced.finish(what) assert(answer(""):find("done " .. what, 1, true), "it has done something else") end
-- The nanoseconds that it took.
function traced.tell(what)
    local line = answer(("echo %s >/tmp/t.in; "):format(what))
    return tonumber(line:match("done " .. what .. " in (%d+)")) or error(line)
end
function traced.quit()
    host.sh("echo quit >/tmp/t.in; rm /tmp/t.in /tmp/t.out", 30000)
    eventually(function() return not k.tasks():where{name = "traced"}:first() end, 10)
end
for _, what in ipairs{"calls", "fails", "yields", "faults", "reads", "maps", "forks"} do traced.tell(what .. " 2") end

-- Runs fn while the traces listen; the rows of each.
function traced.during(fn, ...)
    local rows = {}
    fn()
    for i, t in ipairs{...} do rows[i] = t:stop() end
    for _, t in ipairs{...} do k.off(t) end
    return table.unpack(rows)
end

-- Rows by the value of one key.
function traced.by(key, rows)
    local t = {}
    for _, row in ipairs(rows) do t[row[key]] = row end
    return t
end

return traced
