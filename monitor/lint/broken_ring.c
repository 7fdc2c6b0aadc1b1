// SPDX-License-Identifier: MIT
// A broken ring: a virtqueue whose chains, free list or entries contradict each other or the specification. A copy made under
// the queue's lock is of one moment, so that one look is enough.
#include "class/ring_check.h"
#include "lint/lint.h"

#include <lauxlib.h>
#include <stdio.h>

static unsigned check(struct virtqueue *q, struct ring_copy *r)
{
    ring_copy(q, r);
    return ring_check(r);
}

static uint64_t notice(void *noticed, const struct lint_limits *limits)
{
    struct virtqueue *q;
    uint64_t wrong = 0;
    (void)limits;
    for (uint64_t i = 0; (q = virtqueue_at(i)); i++)
        wrong += check(q, noticed);
    return wrong;
}

static void say(lua_State *L, const struct virtqueue *q, const char *what, uint16_t i,
                const char *why)
{
    char text[160];
    if (!why[0])
        return;
    snprintf(text, sizeof text, "%s: %s %u: %s", q->name, what, i, why);
    lint_found(L, "broken ring", 0, 0, text);
}

static void judge(lua_State *L, const void *noticed)
{
    struct virtqueue *q;
    (void)noticed;
    struct ring_copy *r = lua_newuserdatauv(L, sizeof *r, 0);
    lua_insert(L, -2);
    for (uint64_t i = 0; (q = virtqueue_at(i)); i++) {
        check(q, r);
        for (uint16_t k = 0; k < r->size; k++) {
            say(L, q, "descriptor", k, r->desc_why[k]);
            say(L, q, "entry", k, r->entry_why[k]);
        }
    }
}
LINT_CHECK(broken_ring, "broken ring", sizeof(struct ring_copy), notice, NULL, judge);
