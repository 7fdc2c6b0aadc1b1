// SPDX-License-Identifier: MIT
// What the host may ask for. Runs on the session's fiber.
#include "session/request.h"

#include "arch/cpu.h"
#include "async/task.h"
#include "lib/log.h"
#include "session/eval.h"
#include "session/journal.h"
#include "session/link.h"
#include "session/power.h"
#include "session/session.h"

#include <string.h>

static void ok_reply(struct cbor_out *o, unsigned more)
{
    cbor_map(o, 1 + more);
    cbor_str(o, "ok");
    cbor_bool(o, true);
}

static void refuse(struct cbor_out *o, const struct rpc_head *head, const char *why)
{
    o->len = 0;
    rpc_error(o, head->id, "request", why);
}

static enum eval_mode mode_named(const char *name, size_t n)
{
    static const char *const modes[] = {"text", "json", "script", "check"};
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
        if (n == strlen(modes[i]) && memcmp(name, modes[i], n) == 0)
            return (enum eval_mode)i;
    return EVAL_TEXT;
}

static void do_eval(struct lua_limits *l, const struct rpc_head *head, struct cbor_out *o)
{
    const char *chunk, *mode;
    char name[96] = "=k";
    size_t n;
    struct eval_request r = {.chunk = name, .mode = EVAL_TEXT};
    if (!cbor_find_text(head->body, "source", &r.source, &r.len)) {
        refuse(o, head, "eval needs a source");
        return;
    }
    if (cbor_find_text(head->body, "chunk", &chunk, &n) && n < sizeof name) {
        memcpy(name, chunk, n);
        name[n] = 0;
    }
    if (cbor_find_text(head->body, "mode", &mode, &n))
        r.mode = mode_named(mode, n);
    cbor_find(head->body, "args", &r.args);
    eval_run(l, &r, o);
}

static void do_complete(struct lua_limits *l, const struct rpc_head *head, struct cbor_out *o)
{
    const char *line;
    size_t n;
    uint64_t cursor;
    if (!cbor_find_text(head->body, "line", &line, &n)) {
        refuse(o, head, "complete needs a line");
        return;
    }
    if (!cbor_find_uint(head->body, "cursor", &cursor))
        cursor = n;
    eval_complete(l, line, n, cursor, o);
}

static void do_help(struct lua_limits *l, const struct rpc_head *head, struct cbor_out *o)
{
    const char *text;
    size_t n;
    if (cbor_find_text(head->body, "text", &text, &n))
        eval_help(l, text, n, o);
    else
        refuse(o, head, "help needs a text");
}

static void do_mode(struct lua_limits *l, const struct rpc_head *head, struct cbor_out *o)
{
    const char *s;
    char name[16] = "";
    size_t n;
    (void)l;
    if (cbor_find_text(head->body, "mode", &s, &n) && n < sizeof name)
        memcpy(name, s, n);
    if (!monitor_mode_set(name)) {
        refuse(o, head, "modes are ro, rw and unsafe");
        return;
    }
    ok_reply(o, 1);
    cbor_str(o, "mode");
    cbor_str(o, monitor_mode_name());
}

static bool count_task(struct task *t, void *arg)
{
    (void)t;
    ++*(uint64_t *)arg;
    return true;
}

static void do_status(struct lua_limits *l, const struct rpc_head *head, struct cbor_out *o)
{
    uint64_t tasks = 0;
    (void)l;
    (void)head;
    task_foreach(0, count_task, &tasks);
    ok_reply(o, 4);
    cbor_str(o, "mode");
    cbor_str(o, monitor_mode_name());
    cbor_str(o, "harts");
    cbor_uint(o, hart_count);
    cbor_str(o, "tasks");
    cbor_uint(o, tasks);
    cbor_str(o, "ns");
    cbor_uint(o, ticks_to_ns(time_ticks()));
}

static void do_reset(struct lua_limits *l, const struct rpc_head *head, struct cbor_out *o)
{
    (void)l;
    (void)head;
    session_fresh();
    ok_reply(o, 0);
}

// The reply goes out first: there is nobody to send it afterwards.
static void do_poweroff(struct lua_limits *l, const struct rpc_head *head, struct cbor_out *o)
{
    (void)l;
    (void)head;
    ok_reply(o, 0);
    session_send(o->buf, o->len);
    long e = session_await(monitor_poweroff, false);
    log_error("monitor: power off failed (error %ld)", -e);
}

size_t request_run(struct lua_limits *l, const struct rpc_head *head, uint8_t *reply, size_t cap)
{
    static const struct {
        const char *op;
        void (*run)(struct lua_limits *, const struct rpc_head *, struct cbor_out *);
    } ops[] = {
        {"eval", do_eval},         {"complete", do_complete}, {"help", do_help},
        {"mode", do_mode},         {"status", do_status},     {"reset", do_reset},
        {"poweroff", do_poweroff},
    };
    struct cbor_out o = {reply, cap, 0};
    rpc_begin(&o, RPC_REPLY, head->id, NULL);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(ops[i].op, head->op) == 0) {
            ops[i].run(l, head, &o);
            return o.len;
        }
    refuse(&o, head, "no such operation");
    return o.len;
}
