// SPDX-License-Identifier: MIT
// Entries at the prompt; see the header.
#include "entry.h"

#include "pattern.h"
#include "shorthand.h"

#include <stdlib.h>
#include <string.h>

static struct reply ask_help(struct console *c, const char *what, size_t n)
{
    struct request q;

    request_begin(&q, "help");
    request_text(&q, "text", what, n);
    return client_finish(c, &q, "the prompt was open");
}

static struct reply ask(struct console *c, const char *source, size_t n)
{
    struct request q;

    request_begin(&q, "eval");
    request_text(&q, "source", source, n);
    request_text(&q, "chunk", "=k", 2);
    request_text(&q, "mode", "text", 4);
    return client_finish(c, &q, "the prompt was open");
}

enum entry_state entry_line(struct console *c, struct entry *e, const char *line, size_t n,
                            void (*begin)(struct console *c), struct reply *reply, char **said)
{
    bool first = e->chunk.len == 0 && n > 0;
    char *text;

    if (first && line[0] == ':') {
        if (shorthand(line, n, said) != SHORTHAND_RUN)
            return ENTRY_SAID;
        text = *said;
    } else if (first && line[n - 1] == '?') {
        text = NULL;
    } else {
        bytes_add(&e->chunk, line, n);
        if (pattern_chunk(e->chunk.data, e->chunk.len) == CHUNK_MORE) {
            bytes_add(&e->chunk, "\n", 1);
            return ENTRY_MORE;
        }
        text = strdup(e->chunk.data);
        e->chunk.len = 0;
        if (!text)
            abort();
    }
    if (begin)
        begin(c);
    *reply = text ? ask(c, text, strlen(text)) : ask_help(c, line, n - 1);
    free(text);
    return ENTRY_REPLY;
}
