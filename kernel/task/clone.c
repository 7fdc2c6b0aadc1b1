// SPDX-License-Identifier: MIT
// clone(2) and clone3(2): processes, vforked processes and threads are one call with different flags.
#include "fs/file.h"
#include "fs/fsctx.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/caps.h"
#include "task/exit.h"
#include "task/init.h"
#include "task/newborn.h"
#include "task/pidfd.h"
#include "task/process.h"
#include "task/ptimer.h"
#include "task/signal.h"

enum {
    CLONE_SIGNAL = 0xff, // clone(2): the exit signal
    CLONE_NEWTIME = 0x80,
    CLONE_VM = 0x100,
    CLONE_FS = 0x200,
    CLONE_FILES = 0x400,
    CLONE_SIGHAND = 0x800,
    CLONE_PIDFD = 0x1000,
    CLONE_PTRACE = 0x2000, // like UNTRACED, IO and SYSVSEM without effect: nothing to inherit
    CLONE_VFORK = 0x4000,
    CLONE_PARENT = 0x8000,
    CLONE_THREAD = 0x10000,
    CLONE_NEWNS = 0x20000,
    CLONE_SYSVSEM = 0x40000,
    CLONE_SETTLS = 0x80000,
    CLONE_PARENT_SETTID = 0x100000,
    CLONE_CHILD_CLEARTID = 0x200000,
    CLONE_DETACHED = 0x400000,
    CLONE_CHILD_SETTID = 0x1000000,
    CLONE_NEWIPC = 0x8000000,
    CLONE_NEWUSER = 0x10000000,
    CLONE_NEWPID = 0x20000000,
    CLONE_NAMESPACES = 0x7e020000, // NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
};
#define CLONE_CLEAR_SIGHAND 0x100000000ul
#define CLONE_INTO_CGROUP   0x200000000ul

struct clone_request {
    uint64_t flags; // CLONE_*, without the exit signal
    uint32_t exit_signal;
    uint32_t tid; // the number wanted, 0: any
    va_t stack;   // the first stack pointer, 0: the caller's
    va_t parent_tid, child_tid, pidfd;
    uint64_t tls;
};

static bool both(uint64_t flags, uint64_t pair)
{
    return (flags & pair) == pair;
}

static int check_flags(uint64_t flags)
{
    if (both(flags, CLONE_FS | CLONE_NEWNS) || both(flags, CLONE_FS | CLONE_NEWUSER) ||
        both(flags, CLONE_SYSVSEM | CLONE_NEWIPC))
        return -EINVAL;
    if ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM))
        return -EINVAL;
    if ((flags & CLONE_THREAD) &&
        (!(flags & CLONE_SIGHAND) || (flags & (CLONE_NEWUSER | CLONE_NEWPID))))
        return -EINVAL;
    if ((flags & CLONE_PARENT) && process_current() == process_init)
        return -EINVAL;
    if (both(flags, CLONE_PIDFD | CLONE_DETACHED))
        return -EINVAL;
    if (flags & CLONE_NAMESPACES)
        return -EPERM; // as for a caller who may not make namespaces
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
    new->cred = cred_get(old->cred);
    new->blocked = old->blocked;
    new->sched = old->sched;
    new->sched.reset_on_fork = false;
    if (old->sched.reset_on_fork && new->sched.nice < 0)
        new->sched.nice = 0;
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

static struct process *new_process(struct thread *old, const struct clone_request *rq)
{
    struct sighand *sh = old->process->sighand;
    if (rq->flags & CLONE_SIGHAND)
        sighand_get(sh);
    else if (!(sh = sighand_copy(sh)))
        return NULL;
    if (rq->flags & CLONE_CLEAR_SIGHAND)
        sighand_to_default(sh);
    struct process *p = process_new(old->process, sh);
    sighand_put(sh);
    if (p) {
        p->exit_signal = rq->exit_signal;
        strlcpy(p->comm, old->task.name, sizeof p->comm);
    }
    if (p && p->rlimit[RLIMIT_CPU].cur != UINT64_MAX && ptimer_need_cpu_limit(p)) {
        process_put(p);
        return NULL;
    }
    return p;
}

