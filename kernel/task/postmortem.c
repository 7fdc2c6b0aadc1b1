// SPDX-License-Identifier: MIT
// The post-mortem shell: what a machine that has panicked still answers, on the plain line.
//
// Its commands have the names of the monitor's shorthands. It polls, takes no lock and allocates nothing; a command that
// stumbles over what is broken ends, and the shell goes on. Until a key is pressed it prints nothing, and the hart sleeps.
#include "arch/cpu.h"
#include "arch/sbi.h"
#include "async/async.h"
#include "dev/uart.h"
#include "lib/dt.h"
#include "lib/init.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "task/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_LINES = 20, CHANGES = 64, MEM_BYTES = 64, MEM_MOST = 4096, HEX_ROW = 16 };
enum { LOOKS_PER_S = 50 };

// ---- commands: a[0] is the first word behind the name, NULL where there is none

typedef const char *const words[2];

// False: it is no number. 0x begins a hexadecimal one.
static bool number(const char *word, uint64_t *n)
{
    char *end;
    *n = strtoull(word, &end, 0);
    return *word >= '0' && *word <= '9' && !*end;
}

// How many: the word, or `usual` where there is none; 0: neither.
static uint64_t count(const char *word, uint64_t usual)
{
    uint64_t n;
    if (!word)
        return usual;
    return number(word, &n) ? n : 0;
}

static void ps(words a)
{
    (void)a;
    uint32_t steps = 0;
    panic_say("   id   pid state     name\r\n");
    for (const struct task *t = NULL; steps < PANIC_TASKS && (t = panic_next_task(t)); steps++)
        panic_say("%5u %5u %-9s %.24s\r\n", t->id,
                  t->thread && !(t->state & TASK_DEAD) ? t->thread->process->pid : 0,
                  task_state_name(t->state, t->attn), t->name);
}

static void bt(words a)
{
    uint64_t id = 0;
    bool by_id = number(a[0], &id);
    uint32_t steps = 0;
    for (const struct task *t = NULL; steps < PANIC_TASKS && (t = panic_next_task(t)); steps++)
        if (by_id ? t->id == id : strncmp(t->name, a[0], sizeof t->name) == 0) {
            panic_say_task(t);
            return;
        }
    panic_say(by_id ? "there is no task %s\r\n" : "there is no task named '%s'\r\n", a[0]);
}

static void journal(words a)
{
    (void)a;
    if (panic_changes)
        panic_changes(CHANGES);
}

static void tell_log(words a)
{
    const struct log_line *l;
    uint64_t n = count(a[0], LOG_LINES);
    while (n && !log_newest_unlocked(n - 1)) // there are not so many
        n = n > 256 ? 256 : n - 1;
    while (n && (l = log_newest_unlocked(--n)))
        panic_say("[%5lu.%06lu] hart %u: %.240s\r\n", (unsigned long)(l->ns / 1000000000),
                  (unsigned long)(l->ns / 1000 % 1000000), l->hart, l->text);
}

static bool mem_row(uint64_t at, uint64_t n)
{
    uint8_t bytes[HEX_ROW];
    if (probe_read(bytes, (const void *)at, n)) {
        panic_say("%016lx  fault\r\n", (unsigned long)at);
        return false;
    }
    panic_say("%016lx ", (unsigned long)at);
    for (uint64_t i = 0; i < HEX_ROW; i++)
        panic_say(i < n ? " %02x" : "   ", i < n ? bytes[i] : 0);
    panic_say("  ");
    for (uint64_t i = 0; i < n; i++)
        panic_say("%c", bytes[i] >= 32 && bytes[i] < 127 ? bytes[i] : '.');
    panic_say("\r\n");
    return true;
}

