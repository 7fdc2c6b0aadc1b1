#!/bin/sh
# The differential tests: every program of this folder must print in the guest what it prints under
# Linux, at 1, 2 and 4 harts (HARTS="1 4" chooses others). One boot runs them all. TAP.
#
# Lines are compared by their keys, since the two sides of a fork may print in either order.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
names=${NAMES:-$( (cd "$here" && ls ./*.c; cd "$here/../../user/rootfs/tests/abi" && ls ./*) | sed 's|^\./||; s|\.c$||' | grep -vx run)}
test=0

for name in $names; do
    "$here/reference" "$name" >"$work/$name.want"
done
for harts in ${HARTS:-1 2 4}; do
    "$here/guest" "$harts" ${NAMES-} 2>"$work/err" | tr -d '\r' >"$work/log"
    for name in $names; do
        test=$((test + 1))
        awk -v name="$name" '
            $0 == "== begin " name { inside = 1; next }
            index($0, "== end " name " ") == 1 { inside = 0; end = substr($0, 8) }
            inside { print > (FILENAME ".got") }
            END { print end ? end : name " did not end" }' "$work/log" >"$work/end"
        touch "$work/log.got"
        if awk -v end="$(cat "$work/end")" -v right="$name exit 0" '
                { key = $0; sub(/: .*/, "", key) }
                FILENAME == ARGV[1] { want[key] = $0; next }
                key in got { print "# twice: " key; bad = 1 }
                { got[key] = $0 }
                END {
                    for (key in got) if (!(key in want)) { print "# unexpected | " got[key]; bad = 1 }
                    for (key in want) if (!(key in got)) { print "# missing    | " want[key]; bad = 1 }
                    for (key in want) if (key in got && got[key] != want[key]) {
                        print "# got | " got[key] "\n#  want | " want[key]; bad = 1
                    }
                    if (end != right) { print "# ended: " end; bad = 1 }
                    exit bad
                }' "$work/$name.want" "$work/log.got" >"$work/report"; then
            echo "ok $test - $name at $harts harts"
        else
            echo "not ok $test - $name at $harts harts"
            sed 's/^#\( \)/#\1 /' "$work/report"
        fi
        rm -f "$work/log.got"
    done
    if ! grep -q '^== done' "$work/log"; then
        echo "# the run at $harts harts did not come to its end; its last lines:"
        tail -n 12 "$work/log" "$work/err" | sed 's/^/#   /'
    fi
done
echo "1..$test"
