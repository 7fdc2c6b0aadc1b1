// SPDX-License-Identifier: MIT
// eval and watch: expressions.
#include "client.h"
#include "report.h"
#include "shorthand.h"
#include "terminal.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct reply evaluate(struct console *c, const char *mode, const char *source)
{
    struct request q;

    c->on_repl = report_print;
    request_begin(&q, "eval");
    request_text(&q, "source", source, strlen(source));
    request_text(&q, "chunk", "=k", 2);
    request_text(&q, "mode", mode, strlen(mode));
    return client_finish(c, &q, "the script ran");
}

static void put_json(struct cbor_in *at)
{
    json_t *value = at ? report_json(at) : json_null();
    char *line = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

    puts(line ? line : "null");
    free(line);
    json_decref(value);
}

// A line for each value.
static int show_json(struct cbor_in result)
{
    struct cbor_in at;
    struct cbor_item more;

    put_json(cbor_find(result, "value", &at) ? &at : NULL);
    if (cbor_find(result, "more", &at) && cbor_next(&at, &more) && more.type == CBOR_ARRAY)
        while (more.n-- && !at.bad)
            put_json(&at);
    return EXIT_OK;
}

// What "k.tasks?" asks, as at the prompt.
static struct reply ask_help(struct console *c, const char *source)
{
    struct request q;

    request_begin(&q, "help");
    request_text(&q, "text", source, strlen(source) - 1);
    return client_finish(c, &q, "help was asked");
}

static bool is_question(const char *source)
{
    size_t n = strlen(source);

    return n > 0 && source[n - 1] == '?';
}

// Evaluates and prints. The exit code.
static int show(struct console *c, const char *source, bool json)
{
    bool help = is_question(source);
    struct reply reply = help ? ask_help(c, source) : evaluate(c, json ? "json" : "text", source);
    const char *text;
    size_t n;

    if (!reply.ok)
        return report_failure(c, reply.result);
    if (json && !help)
        return show_json(reply.result);
    if (cbor_find_text(reply.result, "text", &text, &n)) {
        report_text(text, n);
        if (n == 0 || text[n - 1] != '\n')
            putchar('\n');
    }
    return EXIT_OK;
}

// ":ps" stands for Lua here as at the prompt.
static const char *source_of(struct console *c, const char *text)
{
    enum shorthand what;
    char *lua;

    if (*text != ':' || text[1] == ':')
        return text;
    what = shorthand(text, strlen(text), &lua);
    if (what == SHORTHAND_WRONG)
        console_fail(c, EXIT_USAGE, "%s", lua);
    if (what == SHORTHAND_SAY) {
        puts(lua);
        exit(EXIT_OK); // no kernel is needed for it
    }
    return lua;
}

static const char *expression;

static void prepare(struct console *c, const struct options *o)
{
    expression = source_of(c, o->args[0]);
    if (strlen(expression) > RPC_MESSAGE - 1024)
        console_fail(c, EXIT_USAGE, "an expression has at most %d bytes", RPC_MESSAGE - 1024);
}

static int run_eval(struct console *c, const struct options *o)
{
    console_connect(c);
    return show(c, expression, option_value(o, "--json") != NULL);
}

static const struct verb_option eval_options[] = {
    {"--json", NULL, "the value as one line of JSON"},
    {0},
};
VERB(eval, .args = "EXPR", .help = "a Lua expression, statement or :shorthand in the kernel",
     .needs = "an expression", .options = eval_options, .least = 1, .most = 1, .prepare = prepare,
     .run = run_eval);

// ---- watch

static uint64_t every_ms = 1000;

static void prepare_watch(struct console *c, const struct options *o)
{
    const char *every = option_value(o, "-n"), *until = option_value(o, "--until");

    prepare(c, o);
    if (every)
        every_ms = option_seconds(c, "-n", every);
    if (until && !*until)
        console_fail(c, EXIT_USAGE, "--until needs an expression");
}

// True, false, or the exit code of an error in *code.
static bool holds(struct console *c, const char *condition, int *code)
{
    char *source;
    struct reply reply;
    bool yes = false;

    if (asprintf(&source, "return not not (%s\n)", condition) < 0)
        abort();
    reply = evaluate(c, "json", source);
    free(source);
    *code = reply.ok ? EXIT_OK : (int)report_failure(c, reply.result);
    return reply.ok && cbor_find_bool(reply.result, "value", &yes) && yes;
}

static bool never(struct console *c, void *arg)
{
    (void)c;
    (void)arg;
    return false;
}

// On a terminal the new value takes the old one's place.
// ^C came, although what ran then may have been through already.
static void stop_if_interrupted(struct console *c, int code)
{
    if (!code && client_was_interrupted())
        console_fail_wait(c, WAIT_INTERRUPTED, "watching");
}

static int run_watch(struct console *c, const struct options *o)
{
    const char *until = option_value(o, "--until");
    bool json = option_value(o, "--json") != NULL, redraw = !json && isatty(STDOUT_FILENO);
    int code = EXIT_OK;

    console_connect(c);
    for (uint64_t next = clock_ms();;) {
        if (redraw)
            fputs("\33[H\33[2J", stdout);
        code = show(c, expression, json);
        fflush(stdout);
        stop_if_interrupted(c, code);
        if (code || (until && (holds(c, until, &code) || code)))
            return code;
        stop_if_interrupted(c, code);
        next += every_ms;
        if (next < clock_ms())
            next = clock_ms();
        enum wait_result r = console_wait(c, never, NULL, next);
        if (r != WAIT_TIMEOUT || clock_ms() >= c->deadline_ms)
            console_fail_wait(c, r, "watching");
    }
}

static const struct verb_option watch_options[] = {
    {"-n", "SECONDS", "how often (1)"},
    {"--until", "EXPR", "ends, with status 0, when this is true"},
    {"--json", NULL, "each value as one line of JSON"},
    {0},
};
VERB(watch, .args = "EXPR", .help = "the same again and again", .needs = "an expression",
     .options = watch_options, .least = 1, .most = 1, .prepare = prepare_watch, .run = run_watch,
     .endless = true);
