// SPDX-License-Identifier: MIT
// A task that is in user mode, or about to go there, is asked for something while it changes harts (task_attention,
// poll_enter in kernel/async, user_loop, trap_user, irq_poll_slow, ipi_send).
//
// A plain store waits in a buffer of its hart until the memory takes it, at any time; the swap of `state` waits for that.
// In user mode nothing is looked at but SSIP. That an idle hart finds what is queued is sleep.pml's.
// Checked: whatever was asked is attended to, though the task never leaves user mode of its own accord.
// -DMISTAKE=n makes a mistake that the checker must find:
//   1 the IPI is sent, then the bit is set       2 RUNNING is looked for, then the bit is set
//   3 the hart looks before the task is RUNNING  4 `hart` is stored after the task is RUNNING
//   5 a trap looks before it clears SSIP         6 an interrupt is served between the last look and user mode
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define RUNNING 1
#define QUEUED  2
#define LEAVES  2
#define ASKERS  2

byte state = QUEUED, in_queue = 1; // the task's; places it has in run queues
byte attn, seen;                   // a bit per asker: asked, attended to
byte leaves;
bool ssip[2], ipi_pending[2];
byte last;                         // task.hart, as memory has it
bool last_waits[2];                // a hart's buffer

active proctype memory()
{
end:
    do
    :: atomic { last_waits[0] -> last = 0; last_waits[0] = false }
    :: atomic { last_waits[1] -> last = 1; last_waits[1] = false }
    od
}

inline serve(me)
{
    ssip[me] = false;
    ipi_pending[me] = false // amoswap
}

inline poll_enter(me)
{
#if MISTAKE == 3
    a = attn;
#endif
#if MISTAKE == 4
    state = RUNNING;
    last_waits[me] = true
#else
    last_waits[me] = true;
    atomic { !last_waits[me] -> state = RUNNING } // amoswap
#endif
}

// user_loop, until the task leaves this hart
inline user(me)
{
    do
    ::
#if MISTAKE != 3
        a = attn;
#endif
        if
        :: a -> atomic { seen = seen | attn; attn = 0 }; a = 0
        :: else ->
#if MISTAKE == 6
            if
            :: ssip[me] -> serve(me)
            :: else
            fi;
#endif
end_user:   if // user mode
            :: ssip[me] -> // trap_user; user mode again if nothing is asked
#if MISTAKE == 5
                a = attn;
                serve(me);
                do
                :: a -> break
                :: else ->
end_trap:           ssip[me];
                    a = attn;
                    serve(me)
                od
#else
                serve(me);
#if MISTAKE == 3
                a = attn
#endif
#endif
            :: leaves < LEAVES -> leaves++; state = QUEUED; in_queue++; break // yields
            :: leaves < LEAVES -> leaves++; // waits
                atomic { old = state; state = state & ~RUNNING };
                if
                :: old & QUEUED -> in_queue++
                :: else
                fi;
                old = 0;
                break
            fi
        fi
    od;
    a = 0
}

proctype hart(byte me)
{
    byte a, old;
end:
    do
    :: atomic { in_queue > 0 -> in_queue-- };
        poll_enter(me);
        user(me)
    od
}

inline set_bit() { atomic { attn = attn | (1 << me) } }

proctype asker(byte me)
{
    byte old, h;
    bool runs;
#if MISTAKE == 2
    runs = state & RUNNING;
#endif
#if MISTAKE != 1
    set_bit();
#endif
    atomic { old = state; state = state | QUEUED }; // task_wake
    if
    :: old == 0 -> in_queue++
    :: else
    fi;
    h = last;
#if MISTAKE != 2
    runs = state & RUNNING;
#endif
    if
    :: runs -> // ipi_send
        atomic { old = ipi_pending[h]; ipi_pending[h] = true }; // amoor
        if
        :: !old -> ssip[h] = true // SBI
        :: else
        fi
    :: else
    fi;
#if MISTAKE == 1
    set_bit();
#endif
}

init
{
    atomic { run hart(0); run hart(1); run asker(0); run asker(1) };
    timeout;
    assert(seen == (1 << ASKERS) - 1 && in_queue == 0)
}
