// SPDX-License-Identifier: MIT
// record: the terminal and the prompt, written down as they are used; see the header.
#include "record.h"

#include "client.h"
#include "prompt.h"
#include "terminal.h"
#include "transcript.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MARK_MS = 20,        // what comes within that is shown at once
    PATIENCE_MS = 10000, // nobody waits for the prompt
};

static FILE *out;
static const char *name;
static uint64_t begun_ms, marked_ms;
static uint64_t guest; // ns, when the prompt was shown; 0: it is not known
static struct bytes entry, unfinished[2];

static void flush(struct console *c)
{
    if (fflush(out) != 0 || ferror(out)) {
        int error = errno;
        out = NULL;
        console_fail(c, EXIT_USAGE, "cannot write %s: %s", name, strerror(error));
    }
}

void record_to(struct console *c, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

    name = path;
    out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!out)
        console_fail(c, EXIT_USAGE, "cannot write %s: %s", path, strerror(errno));
}

// What was in the file stays there until something takes its place.
static void begin(struct console *c)
{
    if (ftruncate(fileno(out), 0) < 0 && errno != EINVAL)
        console_fail(c, EXIT_USAGE, "cannot write %s: %s", name, strerror(errno));
    begun_ms = clock_ms();
    fputs(RECORD_HEAD "\n", out);
    flush(c);
}

static void mark(bool guest_too)
{
    uint64_t ms = clock_ms() - begun_ms;

    if (!guest_too && ms < marked_ms + MARK_MS)
        return;
    marked_ms = ms;
    fprintf(out, "#@ %llu.%03llu", (unsigned long long)ms / 1000, (unsigned long long)ms % 1000);
    if (guest_too && guest)
        fprintf(out, " guest %llu.%09llu", (unsigned long long)guest / 1000000000,
                (unsigned long long)guest % 1000000000);
    fputc('\n', out);
}

// ---- output

// A line of output that a transcript would take for something else, or for a pattern.
static bool ambiguous(char *line)
{
    return *line == '#' || *line == '\\' || strchr(line, '*') || strcmp(line, "...") == 0 ||
           transcript_entered(line) || transcript_continued(line);
}

static void put_line(bool aside, char *line)
{
    if (aside)
        fprintf(out, "#> %s\n", line);
    else
        fprintf(out, "%s%s\n", ambiguous(line) ? "\\" : "", line);
}

static void put_lines(bool aside, const char *data, size_t n, bool all)
{
    struct bytes *b = &unfinished[aside];
    char *end;

    bytes_add(b, data, n);
    for (size_t i = b->len - n; i < b->len; i++)
        if (b->data[i] == 0)
            b->data[i] = '?'; // as a transcript does
    mark(false);
    while (b->len && ((end = memchr(b->data, '\n', b->len)) || all)) {
        size_t len = end ? (size_t)(end - b->data) : b->len;
        b->data[len] = 0;
        if (aside)
            b->data[strcspn(b->data, "\r")] = 0;
        put_line(aside, b->data);
        bytes_drop(b, len + (end != NULL));
    }
}

void record_output(struct console *c, const void *data, size_t n)
{
    if (!out)
        return;
    put_lines(false, data, n, false);
    flush(c);
}

void record_aside(struct console *c, const void *data, size_t n)
{
    if (!out || n == 0)
        return;
    put_lines(true, data, n, true);
    flush(c);
}

void record_answered(struct console *c)
{
    if (!out || unfinished[0].len == 0)
        return;
    put_lines(false, "", 0, true);
    flush(c);
}

void record_terminal(struct console *c, const void *data, size_t n)
{
    const unsigned char *p = data;

    if (!out || n == 0)
        return;
    mark(false);
    fputs("#] ", out);
    for (size_t i = 0; i < n; i++)
        if (p[i] == '\r' || p[i] == '\n')
            fputs(p[i] == '\r' ? "\\r" : "\\n", out);
        else if (p[i] < 0x20 || p[i] >= 0x7f || p[i] == '\\')
            fprintf(out, "\\x%02x", p[i]);
        else
            fputc(p[i], out);
    fputc('\n', out);
    flush(c);
}

// ---- entries

void record_prompt(uint64_t guest_ns)
{
    guest = guest_ns;
}

void record_line(const char *prompt, const char *line, size_t n)
{
    if (!out)
        return;
    bytes_add(&entry, prompt, strlen(prompt));
    bytes_add(&entry, line, n);
    bytes_add(&entry, "\n", 1);
}

void record_entered(struct console *c)
{
    if (!out)
        return;
    mark(true);
    fwrite(entry.data, 1, entry.len, out);
    entry.len = 0;
    flush(c);
}

void record_give_up(struct console *c)
{
    size_t len = entry.len;

    entry.len = 0;
    if (out && len)
        record_aside(c, entry.data, len);
}

// ---- the verb

static struct bytes typed; // stdin, when it is no terminal

static void prepare(struct console *c, const struct options *o)
{
    char buf[8192];
    ssize_t n;

    while (!isatty(STDIN_FILENO) && (n = console_read_stdin(c, buf, sizeof buf)) > 0)
        bytes_add(&typed, buf, (size_t)n);
    record_to(c, o->args[0]);
}

// What is typed is seen, as on a terminal.
static int enter_all(struct console *c)
{
    char *save = typed.data, *line;

    console_connect(c);
    c->on_repl = prompt_print;
    while ((line = strsep(&save, "\n"))) {
        if (!*line && !prompt_is_open())
            continue;
        if (!prompt_is_open())
            prompt_refresh(c, PATIENCE_MS);
        printf("%s%s\n", prompt_text(), line);
        prompt_take(c, line, strlen(line), NULL);
        fflush(stdout);
        if (client_was_interrupted())
            console_fail(c, EXIT_INTERRUPTED, "interrupted");
    }
    if (prompt_is_open())
        console_fail(c, EXIT_USAGE, "the last entry is not complete");
    return EXIT_OK;
}

static int run_record(struct console *c, const struct options *o)
{
    (void)o;
    begin(c);
    return isatty(STDIN_FILENO) ? terminal_verb(c) : enter_all(c);
}
VERB(record, .args = "FILE",
     .help = "as tty, and writes down what is entered and shown; or enters lines of stdin",
     .needs = "a file to write", .least = 1, .most = 1, .endless = true, .prepare = prepare,
     .run = run_record);
