// SPDX-License-Identifier: MIT
// What pauses hold: see trace/held.h.
#include "trace/held.h"

#include "arch/atomic.h"
#include "async/task.h"
#include "session/number.h"

#include <string.h>

enum { PASSES = 64, HANDS = 8 };

// Tasks that are let by once: written by the monitor before it lets the task go, taken by that task.
static struct pass {
    uint32_t task; // 0: free; written last
    const struct trace_point *point;
    uint64_t arg;
} passes[PASSES];
static uint32_t next_pass;

// What a callback that runs has in hand: a script that does not stop is abandoned, and this is let go.
static struct hand {
    struct trace_event event[HANDS];
    unsigned n;
} hands[WIRE_SESSIONS]; // of each session

bool held_pass(uint32_t task, const struct trace_point *point, uint64_t arg)
{
    for (unsigned i = 0; i < PASSES; i++) {
        struct pass *p = &passes[i];
        if (load_acquire(&p->task) == task && p->point == point && p->arg == arg) {
            store_relaxed(&p->task, 0);
            return true;
        }
    }
    return false;
}

void held_take(struct trace_event *e)
{
    if (!e->held)
        return;
    struct hand *hand = &hands[session_number()];
    if (hand->n < HANDS) {
        hand->event[hand->n++] = *e;
        return;
    }
    tracer_let_go(e, true); // callbacks that wait within callbacks
    e->held = false;
}

void held_reset(void)
{
    struct hand *hand = &hands[session_number()];
    while (hand->n)
        tracer_let_go(&hand->event[hand->n - 1], false);
}

static void drop_from_hand(const struct trace_event *e)
{
    struct hand *hand = &hands[session_number()];
    for (unsigned i = hand->n; i--;)
        if (memcmp(&hand->event[i], e, sizeof *e) == 0) {
            memmove(&hand->event[i], &hand->event[i + 1], (--hand->n - i) * sizeof *e);
            return;
        }
}

static void give_pass(uint32_t task, const struct trace_point *point, uint64_t arg)
{
    struct pass *p = &passes[next_pass++ % PASSES];
    for (unsigned i = 0; i < PASSES && load_relaxed(&p->task); i++)
        p = &passes[next_pass++ % PASSES];
    store_relaxed(&p->task, 0);
    p->point = point;
    p->arg = arg;
    store_release(&p->task, task);
}

void tracer_let_go(const struct trace_event *e, bool pass)
{
    const struct trace_event held = *e; // it may lie in a hand
    const struct trace_point *point = &SET_BEGIN(trace_points)[held.point];
    if (!held.held)
        return;
    drop_from_hand(&held);
    if (!point->parks) {
        point->release(held.arg);
        return;
    }
    struct task *t = task_find(held.task);
    if (!t)
        return;
    if (pass)
        give_pass(held.task, point, held.arg[0]);
    task_unhold(t);
    task_put(t);
}
