// SPDX-License-Identifier: MIT
// The user loop.
//
// Plain system calls and simple page faults never come here: the trap path serves them. What does:
// async calls, calls of traced threads, faults that must wait or are errors, and whatever the flag
// word asks for. A call's result is stored in a0 only when the call is over, so an interrupted one
// is restarted by moving sepc back.
#include "task/user_loop.h"

#include "async/executor.h"
#include "lib/log.h"
#include "lib/trace.h"
#include "mem/space.h"
#include "syscall/table.h"
#include "task/exit.h"
#include "task/fault.h"
#include "task/signal.h"

static void follow_trace(void);
TRACE_POINT_WITH(sys_enter, "sys.enter", "a system call begins",
                 TRACE_OPTIONS(.parks = 4, .changed = follow_trace), TRACE_ARG("call", CALL),
                 TRACE_ARG("a0", NUMBER), TRACE_ARG("a1", NUMBER), TRACE_ARG("a2", NUMBER));
TRACE_POINT_WITH(sys_exit, "sys.exit", "a system call is over",
                 TRACE_OPTIONS(.changed = follow_trace), TRACE_ARG("call", CALL),
                 TRACE_ARG("result", SIGNED), TRACE_ARG("ns", NS));

// ---- while somebody listens to these, all threads have the table that shows each call to the loop

static const void **table = syscall_fast;

static bool take_table(struct task *t, void *arg)
{
    (void)arg;
    if (t->thread)
        store_relaxed(&t->thread->tf.table, table);
    return true;
}

// In a task, no lock held.
static void follow_trace(void)
{
    bool heard = TRACE_ON(sys_enter) || TRACE_ON(sys_exit) || trace_state_sys_enter.hold;
    store_relaxed(&table, heard ? syscall_traced : syscall_fast);
    fence_full();
    task_foreach(0, take_table, NULL);
}

// Its own first step: it is listed by now, so follow_trace finds it, or it finds the new table.
static void take_table_at_birth(struct thread *th)
{
    const void **now;
    do {
        store_relaxed(&th->tf.table, now = load_relaxed(&table));
        fence_full();
    } while (unlikely(now != load_relaxed(&table)));
}

// A call of a thread that has that table. True: it is to be held, and comes again.
static cold bool call_begins(struct thread *th)
{
    uint64_t nr = th->tf.x[17];
    if (TRACE_HOLDS(sys_enter, nr, th->tf.x[10], th->tf.x[11], th->tf.x[12])) {
        tf_sepc(&th->tf) -= 4;
        return true;
    }
    th->task.traced_what = (uint16_t)(nr < UINT16_MAX ? nr : UINT16_MAX); // execve sets a7
    TRACE(sys_enter, nr, th->tf.x[10], th->tf.x[11], th->tf.x[12]);
    th->task.traced_at = time_ticks();
    return false;
}

static cold void call_ends(struct thread *th, long r)
{
    uint64_t from = th->task.traced_at;
    th->task.traced_at = 0;
    TRACE(sys_exit, th->task.traced_what, (uint64_t)r, from ? ticks_to_ns(time_ticks() - from) : 0);
}

static cold long unknown_call(uint64_t nr)
{
    if (nr < SYSCALL_MAX)
        atomic_add64(&syscall_unknown[nr], 1);
    return -ENOSYS;
}

static long call_plain(const struct syscall_entry *e, const struct trap_frame *tf)
{
    return ((long (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t))e->plain)(
        tf->x[10], tf->x[11], tf->x[12], tf->x[13], tf->x[14], tf->x[15]);
}

// A call that has no plain part needs no more than its handler: it goes the way of a first try that would have to wait.
static inline bool goes_async(struct thread *th, long cause)
{
    const struct syscall_entry *e;
    if (cause != CAUSE_SYSCALL || unlikely(load_relaxed(&th->tf.table) != syscall_fast))
        return false;
    e = syscall_lookup(th->tf.x[17]);
    if (unlikely(!e) || e->plain)
        return false;
    th->task.local = LOCAL_ASYNC;
    return true;
}

// The thread, whose task t is, was woken from its light wait: what its call returns, or LOCAL_WAIT is set and it goes on waiting.
static inline long light_wait_over(struct task *t, struct thread *th, bool leave)
{
    long r = t->light->woken(th, leave);
    if (likely(!(t->local & LOCAL_WAIT)))
        t->light = NULL;
    return r;
}

#define CALL_ARGS(tf)                                                                              \
    {                                                                                              \
        (tf).x[10], (tf).x[11], (tf).x[12], (tf).x[13], (tf).x[14], (tf).x[15]                     \
    }

