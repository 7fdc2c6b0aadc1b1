-- Out of memory: one program ends, the biggest, and the log says which; nobody else notices.
local function used()
    local m = k.memory(true)
    return m.anon + m.table
end
local function settles(limit, what)
    ok(eventually(function() return used() <= limit end, 20), what)
end
local function last_victim()
    local who
    for line in k.log do
        who = line.text:match("out of memory: process %d+ %((.-)%) is ended") or who
    end
    return who
end

host.sh("true")
local before, ended = used(), k.memory().ended
is(host.sh("hog"), 137, "a program that takes all memory is killed")
is(k.memory().ended, ended + 1, "one is ended")
is(last_victim(), "hog", "the log says which")
settles(before + 32, "its memory is back")

-- Many at once, together more than there is: some are ended, the others get what they asked for. The command waits
-- itself: a shell that is told of a child's end while it is typed at drops the line. It waits until everybody who was ended has
-- been reported and the others sleep. Who sleeps already may be ended for one who does not yet.
ended = k.memory().ended
local _, out = host.sh([[
    kills() { sed -n 's/^oom_kill //p' /proc/vmstat; }
    before=$(kills)
    for i in 1 2 3 4 5 6 7 8; do (hog -s 102400 >/tmp/many$i; status=$?; rm /tmp/many$i; echo $status >>/tmp/gone) & done
    for try in $(seq 300); do
        gone=$(cat /tmp/gone 2>/dev/null | wc -l)
        sleeps=$(cat /tmp/many* 2>/dev/null | grep -c sleeps)
        [ $((gone + sleeps)) = 8 ] && [ $(($(kills) - before)) = $gone ] && break
        sleep 0.1
    done
    echo "alive $(ps -o comm | grep -c '^hog')"; sort /tmp/gone | uniq -c]])
local alive, gone, status = out:match("alive (%d+)%s+(%d+) (%d+)%s*$")
is(status, "137", "eight programs want 800 MiB: who is not killed gets its 100 MiB")
local killed = k.memory().ended - ended
is(tonumber(gone), killed, "who is gone was ended for it")
ok(killed >= 3 and killed <= 6 and killed + alive == 8, "some are ended: " .. killed)
host.sh("killall hog; rm -f /tmp/many* /tmp/gone")
settles(before + 32, "their memory is back")

-- Who is to be spared is, who is to go first does, though it is smaller.
host.sh("echo >/tmp/spared; echo >/tmp/first")
_, out = host.sh([[(echo -500 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj; exec hog -s 250000 >/tmp/spared) &
    (echo 1000 >/proc/self/oom_score_adj; exec hog -s 8000 >/tmp/first) & first=$!
    until grep -q sleeps /tmp/spared && grep -q sleeps /tmp/first; do sleep 0.1; done
    hog 250 >/dev/null & second=$!
    wait $first; echo "first $?"; wait $second; echo "second $?"; killall hog; echo "spared $?"; rm /tmp/first]])
like(out, "first 137", "oom_score_adj 1000 goes first")
like(out, "second 137", "then the bigger of the others")
like(out, "spared 0", "and not who is spared")
like(out, "%-500", "oom_score_adj can be read and written")
settles(before + 32, "their memory is back")

-- Root kills by hand while user memory is exhausted.
local function fill(kib)
    host.sh("(echo -1000 >/proc/self/oom_score_adj; exec hog -s " .. kib .. " >/tmp/hog) & " ..
        "until grep -q sleeps /tmp/hog; do sleep 0.1; done")
end
-- What is left for programs is taken in rounds, each but for a margin, as a program needs tables, a stack and itself, too.
local function left() -- with what the harts keep for themselves
    local m = k.memory(true)
    return m.spare - m.reserve
end
local frames = left()
for _, margin in ipairs{750, 200, 200, 200, 200} do
    if frames <= margin then break end
    host.sh("echo >/tmp/hog")
    fill((frames - margin) * 512 // 513 * 4) -- a table for 512 pages
    frames = left()
end
ok(frames < 350, "next to nothing is left for programs: " .. frames .. " frames")
ended = k.memory().ended
_, out = host.sh("ps | cat | cat | cat | cat | cat | cat | cat; killall hog; echo status $?")
like(out, "hog %-s", "ps shows it")
like(out, "status 0", "and killall ends it")
is(k.memory().ended, ended, "out of the reserve: nobody is ended for it")
settles(before + 32, "memory is back")
is(select(2, host.sh("echo alive")), "alive\n", "the shell goes on")
done()
