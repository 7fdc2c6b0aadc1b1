// SPDX-License-Identifier: MIT
// replay: shows a recording (record.h) as it was, at its speed or at once. It needs no kernel.
#include "record.h"
#include "verbs.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *text;

static void prepare(struct console *c, const struct options *o)
{
    const char *name = o->args[0];
    FILE *f = fopen(name, "r");
    size_t size = 0;

    if (!f || (getdelim(&text, &size, 0, f) < 0 && !feof(f)))
        console_fail(c, EXIT_USAGE, "cannot read %s: %s", name, strerror(errno));
    fclose(f);
    if (!text || strncmp(text, RECORD_HEAD "\n", sizeof RECORD_HEAD) != 0)
        console_fail(c, EXIT_USAGE, "%s is no recording: it does not begin with \"%s\"", name,
                     RECORD_HEAD);
}

static bool never(struct console *c, void *arg)
{
    (void)c;
    (void)arg;
    return false;
}

static void wait_until(struct console *c, uint64_t ms)
{
    enum wait_result r;

    fflush(stdout);
    r = console_wait(c, never, NULL, ms);
    if (r == WAIT_INTERRUPTED)
        console_fail(c, EXIT_INTERRUPTED, "interrupted");
    if (clock_ms() >= c->deadline_ms)
        console_fail_wait(c, r, "replaying");
}

// "12.345", and perhaps what the guest's clock said: milliseconds. False: it is none.
static bool time_of(const char *s, uint64_t *ms)
{
    char *end;
    double v = strtod(s, &end);

    if (!isdigit((unsigned char)*s) || !(v >= 0 && v < 1e9))
        return false;
    *ms = (uint64_t)(v * 1000 + 0.5);
    return *end == 0 || strncmp(end, " guest ", 7) == 0;
}

static int digit(char ch)
{
    const char *all = "0123456789abcdef", *at = ch ? strchr(all, ch) : NULL;

    return at ? (int)(at - all) : -1;
}

// Bytes of the user's terminal. False: not as record writes them.
static bool decode(const char *s, struct bytes *into)
{
    char byte;

    for (into->len = 0; *s; s++) {
        byte = *s;
        if (byte == '\\' && (s[1] == 'n' || s[1] == 'r')) {
            byte = *++s == 'n' ? '\n' : '\r';
        } else if (byte == '\\') {
            if (s[1] != 'x' || digit(s[2]) < 0 || digit(s[3]) < 0)
                return false;
            byte = (char)(16 * digit(s[2]) + digit(s[3]));
            s += 3;
        }
        bytes_add(into, &byte, 1);
    }
    return true;
}

// A line of the recording. False: it is not well formed.
static bool show_line(struct console *c, const char *line, uint64_t begun, bool fast)
{
    static struct bytes shown;
    uint64_t ms;

    if (strncmp(line, "#@ ", 3) == 0) {
        if (!time_of(line + 3, &ms))
            return false;
        if (!fast)
            wait_until(c, begun + ms);
    } else if (strncmp(line, "#] ", 3) == 0) {
        if (!decode(line + 3, &shown))
            return false;
        fwrite(shown.data, 1, shown.len, stdout);
    } else if (strncmp(line, "#> ", 3) == 0) {
        puts(line + 3);
    } else if (*line != '#') {
        puts(line + (*line == '\\'));
    }
    return true;
}

static int run_replay(struct console *c, const struct options *o)
{
    bool fast = option_value(o, "--fast") != NULL;
    uint64_t begun = clock_ms();
    char *rest = text, *line;

    if (o->timeout_ms != UINT64_MAX)
        c->deadline_ms = begun + o->timeout_ms;
    for (unsigned number = 1; (line = strsep(&rest, "\n")); number++) {
        if (!rest && !*line)
            break; // behind the last line feed
        if (!show_line(c, line, begun, fast))
            console_fail(c, EXIT_USAGE, "%s:%u: \"%.60s\" is not well formed", o->args[0], number,
                         line);
    }
    return EXIT_OK;
}

static const struct verb_option options[] = {
    {"--fast", NULL, "at once, not at its speed"},
    {0},
};
VERB(replay, .args = "FILE", .help = "shows what record wrote down", .needs = "a file",
     .options = options, .least = 1, .most = 1, .endless = true, .offline = true,
     .prepare = prepare, .run = run_replay);
