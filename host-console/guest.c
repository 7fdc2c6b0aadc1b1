// SPDX-License-Identifier: MIT
// Commands for the guest's shell; see the header.
#include "guest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { TERMINAL_KEPT = 4 * 1024 * 1024 };
// BusyBox's line editor takes 1023 bytes; the words around a piece are shorter than 200.
enum { PIECE_MAX = 700, COMMAND_MAX = 60000 };

// CR LF becomes LF; a lone CR stays.
void guest_saw(struct console *c, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (c->terminal_cr && data[i] != '\n')
            bytes_add(&c->terminal, "\r", 1);
        c->terminal_cr = data[i] == '\r';
        if (!c->terminal_cr)
            bytes_add(&c->terminal, &data[i], 1);
    }
    if (c->terminal.len > 2 * TERMINAL_KEPT)
        bytes_drop(&c->terminal, c->terminal.len - TERMINAL_KEPT);
}

static void add_text(struct bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add_text(struct bytes *b, const char *fmt, ...)
{
    char part[200];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(part, sizeof part, fmt, ap);
    va_end(ap);
    bytes_add(b, part, (size_t)n);
}

static bool is_plain(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] < 0x20 || s[i] >= 0x7f)
            return false;
    return true;
}

static void quote(struct bytes *b, const char *s, size_t n)
{
    bytes_add(b, "'", 1);
    for (size_t i = 0; i < n; i++)
        bytes_add(b, s[i] == '\'' ? "'\\''" : &s[i], s[i] == '\'' ? 4 : 1);
    bytes_add(b, "'", 1);
}

// As much of the command as a line can hold, appended to a variable of the shell by a printf: an
// editing shell would take control bytes as keys. The x keeps line feeds at the end alive. The line
// reports its number, so that the next one is typed only when the shell has taken this one.
static size_t add_piece(struct bytes *b, const char *s, size_t n, const uint32_t id[2],
                        unsigned number)
{
    size_t from = b->len, i;

    add_text(b, "_%08x=\"$_%08x$(printf '", id[0], id[0]);
    for (i = 0; i < n && b->len - from < PIECE_MAX; i++) {
        if (s[i] == '%')
            add_text(b, "%%%%");
        else if (is_plain(&s[i], 1) && s[i] != '\'' && s[i] != '\\')
            bytes_add(b, &s[i], 1);
        else
            add_text(b, "\\%03o", (unsigned char)s[i]);
    }
    add_text(b, "x')\"; _%08x=${_%08x%%x}; printf '\\na%%s.%%s:%%d:\\n' %08x %08x %u\r", id[0],
             id[0], id[0], id[1], number);
    return i;
}

static void type_line(struct console *c, struct guest_run *run)
{
    char *end = memchr(run->typing.data, '\r', run->typing.len);
    size_t n = end ? (size_t)(end - run->typing.data) + 1 : 0;

    // Before the connection begins keys may have to wait; they are typed when console_wait looks again.
    if (n && console_type(c, run->typing.data, n)) {
        bytes_drop(&run->typing, n);
        run->lines++;
    }
}

int guest_start(struct console *c, struct guest_run *run, const char *command, size_t n)
{
    uint32_t id[2] = {0};
    unsigned number = 1;

    if (n > COMMAND_MAX)
        return -1;
    if (getrandom(id, sizeof id, 0) != sizeof id)
        id[0] = (uint32_t)clock_ms();
    *run = (struct guest_run){0};
    snprintf(run->begin, sizeof run->begin, "\nb%08x.%08x\n", id[0], id[1]);
    snprintf(run->end, sizeof run->end, "\ne%08x.%08x:", id[0], id[1]);
    snprintf(run->taken, sizeof run->taken, "\na%08x.%08x:", id[0], id[1]);
    // ^E ^U: half a line that stands there, of a person or of a HELLO that came too early, is no part of it. ^Q: output
    // that was stopped goes on; an editor that takes the key itself takes it for a quote of the letter behind.
    bytes_add(&run->typing, "\5\25\21", 3);
    bool whole = n <= PIECE_MAX / 2 && is_plain(command, n);
    for (size_t at = 0; !whole && at < n; number++)
        at += add_piece(&run->typing, command + at, n - at, id, number);
    add_text(&run->typing, "printf '\\nb%%s.%%s\\n' %08x %08x; sh -c ", id[0], id[1]);
    if (whole)
        quote(&run->typing, command, n);
    else
        add_text(&run->typing, "\"$_%08x\"", id[0]);
    add_text(&run->typing, "; printf '\\ne%%s.%%s:%%d:\\n' %08x %08x $?; unset _%08x\r", id[0],
             id[1], id[0]);
    type_line(c, run);
    return 0;
}

static void take_output(struct console *c, struct guest_run *run, size_t n)
{
    if (run->stream)
        fwrite(c->terminal.data, 1, n, stdout);
    else
        bytes_add(&run->output, c->terminal.data, n);
    bytes_drop(&c->terminal, n);
}

// How many bytes at the end of the terminal's text could be the beginning of the mark.
static size_t could_begin(const struct bytes *b, const char *mark)
{
    size_t len = strlen(mark);

    for (size_t n = b->len < len ? b->len : len; n > 0; n--)
        if (memcmp(b->data + b->len - n, mark, n) == 0)
            return n;
    return 0;
}

bool guest_begun(struct console *c, void *arg)
{
    struct guest_run *run = arg;
    char *at;

    if (run->begun)
        return true;
    if (run->typing.len) {
        char taken[64];
        snprintf(taken, sizeof taken, "%s%u:\n", run->taken, run->lines);
        if (run->lines == 0 || memmem(c->terminal.data, c->terminal.len, taken, strlen(taken)))
            type_line(c, run);
        return false;
    }
    at = memmem(c->terminal.data, c->terminal.len, run->begin, strlen(run->begin));
    if (!at)
        return false;
    bytes_drop(&c->terminal, (size_t)(at - c->terminal.data) + strlen(run->begin));
    run->begun = true;
    bytes_free(&run->typing);
    return true;
}

bool guest_ended(struct console *c, void *arg)
{
    struct guest_run *run = arg;
    size_t mark = strlen(run->end);
    char *at, *colon;

    if (run->ended || !guest_begun(c, run))
        return run->ended;
    at = memmem(c->terminal.data, c->terminal.len, run->end, mark);
    if (!at) {
        take_output(c, run, c->terminal.len - could_begin(&c->terminal, run->end));
        if (run->stream)
            fflush(stdout);
        return false;
    }
    take_output(c, run, (size_t)(at - c->terminal.data));
    colon = memmem(c->terminal.data + mark, c->terminal.len - mark, ":\n", 2);
    if (!colon)
        return false;
    run->status = (int)strtol((const char *)c->terminal.data + mark, NULL, 10);
    bytes_drop(&c->terminal, (size_t)(colon + 2 - c->terminal.data));
    run->ended = true;
    return true;
}
