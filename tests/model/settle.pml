// SPDX-License-Identifier: MIT
// A hart goes over to the other kind of run queue while another hart sends it tasks (run_queue_settle, run_queue_send in
// kernel/async/runqueue.c).
//
// A plain store waits in a buffer of its hart until the memory takes it, at any time; a fence waits for that.
// Checked: every task that was sent runs, though the owner looks at the queue of its own kind only.
// -DMISTAKE=n makes a mistake that the checker must find:
//   1 the sender does not look again           2 no fence before it looks again
//   3 no fence before the owner moves what it finds   4 the owner moves first, then changes
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define SENDS   2
#define CHANGES 2

byte in[2], ran, changes;  // tasks in the queues of each kind
byte kind, kind_new;       // as memory has it; the owner's buffer
bool kind_waits, asked;    // IPI_QUEUE is pending
bool push_waits;           // the sender's buffer
byte push_kind;

active proctype memory()
{
end:
    do
    :: atomic { kind_waits -> kind = kind_new; kind_waits = false }
    :: atomic { push_waits -> in[push_kind]++; push_waits = false }
    od
}

inline change(to) { atomic { !kind_waits -> kind_waits = true; kind_new = to } }
inline move(to)   { atomic { in[to] = in[to] + in[1 - (to)]; in[1 - (to)] = 0 } }

inline settle(to)
{
#if MISTAKE == 4
    move(to);
#endif
    change(to);
#if MISTAKE != 3
    !kind_waits; // fence_full
#endif
#if MISTAKE != 4
    move(to);
#endif
    mine = to
}

active proctype owner()
{
    byte mine;
end:
    do
    :: in[mine] > 0 -> atomic { in[mine]--; ran++ }
    :: atomic { asked -> asked = false }; settle(mine)
    :: changes < CHANGES -> changes++; settle(1 - mine)
    od
}

active proctype sender()
{
    byte n, k;
    do
    :: n < SENDS ->
        n++;
        k = kind;
        atomic { !push_waits -> push_waits = true; push_kind = k };
#if MISTAKE != 2
        !push_waits; // fence_full
#endif
#if MISTAKE != 1
        if
        :: kind != k -> asked = true
        :: else
        fi;
#endif
        k = 0
    :: else -> break
    od
}

init
{
    timeout;
    assert(ran == SENDS)
}
