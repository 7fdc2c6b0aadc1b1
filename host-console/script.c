// SPDX-License-Identifier: MIT
// exec, run and check: whole files.
#include "client.h"
#include "files.h"
#include "report.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_MS = 100 };

static struct bytes script;

const struct bytes *files_script(void)
{
    return &script;
}

// False, with errno: it cannot be read.
static bool read_all(struct console *c, const char *name)
{
    bool is_stdin = strcmp(name, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    char buf[8192];
    ssize_t n = fd < 0 ? -1 : 1;

    script.len = 0;
    if (!is_stdin)
        files_note(name);
    while (n > 0 && script.len <= RPC_MESSAGE) {
        n = is_stdin ? console_read_stdin(c, buf, sizeof buf) : read(fd, buf, sizeof buf);
        bytes_add(&script, buf, n > 0 ? (size_t)n : 0);
    }
    int why = errno;
    if (fd >= 0 && !is_stdin)
        close(fd);
    errno = why;
    return n >= 0;
}

// "-" for stdin. NULL, or what is wrong with it.
static const char *load(struct console *c, const char *name)
{
    static char why[512];

    if (!read_all(c, name)) {
        snprintf(why, sizeof why, "cannot read %.300s: %s", name, strerror(errno));
        return why;
    }
    snprintf(why, sizeof why,
             "%.300s: a script has at most %d bytes; put parts of it into modules (require)", name,
             RPC_MESSAGE - 1024);
    return script.len > RPC_MESSAGE - 1024 ? why : NULL;
}

static void prepare(struct console *c, const struct options *o)
{
    const char *why;

    if (option_value(o, "--watch") && strcmp(o->args[0], "-") == 0)
        console_fail(c, EXIT_USAGE, "--watch needs a file, not stdin");
    why = load(c, o->args[0]);
    if (why)
        console_fail(c, EXIT_USAGE, "%s", why);
}

static struct reply evaluate(struct console *c, const struct options *o, const char *mode)
{
    const char *name = o->args[0];
    struct request q;
    char chunk[512];

    snprintf(chunk, sizeof chunk, strcmp(name, "-") ? "@%s" : "=stdin", name);
    calls_set_script(name, o->args + 1, (unsigned)(o->nargs - 1));
    c->on_repl = report_print;
    request_begin(&q, "eval");
    request_text(&q, "source", script.data ? script.data : "", script.len);
    request_text(&q, "chunk", chunk, strlen(chunk));
    request_text(&q, "mode", mode, strlen(mode));
    request_words(&q, "args", o->args + 1, (unsigned)(o->nargs - 1));
    return client_finish(c, &q, "the script ran");
}

static int run_once(struct console *c, const struct options *o)
{
    struct reply reply = evaluate(c, o, "script");

    return reply.ok ? EXIT_OK : (int)report_failure(c, reply.result);
}

// ---- --watch

static bool changed(struct console *c, void *arg)
{
    (void)c;
    (void)arg;
    return files_changed();
}

// ^C ends a script that runs; while none does, it ends kmon.
static void await_change(struct console *c)
{
    enum wait_result r;

    do
        r = console_wait(c, changed, NULL, clock_ms() + LOOK_MS);
    while (r == WAIT_TIMEOUT && clock_ms() < c->deadline_ms);
    if (r == WAIT_INTERRUPTED)
        console_fail(c, EXIT_INTERRUPTED, "interrupted");
    if (r != WAIT_OK)
        console_fail_wait(c, r, "watching the script");
}

static int run_again_and_again(struct console *c, const struct options *o)
{
    for (;;) {
        int code = run_once(c, o);
        fflush(stdout);
        fprintf(stderr, "kmon: %s ended with %d; it runs again when it changes\n", o->args[0],
                code);
        await_change(c);
        files_forget();
        const char *why = load(c, o->args[0]);
        if (why)
            console_fail(c, EXIT_USAGE, "%s", why);
    }
}

static int run_run(struct console *c, const struct options *o)
{
    console_connect(c);
    return option_value(o, "--watch") ? run_again_and_again(c, o) : run_once(c, o);
}

static const struct verb_option run_options[] = {
    {"--watch", NULL, "again each time the script, or a module it read, changes"},
    {0},
};
VERB(run, .args = "FILE|- [ARG ...]", .help = "a script", .needs = "a file", .options = run_options,
     .least = 1, .most = -1, .prepare = prepare, .run = run_run);

static int run_exec(struct console *c, const struct options *o)
{
    console_connect(c);
    return run_once(c, o);
}
VERB(exec, .args = "FILE|- [ARG ...]", .help = "the same", .needs = "a file", .least = 1,
     .most = -1, .prepare = prepare, .run = run_exec);

static int run_check(struct console *c, const struct options *o)
{
    struct reply reply;
    uint64_t tests = 0, failed = 0;

    console_connect(c);
    reply = evaluate(c, o, "check");
    if (!reply.ok)
        return report_failure(c, reply.result);
    cbor_find_uint(reply.result, "tests", &tests);
    cbor_find_uint(reply.result, "failed", &failed);
    if (tests == 0)
        fprintf(stderr, "kmon: %s made no test\n", o->args[0]);
    return tests == 0 || failed ? EXIT_ASSERT : EXIT_OK;
}
VERB(check, .args = "FILE|- [ARG ...]", .help = "a script of tests; prints TAP", .needs = "a file",
     .least = 1, .most = -1, .prepare = prepare, .run = run_check);
