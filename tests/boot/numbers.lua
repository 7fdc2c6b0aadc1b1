-- SPDX-License-Identifier: MIT
-- What a look into a large system costs: the first page of 10,000 tasks, a completion among them. Under -icount a nanosecond
-- is an instruction of some hart.
-- kmon: --icount --timeout 250
local TASKS, PAGE, COMPLETION = 10000, 25000000, 20000000

-- They are waited for by what they say: virtual time runs ahead whenever the host is waited for.
host.sh("mkfifo /tmp/go /tmp/said")
is(select(2, host.sh(("crowd futex %d /tmp/go >/tmp/said 2>&1 </dev/null & read line </tmp/said; echo $line"):format(TASKS), 100000)),
    "ready\n", "threads wait")

-- fn neither prints nor waits. The first time it makes what it keeps.
local function cost(fn)
    local begun = k.ns
    local v = fn()
    return k.ns - begun, v
end
local function at_most(limit, name, fn)
    local took, again = cost(fn), cost(fn)
    ok(took <= limit and again <= limit, ("%s: %d instructions, then %d"):format(name, took, again))
end

local page = reflect.show(k.tasks())
is(select(2, page:gsub("\n", "\n")) + tonumber(page:match("\n%.%.%. and (%d+) more$")), #k.tasks(), "a page says how many there are")
ok(#k.tasks() > TASKS and k.tasks():map("id"):count() == #k.tasks(), "as they are counted one by one")
at_most(PAGE, "the first page of k.tasks()", function() return reflect.show(k.tasks()) end)
for _, line in ipairs{"k.tasks():fir", "k.tasks():first().na", "k.ta"} do
    at_most(COMPLETION, "completion of " .. line, function() return reflect.complete(line, #line) end)
end

is(select(2, host.sh("{ echo >/tmp/go; read line; echo $line; } </tmp/said", 100000)), "fine\n", "and all end")
done()
