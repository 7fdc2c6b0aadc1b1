#!/bin/sh
# The machine code of the user loop and of the system calls is the same with and without the monitor; and without it nothing of
# it is in the image, which boots and runs a program. TAP.
unset MAKEFLAGS MAKELEVEL MFLAGS DEBUG CLANG ELF # of the make that runs the tests: here the usual build is compared
n=0
compare() { # name, file list under build/kernel
    n=$((n + 1))
    for object in $2; do
        other=build/nomon/${object#build/kernel/}
        a=$(riscv64-unknown-elf-objdump -dr "$object" | tail -n +4 | sha256sum)
        b=$(riscv64-unknown-elf-objdump -dr "$other" | tail -n +4 | sha256sum)
        [ "$a" = "$b" ] || { echo "not ok $n - $1: $object differs from $other"; return; }
    done
    [ -n "$2" ] && echo "ok $n - $1" || echo "not ok $n - $1: no object files"
}
# The names that the objects below those folders define and that no other object of the kernel does.
only_in() {
    { find "$@" -name '*.o' 2>/dev/null | xargs -r riscv64-unknown-elf-nm --defined-only | names
        find build/kernel/kernel build/kernel/libfdt -name '*.o' | xargs riscv64-unknown-elf-nm --defined-only | names | sed p; } |
        sort | uniq -u
}
# Of what nm prints, each name once; the compiler's numbers behind a name are not of it.
names() {
    sed -n 's/^[0-9a-f]* [a-zA-Z] \([A-Za-z_][A-Za-z0-9_]*\).*/\1/p' | sort -u
}
verdict() { # name, what is wrong
    n=$((n + 1))
    [ -z "$2" ] && echo "ok $n - $1" || echo "not ok $n - $1: $(echo $2 | cut -c 1-200)"
}
echo 1..7
n=$((n + 1))
if make MONITOR=1 build/kernel/tidepool.elf >build/nomon.log 2>&1 && make MONITOR=0 build/nomon/tidepool.elf >>build/nomon.log 2>&1; then
    echo "ok $n - the kernel builds without the monitor"
else
    echo "not ok $n - the kernel builds without the monitor"
    grep -E 'error|undefined' build/nomon.log | sed 's/^/# /'
fi
compare "the user loop" "$(ls build/kernel/kernel/task/user_loop*.o 2>/dev/null)"
compare "the system calls" "$(ls build/kernel/kernel/syscall/*.o 2>/dev/null)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
image=build/nomon/tidepool.elf
only_in build/kernel/monitor build/kernel/lua >"$work/theirs"
[ "$(wc -l <"$work/theirs")" -gt 1000 ] && few= || few="only $(wc -l <"$work/theirs") names"
verdict "the monitor and Lua have names of their own" "$few"
verdict "none of which is in the image without them" \
    "$(riscv64-unknown-elf-nm --defined-only $image | names | comm -12 - "$work/theirs")"
riscv64-unknown-elf-objcopy -O binary $image "$work/text"
verdict "nor a word of theirs" "$(strings -n 4 "$work/text" | grep -iE '\blua|monitor/|prelude')"
ELF=$image tests/guest run /bin/hello >"$work/log" 2>&1
verdict "it boots and runs a program" "$(grep -q '^hello' "$work/log" || tail -n 5 "$work/log")"
