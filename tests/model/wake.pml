// SPDX-License-Identifier: MIT
// The states of one task: wake, run, cancel, borrow and hold (kernel/async/task.h, task.c, executor.c).
//
// Each step that is one instruction there is one step here; an atomic read-modify-write is an `atomic`
// block. Checked: one owner of the frames, one place in a run queue, no step while held, no lost wake.
// -DMISTAKE=n makes a mistake that the checker must find:
//   1 task_wake reads and writes apart   2 poll_task leaves by a plain store
//   3 task_release drops a wake          4 attend reads the attention word before the task is RUNNING
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define RUNNING 1
#define QUEUED  2
#define DEAD    4
#define CANCEL  1
#define HOLD    8
#define EVENTS  2

mtype = { DONE, YIELD, PENDING };
byte state, attn;
byte in_queue;     // places it has in run queues
byte owners;       // who may touch its frames
byte given, taken; // what it waits for: EVENTS of them
bool held;         // the holder has seen it parked

inline executor_enqueue() { atomic { assert(in_queue == 0); in_queue++ } }

// amoor of QUEUED
inline task_wake(old)
{
#if MISTAKE == 1
    old = state;
    state = old | QUEUED;
#else
    atomic { old = state; state = state | QUEUED }
#endif
    if
    :: old == 0 -> executor_enqueue()
    :: else
    fi;
    old = 0
}

inline task_attention(old, bits) { atomic { attn = attn | bits }; task_wake(old) }

inline own()    { atomic { owners++; assert(owners == 1) } }
inline disown() { owners-- }

// amoand of ~RUNNING; whoever leaves queues it if it was woken meanwhile
inline leave(old)
{
    atomic { old = state; state = state & ~RUNNING };
    if
    :: old & QUEUED -> executor_enqueue()
    :: else
    fi;
    old = 0
}

// What the task does in a poll: takes what has come, then waits, yields or ends.
inline resume(how)
{
    assert(!held && owners == 1);
    if
    :: taken < given -> taken++;
        if
        :: taken == EVENTS -> how = DONE
        :: else -> how = YIELD
        fi
    :: else -> how = PENDING
    fi
}

proctype hart()
{
    byte old, a;
    mtype how;
end:
    do
    :: atomic { in_queue > 0 -> in_queue-- };
#if MISTAKE == 4
        a = attn;
#endif
        atomic { assert(!(state & (RUNNING | DEAD))); state = RUNNING }; // amoswap, poll_task
        own();
#if MISTAKE != 4
        a = attn;
#endif
        if // run, attend
        :: a & HOLD -> how = PENDING
        :: !(a & HOLD) && (a & CANCEL) -> how = DONE
        :: else ->
            resume(how);
            if // overdue
            :: how != DONE -> a = attn;
                if
                :: (a & CANCEL) && (a & HOLD) -> how = PENDING
                :: (a & CANCEL) && !(a & HOLD) -> how = DONE
                :: else
                fi
            :: else
            fi
        fi;
        a = 0;
        disown();
        if
        :: how == DONE -> state = DEAD
        :: how == YIELD -> state = QUEUED; executor_enqueue()
        :: how == PENDING ->
#if MISTAKE == 2
            old = state;
            state = 0;
            if
            :: old & QUEUED -> executor_enqueue()
            :: else
            fi
#else
            leave(old)
#endif
        fi
    od
}

proctype waker()
{
    byte old;
    do
    :: given < EVENTS -> given++; task_wake(old)
    :: else -> break
    od
}

proctype canceller()
{
    byte old;
    if
    :: task_attention(old, CANCEL)
    :: skip
    fi
}

// task_borrow, task_release
proctype borrower()
{
    byte old;
    bool got;
    atomic {
        got = state == 0;
        if
        :: got -> state = RUNNING
        :: else
        fi
    };
    if
    :: got -> own(); disown();
#if MISTAKE == 3
        atomic { state = state & ~RUNNING }
#else
        leave(old)
#endif
    :: else
    fi
}

// task_hold, task_is_parked, task_unhold
proctype holder()
{
    byte old;
    task_attention(old, HOLD);
    !(state & RUNNING);
    held = true;
    held = false;
    atomic { attn = attn & ~HOLD };
    task_wake(old)
}

init
{
    atomic {
        state = QUEUED; // task_spawn
        in_queue = 1;
        run hart(); run hart(); run waker(); run canceller(); run borrower(); run holder()
    };
    timeout;
    assert((state & DEAD) && in_queue == 0 && owners == 0)
}
