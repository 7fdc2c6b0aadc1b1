#!/bin/sh
# What decodes the line under libFuzzer (tests/fuzz): so many inputs from one seed. `make fuzz` and `make soak` go on from
# other ones, for a time. TAP.
set -u
RUNS=200000
test=0
for source in tests/fuzz/*.c; do
    target=build/fuzz/$(basename "$source" .c)
    test=$((test + 1))
    if said=$($target -seed=1 -runs=$RUNS -timeout=10 -artifact_prefix="$target-" 2>&1) &&
        echo "$said" | grep -q "^Done $RUNS runs"; then
        echo "ok $test - $target: $RUNS inputs"
    else
        echo "not ok $test - $target: $RUNS inputs"
        echo "$said" | tail -n 30 | sed 's/^/# /'
    fi
done
echo "1..$test"
