// SPDX-License-Identifier: MIT
// Walks over all spaces and what each maps, in pieces: other tasks run in between, and a space that is gone meanwhile
// is passed over.
#include "mem/space.h"

#include "class/classes.h"
#include "session/session.h"

enum { BATCH = 64 };

struct next_space {
    uint32_t id;
    bool found;
};

static bool take_space(struct space *s, void *arg)
{
    *(struct next_space *)arg = (struct next_space){s->id, true};
    return false;
}

bool class_next_space(uint32_t *id)
{
    struct next_space next = {0, false};
    space_foreach(*id + 1, take_space, &next);
    *id = next.id;
    return next.found;
}

void class_each_entry(uint32_t space, class_entry_fn *fn, void *arg)
{
    struct pte_info e[BATCH];
    va_t from = 0;
    size_t n = BATCH;
    while (n == BATCH) {
        struct space *s = space_find(space);
        if (!s)
            return;
        n = space_entries(s, from, USER_TOP, e, BATCH);
        space_unref(s);
        for (size_t i = 0; i < n; i++)
            fn(arg, space, &e[i]);
        from = n ? e[n - 1].va + e[n - 1].pages * PAGE_SIZE : USER_TOP;
        fiber_yield(session_fiber());
    }
}

void class_each_table(uint32_t space, class_table_fn *fn, void *arg)
{
    pa_t table[BATCH];
    size_t n = BATCH;
    for (size_t at = 0; n == BATCH; at += n) {
        struct space *s = space_find(space);
        if (!s)
            return;
        n = space_table_frames(s, at, table, BATCH);
        space_unref(s);
        for (size_t i = 0; i < n; i++)
            fn(arg, space, table[i], at + i == 0);
    }
}
