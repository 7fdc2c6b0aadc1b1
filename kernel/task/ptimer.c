// SPDX-License-Identifier: MIT
// Timers of processes that send signals.
//
// A timer that fires may neither send nor be armed again there and then (async/timer.h), so it is handed
// to a task that does both. A periodic one goes on while its signal waits: what it could not send is
// counted as overruns in the entry that waits, and at most every SHORTEST_NS it is looked at.
//
// Processor time has no interrupt of its own. Such a timer is armed for the earliest moment at which all
// threads together can have used up what is left. When it fires each thread is asked to look (ATTN_CLOCK):
// one that runs adds up its time and sends, or arms again; one that waits does so when it comes back,
// so an idle process wakes nobody.
#include "task/ptimer.h"

#include "arch/cpu.h"
#include "async/wait_async.h"
#include "lib/init.h"
#include "page/heap.h"
#include "task/cputime.h"
#include "task/process.h"
#include "task/rusage.h"
#include "task/time.h"

enum { SHORTEST_NS = 50000, NS_PER_S = 1000000000 };
enum {
    SAMPLED_NS = 1000000
}; // a program that the kernel works for has the same user time for long

struct ptimer {
    struct list in_process;
    struct process *process;
    uint32_t refs; // atomic: of the process, of the list of fired ones
    struct ptimer_spec spec;
    bool by_wall_clock;     // set to a time of CLOCK_REALTIME
    bool deleted;           // process.timer_lock, as what follows
    uint64_t due, interval; // ns by its clock; due 0: it does not run
    struct timer timer;
    struct list fired;
    struct sigqueue *entry; // NULL: an interval timer, or one that tells nobody
};

// Fired timers wait here for the task that sees to them. Each has a reference and one of its process.
static struct spinlock fired_lock = SPINLOCK_INIT("fired timers");
static struct list fired = LIST_INIT(fired);
static struct event fired_event;

static bool by_cpu(const struct ptimer *t)
{
    return t->spec.clock == CLOCK_PROCESS_CPUTIME_ID || t->spec.clock == CLOCK_THREAD_CPUTIME_ID ||
           t->spec.clock == PTIMER_USER_TIME;
}

static void put(struct ptimer *t)
{
    if (atomic_add32(&t->refs, -1u) == 1)
        kfree(t);
}

static uint64_t thread_time(uint32_t tid)
{
    struct thread *th = thread_find(tid);
    uint64_t ns = th ? ticks_to_ns(task_ticks(&th->task)) : 0;
    if (th)
        thread_put(th);
    return ns;
}

static uint64_t now_of(const struct ptimer *t)
{
    switch (t->spec.clock) {
    case CLOCK_PROCESS_CPUTIME_ID:
        return ticks_to_ns(process_ticks(t->process));
    case CLOCK_THREAD_CPUTIME_ID:
        return thread_time(t->spec.owner);
    case PTIMER_USER_TIME:
        return ticks_to_ns(process_times(t->process).user);
    default:
        return t->by_wall_clock ? clock_realtime_ns() : clock_monotonic_ns();
    }
}

static void on_fire(struct timer *tm)
{
    struct ptimer *t = container_of(tm, struct ptimer, timer);
    spin_lock(&fired_lock);
    if (list_empty(&t->fired)) {
        atomic_add32(&t->refs, 1);
        process_get(t->process);
        list_push_back(&fired, &t->fired);
    }
    spin_unlock(&fired_lock);
    event_set(&fired_event);
}

// timer_lock held, here and below.
static void arm(struct ptimer *t, uint64_t now)
{
    uint64_t left = t->due > now ? t->due - now : 0;
    uint32_t threads = load_relaxed(&t->process->nthreads);
    if (!t->due || t->spec.notify == SIGEV_NONE || t->timer.armed)
        return;
    if (by_cpu(t) && threads > 1)
        left /= threads < hart_count ? threads : hart_count;
    timer_cancel(&t->timer); // the hart where it was armed last may be about to fire it still
    uint64_t least = t->spec.clock == PTIMER_USER_TIME ? SAMPLED_NS : SHORTEST_NS;
    timer_arm(&t->timer, left > least ? left : least, on_fire);
}

static void notify(struct ptimer *t, uint64_t overruns)
{
    struct siginfo_k info = {.signo = t->spec.signo, .code = SI_TIMER, .value = t->spec.value};
    if (!t->entry) {
        signal_send_process(t->process, t->spec.signo, NULL);
        return;
    }
    info.pid = t->spec.id;
    info.uid = overruns > INT32_MAX ? INT32_MAX : (uint32_t)overruns;
    if (t->spec.notify != SIGEV_THREAD_ID) {
        signal_send_owned(t->process, NULL, t->entry, &info);
        return;
    }
    struct thread *th = thread_find(t->spec.tid);
    if (!th)
        return;
    if (th->process == t->process)
        signal_send_owned(t->process, th, t->entry, &info);
    thread_put(th);
}

