#!/bin/sh
# The machine code of the user loop and of the system calls is the same with and without the monitor.
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
echo 1..3
n=$((n + 1))
if make MONITOR=1 build/kernel/tidepool.elf >build/nomon.log 2>&1 && make MONITOR=0 build/nomon/tidepool.elf >>build/nomon.log 2>&1; then
    echo "ok $n - the kernel builds without the monitor"
else
    echo "not ok $n - the kernel builds without the monitor"
    grep -E 'error|undefined' build/nomon.log | sed 's/^/# /'
fi
compare "the user loop" "$(ls build/kernel/kernel/task/user_loop*.o 2>/dev/null)"
compare "the system calls" "$(ls build/kernel/kernel/syscall/*.o 2>/dev/null)"