// A descriptor for the process or thread to be: its number, stored where the caller wants it.
ASYNC_DECL(clone_pidfd, struct pidfd of; va_t out; int32_t *fd;);
ASYNC(clone_pidfd, long r;)
{
    ASYNC_BEGIN(clone_pidfd);
    if ((f->r = pidfd_new(&f->of)) < 0)
        ASYNC_RETURN(f->r);
    *f->fd = (int32_t)f->r;
    AWAIT(f->r, user_write, t->thread->space, f->out, f->fd, 4);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static struct pidfd pidfd_of(const struct thread *new, uint64_t flags)
{
    bool of_thread = flags & CLONE_THREAD;
    return (struct pidfd){.process = new->process,
                          .thread = of_thread ? new->task.id : 0,
                          .flags = of_thread ? PIDFD_THREAD : 0};
}

static void vfork_forget(struct thread *child, const struct event *vfork)
{
    spin_lock(&child->process->lock);
    if (child->vfork_done == vfork)
        child->vfork_done = NULL;
    spin_unlock(&child->process->lock);
}

// new: not linked yet. child: linked, referenced.
ASYNC_DECL(thread_clone, const struct clone_request *rq;);
ASYNC(thread_clone, long r; struct process *p; struct thread *new; struct thread *child;
      struct event vfork; uint32_t tid; int32_t pidfd;)
{
    ASYNC_BEGIN(thread_clone);
    f->p = NULL;
    f->new = f->child = NULL;
    f->pidfd = -1;
    if ((f->r = check_flags(f->rq->flags)))
        ASYNC_RETURN(f->r);
    if (f->rq->flags & CLONE_THREAD) {
        f->p = t->thread->process;
        process_get(f->p);
    } else if (!(f->p = new_process(t->thread, f->rq))) {
        ASYNC_RETURN(-ENOMEM);
    }
    if (!(f->new = thread_new(f->p, t->name)))
        ASYNC_RETURN(-ENOMEM);
    f->new->task.affinity = t->affinity;
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
    if (f->rq->flags & CLONE_PIDFD) {
        AWAIT(f->r, clone_pidfd, pidfd_of(f->new, f->rq->flags), f->rq->pidfd, &f->pidfd);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (f->rq->flags & CLONE_VFORK) {
        event_init(&f->vfork);
        f->new->vfork_done = &f->vfork;
    }
    if (!(f->rq->flags & CLONE_THREAD)) {
        f->p->space = f->new->space;
        if ((f->r =
                 process_link(f->p, t->thread->process, f->rq->flags & CLONE_PARENT, f->rq->tid)))
            ASYNC_RETURN(f->r);
    }
    if (HARD_CANCEL)
        inject_birth(f->new, t->thread->process);
    task_get(&f->new->task); // once started, it may end
    if ((f->r = thread_link(f->new, f->rq->tid))) {
        thread_put(f->new);
        ASYNC_RETURN(f->r);
    }
    SHIELD_BEGIN();
    f->child = f->new;
    f->new = NULL;
    f->pidfd = -1; // the caller's now
    f->tid = f->child->tid;
    if (f->rq->flags & CLONE_PARENT_SETTID)
        AWAIT(f->r, user_write, t->thread->space, f->rq->parent_tid, &f->tid, 4);
    thread_start(f->child);
    SHIELD_END();
    if (f->rq->flags & CLONE_VFORK)
        AWAIT(f->r, event_wait, &f->vfork, false);
    ASYNC_RETURN(f->tid);
    ASYNC_FINALLY;
    if (f->pidfd >= 0)
        pidfd_withdraw(f->pidfd);
    if (f->new)
        thread_free_unlinked(f->new);
    if (f->child) {
        vfork_forget(f->child, &f->vfork);
        thread_put(f->child);
    }
    if (f->p)
        process_put(f->p);
    ASYNC_END;
}

ASYNC_SYSCALL(sys_clone, long r; struct clone_request rq;)
{
    ASYNC_BEGIN(sys_clone);
    f->rq = (struct clone_request){
        .flags = (uint32_t)f->a[0] & ~(uint32_t)CLONE_SIGNAL,
        .exit_signal = f->a[0] & CLONE_SIGNAL,
        .stack = f->a[1],
        .parent_tid = f->a[2],
        .pidfd = f->a[2],
        .tls = f->a[3],
        .child_tid = f->a[4],
    };
    if (both(f->rq.flags, CLONE_PIDFD | CLONE_PARENT_SETTID))
        ASYNC_RETURN(-EINVAL); // both would go to the same place
    AWAIT(f->r, thread_clone, &f->rq);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(220, clone, 5);

// ---- clone3: the same with a struct that may grow (linux/sched.h, struct clone_args)

struct clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    uint64_t set_tid, set_tid_size;
    uint64_t cgroup;
};
enum { CLONE_ARGS_FIRST = 64, PID_NAMESPACES_MAX = 32 };

static int check_args(const struct clone_args *a)
{
    const uint64_t legacy = 0xffffffff;
    if (a->set_tid_size > PID_NAMESPACES_MAX || !a->set_tid != !a->set_tid_size)
        return -EINVAL;
    if (a->exit_signal > NSIG)
        return -EINVAL;
    if (a->flags & ~(legacy | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP))
        return -EINVAL;
    if (a->flags & (CLONE_DETACHED | (CLONE_SIGNAL & ~CLONE_NEWTIME)))
        return -EINVAL;
    if (both(a->flags, CLONE_SIGHAND | CLONE_CLEAR_SIGHAND))
        return -EINVAL;
    if ((a->flags & (CLONE_THREAD | CLONE_PARENT)) && a->exit_signal)
        return -EINVAL;
    if (!a->stack != !a->stack_size || (a->stack && !user_range_ok(a->stack, a->stack_size)))
        return -EINVAL;
    return 0;
}

// Fields that came after those known here must be zero.
ASYNC_DECL(check_rest, va_t va; uint64_t len;);
ASYNC(check_rest, long r; uint64_t word;)
{
    ASYNC_BEGIN(check_rest);
    for (; f->len; f->va += f->r, f->len -= (uint64_t)f->r) {
        f->word = 0;
        AWAIT(f->r, user_read, t->thread->space, &f->word, f->va, f->len < 8 ? f->len : 8);
        if (f->r < 0 || f->word)
            ASYNC_RETURN(f->r < 0 ? f->r : -E2BIG);
        f->r = f->len < 8 ? (long)f->len : 8;
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

// A number may be chosen by who is privileged, in the only pid namespace there is.
ASYNC_DECL(read_set_tid, const struct clone_args *args; uint32_t *tid;);
ASYNC(read_set_tid, long r;)
{
    ASYNC_BEGIN(read_set_tid);
    if (!f->args->set_tid)
        ASYNC_RETURN(0);
    AWAIT(f->r, user_read, t->thread->space, f->tid, f->args->set_tid, 4);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->args->set_tid_size > 1 || *f->tid < 1 || *f->tid >= PID_MAX)
        ASYNC_RETURN(-EINVAL);
    ASYNC_RETURN(caller_can(CAP_CHECKPOINT_RESTORE) || caller_can(CAP_SYS_ADMIN) ? 0 : -EPERM);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_SYSCALL(sys_clone3, long r; struct clone_args args; struct clone_request rq; uint64_t size;)
{
    ASYNC_BEGIN(sys_clone3);
    f->args = (struct clone_args){0};
    f->rq.tid = 0;
    if (f->a[1] > PAGE_SIZE)
        ASYNC_RETURN(-E2BIG);
    if (f->a[1] < CLONE_ARGS_FIRST)
        ASYNC_RETURN(-EINVAL);
    f->size = f->a[1] < sizeof f->args ? f->a[1] : sizeof f->args;
    AWAIT(f->r, check_rest, f->a[0] + f->size, f->a[1] - f->size);
    if (f->r == 0)
        AWAIT(f->r, user_read, t->thread->space, &f->args, f->a[0], f->size);
    if (f->r == 0)
        f->r = check_args(&f->args);
    if (f->r == 0)
        AWAIT(f->r, read_set_tid, &f->args, &f->rq.tid);
    if (f->r == 0 && (f->args.flags & CLONE_INTO_CGROUP))
        f->r = f->size < sizeof f->args ? -EINVAL : -EBADF; // there are none
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    f->rq = (struct clone_request){
        .flags = f->args.flags,
        .exit_signal = (uint32_t)f->args.exit_signal,
        .tid = f->rq.tid,
        .stack = f->args.stack + f->args.stack_size,
        .parent_tid = f->args.parent_tid,
        .child_tid = f->args.child_tid,
        .pidfd = f->args.pidfd,
        .tls = f->args.tls,
    };
    if (both(f->rq.flags, CLONE_PIDFD | CLONE_PARENT_SETTID) && f->rq.pidfd == f->rq.parent_tid)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, thread_clone, &f->rq);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(435, clone3, 2);

const struct async_fn *newborn_wait;
ASYNC_IFACE_DEFINE(newborn);

ASYNC(thread_born, long r; const struct async_fn *asked;)
{
    ASYNC_BEGIN(thread_born);
    if (!f->th->space) // process 1
        AWAIT(f->r, init_exec, f->th);
    else if (f->th->set_child_tid)
        AWAIT(f->r, user_write, f->th->space, f->th->set_child_tid, &f->th->tid, 4);
    f->asked = load_relaxed(&newborn_wait);
    if (unlikely(f->asked))
        AWAIT_VIA(f->r, newborn, f->asked, f->th);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
