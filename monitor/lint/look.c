// SPDX-License-Identifier: MIT
#include "task/thread.h"

#include "lint/look.h"

#include <string.h>

static void look_at_wait(struct task *t, struct task_look *l)
{
    const struct light_wait *light = t->light;
    l->since = t->since;
    l->what = light ? light->what : t->top ? t->top->at->what : "";
    l->held = load_relaxed(&t->attn) & ATTN_HOLD;
    if (!l->held)
        wait_look(t, &l->wait);
    l->woken = load_acquire(&t->state) &
               TASK_QUEUED; // after the look: what was ready by then has woken it by now
}

void task_look(struct task *t, struct task_look *out)
{
    *out = (struct task_look){.id = t->id, .polls = load_relaxed(&t->polls)};
    memcpy(out->name, t->name, sizeof out->name);
    if (t->thread && !(load_acquire(&t->state) & TASK_DEAD)) {
        memcpy(out->name, t->thread->process->comm, sizeof t->thread->process->comm);
        out->pid = t->thread->process->pid;
    }
    if (!task_borrow(t))
        return;
    out->suspended = true;
    out->polls = t->polls;
    look_at_wait(t, out);
    task_release(t);
}

bool task_look_id(uint32_t id, struct task_look *out)
{
    struct task *t = task_find(id);
    if (!t)
        return false;
    task_look(t, out);
    task_put(t);
    return true;
}

struct batch {
    struct task *task[LOOKS];
    unsigned n;
};

static bool take(struct task *t, void *arg)
{
    struct batch *b = arg;
    if (ref_get_unless_zero(&t->refs)) // a dying one is listed for a moment
        b->task[b->n++] = t;
    return b->n < LOOKS;
}

unsigned task_look_some(uint32_t from, struct task_look out[LOOKS])
{
    struct batch b = {.n = 0};
    task_foreach(from, take, &b);
    for (unsigned i = 0; i < b.n; i++) {
        task_look(b.task[i], &out[i]);
        task_put(b.task[i]);
    }
    return b.n;
}

bool task_look_same(const struct task_look *l, const struct task_look *earlier)
{
    return l->suspended && !l->woken && !l->held && l->id == earlier->id &&
           l->polls == earlier->polls && l->wait.kind == earlier->wait.kind &&
           l->wait.object == earlier->wait.object;
}
