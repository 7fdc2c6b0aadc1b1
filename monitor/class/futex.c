// SPDX-License-Identifier: MIT
// Futexes: who waits for a word of user memory. A task waits for one at a time, so its id names the wait.
#include "task/futex.h"

#include "class/classes.h"
#include "lib/errno.h"
#include "mem/space.h"

#include <stdio.h>

struct futex_view {
    uint64_t address, waiters, object, space, bits;
};

struct search {
    const void *wanted;
    uint32_t id;
};

static bool is_wanted(struct space *s, void *arg)
{
    struct search *search = arg;
    if (s == search->wanted)
        search->id = s->id;
    return !search->id;
}

static uint64_t count_same(const struct futex_info *wanted)
{
    struct futex_info f[CLASS_KEYS];
    uint64_t same = 0;
    size_t n = CLASS_KEYS;
    for (uint32_t from = 0; n == CLASS_KEYS; from = n ? f[n - 1].task + 1 : 0) {
        n = futex_waiters(from, f, CLASS_KEYS);
        for (size_t i = 0; i < n; i++)
            same += f[i].object == wanted->object && f[i].offset == wanted->offset;
    }
    return same;
}

static long futex_copy(const struct class_key *key, void *out)
{
    struct futex_info f;
    struct futex_view *v = out;
    if (key->id > UINT32_MAX || !futex_waiters((uint32_t)key->id, &f, 1) || f.task != key->id)
        return -ENOENT;
    struct search search = {f.object, 0};
    space_foreach(0, is_wanted, &search);
    *v = (struct futex_view){
        .address = f.offset & ~1ul, // see struct futex_key
        .waiters = count_same(&f),
        .object = search.id ? 0 : (uint64_t)f.object,
        .space = search.id,
        .bits = f.bits,
    };
    return 0;
}

static size_t futex_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    struct futex_info f[CLASS_KEYS];
    if (from > UINT32_MAX)
        return 0;
    size_t n = futex_waiters((uint32_t)from, f, max < CLASS_KEYS ? max : CLASS_KEYS);
    for (size_t i = 0; i < n; i++)
        out[i] = (struct class_key){f[i].task, owner};
    return n;
}

static void futex_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct futex_view *v = copy;
    (void)key;
    if (v->space)
        snprintf(buf, n, "waits for %lx of Space#%lu, as %lu do", (unsigned long)v->address,
                 (unsigned long)v->space, (unsigned long)v->waiters);
    else
        snprintf(buf, n, "waits for byte %lu of shared memory, as %lu do",
                 (unsigned long)v->address, (unsigned long)v->waiters);
}

static void push_task(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)copy;
    class_push(L, class_task, (struct class_key){key->id, 0});
}

static void push_space(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct futex_view *v = copy;
    (void)key;
    if (v->space)
        class_push(L, class_space, (struct class_key){v->space, 0});
    else
        lua_pushnil(L);
}

static void push_object(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct futex_view *v = copy;
    struct class_key object;
    (void)key;
    if (v->object && class_phys_of(v->object, &object))
        class_push(L, class_phys, object);
    else
        lua_pushnil(L);
}

static const struct class_field fields[] = {
    FIELD_OTHER("task", "Task", "who waits", push_task),
    FIELD_ADDRESS(struct futex_view, address,
                  "of the word; of a shared one, its place in the object"),
    FIELD_OTHER("space", "Space", "of a private word; nil: it is a shared one", push_space),
    FIELD_OTHER("object", "Phys", "of a shared word; nil: it is a private one", push_object),
    FIELD_ADDRESS(struct futex_view, bits, "a wake must have one of these"),
    FIELD(struct futex_view, waiters, "tasks that wait for the same word"),
    {0},
};

CLASS(futex, .name = "Futex", .doc = "a task's wait for a word of its memory",
      .place = "struct futex_waiter, kernel/task/futex.c", .gone = "is over",
      .example = "k.futexes():first()", .size = sizeof(struct futex_view), .copy = futex_copy,
      .keys = futex_keys, .line = futex_line, .fields = fields);

static int k_futexes(lua_State *L)
{
    class_push_list(L, class_futex, 0);
    return 1;
}
MONITOR_API(futexes, "futexes", "k.futexes() -> list of Futex",
            "who waits for which futex, by task", "k.futexes():where{address = 0x10000}", k_futexes,
            NULL);
