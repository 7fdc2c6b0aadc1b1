// SPDX-License-Identifier: MIT
// k.sched: what the executors of all harts have in common.
#include "async/runqueue.h"
#include "class/classes.h"
#include "lib/errno.h"
#include "session/journal.h"

#include <lauxlib.h>
#include <stdio.h>

static const char *const kinds[] = {[RUN_QUEUE_RING] = "ring", [RUN_QUEUE_LOCKED] = "locked", NULL};

struct sched_view {
    const char *queue;
    uint32_t queued, injected;
};

static long sched_copy(const struct class_key *key, void *out)
{
    struct sched_view *v = out;
    if (key->id)
        return -ENOENT;
    *v =
        (struct sched_view){kinds[run_queue_chosen()], 0, load_relaxed(&ring_injector.tasks.count)};
    for (uint32_t i = 0; i < hart_count; i++)
        v->queued += run_queue_length(i);
    return 0;
}

// arg: the kind.
static long queue_validate(struct change *c)
{
    if (c->arg[0] == run_queue_chosen()) {
        snprintf(c->why, sizeof c->why, "the run queues are %s already", kinds[c->arg[0]]);
        return -EINVAL;
    }
    snprintf(c->text, sizeof c->text, "make the run queues %s", kinds[c->arg[0]]);
    return 0;
}

static long queue_apply(struct change *c);
static const struct change_kind queue_kind = {"sched.queue", MODE_RW, queue_validate, queue_apply};

static long queue_apply(struct change *c)
{
    c->undo = &queue_kind;
    c->undo_arg[0] = run_queue_chosen();
    run_queue_choose((enum run_queue_kind)c->arg[0]);
    return 0;
}

static void set_queue(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)key;
    (void)copy;
    uint64_t kind = (uint64_t)luaL_checkoption(L, value, NULL, kinds);
    change_make(L, &(struct change){.kind = &queue_kind, .arg = {kind}});
}

static const struct class_field fields[] = {
    FIELD(struct sched_view, queue, "\"ring\": without locks, \"locked\": a list under a lock",
          .set = set_queue),
    FIELD(struct sched_view, queued, "tasks in the queues of all harts"),
    FIELD(struct sched_view, injected, "tasks that found a ring full"),
    {0},
};

CLASS(sched, .name = "Sched", .doc = "what the executors of all harts have in common",
      .place = "struct run_queue, kernel/async/runqueue.h", .example = "k.sched",
      .size = sizeof(struct sched_view), .copy = sched_copy, .fields = fields);

static int k_sched(lua_State *L)
{
    class_push(L, class_sched, (struct class_key){0, 0});
    return 1;
}
MONITOR_API(sched, "sched", NULL, "the scheduler; .queue can be changed at run time",
            "k.sched.queue = \"locked\"", k_sched, NULL);
