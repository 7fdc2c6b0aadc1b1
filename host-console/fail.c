// SPDX-License-Identifier: MIT
// Every way kmon ends early: terminal restored, machine stopped, one line that says why.
#include "console.h"
#include "terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void console_fail(struct console *c, enum exit_code code, const char *fmt, ...)
{
    va_list ap;

    terminal_restore();
    qemu_kill(c);
    fflush(stdout);
    fputs("kmon: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(code);
}

// The panic's text, from its first line on, as the terminal may not have shown it.
static void show_panic(struct console *c)
{
    const char *at = strstr(c->text.data, "PANIC on hart ");

    for (; at && *at; at++)
        if (*at != '\r')
            fputc(*at, stderr);
}

// What the machine last said: all there is to go by when it never got to speak frames.
static void show_last_lines(struct console *c)
{
    const char *end = c->text.data + c->text.len, *at = end;

    for (int lines = 0; at > c->text.data && lines < 12; at--)
        lines += at[-1] == '\n';
    for (; at < end; at++)
        if (*at == '\n' || *at == '\t' || ((unsigned char)*at >= 0x20 && *at != 0x7f))
            fputc(*at, stderr);
}

void console_fail_wait(struct console *c, enum wait_result r, const char *doing)
{
    terminal_restore();
    fflush(stdout);
    switch (r) {
    case WAIT_PANIC:
        if (!c->on_text)
            show_panic(c);
        console_fail(c, EXIT_PANIC, "the kernel panicked while %s", doing);
    case WAIT_CLOSED:
        if (!c->welcome && !c->on_text)
            show_last_lines(c);
        console_fail(c, c->welcome ? EXIT_PROTOCOL : EXIT_CONNECT, "%s ended while %s",
                     c->qemu ? "the machine" : "the line", doing);
    case WAIT_INTERRUPTED:
        console_fail(c, EXIT_INTERRUPTED, "interrupted while %s", doing);
    default:
        if (!c->welcome && !c->on_text)
            show_last_lines(c);
        console_fail(c, EXIT_TIMEOUT, "timeout while %s", doing);
    }
}
