// SPDX-License-Identifier: MIT
// Panic: takes no lock, stops the other harts, owns the console by force, says what is known.
#include "arch/atomic.h"
#include "arch/cpu.h"
#include "arch/sbi.h"
#include "async/async.h"
#include "lib/log.h"
#include "lib/symbols.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void machine_stop_others(void);

// Polled output of last resort; the UART driver puts its own here.
static void sbi_puts(const char *s)
{
    for (; *s; s++)
        sbi_call(SBI_EXT_CONSOLE_PUTCHAR, 0, (uint8_t)*s, 0, 0, 0);
}
void (*panic_puts)(const char *text) = sbi_puts;
void (*panic_hook)(void); // post-mortem: called last, may not return

static uint32_t panicking;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    static char buf[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    panic_puts(buf);
}

static void say_task(const struct hart *h, const struct task *t)
{
    struct async_step step[12];
    say("  task %u %s on hart %u\r\n", t->id, t->name, h->index);
    size_t n = task_backtrace(t, step, 12);
    for (size_t i = 0; i < n; i++)
        say("    #%u %s %s:%u %s\r\n", (unsigned)i, step[i].function, step[i].file, step[i].line,
            step[i].what);
}

// Where a hart is and what it runs. One that did not stop is in a kernel function that goes on and on, or stands still.
static void say_hart(const struct hart *h)
{
    uint64_t offset;
    const char *spun = symbol_at(h->stopped_at, &offset);
    if (h->index != hart_index() && load_acquire(&h->stop) != 2)
        say("  hart %u does not answer\r\n", h->index);
    else if (spun)
        say("  hart %u spun in %s+0x%lx\r\n", h->index, spun, (unsigned long)offset);
    if (h->current && h->current->magic == TASK_MAGIC)
        say_task(h, h->current);
}

// Every address in the message that lies in the kernel's text, by name.
static void say_names(const char *text)
{
    uint64_t offset;

    while ((text = strstr(text, "0x"))) {
        char *end;
        uint64_t pc = strtoull(text, &end, 16);
        const char *name = symbol_at(pc, &offset);
        if (name)
            say("  0x%lx is %s+0x%lx\r\n", (unsigned long)pc, name, (unsigned long)offset);
        text = end > text + 2 ? end : text + 2;
    }
}

void panic(const char *fmt, ...)
{
    static char text[768];
    if (atomic_swap32(&panicking, 1)) { // a second hart, or a panic in the panic
        for (;;)
            __asm__ volatile("wfi");
    }
    csr_write(sie, 0);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    machine_stop_others();
    sbi_call(SBI_EXT_CONSOLE_PUTCHAR, 0, 0, 0, 0, 0); // 00: a console in MUX drops to PLAIN
    say("\r\nPANIC on hart %u: %s\r\n", hart_index(), text);
    say_names(text);
    for (uint32_t i = 0; i < hart_count; i++)
        if (harts[i] && harts[i]->online)
            say_hart(harts[i]);
    if (panic_hook)
        panic_hook();
    say("halted\r\n");
    for (;;)
        __asm__ volatile("wfi");
}
