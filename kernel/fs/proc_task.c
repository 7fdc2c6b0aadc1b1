// SPDX-License-Identifier: MIT
// The texts of /proc/PID: status, stat, statm, maps, cmdline, environ, comm, limits.
//
// Formats are those of proc(5), as ps, top and friends parse them.
#include "async/timer.h"
#include "fs/dentry.h"
#include "fs/procfs.h"
#include "fs/tty.h"
#include "lib/log.h"
#include "mem/space.h"
#include "mem/user.h"
#include "page/heap.h"
#include "task/cputime.h"
#include "task/rusage.h"

enum { USER_HZ = 100, MAPS_BATCH = 32, CMDLINE_MAX = 64 * 1024 };

// The thread that is shown: of a process its first.
static uint32_t shown(const struct process *p, const struct text *out)
{
    return out->tid ? out->tid : p->pid;
}

// Referenced. Who shows a first thread that has ended shows no space, though others go on with it.
static struct space *space_of(struct process *p, const struct text *out)
{
    spin_lock(&p->lock);
    struct space *s = p->headless && shown(p, out) == p->pid ? NULL : p->space;
    if (s)
        space_get(s);
    spin_unlock(&p->lock);
    return s;
}

static uint64_t clock_ticks(uint64_t hart_ticks)
{
    return ticks_to_ns(hart_ticks) / (1000000000 / USER_HZ);
}

// What a snapshot under the process's lock says.
struct task_view {
    uint32_t threads, ppid;
    char state, name[16];
    int nice;
    struct cpu_times times; // of living and ended threads, or of the one
    uint64_t faults;        // of the one
    sigset pending, blocked;
    uint32_t hart;
    struct credentials cred;
};

static char state_of(const struct process *p, const struct thread *th)
{
    if (p->stopped)
        return 'T';
    return load_relaxed(&th->task.state) & (TASK_RUNNING | TASK_QUEUED) ? 'R' : 'S';
}

static void look_at_thread(const struct process *p, struct thread *th, struct task_view *v)
{
    struct cpu_use used = cpu_use_of_thread(th);
    v->times = cpu_times_of(&used, &th->said);
    strlcpy(v->name, th->task.name, sizeof v->name);
    v->state = state_of(p, th);
    v->pending = th->pending.set;
    v->blocked = th->blocked;
    v->hart = th->task.hart;
    v->nice = th->sched.nice;
    v->faults = th->task.faults;
    v->cred = *th->cred;
}

static void look(struct process *p, const struct text *out, struct task_view *v)
{
    *v = (struct task_view){
        .state = 'Z', .times = p->leader.times, .nice = p->leader.sched.nice, .cred = p->cred};
    strlcpy(v->name, p->comm, sizeof v->name);
    spin_lock(&process_tree_lock);
    v->ppid = p->parent ? p->parent->pid : 0;
    spin_unlock(&process_tree_lock);
    spin_lock(&p->lock);
    LIST_FOREACH(it, &p->threads) {
        struct thread *th = list_entry(it, struct thread, in_process);
        v->threads++;
        if (th->tid == shown(p, out))
            look_at_thread(p, th, v);
    }
    v->threads += p->headless; // who leads stays until the last has ended
    if (!out->tid) {
        struct cpu_use used = cpu_use_of_process(p);
        v->times = cpu_times_of(&used, &p->said);
    }
    spin_unlock(&p->lock);
}

static const char *state_name(char state)
{
    return state == 'R'   ? "R (running)"
           : state == 'T' ? "T (stopped)"
           : state == 'Z' ? "Z (zombie)"
                          : "S (sleeping)";
}

static void signal_sets(struct process *p, sigset *ignored, sigset *caught)
{
    *ignored = *caught = 0;
    if (!p->sighand)
        return;
    spin_lock(&p->lock); // it may run a program and replace the table
    spin_lock(&p->sighand->lock);
    for (int i = 0; i < NSIG; i++) {
        uint64_t handler = p->sighand->action[i].handler;
        *ignored |= handler == 1 ? 1ull << i : 0;
        *caught |= handler > 1 ? 1ull << i : 0;
    }
    spin_unlock(&p->sighand->lock);
    spin_unlock(&p->lock);
}

static void status_memory(struct text *out, struct process *p)
{
    struct space *s = space_of(p, out);
    if (!s)
        return;
    text_printf(
        out,
        "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t%8lu kB\nVmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\n",
        (unsigned long)s->mapped / 1024, (unsigned long)s->mapped / 1024,
        (unsigned long)space_flagged(s, 0, USER_TOP, MAPPING_LOCKED) / 1024,
        (unsigned long)s->peak * 4, (unsigned long)s->resident * 4);
    text_printf(out, "VmPTE:\t%8lu kB\n", (unsigned long)s->tables * 4);
    space_unref(s);
}

