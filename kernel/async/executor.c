// SPDX-License-Identifier: MIT
// The executor. One FIFO per hart under a spinlock; a hart without work steals, then sleeps.
//
// No wake is lost: a waker pushes, fences, reads the idle flag; a sleeper sets the flag, fences,
// looks at every queue once more, and only then waits. An interrupt that arrives in between is
// pending, and a pending interrupt ends wfi.
#include "async/executor.h"

#include "arch/shootdown.h"
#include "async/async.h"
#include "lib/log.h"
#include "lib/trace.h"
#include "page/heap.h"

enum { SLICE_US = 4000, KICK_US = 100 };

struct run_queue {
    struct spinlock lock;
    struct task *head, **tail; // how many: hart.ready
    char pad[8];
};

static struct run_queue *queues;
static uint64_t idle_mask; // bit per hart that sleeps or is about to
static bool (*idle_work)(void);

static _Thread_local uint64_t slice_switches; // hart's switch count when the slice began
static _Thread_local bool slice_is_kick;

TRACE_POINT(task_wake, "task.wake", "task", "hart");
TRACE_POINT(task_poll, "task.poll", "task", "hart");

void executor_init(void)
{
    queues = kzalloc(hart_count * sizeof *queues);
    if (!queues)
        panic("no memory for %u run queues", hart_count);
    for (uint32_t i = 0; i < hart_count; i++) {
        spin_init(&queues[i].lock, "run queue");
        queues[i].tail = &queues[i].head;
    }
}

void executor_set_idle_work(bool (*work)(void))
{
    idle_work = work;
}

static inline uint32_t ready_of(uint32_t hart)
{
    return likely(harts[hart] != NULL) ? load_relaxed(&harts[hart]->ready) : 0;
}

static inline void push(uint32_t hart, struct task *t)
{
    struct run_queue *q = &queues[hart];
    struct hart *h = harts[hart];
    spin_lock(&q->lock);
    t->queue_next = NULL;
    *q->tail = t;
    q->tail = &t->queue_next;
    store_relaxed(&h->ready, h->ready + 1);
    spin_unlock(&q->lock);
}

static inline __attribute__((always_inline)) struct task *pop(void)
{
    struct run_queue *q = &queues[hart_self.index];
    if (!executor_has_ready())
        return NULL;
    spin_lock(&q->lock);
    struct task *t = q->head;
    if (t) {
        if (!(q->head = t->queue_next))
            q->tail = &q->head;
        store_relaxed(&hart_self.ready, hart_self.ready - 1);
    }
    spin_unlock(&q->lock);
    return t;
}

// Takes the first task that may run here.
static struct task *steal_from(uint32_t hart)
{
    struct run_queue *q = &queues[hart];
    struct task *t = NULL;
    if (!ready_of(hart) || !spin_trylock(&q->lock))
        return NULL;
    for (struct task **p = &q->head; (t = *p); p = &t->queue_next)
        if (t->pinned < 0) {
            if (!(*p = t->queue_next))
                q->tail = p;
            store_relaxed(&harts[hart]->ready, harts[hart]->ready - 1);
            break;
        }
    spin_unlock(&q->lock);
    return t;
}

static struct task *steal(void)
{
    for (uint32_t i = 1; i < hart_count; i++) {
        struct task *t = steal_from((hart_self.index + i) % hart_count);
        if (t) {
            hart_self.steals++;
            return t;
        }
    }
    return NULL;
}

// ---- slices and helpers: when somebody is ready, a timer runs
//
// A woken task stays on the waker's hart, which often waits next and then runs it without a word to
// anybody. Only if it is still queued KICK later is a sleeping hart called to steal it; and if the
// same user code still runs SLICE later while somebody is ready, it yields. The timer is left to
// run over switches, so that ping-pong does not pay for it.
// Invariant: a hart whose queue is not empty while it runs a task has a slice armed.

static cold void slice_begin(void);

static void call_helper(void)
{
    uint64_t idle = load_relaxed(&idle_mask);
    if (idle)
        ipi_send((uint32_t)__builtin_ctzl(idle), IPI_WAKE);
}

static void slice_over(void)
{
    struct task *t = hart_self.current;
    bool kick = slice_is_kick;
    hart_self.slice_armed = 0;
    if (!executor_has_ready())
        return;
    if (load_relaxed(&idle_mask))
        call_helper();
    else if (!kick && t && slice_switches == hart_self.switches)
        atomic_or32(&t->attn, ATTN_RESCHED);
    slice_begin();
}

static cold void slice_begin(void)
{
    slice_is_kick = load_relaxed(&idle_mask) != 0;
    slice_switches = hart_self.switches;
    hart_self.slice_armed = 1;
    timer_slice((slice_is_kick ? KICK_US : SLICE_US) * 1000ul, slice_over);
}

static inline void push_here(struct task *t)
{
    push(hart_self.index, t);
    if (unlikely(!hart_self.slice_armed))
        slice_begin();
}

void executor_user_tick(void)
{
    if (executor_has_ready() && !hart_self.slice_armed)
        slice_begin();
}

// ---- waking

static cold void enqueue_elsewhere(struct task *t, uint32_t hart)
{
    struct hart *h = harts[hart];
    push(hart, t);
    fence_full();
    if (load_relaxed(&h->idle) || load_relaxed(&h->current))
        ipi_send(hart, IPI_WAKE);
}

