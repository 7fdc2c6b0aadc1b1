// SPDX-License-Identifier: MIT
// eval, exec, run, check, sh, tty.
#include "verbs.h"

#include "client.h"
#include "guest.h"
#include "report.h"
#include "terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_repl(struct console *c, const uint8_t *data, size_t n)
{
    (void)c;
    report_text((const char *)data, n);
    fflush(stdout);
}

static void print_log(struct console *c, const uint8_t *data, size_t n)
{
    if (c->verbose)
        fwrite(data, 1, n, stderr);
}

static struct reply evaluate(struct console *c, const char *mode, const char *chunk,
                             const char *source, size_t n, char *const *args, unsigned nargs)
{
    struct request q;

    c->on_repl = print_repl;
    request_begin(&q, "eval");
    request_text(&q, "source", source, n);
    request_text(&q, "chunk", chunk, strlen(chunk));
    request_text(&q, "mode", mode, strlen(mode));
    request_words(&q, "args", args, nargs);
    return client_finish(c, &q, "the script ran");
}

static int show_json(struct cbor_in result)
{
    struct cbor_in at;
    json_t *value = cbor_find(result, "value", &at) ? report_json(&at) : json_null();
    char *line = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

    puts(line ? line : "null");
    free(line);
    json_decref(value);
    return EXIT_OK;
}

static int verb_eval(struct console *c, const struct options *o)
{
    struct reply reply;
    const char *text;
    size_t n;

    console_connect(c);
    reply = evaluate(c, o->json ? "json" : "text", "=k", o->args[0], strlen(o->args[0]), NULL, 0);
    if (!reply.ok)
        return report_failure(c, reply.result);
    if (o->json)
        return show_json(reply.result);
    if (cbor_find_text(reply.result, "text", &text, &n)) {
        report_text(text, n);
        if (n == 0 || text[n - 1] != '\n')
            putchar('\n');
    }
    return EXIT_OK;
}

// A whole file, "-" for stdin.
static struct bytes script;

static void read_script(struct console *c, const char *name)
{
    char buf[8192];
    bool is_stdin = strcmp(name, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(name, "rb");
    size_t n;

    if (!f)
        console_fail(c, EXIT_USAGE, "cannot read %s: %s", name, strerror(errno));
    while ((n = fread(buf, 1, sizeof buf, f)) > 0)
        bytes_add(&script, buf, n);
    if (ferror(f))
        console_fail(c, EXIT_USAGE, "cannot read %s: %s", name, strerror(errno));
    if (!is_stdin)
        fclose(f);
    if (script.len > RPC_MESSAGE - 1024)
        console_fail(c, EXIT_USAGE, "%s: a script has at most %d bytes", name, RPC_MESSAGE - 1024);
}

void verb_prepare(struct console *c, const struct options *o)
{
    if (strcmp(o->verb, "exec") == 0 || strcmp(o->verb, "run") == 0 ||
        strcmp(o->verb, "check") == 0)
        read_script(c, o->args[0]);
}

static struct reply run_script(struct console *c, const struct options *o, const char *mode)
{
    const char *name = o->args[0];
    char chunk[512];

    snprintf(chunk, sizeof chunk, strcmp(name, "-") ? "@%s" : "=stdin", name);
    calls_set_script(name, o->args + 1, (unsigned)(o->nargs - 1));
    console_connect(c);
    return evaluate(c, mode, chunk, script.data ? script.data : "", script.len, o->args + 1,
                    (unsigned)(o->nargs - 1));
}

static int verb_run(struct console *c, const struct options *o)
{
    struct reply reply = run_script(c, o, "script");

    return reply.ok ? EXIT_OK : (int)report_failure(c, reply.result);
}

static int verb_check(struct console *c, const struct options *o)
{
    struct reply reply = run_script(c, o, "check");
    uint64_t tests = 0, failed = 0;

    if (!reply.ok)
        return report_failure(c, reply.result);
    cbor_find_uint(reply.result, "tests", &tests);
    cbor_find_uint(reply.result, "failed", &failed);
    if (tests == 0)
        fprintf(stderr, "kmon: %s made no test\n", o->args[0]);
    return tests == 0 || failed ? EXIT_ASSERT : EXIT_OK;
}

static int verb_sh(struct console *c, const struct options *o)
{
    struct guest_run run;
    enum wait_result r;
    bool interrupted = false;

    console_connect(c);
    if (guest_start(c, &run, o->args[0], strlen(o->args[0])) < 0)
        console_fail(c, EXIT_USAGE, "the command line is longer than 60000 bytes");
    run.stream = true;
    while ((r = console_wait(c, guest_ended, &run, UINT64_MAX)) == WAIT_INTERRUPTED) {
        if (interrupted || !run.begun)
            console_fail(c, EXIT_INTERRUPTED, "interrupted");
        console_type(c, "\3", 1);
        interrupted = true;
    }
    fflush(stdout);
    if (r == WAIT_TIMEOUT && !run.begun)
        console_fail(c, EXIT_TIMEOUT, "timeout: no shell of the guest took the command");
    if (r != WAIT_OK)
        console_fail_wait(c, r, "the command ran");
    return interrupted ? EXIT_INTERRUPTED : run.status;
}

static int verb_tty(struct console *c, const struct options *o)
{
    (void)o;
    return terminal_verb(c);
}

static const struct verb verbs[] = {
    {"tty", verb_tty, 0, 0, true},       {"eval", verb_eval, 1, 1, false},
    {"exec", verb_run, 1, -1, false},    {"run", verb_run, 1, -1, false},
    {"check", verb_check, 1, -1, false}, {"sh", verb_sh, 1, 1, false},
};

const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

void verb_hooks(struct console *c)
{
    c->on_log = print_log;
}
