// SPDX-License-Identifier: MIT
// transcript: a session at the prompt, kept in a file, is entered again and must come out the same.
//
//     # a comment
//     k[ro h4 t14]> k.harts            what is entered; the prompt may also be just "k>"
//     Hart#0 runs Task#*, * queued     "*" stands for any text within the line
//     ...                              for any number of lines
//     \# * ...                         behind a backslash nothing means more than it says
//     k> for i = 1, 2 do
//      ..> print(i) end                the next line of the same entry
//     1
//     2
#include "transcript.h"
#include "client.h"
#include "entry.h"
#include "report.h"
#include "verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *text; // of the file
static size_t text_n;

static void prepare(struct console *c, const struct options *o)
{
    FILE *f = fopen(o->args[0], "r");

    if (f)
        text_n = 0;
    if (!f || getdelim(&text, &text_n, 0, f) < 0)
        console_fail(c, EXIT_USAGE, "cannot read %s: %s", o->args[0],
                     f && feof(f) ? "it is empty" : strerror(errno));
    fclose(f);
}

// ---- matching

static bool glob(const char *pattern, const char *s)
{
    const char *star = NULL, *from = NULL;

    if (*pattern == '\\')
        return strcmp(pattern + 1, s) == 0;
    while (*s) {
        if (*pattern == '*') {
            star = ++pattern;
            from = s;
        } else if (*pattern == *s) {
            pattern++;
            s++;
        } else if (star) {
            pattern = star;
            s = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

struct lines {
    char **line;
    unsigned n;
};

static void add_line(struct lines *l, char *line)
{
    l->line = realloc(l->line, (l->n + 1) * sizeof *l->line);
    if (!l->line)
        abort();
    l->line[l->n++] = line;
}

static bool matches(const struct lines *want, const struct lines *got)
{
    unsigned w = 0, g = 0, dots = UINT32_MAX, from = 0;

    while (g < got->n) {
        if (w < want->n && strcmp(want->line[w], "...") == 0) {
            dots = ++w;
            from = g;
        } else if (w < want->n && glob(want->line[w], got->line[g])) {
            w++;
            g++;
        } else if (dots != UINT32_MAX) {
            w = dots;
            g = ++from;
        } else {
            return false;
        }
    }
    while (w < want->n && strcmp(want->line[w], "...") == 0)
        w++;
    return w == want->n;
}

// ---- running

static struct bytes output;

static void keep(struct console *c, const uint8_t *data, size_t n)
{
    (void)c;
    bytes_add(&output, data, n);
    for (char *p = output.data + output.len - n; p < output.data + output.len; p++)
        *p = *p ? *p : '?';
}

static void keep_result(struct console *c, const struct reply *reply)
{
    const char *shown;
    struct cbor_in error;
    size_t n;

    if (reply->ok && cbor_find_text(reply->result, "text", &shown, &n)) {
        keep(c, (const uint8_t *)shown, n);
    } else if (!reply->ok) {
        if (cbor_find(reply->result, "error", &error) &&
            cbor_find_text(error, "message", &shown, &n))
            keep(c, (const uint8_t *)shown, n);
        if (client_was_interrupted())
            console_fail(c, EXIT_INTERRUPTED, "interrupted");
    }
}

char *transcript_entered(char *line)
{
    char *at = strncmp(line, "k[", 2) == 0 ? strstr(line, "]> ") : NULL;

    if (at)
        return at + 3;
    return strncmp(line, "k> ", 3) == 0 ? line + 3 : NULL;
}

char *transcript_continued(char *line)
{
    char *at = line + strspn(line, " ");

    return strncmp(at, "..> ", 4) == 0 ? at + 4 : NULL;
}

static void split(struct lines *l, char *s)
{
    char *save = NULL;

    // Empty lines are not looked at, neither here nor in the file.
    for (char *at = strtok_r(s, "\n", &save); at; at = strtok_r(NULL, "\n", &save))
        add_line(l, at);
}

struct test {
    unsigned number, line, failed;
    char *first;
    struct lines want;
    bool open; // something was entered
};

static void diag(const char *what, const struct lines *l)
{
    printf("# %s\n", what);
    for (unsigned i = 0; i < l->n; i++)
        printf("#   %s\n", l->line[i]);
}

static void judge(struct test *t, const struct entry *e, const char *file)
{
    struct lines got = {0};
    bool good;

    if (!t->open)
        return;
    split(&got, output.len ? output.data : (char[]){""});
    good = matches(&t->want, &got) && e->chunk.len == 0;
    t->failed += !good;
    printf("%sok %u - %s:%u %s\n", good ? "" : "not ", ++t->number, file, t->line, t->first);
    if (!good && e->chunk.len)
        printf("# the entry is not complete\n");
    if (!good) {
        diag("expected", &t->want);
        diag("got", &got);
    }
    fflush(stdout);
    free(got.line);
    t->want.n = 0;
    t->open = false;
    output.len = 0;
}

static void enter(struct console *c, struct entry *e, const char *line)
{
    struct reply reply;
    char *said;

    switch (entry_line(c, e, line, strlen(line), NULL, &reply, &said)) {
    case ENTRY_SAID:
        bytes_add(&output, said, strlen(said));
        free(said);
        break;
    case ENTRY_REPLY:
        keep_result(c, &reply);
        break;
    case ENTRY_MORE:
        break;
    }
}

static int run_transcript(struct console *c, const struct options *o)
{
    struct test t = {0};
    struct entry e = {0};
    unsigned number = 0;
    char *save = text, *line, *at;

    console_connect(c);
    c->on_repl = keep;
    while ((line = strsep(&save, "\n"))) {
        number++;
        if ((at = transcript_entered(line))) {
            judge(&t, &e, o->args[0]);
            e.chunk.len = 0;
            t.line = number;
            t.first = at;
            t.open = true;
            enter(c, &e, at);
        } else if (t.open && e.chunk.len && (at = transcript_continued(line))) {
            enter(c, &e, at);
        } else if (*line && *line != '#') {
            if (!t.open)
                console_fail(c, EXIT_USAGE, "%s:%u: output before anything was entered", o->args[0],
                             number);
            add_line(&t.want, line);
        }
    }
    judge(&t, &e, o->args[0]);
    printf("1..%u\n", t.number);
    if (t.number == 0)
        fprintf(stderr, "kmon: %s enters nothing\n", o->args[0]);
    return t.number == 0 || t.failed ? EXIT_ASSERT : EXIT_OK;
}
VERB(transcript, .args = "FILE", .help = "a session at the prompt, entered again and compared; TAP",
     .needs = "a file", .least = 1, .most = 1, .prepare = prepare, .run = run_transcript);
