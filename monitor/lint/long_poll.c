// SPDX-License-Identifier: MIT
// Long polls: a hart that computes in the kernel without coming to a safe point.
//
// Kernel code runs with interrupts off, and takes them between polls and from user mode only. So a hart that has not
// taken an interrupt of ours for that long is in one poll of one task all the while; a program that computes answers at
// once. Nothing is said of what is over by the second look: then there may have been no hart of the host to run on.
#include "arch/cpu.h"
#include "async/task.h"
#include "lib/init.h"
#include "lint/lint.h"

#include <stdio.h>

static uint32_t asked, answered[MAX_HARTS]; // numbers of rounds, of all that ask

struct noticed {
    uint32_t round;
    uint64_t asked_at, limit_ms;
    struct {
        uint32_t task;
        uint64_t polls, started;
    } seen[MAX_HARTS]; // when it was asked; task 0: there was none
};

static void answer(void)
{
    store_release(&answered[hart_index()], load_acquire(&asked));
}

static uint64_t ms_since(uint64_t ticks)
{
    uint64_t now = time_ticks();
    return now > ticks ? ticks_to_ns(now - ticks) / 1000000 : 0;
}

static bool is_silent(const struct noticed *x, uint32_t hart)
{
    return hart != hart_index() && load_relaxed(&harts[hart]->online) &&
           (int32_t)(load_acquire(&answered[hart]) - x->round) < 0;
}

// The list lock keeps the task from going meanwhile.
static void look_at_hart(uint32_t hart, uint32_t *task, uint64_t *polls, uint64_t *started,
                         char *name)
{
    spin_lock(&task_list_lock);
    const struct task *t = load_relaxed(&harts[hart]->current);
    bool is = t && t->magic == TASK_MAGIC;
    *task = is ? t->id : 0;
    *polls = is ? load_relaxed(&t->polls) : 0;
    *started = is ? load_relaxed(&t->since) : 0;
    if (name)
        snprintf(name, sizeof t->name, "%s", is ? t->name : "?");
    spin_unlock(&task_list_lock);
}

static uint64_t notice(void *noticed, const struct lint_limits *limits)
{
    struct noticed *x = noticed;
    uint64_t n = 0;
    store_release(&asked, asked + 1);
    x->round = asked;
    x->asked_at = time_ticks();
    x->limit_ms = limits->poll_ms;
    for (uint32_t i = 0; i < hart_count; i++) {
        if (!is_silent(x, i))
            continue;
        look_at_hart(i, &x->seen[i].task, &x->seen[i].polls, &x->seen[i].started, NULL);
        ipi_send(i, IPI_PING);
        n++;
    }
    return n;
}

static bool settled(const void *noticed)
{
    const struct noticed *x = noticed;
    if (ms_since(x->asked_at) > x->limit_ms)
        return true;
    for (uint32_t i = 0; i < hart_count; i++)
        if (is_silent(x, i))
            return false;
    return true;
}

static void judge(lua_State *L, const void *noticed)
{
    const struct noticed *x = noticed;
    for (uint32_t i = 0; i < hart_count; i++) {
        char name[24], text[160];
        uint32_t task;
        uint64_t polls, started;
        look_at_hart(i, &task, &polls, &started, name);
        bool same = task && task == x->seen[i].task && polls == x->seen[i].polls &&
                    started == x->seen[i].started;
        if (!same || !is_silent(x, i)) // looked at after the task: it was silent all the time
            continue;
        snprintf(text, sizeof text,
                 "hart %u is in one poll of Task#%u %s, and has come to no safe point for %lu ms",
                 i, task, name, (unsigned long)ms_since(x->asked_at));
        lint_found(L, "long poll", task, ms_since(started), text);
    }
}
LINT_CHECK(long_poll, "long poll", sizeof(struct noticed), notice, settled, judge);

static void long_poll_init(void)
{
    ipi_register(IPI_PING, answer);
}
INIT(INIT_LATE, long_poll_init);
