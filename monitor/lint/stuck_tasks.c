// SPDX-License-Identifier: MIT
// Lost wakes and deadlocks: tasks that will not go on, by what their waits tell.
//
// Lost: what the task waits for is there, or its waiter was taken out of the queue, and yet it is not queued to run.
// Where one is woken for one thing, an earlier grant may be on its way to another: so each task that could have one,
// those that were queued or ran at the first look, must have been polled before this is judged. From then on the first
// waiter has a right to what is there, and whoever gives something wakes just him.
//
// Deadlock: following holders leads back, and none of them has been polled between the looks.
#include "lint/lint.h"

#include <stdio.h>

enum { SUSPECTS = 32, BUSY = 256, EDGES = 256, RUNS_MS = 100 };

struct noticed {
    struct task_look lost[SUSPECTS];
    unsigned losts;
    struct {
        uint32_t id;
        uint64_t polls;
    } busy[BUSY];
    unsigned busies;
    uint64_t at;
    struct task_look edge[EDGES]; // suspended tasks that somebody else must let go on
    uint32_t holder[EDGES];
    unsigned edges;
};

static uint64_t ms_since(uint64_t ticks)
{
    return ticks_to_ns(time_ticks() - ticks) / 1000000;
}

static bool seems_lost(const struct task_look *l)
{
    return l->suspended && !l->woken && !l->held && l->wait.told && l->wait.ready;
}

static void note(struct noticed *x, const struct task_look *l)
{
    if (!l->suspended) {
        if (x->busies < BUSY) {
            x->busy[x->busies].id = l->id;
            x->busy[x->busies].polls = l->polls;
        }
        x->busies++;
    } else if (seems_lost(l)) {
        if (x->losts < SUSPECTS)
            x->lost[x->losts++] = *l;
    } else if ((l->wait.holder || l->wait.holder_pid) && x->edges < EDGES) {
        x->edge[x->edges++] = *l;
    }
}

static uint64_t notice(void *noticed, const struct lint_limits *limits)
{
    struct noticed *x = noticed;
    struct task_look l[LOOKS];
    unsigned n;
    (void)limits;
    x->at = time_ticks();
    for (uint32_t from = 0; (n = task_look_some(from, l)); from = l[n - 1].id + 1)
        for (unsigned i = 0; i < n; i++)
            note(x, &l[i]);
    for (unsigned i = 0; i < x->edges; i++)
        x->holder[i] = lint_holder(&x->edge[i].wait);
    return x->losts + x->edges;
}

// A poll ends, and takes what it was woken for, within RUNS_MS; what runs longer is in user mode.
static bool has_moved_on(uint32_t id, uint64_t polls, uint64_t noticed_at)
{
    struct task *t = task_find(id);
    if (!t)
        return true;
    uint32_t state = load_acquire(&t->state);
    bool moved = load_relaxed(&t->polls) != polls || state == 0 || (state & TASK_DEAD) ||
                 (state == TASK_RUNNING && ms_since(noticed_at) > RUNS_MS);
    task_put(t);
    return moved;
}

static bool busy_have_moved(const void *noticed)
{
    const struct noticed *x = noticed;
    if (!x->losts)
        return true; // it is only these that must wait for it
    if (x->busies > BUSY)
        return false; // not known of all: nothing can be said
    for (unsigned i = 0; i < x->busies; i++)
        if (!has_moved_on(x->busy[i].id, x->busy[i].polls, x->at))
            return false;
    return true;
}

static void judge_lost(lua_State *L, const struct noticed *x)
{
    for (unsigned i = 0; i < x->losts; i++) {
        struct task_look now;
        char wait[80], text[200];
        if (!task_look_id(x->lost[i].id, &now) || !task_look_same(&now, &x->lost[i]) ||
            !seems_lost(&now))
            continue;
        lint_wait_text(wait, sizeof wait, &now);
        snprintf(text, sizeof text, "Task#%u %s %s: %s, but it is not queued to run", now.id,
                 now.name, wait,
                 now.wait.queued ? "that is there and it is its turn"
                                 : "it was taken out of the queue");
        lint_found(L, "lost wake", now.id, ms_since(now.since), text);
    }
}

// ---- deadlocks

static int edge_of(const struct noticed *x, uint32_t id)
{
    for (unsigned i = 0; i < x->edges; i++)
        if (x->edge[i].id == id)
            return (int)i;
    return -1;
}

// Of the circle that i is in: true when i is its least member, so that each circle is told once.
static bool leads(const struct noticed *x, unsigned i)
{
    unsigned at = i, steps = 0;
    do {
        int next = edge_of(x, x->holder[at]);
        if (next < 0 || (unsigned)next < i || ++steps > x->edges)
            return false;
        at = (unsigned)next;
    } while (at != i);
    return true;
}

static bool stands(const struct noticed *x, unsigned i)
{
    const struct task_look *edge = &x->edge[i];
    struct task_look now;
    return task_look_id(edge->id, &now) && task_look_same(&now, edge) && !now.wait.ready &&
           now.wait.holder == edge->wait.holder && now.wait.holder_pid == edge->wait.holder_pid;
}

static void tell_circle(lua_State *L, const struct noticed *x, unsigned i)
{
    char text[400], wait[80];
    size_t n = 0;
    unsigned at = i;
    do {
        lint_wait_text(wait, sizeof wait, &x->edge[at]);
        if (n < sizeof text)
            n += (size_t)snprintf(text + n, sizeof text - n, "Task#%u %s %s, had by ",
                                  x->edge[at].id, x->edge[at].name, wait);
        at = (unsigned)edge_of(x, x->holder[at]);
    } while (at != i);
    if (n < sizeof text)
        snprintf(text + n, sizeof text - n, "Task#%u", x->edge[i].id);
    lint_found(L, "deadlock", x->edge[i].id, ms_since(x->edge[i].since), text);
}

static void judge_deadlocks(lua_State *L, const struct noticed *x)
{
    for (unsigned i = 0; i < x->edges; i++) {
        unsigned at = i;
        bool all = leads(x, i);
        while (all && (at = (unsigned)edge_of(x, x->holder[at])) != i)
            all = stands(x, at);
        if (all && stands(x, i))
            tell_circle(L, x, i);
    }
}

static void judge(lua_State *L, const void *noticed)
{
    judge_lost(L, noticed);
    judge_deadlocks(L, noticed);
}
LINT_CHECK(waits, "waits", sizeof(struct noticed), notice, busy_have_moved, judge);
