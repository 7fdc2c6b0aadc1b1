// SPDX-License-Identifier: MIT
// A hart goes to sleep while others wake tasks on it: idle, executor_run, enqueue_elsewhere
// (kernel/async/executor.c), ipi_send, irq_poll_slow (kernel/arch/riscv/machine.c).
//
// A plain store waits in a buffer of its hart until the memory takes it, at any time; a fence waits for
// that. Stores of a hart to different words may pass each other, but for the run queue's, which unlock
// publishes, as the swap of the inbox does. Not relied on: that the amoor of idle_mask orders what stands around it, too.
// Checked: every task that was queued runs.
// -DMISTAKE=n makes a mistake that the checker must find:
//   1 no fence before the waker reads `idle`   2 no fence before the sleeper looks again
//   3 no second look                           4 SSIP is cleared after the requests were taken
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define WAKERS 2
#define WAKES  2

byte ready, ran, asked; // hart->ready; tasks run; hart->ipi_pending
bool ssip, lock;
bool idle, current;                // as memory has them
bool idle_waits, idle_new;         // the sleeper's buffer
bool current_waits, current_new;
bool push_waits[WAKERS];           // a waker's: `ready` and the unlock

inline store_idle(v)    { atomic { !idle_waits -> idle_waits = true; idle_new = v } }
inline store_current(v) { atomic { !current_waits -> current_waits = true; current_new = v } }

active proctype memory()
{
end:
    do
    :: atomic { idle_waits -> idle = idle_new; idle_waits = false }
    :: atomic { current_waits -> current = current_new; current_waits = false }
    :: atomic { push_waits[0] -> push_waits[0] = false; ready++; lock = false }
    :: atomic { push_waits[1] -> push_waits[1] = false; ready++; lock = false }
    od
}

// The sleeper: executor_run
active proctype hart()
{
    do
    ::
        if // irq_poll
        :: ssip ->
#if MISTAKE == 4
            asked = 0;
            ssip = false
#else
            ssip = false;
            asked = 0 // amoswap
#endif
        :: else
        fi;
        if // executor_step: pop, poll_task
        :: ready > 0 ->
            atomic { !lock -> lock = true };
            ready--;
            lock = false;
            store_current(true);
            ran++;
            store_current(false)
        :: else -> // idle
            store_idle(true);
#if MISTAKE != 2
            !idle_waits && !current_waits; // fence_full
#endif
            if
#if MISTAKE == 3
            :: true ->
#else
            :: ready > 0
            :: else ->
#endif
end_wfi:        ssip // wfi with SIE off: ends when an interrupt is pending
            fi;
            store_idle(false)
        fi
    od
}

// Another hart: enqueue_elsewhere, ipi_send
proctype waker(byte me)
{
    byte n, old;
    do
    :: n < WAKES ->
        n++;
        atomic { !lock -> lock = true };
        push_waits[me] = true; // ready + 1, unlock
#if MISTAKE != 1
        !push_waits[me]; // fence_full
#endif
        if
        :: idle || current ->
            atomic { old = asked; asked = 1 }; // amoor
            if
            :: old == 0 -> ssip = true // SBI
            :: else
            fi
        :: else
        fi;
        old = 0
    :: else -> break
    od
}

init
{
    atomic { run waker(0); run waker(1) };
    timeout;
    assert(ran == WAKERS * WAKES)
}
