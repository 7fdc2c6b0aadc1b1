#!/bin/sh
# The second compiler, and the checked spelling of the async macros, which refuses code that keeps a local across an await.
unset MAKEFLAGS MAKELEVEL MFLAGS
echo 1..2
n=0
try() { # name, folder, knobs
    n=$((n + 1))
    if make $3 "build/$2/tidepool.elf" >"build/$2.log" 2>&1; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1"
        grep -E 'error|undefined' "build/$2.log" | head -n 20 | sed 's/^/# /'
    fi
}
try "clang builds the kernel" clang CLANG=1
try "gcc builds it with assertions and checked awaits" debug DEBUG=1
