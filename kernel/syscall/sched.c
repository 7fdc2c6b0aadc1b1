// SPDX-License-Identifier: MIT
// Scheduling policies and niceness (sched(7)), as numbers that are kept: see struct sched_setting.
//
// There is no real-time class: who asks for one gets what Linux says to those who may not have one, EPERM.
// Rules of arguments and rights are Linux's.
#include "async/executor.h"
#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/caps.h"
#include "task/process.h"

#define US thread_current()->space

enum { RESET_ON_FORK = 0x40000000, KEEP_POLICY = -1, ATTR_FIRST = 48, PRIORITY_MAX = 99 };
enum { FLAG_RESET_ON_FORK = 1, FLAG_KEEP_POLICY = 8, FLAG_KEEP_PARAMS = 16, FLAGS_KNOWN = 0x7f };

long sys_sched_yield(void)
{
    if (executor_has_ready())
        current_task()->local |= LOCAL_YIELD;
    return 0;
}
SYSCALL(124, sched_yield, 0);

static bool same_owner(const struct credentials *its)
{
    const struct credentials *me = cred_current();
    return me->euid == its->euid || me->euid == its->uid;
}

// RLIMIT_NICE: 20 - the best niceness.
static bool may_be_as_nice(const struct process *p, const struct sched_setting *old, int nice)
{
    return nice >= old->nice || (uint64_t)(20 - nice) <= p->rlimit[RLIMIT_NICE].cur;
}

// ---- policies

static bool is_real_time(int policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE;
}

static bool may_set(const struct thread_ref *of, const struct sched_setting *old,
                    const struct sched_setting *new)
{
    const struct process *p = of->process;
    struct credentials its;
    if (caller_can(CAP_SYS_NICE))
        return true;
    // Who leaves SCHED_IDLE is nicer no more, whatever its number was.
    bool leaves_idle = old->policy == SCHED_IDLE && new->policy != SCHED_IDLE;
    uint64_t best = p->rlimit[RLIMIT_NICE].cur;
    if (leaves_idle && (uint64_t)(20 - old->nice) > best)
        return false;
    cred_of(of, &its);
    return may_be_as_nice(p, old, new->nice) && same_owner(&its) &&
           (new->reset_on_fork || !old->reset_on_fork);
}

static long set(const struct thread_ref *of, struct sched_setting new, int policy,
                uint32_t priority)
{
    struct sched_setting *old = thread_ref_sched(of);
    if (policy == KEEP_POLICY) {
        policy = old->policy;
        new.reset_on_fork = old->reset_on_fork;
    }
    if (policy < 0 || policy > SCHED_DEADLINE || policy == 4 || priority > PRIORITY_MAX)
        return -EINVAL;
    if (policy == SCHED_DEADLINE || is_real_time(policy) != (priority != 0))
        return -EINVAL; // nobody's deadline parameters are kept
    new.policy = (uint8_t)policy;
    if (is_real_time(policy) || !may_set(of, old, &new))
        return -EPERM;
    *old = new;
    return 0;
}

static long set_by_number(int32_t tid, int32_t policy, va_t in)
{
    uint32_t priority;
    if (!in || tid < 0)
        return -EINVAL;
    long e = user_copy_in(US, &priority, in, sizeof priority);
    if (e)
        return e;
    struct thread_ref of;
    if (!thread_ref_get((uint32_t)tid, &of))
        return -ESRCH;
    struct sched_setting new = *thread_ref_sched(&of);
    if (policy != KEEP_POLICY) {
        new.reset_on_fork = policy &RESET_ON_FORK;
        policy &= ~RESET_ON_FORK;
    }
    e = set(&of, new, policy, priority);
    thread_ref_put(&of);
    return e;
}

long sys_sched_setscheduler(int32_t tid, int32_t policy, va_t in)
{
    return policy < 0 ? -EINVAL : set_by_number(tid, policy, in);
}
SYSCALL(119, sched_setscheduler, 3);

long sys_sched_setparam(int32_t tid, va_t in)
{
    return set_by_number(tid, KEEP_POLICY, in);
}
SYSCALL(118, sched_setparam, 2);

