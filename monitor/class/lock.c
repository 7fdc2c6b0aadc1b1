// SPDX-License-Identifier: MIT
// Locks that tasks hold over their waits (mutexes, semaphores, rwlocks), while they are held or waited for: who
// has each, and who stands in line.
//
// There is no list of them. They are met where they are: spaces, files and file systems have some, and
// a task that waits for one has it in its leaf frame. One is known by its address, and is gone when it
// is free. No task or object is kept longer than a look takes.
#include "async/rwlock.h"
#include "async/wait_async.h"
#include "class/classes.h"
#include "fs/dentry.h"
#include "lib/errno.h"
#include "mem/space.h"

#include <lauxlib.h>
#include <stdio.h>

enum { WAITERS_MAX = 32 };

struct lock_view {
    char name[24], of[48];
    const char *kind;
    uint64_t address, holder, waiters, contended, units;
    uint32_t waiter[WAITERS_MAX];
};

typedef bool lock_fn(const struct lock_view *v, void *arg); // false: enough

// The lock's own lock is held: then neither its holder nor who waits can go.
static void look_at_waiters(const struct waitq *q, struct lock_view *v)
{
    LIST_FOREACH(it, &q->head) {
        if (v->waiters < WAITERS_MAX)
            v->waiter[v->waiters] = list_entry(it, struct waiter, link)->task->id;
        v->waiters++;
    }
}

// False: it is free.
static bool look_at_mutex(struct mutex *m, struct lock_view *v)
{
    spin_lock(&m->lock);
    v->kind = "mutex";
    v->address = (uint64_t)m;
    v->holder = m->holder ? m->holder->id : 0;
    v->contended = m->contended;
    v->waiters = 0;
    snprintf(v->name, sizeof v->name, "%s", m->name ? m->name : "");
    look_at_waiters(&m->waiters, v);
    spin_unlock(&m->lock);
    return v->holder || v->waiters;
}

static bool look_at_semaphore(struct semaphore *s, struct lock_view *v)
{
    spin_lock(&s->lock);
    v->kind = "semaphore";
    v->address = (uint64_t)s;
    v->contended = s->contended;
    v->units = s->units;
    v->waiters = v->holder = 0;
    snprintf(v->name, sizeof v->name, "%s", s->name ? s->name : "");
    look_at_waiters(&s->waiters, v);
    spin_unlock(&s->lock);
    return v->waiters;
}

static bool look_at_rwlock(struct rwlock *l, struct lock_view *v)
{
    bool waited_for = look_at_semaphore(&l->units, v);
    spin_lock(&l->units.lock);
    v->kind = "rwlock";
    v->holder = rwlock_writer(l);
    spin_unlock(&l->units.lock);
    return waited_for;
}

// ---- where they are met

struct at_leaf {
    lock_fn *fn;
    void *arg;
};

static bool at_leaf(const struct task *t, void *arg)
{
    const struct at_leaf *to = arg;
    struct lock_view v = {.units = 0};
    const struct frame *f = t->top;
    snprintf(v.of, sizeof v.of, "Task#%u waits", t->id);
    if (f && f->fn == &mutex_lock_fn && look_at_mutex(((struct mutex_lock_args *)(f + 1))->m, &v))
        return to->fn(&v, to->arg);
    if (!f || f->fn != &semaphore_take_fn)
        return true;
    const struct frame *by = f->parent;
    bool found = by && by->fn == &rwlock_lock_fn
                     ? look_at_rwlock(((struct rwlock_lock_args *)(by + 1))->l, &v)
                     : look_at_semaphore(((struct semaphore_take_args *)(f + 1))->s, &v);
    return !found || to->fn(&v, to->arg);
}

static bool in_spaces(lock_fn *fn, void *arg)
{
    bool more = true;
    for (uint32_t id = 0; more && class_next_space(&id);) {
        struct lock_view v = {.units = 0};
        struct space *s = space_find(id);
        if (!s)
            continue;
        snprintf(v.of, sizeof v.of, "Space#%u", s->id);
        if (look_at_mutex(&s->mutate, &v))
            more = fn(&v, arg);
        space_unref(s);
    }
    return more;
}

static bool in_vnode(uint64_t dev, uint64_t ino, lock_fn *fn, void *arg)
{
    struct lock_view v = {.units = 0};
    struct vnode *vnode = class_vnode_find(dev, ino);
    bool more = true;
    if (!vnode)
        return true;
    snprintf(v.of, sizeof v.of, "Vnode#%lu", (unsigned long)ino);
    if (look_at_mutex(&vnode->lock, &v))
        more = fn(&v, arg);
    vnode_put(vnode);
    return more;
}

