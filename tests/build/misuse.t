#!/bin/sh
# What must not compile in an async function, and what must: each line is a body for the checked build. TAP.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
test=0

compiles() { # the functions
    printf '#include "async/async.h"\nASYNC_DECL(leaf, int a; int b;);\nASYNC_DECL(fn, int k;);\n%s\n' "$1" >"$work/case.c"
    gcc -std=gnu11 -Wall -Wextra -Werror -Wjump-misses-init -O2 -fms-extensions -DASYNC_CHECKED -Itests/unit/include \
        -Ikernel -c "$work/case.c" -o /dev/null 2>"$work/errors"
}
check() { # yes|no, name, locals of the frame, body
    test=$((test + 1))
    verdict=no
    compiles "ASYNC(fn, $3) { ASYNC_BEGIN(fn); $4 ASYNC_END; }" && verdict=yes
    if [ "$verdict" = "$1" ]; then
        echo "ok $test - $2"
    else
        echo "not ok $test - $2: compiles: $verdict"
        sed 's/^/# /' "$work/errors" | head -n 8
    fi
}

check yes "a plain await" 'long r;' 'AWAIT(f->r, leaf, 1, 2); ASYNC_RETURN(f->r); ASYNC_FINALLY;'
check yes "two awaits on a line" 'long r;' 'AWAIT(f->r, leaf, 1, 2); AWAIT(f->r, leaf, 3, 4); ASYNC_FINALLY;'
check yes "a local between two awaits" 'long r;' \
    'AWAIT(f->r, leaf, 1, 2); { int x = f->k + (int)f->r; f->r = x; } AWAIT(f->r, leaf, 3, 4); ASYNC_FINALLY;'
check no "an initialised local that crosses an await" 'long r;' \
    'int x = f->k * 2; AWAIT(f->r, leaf, 1, 2); ASYNC_RETURN(x); ASYNC_FINALLY;'
check no "a loop variable that crosses an await" 'long r;' \
    'for (int i = 0; i < 3; i++) AWAIT(f->r, leaf, i, 2); ASYNC_FINALLY;'
check no "an await in FINALLY" 'long r;' 'ASYNC_FINALLY; AWAIT(f->r, leaf, 1, 2);'
check no "a return in FINALLY" 'long r;' 'ASYNC_FINALLY; ASYNC_RETURN(1);'
check no "a plain return" 'long r;' 'AWAIT(f->r, leaf, 1, 2); return f->r; ASYNC_FINALLY;'
check no "an argument too many" 'long r;' 'AWAIT(f->r, leaf, 1, 2, 3); ASYNC_FINALLY;'
check no "an argument too few" 'long r;' 'AWAIT(f->r, leaf, 1); ASYNC_FINALLY;'
check no "an argument of the wrong type" 'long r;' 'AWAIT(f->r, leaf, "x", 2); ASYNC_FINALLY;'
check no "an await of what is not async" 'long r;' 'AWAIT(f->r, abs, 1); ASYNC_FINALLY;'
check no "an await inside a switch over int" 'long r;' \
    'switch (f->k) { case 1: AWAIT(f->r, leaf, 1, 2); break; default: break; } ASYNC_FINALLY;'
check no "an await inside a switch over an enumeration" 'long r; enum poll_how e;' \
    'switch (f->e) { case POLL_DONE: AWAIT(f->r, leaf, 1, 2); break; default: break; } ASYNC_FINALLY;'

test=$((test + 1))
if compiles 'long plain(struct task *t); long plain(struct task *t) { long r; AWAIT(r, leaf, 1, 2); return r; }'; then
    echo "not ok $test - an await outside an async function compiles"
else
    echo "ok $test - an await outside an async function"
fi
echo "1..$test"
