// SPDX-License-Identifier: MIT
// Futexes (futex(2)): wait, wake, requeue, with bit sets, private and shared keys, timeouts.
//
// A waiter enters its bucket under the lock and only then reads the word again (by a read that does
// not fault; absent: leave, commit, start over), so a wake between check and sleep is not lost. A
// waiter that was woken and is then killed passes nothing on: in Linux's contract that wake is spent.
#include "task/futex.h"

#include "async/wait_look.h"
#include "lib/init.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/signal.h"
#include "task/thread.h"
#include "task/time.h"

enum {
    FUTEX_WAIT,
    FUTEX_WAKE,
    FUTEX_FD,
    FUTEX_REQUEUE,
    FUTEX_CMP_REQUEUE,
    FUTEX_WAKE_OP,
    FUTEX_LOCK_PI,
    FUTEX_UNLOCK_PI,
    FUTEX_TRYLOCK_PI,
    FUTEX_WAIT_BITSET,
    FUTEX_WAKE_BITSET,
    FUTEX_PRIVATE = 128,
    FUTEX_REALTIME = 256,
    FUTEX_COMMAND = ~(FUTEX_PRIVATE | FUTEX_REALTIME),
};

struct futex_waiter {
    struct list link;
    struct task *task;
    struct futex_key key;
    struct futex_bucket *bucket; // where it is queued; changed by requeue under both locks
    uint32_t bits;
    uint32_t queued;
};

struct futex_bucket {
    struct spinlock lock;
    struct list waiters;
};

enum { BUCKETS = 256 };
static struct futex_bucket buckets[BUCKETS];

static void futex_init(void)
{
    for (int i = 0; i < BUCKETS; i++) {
        spin_init(&buckets[i].lock, "futex");
        list_init(&buckets[i].waiters);
    }
}
INIT(INIT_CORE, futex_init);

static struct futex_bucket *bucket_of(const struct futex_key *k)
{
    uint64_t h =
        ((uint64_t)k->object >> 6) * 0x9e3779b97f4a7c15ul + (k->offset >> 2) * 0x85ebca6bul;
    return &buckets[(h >> 24) % BUCKETS];
}

static bool same_key(const struct futex_key *a, const struct futex_key *b)
{
    return a->object == b->object && a->offset == b->offset;
}

static void wake_waiter(struct futex_waiter *w)
{
    list_remove(&w->link);
    task_wake(w->task); // first: once queued is 0 the waiter may return and its thread end
    store_release(&w->queued, 0);
}

static bool to_be_woken(const struct futex_waiter *w, const struct futex_key *key, uint32_t bits)
{
    return same_key(&w->key, key) && (w->bits & bits);
}

static __attribute__((noinline)) long wake_many(struct futex_bucket *b, const struct futex_key *key,
                                                int32_t n, uint32_t bits)
{
    long woken = 0;
    LIST_FOREACH_SAFE(it, next, &b->waiters) {
        struct futex_waiter *w = list_entry(it, struct futex_waiter, link);
        if (!to_be_woken(w, key, bits))
            continue;
        wake_waiter(w);
        if (++woken >= n)
            break;
    }
    return woken;
}

// Mostly it is the first one, and one is enough.
static inline long wake_locked(struct futex_bucket *b, const struct futex_key *key, int32_t n,
                               uint32_t bits)
{
    struct futex_waiter *first = list_entry(b->waiters.next, struct futex_waiter, link);
    if (unlikely(n > 1 || list_empty(&b->waiters) || !to_be_woken(first, key, bits)))
        return wake_many(b, key, n, bits);
    wake_waiter(first);
    return 1;
}

// As Linux, which counts after it has woken: at least one, whatever n is.
static inline __attribute__((always_inline)) long wake_key(const struct futex_key *key, int32_t n,
                                                           uint32_t bits)
{
    struct futex_bucket *b = bucket_of(key);
    fence_full();
    if (list_empty(&b->waiters))
        return 0;
    spin_lock(&b->lock);
    long woken = wake_locked(b, key, n, bits);
    spin_unlock(&b->lock);
    return woken;
}

long futex_wake(struct space *s, va_t va, uint32_t n, uint32_t bits, bool is_private)
{
    struct futex_key key;
    int e = space_futex_key(s, va, !is_private, ACCESS_READ, &key);
    return e ? e : wake_key(&key, (int32_t)n, bits);
}

// Locks the bucket a waiter is in; requeue may move it meanwhile.
static struct futex_bucket *lock_waiter(struct futex_waiter *w)
{
    for (;;) {
        struct futex_bucket *b = load_acquire(&w->bucket);
        spin_lock(&b->lock);
        if (b == w->bucket)
            return b;
        spin_unlock(&b->lock);
    }
}

