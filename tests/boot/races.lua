-- SPDX-License-Identifier: MIT
-- Changes of a mapping while the program, on another hart, makes it, a hole in it, and removes it, again and again: each is made
-- in whole, or refused with everything as it was. An undo touches nothing but what its change made, and what a program writes
-- meanwhile is not lost.
-- harts: 2 4
-- kmon: --timeout 200
local AT, BYTES = 0x2000000000, 64 * 4096 -- user/churn.c, do_holes
local TRIES, ENOUGH = 20000, 30
k.mode = "rw"

host.spawn("taskset 2 churn holes 1000000000 1 >/dev/null 2>&1 &")
local t = eventually(function() return k.tasks():where{name = "churn"}:list()[2] end, 30, "a program maps and unmaps")
local sp = t.space

-- The rights of all that is mapped there, in one word; the program stands still meanwhile.
local function standing(look)
    t:suspend()
    repeat until t.state == "suspended" and t.fn == "user_attend" -- parked, and not within a call
    local rights = {}
    for m in sp:map() do
        if m.lo >= AT and m.lo < AT + BYTES then rights[#rights + 1] = m.perm end
    end
    t:resume()
    return table.concat(rights, " ")
end

local function reads_only(rights) return rights:find("r--p", 1, true) end

local tries, made, refused, undone, not_undone, partial, odd = 0, 0, 0, 0, 0, nil, nil
local known = {"not within one mapping", "stale handle", "no more what that change made", "changing this space"}
local function is_known(why)
    for _, text in ipairs(known) do if why:find(text, 1, true) then return true end end
    odd = odd or why
end
for _ = 1, TRIES do
    tries = tries + 1
    local good, why = pcall(function() sp:find(AT):protect("r--") end)
    if good then
        made = made + 1
        local back, why_not = pcall(k.undo)
        if back then
            undone = undone + 1
        else
            not_undone = not_undone + 1
            is_known(why_not)
            repeat k.sleep(1) until not reads_only(standing()) -- what could not be undone goes with the mapping
        end
    elseif not why:find("attempt to index a nil value", 1, true) then
        refused = refused + 1
        is_known(why)
        local rights = standing()
        if reads_only(rights) then partial = partial or why .. ": " .. rights end
    end
    if made >= ENOUGH and refused >= ENOUGH then break end
end
diag(("%d tries: %d made, %d of them undone; %d refused"):format(tries, made, undone, refused))
ok(made > 0 and refused > 0, "a change that races is made at times, and refused at times")
is(partial, nil, "refused, it has changed nothing")
is(odd, nil, "and says what was in the way")
ok(undone > 0 and undone + not_undone == made, "what was made is undone, or that is refused")
t:signal("KILL")

-- Another mapping at the same place is not what the change was made of.
local p = k.task("sh")
local space = p.space
local m = space:add(BYTES, "rw-", AT)
m:protect("r--")
local n = k.journal()[#k.journal()].n
space:find(AT):remove()
space:add(BYTES, "rw-", AT)
fails(function() k.undo(n) end, "no more what that change made", "an undo spares a mapping that came later")
is(space:find(AT).perm, "rw-p", "which stays as it is")
space:find(AT):remove()

-- A page that comes after its own kind were counted is not removed with what it holds. The program has the kernel write to one, so
-- that it is not ended when that is gone, and gives it back, again and again; many others make the count long.
host.sh("mkfifo /tmp/in", 60000)
host.spawn("exec 8<>/tmp/in; taskset 2 lazy 4 </tmp/in >/tmp/out &")
local lazy = eventually(function() return k.tasks():where{name = "lazy"}:first() end, 60, "another program runs")
local many = eventually(function() return require("lib.mapped")(lazy, 4 << 20) end, 60, "it has mapped 4 MiB")
local first = many.lo
local function told(what) return tonumber((select(2, host.sh("grep -c '" .. what .. "' /tmp/out", 60000)))) end
local row
local function remove(bytes)
    return pcall(function()
        lazy.space:find(first):remove(first, first + bytes)
        row = k.journal()[#k.journal()].n
    end)
end

-- Removes all, or that page, beside the program; and if that always was faster, in a pause of it: at times it has just given
-- the page back.
local function remove_somehow()
    local gone, why
    for i = 1, 1000 do
        gone, why = remove(i <= 100 and 4 << 20 or 4096)
        if gone then return true end
        is_known(why)
    end
    for _ = 1, 100 do
        lazy:suspend()
        repeat until lazy.state == "suspended"
        gone = remove(4096)
        lazy:resume()
        if gone then return true end
    end
end
odd, known = nil, {"pages of its own would be lost", "pages are touched there all the time"}
local removed = 0
for round = 1, 10 do
    host.sh("echo read 0-1023 >/tmp/in; echo renew 0 >/tmp/in", 60000)
    eventually(function() return told("renews") == round end, 60)
    removed = removed + (remove_somehow() and 1 or 0)
    eventually(function() return told("is gone") == round end, 60)
    k.undo(row)
end
is(odd, nil, "a removal that races is refused for what is there")
is(removed, 10, "and made when nothing is")
is(told("is gone"), 10, "the program sees that")
is(told("with what it held"), 0, "and has lost nothing")
lazy:signal("KILL")
done()