static void proc_task_status(struct text *out, struct process *p)
{
    struct task_view v;
    sigset ignored, caught;
    const struct credentials *c = &v.cred;
    look(p, out, &v);
    signal_sets(p, &ignored, &caught);
    text_printf(out, "Name:\t%s\nState:\t%s\nTgid:\t%u\nPid:\t%u\nPPid:\t%u\nTracerPid:\t0\n",
                v.name, state_name(v.state), (unsigned)p->pid, (unsigned)shown(p, out),
                (unsigned)v.ppid);
    text_printf(out, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", (unsigned)c->uid,
                (unsigned)c->euid, (unsigned)c->suid, (unsigned)c->fsuid, (unsigned)c->gid,
                (unsigned)c->egid, (unsigned)c->sgid, (unsigned)c->fsgid);
    status_memory(out, p);
    text_printf(out, "Threads:\t%u\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\n",
                (unsigned)v.threads, (unsigned long)v.pending, (unsigned long)p->pending.set,
                (unsigned long)v.blocked);
    text_printf(out, "SigIgn:\t%016lx\nSigCgt:\t%016lx\nCapInh:\t%016lx\nCapPrm:\t%016lx\n",
                (unsigned long)ignored, (unsigned long)caught, (unsigned long)c->inheritable,
                (unsigned long)c->permitted);
    text_printf(out, "CapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016lx\nNoNewPrivs:\t%u\n",
                (unsigned long)c->effective, (unsigned long)c->bounding, (unsigned long)c->ambient,
                (unsigned)p->no_new_privs);
}
PROC_TASK(status, 0444, proc_task_status);

static void proc_task_stat(struct text *out, struct process *p)
{
    struct task_view v;
    uint64_t vsize = 0, rss = 0, minor = 0, major = 0;
    uint32_t tty;
    int32_t tty_pgrp;
    look(p, out, &v);
    struct space *s = space_of(p, out);
    if (s) {
        vsize = s->mapped;
        rss = s->resident;
        major = s->major;
        minor = minor_faults(s);
        space_unref(s);
    }
    minor = out->tid ? v.faults : p->min_faults + minor;
    major = out->tid ? 0 : p->maj_faults + major;
    tty_of_process(p, &tty, &tty_pgrp);
    text_printf(out, "%u (%s) %c %u %u %u %u %d 0 %lu %lu %lu %lu ", (unsigned)shown(p, out),
                v.name, v.state, (unsigned)v.ppid, (unsigned)p->pgid, (unsigned)p->sid,
                (unsigned)tty, (int)tty_pgrp, (unsigned long)minor, (unsigned long)p->cmin_faults,
                (unsigned long)major, (unsigned long)p->cmaj_faults);
    text_printf(out, "%lu %lu %lu %lu %d %d %u 0 %lu %lu %lu %lu ",
                (unsigned long)clock_ticks(v.times.user),
                (unsigned long)clock_ticks(v.times.system),
                (unsigned long)clock_ticks(p->child_time.user),
                (unsigned long)clock_ticks(p->child_time.system), 20 + v.nice, v.nice,
                (unsigned)v.threads, (unsigned long)(p->start_ns / (1000000000 / USER_HZ)),
                (unsigned long)vsize, (unsigned long)rss, (unsigned long)p->rlimit[RLIMIT_RSS].cur);
    // Addresses of text, stack and registers: not told. Then signals, exit signal, hart.
    text_printf(out, "0 0 0 0 0 %lu %lu 0 0 0 0 0 %u %u 0 0 0 0 0 0 0 0 0 0 0 0 %u\n",
                (unsigned long)(v.pending & 0x7fffffff), (unsigned long)(v.blocked & 0x7fffffff),
                (unsigned)p->exit_signal, (unsigned)v.hart, (unsigned)p->exit_status);
}
PROC_TASK(stat, 0444, proc_task_stat);

static void proc_task_statm(struct text *out, struct process *p)
{
    struct space *s = space_of(p, out);
    text_printf(out, "%lu %lu 0 0 0 0 0\n", s ? (unsigned long)(s->mapped / PAGE_SIZE) : 0,
                s ? (unsigned long)s->resident : 0);
    if (s)
        space_unref(s);
}
PROC_TASK(statm, 0444, proc_task_statm);

// ---- maps

static const char *mapping_name(const struct mapping_info *m, char *buf, size_t size)
{
    if (m->flags & MAPPING_STACK)
        return "[stack]";
    if (m->flags & MAPPING_HEAP)
        return "[heap]";
    if (m->flags & MAPPING_VDSO)
        return "[vdso]";
    if (!m->owner)
        return "";
    const char *name = dentry_path_of_vnode(m->owner, buf, size);
    return name ? name : "";
}

