// SPDX-License-Identifier: MIT
// System calls about signals. Masks are 8 bytes; another size is EINVAL.
#include "task/signal.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/caps.h"
#include "task/process.h"
#include "task/time.h"

enum { SIGSET_SIZE = 8 };

#define SA_KNOWN                                                                                   \
    (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_EXPOSE_TAGBITS | SA_ONSTACK | SA_RESTART |      \
     SA_NODEFER | SA_RESETHAND)

// struct sigaction as the kernel sees it on riscv: handler, flags, mask; no restorer.
long sys_rt_sigaction(int32_t sig, va_t act, va_t old, uint64_t size)
{
    struct thread *th = thread_current();
    struct sighand *sh = th->process->sighand;
    struct sigaction_k new, was;
    if (size != SIGSET_SIZE || sig < 1 || sig > NSIG || (act && (sig == SIGKILL || sig == SIGSTOP)))
        return -EINVAL;
    if (act) {
        long e = user_copy_in(th->space, &new, act, sizeof new);
        if (e)
            return e;
        new.mask &= ~SIG_UNBLOCKABLE;
        new.flags &= SA_KNOWN; // what is not supported does not read back
    }
    spin_lock(&sh->lock);
    was = sh->action[sig - 1];
    spin_unlock(&sh->lock);
    if (old) {
        long e = user_copy_out(th->space, old, &was, sizeof was);
        if (e)
            return e;
    }
    if (act)
        signal_set_action(th, sig, &new);
    return 0;
}
SYSCALL(134, rt_sigaction, 4);

long sys_rt_sigprocmask(int32_t how, va_t set, va_t old, uint64_t size)
{
    struct thread *th = thread_current();
    sigset was = th->blocked, new;
    if (size != SIGSET_SIZE)
        return -EINVAL;
    if (set) {
        long e = user_copy_in(th->space, &new, set, sizeof new);
        if (e)
            return e;
        if (how < 0 || how > 2)
            return -EINVAL;
    }
    if (old) {
        long e = user_copy_out(th->space, old, &was, sizeof was);
        if (e)
            return e;
    }
    if (set)
        signal_set_blocked(th, how == 0 ? was | new : how == 1 ? was & ~new : new);
    return 0;
}
SYSCALL(135, rt_sigprocmask, 4);

long sys_rt_sigpending(va_t set, uint64_t size)
{
    struct thread *th = thread_current();
    sigset pending = signal_all_pending(th) & th->blocked;
    if (size > SIGSET_SIZE)
        return -EINVAL;
    return user_copy_out(th->space, set, &pending, size);
}
SYSCALL(136, rt_sigpending, 2);

// ---- sending

static bool may_signal(const struct process *to, const struct credentials *c, int sig)
{
    const struct credentials *me = cred_current();
    return caps_have(me, CAP_KILL) || me->euid == c->suid || me->euid == c->uid ||
           me->uid == c->suid || me->uid == c->uid ||
           (sig == SIGCONT && process_current()->sid == to->sid);
}

long check_signal_by(const struct process *to, const struct credentials *its, int sig)
{
    return sig < 0 || sig > NSIG ? -EINVAL : may_signal(to, its, sig) ? 0 : -EPERM;
}

long check_signal(const struct process *to, int sig)
{
    return check_signal_by(to, &to->cred, sig);
}

struct kill_all {
    const struct siginfo_k *info;
    int sig;
    uint32_t pgid; // 0: everybody but init and the caller
    int found, sent;
};

static bool kill_one(struct process *p, void *arg)
{
    struct kill_all *k = arg;
    if ((k->pgid ? p->pgid != k->pgid : p->pid == 1 || p == process_current()))
        return true; // zombies count
    k->found++;
    if (check_signal(p, k->sig) == 0) {
        k->sent++;
        if (k->sig)
            signal_send_process(p, k->sig, k->info);
    }
    return true;
}

struct siginfo_k info_of_caller(int code)
{
    const struct process *me = process_current();
    return (struct siginfo_k){.code = code, .pid = (int)me->pid, .uid = cred_current()->uid};
}

static long kill_process(uint32_t pid, int sig, const struct siginfo_k *info)
{
    struct process *p = process_of(pid);
    if (!p)
        return -ESRCH;
    long r = check_signal(p, sig);
    if (!r && sig)
        r = signal_send_process(p, sig, info);
    process_put(p);
    return r;
}

long kill_group(uint32_t pgid, int sig, const struct siginfo_k *info)
{
    struct kill_all k = {info, sig, pgid, 0, 0};
    process_visit(kill_one, &k);
    if (!k.found)
        return -ESRCH;
    if (sig < 0 || sig > NSIG)
        return -EINVAL;
    return k.sent || !pgid ? 0 : -EPERM; // to all whom one may signal: not even one is enough
}

long sys_kill(int32_t pid, int32_t sig)
{
    struct siginfo_k info = info_of_caller(SI_USER);
    if (pid == INT32_MIN)
        return -ESRCH;
    if (pid > 0)
        return kill_process((uint32_t)pid, sig, &info);
    return kill_group(pid == -1  ? 0
                      : pid == 0 ? process_current()->pgid
                                 : (uint32_t)-pid,
                      sig, &info);
}
SYSCALL(129, kill, 2);

static long kill_thread(int32_t tgid, int32_t tid, int32_t sig, const struct siginfo_k *info)
{
    if (tid <= 0)
        return -EINVAL;
    struct thread_ref to;
    struct credentials its;
    if (!thread_ref_get((uint32_t)tid, &to))
        return -ESRCH;
    cred_of(&to, &its);
    bool other = tgid > 0 && to.process->pid != (uint32_t)tgid;
    long r = other ? -ESRCH : check_signal_by(to.process, &its, sig);
    if (!r && sig && to.thread) // a first thread that has ended may be sent to, and gets nothing
        r = signal_send_thread(to.thread, sig, info);
    thread_ref_put(&to);
    return r;
}

