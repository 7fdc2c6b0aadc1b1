// SPDX-License-Identifier: MIT
// clone(2): processes, vforked processes and threads are one call with different flags.
#include "fs/file.h"
#include "fs/fsctx.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/exit.h"
#include "task/init.h"
#include "task/process.h"
#include "task/signal.h"

enum {
    CLONE_VM = 0x100,
    CLONE_FS = 0x200,
    CLONE_FILES = 0x400,
    CLONE_SIGHAND = 0x800,
    CLONE_PIDFD = 0x1000,
    CLONE_PTRACE = 0x2000,
    CLONE_VFORK = 0x4000,
    CLONE_PARENT = 0x8000,
    CLONE_THREAD = 0x10000,
    CLONE_NEWNS = 0x20000,
    CLONE_SYSVSEM = 0x40000,
    CLONE_SETTLS = 0x80000,
    CLONE_PARENT_SETTID = 0x100000,
    CLONE_CHILD_CLEARTID = 0x200000,
    CLONE_DETACHED = 0x400000,
    CLONE_UNTRACED = 0x800000,
    CLONE_CHILD_SETTID = 0x1000000,
    CLONE_NAMESPACES = 0x7e020000, // NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
};

struct clone_request {
    uint64_t flags; // CLONE_*, without the exit signal
    uint32_t exit_signal;
    va_t stack, parent_tid, child_tid;
    uint64_t tls;
};

static int check_flags(uint64_t flags)
{
    if ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM))
        return -EINVAL;
    if ((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND))
        return -EINVAL;
    if ((flags & (CLONE_FS | CLONE_NEWNS)) == (CLONE_FS | CLONE_NEWNS))
        return -EINVAL;
    if ((flags & CLONE_THREAD) && (flags & CLONE_VFORK))
        return -EINVAL; // only a process has an end its parent can wait for
    if (flags & CLONE_NAMESPACES)
        return -EPERM; // as for a caller who may not make namespaces
    if (flags & (CLONE_PIDFD | CLONE_PTRACE))
        return -EINVAL;
    return 0;
}

// Everything of the new thread but its space. References taken here are given back by
// thread_free_unlinked.
static int copy_thread(struct thread *new, struct thread *old, const struct clone_request *rq)
{
    struct trap_frame *tf = &new->tf;
    uint64_t *flags = tf->flags;
    const void *table = tf->table;
    *tf = old->tf;
    tf->flags = flags;
    tf->table = table;
    tf->x[10] = 0;
    if (rq->stack)
        tf_sp(tf) = rq->stack;
    if (rq->flags & CLONE_SETTLS)
        tf->x[4] = rq->tls;
    new->blocked = old->blocked;
    new->sigreturn_va = old->sigreturn_va;
    if (!(rq->flags & CLONE_VM) || (rq->flags & CLONE_VFORK)) {
        new->altstack_sp = old->altstack_sp;
        new->altstack_size = old->altstack_size;
        new->altstack_flags = old->altstack_flags;
    }
    if (rq->flags & CLONE_CHILD_SETTID)
        new->set_child_tid = rq->child_tid;
    if (rq->flags & CLONE_CHILD_CLEARTID)
        new->clear_child_tid = rq->child_tid;
    if (fpu_copy(&new->fpu, &old->fpu))
        return -ENOMEM;
    if (rq->flags & CLONE_FILES)
        fd_table_get(new->files = old->files);
    else if (!(new->files = fd_table_copy(old->files)))
        return -ENOMEM;
    if (rq->flags & CLONE_FS)
        fs_context_get(new->fs = old->fs);
    else if (!(new->fs = fs_context_copy(old->fs)))
        return -ENOMEM;
    return 0;
}

static struct process *parent_of_new(struct thread *old, uint64_t flags)
{
    return (flags & CLONE_PARENT) && old->process->parent ? old->process->parent : old->process;
}

static struct process *new_process(struct thread *old, const struct clone_request *rq)
{
    struct sighand *sh = old->process->sighand;
    if (rq->flags & CLONE_SIGHAND)
        sighand_get(sh);
    else if (!(sh = sighand_copy(sh)))
        return NULL;
    struct process *p = process_new(old->process, sh);
    sighand_put(sh);
    if (p) {
        p->parent = parent_of_new(old, rq->flags);
        p->exit_signal = rq->exit_signal;
    }
    return p;
}

ASYNC_DECL(thread_clone, const struct clone_request *rq;);
ASYNC(thread_clone, long r; struct process *p; struct thread *new; struct event vfork;
      uint32_t tid;)
{
    ASYNC_BEGIN(thread_clone);
    f->p = NULL;
    f->new = NULL;
    if ((f->r = check_flags(f->rq->flags)))
        ASYNC_RETURN(f->r);
    if (f->rq->flags & CLONE_THREAD) {
        f->p = t->thread->process;
        process_get(f->p);
    } else if (!(f->p = new_process(t->thread, f->rq))) {
        ASYNC_RETURN(-ENOMEM);
    }
    if (!(f->new = thread_new(f->p, f->p->comm)))
        ASYNC_RETURN(-ENOMEM);
    if ((f->r = copy_thread(f->new, t->thread, f->rq)))
        ASYNC_RETURN(f->r);
    if (f->rq->flags & CLONE_VM) {
        space_get(t->thread->space);
        f->new->space = t->thread->space;
    } else {
        AWAIT(f->r, space_fork, t->thread->space, &f->new->space);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (f->rq->flags & CLONE_VFORK) {
        event_init(&f->vfork);
        f->p->vfork_done = &f->vfork;
    }
    if (!(f->rq->flags & CLONE_THREAD)) {
        f->p->space = f->new->space;
        if ((f->r = process_link(f->p, 0)))
            ASYNC_RETURN(f->r);
    }
    task_get(&f->new->task); // once linked, a kill may start and end it
    if ((f->r = thread_link(f->new))) {
        thread_put(f->new);
        ASYNC_RETURN(f->r);
    }
    SHIELD_BEGIN();
    f->tid = f->new->tid;
    if (f->rq->flags & CLONE_PARENT_SETTID)
        AWAIT(f->r, user_write, t->thread->space, f->rq->parent_tid, &f->tid, 4);
    thread_start(f->new);
    thread_put(f->new);
    f->new = NULL;
    SHIELD_END();
    if (f->rq->flags & CLONE_VFORK)
        AWAIT(f->r, event_wait, &f->vfork, false);
    ASYNC_RETURN(f->tid);
    ASYNC_FINALLY;
    if (f->new)
        thread_free_unlinked(f->new);
    if (f->p) {
        spin_lock(&f->p->lock);
        if (f->p->vfork_done == &f->vfork) // who set it did so under the lock
            f->p->vfork_done = NULL;
        spin_unlock(&f->p->lock);
        process_put(f->p);
    }
    ASYNC_END;
}

ASYNC_SYSCALL(sys_clone, long r; struct clone_request rq;)
{
    ASYNC_BEGIN(sys_clone);
    f->rq = (struct clone_request){f->a[0] & ~0xfful, f->a[0] & 0xff, f->a[1],
                                   f->a[2],           f->a[4],        f->a[3]};
    if (f->rq.exit_signal > NSIG)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, thread_clone, &f->rq);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(220, clone, 5);

ASYNC(thread_born, long r;)
{
    ASYNC_BEGIN(thread_born);
    if (!f->th->space) // process 1
        AWAIT(f->r, init_exec, f->th);
    else if (f->th->set_child_tid)
        AWAIT(f->r, user_write, f->th->space, f->th->set_child_tid, &f->th->tid, 4);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
