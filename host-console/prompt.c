// SPDX-License-Identifier: MIT
// The prompt; see the header.
#include "prompt.h"

#include "client.h"
#include "entry.h"
#include "record.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char prompt[64];
static struct entry entry;
static bool answering;

void prompt_refresh(struct console *c, unsigned ms)
{
    struct request q;
    struct reply reply;
    const char *mode = "ro";
    size_t n = 2;
    uint64_t harts = c->harts, tasks = 0, ns = 0;

    request_begin(&q, "status");
    if (client_try(c, &q, &reply, ms) && reply.ok) {
        cbor_find_text(reply.result, "mode", &mode, &n);
        cbor_find_uint(reply.result, "harts", &harts);
        cbor_find_uint(reply.result, "tasks", &tasks);
        cbor_find_uint(reply.result, "ns", &ns);
        snprintf(prompt, sizeof prompt, "k[%.*s h%u t%u]> ", (int)(n < 16 ? n : 16), mode,
                 (unsigned)harts, (unsigned)tasks);
    } else {
        snprintf(prompt, sizeof prompt, "k[busy]> ");
    }
    record_prompt(ns);
}

const char *prompt_text(void)
{
    static char more[64];

    if (entry.chunk.len == 0)
        return prompt;
    snprintf(more, sizeof more, "%*s", (int)strlen(prompt), "..> ");
    return more;
}

bool prompt_is_open(void)
{
    return entry.chunk.len != 0;
}

void prompt_give_up(struct console *c)
{
    entry.chunk.len = 0;
    record_give_up(c);
}

// What comes while the kernel answers belongs to the answer; what a job prints later does not.
void prompt_print(struct console *c, const uint8_t *data, size_t n)
{
    report_text((const char *)data, n);
    fflush(stdout);
    (answering ? record_output : record_aside)(c, data, n);
}

static void record_failure(struct console *c, struct cbor_in result)
{
    struct cbor_in error;
    const char *message;
    size_t n, size;
    char *more;

    if (!cbor_find(result, "error", &error))
        return;
    if (cbor_find_text(error, "message", &message, &n))
        record_output(c, message, n);
    record_answered(c);
    FILE *f = open_memstream(&more, &size);
    if (!f)
        abort();
    report_place(f, error);
    fclose(f);
    record_aside(c, more, size);
    free(more);
}

static void show_result(struct console *c, struct reply reply)
{
    const char *text;
    size_t n;

    if (!reply.ok) {
        record_failure(c, reply.result);
        report_failure(c, reply.result);
    } else if (cbor_find_text(reply.result, "text", &text, &n) && n) {
        report_text(text, n);
        if (text[n - 1] != '\n')
            putchar('\n');
        record_output(c, text, n);
    }
}

static void (*begin_more)(struct console *c);

static void answer_begins(struct console *c)
{
    record_entered(c);
    answering = true;
    if (begin_more)
        begin_more(c);
}

void prompt_take(struct console *c, const char *line, size_t n, void (*begin)(struct console *c))
{
    struct reply reply;
    char *said;

    begin_more = begin;
    record_line(prompt_text(), line, n);
    switch (entry_line(c, &entry, line, n, answer_begins, &reply, &said)) {
    case ENTRY_SAID:
        puts(said);
        record_entered(c);
        record_output(c, said, strlen(said));
        free(said);
        break;
    case ENTRY_REPLY:
        show_result(c, reply);
        break;
    case ENTRY_MORE:
        return;
    }
    record_answered(c);
    answering = false;
}
