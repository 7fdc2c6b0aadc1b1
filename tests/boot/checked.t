#!/bin/sh
# A part of the suite on the debug build, and on the HARD build that is this commit's (tests/variants), with all that a debug
# build checks. `make soak` runs more of it, on every one. TAP.
set -u
test=0
steps() { # knobs, then steps: "WHAT HARTS"
    knobs=$1
    shift
    if ! elf=$(tests/variant $knobs); then
        test=$((test + 1))
        echo "not ok $test - $knobs: it builds"
        echo "$elf" | sed 's/^/# /'
        return
    fi
    for step in "$@"; do
        test=$((test + 1))
        if said=$(tests/step "$elf" "${step% *}" "${step##* }"); then
            echo "ok $test - $knobs: ${step% *} at ${step##* } harts"
        else
            echo "not ok $test - $knobs: ${step% *} at ${step##* } harts"
            echo "$said" | sed 's/^/# /'
        fi
    done
}

hard=$(tests/variants --of-commit)
name=$(echo "${hard#HARD_}" | tr '[:upper:]' '[:lower:]')
echo "# this commit's HARD build: $hard"
if [ -e "tests/hard/$name.lua" ]; then
    debug_abi="abi 4"
    steps "DEBUG=1 $hard=1" "tests/hard/$name.lua 4"
else # it checks all that a debug build checks: the programs run once
    debug_abi=
    steps "DEBUG=1 $hard=1" "abi 4" "load 2"
fi
steps DEBUG=1 ${debug_abi:+"$debug_abi"} "memory 4" "monitor 2" "leaks 4" "tests/boot/mutate.lua 20 4 4"
echo "1..$test"
