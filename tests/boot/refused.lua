-- What a script gets wrong is named, with its file and line, and has changed nothing: assignments, options, arguments, names.
-- (What is wrong with traces is in trace.lua.)
local init = k.pid(1)
local mode, limits = k.mode, k.session

local mistakes = {
    -- assignments
    {'k.mode = "x"', "no mode 'x': there are ro, rw and unsafe"},
    {'k.mode = nil', "k.mode: string expected, got nil"},
    {'k.session = 1', "k.session: table expected, got number"},
    {'k.session = {budgte = 5}', "no option 'budgte'; did you mean 'budget'?"},
    {'k.session = {budget = 2000000.5}', "budget: a whole number from 1000000 to 1000000000000 expected, not 2000000.5"},
    {'k.session = {heap = "much"}', "heap: a whole number from "},
    {'k.policy = 1', "k.policy: table expected, got number"},
    {'k.policy = {{pid = 1, wieght = 2}}', "no option 'wieght'; did you mean 'weight'?"},
    {'k.policy = {{pid = 1, weight = 1.5}}', "weight: a whole number from 1 to 64 expected, not 1.5"},
    {'k.policy = {{task = 1}}', "task: a Task expected, not 1"},
    {'k.harts = 1', "k.harts is read-only"},
    {'k.mood = 1', "did you mean 'mode'?"},
    {'k[1] = 1', "k is indexed by names, not by a number"},
    {'init.nice = 3.5', "Task.nice: integer expected, got 3.5"},
    {'init.nice = "5"', "Task.nice: integer expected, got string"},
    {'init.nice = {}', "Task.nice: integer expected, got table"},
    {'init.nice = 0/0', "Task.nice: integer expected, got "},
    {'init[1] = 5', "Task is indexed by names of fields, not by a number"},
    {'init.deadline = 1e300', "Task.deadline: nanoseconds expected, got 1e+300"},
    {'k.queue("vda.0").held = 1', "VirtQueue.held: boolean expected, got 1"},
    {'init.space:map():first().perm = 7', "Mapping.perm: string expected, got 7"},
    -- options
    {'k.fault.inject("lost-wakes")', "did you mean 'lost-wake'?"},
    {'k.fault.inject("delayed-io", 1, {msec = 5})', "no option 'msec'; "},
    {'k.fault.inject("leaked-frame", 1, {ms = 5})', "no option 'ms': there are none"},
    {'k.fault.inject("delayed-io", 1, {ms = "long"})', "ms: a whole number from 1 to 600000 expected, not a string"},
    {'k.fault.inject("delayed-io", 1, {ms = 0})', "ms: a whole number from 1 to 600000 expected, not 0"},
    {'k.fault.inject("delayed-io", 1, {ms = 1.5})', "ms: a whole number from 1 to 600000 expected, not 1.5"},
    {'k.fault.inject("delayed-io", 1, 5)', "options: table expected, got number"},
    {'k.fault.inject("delayed-io", 1, {5})', "options: {name = value} expected"},
    {'k.fault.inject("delayed-io", 1, {queue = 5})', "queue: a VirtQueue expected, not 5"},
    {'k.fault.inject("delayed-io", 1, {queue = init})', "queue: a VirtQueue expected, not a userdata"},
    {'k.freeze(print, {mss = 5})', "no option 'mss'; did you mean 'ms'?"},
    {'k.freeze(print, {ms = 1001})', "ms: a whole number from 1 to 1000 expected, not 1001"},
    {'init.space.pt:leaves{low = 5}', "no option 'low'; did you mean 'lo'?"},
    {'init.space.pt:leaves{lo = 1.5}', "lo: a whole number from 0 to "},
    {'init.space.pt:leaves(5)', "options: table expected, got number"},
    {'init.space.pt:set(0x10000, "vru", {flsh = false})', "no option 'flsh'; did you mean 'flush'?"},
    {'init.space.pt:set(0x10000, "vru", {flush = 0})', "flush: true or false expected, not 0"},
    {'init:suspend{nwo = true}', "no option 'nwo'; the options are now"},
    {'k.lint{io = 5}', "no option 'io'; the options are io_ms, poll_ms, leaks"},
    {'k.lint{io_ms = 0}', "io_ms: a whole number from 1 to 3600000 expected, not 0"},
    -- sequences
    {'k.tasks():where(5)', ":where: {field = value, ...} or a function expected, got number"},
    {'k.tasks():take(-1)', ":take: a whole number expected, got -1"},
    {'k.tasks():map()', ":map: a function or the name of a field expected, got nil"},
    {'k.tasks():sort{}', ":sort: the name of a field or a function expected, got table"},
    {'k.tasks():sort("hart")', ":sort: a userdata and a userdata have no order"},
    {'k.tasks():where{nmae = 1}:list()', "Task has no field 'nmae'; did you mean 'name'?"},
    {'k.tasks():map("nmae"):list()', "Task has no field 'nmae'; did you mean 'name'?"},
    {'k.tasks():wher{}', "a list has no method 'wher'"},
    -- names of what is not an object
    {'return k.virtio.vdb', "k.virtio has no 'vdb'; did you mean 'vda'?"},
    {'return k.virtio.vda.queue', "VirtioDevice has no field 'queue'"},
    {'return k.log:tial()', "a list has no method 'tial'"},
    {'return k.mem.reed', "k.mem has no 'reed'; did you mean 'read'?"},
    {'k.mem.read()', "bad argument #1 to 'read' (table expected, got no value)"},
    {'k.mem.hexdump(4096)', "bad argument #1 to 'hexdump' (table expected, got number)"},
    {'return k.fault.lists', "k.fault has no 'lists'; did you mean 'list'?"},
    {'return k.session.haep', "k.session has no 'haep'; did you mean 'heap'?"},
    {'k.log:tail()', ":tail: a whole number expected, got nil"},
    {'return k.log:tail(1)[1].txt', "LogLine has no field 'txt'; did you mean 'text'?"},
    {'return k.syscalls()[17].nme', "Syscall has no field 'nme'; did you mean 'name'?"},
    {'return k.memory().fre', "k.memory() has no 'fre'; did you mean 'free'?"},
    {'return k.memory().anonymous', "k.memory() has no 'anonymous'; it has "}, -- unless all are counted by their use
    {'return k.account().taks', "k.account() has no 'taks'; did you mean 'tasks'?"},
    {'return k.pte(0x20000cf7).bit', "the entry has no 'bit'; did you mean 'bits'?"},
    {'return k.trace("task.poll", {by = {"hart"}, secs = 0.1})[1].cuont', "the row has no 'cuont'; did you mean 'count'?"},
    {'return k.waits()[1].hodler', "the row has no 'hodler'"},
    {'return k.task("monitor"):backtrace()[1].size', "the row has no 'size'; it has "},
}

for _, mistake in ipairs(mistakes) do
    local source, message = table.unpack(mistake)
    local good, why = pcall(load("local init = ...\n\n" .. source, "@wrong.lua"), init)
    why = tostring(why)
    ok(not good and why:find("wrong.lua:3: ", 1, true) == 1 and why:find(message, 1, true), source .. ": " .. why)
end
is(k.mode, mode, "the mode is what it was")
is(k.session.heap .. " " .. k.session.budget, limits.heap .. " " .. limits.budget, "so are the limits")
is(#k.policy, 0, "there is no policy")
is(#k.journal(), 0, "and nothing is in the journal")
for _, f in ipairs(k.fault.list()) do if f.on then ok(false, f.name .. " is in force") end end

-- ---- what may be absent is nil, and what there is can be walked

local row = k.waits()[1]
ok(row.holder == nil or row.holder > 0, "a name that a row of its kind may have")
is(k.virtio[1], nil, "an index is no name")
local names = {}
for name in pairs(k.session) do names[#names + 1] = name end
table.sort(names)
is(table.concat(names, " "), "budget failures heap number peak size used", "pairs")
is(reflect.plain(k.session).number, k.session.number, "JSON")
done()
