// SPDX-License-Identifier: MIT
// The executor. A run queue per hart (runqueue.h); a hart without work steals, then sleeps.
//
// No wake is lost: a waker pushes, fences, reads the idle flag; a sleeper sets the flag, fences,
// looks at every queue once more, and only then waits. An interrupt that arrives in between is
// pending, and a pending interrupt ends wfi.
#include "async/executor.h"

#include "arch/shootdown.h"
#include "async/async.h"
#include "async/epoch.h"
#include "async/sample.h"
#include "async/slice.h"
#include "lib/log.h"
#include "lib/trace.h"

void (*task_kill_hook)(struct task *t);
static bool (*idle_work)(void);

TRACE_POINT(task_wake, "task.wake", "a task that waited is queued", TRACE_ARG("woken", TASK),
            TRACE_ARG("to", NUMBER));
TRACE_POINT(task_poll, "task.poll", "a task has run until it ended, waited or gave way",
            TRACE_WORDS("how", "end wait yield"), TRACE_ARG("ns", NS));

void executor_init(void)
{
    run_queues_init();
    run_queue_enter();
}

void executor_set_idle_work(bool (*work)(void))
{
    idle_work = work;
}

static struct task *steal(void)
{
    for (uint32_t i = 1; i < hart_count; i++) {
        uint32_t from = (hart_self.index + i) % hart_count;
        struct task *t = run_queue_worth_a_look(from) ? run_queue_steal(from) : NULL;
        if (t) {
            hart_self.steals++;
            return t;
        }
    }
    return NULL;
}

void executor_user_tick(void)
{
    catch_up_slice();
    if (HARD_PREEMPT && executor_has_ready())
        atomic_or32(&hart_self.current->attn, ATTN_RESCHED);
}

// ---- waking

static cold void enqueue_elsewhere(struct task *t, uint32_t hart)
{
    struct hart *h = harts[hart];
    run_queue_send(hart, t);
    fence_full();
    if (load_relaxed(&h->idle) || load_relaxed(&h->current))
        ipi_send(hart, IPI_WAKE);
    arm_slice();
}

static uint32_t shortest_queue(uint64_t harts_allowed)
{
    uint32_t best = (uint32_t)__builtin_ctzl(harts_allowed);
    for (uint32_t i = best + 1; i < hart_count; i++)
        if ((harts_allowed >> i & 1) && run_queue_length(i) < run_queue_length(best))
            best = i;
    return best;
}

// For a task that may not run everywhere, and whatever an interrupt wakes on a hart that was idle: the
// first runs here, the others go to harts that sleep.
static cold uint32_t choose_hart(const struct task *t)
{
    uint32_t self = hart_self.index;
    uint64_t may = load_relaxed(&t->affinity),
             idle = load_relaxed(&idle_harts) & may & ~(1ul << self);
    if ((may >> self & 1) && (!idle || (!hart_self.current && !executor_has_ready())))
        return self;
    if (idle)
        return idle >> t->hart & 1 ? t->hart : (uint32_t)__builtin_ctzl(idle);
    return shortest_queue(may);
}

// Behind the others, on this hart if it may.
static cold void requeue_bound(struct task *t)
{
    uint32_t hart = choose_hart(t);
    if (hart != hart_self.index) {
        enqueue_elsewhere(t, hart);
        return;
    }
    run_queue_push(t);
    arm_slice();
}

static inline void requeue(struct task *t)
{
    if (unlikely(t->affinity != AFFINITY_ANY)) {
        requeue_bound(t);
        return;
    }
    run_queue_push(t);
    arm_slice();
}

static cold void enqueue_slow(struct task *t)
{
    uint32_t self = hart_self.index, hart = self;
    if (unlikely(t->affinity != AFFINITY_ANY) || unlikely(!hart_self.current))
        hart = choose_hart(t);
    TRACE(task_wake, t->id, hart);
    if (unlikely(hart != self)) {
        enqueue_elsewhere(t, hart);
        return;
    }
    run_queue_push_woken(t);
    arm_slice();
}

