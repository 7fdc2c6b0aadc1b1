// SPDX-License-Identifier: MIT
// What a script in the kernel may ask of the host: the user's terminal and files beside it.
#include "client.h"
#include "files.h"
#include "guest.h"
#include "pattern.h"
#include "wire/hash.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_MS = 30000 };

static char *const *script_args;
static unsigned script_nargs;

void calls_set_script(const char *path, char *const *args, unsigned n)
{
    files_set_script(path);
    script_args = args;
    script_nargs = n;
}

static void begin(struct cbor_out *o, uint64_t call, unsigned pairs)
{
    rpc_begin(o, RPC_RETURN, call, NULL);
    cbor_map(o, pairs + 1);
    cbor_str(o, "ok");
    cbor_bool(o, true);
}

static void failed(struct cbor_out *o, uint64_t call, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void failed(struct cbor_out *o, uint64_t call, const char *fmt, ...)
{
    char message[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    o->len = 0;
    rpc_call_failed(o, call, message);
}

static uint64_t until(const struct rpc_head *call)
{
    uint64_t ms = CALL_MS;

    cbor_find_uint(call->body, "ms", &ms);
    return clock_ms() + ms;
}

// A wait that only this call's own time may end; everything else ends kmon or the call.
static bool waited(struct console *c, bool (*done)(struct console *, void *), void *arg,
                   const struct rpc_head *call, struct cbor_out *o, const char *doing)
{
    enum wait_result r = console_wait(c, done, arg, until(call));

    if (r == WAIT_OK)
        return true;
    if (r == WAIT_INTERRUPTED) {
        console_control(c, WIRE_INT);
        failed(o, call->id, "interrupted while %s", doing);
        return false;
    }
    if (r != WAIT_TIMEOUT || clock_ms() >= c->deadline_ms)
        console_fail_wait(c, r, doing);
    size_t tail = c->terminal.len < 200 ? c->terminal.len : 200;
    failed(o, call->id, "timeout while %s; the terminal's last text: %s", doing,
           c->terminal.data + c->terminal.len - tail);
    return false;
}

static void call_sh(struct console *c, const struct rpc_head *call, struct cbor_out *o, bool spawn)
{
    struct guest_run run;
    const char *command;
    size_t n;

    if (!cbor_find_text(call->body, "command", &command, &n)) {
        failed(o, call->id, "host.%s needs a command", call->op);
        return;
    }
    client_terminal(c, true);
    if (guest_start(c, &run, command, n) < 0) {
        failed(o, call->id,
               "the command is longer than 60000 bytes: put it into a file in the guest");
        return;
    }
    if (!waited(c, spawn ? guest_begun : guest_ended, &run, call, o,
                spawn ? "starting a command in the guest" : "a command ran in the guest")) {
        console_type(c, "\3", 1);
        bytes_free(&run.output);
        return;
    }
    begin(o, call->id, spawn ? 0 : 2);
    if (!spawn) {
        client_terminal(c, false);
        cbor_str(o, "status");
        cbor_uint(o, (unsigned)run.status);
        cbor_str(o, "output");
        cbor_text(o, run.output.len ? run.output.data : "", run.output.len);
    }
    bytes_free(&run.output);
}

static void call_type(struct console *c, const struct rpc_head *call, struct cbor_out *o)
{
    const char *text;
    size_t n;

    if (!cbor_find_text(call->body, "text", &text, &n))
        failed(o, call->id, "host.type needs text");
    else if (!console_type(c, text, n))
        failed(o, call->id, "too much text at once");
    else
        begin(o, call->id, 0);
}

struct expectation {
    const char *pattern;
    size_t n, end, seen;
    int found;
    struct cbor_out *out;
    size_t out_at;
    const char *why;
};

static bool expected(struct console *c, void *arg)
{
    struct expectation *e = arg;

    if (c->terminal.len == e->seen)
        return e->found != 0;
    e->seen = c->terminal.len;
    e->out->len = e->out_at;
    e->found =
        pattern_find(c->terminal.data, c->terminal.len, e->pattern, e->n, &e->end, e->out, &e->why);
    return e->found != 0;
}

static void call_expect(struct console *c, const struct rpc_head *call, struct cbor_out *o)
{
    struct expectation e = {.out = o, .seen = SIZE_MAX};
    char doing[120];

    if (!cbor_find_text(call->body, "pattern", &e.pattern, &e.n)) {
        failed(o, call->id, "host.expect needs a pattern");
        return;
    }
    snprintf(doing, sizeof doing, "expecting \"%.*s\"", (int)(e.n < 80 ? e.n : 80), e.pattern);
    begin(o, call->id, 2);
    e.out_at = o->len;
    if (!waited(c, expected, &e, call, o, doing))
        return;
    if (e.found < 0)
        failed(o, call->id, "%s", e.why);
    else
        bytes_drop(&c->terminal, e.end);
}

static void call_file(const struct rpc_head *call, struct cbor_out *o)
{
    static char data[RPC_MESSAGE - 1024]; // the rest is for the path
    const char *text, *kind, *have;
    char name[256], path[PATH_MAX], hash[17];
    size_t n, kind_n, have_n;
    FILE *f;

    if (!cbor_find_text(call->body, "name", &text, &n) || n >= sizeof name ||
        !cbor_find_text(call->body, "kind", &kind, &kind_n)) {
        failed(o, call->id, "no file name");
        return;
    }
    memcpy(name, text, n);
    name[n] = 0;
    f = files_open(path, name, kind_n == 6);
    if (!f) {
        failed(o, call->id, "%s: %s (looked beside the script and in %s)", name, strerror(errno),
               files_scripts());
        return;
    }
    n = fread(data, 1, sizeof data, f);
    int bad = ferror(f) ? errno : 0;
    bool all = feof(f);
    fclose(f);
    if (bad) {
        failed(o, call->id, "%s: %s", path, strerror(bad));
        return;
    }
    if (!all) {
        failed(o, call->id, "%s: a file has less than %zu bytes; put parts of it into others", path,
               sizeof data);
        return;
    }
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)wire_hash(WIRE_HASH, data, n));
    bool has = cbor_find_text(call->body, "have", &have, &have_n) &&
               memmem(have, have_n, hash, strlen(hash));
    begin(o, call->id, 2);
    cbor_str(o, "path");
    cbor_str(o, path);
    cbor_str(o, has ? "hash" : "data");
    if (has)
        cbor_str(o, hash);
    else
        cbor_text(o, data, n);
}

static void call_args(const struct rpc_head *call, struct cbor_out *o)
{
    begin(o, call->id, 1);
    cbor_str(o, "args");
    cbor_array(o, script_nargs);
    for (unsigned i = 0; i < script_nargs; i++)
        cbor_str(o, script_args[i]);
}

void calls_serve(struct console *c, const struct rpc_head *call, struct cbor_out *out)
{
    if (strcmp(call->op, "sh") == 0)
        call_sh(c, call, out, false);
    else if (strcmp(call->op, "spawn") == 0)
        call_sh(c, call, out, true);
    else if (strcmp(call->op, "type") == 0)
        call_type(c, call, out);
    else if (strcmp(call->op, "expect") == 0)
        call_expect(c, call, out);
    else if (strcmp(call->op, "file") == 0)
        call_file(call, out);
    else if (strcmp(call->op, "args") == 0)
        call_args(call, out);
    else
        failed(out, call->id, "kmon knows no host.%s", call->op);
}