// Whoever reads 1 without the lock may have been woken before queued was cleared.
static bool still_queued(struct futex_waiter *w)
{
    if (!load_acquire(&w->queued))
        return false;
    struct futex_bucket *b = lock_waiter(w);
    bool is = w->queued;
    spin_unlock(&b->lock);
    return is;
}

// False: it was not queued, or is no more.
static bool leave(struct futex_waiter *w)
{
    if (!load_acquire(&w->queued))
        return false;
    struct futex_bucket *b = lock_waiter(w);
    bool was = w->queued;
    if (was) {
        list_remove(&w->link);
        w->queued = 0;
    }
    spin_unlock(&b->lock);
    return was;
}

// 0: queued. -EAGAIN: the word has another value. -ECOMMIT: it is not there now.
static inline __attribute__((always_inline)) long enter(struct futex_waiter *w, struct task *t,
                                                        struct space *s, va_t va, uint32_t value)
{
    uint32_t now;
    struct futex_bucket *b = bucket_of(&w->key);
    spin_lock(&b->lock);
    w->task = t;
    w->bucket = b;
    w->queued = 1;
    list_push_back(&b->waiters, &w->link);
    fence_full(); // with the one in wake_key: a waker that finds the bucket empty has stored before
    long r = user_load32_nofault(s, va, &now);
    r = r == -EAGAIN ? -ECOMMIT : r < 0 ? r : now == value ? 0 : -EAGAIN;
    if (r) {
        list_remove(&w->link);
        w->queued = 0;
    }
    spin_unlock(&b->lock);
    return r;
}