static bool in_files(lock_fn *fn, void *arg)
{
    struct class_key key[CLASS_KEYS];
    struct lock_view v = {.of = "all file systems"};
    bool more = !look_at_mutex(&super_mutex, &v) || fn(&v, arg);
    for (uint64_t dev = 0; more && (dev = class_next_device(dev));) {
        size_t n = class_vnode_keys(dev, 0, key, CLASS_KEYS, true);
        for (size_t i = 0; more && i < n; i++)
            more = in_vnode(key[i].owner, key[i].id, fn, arg);
    }
    return more;
}

static void visit(lock_fn *fn, void *arg)
{
    if (in_spaces(fn, arg) && in_files(fn, arg))
        class_visit_waiting(at_leaf, &(struct at_leaf){fn, arg});
}

// ---- the class

struct search {
    uint64_t address;
    struct lock_view *out;
    bool found;
};

static bool is_wanted(const struct lock_view *v, void *arg)
{
    struct search *s = arg;
    if (v->address != s->address)
        return true;
    *s->out = *v;
    s->found = true;
    return false;
}

static long lock_copy(const struct class_key *key, void *out)
{
    struct search s = {key->id, out, false};
    visit(is_wanted, &s);
    return s.found ? 0 : -ENOENT;
}

struct collect {
    struct class_key *out;
    size_t n, max;
    uint64_t from, owner;
};

static bool collect(const struct lock_view *v, void *arg)
{
    struct collect *c = arg;
    if (v->address >= c->from)
        c->n = class_keep_least(c->out, c->n, c->max, (struct class_key){v->address, c->owner});
    return true;
}

static size_t lock_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    struct collect c = {out, 0, max, from, owner};
    visit(collect, &c);
    return c.n;
}

static void lock_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct lock_view *v = copy;
    int at = snprintf(buf, n, "%s '%s' of %s", v->kind, v->name, v->of);
    (void)key;
    if (at < 0 || (size_t)at >= n)
        return;
    if (v->holder)
        snprintf(buf + at, n - (size_t)at, ", held by Task#%lu, %lu wait", (unsigned long)v->holder,
                 (unsigned long)v->waiters);
    else
        snprintf(buf + at, n - (size_t)at, ", %lu wait", (unsigned long)v->waiters);
}

static void push_holder(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct lock_view *v = copy;
    (void)key;
    if (v->holder)
        class_push(L, class_task, (struct class_key){v->holder, 0});
    else
        lua_pushnil(L);
}

struct held {
    struct class_key key[WAITERS_MAX];
    uint64_t task;
    size_t n;
};

static bool note_held(const struct lock_view *v, void *arg)
{
    struct held *h = arg;
    if (v->holder == h->task && h->n < WAITERS_MAX)
        h->key[h->n++] = (struct class_key){v->address, 0};
    return true;
}

void class_push_locks_of(lua_State *L, uint64_t task)
{
    struct held h = {.task = task};
    visit(note_held, &h);
    lua_createtable(L, (int)h.n, 0);
    for (size_t i = 0; i < h.n; i++) {
        class_push(L, class_lock, h.key[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

// l:queue() -> list of Task
static int lock_queue(lua_State *L)
{
    struct lock_view v;
    class_self(L, 1, class_lock, &v);
    lua_newtable(L);
    for (uint64_t i = 0; i < v.waiters && i < WAITERS_MAX; i++) {
        class_push(L, class_task, (struct class_key){v.waiter[i], 0});
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const struct class_field fields[] = {
    FIELD(struct lock_view, name, "what it guards, as it was named"),
    FIELD(struct lock_view, kind, "mutex, semaphore or rwlock"),
    FIELD(struct lock_view, of, "whose it is, or by whom it was met"),
    FIELD_OTHER("holder", "Task",
                "who has it, of a rwlock its writer; nil: others, or it is just handed on",
                push_holder),
    FIELD(struct lock_view, waiters, "tasks that wait for it"),
    FIELD(struct lock_view, units,
          "how many are free, of a semaphore or a rwlock; a reader has one, the writer all"),
    FIELD(struct lock_view, contended, "how often somebody had to wait"),
    FIELD_ADDRESS(struct lock_view, address, "where it lies"),
    {0},
};

static const struct class_method methods[] = {
    {"queue", "l:queue() -> list of Task", "who waits, in turn; at most 32",
     "k.locks():first():queue()", lock_queue},
    {0},
};

CLASS(lock, .name = "Lock", .doc = "a lock that is held over waits, or waited for",
      .place = "struct mutex, kernel/async/wait_async.h", .gone = "is free", .hex = 1,
      .example = "k.locks():first()", .size = sizeof(struct lock_view), .copy = lock_copy,
      .keys = lock_keys, .line = lock_line, .fields = fields, .methods = methods);

static int k_locks(lua_State *L)
{
    class_push_list(L, class_lock, 0);
    return 1;
}
MONITOR_API(locks, "locks", "k.locks() -> list of Lock",
            "locks that tasks hold or wait for; spinlocks are never held while you look",
            "k.locks():sort(\"waiters\", true)", k_locks, NULL);
