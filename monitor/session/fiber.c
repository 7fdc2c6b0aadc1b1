// SPDX-License-Identifier: MIT
// Switching between a poll and a fiber's stack, and awaiting on the fiber's behalf.
//
// While the fiber runs, the hart's stack bounds are the fiber's, so that the trap entry's check of
// sp holds there too.
#include "session/fiber.h"

#include "arch/start.h"
#include "lib/log.h"
#include "lua/limits.h"
#include "session/freeze.h"

void fiber_init(struct fiber *f)
{
    f->stack = kstack_alloc(FIBER_STACK);
}

// All of their tasks are pinned to one hart: one at a time.
static struct fiber *running;

struct fiber *fiber_running(void)
{
    return running;
}

static void trampoline(void)
{
    struct fiber *f = running;
    f->entry(f);
    limits_leave();
    f->state = FIBER_DONE;
    cpu_context_switch(&f->self, &f->poll);
    panic("a finished fiber was resumed");
}

static void switch_in(struct fiber *f, struct task *t)
{
    uint64_t lo = hart_self.stack_lo, hi = hart_self.stack_hi;
    REQUIRE((t->affinity & (t->affinity - 1)) == 0);
    f->task = t;
    running = f;
    hart_self.stack_lo = (uint64_t)f->stack;
    hart_self.stack_hi = (uint64_t)f->stack + FIBER_STACK;
    cpu_context_switch(&f->poll, &f->self);
    running = NULL;
    hart_self.stack_lo = lo;
    hart_self.stack_hi = hi;
}

static void switch_out(struct fiber *f, int state)
{
    REQUIRE(hart_self.lock_depth == 0);
    session_thaw(); // others get the hart, and could wait for who stands still
    struct lua_limits *l = limits_leave(); // another session's may run meanwhile
    f->state = state;
    cpu_context_switch(&f->self, &f->poll);
    limits_return(l);
}

void fiber_yield(struct fiber *f)
{
    switch_out(f, FIBER_YIELDED);
}

void fiber_abandon(struct fiber *f)
{
    switch_out(f, FIBER_ABANDONED);
    panic("an abandoned fiber was resumed");
}

long fiber_call(struct fiber *f, const struct async_fn *fn, const void *args, size_t n)
{
    long need = async_depth(fn);
    REQUIRE(n <= sizeof f->args);
    if (need < 0 || f->task->limit - f->task->sp < need)
        return -ENOMEM;
    f->fn = fn;
    f->args_size = n;
    memcpy(f->args, args, n);
    switch_out(f, FIBER_AWAITS);
    return f->result;
}

// AWAIT of a function that is known only at run time.
#define AWAIT_CALL(dst, fnp, args, n)        AWAIT_CALL_X_(__COUNTER__, dst, fnp, args, n)
#define AWAIT_CALL_X_(id, dst, fnp, args, n) AWAIT_CALL_Y_(id, dst, fnp, args, n)
#define AWAIT_CALL_Y_(id, dst, fnp, args, n)                                                       \
    do {                                                                                           \
        ASYNC_HERE_(id, "what the monitor asked for", NULL, NULL);                                 \
        if (likely(async_push(t, fnp))) {                                                          \
            memcpy(t->top + 1, args, n);                                                           \
            poll_t p_ = (fnp)->resume(t, t->top);                                                  \
            if (p_.how != POLL_DONE)                                                               \
                return p_;                                                                         \
            async_pop(t);                                                                          \
        }                                                                                          \
        ASYNC_FALL_ ASYNC_LABEL_(id) : (dst) = t->result;                                          \
    } while (0)

ASYNC(fiber_run, )
{
    ASYNC_BEGIN(fiber_run);
    memset(&f->fiber->self, 0, sizeof f->fiber->self);
    f->fiber->entry = f->entry;
    f->fiber->self.ra = (uint64_t)trampoline;
    f->fiber->self.sp = (uint64_t)f->fiber->stack + FIBER_STACK;
    f->fiber->state = FIBER_READY;
    for (;;) {
        switch_in(f->fiber, t);
        if (f->fiber->state == FIBER_YIELDED)
            YIELD();
        else if (f->fiber->state == FIBER_AWAITS)
            AWAIT_CALL(f->fiber->result, f->fiber->fn, f->fiber->args, f->fiber->args_size);
        else
            ASYNC_RETURN(f->fiber->state == FIBER_DONE ? 0 : -ECANCELED);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}