void executor_enqueue(struct task *t)
{
    if (unlikely(t->affinity != AFFINITY_ANY) || unlikely(!hart_self.current) ||
        unlikely(!hart_self.slice_armed) || TRACE_ON(task_wake))
        enqueue_slow(t);
    else
        run_queue_push_woken(t);
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

// Moves, and outside shields cancel and deadlines, take effect between polls. Otherwise how the poll ends.
static cold enum poll_how attend(struct task *t)
{
    uint32_t attn = load_acquire(&t->attn);
    if (attn & ATTN_HOLD)
        return POLL_PENDING;
    if (attn & ATTN_LOSE) {
        atomic_and32(&t->attn, ~(uint32_t)ATTN_LOSE);
        if (attn ==
            ATTN_LOSE) // a wake that asks for its attention is none to lose: nobody would ask again
            return POLL_PENDING;
    }
    if (attn & ATTN_MOVE) {
        atomic_and32(&t->attn, ~(uint32_t)ATTN_MOVE); // before the mask is read
        if (!task_may_run_on(t, hart_self.index))
            return POLL_YIELD;
    }
    // A callee begins, however late it is: as where it is called at once, what it is given is its own.
    bool begins = t->top->at == &async_entry && t->top->parent;
    if (t->shield || begins)
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
    return (load_relaxed(&t->attn) & (ATTN_CANCEL | ATTN_DEADLINE)) && !t->shield &&
           t->top != t->catcher;
}

static inline __attribute__((always_inline)) enum poll_how run(struct task *t)
{
    enum poll_how how;
    if (unlikely(load_relaxed(&t->attn) & ATTN_BEFORE_POLL) && (how = attend(t)) != GO_ON)
        return how;
    for (;;) {
        how = t->top->fn->resume(t, t->top).how;
        t = hart_self.current; // SUSPEND_SWITCHING
        if (how == POLL_DONE) {
            async_pop(t);
            if (unlikely(!t->top))
                return how;
        } else {
            enum poll_how verdict;
            if (unlikely(t->kill_nth) && --t->kill_nth == 0)
                task_kill_hook(t);
            if (likely(!overdue(t)))
                return how;
            if ((verdict = attend(t)) != GO_ON)
                return verdict;
        }
    }
}

static inline __attribute__((always_inline)) void poll_enter(struct task *t, uint64_t now)
{
    hart_self.current = t;
    store_relaxed(&t->hart, hart_self.index);
    hart_self.switches++;
    t->polls++;
    t->since = now;
    store_relaxed(&t->ticks, t->ticks - now);
    atomic_swap32(&t->state, TASK_RUNNING);
}

static inline __attribute__((always_inline)) void poll_leave(struct task *t, uint64_t now)
{
    lock_order_none_held("a poll ends");
    DEBUG_ASSERT(hart_self.lock_depth == 0 && !epoch_inside());
    t->since = now;
    store_relaxed(&t->ticks, t->ticks + now);
}

static inline __attribute__((always_inline)) void poll_begin(struct task *t)
{
    catch_up_slice();
    sample_poll_begins(t);
    poll_enter(t, time_ticks());
}

static _Thread_local struct task *refused; // popped by a switch; the next poll is its

// Who gives way in the middle of its turn comes right after the one that it gives way to.
static cold void keep_turn(struct task *t)
{
    turn_kept = NULL;
    if (!refused)
        refused = run_queue_pop();
    if (!refused || !task_may_run_on(t, hart_self.index)) { // it, or this one, is to go elsewhere
        requeue(t);
        return;
    }
    run_queue_push_first(t);
    slice_goes_on(2);
}

static inline __attribute__((always_inline)) void poll_end(struct task *t, enum poll_how how)
{
    uint64_t now = time_ticks();
    TRACE(task_poll, how, ticks_to_ns(now - t->since));
    poll_leave(t, now);
    sample_poll_ends(t, now);
    hart_self.current = NULL;
    if (HARD_WAKE && how == POLL_PENDING && (t->nudged = !t->nudged))
        atomic_or32(&t->state, TASK_QUEUED);
    if (unlikely(how == POLL_DONE)) {
        store_release(&t->state, TASK_DEAD);
        task_put(t);
    } else if (how == POLL_YIELD) {
        store_release(&t->state, TASK_QUEUED);
        slice_given();
        if (unlikely(turn_kept == t))
            keep_turn(t);
        else
            requeue(t);
    } else if (atomic_and32(&t->state, ~(uint32_t)TASK_RUNNING) & TASK_QUEUED) {
        requeue(t);
    }
}

static __attribute__((noinline)) struct task *switch_and_requeue(struct task *t, struct task *next,
                                                                 uint64_t now)
{
    requeue(t);
    poll_enter(next, now);
    return next;
}

// What has a cold side is left to the executor, so that this saves few registers.
static inline __attribute__((always_inline)) struct task *switch_from(struct task *t,
                                                                      enum poll_how how)
{
    if (HARD_STEAL || HARD_WAKE || unlikely(t->kill_nth) || unlikely(!hart_self.slice_armed) ||
        TRACE_ON(task_poll) ||
        (how == POLL_YIELD && (unlikely(t->affinity != AFFINITY_ANY) || unlikely(turn_kept))))
        return NULL;
    struct task *next;
    if (!run_queue_pop_simple(&next, how == POLL_YIELD))
        return NULL;
    uint64_t now = time_ticks();
    if (next->top->at != t->top->at || unlikely(sample_is_due(now))) {
        refused = next;
        return NULL;
    }
    poll_leave(t, now);
    if (how == POLL_YIELD) {
        store_release(&t->state, TASK_QUEUED);
        slice_given();
        run_queue_push_simple(t);
    } else if (unlikely(atomic_and32(&t->state, ~(uint32_t)TASK_RUNNING) & TASK_QUEUED)) {
        return switch_and_requeue(t, next, now);
    }
    poll_enter(next, now);
    return next;
}

struct task *executor_switch_pending(struct task *t)
{
    return switch_from(t, POLL_PENDING);
}

struct task *executor_switch_yield(struct task *t)
{
    return switch_from(t, POLL_YIELD);
}

uint64_t executor_idle_ns(uint32_t hart)
{
    const uint64_t *idle = &harts[hart]->idle_ticks;
    for (;;) {
        uint64_t ticks = load_acquire(idle), now = time_ticks();
        if (ticks == load_acquire(idle))
            return ticks_to_ns((int64_t)ticks < 0 ? ticks + now : ticks);
    }
}

static void idle(void)
{
    struct hart *h = this_hart();
    if (idle_work && idle_work())
        return;
    store_relaxed(&h->lazy, 1);
    store_relaxed(&h->idle, 1);
    atomic_or64(&idle_harts, 1ul << h->index);
    fence_full();
    bool ready = executor_has_ready();
    for (uint32_t i = 0; i < hart_count; i++)
        ready |= i != h->index && run_queue_worth_a_look(i);
    if (!ready) {
        store_relaxed(&h->idle_ticks, h->idle_ticks - time_ticks());
        cpu_wait_for_interrupt();
        store_relaxed(&h->idle_ticks, h->idle_ticks + time_ticks());
    }
    store_relaxed(&h->idle, 0);
    atomic_and64(&idle_harts, ~(1ul << h->index));
}

static inline __attribute__((always_inline)) bool step(void)
{
    struct task *t = refused;
    if (t)
        refused = NULL;
    else if (HARD_STEAL && (hart_self.switches & 1))
        t = steal();
    if (!t && !(t = run_queue_pop())) {
        if (!(t = steal()))
            return false;
        arm_slice();
    }
    if (unlikely(hart_self.lazy) && t->thread)
        shootdown_leave_lazy();
    poll_begin(t);
    enum poll_how how = run(t);
    poll_end(hart_self.current, how);
    return true;
}

// The switch is none to the slice of who runs: else it would go on for ever.
void executor_poll_now(struct task *t)
{
    struct task *self = hart_self.current;
    poll_enter(t, time_ticks());
    hart_self.switches--;
    enum poll_how how = run(t);
    t->ticks -= time_ticks() - t->since; // it is counted as time of who runs
    poll_end(t, how);
    hart_self.current = self;
}

bool executor_step(void)
{
    return step();
}

void executor_run(void)
{
    run_queue_enter();
    for (;;) {
        irq_poll();
        if (!step())
            idle();
    }
}
