// SPDX-License-Identifier: MIT
// Panic: takes no lock, stops the other harts, owns the console by force, says what is known.
//
// What it reads may be what is broken. Each part is attempted: a fault or a failed assertion in it is a panic in the panic,
// which is said, and the next part follows.
#include "lib/panic.h"

#include "arch/atomic.h"
#include "arch/cpu.h"
#include "arch/sbi.h"
#include "async/async.h"
#include "lib/log.h"
#include "lib/symbols.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOLD = 64 }; // tasks with their backtraces, those that run not counted

void machine_stop_others(void);

// Polled output of last resort; the UART driver puts its own here.
static void sbi_puts(const char *s)
{
    for (; *s; s++)
        sbi_call(SBI_EXT_CONSOLE_PUTCHAR, 0, (uint8_t)*s, 0, 0, 0);
}
void (*panic_puts)(const char *text) = sbi_puts;
void (*panic_changes)(uint32_t max);
void (*panic_shell)(void);

static uint32_t panicking; // the hart that does, counted from 1
static jmp_buf *escape;    // where a panic in the panic goes on, NULL: nowhere

void panic_say(const char *fmt, ...)
{
    static char buf[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    panic_puts(buf);
}

void panic_attempt(void (*fn)(const void *arg), const void *arg)
{
    jmp_buf here, *outer = escape;
    if (setjmp(here) == 0) {
        escape = &here;
        fn(arg);
    }
    escape = outer;
}

// ---- tasks

const struct task *panic_next_task(const struct task *t)
{
    t = task_next_unlocked(t);
    if (!t || t->magic == TASK_MAGIC)
        return t;
    panic_say("  the list of tasks is broken\r\n");
    return NULL;
}

static const struct hart *hart_that_runs(const struct task *t)
{
    for (uint32_t i = 0; i < hart_count; i++)
        if (harts[i] && harts[i]->current == t)
            return harts[i];
    return NULL;
}

void panic_say_task(const struct task *t)
{
    struct async_step step[12];
    const struct hart *h = hart_that_runs(t);
    if (h)
        panic_say("  task %u %.24s on hart %u\r\n", t->id, t->name, h->index);
    else
        panic_say("  task %u %.24s %s\r\n", t->id, t->name, task_state_name(t->state, t->attn));
    size_t n = task_backtrace(t, step, 12);
    for (size_t i = 0; i < n; i++)
        panic_say("    #%u %s %s:%u %s\r\n", (unsigned)i, step[i].function, step[i].file,
                  step[i].line, step[i].what);
}

static void try_task(const void *t)
{
    panic_say_task(t);
}

// Those that no hart runs: what went wrong is often what somebody waits for.
static void say_others(const void *unused)
{
    (void)unused;
    uint32_t told = 0, more = 0, steps = 0;
    for (const struct task *t = NULL; steps < PANIC_TASKS && (t = panic_next_task(t)); steps++) {
        if (hart_that_runs(t))
            continue;
        if (told++ < TOLD)
            panic_attempt(try_task, t);
        else
            more++;
    }
    if (more)
        panic_say("  and %u more tasks\r\n", more);
}

// ---- harts

// Where a hart is and what it runs. One that did not stop is in a kernel function that goes on and on, or stands still.
static void say_hart(const void *hart)
{
    const struct hart *h = hart;
    uint64_t offset;
    const char *spun = symbol_at(h->stopped_at, &offset);
    if (h->index != hart_index() && load_acquire(&h->stop) != 2)
        panic_say("  hart %u does not answer\r\n", h->index);
    else if (spun)
        panic_say("  hart %u spun in %s+0x%lx\r\n", h->index, spun, (unsigned long)offset);
    else if (!h->current)
        panic_say("  hart %u %s\r\n", h->index, h->idle ? "asleep" : "in the executor");
    if (h->current && h->current->magic == TASK_MAGIC)
        panic_say_task(h->current);
}

// Every address in the message that lies in the kernel's text, by name.
static void say_names(const void *message)
{
    const char *text = message;
    uint64_t offset;

    while ((text = strstr(text, "0x"))) {
        char *end;
        uint64_t pc = strtoull(text, &end, 16);
        const char *name = symbol_at(pc, &offset);
        if (name)
            panic_say("  0x%lx is %s+0x%lx\r\n", (unsigned long)pc, name, (unsigned long)offset);
        text = end > text + 2 ? end : text + 2;
    }
}

static void say_changes(const void *unused)
{
    (void)unused;
    if (panic_changes)
        panic_changes(8);
}

static void run_shell(const void *unused)
{
    (void)unused;
    panic_shell();
}

static _Noreturn void stand_still(void)
{
    csr_write(sie, 0);
    for (;;)
        __asm__ volatile("wfi");
}

static _Noreturn void panic_in_panic(const char *text)
{
    static bool saying;
    if (saying) // not even that
        stand_still();
    saying = true;
    panic_say("\r\npanic in the panic: %s\r\n", text);
    say_names(text);
    saying = false;
    if (escape)
        longjmp(*escape, 1);
    panic_say("halted\r\n");
    stand_still();
}

void panic(const char *fmt, ...)
{
    static char first[768], again[768];
    uint32_t me = hart_index() + 1, was = atomic_cas32(&panicking, 0, me);
    if (was && was != me) // a second hart
        stand_still();
    csr_write(sie, 0);
    char *text = was ? again : first;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof first, fmt, ap);
    va_end(ap);
    if (was)
        panic_in_panic(text);
    machine_stop_others();
    sbi_call(SBI_EXT_CONSOLE_PUTCHAR, 0, 0, 0, 0, 0); // 00: a console in MUX drops to PLAIN
    panic_say("\r\nPANIC on hart %u: %s\r\n", hart_index(), text);
    panic_attempt(say_names, text);
    for (uint32_t i = 0; i < hart_count; i++)
        if (harts[i] && harts[i]->online)
            panic_attempt(say_hart, harts[i]);
    panic_attempt(say_others, NULL);
    panic_attempt(say_changes, NULL);
    if (panic_shell)
        panic_say("a key begins the post-mortem shell\r\n");
    panic_say("halted\r\n");
    if (panic_shell)
        panic_attempt(run_shell, NULL);
    stand_still();
}
