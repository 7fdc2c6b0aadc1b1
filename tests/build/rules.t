#!/bin/sh
# The layout and the rules of the house (tests/lint, without its minutes of clang-tidy). TAP.
echo 1..1
if said=$(tests/lint --quick); then
    echo "ok 1 - every file is laid out and built as the house does"
else
    echo "not ok 1 - every file is laid out and built as the house does"
    echo "$said" | sed 's/^/# /'
fi