static long setting_of(int32_t tid, struct sched_setting *out)
{
    struct thread_ref of;
    if (!thread_ref_get((uint32_t)tid, &of))
        return -ESRCH;
    *out = *thread_ref_sched(&of);
    thread_ref_put(&of);
    return 0;
}

long sys_sched_getscheduler(int32_t tid)
{
    struct sched_setting now;
    long e = tid < 0 ? -EINVAL : setting_of(tid, &now);
    return e ? e : now.policy | (now.reset_on_fork ? RESET_ON_FORK : 0);
}
SYSCALL(120, sched_getscheduler, 1);

long sys_sched_getparam(int32_t tid, va_t out)
{
    const uint32_t zero = 0;
    struct sched_setting now;
    long e = tid < 0 || !out ? -EINVAL : setting_of(tid, &now);
    return e ? e : user_copy_out(US, out, &zero, sizeof zero);
}
SYSCALL(121, sched_getparam, 2);

long sys_sched_get_priority_max(uint32_t policy)
{
    return policy > 7 || policy == 4 ? -EINVAL : policy == 1 || policy == 2 ? PRIORITY_MAX : 0;
}
SYSCALL(125, sched_get_priority_max, 1);

long sys_sched_get_priority_min(uint32_t policy)
{
    return policy > 7 || policy == 4 ? -EINVAL : policy == 1 || policy == 2 ? 1 : 0;
}
SYSCALL(126, sched_get_priority_min, 1);

long sys_sched_rr_get_interval(int32_t tid, va_t out)
{
    const int64_t slice[2] = {0, EXECUTOR_SLICE_US * 1000};
    struct sched_setting now;
    long e = tid < 0 ? -EINVAL : setting_of(tid, &now);
    return e ? e : user_copy_out(US, out, slice, sizeof slice);
}
SYSCALL(127, sched_rr_get_interval, 2);

// ---- attributes (linux/sched/types.h, struct sched_attr: it may grow)

struct sched_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};
_Static_assert(sizeof(struct sched_attr) == 56, "struct sched_attr");

// Fields that came after those known here must be zero.
static long check_rest(va_t va, uint64_t n)
{
    uint64_t word;
    for (; n; va += sizeof word, n -= n < sizeof word ? n : sizeof word) {
        word = 0;
        long e = user_copy_in(US, &word, va, n < sizeof word ? n : sizeof word);
        if (e || word)
            return e ? e : -E2BIG;
    }
    return 0;
}

static long read_attr(struct sched_attr *a, va_t in)
{
    *a = (struct sched_attr){0};
    long e = user_copy_in(US, &a->size, in, sizeof a->size);
    if (e)
        return e;
    uint32_t size = a->size ? a->size : ATTR_FIRST, known = sizeof *a;
    e = size < ATTR_FIRST || size > PAGE_SIZE ? -E2BIG : 0;
    if (!e && size > known)
        e = check_rest(in + known, size - known);
    if (!e)
        e = user_copy_in(US, a, in, size < known ? size : known);
    if (e == -E2BIG) { // what would be understood
        long w = user_copy_out(US, in, &known, sizeof known);
        e = w == -ECOMMIT ? w : e;
    }
    return e;
}

static long set_attr(const struct thread_ref *of, const struct sched_attr *a)
{
    struct sched_setting new = *thread_ref_sched(of);
    int policy = a->flags & FLAG_KEEP_POLICY ? KEEP_POLICY : (int)a->policy;
    if (a->flags & ~(uint64_t)FLAGS_KNOWN)
        return -EINVAL;
    new.reset_on_fork = a->flags &FLAG_RESET_ON_FORK;
    if (!(a->flags & FLAG_KEEP_PARAMS))
        new.nice = (int8_t)(a->nice < -20 ? -20 : a->nice > 19 ? 19 : a->nice);
    return set(of, new, policy, a->flags & FLAG_KEEP_PARAMS ? 0 : a->priority);
}

long sys_sched_setattr(int32_t tid, va_t in, uint32_t flags)
{
    struct sched_attr a;
    if (!in || tid < 0 || flags)
        return -EINVAL;
    long e = read_attr(&a, in);
    if (e)
        return e;
    if ((int32_t)a.policy < 0)
        return -EINVAL;
    struct thread_ref of;
    if (!thread_ref_get((uint32_t)tid, &of))
        return -ESRCH;
    e = set_attr(&of, &a);
    thread_ref_put(&of);
    return e;
}
SYSCALL(274, sched_setattr, 3);

