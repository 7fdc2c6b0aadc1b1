// SPDX-License-Identifier: MIT
// k.flusher: what has been written back and why, and how long a page may stay dirty.
#include "class/classes.h"
#include "lib/errno.h"
#include "mem/phys.h"
#include "session/journal.h"

#include <lauxlib.h>
#include <stdio.h>

enum { NS_PER_MS = 1000000 };

struct flusher_view {
    uint64_t age_ms, dirty, synced, aged, pressed, throttled;
};

static long flusher_copy(const struct class_key *key, void *out)
{
    struct flusher_view *v = out;
    if (key->id)
        return -ENOENT;
    *v = (struct flusher_view){
        .age_ms = phys_dirty_age() / NS_PER_MS,
        .dirty = phys_totals.dirty,
        .synced = phys_totals.written_for[PHYS_SYNC],
        .aged = phys_totals.written_for[PHYS_AGE],
        .pressed = phys_totals.written_for[PHYS_PRESSURE],
        .throttled = phys_totals.throttled,
    };
    return 0;
}

// arg: ms.
static long age_validate(struct change *c)
{
    if (!c->arg[0] || c->arg[0] > UINT64_MAX / NS_PER_MS / 1000) {
        snprintf(c->why, sizeof c->why, "an age is some milliseconds, not %ld", (long)c->arg[0]);
        return -EINVAL;
    }
    snprintf(c->text, sizeof c->text, "write back what has been dirty for %lu ms",
             (unsigned long)c->arg[0]);
    return 0;
}

static long age_apply(struct change *c);
static const struct change_kind age_kind = {"flusher.age", MODE_RW, age_validate, age_apply};

static long age_apply(struct change *c)
{
    c->undo = &age_kind;
    c->undo_arg[0] = phys_dirty_age() / NS_PER_MS;
    phys_set_dirty_age(c->arg[0] * NS_PER_MS);
    return 0;
}

static void set_age(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)key;
    (void)copy;
    change_make(
        L, &(struct change){.kind = &age_kind, .arg = {(uint64_t)luaL_checkinteger(L, value)}});
}

static const struct class_field fields[] = {
    FIELD(struct flusher_view, age_ms, "how long a page may be dirty, in ms", .set = set_age),
    FIELD(struct flusher_view, dirty, "pages that are dirty now"),
    FIELD(struct flusher_view, synced, "pages written since somebody synced"),
    FIELD(struct flusher_view, aged, "pages written since they were old"),
    FIELD(struct flusher_view, pressed, "pages written since much was dirty, or memory short"),
    FIELD(struct flusher_view, throttled, "how often a writer had to wait"),
    {0},
};

CLASS(flusher, .name = "Flusher", .doc = "what has been written back and why",
      .place = "struct phys_totals, kernel/mem/phys.h", .example = "k.flusher",
      .size = sizeof(struct flusher_view), .copy = flusher_copy, .fields = fields);

static int k_flusher(lua_State *L)
{
    class_push(L, class_flusher, (struct class_key){0, 0});
    return 1;
}
MONITOR_API(flusher, "flusher", NULL,
            "writing back: what and why; .age_ms can be changed at run time",
            "k.flusher.age_ms = 500", k_flusher, NULL);
