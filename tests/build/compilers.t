#!/bin/sh
# The second compiler, and the debug build by both: its checked spelling of the async macros refuses code that keeps a local
# across an await. TAP.
echo 1..3
n=0
try() { # name, knobs
    n=$((n + 1))
    name=$1
    shift
    if said=$(tests/variant "$@"); then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name"
        echo "$said" | sed 's/^/# /'
    fi
}
try "clang builds the kernel" CLANG=1
try "gcc builds it with all that a debug build checks" DEBUG=1
try "and so does clang" CLANG=1 DEBUG=1
