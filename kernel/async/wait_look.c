// SPDX-License-Identifier: MIT
// From the leaf up: the innermost function tells first, its callers add what they know.
#include "async/wait_look.h"

enum { LEVELS = 4 }; // frames above the leaf that may know more

static bool tell(const void *of, const struct task *t, const void *frame, struct wait_view *v)
{
    SET_FOREACH(wait_looks, struct wait_look, l)
        if (l->of == of) {
            l->look(t, frame, v);
            return true;
        }
    return false;
}

bool wait_look(const struct task *t, struct wait_view *v)
{
    const struct frame *f = t->top;
    *v = (struct wait_view){0};
    if (t->light)
        return tell(t->light, t, t->thread, v);
    bool told = f && tell(f->fn, t, f, v);
    const struct wait_view leaf = *v;
    for (int i = 0; told && i < LEVELS && (f = f->parent); i++) {
        tell(f->fn, t, f, v);
        v->told = leaf.told; // only the leaf knows whether its own waiter is in a queue
        v->queued = leaf.queued;
        v->ready = leaf.ready;
        v->until = leaf.until;
    }
    return told;
}
