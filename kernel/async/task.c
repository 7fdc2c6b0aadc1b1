// SPDX-License-Identifier: MIT
// Birth, death and attention of tasks. The state machine itself is in task.h and executor.c.
#include "async/task.h"

#include "async/async.h"
#include "async/epoch.h"
#include "lib/local.h"
#include "lib/log.h"
#include "lib/trace.h"
#include "page/heap.h"

#include <string.h>

struct spinlock task_list_lock = SPINLOCK_INIT("task list");
static struct list all_tasks = LIST_INIT(all_tasks); // in the order of their ids
static struct list *last_found = &all_tasks;         // in it, or its head: where a search begins
static uint32_t next_id;

void *task_local_block(struct task *t)
{
    return t->locals;
}

TRACE_POINT(task_spawn, "task.spawn", "a task is born", TRACE_ARG("child", TASK));

static void list_task(struct task *t)
{
    spin_lock(&task_list_lock);
    t->id = ++next_id;
    list_push_back(&all_tasks, &t->all);
    spin_unlock(&task_list_lock);
    TRACE(task_spawn, t->id);
}

int task_init(struct task *t, const char *name, void *arena, size_t arena_size,
              const struct async_fn *fn, const void *args, size_t args_size)
{
    if (task_local_size()) {
        t->locals = kmalloc(task_local_size());
        if (!t->locals)
            return -ENOMEM;
        int e = task_locals_construct(t, t->locals);
        if (e) {
            kfree(t->locals);
            t->locals = NULL;
            return e;
        }
    }
    t->magic = TASK_MAGIC;
    t->state = TASK_NEW;
    t->refs = 1;
    t->affinity = AFFINITY_ANY;
    t->hart = hart_index();
    t->arena = t->sp = arena;
    t->arena_size = (uint32_t)arena_size;
    t->limit = t->sp + arena_size;
    t->since = time_ticks();
    strncpy(t->name, name, sizeof t->name - 1);
    async_push(t, fn);
    if (args_size)
        memcpy(t->top + 1, args, args_size);
    list_task(t);
    return 0;
}

void task_start(struct task *t)
{
    atomic_swap32(&t->state, TASK_QUEUED);
    executor_enqueue(t);
}

static void kernel_task_release(struct task *t)
{
    kfree(t);
}

struct task *task_spawn(const char *name, const struct async_fn *fn, const void *args, size_t n)
{
    long need = async_depth(fn);
    REQUIRE(need > 0);
    struct task *t = kzalloc(sizeof *t + (size_t)need);
    if (!t)
        return NULL;
    if (task_init(t, name, t + 1, (size_t)need, fn, args, n)) {
        kfree(t);
        return NULL;
    }
    t->release = kernel_task_release;
    task_start(t);
    return t;
}

void task_put(struct task *t)
{
    uint32_t was = atomic_add32(&t->refs, (uint32_t)-1);
    DEBUG_ASSERT(was > 0);
    if (was != 1)
        return;
    spin_lock(&task_list_lock);
    if (last_found == &t->all)
        last_found = t->all.next;
    list_remove(&t->all);
    spin_unlock(&task_list_lock);
    if (t->locals) {
        task_locals_destroy(t, t->locals);
        kfree(t->locals);
    }
    kfree(t->segment);
    t->magic = 0;
    if (t->release)
        t->release(t);
}

uint64_t task_ticks(const struct task *t)
{
    for (;;) {
        uint64_t ticks = load_acquire(&t->ticks), now = time_ticks();
        if (ticks == load_acquire(&t->ticks))
            return (int64_t)ticks < 0 ? ticks + now : ticks;
    }
}

void task_attention(struct task *t, uint32_t bits)
{
    if ((atomic_or32(&t->attn, bits) & bits) == bits)
        return;
    task_wake(t);
    uint32_t hart = load_relaxed(&t->hart);
    if ((load_relaxed(&t->state) & TASK_RUNNING) && hart != hart_index())
        ipi_send(hart, IPI_WAKE);
}

void task_attention_later(struct task *t, uint32_t bits)
{
    atomic_or32(&t->attn, bits);
    uint32_t hart = load_relaxed(&t->hart);
    if ((load_relaxed(&t->state) & TASK_RUNNING) && hart != hart_index())
        ipi_send(hart, IPI_WAKE);
}

void task_set_affinity(struct task *t, uint64_t harts)
{
    store_relaxed(&t->affinity, harts);
    task_attention(t, ATTN_MOVE);
}

void task_attention_clear(struct task *t, uint32_t bits)
{
    atomic_and32(&t->attn, ~bits);
}

long task_note_commit(va_t va, uint64_t len, uint32_t access)
{
    struct task *t = current_task();
    t->commit.va = va;
    t->commit.len = len;
    t->commit.access = access;
    t->local |= LOCAL_COMMIT;
    return -ECOMMIT;
}

bool task_borrow(struct task *t)
{
    return atomic_cas32(&t->state, 0, TASK_RUNNING) == 0;
}

void task_release(struct task *t)
{
    if (atomic_and32(&t->state, ~(uint32_t)TASK_RUNNING) & TASK_QUEUED)
        executor_enqueue(t);
}

void task_hold(struct task *t)
{
    task_attention(t, ATTN_HOLD);
}

void task_unhold(struct task *t)
{
    task_attention_clear(t, ATTN_HOLD);
    task_wake(t);
}

static struct task *listed(struct list *it)
{
    return list_entry(it, struct task, all);
}

// The first task with this id or a later one, or the list's head. Lock held. It looks from where the last search ended:
// who goes through all tasks a few at a time would otherwise pass by all before them, each time.
static struct list *find_from(uint32_t id)
{
    struct list *it = last_found;
    while (it->prev != &all_tasks && listed(it->prev)->id >= id)
        it = it->prev;
    while (it != &all_tasks && listed(it)->id < id)
        it = it->next;
    return last_found = it;
}

void task_foreach(uint32_t from_id, bool (*fn)(struct task *, void *), void *arg)
{
    spin_lock(&task_list_lock);
    for (struct list *it = find_from(from_id); it != &all_tasks; it = it->next)
        if (!fn(listed(it), arg))
            break;
    spin_unlock(&task_list_lock);
}

struct task *task_find(uint32_t id)
{
    spin_lock(&task_list_lock);
    struct list *it = find_from(id);
    struct task *t = it != &all_tasks && listed(it)->id == id ? listed(it) : NULL;
    if (t && !ref_get_unless_zero(&t->refs)) // a dying one is listed for a moment
        t = NULL;
    spin_unlock(&task_list_lock);
    return t;
}

const struct task *task_next_unlocked(const struct task *t)
{
    struct list *it = t ? t->all.next : all_tasks.next;
    return it == &all_tasks ? NULL : listed(it);
}

const char *task_state_name(uint32_t state, uint32_t attn)
{
    if (state & TASK_DEAD)
        return "dead";
    if (state & TASK_NEW)
        return "new";
    if (state & TASK_RUNNING)
        return "running";
    if (attn & ATTN_SUSPEND)
        return "suspended";
    if (attn & ATTN_STOP)
        return "stopped";
    if (attn & ATTN_HOLD)
        return "held";
    return state & TASK_QUEUED ? "ready" : "waiting";
}
