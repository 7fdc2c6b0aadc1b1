// SPDX-License-Identifier: MIT
// Channels, broadcasts and oneshots for which tasks wait: what is in them, and who stands in line at which side.
//
// There is no list of them. They are met where they are: a task that waits for one has it in its leaf frame, and whoever
// owns it must keep it until that frame is gone. One is known by its address, and is gone when nobody waits.
#include "async/channel.h"

#include "async/broadcast.h"
#include "async/wait_async.h"
#include "class/classes.h"
#include "lib/errno.h"

#include <stdio.h>

enum { WAITERS_MAX = 32 };

struct channel_view {
    const char *name, *kind;
    uint64_t address, count, limit, senders, receivers;
    bool closed;
    uint32_t waiter[WAITERS_MAX]; // ids: the receivers, then the senders
};

// The lock of what is waited for is held: then nobody who waits can go.
static uint64_t look_at_waiters(const struct waitq *q, struct channel_view *v)
{
    uint64_t n = 0;
    LIST_FOREACH(it, &q->head) {
        if (v->receivers + n < WAITERS_MAX)
            v->waiter[v->receivers + n] = list_entry(it, struct waiter, link)->task->id;
        n++;
    }
    return n;
}

static void look_at_channel(struct channel *c, struct channel_view *v)
{
    spin_lock(&c->lock);
    *v = (struct channel_view){.kind = "channel",
                               .name = c->lock.name,
                               .address = (uint64_t)c,
                               .count = c->count,
                               .limit = c->limit,
                               .closed = c->closed};
    v->receivers = look_at_waiters(&c->receivers, v);
    v->senders = look_at_waiters(&c->senders, v);
    spin_unlock(&c->lock);
}

static void look_at_broadcast(struct broadcast *b, struct channel_view *v)
{
    spin_lock(&b->lock);
    *v = (struct channel_view){.kind = "broadcast",
                               .name = b->lock.name,
                               .address = (uint64_t)b,
                               .count = b->sent < b->size ? b->sent : b->size,
                               .limit = b->size,
                               .closed = b->closed};
    v->receivers = look_at_waiters(&b->waiters, v);
    spin_unlock(&b->lock);
}

static void look_at_oneshot(struct oneshot *o, struct channel_view *v)
{
    spin_lock(&o->ready.lock);
    uint32_t state = load_acquire(&o->state);
    *v = (struct channel_view){.kind = "oneshot",
                               .address = (uint64_t)o,
                               .count = state == ONESHOT_SET,
                               .limit = 1,
                               .closed = state == ONESHOT_DROPPED};
    v->receivers = look_at_waiters(&o->ready.waiters, v);
    spin_unlock(&o->ready.lock);
}

// t is borrowed. False: it waits for something else.
static bool look_at_leaf(const struct task *t, struct channel_view *v)
{
    const struct frame *f = t->top, *by = f ? f->parent : NULL;
    if (!f)
        return false;
    if (f->fn == &channel_send_fn)
        look_at_channel(((struct channel_send_args *)(f + 1))->c, v);
    else if (f->fn == &channel_receive_fn)
        look_at_channel(((struct channel_receive_args *)(f + 1))->c, v);
    else if (f->fn == &broadcast_receive_fn)
        look_at_broadcast(((struct broadcast_receive_args *)(f + 1))->b, v);
    else if (f->fn == &event_wait_fn && by && by->fn == &oneshot_receive_fn)
        look_at_oneshot(((struct oneshot_receive_args *)(by + 1))->o, v);
    else
        return false;
    return true;
}

// ---- the class

struct search {
    uint64_t address;
    struct channel_view *out;
};

static bool search_on(const struct task *t, void *arg)
{
    struct search *s = arg;
    struct channel_view v;
    if (!look_at_leaf(t, &v) || v.address != s->address)
        return true;
    *s->out = v;
    return false;
}

static long channel_copy(const struct class_key *key, void *out)
{
    struct search s = {key->id, out};
    return class_visit_waiting(search_on, &s) ? -ENOENT : 0;
}

struct collect {
    struct class_key *out;
    size_t n, max;
    uint64_t from, owner;
};

static bool collect(const struct task *t, void *arg)
{
    struct collect *c = arg;
    struct channel_view v;
    if (look_at_leaf(t, &v) && v.address >= c->from)
        c->n = class_keep_least(c->out, c->n, c->max, (struct class_key){v.address, c->owner});
    return true;
}

static size_t channel_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    struct collect c = {out, 0, max, from, owner};
    class_visit_waiting(collect, &c);
    return c.n;
}

static void channel_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct channel_view *v = copy;
    char limit[32] = "";
    (void)key;
    if (v->limit)
        snprintf(limit, sizeof limit, " of %lu", (unsigned long)v->limit);
    snprintf(buf, n, "%s '%s' has %lu%s, %lu senders and %lu receivers wait%s", v->kind,
             v->name ? v->name : "", (unsigned long)v->count, limit, (unsigned long)v->senders,
             (unsigned long)v->receivers, v->closed ? ", closed" : "");
}

// c:queue() -> list of {task, side}
static int channel_queue(lua_State *L)
{
    struct channel_view v;
    class_self(L, 1, class_channel, &v);
    lua_newtable(L);
    for (uint64_t i = 0; i < v.receivers + v.senders && i < WAITERS_MAX; i++) {
        lua_createtable(L, 0, 2);
        class_push(L, class_task, (struct class_key){v.waiter[i], 0});
        lua_setfield(L, -2, "task");
        class_set_text(L, "side", i < v.receivers ? "receive" : "send");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    class_set_columns(L, "side task");
    return 1;
}

static const struct class_field fields[] = {
    FIELD(struct channel_view, name, "as it was named; nil for a oneshot"),
    FIELD(struct channel_view, kind, "channel, broadcast or oneshot"),
    FIELD(struct channel_view, count, "messages in it; of a broadcast, the values that it keeps"),
    FIELD(struct channel_view, limit, "how many it takes; 0: any number"),
    FIELD(struct channel_view, closed, "no more is sent"),
    FIELD(struct channel_view, senders, "tasks that wait for room"),
    FIELD(struct channel_view, receivers, "tasks that wait for a message"),
    FIELD_ADDRESS(struct channel_view, address, "where it lies"),
    {0},
};

static const struct class_method methods[] = {
    {"queue", "c:queue() -> list of {task, side}",
     "who waits, in turn, and whether to send or to receive; at most 32",
     "k.channels():first():queue()", channel_queue},
    {0},
};

CLASS(channel, .name = "Channel", .doc = "a channel, broadcast or oneshot for which a task waits",
      .place = "struct channel, kernel/async/channel.h", .gone = "has nobody who waits", .hex = 1,
      .example = "k.channels():first()", .size = sizeof(struct channel_view), .copy = channel_copy,
      .keys = channel_keys, .line = channel_line, .fields = fields, .methods = methods);

static int k_channels(lua_State *L)
{
    class_push_list(L, class_channel, 0);
    return 1;
}
MONITOR_API(channels, "channels", "k.channels() -> list of Channel",
            "channels, broadcasts and oneshots for which tasks wait",
            "k.channels():where{kind = \"channel\"}", k_channels, NULL);
