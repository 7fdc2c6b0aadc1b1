-- SPDX-License-Identifier: MIT
-- Lab 02: `lazy` does what the handout says, on the student's machine, and its page faults are taken down as they come, in
-- virtual time. First in the kernel as it was (nobody says that he goes in order), then what was built.
local lab = require "lib.lab"
local me = lab.begin(...)
local N, PAGE, TABLE = me.number, 4096, 2 << 20
local AHEAD = 8
local anon = function() return k.memory(true).anon end

-- ---- the program under study

local lazy = {} -- .space .pt .m: its mapping; .first: the page with which its first whole table begins
local faults = {}

local function tell(command, answer)
    host.type(command .. "\n")
    host.expect("lazy: " .. answer, 20000)
end

local function touch(n, last)
    if last and last > n then tell(("touch %d-%d"):format(n, last), "touched pages %d+%-%d+\n")
    else tell("touch " .. n, "touched page %d+ at %w+\n") end
end

local function read(n, last)
    if last then tell(("read %d-%d"):format(n, last), "read pages %d+%-%d+\n")
    else tell("read " .. n, "page %d+ holds %d+\n") end
end

local function drop(n, last) tell(("drop %d-%d"):format(n, last), "dropped page[^\n]*\n") end

-- The bytes that are not zero in these pages.
local function check(n, last)
    host.type(("check %d-%d\n"):format(n, last))
    return tonumber((select(2, host.expect("lazy: pages %d+%-%d+ hold (%d+) bytes", 20000))))
end

