// SPDX-License-Identifier: MIT
// wait4(2) and waitid(2).
#include "async/wait_look.h"
#include "fs/abi.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/exit.h"
#include "task/family.h"
#include "task/pidfd.h"
#include "task/process.h"
#include "task/rusage.h"
#include "task/signal.h"

#include <stddef.h>

enum {
    WNOHANG = 1,
    WUNTRACED = 2,
    WSTOPPED = 2,
    WEXITED = 4,
    WCONTINUED = 8,
    WNOWAIT = 0x01000000,
    WNOTHREAD = 0x20000000,
    WALL = 0x40000000,
    WCLONE = (int)0x80000000,
};
enum { P_ALL, P_PID, P_PGID, P_PIDFD };

struct wait_request {
    int which; // P_*
    uint32_t id;
    uint32_t options;        // W*
    struct process *exactly; // P_PIDFD: referenced
};

struct wait_result {
    uint32_t pid, uid;
    uint32_t status; // as wait4 reports it
    int code;        // CLD_*
    struct rusage_user usage;
};

static bool matches(const struct process *c, const struct wait_request *rq)
{
    if ((rq->options & WNOTHREAD) && c->maker != thread_current()->tid)
        return false;
    if (rq->which == P_PID && c->pid != rq->id)
        return false;
    if (rq->which == P_PIDFD && c != rq->exactly)
        return false;
    if (rq->which == P_PGID && c->pgid != rq->id)
        return false;
    bool clone_child = c->exit_signal != SIGCHLD;
    return (rq->options & WALL) || clone_child == !!(rq->options & (uint32_t)WCLONE);
}

// Has it been stopped or continued, and nobody heard of it? process_tree_lock held.
static bool report_stop(struct process *c, const struct wait_request *rq, struct wait_result *out)
{
    bool keep = rq->options & WNOWAIT;
    spin_lock(&c->lock);
    if (c->stop_complete && !c->stop_reported && (rq->options & WSTOPPED)) {
        out->status = (uint32_t)c->stopped << 8 | 0x7f;
        out->code = CLD_STOPPED;
        c->stop_reported |= !keep;
    } else if (c->continued && (rq->options & WCONTINUED)) {
        out->status = 0xffff;
        out->code = CLD_CONTINUED;
        c->continued &= keep;
    }
    spin_unlock(&c->lock);
    return out->code != 0;
}

// Something to report of this child? process_tree_lock held.
static bool report(struct process *parent, struct process *c, const struct wait_request *rq,
                   struct wait_result *out)
{
    bool keep = rq->options & WNOWAIT;
    *out = (struct wait_result){.pid = c->pid, .uid = c->cred.uid};
    if (c->zombie && (rq->options & WEXITED)) {
        rusage_of_child(c, &out->usage);
        out->status = c->exit_status;
        out->code = c->exit_status & 127 ? CLD_KILLED : CLD_EXITED;
        if (!keep) {
            family_add_usage(parent, c);
            process_reap_locked(c);
        }
        return true;
    }
    if (c->zombie || !report_stop(c, rq, out))
        return false;
    rusage_of_child(c, &out->usage);
    return true;
}

// > 0: something was found, 0: children exist but nothing to report, -ECHILD. The zombie reaped by
// this call is returned in *reaped for its last reference. process_tree_lock held.
static long look(struct process *p, const struct wait_request *rq, struct wait_result *out,
                 struct process **reaped)
{
    long r = -ECHILD;
    LIST_FOREACH(it, &p->children) {
        struct process *c = list_entry(it, struct process, in_parent);
        if (!matches(c, rq))
            continue;
        if (report(p, c, rq, out)) {
            *reaped = c->zombie && !(rq->options & WNOWAIT) ? c : NULL;
            return 1;
        }
        if (!c->zombie || (rq->options & WEXITED))
            r = 0; // one that has ended has nothing else to report, ever
    }
    return r;
}

ASYNC_DECL(wait_child, const struct wait_request *rq; struct wait_result *out;);
ASYNC(wait_child, long r; struct waiter w; struct process *p; struct process *reaped;)
{
    ASYNC_BEGIN(wait_child);
    waiter_init(&f->w);
    f->p = t->thread->process;
    f->reaped = NULL;
    spin_lock(&process_tree_lock);
    for (;;) {
        f->r = look(f->p, f->rq, f->out, &f->reaped);
        if (f->r)
            break;
        if (f->rq->options & WNOHANG)
            break;
        if (task_interrupted(t)) {
            f->r = -ERESTARTSYS;
            break;
        }
        waitq_add(&f->p->child_exit, &f->w, t);
        spin_unlock(&process_tree_lock);
        SUSPEND("child");
        spin_lock(&process_tree_lock);
    }
    waitq_remove(&f->p->child_exit, &f->w);
    spin_unlock(&process_tree_lock);
    if (f->reaped)
        process_put(f->reaped);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    waiter_finish(&process_tree_lock, &f->p->child_exit, &f->w);
    ASYNC_END;
}

