-- SPDX-License-Identifier: MIT
-- kmon: --initrd build/tests.cpio
-- System calls as objects: the table, and what k.syscall_counts counts, against programs that make exactly so many calls, with so
-- many errors, and take so long.
local baseline = require "lib.baseline"
local traced = require "lib.traced"
local tell = traced.tell
local yield, close, mkdir = k.syscall("sched_yield"), k.syscall("close"), k.syscall("mkdirat")

-- ---- the table

for nr, name in pairs{[56] = "openat", [57] = "close", [63] = "read", [124] = "sched_yield", [173] = "getppid", [221] = "execve"} do
    is(k.syscalls()[nr].name, name, "Linux has " .. name .. " there")
    is(k.syscall(nr), k.syscall(name), "by number as by name")
end
is(k.syscall("getppid").args, 0, "getppid takes nothing")
is(k.syscall("openat").args, 4, "openat takes four")
is(k.syscall("getppid").kind, "plain", "and never waits")
local last, ordered = -1, true
for s in k.syscalls() do ordered, last = ordered and s.nr > last, s.nr end
ok(ordered and #k.syscalls() > 150, "they come in the order of their numbers")
is(k.syscalls():where{kind = "plain"}:count() + k.syscalls():where{kind = "async"}:count() + k.syscalls():where{kind = "plain first"}:count(),
    #k.syscalls(), "each is of one kind")
fails(function() k.syscall("opnat") end, "there is no system call 'opnat'; did you mean 'openat'?", "a name that is none")
fails(function() k.syscall(511) end, "there is no system call '511'", "a number that is none")
fails(function() return k.syscalls()[511].name end, "there is no Syscall#511", "of the list, too")

-- ---- while nobody counts, it says so

k.mode = "ro"
is(k.syscall_counts, false, "nobody counts")
tell "yields 10"
for _, name in ipairs{"calls", "errors", "last_errno", "last_error", "mean", "latency"} do is(yield[name], nil, name .. " is nil") end
like(tostring(yield), "sched_yield, not counted$", "and the line says why")
fails(function() k.syscall_counts = true end, "syscalls.count needs mode rw", "it is a change")
k.mode = "rw"
fails(function() k.syscall_counts = 1 end, "boolean expected", "to true or false")
fails(function() k.syscall_counts = false end, "system calls are not counted", "it cannot be ended")
is(k.dry(function() k.syscall_counts = true end)[1], "count system calls", "a dry run")
is(k.points():where{name = "sys.exit"}:first().on, false, "listens to nothing")

-- ---- counts

k.syscall_counts = true
is(k.journal()[#k.journal()].what, "count system calls", "the journal knows")
fails(function() k.syscall_counts = true end, "counted already", "it is on")
is(yield.calls, 0, "it begins with 0")
is(yield.mean, nil, "of which there is no mean")
is(yield.last_error, nil, "nor a last error")
like(tostring(yield), "sched_yield, no calls$", "as its line says")

local function sum(s)
    local n = 0
    for _, b in ipairs(s.latency) do n = n + b.count end
    return n
end
local failed = close.errors
tell "yields 3000" tell "fails 70"
is(yield.calls, 3000, "each call of a program is counted")
is(close.errors - failed, 70, "and each that fails")
ok(close.calls >= 70, "which is a call, too")
is(close.last_errno, 9, "by its number")
is(close.last_error, "EBADF", "and name")
is(yield.errors, 0, "the others did not")
is(sum(yield), 3000, "the buckets add up to them")
ok(yield.mean > 0, "they take time")
is(k.syscalls():sort("calls", true):first(), yield, "the list is sorted by what was counted")
is(#k.syscalls():sort("errors", true):take(3):list(), 3, "and cut into pages")

do  -- A list of them has a bar each, a column for each power of two.
    local both = k.syscalls():where(function(s) return s.name == "sched_yield" or s.name == "close" end)
    local shown, bars, darkest = reflect.show(both), {}, {}
    for bar in shown:gmatch("|([^|\n]+)|") do bars[#bars + 1] = bar end
    is(#bars, 2, "two histograms")
    is(#bars[1], #bars[2], "side by side")
    local first, i = math.huge, 0
    for s in both do
        local most
        for _, b in ipairs(s.latency) do
            first = math.min(first, b.lo)
            if not most or b.count > most.count then most = b end
        end
        i = i + 1
        darkest[i] = most.lo
    end
    for n, bar in ipairs(bars) do -- one that has nearly as many is as dark
        local column = 1
        while first << (column - 1) < darkest[n] do column = column + 1 end
        is(bar:sub(column, column), "#", "the fullest bucket is as dark as can be")
    end
end

host.sh("mkdir /tmp; true")
is(mkdir.last_error, "EEXIST", "a directory that is there")
host.sh("mkdir /no/such; true")
is(("%d calls, %d errors, %s"):format(mkdir.calls, mkdir.errors, mkdir.last_error), "2 calls, 2 errors, ENOENT", "the last error is the last one")
host.sh("mkdir /tmp/made && rmdir /tmp/made")
is(("%d calls, %d errors, %s"):format(mkdir.calls, mkdir.errors, mkdir.last_error), "3 calls, 2 errors, ENOENT", "and stays so")

-- Time: nobody else sleeps for so long, and none came back before its time.
local function slept()
    local n = 0
    for _, name in ipairs{"nanosleep", "clock_nanosleep"} do
        for _, b in ipairs(k.syscall(name).latency) do if b.hi >= 60000000 then n = n + b.count end end
    end
    return n
end
local before = slept()
is(host.sh("usleep 60000; usleep 60000; usleep 60000", 30000), 0, "a program sleeps")
is(slept() - before, 3, "so long do its calls last")

-- ---- all harts at once, and read meanwhile

local each, loops = 4000, 2 * #k.harts
local first = yield.calls
host.spawn(("for i in $(seq %d); do echo yields %d | traced >/tmp/y.$i & done; wait; echo done >/tmp/y"):format(loops, each))
local at_odds, back, n, seen = 0, 0, 0, first
while n < 300 or host.sh("test -e /tmp/y") ~= 0 do
    local s = yield:snap()
    local all = 0
    for _, b in ipairs(s.latency) do all = all + b.count end
    if all ~= s.calls then at_odds = at_odds + 1 end
    if s.calls < seen then back = back + 1 end
    n, seen = n + 1, s.calls
end
is(at_odds .. " " .. back, "0 0", "what is read meanwhile agrees with itself, and never goes back")
is(yield.calls - first, loops * each, "and none is lost")
host.sh("rm /tmp/y /tmp/y.*")

-- ---- it is nobody's trace, and ends when it is said so

local t = k.traces():first()
is(("%s %s %d"):format(t.kind, t.points, t.session), "function sys.exit 0", "who counts is listed")
fails(function() k.off(t) end, "no session's: k.syscall_counts = false ends it", "it is not taken off")
fails(function() t:stop() end, "no session's", "nor stopped")
k.off()
is(k.syscall_counts, true, "k.off() leaves it")
local calls = yield.calls
tell "yields 5"
is(yield.calls, calls + 5, "and it goes on")
k.undo()
is(k.syscall_counts, false, "undo ends it")
is(yield.calls, nil, "what it counted is forgotten")
is(k.traces():count() + k.points():where{on = true}:count(), 0, "nobody listens")
k.syscall_counts = true
is(yield.calls, 0, "the next one begins anew")
k.syscall_counts = false
baseline.same("it gives back all it had", function()
    k.syscall_counts = true
    tell "yields 20"
    k.syscall_counts = false
end)
traced.quit()
done()
