// SPDX-License-Identifier: MIT
// The ring: its owner pushes and pops, a thief halves it into its own, another steals from both (ring_push, ring_take,
// ring_steal in kernel/async/runqueue_ring.h and .c).
//
// Each access to shared memory is one step; compare-and-swap is an `atomic` block. The fences of store_release and
// load_acquire keep the order written here; a mistake that leaves one out is written as the order the hart may choose.
// Checked: each task runs exactly once, whoever gets it.
// -DMISTAKE=n makes a mistake that the checker must find:
//   1 the owner takes by a plain store         2 the thief takes by a plain store
//   3 tail is stored before the slot           4 the owner pushes without a look at head
//   5 the thief reads the slots after the swap 6 the thief shows what it copied before the swap
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define SIZE  4
#define TASKS 5
#define OWNER 0
#define THIEF 1
#define LATER 2

typedef ring {
    byte head, tail;
    byte slot[SIZE]
};
ring q[2]; // the owner's and the thief's; the later thief runs what it gets at once
byte ran;  // a bit per task

inline poll(task)
{
    atomic {
        assert(task < TASKS && !(ran >> task & 1)); // twice, or a slot that holds none
        ran = ran | (1 << task)
    }
}

inline cas(r, old, new, done)
{
    atomic {
        done = q[r].head == old;
        if
        :: done -> q[r].head = new
        :: else
        fi
    }
}

// ring_take; none: TASKS
inline take(r, h, v, done)
{
    done = false;
    v = TASKS;
    do
    :: done -> break
    :: else ->
        h = q[r].head;
        if
        :: h == q[r].tail -> v = TASKS; break
        :: else
        fi;
        v = q[r].slot[h % SIZE];
#if MISTAKE == 1
        q[r].head = h + 1;
        done = true
#else
        cas(r, h, h + 1, done)
#endif
    od;
    h = 0
}

active proctype owner()
{
    byte h, v, next;
    bool done;
    do
    :: next < TASKS ->
        h = q[OWNER].head;
        if
#if MISTAKE != 4
        :: q[OWNER].tail - h >= SIZE -> poll(next) // the injector's
#endif
        :: MISTAKE == 4 || q[OWNER].tail - h < SIZE ->
#if MISTAKE == 3
            q[OWNER].tail = q[OWNER].tail + 1;
            q[OWNER].slot[(q[OWNER].tail - 1) % SIZE] = next
#else
            q[OWNER].slot[q[OWNER].tail % SIZE] = next;
            q[OWNER].tail = q[OWNER].tail + 1
#endif
        fi;
        next++;
        h = 0
    :: next >= 2 -> // from then on it also runs them
        take(OWNER, h, v, done);
        if
        :: v < TASKS -> poll(v)
        :: v == TASKS && next == TASKS -> break
        :: else
        fi;
        v = 0
    od
}

// ring_steal from ring r: the first into v, a second one into slot `tail` of the thief's own.
inline steal(r, h, n, v, second, done)
{
    done = false;
    h = q[r].head;
    n = q[r].tail - h;
    if
    :: n == 0 || n > SIZE
    :: else ->
        n = n - n / 2;
        if // a thief without a ring takes one
        :: n > 1 && _pid == LATER -> n = 1
        :: else
        fi;
        assert(n <= 2);
#if MISTAKE != 5
        v = q[r].slot[h % SIZE];
        if
        :: n == 2 ->
            second = q[r].slot[(h + 1) % SIZE];
            q[THIEF].slot[q[THIEF].tail % SIZE] = second
        :: else
        fi;
#endif
#if MISTAKE == 6
        q[THIEF].tail = q[THIEF].tail + n - 1;
#endif
#if MISTAKE == 2
        q[r].head = h + n;
        done = true;
#else
        cas(r, h, h + n, done);
#endif
#if MISTAKE == 5
        v = q[r].slot[h % SIZE];
        if
        :: n == 2 ->
            second = q[r].slot[(h + 1) % SIZE];
            q[THIEF].slot[q[THIEF].tail % SIZE] = second
        :: else
        fi;
#endif
        if
        :: done && n == 2 && MISTAKE != 6 -> q[THIEF].tail = q[THIEF].tail + 1
        :: else
        fi
    fi;
    h = 0;
    n = 0;
    second = 0
}

active proctype thief()
{
    byte h, n, v, second;
    bool done;
end:
    do
    :: q[OWNER].head != q[OWNER].tail ->
        steal(OWNER, h, n, v, second, done);
        if
        :: done -> poll(v);
            take(THIEF, h, v, done); // unless the later thief has it
            if
            :: v < TASKS -> poll(v)
            :: else
            fi
        :: else
        fi;
        v = 0;
        done = false
    od
}

active proctype later()
{
    byte h, n, v, second, r;
    bool done;
end:
    do
    :: atomic {
            if
            :: q[OWNER].head != q[OWNER].tail -> r = OWNER
            :: q[THIEF].head != q[THIEF].tail -> r = THIEF
            fi
        };
        steal(r, h, n, v, second, done);
        if
        :: done -> poll(v)
        :: else
        fi;
        v = 0;
        r = 0;
        done = false
    od
}

init
{
    timeout;
    assert(ran == (1 << TASKS) - 1)
}
