// SPDX-License-Identifier: MIT
// The texts of /proc about the whole machine.
#include "async/executor.h"
#include "async/timer.h"
#include "fs/dentry.h"
#include "fs/procfs.h"
#include "lib/dt.h"
#include "lib/init.h"
#include "mem/huge.h"
#include "mem/phys.h"
#include "mem/shortage.h"
#include "page/frame.h"
#include "page/heap.h"
#include "task/cputime.h"

#include <stdio.h>

enum { USER_HZ = 100 };

// ---- memory

static void kb(struct text *out, const char *name, uint64_t frames)
{
    text_printf(out, "%-15s %8lu kB\n", name, (unsigned long)(frames * (PAGE_SIZE / 1024)));
}

static uint64_t slab_frames(void)
{
    struct heap_stats heap;
    uint64_t n;
    heap_stats_get(&heap);
    n = heap.large_frames;
    for (int i = 0; i < HEAP_CLASSES; i++)
        n += heap.cls[i].frames;
    return n;
}

static void proc_meminfo(struct text *out)
{
    uint64_t free = frame_free_count(), cached = phys_totals.cached + phys_totals.shared_anon;
    uint64_t clean = phys_evictable() - phys_totals.dirty;
    kb(out, "MemTotal:", frame_total());
    kb(out, "MemFree:", free);
    kb(out, "MemAvailable:", free + (clean < phys_evictable() ? clean : 0));
    kb(out, "Buffers:", 0);
    kb(out, "Cached:", cached);
    kb(out, "SwapCached:", 0);
    kb(out, "SwapTotal:", 0);
    kb(out, "SwapFree:", 0);
    kb(out, "Dirty:", phys_totals.dirty);
    kb(out, "Shmem:", phys_totals.shared_anon);
    kb(out, "Slab:", slab_frames());
    kb(out, "AnonHugePages:", load_relaxed(&huge_leaves) * PT_ENTRIES);
}
PROC(meminfo, proc_meminfo);

static void proc_vmstat(struct text *out)
{
    text_printf(out, "nr_free_pages %lu\nnr_file_pages %lu\nnr_dirty %lu\noom_kill %lu\n",
                (unsigned long)frame_free_count(), (unsigned long)phys_totals.cached,
                (unsigned long)phys_totals.dirty, (unsigned long)memory_stats.ended);
}
PROC(vmstat, proc_vmstat);

// ---- time and load

static uint64_t idle_ns(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < hart_count; i++)
        sum += executor_idle_ns(i);
    return sum;
}

static void proc_uptime(struct text *out)
{
    uint64_t up = clock_monotonic_ns() / 10000000, idle = idle_ns() / 10000000;
    text_printf(out, "%lu.%02lu %lu.%02lu\n", (unsigned long)(up / 100), (unsigned long)(up % 100),
                (unsigned long)(idle / 100), (unsigned long)(idle % 100));
}
PROC(uptime, proc_uptime);

struct census {
    unsigned running, total, last_pid;
};

static bool count_process(struct process *p, void *arg)
{
    struct census *c = arg;
    c->last_pid = p->pid;
    spin_lock(&p->lock);
    LIST_FOREACH(it, &p->threads) {
        const struct thread *th = list_entry(it, struct thread, in_process);
        c->total++;
        c->running += (load_relaxed(&th->task.state) & (TASK_RUNNING | TASK_QUEUED)) != 0;
    }
    spin_unlock(&p->lock);
    return true;
}

static struct census count_all(void)
{
    struct census c = {0, 0, 0};
    process_foreach(0, count_process, &c);
    return c;
}

// Averages decay by the time that has passed since they were last asked for, weighing the load of
// that moment: no timer wakes idle harts for them.
static void proc_loadavg(struct text *out)
{
    static struct spinlock lock = SPINLOCK_INIT("load");
    static uint64_t last_ns, average[3]; // in thousandths
    static const uint64_t window_s[3] = {60, 300, 900};
    struct census c = count_all();
    uint64_t now = clock_monotonic_ns(), load = c.running * 1000ul;
    spin_lock(&lock);
    uint64_t seconds = (now - last_ns) / 1000000000;
    for (int i = 0; i < 3 && seconds; i++)
        average[i] = (average[i] * window_s[i] + load * seconds) / (window_s[i] + seconds);
    if (seconds)
        last_ns = now;
    for (int i = 0; i < 3; i++)
        text_printf(out, "%lu.%02lu ", (unsigned long)(average[i] / 1000),
                    (unsigned long)(average[i] % 1000 / 10));
    spin_unlock(&lock);
    text_printf(out, "%u/%u %u\n", c.running, c.total, c.last_pid);
}
PROC(loadavg, proc_loadavg);

struct hart_time {
    uint64_t idle;
    struct cpu_times busy; // in ns, like idle
};

