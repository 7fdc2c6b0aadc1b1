// SPDX-License-Identifier: MIT
// Suspending and resuming a task: changes that undo each other.
//
// A suspended task parks the next time it is about to enter user mode; what it does in the kernel
// until then it finishes, so that it holds no lock while it is away.
#include "task/thread.h"

#include "class/classes.h"
#include "lib/errno.h"
#include "session/journal.h"

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

int class_task_suspend(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_task);
    change_make(L, &(struct change){.kind = &suspend_kind, .arg = {key.id}});
    return 0;
}

int class_task_resume(lua_State *L)
{
    struct class_key key = class_key_at(L, 1, class_task);
    change_make(L, &(struct change){.kind = &resume_kind, .arg = {key.id}});
    return 0;
}
