// SPDX-License-Identifier: MIT
// DEBUG builds: mistakes on demand. `plant=NAME` on the kernel command line makes the one of that name
// once the machine is up, and the check it is made for must end the kernel (tests/boot/planted.t).
#ifdef DEBUG
#include "async/task.h"
#include "async/wait_async.h"
#include "lib/dt.h"
#include "lib/init.h"
#include "lib/log.h"
#include "lib/spinlock.h"
#include "lib/translations.h"
#include "page/frame.h"
#include "page/heap.h"

#include <string.h>

static struct spinlock first = SPINLOCK_INIT("planted first"),
                       second = SPINLOCK_INIT("planted second"),
                       third = SPINLOCK_INIT("planted third"),
                       brothers[2] = {[0 ... 1] = SPINLOCK_INIT("planted brothers")};

static void take_both(struct spinlock *a, struct spinlock *b)
{
    spin_lock(a);
    spin_lock(b);
    spin_unlock(b);
    spin_unlock(a);
}

// Never at once, so nobody waits for anybody: only the order is wrong.
static void plant_lock_order(void)
{
    take_both(&first, &second);
    take_both(&second, &third);
    take_both(&third, &first);
}

static void plant_lock_brothers(void)
{
    take_both(&brothers[1], &brothers[0]);
}

static void plant_lock_interrupt(void)
{
    spin_lock(&first);
    irq_poll_slow(0);
}

ASYNC_DECL(sleepy, int unused;);
ASYNC(sleepy, long r;)
{
    ASYNC_BEGIN(sleepy);
    spin_lock(&first);
    AWAIT(f->r, sleep_ns, 1000, false);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void plant_lock_await(void)
{
    task_spawn("sleepy", &sleepy_fn, &(struct sleepy_args){0}, sizeof(struct sleepy_args));
}

// Two tasks, one after the other.
ASYNC_DECL(lock_both, struct mutex *a; struct mutex *b;);
ASYNC(lock_both, long r;)
{
    ASYNC_BEGIN(lock_both);
    AWAIT(f->r, mutex_lock, f->a, false);
    AWAIT(f->r, mutex_lock, f->b, false);
    ASYNC_FINALLY;
    mutex_unlock(f->b, t);
    mutex_unlock(f->a, t);
    ASYNC_END;
}

static void plant_mutex_order(void)
{
    static struct mutex inner, outer;
    mutex_init(&inner, "planted inner");
    mutex_init(&outer, "planted outer");
    SPAWN("one", lock_both, &outer, &inner);
    SPAWN("two", lock_both, &inner, &outer);
}

static void plant_overflow(void)
{
    volatile int n = INT32_MAX;
    n = n + 1;
}

static void plant_shift(void)
{
    volatile unsigned by = 64;
    log_info("%lu", 1ul << by);
}

static void plant_bounds(void)
{
    static int table[4];
    volatile unsigned i = 4;
    log_info("%d", table[i]);
}

// Until whatever was freed has been handed out again.
static void churn_heap(size_t size)
{
    for (int i = 0; i < 2000; i++)
        kfree(kmalloc(size));
}

static void plant_heap_write(void)
{
    volatile uint32_t *p = kmalloc(100);
    kfree((void *)p);
    p[5] = 7;
    churn_heap(100);
}

static void plant_heap_read(void)
{
    struct list *volatile *p = kzalloc(64);
    kfree((void *)p);
    p[2]->next = NULL;
}

static void plant_heap_twice(void)
{
    void *volatile p = kmalloc(100);
    kfree(p);
    kfree(p);
}

static void plant_frame_write(void)
{
    pa_t pa = frame_alloc(0);
    frame_unref(pa);
    *(volatile uint32_t *)pa_to_kva(pa + 2048) = 0;
    for (int i = 0; i < 2000; i++)
        frame_unref(frame_alloc(0));
}

static void plant_frame_twice(void)
{
    pa_t pa = frame_alloc(0);
    frame_unref(pa);
    frame_unref(pa);
}

// A table that is given back as empty is not.
static void plant_frame_zeroed(void)
{
    pa_t pa = frame_alloc(FRAME_ZERO);
    *(uint64_t *)pa_to_kva(pa + 8) = 1;
    frame_free_zeroed(pa);
}

static void plant_shootdown(void)
{
    translations_planted = true;
}

static const struct {
    const char *name;
    void (*make)(void);
} planted[] = {
    {"lock-order", plant_lock_order},
    {"lock-brothers", plant_lock_brothers},
    {"lock-interrupt", plant_lock_interrupt},
    {"lock-await", plant_lock_await},
    {"overflow", plant_overflow},
    {"shift", plant_shift},
    {"bounds", plant_bounds},
    {"heap-write", plant_heap_write},
    {"heap-read", plant_heap_read},
    {"heap-twice", plant_heap_twice},
    {"frame-write", plant_frame_write},
    {"frame-twice", plant_frame_twice},
    {"frame-zeroed", plant_frame_zeroed},
    {"shootdown", plant_shootdown},
    {"mutex-order", plant_mutex_order},
};

static void plant(void)
{
    char name[32];
    if (!boot_arg("plant", name, sizeof name))
        return;
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++)
        if (!strcmp(planted[i].name, name))
            planted[i].make();
    log_error("plant: %s", name);
}
INIT(INIT_LATE, plant);
#endif