static void cpu_limit_reached(struct ptimer *t, uint64_t now)
{
    struct process *p = t->process;
    uint64_t seconds = now / NS_PER_S;
    spin_lock(&p->lock);
    struct rlimit_k *limit = &p->rlimit[RLIMIT_CPU];
    bool over = seconds >= limit->max;
    if (!over)
        limit->cur = seconds + 1; // where it is told again
    spin_unlock(&p->lock);
    t->due = over ? 0 : (seconds + 1) * NS_PER_S;
    arm(t, now);
    signal_send_process(p, over ? SIGKILL : SIGXCPU, NULL);
}

static void look(struct ptimer *t)
{
    uint64_t now = now_of(t), overruns = 0;
    if (t->deleted || !t->due)
        return;
    if (now < t->due) {
        arm(t, now);
        return;
    }
    if (t->spec.id == PTIMER_CPU_LIMIT) {
        cpu_limit_reached(t, now);
        return;
    }
    if (t->interval) {
        overruns = (now - t->due) / t->interval;
        t->due += (overruns + 1) * t->interval;
    } else {
        t->due = 0;
    }
    arm(t, now);
    notify(t, overruns);
}

static void ask_threads(struct process *p)
{
    spin_lock(&p->lock);
    PROCESS_THREADS(it, p)
    task_attention_later(&thread_entry(it)->task, ATTN_CLOCK);
    spin_unlock(&p->lock);
}

void ptimers_check_cpu(struct thread *th)
{
    struct process *p = th->process;
    spin_lock(&p->timer_lock);
    if (p->cpu_timers)
        LIST_FOREACH(it, &p->timers) {
            struct ptimer *t = list_entry(it, struct ptimer, in_process);
            if (by_cpu(t))
                look(t);
        }
    spin_unlock(&p->timer_lock);
}

static struct ptimer *next_fired(void)
{
    spin_lock(&fired_lock);
    event_clear(&fired_event);
    struct list *it = list_pop_front(&fired);
    spin_unlock(&fired_lock);
    return it ? list_entry(it, struct ptimer, fired) : NULL;
}

static void see_to(struct ptimer *t)
{
    struct process *p = t->process;
    spin_lock(&p->timer_lock);
    if (by_cpu(t))
        ask_threads(p);
    else
        look(t);
    spin_unlock(&p->timer_lock);
    put(t);
    process_put(p);
}