ASYNC_SYSCALL(sys_wait4, long r; struct wait_request rq; struct wait_result out;)
{
    ASYNC_BEGIN(sys_wait4);
    if ((uint32_t)f->a[2] &
        ~(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | (uint32_t)WCLONE))
        ASYNC_RETURN(-EINVAL);
    if ((int32_t)f->a[0] == INT32_MIN)
        ASYNC_RETURN(-ESRCH);
    f->rq.exactly = NULL;
    f->rq.options = (uint32_t)f->a[2] | WEXITED;
    f->rq.which = (int32_t)f->a[0] == -1 ? P_ALL : (int32_t)f->a[0] > 0 ? P_PID : P_PGID;
    f->rq.id = (int32_t)f->a[0] > 0    ? (uint32_t)f->a[0]
               : (int32_t)f->a[0] == 0 ? t->thread->process->pgid
                                       : (uint32_t) - (int32_t)f->a[0];
    AWAIT(f->r, wait_child, &f->rq, &f->out);
    if (f->r <= 0)
        ASYNC_RETURN(f->r);
    f->r = 0;
    if (f->a[1])
        AWAIT(f->r, user_write, t->thread->space, f->a[1], &f->out.status, 4);
    if (f->r == 0 && f->a[3])
        AWAIT(f->r, user_write, t->thread->space, f->a[3], &f->out.usage, sizeof f->out.usage);
    ASYNC_RETURN(f->r < 0 ? f->r : (long)f->out.pid);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(260, wait4, 4);

// Whom waitid(2) asks for. With a pidfd that does not block, *fd_flags says so.
static long waitid_request(uint32_t which, int32_t id, uint32_t options, struct wait_request *rq,
                           uint32_t *fd_flags)
{
    *fd_flags = 0;
    *rq = (struct wait_request){(int)which, (uint32_t)id, options, NULL};
    if (options & ~(WNOHANG | WEXITED | WSTOPPED | WCONTINUED | WNOWAIT | WNOTHREAD | WALL |
                    (uint32_t)WCLONE))
        return -EINVAL;
    if (!(options & (WEXITED | WSTOPPED | WCONTINUED)) || which > P_PIDFD)
        return -EINVAL;
    if ((which == P_PID && id <= 0) || (which >= P_PGID && id < 0))
        return -EINVAL;
    if (which == P_PGID && !id)
        rq->id = process_current()->pgid;
    if (which == P_PIDFD) {
        struct pidfd of;
        if (!pidfd_get(id, &of))
            return -EBADF;
        rq->exactly = of.process;
        *fd_flags = of.flags;
        if (of.thread) // nobody's child
            return -ECHILD;
    }
    if (*fd_flags & O_NONBLOCK)
        rq->options |= WNOHANG;
    return 0;
}

// What waitid writes of a siginfo: the rest of it stays as it is.
struct wait_info {
    int32_t signo, error, code, pad; // as there; the last is not written
    uint32_t pid, uid;
    int32_t status;
};

static struct wait_info waitid_info(const struct wait_result *r)
{
    return (struct wait_info){
        .signo = SIGCHLD,
        .code = r->code,
        .pid = r->pid,
        .uid = r->uid,
        .status = r->code == CLD_EXITED || r->code == CLD_STOPPED ? (int)(r->status >> 8)
                  : r->code == CLD_CONTINUED                      ? SIGCONT
                                                                  : (int)(r->status & 127),
    };
}

ASYNC_DECL(waitid_write, va_t out; const struct wait_info *info;);
ASYNC(waitid_write, long r;)
{
    ASYNC_BEGIN(waitid_write);
    AWAIT(f->r, user_write, t->thread->space, f->out, f->info, offsetof(struct wait_info, pad));
    if (f->r == 0)
        AWAIT(f->r, user_write, t->thread->space, f->out + offsetof(struct wait_info, pid),
              &f->info->pid, sizeof *f->info - offsetof(struct wait_info, pid));
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_SYSCALL(sys_waitid, long r; struct wait_request rq; struct wait_result out;
              struct wait_info info; long w; uint32_t fd_flags;)
{
    ASYNC_BEGIN(sys_waitid);
    f->r = waitid_request((uint32_t)f->a[0], (int32_t)f->a[1], (uint32_t)f->a[3], &f->rq,
                          &f->fd_flags);
    f->info = (struct wait_info){0};
    if (f->r == 0)
        AWAIT(f->r, wait_child, &f->rq, &f->out);
    if (f->r == 0 && (f->fd_flags & O_NONBLOCK) && !(f->a[3] & WNOHANG))
        f->r = -EAGAIN;
    if (f->r > 0) {
        f->info = waitid_info(&f->out);
        f->r = 0;
        if (f->a[4])
            AWAIT(f->r, user_write, t->thread->space, f->a[4], &f->out.usage, sizeof f->out.usage);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (f->a[2]) { // zeros are written even when it fails
        AWAIT(f->w, waitid_write, f->a[2], &f->info);
        f->r = f->w < 0 ? f->w : f->r;
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (f->rq.exactly)
        process_put(f->rq.exactly);
    ASYNC_END;
}
SYSCALL_ASYNC(95, waitid, 5);

WAIT_LOOK(wait_child)
{
    const struct wait_child_frame *f = frame;
    v->kind = "child";
    v->object = f->p;
    spin_lock(&process_tree_lock);
    wait_view_all(v, &f->w, false);
    spin_unlock(&process_tree_lock);
}
