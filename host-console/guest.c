// SPDX-License-Identifier: MIT
// Commands for the guest's shell; see the header.
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { TERMINAL_KEPT = 4 * 1024 * 1024 };
enum { LINE_MAX_TYPED = 4000 }; // canonical input holds 4096

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

// 'text' for the shell; what an editing shell would take as a key goes through printf.
static void quote(struct bytes *b, const char *s, size_t n)
{
    bool plain = true;
    char octal[8];

    for (size_t i = 0; i < n; i++)
        plain &= s[i] >= 0x20 && s[i] < 0x7f;
    bytes_add(b, plain ? "'" : "\"$(printf '", plain ? 1 : 11);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\'') {
            bytes_add(b, plain ? "'\\''" : "\\047", 4);
        } else if (plain || (s[i] >= 0x20 && s[i] < 0x7f && s[i] != '\\' && s[i] != '%')) {
            bytes_add(b, &s[i], 1);
        } else {
            snprintf(octal, sizeof octal, s[i] == '%' ? "%%%%" : "\\%03o", (unsigned char)s[i]);
            bytes_add(b, octal, strlen(octal));
        }
    }
    bytes_add(b, plain ? "'" : "')\"", plain ? 1 : 3);
}

int guest_start(struct console *c, struct guest_run *run, const char *command, size_t n)
{
    struct bytes line = {0};
    char part[128];
    uint32_t id[2] = {0};
    int r = -1;

    if (getrandom(id, sizeof id, 0) != sizeof id)
        id[0] = (uint32_t)clock_ms();
    *run = (struct guest_run){0};
    snprintf(run->begin, sizeof run->begin, "\nb%08x.%08x\n", id[0], id[1]);
    snprintf(run->end, sizeof run->end, "\ne%08x.%08x:", id[0], id[1]);
    bytes_add(&line, part,
              (size_t)snprintf(part, sizeof part, "printf '\\nb%%s.%%s\\n' %08x %08x; sh -c ",
                               id[0], id[1]));
    quote(&line, command, n);
    bytes_add(&line, part,
              (size_t)snprintf(part, sizeof part, "; printf '\\ne%%s.%%s:%%d:\\n' %08x %08x $?\r",
                               id[0], id[1]));
    if (line.len <= LINE_MAX_TYPED && console_type(c, line.data, line.len))
        r = 0;
    bytes_free(&line);
    return r;
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
    at = memmem(c->terminal.data, c->terminal.len, run->begin, strlen(run->begin));
    if (!at)
        return false;
    bytes_drop(&c->terminal, (size_t)(at - c->terminal.data) + strlen(run->begin));
    run->begun = true;
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
