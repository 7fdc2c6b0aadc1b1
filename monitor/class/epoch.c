// SPDX-License-Identifier: MIT
// k.epochs: what was taken out of structures that are read without locks, and waits to be freed.
#include "async/epoch.h"

#include "class/classes.h"
#include "lib/errno.h"

#include <stdio.h>

struct epoch_view {
    uint64_t epoch, retired, freed, pending, deferred, inside;
};

static long epoch_copy(const struct class_key *key, void *out)
{
    struct epoch_stats s;
    struct epoch_view *v = out;
    if (key->id)
        return -ENOENT;
    epoch_stats_get(&s);
    *v = (struct epoch_view){s.epoch, s.retired, s.freed, s.retired - s.freed, s.deferred, 0};
    for (uint32_t h = 0; h < hart_count; h++)
        v->inside |= (uint64_t)(load_relaxed(&epoch_slots[h].inside) != 0) << h;
    return 0;
}

static const struct class_field fields[] = {
    FIELD(struct epoch_view, epoch, "the present one"),
    FIELD(struct epoch_view, retired, "objects that were taken out, since boot"),
    FIELD(struct epoch_view, freed, "of them, freed"),
    FIELD(struct epoch_view, pending, "of them, not yet: some hart may know them still"),
    FIELD(struct epoch_view, deferred, "of them, that could not be freed at once"),
    FIELD_ADDRESS(struct epoch_view, inside, "a bit per hart that reads now"),
    {0},
};

CLASS(epoch, .name = "Epochs", .doc = "what readers without locks keep from being freed",
      .place = "struct epoch_stats, kernel/async/epoch.h", .example = "k.epochs",
      .size = sizeof(struct epoch_view), .copy = epoch_copy, .fields = fields);

static int k_epochs(lua_State *L)
{
    class_push(L, class_epoch, (struct class_key){0, 0});
    return 1;
}
MONITOR_API(epochs, "epochs", NULL, "objects that wait until nobody can read them any more",
            "k.epochs.pending", k_epochs, NULL);
