#!/bin/sh
# Checks each model of this folder exhaustively with spin, and that the checker finds each mistake the model can make. TAP.
set -u
here=$PWD/tests/model
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
test=0

# errors MODEL MISTAKE: how many the checker finds; nothing when it could not look at every state
errors() {
    spin -DMISTAKE="$2" -a "$here/$1.pml" >log 2>&1 && gcc -O1 -w -DSAFETY -DCOLLAPSE -DMEMLIM=1024 -o pan pan.c >>log 2>&1 &&
        timeout 100 ./pan -m100000 >>log 2>&1
    grep -qE 'max search depth too small|Search not completed' log && [ "$2" = 0 ] && return
    sed -n 's/.*errors: \([0-9]*\).*/\1/p' log
}
check() { # condition's result, name
    test=$((test + 1))
    if [ "$1" = 0 ]; then
        echo "ok $test - $2"
    else
        echo "not ok $test - $2"
        tail -n 20 log | sed 's/^/#   /'
    fi
}

for file in "$here"/*.pml; do
    model=$(basename "$file" .pml)
    n=$(errors "$model" 0)
    [ "$n" = 0 ]
    check $? "$model: no error in any state"
    mistakes=$(sed -n '/^#ifndef/q; s/^\/\/ *//p' "$file" | grep -oE '(^| )[1-9] [a-zA-Z]' | grep -oE '[1-9]' | sort -u)
    [ -n "$mistakes" ]
    check $? "$model: names its mistakes"
    for mistake in $mistakes; do
        n=$(errors "$model" "$mistake")
        [ "${n:-0}" -ge 1 ]
        check $? "$model: mistake $mistake is found"
    done
done
echo "1..$test"