// Not from a task but from an interrupt that found this hart idle: the first it wakes runs here, the
// others go to harts that sleep.
static cold uint32_t spread(const struct task *t)
{
    uint64_t idle = load_relaxed(&idle_mask) & ~(1ul << hart_self.index);
    if (!idle || !executor_has_ready())
        return hart_self.index;
    return idle >> t->hart & 1 ? t->hart : (uint32_t)__builtin_ctzl(idle);
}

// Behind the others, on this hart unless it was pinned to another meanwhile.
static cold void requeue(struct task *t)
{
    if (t->pinned >= 0 && (uint32_t)t->pinned != hart_self.index)
        enqueue_elsewhere(t, (uint32_t)t->pinned);
    else
        push_here(t);
}

void executor_enqueue(struct task *t)
{
    uint32_t self = hart_self.index, hart = self;
    if (unlikely(t->pinned >= 0))
        hart = (uint32_t)t->pinned;
    else if (unlikely(!hart_self.current))
        hart = spread(t);
    TRACE(task_wake, t->id, hart);
    if (likely(hart == self))
        push_here(t);
    else
        enqueue_elsewhere(t, hart);
}

uint32_t executor_queue_length(uint32_t hart)
{
    return ready_of(hart);
}

unsigned executor_queue_snapshot(uint32_t hart, uint32_t *ids, unsigned max)
{
    unsigned n = 0;
    spin_lock(&queues[hart].lock);
    for (struct task *t = queues[hart].head; t && n < max; t = t->queue_next)
        ids[n++] = t->id;
    spin_unlock(&queues[hart].lock);
    return n;
}

// ---- running

static struct deadline *outermost_fired(struct task *t)
{
    struct deadline *hit = NULL;
    for (struct deadline *d = t->deadline; d; d = d->outer)
        if (load_acquire(&d->fired))
            hit = d;
    return hit;
}

#define GO_ON ((enum poll_how)99) // of attend: resume the task

// Cancel and deadlines take effect between polls, outside shields. Otherwise how the poll ends.
static cold enum poll_how attend(struct task *t)
{
    uint32_t attn = load_acquire(&t->attn);
    if (attn & ATTN_HOLD)
        return POLL_PENDING;
    if (t->shield)
        return GO_ON;
    if ((attn & ATTN_CANCEL) && t->top != t->catcher) {
        async_unwind(t, t->catcher);
        t->result = -ECANCELED;
        if (!t->top)
            return POLL_DONE;
    }
    if (attn & ATTN_DEADLINE) {
        atomic_and32(&t->attn, ~(uint32_t)ATTN_DEADLINE);
        struct deadline *d = outermost_fired(t);
        if (d && t->top != d->frame) {
            async_unwind(t, d->frame);
            t->result = -ETIMEDOUT;
        }
    }
    return GO_ON;
}

// What came while it was shielded takes effect when it next suspends: no further wake would tell.
static inline bool overdue(const struct task *t)
{
    return (t->attn & (ATTN_CANCEL | ATTN_DEADLINE)) && !t->shield && t->top != t->catcher;
}

static inline __attribute__((always_inline)) enum poll_how run(struct task *t)
{
    enum poll_how how;
    if (unlikely(t->attn & (ATTN_HOLD | ATTN_CANCEL | ATTN_DEADLINE)) && (how = attend(t)) != GO_ON)
        return how;
    for (;;) {
        how = t->top->fn->resume(t, t->top).how;
        if (how == POLL_DONE) {
            async_pop(t);
            if (unlikely(!t->top))
                return how;
        } else {
            enum poll_how verdict;
            if (likely(!overdue(t)))
                return how;
            if ((verdict = attend(t)) != GO_ON)
                return verdict;
        }
    }
}

static inline __attribute__((always_inline)) void poll_task(struct task *t)
{
    struct hart *h = this_hart();
    h->current = t;
    t->hart = h->index;
    if (unlikely(executor_has_ready()))
        executor_user_tick(); // others queued here, by harts that could not arm our slice
    h->switches++;
    t->polls++;
    t->started = time_ticks();
    TRACE(task_poll, t->id, h->index);
    atomic_swap32(&t->state, TASK_RUNNING);
    enum poll_how how = run(t);
    lock_order_none_held("a poll ends");
    DEBUG_ASSERT(h->lock_depth == 0);
    h->current = NULL;
    t->since = time_ticks();
    t->ticks += t->since - t->started;
    if (unlikely(how == POLL_DONE)) {
        store_release(&t->state, TASK_DEAD);
        task_put(t);
    } else if (how == POLL_YIELD) {
        store_release(&t->state, TASK_QUEUED);
        requeue(t);
    } else if (atomic_and32(&t->state, ~(uint32_t)TASK_RUNNING) & TASK_QUEUED) {
        requeue(t);
    }
}

static void idle(void)
{
    struct hart *h = this_hart();
    if (idle_work && idle_work())
        return;
    store_relaxed(&h->idle, 1);
    atomic_or64(&idle_mask, 1ul << h->index);
    fence_full();
    bool ready = false;
    for (uint32_t i = 0; i < hart_count; i++)
        ready |= ready_of(i) != 0;
    if (!ready) {
        uint64_t from = time_ticks();
        cpu_wait_for_interrupt();
        h->idle_ns += ticks_to_ns(time_ticks() - from);
    }
    store_relaxed(&h->idle, 0);
    atomic_and64(&idle_mask, ~(1ul << h->index));
    shootdown_catch_up();
}

bool executor_step(void)
{
    struct task *t = pop();
    if (!t && !(t = steal()))
        return false;
    poll_task(t);
    return true;
}

void executor_run(void)
{
    for (;;) {
        irq_poll();
        if (!executor_step())
            idle();
    }
}
