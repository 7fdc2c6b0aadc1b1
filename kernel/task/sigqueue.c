// SPDX-License-Identifier: MIT
// Pending signals: what has been sent and not yet taken.
//
// A standard signal is pending at most once and keeps the first siginfo; real-time signals queue. Each
// entry is charged to the real user of the process it was sent to (RLIMIT_SIGPENDING), and stays with
// that user whatever becomes of the process. A signal without an entry is still sent where its details
// are not worth failing for: standard signals, and what kill(2) or the kernel sends. A thread's own fault
// needs none (struct thread).
#include "page/heap.h"
#include "task/process.h"
#include "task/signal.h"

enum { SIGRTMIN_K = 32 };

#define SYNCHRONOUS                                                                                \
    (SIGMASK(SIGSEGV) | SIGMASK(SIGBUS) | SIGMASK(SIGILL) | SIGMASK(SIGTRAP) | SIGMASK(SIGFPE) |   \
     SIGMASK(SIGSYS))

struct sig_user {
    struct list link; // in users while it has entries; users_lock
    uint32_t uid;
    uint64_t entries;
};

struct sigqueue {
    struct list link;
    bool queued, owned; // owned: by a timer, which keeps it when it is taken
    int32_t overrun;
    struct sig_user *user;
    struct siginfo_k info;
};

static struct spinlock users_lock = SPINLOCK_INIT("signal users");
static struct list users = LIST_INIT(users);

static struct sig_user *find_user(uint32_t uid)
{
    LIST_FOREACH(it, &users) {
        struct sig_user *u = list_entry(it, struct sig_user, link);
        if (u->uid == uid)
            return u;
    }
    struct sig_user *u = kzalloc(sizeof *u);
    if (u) {
        u->uid = uid;
        list_push_back(&users, &u->link);
    }
    return u;
}

// NULL: the user would have more than `limit` entries, or there is no memory.
static struct sig_user *charge(uint32_t uid, uint64_t limit)
{
    spin_lock(&users_lock);
    struct sig_user *u = limit ? find_user(uid) : NULL;
    if (u && u->entries >= limit)
        u = NULL;
    if (u)
        u->entries++;
    spin_unlock(&users_lock);
    return u;
}

static void discharge(struct sig_user *u)
{
    spin_lock(&users_lock);
    bool last = --u->entries == 0;
    if (last)
        list_remove(&u->link);
    spin_unlock(&users_lock);
    if (last)
        kfree(u);
}

static struct sigqueue *new_entry(const struct process *to, bool limited)
{
    struct sigqueue *q = kmalloc(sizeof *q);
    if (!q)
        return NULL;
    q->queued = q->owned = false;
    q->user = charge(to->cred.uid, limited ? to->rlimit[RLIMIT_SIGPENDING].cur : UINT64_MAX);
    if (!q->user) {
        kfree(q);
        return NULL;
    }
    return q;
}

// It is in no set any more.
static void free_entry(struct sigqueue *q)
{
    q->queued = false;
    if (q->owned)
        return;
    discharge(q->user);
    kfree(q);
}

void sigpending_init(struct sigpending *p)
{
    p->set = 0;
    list_init(&p->queue);
}

void sigpending_free(struct sigpending *p)
{
    sigpending_flush(p, ~0ul);
}

void sigpending_flush(struct sigpending *p, sigset which)
{
    if (!(p->set & which))
        return;
    p->set &= ~which;
    LIST_FOREACH_SAFE(it, next, &p->queue) {
        struct sigqueue *q = list_entry(it, struct sigqueue, link);
        if (SIGMASK(q->info.signo) & which) {
            list_remove(it);
            free_entry(q);
        }
    }
}

int sigpending_add(struct sigpending *p, const struct process *to, int sig,
                   const struct siginfo_k *info)
{
    if (sig < SIGRTMIN_K && (p->set & SIGMASK(sig)))
        return 0;
    bool limited = sig >= SIGRTMIN_K || (info && info->code < 0);
    struct sigqueue *q = new_entry(to, limited);
    if (!q && sig >= SIGRTMIN_K && info && info->code != SI_USER)
        return -EAGAIN;
    p->set |= SIGMASK(sig);
    if (q) {
        q->info = info ? *info : (struct siginfo_k){.code = SI_KERNEL};
        q->info.signo = sig;
        list_push_back(&p->queue, &q->link);
    }
    return 0;
}

struct sigqueue *sigqueue_new_owned(const struct process *to)
{
    struct sigqueue *q = new_entry(to, true);
    if (q) {
        q->owned = true;
        q->overrun = 0;
    }
    return q;
}

static uint32_t sum_of_overruns(uint64_t n)
{
    return n > INT32_MAX ? INT32_MAX : (uint32_t)n;
}

void sigpending_add_owned(struct sigpending *p, struct sigqueue *q, const struct siginfo_k *info)
{
    if (q->queued) {
        q->info.uid = sum_of_overruns((uint64_t)q->info.uid + info->uid + 1);
        return;
    }
    q->queued = true;
    q->info = *info;
    p->set |= SIGMASK(info->signo);
    list_push_back(&p->queue, &q->link);
}

void sigqueue_release(struct sigqueue *q)
{
    q->owned = false;
    if (!q->queued)
        free_entry(q);
}

int32_t sigqueue_overrun(const struct sigqueue *q)
{
    return q->overrun;
}

void sigqueue_reset(struct sigqueue *q)
{
    q->overrun = 0;
}

static void dequeue(struct sigpending *p, int sig, struct siginfo_k *info)
{
    struct sigqueue *first = NULL;
    bool more = false;
    LIST_FOREACH(it, &p->queue) {
        struct sigqueue *q = list_entry(it, struct sigqueue, link);
        if (q->info.signo != sig)
            continue;
        more = first != NULL;
        if (more)
            break;
        first = q;
    }
    if (!more)
        p->set &= ~SIGMASK(sig);
    *info = first ? first->info : (struct siginfo_k){.signo = sig, .code = SI_USER};
    if (first) {
        list_remove(&first->link);
        first->overrun = (int32_t)first->info.uid; // if it is a timer's
        free_entry(first);
    }
}

static int lowest(sigset set)
{
    if (set & SYNCHRONOUS)
        set &= SYNCHRONOUS;
    return set ? __builtin_ctzl(set) + 1 : 0;
}

int sigpending_take(struct sigpending *p, sigset set, struct siginfo_k *info)
{
    int sig = lowest(p->set & set);
    if (sig)
        dequeue(p, sig, info);
    return sig;
}
