// SPDX-License-Identifier: MIT
// Timers that are armed, on all harts. One has no number: it is known by where it lies, and one that
// was armed again there is the same.
#include "async/timer.h"

#include "arch/cpu.h"
#include "class/classes.h"
#include "lib/errno.h"
#include "lib/symbols.h"

#include <stdio.h>

enum { TIMERS_MAX = 128 }; // of a hart; there may be more

struct timer_view {
    uint64_t when, left, hart, fire;
};

static long timer_copy(const struct class_key *key, void *out)
{
    struct timer_info all[TIMERS_MAX];
    uint64_t now = time_ticks();
    for (uint32_t h = 0; h < hart_count; h++) {
        unsigned n = timers_snapshot(h, all, TIMERS_MAX);
        for (unsigned i = 0; i < n; i++) {
            if ((uint64_t)all[i].timer != key->id)
                continue;
            *(struct timer_view *)out = (struct timer_view){
                .when = ticks_to_ns(all[i].when),
                .left = all[i].when > now ? ticks_to_ns(all[i].when - now) : 0,
                .hart = h,
                .fire = (uint64_t)all[i].fire,
            };
            return 0;
        }
    }
    return -ENOENT;
}

static size_t timer_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    struct timer_info all[TIMERS_MAX];
    size_t kept = 0;
    for (uint32_t h = 0; h < hart_count; h++) {
        unsigned n = timers_snapshot(h, all, TIMERS_MAX);
        for (unsigned i = 0; i < n; i++)
            if ((uint64_t)all[i].timer >= from)
                kept = class_keep_least(out, kept, max,
                                        (struct class_key){(uint64_t)all[i].timer, owner});
    }
    return kept;
}

static void timer_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct timer_view *v = copy;
    struct symbol_text name;
    (void)key;
    snprintf(buf, n, "on hart %lu in %lu us: %s", (unsigned long)v->hart,
             (unsigned long)v->left / 1000, symbol_describe(&name, v->fire));
}

static void push_fires(lua_State *L, const struct class_key *key, const void *copy)
{
    struct symbol_text name;
    (void)key;
    lua_pushstring(L, symbol_describe(&name, ((const struct timer_view *)copy)->fire));
}

static void push_hart(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)key;
    class_push(L, class_hart, (struct class_key){((const struct timer_view *)copy)->hart, 0});
}

static const struct class_field fields[] = {
    FIELD_NS(struct timer_view, when, "its time, since boot"),
    FIELD_NS(struct timer_view, left, "from now until then, 0: it is due"),
    FIELD_OTHER("hart", "Hart", "in whose heap it is, and where it fires", push_hart),
    FIELD_OTHER("fires", "string", "the function that is called then", push_fires),
    {0},
};

CLASS(timer, .name = "Timer", .doc = "a timer that is armed",
      .place = "struct timer, kernel/async/timer.h", .gone = "fired or was cancelled", .hex = 1,
      .example = "k.timers():first()", .size = sizeof(struct timer_view), .copy = timer_copy,
      .keys = timer_keys, .line = timer_line, .fields = fields);

static int k_timers(lua_State *L)
{
    class_push_list(L, class_timer, 0);
    return 1;
}
MONITOR_API(timers, "timers", "k.timers() -> list of Timer",
            "armed timers, of each hart up to 128; :sort(\"when\") for the next ones",
            "k.timers():sort(\"left\")", k_timers, NULL);
