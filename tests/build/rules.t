#!/bin/sh
# The layout and the rules of the house (tests/lint, without its minutes of clang-tidy); and the mistakes that `make traps`
# plants still have their place. TAP.
echo 1..2
if said=$(tests/lint --quick); then
    echo "ok 1 - every file is laid out and built as the house does"
else
    echo "not ok 1 - every file is laid out and built as the house does"
    echo "$said" | sed 's/^/# /'
fi
stale=
for patch in tests/traps/*.patch; do
    patch -s -p1 -F0 --dry-run <"$patch" >/dev/null || stale="$stale $patch"
done
[ -z "$stale" ] && echo "ok 2 - every planted mistake applies" || echo "not ok 2 - every planted mistake applies: not$stale"
