// SPDX-License-Identifier: MIT
// Changes to a virtqueue: completions held back, let go in any order, late, or as failed.
#include "dev/virtio/queue.h"

#include "class/classes.h"
#include "lib/errno.h"
#include "session/journal.h"
#include "session/later.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum { DELAY_MAX_MS = 60000, NS_PER_MS = 1000000 };

// arg: queue, hold.
static long hold_validate(struct change *c)
{
    struct virtqueue *q = virtqueue_at(c->arg[0]);
    if (!q) {
        snprintf(c->why, sizeof c->why, "there is no such queue");
        return -ENOENT;
    }
    snprintf(c->text, sizeof c->text, "%s completions of %s", c->arg[1] ? "hold" : "let go",
             q->name);
    if (load_relaxed(&q->broken))
        snprintf(c->why, sizeof c->why, "%s is broken: nothing completes any more", q->name);
    else if (later_age(c->arg[0]))
        snprintf(c->why, sizeof c->why, "they are handed on late: make delay_ms 0 first");
    else if (load_relaxed(&q->held) == (bool)c->arg[1])
        snprintf(c->why, sizeof c->why, "%s",
                 q->held ? "they are held already" : "they are not held");
    return c->why[0] ? -EINVAL : 0;
}

static long hold_apply(struct change *c);
static const struct change_kind hold_kind = {"virtqueue.hold", MODE_RW, hold_validate, hold_apply};

static long hold_apply(struct change *c)
{
    virtqueue_hold(virtqueue_at(c->arg[0]), c->arg[1]);
    c->undo = &hold_kind;
    c->undo_arg[0] = c->arg[0];
    c->undo_arg[1] = !c->arg[1];
    return 0;
}

// arg: queue, head, error.
static long release_validate(struct change *c)
{
    struct virtqueue *q = virtqueue_at(c->arg[0]);
    if (!q || c->arg[1] >= q->size || load_relaxed(&q->slot[c->arg[1]].state) != VIRTQ_HELD) {
        snprintf(c->why, sizeof c->why, "descriptor %lu is not held", (unsigned long)c->arg[1]);
        return -EINVAL;
    }
    snprintf(c->text, sizeof c->text, "%s request %lu of %s", c->arg[2] ? "fail" : "complete",
             (unsigned long)c->arg[1], q->name);
    return 0;
}

static long release_apply(struct change *c)
{
    return virtqueue_release(virtqueue_at(c->arg[0]), (uint16_t)c->arg[1], (int)(int64_t)c->arg[2]);
}

static const struct change_kind release_kind = {"virtqueue.release", MODE_RW, release_validate,
                                                release_apply};
static const struct change_kind fail_kind = {"virtqueue.fail", MODE_UNSAFE, release_validate,
                                             release_apply};

void class_queue_set_held(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)copy;
    luaL_checktype(L, value, LUA_TBOOLEAN);
    change_make(L, &(struct change){.kind = &hold_kind,
                                    .arg = {key->id, (uint64_t)lua_toboolean(L, value)}});
}

// vq:release(head): one held request, out of turn if need be.
int class_queue_release(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_virtqueue);
    change_make(L, &(struct change){.kind = &release_kind,
                                    .arg = {key.id, (uint64_t)luaL_checkinteger(L, 2), 0}});
    return 0;
}

int class_queue_fail(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_virtqueue);
    change_make(L, &(struct change){.kind = &fail_kind,
                                    .arg = {key.id, (uint64_t)luaL_checkinteger(L, 2),
                                            (uint64_t)(int64_t)-EIO}});
    return 0;
}

// ---- order. arg: queue, two heads. It undoes itself.

