// SPDX-License-Identifier: MIT
// events: what trace points tell, as it comes (k.events in the kernel, channel events of the wire).
#include "client.h"
#include "report.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool as_json;

// "  12.345678 hart 1 sys.exit call=read result=0 ...": who ran and the arguments in their order.
static void show_line(json_t *event)
{
    const char *key, *point = json_string_value(json_object_get(event, "point"));
    json_t *value;

    if (!point) {
        printf("%lld events are lost on hart %lld\n",
               (long long)json_integer_value(json_object_get(event, "lost")),
               (long long)json_integer_value(json_object_get(event, "hart")));
        return;
    }
    printf("%12.6f hart %lld %s", json_number_value(json_object_get(event, "at")) / 1e9,
           (long long)json_integer_value(json_object_get(event, "hart")), point);
    json_object_foreach(event, key, value)
    {
        if (!strcmp(key, "point") || !strcmp(key, "at") || !strcmp(key, "hart"))
            continue;
        char *text = json_is_string(value) ? strdup(json_string_value(value))
                                           : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        printf(" %s=%s", key, text ? text : "?");
        free(text);
    }
    putchar('\n');
}

static void on_event(struct console *c, const uint8_t *data, size_t n)
{
    struct cbor_in in = cbor_in(data, n);
    json_t *event = report_json(&in);

    (void)c;
    if (!json_is_object(event)) {
        json_decref(event);
        return;
    }
    if (as_json) {
        char *line = json_dumps(event, JSON_COMPACT);
        puts(line ? line : "{}");
        free(line);
    } else {
        show_line(event);
    }
    fflush(stdout);
    json_decref(event);
}

// What the kernel is asked: k.events({"irq", ...}, {secs = 86400, ...}).
static struct bytes source;

static void add(const char *text)
{
    bytes_add(&source, text, strlen(text));
}

static void prepare(struct console *c, const struct options *o)
{
    const char *secs = option_value(o, "--secs"), *max = option_value(o, "--max");
    const char *where = option_value(o, "--where");
    char text[64];

    as_json = option_value(o, "--jsonl") != NULL;
    add("k.events({");
    for (int i = 0; i < o->nargs; i++) {
        if (strspn(o->args[i], "abcdefghijklmnopqrstuvwxyz._") != strlen(o->args[i]))
            console_fail(c, EXIT_USAGE, "\"%s\" is no name of a trace point", o->args[i]);
        add("\"");
        add(o->args[i]);
        add("\", ");
    }
    snprintf(text, sizeof text, "}, {secs = %.3f",
             secs ? (double)option_seconds(c, "--secs", secs) / 1e3 : 86400.0);
    add(text);
    if (max && (!*max || strspn(max, "0123456789") != strlen(max) || strlen(max) > 15))
        console_fail(c, EXIT_USAGE, "--max needs a number, not \"%s\"", max);
    if (max) {
        add(", max = ");
        add(max);
    }
    if (where) {
        add(", where = ");
        add(where);
    }
    add("})");
    if (source.len > RPC_MESSAGE - 1024)
        console_fail(c, EXIT_USAGE, "--where has at most %d bytes", RPC_MESSAGE - 2048);
}

static int run(struct console *c, const struct options *o)
{
    struct request q;
    struct reply reply;
    struct cbor_in value;
    uint64_t events = 0, lost = 0;

    (void)o;
    console_connect(c);
    c->on_event = on_event;
    c->on_repl = report_print;
    request_begin(&q, "eval");
    request_text(&q, "source", source.data, source.len);
    request_text(&q, "chunk", "=k", 2);
    request_text(&q, "mode", "json", 4);
    reply = client_finish(c, &q, "events were shown");
    if (!reply.ok)
        return (int)report_failure(c, reply.result);
    if (cbor_find(reply.result, "value", &value)) {
        cbor_find_uint(value, "events", &events);
        cbor_find_uint(value, "lost", &lost);
    }
    fprintf(stderr, "%llu events, %llu lost\n", (unsigned long long)events,
            (unsigned long long)lost);
    return EXIT_OK;
}

static const struct verb_option options[] = {
    {"--where", "TABLE", "only those: {pid = 3, ns = {gt = 1000}}"},
    {"--secs", "SECONDS", "for how long (a day)"},
    {"--max", "N", "ends after so many"},
    {"--jsonl", NULL, "each as one line of JSON"},
    {0},
};
VERB(events, .args = "POINT...",
     .help = "what trace points tell, as it comes; k.points() lists them", .needs = "a trace point",
     .options = options, .least = 1, .most = 32, .prepare = prepare, .run = run, .endless = true);
