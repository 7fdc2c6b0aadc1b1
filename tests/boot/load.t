#!/bin/sh
# Many processes and threads at once on 1, 2, 4 and 8 harts, by the project's programs and by one linked with nothing of its
# own on the disk: every result is checked inside (user/stress.c, user/forktree.c), and memory is as free afterwards.
# HARTS="1 4" chooses others. TAP.
set -u
test=0
build=$(basename "$(dirname "${ELF:-build/kernel/tidepool.elf}")")
for harts in ${HARTS:-1 2 4 8}; do
    tests/guest --smp $harts run /tests/load 2>&1 | tr -d '\r' >"build/load-$build-$harts.log"
    for pattern in 'stress: 6 workers, 10 rounds, 0 wrong' 'forktree: 341 of 341 processes' \
        'blocked: all joined, 0 wrong' 'memory is back'; do
        test=$((test + 1))
        if grep -q "^$pattern" "build/load-$build-$harts.log"; then
            echo "ok $test - $pattern, at $harts harts"
        else
            echo "not ok $test - $pattern, at $harts harts"
            tail -n 20 "build/load-$build-$harts.log" | sed 's/^/#   /'
        fi
    done
done
echo "1..$test"