static long reorder_validate(struct change *c)
{
    struct virtqueue *q = virtqueue_at(c->arg[0]);
    for (int i = 1; i <= 2 && q && !c->why[0]; i++)
        if (c->arg[i] >= q->size || load_relaxed(&q->slot[c->arg[i]].state) != VIRTQ_HELD)
            snprintf(c->why, sizeof c->why, "descriptor %lu is not held", (unsigned long)c->arg[i]);
    if (!q || c->arg[1] == c->arg[2])
        snprintf(c->why, sizeof c->why, q ? "it is one request" : "there is no such queue");
    snprintf(c->text, sizeof c->text, "exchange requests %lu and %lu of %s",
             (unsigned long)c->arg[1], (unsigned long)c->arg[2], q ? q->name : "?");
    return c->why[0] ? -EINVAL : 0;
}

static long reorder_apply(struct change *c);
static const struct change_kind reorder_kind = {"virtqueue.reorder", MODE_RW, reorder_validate,
                                                reorder_apply};

static long reorder_apply(struct change *c)
{
    c->undo = &reorder_kind;
    memcpy(c->undo_arg, c->arg, sizeof c->arg);
    return virtqueue_exchange(virtqueue_at(c->arg[0]), (uint16_t)c->arg[1], (uint16_t)c->arg[2]);
}

int class_queue_reorder(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_virtqueue);
    change_make(L, &(struct change){.kind = &reorder_kind,
                                    .arg = {key.id, (uint64_t)luaL_checkinteger(L, 2),
                                            (uint64_t)luaL_checkinteger(L, 3)}});
    return 0;
}

// ---- delay. arg: queue, ms (0: none)

static long delay_validate(struct change *c)
{
    struct virtqueue *q = virtqueue_at(c->arg[0]);
    uint64_t now = later_age(c->arg[0]) / NS_PER_MS;
    if (!q)
        snprintf(c->why, sizeof c->why, "there is no such queue");
    else if (c->arg[1] > DELAY_MAX_MS)
        snprintf(c->why, sizeof c->why, "a delay is from 0 to %d ms", DELAY_MAX_MS);
    else if (c->arg[1] == now)
        snprintf(c->why, sizeof c->why, "it is so already");
    else if (load_relaxed(&q->broken))
        snprintf(c->why, sizeof c->why, "%s is broken: nothing completes any more", q->name);
    else if (!now && load_relaxed(&q->held))
        snprintf(c->why, sizeof c->why, "completions are held: let them go first");
    snprintf(c->text, sizeof c->text, "hand completions of %s on after %lu ms", q ? q->name : "?",
             (unsigned long)c->arg[1]);
    return c->why[0] ? -EINVAL : 0;
}

static long delay_apply(struct change *c);
static const struct change_kind delay_kind = {"virtqueue.delay", MODE_RW, delay_validate,
                                              delay_apply};

static long delay_apply(struct change *c)
{
    c->undo = &delay_kind;
    c->undo_arg[0] = c->arg[0];
    c->undo_arg[1] = later_age(c->arg[0]) / NS_PER_MS;
    long e = later_complete(c->arg[0], c->arg[1] * NS_PER_MS);
    if (!e)
        virtqueue_hold(virtqueue_at(c->arg[0]), c->arg[1] != 0);
    return e;
}

void class_queue_set_delay(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)copy;
    uint64_t ms = (uint64_t)luaL_checkinteger(L, value);
    change_make(L, &(struct change){.kind = &delay_kind, .arg = {key->id, ms}});
}

// ---- the kick. arg: queue. What the device was told it knows.

static long kick_validate(struct change *c)
{
    struct virtqueue *q = virtqueue_at(c->arg[0]);
    snprintf(c->text, sizeof c->text, "kick %s", q ? q->name : "?");
    if (!q || load_relaxed(&q->broken))
        snprintf(c->why, sizeof c->why,
                 q ? "it is broken: nobody listens" : "there is no such queue");
    return c->why[0] ? -EINVAL : 0;
}

static long kick_apply(struct change *c)
{
    virtqueue_kick(virtqueue_at(c->arg[0]));
    return 0;
}

static const struct change_kind kick_kind = {"virtqueue.kick", MODE_RW, kick_validate, kick_apply};

int class_queue_kick(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_virtqueue);
    change_make(L, &(struct change){.kind = &kick_kind, .arg = {key.id}});
    return 0;
}