static void map_line(struct text *out, const struct mapping_info *m)
{
    char buf[256];
    const char *name = mapping_name(m, buf, sizeof buf);
    text_printf(out, "%08lx-%08lx %c%c%c%c %08lx 00:00 0%s%s\n", (unsigned long)m->lo,
                (unsigned long)m->hi, m->prot & ACCESS_READ ? 'r' : '-',
                m->prot & ACCESS_WRITE ? 'w' : '-', m->prot & ACCESS_EXEC ? 'x' : '-',
                (m->flags & (MAPPING_SHARED | MAPPING_VDSO)) == MAPPING_SHARED ? 's' : 'p',
                (unsigned long)m->offset, *name ? "                          " : "", name);
}

static void proc_task_maps(struct text *out, struct process *p)
{
    struct space *s = space_of(p, out);
    struct mapping_info *info = kmalloc(MAPS_BATCH * sizeof *info);
    va_t from = 0;
    size_t n = 0;
    out->failed |= !info;
    while (s && info && (n = space_mappings(s, from, info, MAPS_BATCH, false)) > 0) {
        for (size_t i = 0; i < n; i++)
            map_line(out, &info[i]);
        from = info[n - 1].hi;
    }
    kfree(info);
    if (s)
        space_unref(s);
}
PROC_TASK(maps, 0444, proc_task_maps);

// ---- the process's own memory: what is absent now is left out

static void copy_range(struct text *out, struct process *p, va_t lo, va_t hi)
{
    char buf[128];
    struct space *s = space_of(p, out);
    if (hi - lo > CMDLINE_MAX)
        hi = lo + CMDLINE_MAX;
    while (s && lo < hi) {
        size_t n = hi - lo < sizeof buf ? hi - lo : sizeof buf;
        if (user_copy_in(s, buf, lo, n) < 0)
            break;
        text_write(out, buf, n);
        lo += n;
    }
    if (s)
        space_unref(s);
}

static void proc_task_cmdline(struct text *out, struct process *p)
{
    copy_range(out, p, p->arg_start, p->arg_end);
}
PROC_TASK(cmdline, 0444, proc_task_cmdline);

static void proc_task_environ(struct text *out, struct process *p)
{
    copy_range(out, p, p->env_start, p->env_end);
}
PROC_TASK(environ, 0400, proc_task_environ);

static void proc_task_comm(struct text *out, struct process *p)
{
    struct task_view v;
    look(p, out, &v);
    text_printf(out, "%s\n", v.name);
}

// By its own threads. A process has the name of its first thread.
static long store_comm(struct process *p, uint32_t tid, const char *text)
{
    struct thread *th = thread_find(tid ? tid : p->pid);
    long r = th && p == process_current() && th->process == p ? 0 : th ? -EINVAL : -ESRCH;
    if (r == 0)
        thread_set_name(th, text);
    if (th)
        thread_put(th);
    return r;
}
PROC_TASK_RW(comm, 0644, proc_task_comm, store_comm);

// ---- limits

static void limit_value(struct text *out, uint64_t v)
{
    if (v == UINT64_MAX)
        text_printf(out, "%-20s ", "unlimited");
    else
        text_printf(out, "%-20lu ", (unsigned long)v);
}

static void proc_task_limits(struct text *out, struct process *p)
{
    static const struct {
        const char *name, *unit;
    } row[RLIM_COUNT] = {
        [RLIMIT_CPU] = {"Max cpu time", "seconds"},
        [RLIMIT_FSIZE] = {"Max file size", "bytes"},
        [RLIMIT_DATA] = {"Max data size", "bytes"},
        [RLIMIT_STACK] = {"Max stack size", "bytes"},
        [RLIMIT_CORE] = {"Max core file size", "bytes"},
        [RLIMIT_RSS] = {"Max resident set", "bytes"},
        [RLIMIT_NPROC] = {"Max processes", "processes"},
        [RLIMIT_NOFILE] = {"Max open files", "files"},
        [RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
        [RLIMIT_AS] = {"Max address space", "bytes"},
        [RLIMIT_LOCKS] = {"Max file locks", "locks"},
        [RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
        [RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
        [RLIMIT_NICE] = {"Max nice priority", ""},
        [RLIMIT_RTPRIO] = {"Max realtime priority", ""},
        [RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
    };
    text_printf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (int i = 0; i < RLIM_COUNT; i++) {
        text_printf(out, "%-25s ", row[i].name);
        limit_value(out, p->rlimit[i].cur);
        limit_value(out, p->rlimit[i].max);
        text_printf(out, "%-10s\n", row[i].unit);
    }
}
PROC_TASK(limits, 0444, proc_task_limits);