long sys_sched_getattr(int32_t tid, va_t out, uint32_t room, uint32_t flags)
{
    if (!out || tid < 0 || room > PAGE_SIZE || room < ATTR_FIRST || flags)
        return -EINVAL;
    struct sched_setting now;
    long e = setting_of(tid, &now);
    if (e)
        return e;
    struct sched_attr a = {
        .size = room < sizeof a ? room : (uint32_t)sizeof a,
        .policy = now.policy,
        .flags = now.reset_on_fork ? FLAG_RESET_ON_FORK : 0,
        .nice = now.nice,
    };
    e = user_copy_out(US, out, &a, a.size);
    return e || room <= a.size ? e : user_zero_out(US, out + a.size, room - a.size);
}
SYSCALL(275, sched_getattr, 4);

// ---- niceness (setpriority(2))

enum { PRIO_PROCESS, PRIO_PGRP, PRIO_USER };

// What a thread, or a first one that has ended, is asked for here.
struct owned {
    const struct process *process;
    const struct credentials *cred;
    struct sched_setting *sched;
};

struct each_thread {
    int which;
    uint32_t who;
    long result;
    long (*fn)(const struct owned *its, int nice, long result);
    int nice;
};

static void visit_thread(struct each_thread *each, const struct owned *its)
{
    if (each->which != PRIO_USER || its->cred->uid == each->who)
        each->result = each->fn(its, each->nice, each->result);
}

static bool visit_threads(struct process *p, void *arg)
{
    struct each_thread *each = arg;
    if (each->which == PRIO_PGRP && p->pgid != each->who)
        return true;
    spin_lock(&p->lock);
    if (p->headless)
        visit_thread(each, &(struct owned){p, &p->cred, &p->leader.sched});
    PROCESS_THREADS(it, p)
    {
        struct thread *th = thread_entry(it);
        visit_thread(each, &(struct owned){p, th->cred, &th->sched});
    }
    spin_unlock(&p->lock);
    return true;
}

static long for_one(uint32_t tid, int nice, long (*fn)(const struct owned *its, int, long))
{
    struct thread_ref of;
    struct credentials cred;
    if (!thread_ref_get(tid, &of))
        return -ESRCH;
    cred_of(&of, &cred);
    long r = fn(&(struct owned){of.process, &cred, thread_ref_sched(&of)}, nice, -ESRCH);
    thread_ref_put(&of);
    return r;
}

// Calls fn for each thread that which and who mean; its result goes into the next call, the first gets -ESRCH.
static long for_threads(int which, uint32_t who, int nice,
                        long (*fn)(const struct owned *its, int nice, long result))
{
    struct each_thread each = {which, who, -ESRCH, fn, nice};
    if (which < PRIO_PROCESS || which > PRIO_USER)
        return -EINVAL;
    if (which == PRIO_PROCESS)
        return for_one(who, nice, fn);
    if (!who)
        each.who = which == PRIO_PGRP ? process_current()->pgid : cred_current()->uid;
    process_foreach(0, visit_threads, &each);
    return each.result;
}

// A refusal stays the result; those who come later are changed all the same.
static long set_nice(const struct owned *its, int nice, long result)
{
    bool can = caller_can(CAP_SYS_NICE);
    if (!can && !same_owner(its->cred))
        return -EPERM;
    if (!can && !may_be_as_nice(its->process, its->sched, nice))
        return -EACCES;
    its->sched->nice = (int8_t)nice;
    return result == -ESRCH ? 0 : result;
}

static long best_nice(const struct owned *its, int unused, long result)
{
    (void)unused;
    return 20 - its->sched->nice > result ? 20 - its->sched->nice : result;
}

long sys_setpriority(int32_t which, uint32_t who, int32_t nice)
{
    return for_threads(which, who, nice < -20 ? -20 : nice > 19 ? 19 : nice, set_nice);
}
SYSCALL(140, setpriority, 3);

long sys_getpriority(int32_t which, uint32_t who)
{
    return for_threads(which, who, 0, best_nice);
}
SYSCALL(141, getpriority, 2);
