// SPDX-License-Identifier: MIT
// Changes to a task: suspended and resumed, signalled, its niceness, a time at which it is ended.
//
// A suspended task parks the next time it is about to enter user mode; what it does in the kernel
// until then it finishes, so that it holds no lock while it is away.
#include "task/thread.h"

#include "class/classes.h"
#include "class/options.h"
#include "lib/errno.h"
#include "session/journal.h"
#include "session/later.h"
#include "session/session.h"
#include "task/signal.h"

#include <lauxlib.h>
#include <stdio.h>

static struct task *find_user(struct change *c)
{
    struct task *t = task_find((uint32_t)c->arg[0]);
    if (!t) {
        snprintf(c->why, sizeof c->why, "Task#%lu exited", (unsigned long)c->arg[0]);
        return NULL;
    }
    if (!t->thread) {
        snprintf(c->why, sizeof c->why, "%s is a kernel task: it has no user border to park at",
                 t->name);
        task_put(t);
        return NULL;
    }
    return t;
}

static long validate_suspension(struct change *c, bool suspend)
{
    struct task *t = find_user(c);
    if (!t)
        return -EINVAL;
    bool is = load_relaxed(&t->attn) & ATTN_SUSPEND;
    if (is == suspend)
        snprintf(c->why, sizeof c->why, "Task#%u is %s", t->id,
                 is ? "suspended already" : "not suspended");
    snprintf(c->text, sizeof c->text, "%s Task#%u %s", suspend ? "suspend" : "resume", t->id,
             t->thread->process->comm);
    task_put(t);
    return is == suspend ? -EINVAL : 0;
}

static const struct change_kind suspend_kind, resume_kind;

static long suspend_validate(struct change *c)
{
    return validate_suspension(c, true);
}

static long resume_validate(struct change *c)
{
    return validate_suspension(c, false);
}

static long suspend_apply(struct change *c)
{
    struct task *t = find_user(c);
    if (!t)
        return -ENOENT;
    task_attention(t, ATTN_SUSPEND);
    task_put(t);
    c->undo = &resume_kind;
    c->undo_arg[0] = c->arg[0];
    return 0;
}

static long resume_apply(struct change *c)
{
    struct task *t = find_user(c);
    if (!t)
        return -ENOENT;
    task_attention_clear(t, ATTN_SUSPEND);
    task_wake(t);
    task_put(t);
    c->undo = &suspend_kind;
    c->undo_arg[0] = c->arg[0];
    return 0;
}

static const struct change_kind suspend_kind = {"task.suspend", MODE_RW, suspend_validate,
                                                suspend_apply};
static const struct change_kind resume_kind = {"task.resume", MODE_RW, resume_validate,
                                               resume_apply};

// ---- parked at its await, whatever it holds. arg: task, hold

static long hold_validate(struct change *c)
{
    struct task *t = task_find((uint32_t)c->arg[0]);
    if (!t || session_is_task(t)) {
        snprintf(c->why, sizeof c->why, t ? "the monitor would wait for itself" : "it exited");
        if (t)
            task_put(t);
        return -EINVAL;
    }
    bool is = load_relaxed(&t->attn) & ATTN_HOLD;
    if (is == (bool)c->arg[1])
        snprintf(c->why, sizeof c->why, is ? "it is held already" : "it is not held");
    snprintf(c->text, sizeof c->text, "%s Task#%u %s where it waits", c->arg[1] ? "hold" : "let go",
             t->id, t->name);
    task_put(t);
    return c->why[0] ? -EINVAL : 0;
}

static long hold_apply(struct change *c);
static const struct change_kind hold_kind = {"task.hold", MODE_UNSAFE, hold_validate, hold_apply};

static long hold_apply(struct change *c)
{
    struct task *t = task_find((uint32_t)c->arg[0]);
    if (!t)
        return -ENOENT;
    (c->arg[1] ? task_hold : task_unhold)(t);
    task_put(t);
    c->undo = &hold_kind;
    c->undo_arg[0] = c->arg[0];
    c->undo_arg[1] = !c->arg[1];
    return 0;
}

// t:hold() -> the locks that it holds
int class_task_hold(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_task);
    change_make(L, &(struct change){.kind = &hold_kind, .arg = {key.id, 1}});
    class_push_locks_of(L, key.id);
    return 1;
}

// t:suspend(), or t:suspend{now = true}, which is t:hold()
int class_task_suspend(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_task);
    static const char *const known[] = {"now", NULL};
    options_check(L, 2, known);
    if (options_flag(L, 2, "now", false))
        return class_task_hold(L);
    change_make(L, &(struct change){.kind = &suspend_kind, .arg = {key.id}});
    return 0;
}

int class_task_resume(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_task);
    struct task *t = task_find((uint32_t)key.id);
    bool held = t && (load_relaxed(&t->attn) & (ATTN_HOLD | ATTN_SUSPEND)) == ATTN_HOLD;
    if (t)
        task_put(t);
    if (held) {
        change_make(L, &(struct change){.kind = &hold_kind, .arg = {key.id, 0}});
        return 0;
    }
    change_make(L, &(struct change){.kind = &resume_kind, .arg = {key.id}});
    return 0;
}

// ---- signals. arg: task, number. What was sent cannot be taken back.

static bool is_inits(struct change *c, const struct task *t)
{
    if (t->thread->process->pid != 1 || monitor_mode() == MODE_UNSAFE)
        return false;
    snprintf(c->why, sizeof c->why, "it is init: the machine dies with it (unsafe mode does it)");
    return true;
}