ASYNC_DECL(ptimer_loop, int unused;);
ASYNC(ptimer_loop, long r; struct ptimer *t;)
{
    ASYNC_BEGIN(ptimer_loop);
    for (;;) {
        while ((f->t = next_fired()))
            see_to(f->t);
        AWAIT(f->r, event_wait, &fired_event, false);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

static void ptimer_init(void)
{
    event_init(&fired_event);
    SPAWN("timers", ptimer_loop, 0);
}
INIT(INIT_LATE, ptimer_init);

// ---- what threads ask for

static struct ptimer *find(struct process *p, int32_t id)
{
    LIST_FOREACH(it, &p->timers) {
        struct ptimer *t = list_entry(it, struct ptimer, in_process);
        if (t->spec.id == id)
            return t;
    }
    return NULL;
}

// Round and round, past those in use: there are far fewer than numbers, each has a charged sigqueue entry.
static int32_t next_id(struct process *p)
{
    int32_t id;
    do {
        id = p->next_timer;
        p->next_timer = id == INT32_MAX ? 0 : id + 1;
    } while (find(p, id));
    return id;
}

long ptimer_create(struct process *p, struct ptimer_spec *spec)
{
    struct ptimer *t = kzalloc(sizeof *t);
    if (!t)
        return -EAGAIN;
    t->process = p;
    t->refs = 1;
    list_init(&t->fired);
    if (spec->id >= 0 && !(t->entry = sigqueue_new_owned(p))) {
        kfree(t);
        return -EAGAIN;
    }
    spin_lock(&p->timer_lock);
    if (spec->id >= 0)
        spec->id = next_id(p);
    if (spec->value_is_id)
        spec->value = (uint64_t)spec->id;
    t->spec = *spec;
    list_push_back(&p->timers, &t->in_process);
    p->cpu_timers += by_cpu(t);
    spin_unlock(&p->timer_lock);
    return spec->id;
}

static void stop(struct ptimer *t)
{
    timer_cancel(&t->timer);
    t->due = t->interval = 0;
}

static void release(struct ptimer *t)
{
    struct process *p = t->process;
    stop(t);
    t->deleted = true;
    list_remove(&t->in_process);
    p->cpu_timers -= by_cpu(t);
    if (t->entry) {
        spin_lock(&p->sighand->lock);
        sigqueue_release(t->entry);
        spin_unlock(&p->sighand->lock);
    }
    put(t);
}

long ptimer_delete(struct process *p, int32_t id)
{
    spin_lock(&p->timer_lock);
    struct ptimer *t = find(p, id);
    if (t)
        release(t);
    spin_unlock(&p->timer_lock);
    return t ? 0 : -EINVAL;
}

void ptimers_delete(struct process *p, bool interval_timers_too)
{
    spin_lock(&p->timer_lock);
    LIST_FOREACH_SAFE(it, next, &p->timers) {
        struct ptimer *t = list_entry(it, struct ptimer, in_process);
        if (t->spec.id >= 0 || interval_timers_too)
            release(t);
    }
    p->next_timer = 0;
    spin_unlock(&p->timer_lock);
}

// What is left of it; one that has run out and was not seen to yet has a last nanosecond.
static struct ptimer_setting setting(const struct ptimer *t, uint64_t now)
{
    struct ptimer_setting s = {0, t->interval};
    if (!t->due)
        return s;
    if (t->due > now)
        s.value = t->due - now;
    else if (t->spec.notify != SIGEV_NONE)
        s.value = 1;
    else if (t->interval)
        s.value = t->interval - (now - t->due) % t->interval;
    return s;
}

long ptimer_set(struct process *p, int32_t id, const struct ptimer_setting *new, bool absolute,
                struct ptimer_setting *was)
{
    spin_lock(&p->timer_lock);
    struct ptimer *t = find(p, id);
    if (t && was)
        *was = setting(t, now_of(t));
    if (t && new) {
        stop(t);
        t->by_wall_clock = absolute && t->spec.clock == CLOCK_REALTIME;
        t->interval = new->interval;
        uint64_t now = now_of(t);
        if (new->value)
            t->due = new->value + (absolute ? 0 : now);
        arm(t, now);
        if (t->entry)
            sigqueue_reset(t->entry);
    }
    spin_unlock(&p->timer_lock);
    return t ? 0 : -EINVAL;
}

// timer_lock held. When the soft limit is reached; 0: never.
static uint64_t cpu_limit_ns(struct process *p)
{
    spin_lock(&p->lock);
    uint64_t limit = p->rlimit[RLIMIT_CPU].cur;
    spin_unlock(&p->lock);
    return limit > UINT64_MAX / NS_PER_S ? 0 : limit ? limit * NS_PER_S : 1;
}

// Two threads that need it at once may make two; both look at the same limit.
long ptimer_need_cpu_limit(struct process *p)
{
    struct ptimer_spec spec = {
        .id = PTIMER_CPU_LIMIT, .clock = CLOCK_PROCESS_CPUTIME_ID, .notify = SIGEV_SIGNAL};
    spin_lock(&p->timer_lock);
    struct ptimer *t = find(p, PTIMER_CPU_LIMIT);
    spin_unlock(&p->timer_lock);
    if (t)
        return 0;
    if (ptimer_create(p, &spec) != spec.id)
        return -EAGAIN;
    spin_lock(&p->timer_lock);
    if ((t = find(p, PTIMER_CPU_LIMIT)))
        t->due = cpu_limit_ns(p); // armed when a thread looks at it first
    spin_unlock(&p->timer_lock);
    return 0;
}

void ptimer_limit_cpu(struct process *p)
{
    spin_lock(&p->timer_lock);
    struct ptimer *t = find(p, PTIMER_CPU_LIMIT);
    if (t) { // it has not begun to exit
        stop(t);
        t->due = cpu_limit_ns(p);
        arm(t, now_of(t));
    }
    spin_unlock(&p->timer_lock);
}

long ptimer_overrun(struct process *p, int32_t id)
{
    spin_lock(&p->timer_lock);
    const struct ptimer *t = id < 0 ? NULL : find(p, id);
    long n = t ? sigqueue_overrun(t->entry) : -EINVAL;
    spin_unlock(&p->timer_lock);
    return n;
}

static bool clock_was_set(struct process *p, void *unused)
{
    (void)unused;
    spin_lock(&p->timer_lock);
    LIST_FOREACH(it, &p->timers) {
        struct ptimer *t = list_entry(it, struct ptimer, in_process);
        if (t->by_wall_clock && timer_cancel(&t->timer))
            arm(t, now_of(t));
    }
    spin_unlock(&p->timer_lock);
    return true;
}

void ptimers_clock_was_set(void)
{
    process_visit(clock_was_set, NULL);
}