// *woken: a wake has chosen this waiter. It may be unwound by its deadline even so.
ASYNC_DECL(futex_wait, va_t va; uint32_t value; uint32_t bits; bool is_private; bool *woken;);
ASYNC(futex_wait, long r; struct futex_waiter w; bool waits;)
{
    ASYNC_BEGIN(futex_wait);
    f->w.queued = 0;
    f->waits = false;
    f->w.bits = f->bits;
    for (;;) {
        f->r = space_futex_key(t->thread->space, f->va, !f->is_private, ACCESS_READ, &f->w.key);
        if (f->r == 0)
            f->r = enter(&f->w, t, t->thread->space, f->va, f->value);
        if (f->r != -ECOMMIT)
            break;
        AWAIT(f->r, space_commit, t->thread->space, f->va, 4, ACCESS_READ);
        if (f->r < 0)
            break;
    }
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->waits = true;
    while (still_queued(&f->w)) {
        if (task_interrupted(t))
            break;
        SUSPEND("futex");
    }
    if (leave(&f->w)) {
        f->waits = false;
        ASYNC_RETURN(-ERESTARTSYS);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    if (!leave(&f->w) && f->waits)
        *f->woken = true;
    ASYNC_END;
}

// ---- looking

// Into the list of the least task ids; the new n.
static size_t keep(const struct futex_waiter *w, uint32_t from, struct futex_info *out, size_t n,
                   size_t max)
{
    size_t at = n;
    if (w->task->id < from)
        return n;
    while (at && out[at - 1].task > w->task->id)
        at--;
    if (at == max)
        return n;
    n += n < max;
    for (size_t i = n - 1; i > at; i--)
        out[i] = out[i - 1];
    out[at] = (struct futex_info){w->task->id, w->bits, w->key.object, w->key.offset};
    return n;
}

size_t futex_waiters(uint32_t from, struct futex_info *out, size_t max)
{
    size_t n = 0;
    for (int i = 0; i < BUCKETS; i++) {
        spin_lock(&buckets[i].lock);
        LIST_FOREACH(it, &buckets[i].waiters)
            n = keep(list_entry(it, struct futex_waiter, link), from, out, n, max);
        spin_unlock(&buckets[i].lock);
    }
    return n;
}

static void lock_two(struct futex_bucket *a, struct futex_bucket *b)
{
    spin_lock(a < b ? &a->lock : &b->lock);
    if (a != b)
        spin_lock_nested(a < b ? &b->lock : &a->lock);
}

static void unlock_two(struct futex_bucket *a, struct futex_bucket *b)
{
    spin_unlock(&a->lock);
    if (a != b)
        spin_unlock(&b->lock);
}

// compare: NULL, or the value the first word must have.
static long requeue(struct space *s, va_t from, va_t to, uint32_t wake, uint32_t move,
                    bool private_, const uint32_t *compare)
{
    struct futex_key k1, k2;
    long done = 0, r = space_futex_key(s, from, !private_, ACCESS_READ, &k1);
    if (!r)
        r = space_futex_key(s, to, !private_, ACCESS_READ, &k2);
    if (r)
        return r;
    struct futex_bucket *b1 = bucket_of(&k1), *b2 = bucket_of(&k2);
    lock_two(b1, b2);
    uint32_t now;
    if (compare) {
        r = user_load32_nofault(s, from, &now);
        r = r == -EAGAIN      ? task_note_commit(from, 4, ACCESS_READ)
            : r < 0           ? r
            : now != *compare ? -EAGAIN
                              : 0;
    }
    if (!r)
        LIST_FOREACH_SAFE(it, next, &b1->waiters) {
            struct futex_waiter *w = list_entry(it, struct futex_waiter, link);
            if (!same_key(&w->key, &k1))
                continue;
            if ((uint64_t)done >= (uint64_t)wake + move)
                break;
            if ((uint32_t)done++ < wake) {
                wake_waiter(w);
            } else if (b1 == b2) { // it stays in its turn: at the end it would be met again
                w->key = k2;
            } else {
                list_remove(&w->link);
                w->key = k2;
                store_release(&w->bucket, b2);
                list_push_back(&b2->waiters, &w->link);
            }
        }
    unlock_two(b1, b2);
    return r ? r : done;
}

// FUTEX_WAKE_OP: old = *va2; *va2 = op(old); wake va; if cmp(old) wake va2.
static long wake_op(struct space *s, va_t va, va_t va2, uint32_t n, uint32_t n2, uint32_t code,
                    bool is_private)
{
    uint32_t op = code >> 28, cmp = code >> 24 & 15, old = 0, want;
    int32_t oparg = (int32_t)(code << 8) >> 20, cmparg = (int32_t)(code << 20) >> 20;
    struct futex_key k1, k2;
    long r = space_futex_key(s, va, !is_private, ACCESS_READ, &k1);
    if (!r)
        r = space_futex_key(s, va2, !is_private, ACCESS_WRITE, &k2);
    if (r)
        return r;
    if (op & 8)
        oparg = (int32_t)(1u << (oparg & 31));
    if ((op & 7) > 4)
        return -ENOSYS;
    for (;;) {
        uint32_t seen;
        r = user_load32_nofault(s, va2, &seen);
        if (r == 0) {
            uint32_t a = (uint32_t)oparg;
            want = (op & 7) == 0   ? a
                   : (op & 7) == 1 ? seen + a
                   : (op & 7) == 2 ? seen | a
                   : (op & 7) == 3 ? seen & ~a
                                   : seen ^ a;
            r = user_cmpxchg32_nofault(s, va2, seen, want, &old);
        }
        if (r == -EAGAIN)
            return task_note_commit(va2, 4, ACCESS_READ | ACCESS_WRITE);
        if (r < 0)
            return r;
        if (old == seen)
            break;
    }
    if (cmp > 5)
        return -ENOSYS;
    int32_t v = (int32_t)old;
    bool hit = cmp == 0   ? v == cmparg
               : cmp == 1 ? v != cmparg
               : cmp == 2 ? v < cmparg
               : cmp == 3 ? v <= cmparg
               : cmp == 4 ? v > cmparg
                          : v >= cmparg;
    r = wake_key(&k1, (int32_t)n, ~0u);
    return hit ? r + wake_key(&k2, (int32_t)n2, ~0u) : r;
}

LIGHT_WAIT(futex_light, "futex");

static long futex_light(struct thread *th, bool must_leave)
{
    struct futex_waiter *w = LIGHT_STATE(th, struct futex_waiter);
    if (likely(!load_acquire(&w->queued)))
        return 0;
    if (!must_leave && !task_interrupted(&th->task) && still_queued(w)) {
        th->task.local |= LOCAL_WAIT;
        return 0;
    }
    return !leave(w) ? 0 : must_leave ? -ERETRY : -ERESTARTSYS;
}

// Without a timeout. What must be awaited is left to the dispatcher.
static long wait_light(va_t va, uint32_t value, uint32_t bits, bool is_private)
{
    struct thread *th = thread_current();
    struct futex_waiter *w = LIGHT_STATE(th, struct futex_waiter);
    w->bits = bits;
    long r = space_futex_key(th->space, va, !is_private, ACCESS_READ, &w->key);
    if (likely(!r))
        r = enter(w, &th->task, th->space, va, value);
    return likely(!r)      ? syscall_wait(&th->task, &futex_light_wait)
           : r == -ECOMMIT ? task_note_commit(va, 4, ACCESS_READ)
                           : r;
}

// The other commands than a private WAKE and WAIT; but not waiting for a time.
static __attribute__((noinline)) long futex_command(va_t va, uint32_t op, uint32_t value,
                                                    uint64_t value2, va_t va2, uint32_t value3)
{
    struct space *s = thread_current()->space;
    bool private_ = op & FUTEX_PRIVATE;
    uint32_t cmd = op & FUTEX_COMMAND;
    if ((op & FUTEX_REALTIME) && cmd != FUTEX_WAIT_BITSET)
        return -ENOSYS;
    switch (cmd) {
    case FUTEX_WAKE:
        return futex_wake(s, va, value, ~0u, private_);
    case FUTEX_WAKE_BITSET:
        return value3 ? futex_wake(s, va, value, value3, private_) : -EINVAL;
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
        if ((int32_t)value < 0 || (int32_t)value2 < 0)
            return -EINVAL;
        return requeue(s, va, va2, value, (uint32_t)value2, private_,
                       cmd == FUTEX_CMP_REQUEUE ? &value3 : NULL);
    case FUTEX_WAKE_OP:
        return wake_op(s, va, va2, value, (uint32_t)value2, value3, private_);
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        if (value2) // a timeout
            return syscall_go_async();
        value3 = cmd == FUTEX_WAIT ? ~0u : value3;
        return value3 ? wait_light(va, value, value3, private_) : -EINVAL;
    default:
        return -ENOSYS;
    }
}

ASYNC_SYSCALL(sys_futex, long r; struct timespec_k ts; uint64_t until; struct wall_deadline d;
              bool woken;)
{
    ASYNC_BEGIN(sys_futex);
    f->woken = false;
    if ((f->a[1] & FUTEX_COMMAND) == FUTEX_WAIT)
        f->a[5] = ~0u;
    if (!f->a[3]) {
        if (!(uint32_t)f->a[5])
            ASYNC_RETURN(-EINVAL);
        AWAIT(f->r, futex_wait, f->a[0], (uint32_t)f->a[2], (uint32_t)f->a[5],
              f->a[1] & FUTEX_PRIVATE, &f->woken);
        ASYNC_RETURN(f->r);
    }
    AWAIT(f->r, user_read, t->thread->space, &f->ts, f->a[3], sizeof f->ts);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (!timespec_valid(&f->ts) || !(uint32_t)f->a[5])
        ASYNC_RETURN(-EINVAL);
    f->until = timespec_ns(&f->ts); // WAIT: relative; WAIT_BITSET: absolute
    if (f->a[1] & FUTEX_REALTIME) {
        deadline_arm_wall(t, &f->hdr, &f->d, f->until);
    } else {
        if ((f->a[1] & FUTEX_COMMAND) == FUTEX_WAIT_BITSET)
            f->until = ns_until(f->until);
        f->until = signal_wait_end(t->thread, f->until);
        deadline_arm(t, &f->hdr, &f->d.deadline, ticks_ahead_ns(f->until));
    }
    AWAIT(f->r, futex_wait, f->a[0], (uint32_t)f->a[2], (uint32_t)f->a[5], f->a[1] & FUTEX_PRIVATE,
          &f->woken);
    deadline_disarm(t, &f->d.deadline);
    if (f->r == -ETIMEDOUT && f->woken) // both at once: the waker has counted this one
        ASYNC_RETURN(0);
    // EINTR after a handler, else it goes on for what is left; until a time of the real time clock it just begins again.
    if (f->r == -ERESTARTSYS && !(f->a[1] & FUTEX_REALTIME))
        t->thread->restart_until = f->until;
    ASYNC_RETURN(f->r == -ERESTARTSYS ? -ERESTARTNOHAND : f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

enum { PRIVATE_WAKE = FUTEX_WAKE | FUTEX_PRIVATE, PRIVATE_WAIT = FUTEX_WAIT | FUTEX_PRIVATE };

static __attribute__((noinline)) long wait_private(va_t va, uint32_t value)
{
    return wait_light(va, value, ~0u, true);
}

long try_futex(va_t va, uint32_t op, uint32_t value, uint64_t value2, va_t va2, uint32_t value3)
{
    if (op == PRIVATE_WAKE)
        return futex_wake(thread_current()->space, va, value, ~0u, true);
    if (op == PRIVATE_WAIT && !value2)
        return wait_private(va, value);
    return futex_command(va, op, value, value2, va2, value3);
}
SYSCALL_TRY(98, futex, 6);

// Two that wait for one futex have the same word; the object is one of them for short, not a pointer.
static void look(const struct futex_waiter *w, struct wait_view *v)
{
    v->kind = "futex";
    v->object = (const void *)((uint64_t)w->key.object + w->key.offset);
    v->told = true;
    v->queued = load_acquire(&w->queued);
    v->ready = !v->queued;
}

WAIT_LOOK(futex_wait)
{
    look(&((const struct futex_wait_frame *)frame)->w, v);
}

WAIT_LOOK_LIGHT(futex_light)
{
    look(LIGHT_STATE((struct thread *)frame, struct futex_waiter), v);
}
