-- SPDX-License-Identifier: MIT
-- What a look into a large system costs: the first page of 10,000 tasks, a loop over them, a completion among them. Under -icount a nanosecond
-- is an instruction of some hart.
-- kmon: --icount --timeout 250
-- build: usual
local TASKS, PAGE, COMPLETION, LOOP = 10000, 12000000, 20000000, 40000000

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
at_most(LOOP, "a loop over the names of all", function() for t in k.tasks() do local _ = t.name end end)
at_most(LOOP // 2, "over their numbers, without a handle for each", function() for _ in k.tasks():each("id") do end end)
do  -- Inside a loop the list may be asked, and walked by another.
    local list, n, inner = k.tasks(), 0, 0
    for t in list do
        n = n + 1
        if n % 1000 == 0 then
            inner = inner + #list // #list
            for _ in list do break end
        end
    end
    is(n, #list, "a list that is walked twice at once")
    is(inner, n // 1000, "and counted meanwhile")
end
for _, line in ipairs{"k.tasks():fir", "k.tasks():first().na", "k.ta"} do
    at_most(COMPLETION, "completion of " .. line, function() return reflect.complete(line, #line) end)
end

is(select(2, host.sh("{ echo >/tmp/go; read line; echo $line; } </tmp/said", 100000)), "fine\n", "and all end")
done()
