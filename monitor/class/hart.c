// SPDX-License-Identifier: MIT
// Harts: what each one runs, and what it has done so far. The worked example of a class.
#include "arch/cpu.h"
#include "async/executor.h"
#include "async/task.h"
#include "class/class.h"
#include "class/classes.h"
#include "lib/errno.h"

#include <stdio.h>

struct hart_view {
    uint64_t hart_id, current, steals, ipis_sent, ipis_taken, idle_ns, switches;
    uint64_t started_ns;
    uint32_t index, queued;
    bool online, idle;
};

// Counters of another hart are read without a lock: each is one word, and only grows.
static long hart_copy(const struct class_key *key, void *out)
{
    if (key->id >= hart_count)
        return -ENOENT;
    const struct hart *h = harts[key->id];
    struct hart_view *v = out;
    *v = (struct hart_view){
        .hart_id = h->id,
        .steals = h->steals,
        .ipis_sent = h->ipis_sent,
        .ipis_taken = h->ipis_taken,
        .idle_ns = executor_idle_ns((uint32_t)key->id),
        .switches = h->switches,
        .started_ns = *HART_VAR(h, hart_started_ns),
        .index = (uint32_t)key->id,
        .queued = run_queue_length((uint32_t)key->id),
        .online = load_relaxed(&h->online),
        .idle = load_relaxed(&h->idle),
    };
    // The list lock keeps the task from going while its number is read.
    spin_lock(&task_list_lock);
    const struct task *t = load_relaxed(&h->current);
    v->current = t && t->magic == TASK_MAGIC ? t->id : 0;
    spin_unlock(&task_list_lock);
    return 0;
}

static size_t hart_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (uint64_t i = from; i < hart_count && n < max; i++)
        out[n++] = (struct class_key){i, owner};
    return n;
}

static void hart_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct hart_view *v = copy;
    (void)key;
    if (v->current)
        snprintf(buf, n, "runs Task#%lu, %u queued", (unsigned long)v->current, v->queued);
    else
        snprintf(buf, n, "%s, %u queued", v->idle ? "asleep" : "in the executor", v->queued);
}

static void push_current(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct hart_view *v = copy;
    (void)key;
    if (v->current)
        class_push(L, class_task, (struct class_key){v->current, 0});
    else
        lua_pushnil(L);
}

static void push_tls(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push_tls_of_hart(L, key->id);
}

enum { QUEUE_MAX = 64 };

// h:queue() -> list of Task
static int hart_queue(lua_State *L)
{
    uint32_t id[QUEUE_MAX];
    struct hart_view v;
    class_self(L, 1, class_hart, &v);
    unsigned n = run_queue_list(v.index, id, QUEUE_MAX);
    lua_createtable(L, (int)n, 0);
    for (unsigned i = 0; i < n; i++) {
        class_push(L, class_task, (struct class_key){id[i], 0});
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const struct class_field fields[] = {
    FIELD(struct hart_view, index, "its place in k.harts"),
    FIELD(struct hart_view, hart_id, "mhartid, by which firmware knows it"),
    FIELD(struct hart_view, online, "it has entered its executor"),
    FIELD(struct hart_view, idle, "it sleeps, or is about to"),
    FIELD_OTHER("current", "Task", "the task it polls now, or nil", push_current),
    FIELD(struct hart_view, queued, "tasks in its run queue"),
    FIELD(struct hart_view, switches, "polls of tasks so far"),
    FIELD(struct hart_view, steals, "tasks taken from other harts' queues"),
    FIELD(struct hart_view, ipis_sent, "interrupts sent to other harts"),
    FIELD(struct hart_view, ipis_taken, "interrupts taken from other harts"),
    FIELD_NS(struct hart_view, idle_ns, "time spent asleep, until now"),
    FIELD_NS(struct hart_view, started_ns, "when it came up, since boot"),
    FIELD_OTHER("tls", "list of Tls", "its hart-local storage", push_tls),
    {0},
};

static const struct class_method methods[] = {
    {"queue", "h:queue() -> list of Task",
     "who stands in its run queue, in turn; at most 64; exact while the hart stands still (k.freeze)",
     "k.harts[0]:queue()", hart_queue},
    {0},
};

CLASS(hart, .name = "Hart", .doc = "a hardware thread with its executor",
      .place = "struct hart, kernel/arch/riscv/include/arch/cpu.h", .example = "k.harts[0]",
      .size = sizeof(struct hart_view), .copy = hart_copy, .keys = hart_keys, .line = hart_line,
      .fields = fields, .methods = methods);

static int k_harts(lua_State *L)
{
    class_push_list(L, class_hart, 0);
    return 1;
}
MONITOR_API(harts, "harts", NULL, "list of Hart, by index; the boot hart is 0",
            "k.harts[0].current", k_harts, NULL);