local function start()
    host.spawn("lazy 5")
    host.expect("lazy: pid %d+, 5 MiB[^\n]*\n", 20000)
    local task = k.task("lazy")
    lazy.task, lazy.space, lazy.pt = task, task.space, task.space.pt
    lazy.m = task.space:map():where{bytes = 5 << 20}:first()
    lazy.first = (-lazy.m.lo % TABLE) // PAGE
    lazy.probe = k.on("fault.page", function(e) faults[#faults + 1] = e end, {where = {pid = task.pid}})
end

local function stop()
    k.off(lazy.probe)
    host.type("quit\n")
    eventually(function() return not pcall(function() return lazy.task.state end) end, 20)
end

local function va(n) return lazy.m.lo + n * PAGE end

-- The pages of the mapping that fault while fn runs, in the order of their moments.
local function during(fn)
    k.sleep(1) -- what was there before has been told then
    faults = {}
    fn()
    k.sleep(1)
    table.sort(faults, function(a, b) return a.at < b.at end)
    local pages = {}
    for _, e in ipairs(faults) do
        if e.va >= lazy.m.lo and e.va < lazy.m.hi then pages[#pages + 1] = (e.va - lazy.m.lo) // PAGE end
    end
    return pages
end

-- The pages n to last are written: how many fault, and how many lie in another frame afterwards.
local function write_again(n, last)
    local before, moved = {}, 0
    for i = n, last do before[i] = lazy.pt:walk(va(i)).pa end
    local pages = during(function() touch(n, last) end)
    for i = n, last do moved = moved + (lazy.pt:walk(va(i)).pa ~= before[i] and 1 or 0) end
    return ("%d %d"):format(#pages, moved)
end

-- ---- the answers

local function distinct_frames(n, last)
    local seen, count = {}, 0
    for i = n, last do
        local pa = lazy.pt:walk(va(i)).pa
        if pa and not seen[pa] then seen[pa], count = true, count + 1 end
    end
    return count
end

local function predicted()
    local answer, n = lab.answer("predicted"), 0
    for _ in (answer or ""):gmatch("%d+") do n = n + 1 end
    lab.check("predicted", n == 9, answer and "nine numbers, as touch, reread, frames, drop, shared and alone have them"
        or "no answer; wrong ones count, too, if you had them before you looked")
end

-- In each situation the rule is asked, then the page is written to.
local situations = {
    {"of a page in a table that is there", function(p) touch(p + 1) end},
    {"of a page where no table is", function() end, 512},
    {"of a page that was read", function(p) read(p) end},
    {"of a page that was written", function(p) touch(p) end},
    {"of a page that was read, then written", function(p) read(p) touch(p) end},
    {"of a page that was dropped", function(p) touch(p) drop(p, p) end},
    {"of a page that a child shares", function(p) touch(p) tell("fork", "child %d+\n") end},
    {"of the same, written since", function(p) touch(p) tell("fork", "child %d+\n") touch(p) end},
    {"of a page whose other owner has ended",
        function(p) touch(p) tell("fork", "child %d+\n") tell("join", "child %d+ has ended\n") end},
}

local function try_rule()
    local rule, why = lab.rule("rule")
    local good = rule ~= nil
    for i, s in ipairs(good and situations or {}) do
        local page = lazy.first + 100 + 2 * i
        if s[3] then page = lazy.first > 300 and 10 or lazy.first + s[3] + 10 end
        s[2](page)
        local says, fails = rule{w = lazy.pt:walk(va(page))}
        local faulted = #during(function() touch(page) end) > 0
        if fails or (says and true or false) ~= faulted then
            good, why = false, s[1] .. " " .. (fails or ("it says %s: look what happens"):format(says))
            break
        end
    end
    lab.check("rule", good, why)
end

local function answers()
    local at = lazy.first
    local last = at + N - 1
    predicted()
    lab.value("touch", #during(function() touch(at, last) end), "lazy's m.resident before and after; k.on shows each fault")
    drop(at, last)
    lab.value("reread", #during(function() read(at, last) touch(at, last) end), "read some pages and watch their .bits")
    drop(at, last)
    local before = anon()
    read(at, last)
    lab.value("frames", ("%d %d"):format(anon() - before, distinct_frames(at, last)),
        "k.memory(true).anon, and the .pa of several of the walks")
    drop(at, last)
    lab.value("drop", #during(function() touch(at, last) drop(at, last) touch(at, last) end), "walk a page that was dropped")
    tell("fork", "child %d+\n")
    lab.value("shared", write_again(at, last), "which right has fork taken away? Compare the .pa of a page before and after")
    tell("fork", "child %d+\n")
    tell("join", "child %d+ has ended\n")
    lab.value("alone", write_again(at, last), "does the last owner need a copy? Compare the .pa of a page before and after")
    drop(at, last)
    try_rule()
end

-- ---- what was built

-- One page is written; how many pages are there then that were not: by the page table, and as the space counts them.
local function one_touch(n)
    local there, counted = lazy.m.resident, lazy.space.resident
    touch(n)
    return lazy.m.resident - there, lazy.space.resident - counted
end

local function numbers(list) return table.concat(list, " ") end

local function quiet()
    local at = lazy.first
    local pages = during(function() touch(at, at + 2 * AHEAD - 1) end)
    lab.check("quiet", #pages == 2 * AHEAD, ("without the advice each of %d pages faults, once; here did: %s"):format(
        2 * AHEAD, numbers(pages)))
    drop(at, at + 2 * AHEAD - 1)
end

local function window()
    local at, want = lazy.first, {}
    for i = 0, N - 1, AHEAD do want[#want + 1] = i end
    local got = during(function() touch(at, at + N - 1) end)
    for i in ipairs(got) do got[i] = got[i] - at end
    lab.check("window", numbers(got) == numbers(want),
        ("of pages 0 to %d, written in order from the beginning of a table, there faulted, in this order: %s"):format(N - 1, numbers(got)))
    drop(at, at + N - 1 + AHEAD)
end

-- Frames with something in them are given back first, so that they come again.
local function zero()
    local at = lazy.first
    touch(at + 64, at + 500)
    drop(at + 64, at + 511)
    touch(at)
    local wrong = check(at + 1, at + AHEAD - 1)
    lab.check("zero", wrong == 0, ("the pages that came along hold %d bytes of somebody's"):format(wrong))
    drop(at, at + AHEAD)
end

local function keeps()
    local at = lazy.first
    local kept = (at + 4) % 256 > 0 and at + 3 or at + 4 -- what lazy writes into a page is its number, and one
    touch(kept)
    drop(kept + 1, kept + AHEAD)
    touch(at)
    host.type(("read %d\n"):format(kept))
    local held = tonumber((select(2, host.expect("lazy: page %d+ holds (%d+)\n", 20000))))
    lab.check("keeps", held == (kept + 1) % 256, "a page that was there, within the window, has lost what was written to it")
    drop(at, kept + AHEAD)
end

local function counts()
    local at = lazy.first + 32
    local there, counted = one_touch(at)
    lab.check("counts", there == AHEAD and counted == there,
        ("after one touch %d pages have come, and the space counts %d"):format(there, counted))
    drop(at, at + AHEAD)
end

local function edge()
    local behind = lazy.pt:walk(lazy.m.hi).pa
    local there, counted = one_touch(1280 - 3)
    lab.check("edge", there == 3 and counted == 3 and lazy.pt:walk(lazy.m.hi).pa == behind,
        ("3 pages from the end of the mapping %d come, %d counted, and behind it there is %s"):format(there, counted,
            lazy.pt:walk(lazy.m.hi).pa and "one, too" or "none"))
end

-- The window may end with the table or go on in the next one; what is counted must be there in either case.
local function table_end()
    local border = lazy.first >= 16 and lazy.first or lazy.first + 512
    drop(border - 16, border + 15)
    local there, counted = one_touch(border - 3)
    touch(border - 2, border + 7)
    lab.check("table", (there == 3 or there == AHEAD) and counted == there and distinct_frames(border - 3, border + 7) == 11,
        ("3 pages from the end of a table %d come, and %d are counted: where are the others?"):format(there, counted))
    drop(border - 16, border + 15)
end

local function reads()
    local at, before = lazy.first + 64, anon()
    local there = lazy.m.resident
    read(at)
    lab.check("reads", lazy.m.resident - there == 1 and anon() == before,
        ("a read brings %d pages and takes %d frames"):format(lazy.m.resident - there, anon() - before))
    drop(at, at + AHEAD)
end

local function owned()
    local at = lazy.first + 96
    touch(at)
    tell("fork", "child %d+\n")
    local while_shared = write_again(at + 1, at + 1)
    tell("join", "child %d+ has ended\n")
    local afterwards = write_again(at + 2, at + 2)
    lab.check("owned", while_shared == "1 1" and afterwards == "1 0",
        ("a page that came along, faults and copies: while a child shares them %s, after it has ended %s"):format(while_shared, afterwards))
    drop(at, at + AHEAD)
end

-- ---- all of it, and its frames are given back

-- How many spaces there are, and how many frames of programs less what these count. While the same programs wait, this only
-- grows by what is lost: a program that takes another page counts it.
local function uncounted()
    local spaces, resident = 0, 0
    for space in k.spaces() do
        spaces = spaces + 1
        resident = resident + space.resident
    end
    return spaces, anon() - resident
end

local function back(spaces, before)
    local now, after
    host.sh("true")
    eventually(function()
        now, after = uncounted()
        return now == spaces and after <= before
    end, 20)
    lab.check("back", now == spaces and after <= before, ("%d frames stay when the program has ended"):format(after - before))
end

-- One whose mapping ends well within a table, so that what lies behind it can be looked at.
local function start_in_order()
    start()
    while lazy.m.hi // PAGE % 512 < AHEAD or lazy.m.hi // PAGE % 512 > 512 - AHEAD do
        stop()
        start()
    end
    tell("sequential", "in order from here\n")
end

host.sh("true")
local spaces, before = uncounted()
start()
answers()
quiet()
stop()
start_in_order()
window()
zero()
keeps()
counts()
edge()
table_end()
reads()
owned()
stop()
back(spaces, before)
done()