// A call whose plain part found a user page absent, or that has not run yet: commits what is
// absent and runs it again, or goes on with the async handler. That one also says what a call
// returns when some of its memory cannot be had: a transfer counts what lies before.
ASYNC(syscall_run, long r; const struct syscall_entry *e;)
{
    ASYNC_BEGIN(syscall_run);
    f->e = syscall_lookup(f->th->tf.x[17]);
    if (!f->e)
        ASYNC_RETURN(unknown_call(f->th->tf.x[17]));
    while (f->e->plain) {
        if (!f->absent) {
            t->local = 0;
            f->r = call_plain(f->e, &f->th->tf);
            if (unlikely(t->local & LOCAL_WAIT)) {
                t->local = 0;
                f->r = light_wait_over(t, f->th, true);
                if (f->r == -ERETRY)
                    break;
            }
            if (t->local & LOCAL_ASYNC)
                break;
            if (unlikely(t->local & LOCAL_YIELD)) {
                t->local = 0;
                YIELD();
                ASYNC_RETURN(f->r);
            }
            if (!(t->local & LOCAL_COMMIT) || f->r != -ECOMMIT)
                ASYNC_RETURN(f->r);
        }
        f->absent = false;
        AWAIT(f->r, space_commit, f->th->space, t->commit.va, t->commit.len, t->commit.access);
        if (f->r < 0 && f->e->async)
            break;
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    t->local = 0;
    AWAIT_VIA(f->r, syscall, f->e->async, CALL_ARGS(f->th->tf));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

// The result of a call goes to a0, unless the call has set the registers itself or is to be
// restarted: then sepc goes back to the ecall, and delivery of a signal may make it -EINTR.
static inline void finish_call(struct thread *th, long r)
{
    uint32_t local = th->task.local;
    th->task.local = 0;
    if (unlikely(local & LOCAL_KEEP_A0))
        return;
    if (unlikely(r <= -ERESTARTSYS && r >= -ERESTARTNOHAND)) {
        th->restart = (int16_t)-r;
        tf_sepc(&th->tf) -= 4;
        task_attention(&th->task, ATTN_SIGNAL);
    } else {
        th->tf.x[10] = (uint64_t)r;
    }
}

// Room for all that fn may await. The kernel keeps a reserve of frames that user memory cannot take,
// so this waits for others to give back at worst: programs know of no ENOMEM from wait4 or futex.
#define RESERVE(fn)                                                                                \
    while (unlikely(async_reserve(t, &(fn))))                                                      \
    YIELD()

// Awaits fn for the thread, whose FP registers may be another's by then: even RESERVE may let others run.
#define AWAIT_FOR_THREAD(fn, ...)                                                                  \
    do {                                                                                           \
        fpu_save(&f->th->fpu);                                                                     \
        RESERVE(fn##_fn);                                                                          \
        AWAIT(f->r, fn, f->th, ##__VA_ARGS__);                                                     \
        task_trim(t);                                                                              \
    } while (0)

ASYNC(user_loop, long r; long cause; const struct async_fn *handler;)
{
    ASYNC_BEGIN(user_loop);
    take_table_at_birth(f->th);
    AWAIT_FOR_THREAD(thread_born);
    for (;;) {
        long r, cause; // what crosses no await
enter:
        if (unlikely(t->flags != 0)) {
            do {
                AWAIT_FOR_THREAD(user_attend);
                if (f->r)
                    goto exit;
            } while (t->flags != 0);
            tf_goes_on(&f->th->tf);
        }
        space_activate(f->th->space);
        fpu_enter(&f->th->fpu);
        cause = user_enter(&f->th->tf); // which keeps no register: t and f are not worth spilling
        t = current_task();
        f = (void *)t->top;
        if (likely(cause == CAUSE_FLAGGED) || likely(goes_async(f->th, cause))) {
            r = (long)f->th->tf.result;
            while (t->local & (LOCAL_WAIT | LOCAL_YIELD)) {
                if (t->local & LOCAL_YIELD)
                    f->th->tf.x[10] = (uint64_t)r; // it is over, and not restarted
                t->local = 0;
                fpu_save(&f->th->fpu);
                SUSPEND_SWITCHING(t->light ? POLL_PENDING : POLL_YIELD, "its turn");
                if (!t->light)
                    goto enter;
                r = light_wait_over(t, f->th, false);
                if (likely(!t->local && r >= 0)) {
                    f->th->tf.x[10] = (uint64_t)r;
                    goto enter;
                }
            }
            if (likely(!(t->local & (LOCAL_ASYNC | LOCAL_COMMIT)))) {
                finish_call(f->th, r);
                continue;
            }
            f->r = r;
            if (t->local & LOCAL_ASYNC) {
                f->handler = syscall_entries[f->th->tf.x[17]]->async;
                t->local = 0;
                fpu_save(&f->th->fpu);
                RESERVE(*f->handler);
                AWAIT_VIA(f->r, syscall, f->handler, CALL_ARGS(f->th->tf));
                task_trim(t);
            }
            if ((t->local & LOCAL_COMMIT) && f->r == -ECOMMIT)
                AWAIT_FOR_THREAD(syscall_run, true);
            finish_call(f->th, f->r);
        } else if (cause == CAUSE_SYSCALL) {
            if (call_begins(f->th))
                continue;
            AWAIT_FOR_THREAD(syscall_run, false);
            call_ends(f->th, f->r);
            finish_call(f->th, f->r);
        } else if (cause != CAUSE_INTERRUPTED) {
            f->cause = cause;
            AWAIT_FOR_THREAD(user_fault, (uint64_t)f->cause);
        }
    }
exit:
    SHIELD_BEGIN();
    RESERVE(thread_exit_fn);
    AWAIT(f->r, thread_exit, f->th);
    SHIELD_END();
    ASYNC_FINALLY;
    ASYNC_END;
}
