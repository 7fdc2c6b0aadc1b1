// SPDX-License-Identifier: MIT
// Which program ends when memory does, and who may use the reserve: the policy of mem/shortage.h.
//
// The biggest ends: frames in its page table, the table's own, and its threads, moved by oom_score_adj
// thousandths of all memory; never init, nor what shares init's space, nor who has -1000. All
// processes of the victim's space end with it. While one is ending no other is chosen, unless it
// has not come to its end in VICTIM_NS.
#include "async/timer.h"
#include "fs/proc.h"
#include "lib/init.h"
#include "lib/log.h"
#include "mem/shortage.h"
#include "mem/space.h"
#include "page/frame.h"
#include "task/caps.h"
#include "task/process.h"

#include <stdlib.h>

#define VICTIM_NS 5000000000ull
enum { ADJ_NEVER = -1000, SMALL_PAGES = 512 };

static uint64_t last_kill_ns; // the memory keeper's

// ---- badness

// process.lock held. What ending it would give back, in frames.
static uint64_t frames_of(const struct process *p)
{
    const struct space *s = p->space;
    return s ? load_relaxed(&s->resident) + load_relaxed(&s->tables) + p->nthreads : 0;
}

// 0: never.
static uint64_t badness(const struct process *p)
{
    int64_t frames = (int64_t)frames_of(p);
    if (!frames || p == process_init || p->oom_adj == ADJ_NEVER)
        return 0;
    int64_t n = frames + (int64_t)(frame_total() / 1000) * p->oom_adj;
    return n > 0 ? (uint64_t)n : 1;
}

struct search {
    struct process *worst; // referenced
    uint64_t badness;
    const struct space *init_space;
    bool ending; // some process has been told to end, and still has its memory
};

static bool look_at(struct process *p, void *arg)
{
    struct search *w = arg;
    spin_lock(&p->lock);
    uint64_t n = p->space == w->init_space ? 0 : badness(p);
    w->ending |= p->exiting && p->space;
    if (p->exiting)
        n = 0;
    spin_unlock(&p->lock);
    if (n <= w->badness)
        return true;
    if (w->worst)
        process_put(w->worst);
    process_get(p);
    w->worst = p;
    w->badness = n;
    return true;
}

static bool kill_sharer(struct process *p, void *space)
{
    spin_lock(&p->lock);
    bool shares = p->space == space && !p->exiting;
    spin_unlock(&p->lock);
    if (shares)
        signal_send_process(p, SIGKILL, NULL);
    return true;
}

static void end_process(struct process *p, const char *asked)
{
    spin_lock(&p->lock);
    struct space *s = p->space;
    uint64_t resident = s ? s->resident : 0;
    spin_unlock(&p->lock);
    if (!s)
        return;
    log_warn(
        "out of memory: process %u (%s) is ended: %lu KiB resident, oom_score_adj %d; %s asked",
        p->pid, p->comm, (unsigned long)resident * 4, p->oom_adj, asked);
    atomic_add64(&memory_stats.ended, 1);
    last_kill_ns = clock_monotonic_ns();
    process_visit(kill_sharer, s);
}

static bool end_one(const char *asked)
{
    struct search w = {.init_space = process_init ? process_init->space : NULL};
    process_foreach(0, look_at, &w);
    bool wait = w.ending && clock_monotonic_ns() - last_kill_ns < VICTIM_NS;
    if (w.worst && !wait)
        end_process(w.worst, asked);
    if (w.worst)
        process_put(w.worst);
    return wait || w.worst;
}

// ---- the reserve

static uint64_t frames_to_leave(void)
{
    struct task *t = current_task();
    if (!t || !t->thread)
        return frame_reserve;
    if (load_relaxed(&t->attn) & ATTN_CANCEL)
        return frame_reserve / 8;
    const struct thread *th = t->thread;
    bool small = th->space && load_relaxed(&th->space->resident) < SMALL_PAGES;
    return small && th->cred->euid == 0 ? frame_reserve / 2 : frame_reserve;
}

static void oom_start(void)
{
    memory_set_policy(end_one);
    frame_set_floor(frames_to_leave);
}
INIT(INIT_LATE, oom_start);

// ---- /proc

static void proc_task_oom_score(struct text *out, struct process *p)
{
    spin_lock(&p->lock);
    uint64_t n = badness(p);
    spin_unlock(&p->lock);
    text_printf(out, "%lu\n", (unsigned long)(n * 1000 / frame_total()));
}
PROC_TASK(oom_score, 0444, proc_task_oom_score);

static void proc_task_oom_score_adj(struct text *out, struct process *p)
{
    text_printf(out, "%d\n", p->oom_adj);
}

// -1000 to 1000. Only the superuser may make it smaller.
static long store_oom_score_adj(struct process *p, uint32_t tid, const char *text)
{
    (void)tid;
    char *end;
    long n = strtol(text, &end, 10);
    while (*end == ' ' || *end == '\n')
        end++;
    if (end == text || *end || n < ADJ_NEVER || n > -ADJ_NEVER)
        return -EINVAL;
    if (n < p->oom_adj && !caller_can(CAP_SYS_RESOURCE))
        return -EACCES;
    p->oom_adj = (int16_t)n;
    return 0;
}
PROC_TASK_RW(oom_score_adj, 0644, proc_task_oom_score_adj, store_oom_score_adj);
