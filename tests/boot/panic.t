#!/bin/sh
# A panic tells of the tasks that wait; afterwards a shell answers on the plain line. TAP.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. tests/lib/tap.sh
elf=${ELF:-build/kernel/tidepool.elf}

# prints N PATTERN: waits until the machine has printed PATTERN N times, into $raw; false if it does not within half a minute
raw=$work/raw
prints() {
    for i in $(seq 300); do
        [ "$(grep -ao "$2" "$raw" | wc -l)" -ge "$1" ] && return
        sleep 0.1
    done
    return 1
}

# enter LINE: into the post-mortem shell; waits for the next prompt
asked=1
enter() {
    printf "$1\\r" >&3
    asked=$((asked + 1))
    prints $asked '^post-mortem> '
}

# What a line at the post-mortem shell printed, the echo not counted.
answer() {
    sed -n "/^post-mortem> $1\$/,/^post-mortem> /p" "$work/log" | sed '1d;$d'
}

mkfifo "$work/keys"
timeout -k 5 120 qemu-system-riscv64 -M virt -smp 2 -m 256M -nographic -monitor none -serial stdio -no-reboot \
    -global virtio-mmio.force-legacy=false -kernel "$elf" -initrd build/initrd.cpio -append init=/bin/sh \
    <"$work/keys" >"$work/raw" 2>&1 &
machine=$!
exec 3>"$work/keys"
prints 1 '[~/] #'
printf 'sleep 1000 &\nsleep 1\nexit\n' >&3
prints 1 '^halted'
sleep 1
tr -d '\r\000' <"$work/raw" >"$work/log"
ok "a task that waits is told of, with what it waits for" \
    'grep -A 3 "^  task [0-9]* sleep waiting" "$work/log" | grep -q "#[0-9] .* kernel/.*:[0-9]* "'
ok "nothing is asked before a key is pressed" 'tail -n 1 "$work/log" | grep -q "^halted"'

printf '\000a frame under way\000' >&3
for line in ps 'bt sleep' help xyzzy bt 'bt 99999' 'mem 0xffffffc080200000 8' 'mem 0x10' 'log 2' 'helq\177p x'; do
    enter "$line" || break
done
printf 'poweroff\r' >&3
(sleep 10 && kill $machine 2>/dev/null && : >"$work/killed") &
wait $machine
status=$?
tr -d '\r\000' <"$work/raw" >"$work/log"
ok "ps lists all tasks" 'answer ps | grep -q "^ *[0-9]* *[0-9]* waiting *sleep$" && answer ps | grep -q "  0 [a-z]* *monitor$"'
ok "bt shows one" '[ "$(answer "bt sleep" | grep -c "^  task [0-9]* sleep waiting$")" = 1 ] && answer "bt sleep" | grep -q "^    #0 "'
ok "help lists the commands" '[ "$(answer help | wc -l)" = 8 ]'
ok "an unknown command is told of in one line" '[ "$(answer xyzzy)" = "no command xyzzy (help lists them)" ]'
ok "so is a missing word" '[ "$(answer bt)" = "usage: bt ID|NAME" ]'
ok "and a task that is not" '[ "$(answer "bt 99999")" = "there is no task 99999" ]'
ok "mem shows memory" 'answer "mem 0xffffffc080200000 8" | grep -qE "^ffffffc080200000 ( [0-9a-f]{2}){8} "'
ok "but of RAM alone" '[ "$(answer "mem 0x10")" = "0x10: not RAM" ]'
ok "log shows the last lines" '[ "$(answer "log 2" | grep -c "hart [0-9]*: ")" = 2 ]'
ok "a key takes the last one back" 'grep -q "^post-mortem> helq.*p x" "$work/log" && ! grep -q "no command helq" "$work/log"'
ok "what a host console had under way is no command" '! grep -q "a frame" "$work/log"'
ok "poweroff ends the machine" '[ $status = 0 ] && [ ! -e "$work/killed" ]'
exec 3>&-

# What was changed from the monitor is told of, too: the last eight changes, the newest first.
cat >"$work/change.lua" <<'END'
host.sh(":")
k.mode = "rw"
for nice = 1, 10 do k.task("sh").nice = nice end
host.type("exit\r")
k.sleep(60000)
END
: >"$work/raw"
timeout -k 5 120 qemu-system-riscv64 -M virt -smp 2 -m 256M -display none -monitor none -nic none -no-reboot \
    -global virtio-mmio.force-legacy=false -kernel "$elf" -initrd build/initrd.cpio -append init=/bin/sh \
    -chardev "socket,id=line,path=$work/line,server=on,wait=off,logfile=$work/raw" -serial chardev:line &
machine=$!
prints 1 '[~/] #'
build/kmon connect "unix:$work/line" --timeout 60 run "$work/change.lua" </dev/null >"$work/said" 2>&1
ok "kmon says that the kernel panicked" 'grep -qx "kmon: the kernel panicked while the script ran" "$work/said"'

# changes FROM TO: how the changes with these numbers, of which each made the niceness its number, are told of
changes() {
    for n in $(seq "$1" -1 "$2"); do echo "  change $n by session 1: make the niceness of Task#N $n"; done
}
tr -d '\r\000' <"$work/said" | sed 's/Task#[0-9]*/Task#N/' >"$work/log"
ok "the last eight changes are told of in the panic, behind the tasks" \
    '[ "$(sed -n "/^  change/,/^a key begins/p" "$work/log")" = "$(changes 10 3; echo "a key begins the post-mortem shell")" ]'

: >"$work/typed"
perl -MIO::Socket::UNIX -e '$line = IO::Socket::UNIX->new($ARGV[0]) or die;
    if (fork) { $line->syswrite($_) while sysread STDIN, $_, 80 } else { syswrite STDOUT, $_ while sysread $line, $_, 80 }' \
    "$work/line" <"$work/keys" >"$work/typed" &
typist=$!
exec 3>"$work/keys"
raw=$work/typed
printf '\rjournal\rxyzzy\r' >&3 # an empty line: on a slow machine the end of what kmon said may be taken for keys
prints 1 '^no command xyzzy'
exec 3>&-
wait $typist
kill $machine
wait $machine 2>/dev/null
tr -d '\r\000' <"$work/typed" | sed 's/Task#[0-9]*/Task#N/' >"$work/log"
ok "and all ten by the post-mortem shell" '[ "$(answer journal)" = "$(changes 10 1)" ]'
echo "1..$test"