static long signal_validate(struct change *c)
{
    char name[16];
    struct task *t = find_user(c);
    if (!t)
        return -EINVAL;
    class_signal_name(name, (int)c->arg[1]);
    snprintf(c->text, sizeof c->text, "send %s to Task#%u %s", name, t->id,
             t->thread->process->comm);
    if (!c->arg[1] || c->arg[1] > NSIG)
        snprintf(c->why, sizeof c->why, "there is no signal %ld", (long)c->arg[1]);
    else
        is_inits(c, t);
    task_put(t);
    return c->why[0] ? -EINVAL : 0;
}

static long signal_apply(struct change *c)
{
    struct siginfo_k info = {.signo = (int32_t)c->arg[1], .code = SI_USER};
    struct task *t = find_user(c);
    if (!t)
        return -ENOENT;
    long e = signal_send_process(t->thread->process, (int)c->arg[1], &info);
    task_put(t);
    return e;
}

// ---- niceness. arg: task, niceness

static long nice_validate(struct change *c)
{
    struct task *t = find_user(c);
    if (!t)
        return -EINVAL;
    snprintf(c->text, sizeof c->text, "make the niceness of Task#%u %ld", t->id, (long)c->arg[1]);
    if ((int64_t)c->arg[1] < -20 || (int64_t)c->arg[1] > 19)
        snprintf(c->why, sizeof c->why, "niceness is from -20 to 19, not %ld", (long)c->arg[1]);
    task_put(t);
    return c->why[0] ? -EINVAL : 0;
}

static long nice_apply(struct change *c);
static const struct change_kind nice_kind = {"task.nice", MODE_RW, nice_validate, nice_apply};

static long nice_apply(struct change *c)
{
    struct task *t = find_user(c);
    if (!t)
        return -ENOENT;
    c->undo = &nice_kind;
    c->undo_arg[0] = c->arg[0];
    c->undo_arg[1] = (uint64_t)(int64_t)t->thread->sched.nice;
    t->thread->sched.nice = (int8_t)(int64_t)c->arg[1];
    task_put(t);
    return 0;
}

// ---- a time at which it is ended. arg: task, ns since boot (0: none)

#define DEADLINE_NS                                                                                \
    (365ul * 24 * 3600 * 1000000000) // the furthest away: what is later is a mistake

static void check_deadline(struct change *c, const struct task *t)
{
    int64_t when = (int64_t)c->arg[1], now = (int64_t)clock_monotonic_ns();
    if (when < 0)
        snprintf(c->why, sizeof c->why, "a time is not negative: %ld (0: none; k.ns is now)",
                 (long)when);
    else if (!when || is_inits(c, t))
        return;
    else if (when <= now)
        snprintf(c->why, sizeof c->why, "that time is over; k.ns is now");
    else if ((uint64_t)(when - now) > DEADLINE_NS)
        snprintf(c->why, sizeof c->why, "that is more than a year away: nanoseconds, k.ns is now");
}

static long deadline_validate(struct change *c)
{
    struct task *t = find_user(c);
    if (!t)
        return -EINVAL;
    if (c->arg[1])
        snprintf(c->text, sizeof c->text, "end Task#%u %s at %ld ms", t->id,
                 t->thread->process->comm, (long)c->arg[1] / 1000000);
    else
        snprintf(c->text, sizeof c->text, "let Task#%u %s live", t->id, t->thread->process->comm);
    check_deadline(c, t);
    task_put(t);
    return c->why[0] ? -EINVAL : 0;
}

static long deadline_apply(struct change *c);
static const struct change_kind deadline_kind = {"task.deadline", MODE_RW, deadline_validate,
                                                 deadline_apply};

static long deadline_apply(struct change *c)
{
    c->undo = &deadline_kind;
    c->undo_arg[0] = c->arg[0];
    c->undo_arg[1] = later_deadline((uint32_t)c->arg[0]);
    long e = later_signal((uint32_t)c->arg[0], c->arg[1], SIGKILL);
    if (e == -ENOSPC)
        snprintf(c->why, sizeof c->why, "%d tasks have deadlines; there is room for no more",
                 LATER_MAX);
    return e;
}

static const struct change_kind signal_kind = {"task.signal", MODE_RW, signal_validate,
                                               signal_apply};

// t:signal("TERM") or t:signal(15)
int class_task_signal(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_task);
    lua_Integer sig =
        lua_isinteger(L, 2) ? lua_tointeger(L, 2) : class_signal_number(luaL_checkstring(L, 2));
    if (!sig && !lua_isinteger(L, 2))
        return luaL_error(L, "there is no signal '%s'", lua_tostring(L, 2));
    change_make(L, &(struct change){.kind = &signal_kind, .arg = {key.id, (uint64_t)sig}});
    return 0;
}

void class_task_set_nice(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)copy;
    uint64_t nice = (uint64_t)luaL_checkinteger(L, value);
    change_make(L, &(struct change){.kind = &nice_kind, .arg = {key->id, nice}});
}

void class_task_set_deadline(lua_State *L, const struct class_key *key, const void *copy, int value)
{
    (void)copy;
    uint64_t when = (uint64_t)luaL_checkinteger(L, value);
    change_make(L, &(struct change){.kind = &deadline_kind, .arg = {key->id, when}});
}