// A hart's time is known as idle or not; what is not idle is divided as that of threads is.
static struct hart_time time_of(uint32_t i, uint64_t now)
{
    static struct spinlock lock = SPINLOCK_INIT("hart times");
    static struct cpu_times said[MAX_HARTS];
    const struct hart *h = harts[i];
    struct hart_time t = {.idle = executor_idle_ns(i)};
    uint64_t up = now - *HART_VAR(h, hart_started_ns);
    struct cpu_use use = {up > t.idle ? up - t.idle : 0, load_relaxed(&h->user_samples),
                          load_relaxed(&h->system_samples)};
    spin_lock(&lock);
    t.busy = cpu_times_of(&use, &said[i]);
    spin_unlock(&lock);
    return t;
}

static void cpu_line(struct text *out, const char *name, const struct hart_time *t)
{
    uint64_t unit = 1000000000 / USER_HZ;
    text_printf(out, "%s %lu 0 %lu %lu 0 0 0 0 0 0\n", name, (unsigned long)(t->busy.user / unit),
                (unsigned long)(t->busy.system / unit), (unsigned long)(t->idle / unit));
}

static void proc_stat(struct text *out)
{
    char name[16];
    uint64_t now = clock_monotonic_ns(), switches = 0;
    struct census c = count_all();
    struct hart_time all = {0}, one;
    for (uint32_t i = 0; i < hart_count; i++) {
        one = time_of(i, now);
        all.idle += one.idle;
        cpu_times_add(&all.busy, &one.busy);
    }
    cpu_line(out, "cpu ", &all);
    for (uint32_t i = 0; i < hart_count; i++) {
        snprintf(name, sizeof name, "cpu%u", (unsigned)i);
        one = time_of(i, now);
        cpu_line(out, name, &one);
        switches += harts[i]->switches;
    }
    text_printf(out, "ctxt %lu\nbtime %lu\nprocesses %u\nprocs_running %u\nprocs_blocked 0\n",
                (unsigned long)switches, (unsigned long)((clock_realtime_ns() - now) / 1000000000),
                c.last_pid, c.running);
}
PROC(stat, proc_stat);

// ---- the machine and the kernel

static void proc_cpuinfo(struct text *out)
{
    for (uint32_t i = 0; i < hart_count; i++) {
        text_printf(out, "processor\t: %u\nhart\t\t: %lu\n", (unsigned)i,
                    (unsigned long)harts[i]->id);
        text_printf(out, "isa\t\t: %s\nmmu\t\t: sv39\n\n", dt_isa_string(harts[i]->id));
    }
}
PROC(cpuinfo, proc_cpuinfo);

static void proc_version(struct text *out)
{
    text_printf(out, "Linux version 6.12.0-tidepool (Tidepool, riscv64) #1 SMP Tidepool\n");
}
PROC(version, proc_version);

static void proc_ostype(struct text *out)
{
    text_printf(out, "Linux\n");
}
PROC_AT(ostype, "sys/kernel/ostype", proc_ostype);

static void proc_osrelease(struct text *out)
{
    text_printf(out, "6.12.0-tidepool\n");
}
PROC_AT(osrelease, "sys/kernel/osrelease", proc_osrelease);

static void proc_cmdline(struct text *out)
{
    text_printf(out, "%s\n", boot_args());
}
PROC(cmdline, proc_cmdline);

static void proc_filesystems(struct text *out)
{
    SET_FOREACH(filesystems, struct filesystem, fs)
        text_printf(out, "%s\t%s\n", fs->flags & FS_NEEDS_DEVICE ? "" : "nodev", fs->name);
}
PROC(filesystems, proc_filesystems);

// ---- mounts

struct mount_row {
    uint32_t id;
    struct path root; // referenced
    uint32_t flags;
};

static bool next_mount(const struct mount *m, void *arg)
{
    struct mount_row *row = arg;
    if (m->id <= row->id)
        return true;
    *row = (struct mount_row){m->id, {(struct mount *)m, m->root}, m->flags};
    path_get(&row->root);
    return false;
}

static void mount_line(struct text *out, const struct mount_row *row)
{
    char buf[256];
    const struct super *super = row->root.mount->super;
    const char *at = path_text(&row->root, NULL, buf, sizeof buf, NULL);
    bool ro = row->flags & MS_RDONLY || super->flags & SUPER_RDONLY;
    text_printf(out, "%s %s %s %s%s%s%s%s 0 0\n", super->source, at ? at : "?", super->fs->name,
                ro ? "ro" : "rw", row->flags & MS_NOSUID ? ",nosuid" : "",
                row->flags & MS_NODEV ? ",nodev" : "", row->flags & MS_NOEXEC ? ",noexec" : "",
                row->flags & MS_NOATIME ? ",noatime" : ",relatime");
}

static void proc_mounts(struct text *out)
{
    struct mount_row row = {.id = 0};
    for (;;) {
        uint32_t id = row.id;
        mount_foreach(next_mount, &row);
        if (row.id == id)
            break;
        mount_line(out, &row);
        path_put(&row.root);
    }
}
PROC(mounts, proc_mounts);

static void proc_task_mounts(struct text *out, struct process *p)
{
    (void)p;
    proc_mounts(out);
}
PROC_TASK(mounts, 0444, proc_task_mounts);