long sys_tkill(int32_t tid, int32_t sig)
{
    struct siginfo_k info = info_of_caller(SI_TKILL);
    return kill_thread(0, tid, sig, &info);
}
SYSCALL(130, tkill, 2);

long sys_tgkill(int32_t tgid, int32_t tid, int32_t sig)
{
    struct siginfo_k info = info_of_caller(SI_TKILL);
    return tgid <= 0 ? -EINVAL : kill_thread(tgid, tid, sig, &info);
}
SYSCALL(131, tgkill, 3);

long queued_info(va_t va, int32_t id, struct siginfo_k *out)
{
    struct siginfo_user in;
    long e = user_copy_in(thread_current()->space, &in, va, sizeof in);
    if (e)
        return e;
    if ((in.code >= 0 || in.code == SI_TKILL) && (uint32_t)id != thread_current()->tid)
        return -EPERM;
    *out = (struct siginfo_k){.code = in.code,
                              .error = in.error,
                              .addr = in.field[0],
                              .value = in.field[1],
                              .utime = in.field[2],
                              .stime = in.field[3]};
    return 0;
}

long sys_rt_sigqueueinfo(int32_t pid, int32_t sig, va_t va)
{
    struct siginfo_k info;
    long e = queued_info(va, pid, &info);
    return e ? e : pid <= 0 ? -ESRCH : kill_process((uint32_t)pid, sig, &info);
}
SYSCALL(138, rt_sigqueueinfo, 3);

long sys_rt_tgsigqueueinfo(int32_t tgid, int32_t tid, int32_t sig, va_t va)
{
    struct siginfo_k info;
    if (tgid <= 0 || tid <= 0)
        return -EINVAL;
    long e = queued_info(va, tid, &info);
    return e ? e : kill_thread(tgid, tid, sig, &info);
}
SYSCALL(240, rt_tgsigqueueinfo, 4);

// ---- waiting

ASYNC_SYSCALL(sys_rt_sigsuspend, long r; sigset set;)
{
    ASYNC_BEGIN(sys_rt_sigsuspend);
    if (f->a[1] != SIGSET_SIZE)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, user_read, t->thread->space, &f->set, f->a[0], sizeof f->set);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    t->thread->saved_blocked = t->thread->blocked;
    signal_set_blocked(t->thread, f->set);
    while (!signal_pending(t->thread) && !(t->attn & ATTN_STOP)) {
        SUSPEND("signal");
        signal_recalculate(t->thread); // the bit of one that a sibling took would hide the next
    }
    t->thread->restore_blocked = true; // from here on it keeps the attention bit set
    ASYNC_RETURN(-ERESTARTNOHAND);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(133, rt_sigsuspend, 2);

// Another signal than those it waits for is to be delivered. One of the set may have come since it looked.
static bool is_wanted_elsewhere(struct thread *th, sigset set)
{
    return signal_all_pending(th) & ~(th->blocked | set);
}

ASYNC_DECL(signal_wait, sigset set; struct siginfo_k *info;);
ASYNC(signal_wait, int sig; sigset was;)
{
    ASYNC_BEGIN(signal_wait);
    f->was = t->thread->blocked;
    t->thread->waiting = f->set & f->was;
    signal_set_blocked(t->thread, f->was & ~f->set); // so that sending wakes us
    for (;;) {
        f->sig = signal_take_from(t->thread, f->set, f->info);
        if (f->sig || is_wanted_elsewhere(t->thread, f->set) || (t->attn & ATTN_STOP))
            break;
        SUSPEND("signal");
        signal_recalculate(t->thread);
    }
    ASYNC_RETURN(f->sig ? f->sig : -EINTR);
    ASYNC_FINALLY;
    signal_set_blocked(t->thread, f->was);
    t->thread->waiting = 0; // not before: what it waited for would act on it
    ASYNC_END;
}

ASYNC_SYSCALL(sys_rt_sigtimedwait, long r; sigset set; struct timespec_k ts; struct siginfo_k info;
              struct siginfo_user out; struct deadline d;)
{
    ASYNC_BEGIN(sys_rt_sigtimedwait);
    if (f->a[3] != SIGSET_SIZE)
        ASYNC_RETURN(-EINVAL);
    AWAIT(f->r, user_read, t->thread->space, &f->set, f->a[0], sizeof f->set);
    if (f->r == 0 && f->a[2])
        AWAIT(f->r, user_read, t->thread->space, &f->ts, f->a[2], sizeof f->ts);
    if (f->r < 0)
        ASYNC_RETURN(f->r);
    if (f->a[2] && !timespec_valid(&f->ts))
        ASYNC_RETURN(-EINVAL);
    f->set &= ~SIG_UNBLOCKABLE;
    if (f->a[2])
        AWAIT_WITHIN(f->r, &f->d, timespec_ns(&f->ts), signal_wait, f->set, &f->info);
    else
        AWAIT(f->r, signal_wait, f->set, &f->info);
    if (f->r == -ETIMEDOUT)
        ASYNC_RETURN(-EAGAIN);
    if (f->r > 0 && f->a[1]) {
        siginfo_to_user(&f->info, &f->out);
        AWAIT(f->r, user_write, t->thread->space, f->a[1], &f->out, sizeof f->out);
        if (f->r == 0)
            f->r = f->info.signo;
    }
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}
SYSCALL_ASYNC(137, rt_sigtimedwait, 4);
