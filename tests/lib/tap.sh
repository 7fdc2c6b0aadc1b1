# For tests in sh, sourced: counts in $test; `ok NAME CONDITION` is one test, that the shell's CONDITION holds. If it does not,
# the end of $work/log is shown.
test=0

ok() {
    test=$((test + 1))
    if eval "$2"; then
        echo "ok $test - $1"
    else
        echo "not ok $test - $1"
        tail -n 15 "$work/log" | sed 's/^/#   /'
    fi
}