// RAM only: to read a device's register may have effects, or hang.
static void mem(words a)
{
    uint64_t at, n = count(a[1], MEM_BYTES);
    if (!number(a[0], &at) || n == 0 || n > MEM_MOST) {
        panic_say("usage: mem ADDRESS [1 to %u bytes]\r\n", MEM_MOST);
        return;
    }
    if (at < KVA_OFFSET || !dt_is_ram(at - KVA_OFFSET, at - KVA_OFFSET + n)) {
        panic_say("0x%lx: not RAM\r\n", (unsigned long)at);
        return;
    }
    for (uint64_t done = 0; done < n; done += HEX_ROW)
        if (!mem_row(at + done, n - done < HEX_ROW ? n - done : HEX_ROW))
            return;
}

static void reset(uint64_t type)
{
    sbi_call(SBI_EXT_SRST, 0, type, 0, 0, 0);
    panic_say("the firmware does not do it\r\n");
}

static void poweroff(words a)
{
    (void)a;
    reset(0);
}

static void reboot(words a)
{
    (void)a;
    reset(1);
}

static void help(words a);

static const struct command {
    const char *name, *arguments, *what;
    unsigned needs; // words
    void (*run)(words a);
} commands[] = {
    {"help", "", "this list", 0, help},
    {"ps", "", "all tasks", 0, ps},
    {"bt", "ID|NAME", "a task's async backtrace", 1, bt},
    {"journal", "", "what was changed from the monitor, newest first", 0, journal},
    {"log", "[LINES]", "the end of the kernel's log", 0, tell_log},
    {"mem", "ADDRESS [BYTES]", "kernel memory, RAM only", 1, mem},
    {"reboot", "", "", 0, reboot},
    {"poweroff", "", "", 0, poweroff},
};

static void help(words a)
{
    (void)a;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        panic_say("  %-9s%-17s%s\r\n", commands[i].name, commands[i].arguments, commands[i].what);
}

static void run_line(const void *line)
{
    char copy[80], *save;
    snprintf(copy, sizeof copy, "%s", (const char *)line);
    const char *name = strtok_r(copy, " ", &save);
    if (!name)
        return;
    const char *first = strtok_r(NULL, " ", &save),
               *second = first ? strtok_r(NULL, " ", &save) : NULL;
    for (const struct command *c = commands; c < commands + sizeof commands / sizeof *commands; c++)
        if (strcmp(c->name, name) == 0) {
            if (c->needs && !first)
                panic_say("usage: %s %s\r\n", c->name, c->arguments);
            else
                c->run((words){first, second});
            return;
        }
    panic_say("no command %s (help lists them)\r\n", name);
}

// ---- the line

// The next byte. Sleeps between looks: the timer is all that wakes it, since who handles interrupts may stand still.
static uint8_t wait_byte(void)
{
    int c;
    while ((c = uart_panic_getc()) < 0) {
        timer_program(time_ticks() + timebase_hz / LOOKS_PER_S);
        csr_write(sie, SIP_STIP);
        cpu_wait_for_interrupt();
        csr_write(sie, 0);
    }
    return (uint8_t)c;
}

// The next byte that somebody typed. A host console that has not seen the panic yet may send frames, each between zeros.
static uint8_t typed(void)
{
    static bool in_frame;
    for (;;) {
        uint64_t before = time_ticks();
        uint8_t c = wait_byte();
        if (time_ticks() - before > timebase_hz / 5) // a frame comes in one piece
            in_frame = false;
        if (!c)
            in_frame = !in_frame;
        else if (!in_frame)
            return c;
    }
}

static void prompt(void)
{
    panic_say("post-mortem> ");
}

static void shell(void)
{
    static char line[80];
    size_t n = 0;
    bool met = false;
    for (;;) {
        uint8_t c = typed();
        if (!met)
            prompt();
        met = true;
        if (c == '\r' || c == '\n') {
            line[n] = 0;
            n = 0;
            panic_say("\r\n");
            panic_attempt(run_line, line);
            prompt();
        } else if ((c == '\b' || c == 127) && n > 0) {
            n--;
            panic_say("\b \b");
        } else if (c >= ' ' && c < 127 && n < sizeof line - 1) {
            line[n++] = (char)c;
            panic_say("%c", c);
        }
    }
}

static void postmortem_init(void)
{
    if (uart_present())
        panic_shell = shell;
}
INIT(INIT_LATE, postmortem_init);
