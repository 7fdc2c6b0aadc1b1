// SPDX-License-Identifier: MIT
// Rare events on demand, for tests that sweep them: a thread's n-th allocation from now fails, once; a
// thread is killed at its n-th wait from now.
//
// A thread asks for itself, as with Linux's /proc/self/fail-nth: it writes n to its process's file fail_nth
// or kill_nth and reads what is left of it, 0 when it has happened. Fork does not inherit it, exec keeps it.
// A HARD_CANCEL build asks for a kill of every thread, n drawn.
#include "fs/proc.h"
#include "lib/errno.h"
#include "lib/init.h"
#include "lib/mix.h"
#include "page/frame.h"
#include "task/thread.h"

#include <stdlib.h>

enum { CANCEL_WITHIN = 256 };

static bool nth_fails(void)
{
    struct task *t = current_task();
    return t && t->fail_nth && --t->fail_nth == 0;
}
static struct alloc_failure failure = {.fails = nth_fails};

static void kill_now(struct task *t)
{
    signal_send_process(t->thread->process, SIGKILL, NULL);
}

static void inject_init(void)
{
    task_kill_hook = kill_now;
}
INIT(INIT_CORE, inject_init);

static void fail_nth(struct task *t, uint32_t n)
{
    if (n)
        alloc_failure_add(&failure); // costs nothing before the first use
    t->fail_nth = n;
}

void inject_birth(struct thread *th, const struct process *parent)
{
    static uint32_t births;
    if (parent->pid != 1)
        th->task.kill_nth = (uint32_t)(mix64(atomic_add32(&births, 1) + 1) % CANCEL_WITHIN) + 1;
}

static long store_number(struct process *p, const char *text, uint32_t *n)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    if (end == text || (*end && *end != '\n') || v > UINT32_MAX)
        return -EINVAL;
    *n = (uint32_t)v;
    return p == process_current() ? 0 : -EPERM;
}

static void proc_task_fail_nth(struct text *out, struct process *p)
{
    text_printf(out, "%u\n", p == process_current() ? current_task()->fail_nth : 0);
}

static long store_fail_nth(struct process *p, uint32_t tid, const char *text)
{
    (void)tid;
    uint32_t n;
    long r = store_number(p, text, &n);
    if (r == 0)
        fail_nth(current_task(), n);
    return r;
}
PROC_TASK_RW(fail_nth, 0600, proc_task_fail_nth, store_fail_nth);

static void proc_task_kill_nth(struct text *out, struct process *p)
{
    text_printf(out, "%u\n", p == process_current() ? current_task()->kill_nth : 0);
}

static long store_kill_nth(struct process *p, uint32_t tid, const char *text)
{
    (void)tid;
    uint32_t n;
    long r = store_number(p, text, &n);
    if (r == 0)
        current_task()->kill_nth = n;
    return r;
}
PROC_TASK_RW(kill_nth, 0600, proc_task_kill_nth, store_kill_nth);
