#!/bin/sh
# The prompt in a machine of 1, 2 and 4 harts (HARTS): a transcript comes out as it is written, and completion is at hand while
# programs run. TAP.
set -u
mkdir -p build
work=$(mktemp -d build/prompt.XXXXXX)
trap 'rm -rf "$work"' EXIT
. tests/lib/tap.sh
for harts in ${HARTS:-1 2 4}; do
    tests/guest --smp "$harts" transcript tests/console/prompt.transcript >"$work/log" 2>&1
    status=$?
    ok "the transcript at $harts harts" "[ $status = 0 ] && grep -q '^1\\.\\.[1-9]' $work/log && ! grep -q '^not ok' $work/log"
done
echo "1..$test"
