// SPDX-License-Identifier: MIT
// What a script that runs may ask of its session: to print, to call the host, to sleep.
#include "async/wait_async.h"
#include "class/class.h"
#include "lib/errno.h"
#include "session/eval.h"
#include "session/freeze.h"
#include "session/jobs.h"
#include "session/prelude.h"
#include "session/session.h"
#include "session/sessions.h"
#include "session/value.h"

#include <lauxlib.h>
#include <string.h>

enum { CALLBACK_MS = 1000 }; // the longest k.sleep of a callback inside a call

static uint64_t
    calls; // of all sessions: the host takes a call with the number of its last one for a repetition

static void refuse_busy(uint64_t id)
{
    uint8_t buf[128]; // on the fiber's stack, as long as it is sent
    struct cbor_out o = {buf, sizeof buf, 0};
    rpc_error(&o, id, "busy", "another request is running");
    session_send(buf, o.len);
}

// Beside the one that runs. Its own once more: the host missed something, perhaps what it is being asked.
static void take_other_request(struct session *s, uint64_t id)
{
    if (rpc_once_begin(&s->once, id) == RPC_BUSY)
        refuse_busy(id);
    else if (s->calling)
        session_send(s->memory->outgoing, s->outgoing_len);
}

// No request runs: a callback between two does. When it is done the session takes what came meanwhile.
static void keep_request(struct session *s, uint64_t id, const uint8_t *data, size_t n)
{
    struct rpc_head kept;
    if (!s->kept_len) {
        memcpy(s->memory->request, data, n);
        s->kept_len = n;
    } else if (rpc_parse(&kept, s->memory->request, s->kept_len) && kept.id != id) {
        refuse_busy(id);
    }
}

// Waits for a message while a script runs. > 0: a RETURN, in *head. Otherwise a negative errno.
static long next_return(struct rpc_head *head, uint32_t ms)
{
    struct session *s = session_self();
    const uint8_t *data;
    for (;;) {
        long n = session_await(link_recv, &s->box, &data, ms);
        if (n == -ECONNRESET)
            s->lost = true;
        if (n == -ECONNRESET || n == -EINTR)
            limits_interrupt(&s->limits);
        if (n <= 0)
            return n;
        if (!rpc_parse(head, data, (size_t)n))
            continue;
        if (head->kind == RPC_RETURN)
            return n;
        if (head->kind != RPC_REQUEST)
            continue;
        if (s->once.running)
            take_other_request(s, head->id);
        else
            keep_request(s, head->id, data, (size_t)n);
    }
}

static void raise_stopped(lua_State *L, long error)
{
    if (error == -EINTR || error == -ECONNRESET)
        luaL_error(L, "interrupted");
}

void session_sleep(lua_State *L, uint64_t ms)
{
    session_not_frozen(L, "sleep");
    uint64_t till = clock_monotonic_ns() + ms * 1000000;
    if (session_self()
            ->calling) { // in a probe's callback: the answer to the call must not be taken here
        session_await(sleep_ns, (ms < CALLBACK_MS ? ms : CALLBACK_MS) * 1000000, false);
        return;
    }
    for (;;) {
        uint64_t now = clock_monotonic_ns();
        if (now >= till)
            return;
        struct rpc_head head;
        uint64_t left = (till - now + 999999) / 1000000, most = callbacks_ms();
        most = most ? most : 60000;
        raise_stopped(L, next_return(&head, (uint32_t)(left < most ? left : most)));
        callbacks_run(L);
    }
}

static void on_write(lua_State *L, const char *text, size_t n)
{
    struct session *s = session_self();
    session_not_frozen(L, "print");
    long e = s->lost ? -ENOTCONN : session_await(link_send, &s->box, WIRE_REPL, text, n);
    if (e == -ENOTCONN) {
        s->lost = true;
        limits_interrupt(&s->limits);
        luaL_error(L, "nobody listens any more");
    }
}

static void fail_call(lua_State *L, struct cbor_in body)
{
    const char *message;
    size_t n;
    if (!cbor_find_text(body, "message", &message, &n)) {
        message = "the host refused";
        n = strlen(message);
    }
    lua_pushlstring(L, message, n);
    prelude_refuse(L, "%s", lua_tostring(L, -1));
}

// Until the answer to our call comes; probes call back meanwhile, perhaps to let the guest go on.
static void wait_for_answer(lua_State *L, uint64_t call, struct rpc_head *head)
{
    for (;;) {
        long n = next_return(head, callbacks_ms());
        if (n > 0 && head->id == call)
            return;
        raise_stopped(L, n);
        if (n == -ETIMEDOUT)
            callbacks_run(L);
    }
}

static int protected_wait(lua_State *L)
{
    struct rpc_head *head = lua_touserdata(L, 1);
    wait_for_answer(L, head->id, head);
    return 0;
}

static int on_call(lua_State *L, const char *op)
{
    struct session *s = session_self();
    session_not_frozen(L, "a call to the host");
    if (s->calling)
        return prelude_refuse(
            L,
            "host.%s: a probe's callback cannot call the host while the host is being "
            "waited for",
            op);
    struct cbor_out o = {s->memory->outgoing, RPC_MESSAGE, 0};
    uint64_t call = ++calls;
    rpc_begin(&o, RPC_CALL, call, op);
    size_t at = cbor_open_map(&o);
    unsigned n = 0;
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1), n++) {
        cbor_str(&o, luaL_checkstring(L, -2));
        value_encode(L, -1, &o);
    }
    cbor_close(&o, at, n);
    if (!cbor_fits(&o))
        return prelude_refuse(L, "host.%s: the arguments are too large", op);
    s->outgoing_len = o.len;
    if (session_send(o.buf, o.len) < 0)
        return prelude_refuse(L, "host.%s: no host listens", op);
    struct rpc_head head = {.id = call};
    bool ok;
    s->calling = true;
    lua_pushcfunction(L, protected_wait);
    lua_pushlightuserdata(L, &head);
    int status = lua_pcall(L, 1, 0, 0);
    s->calling = false;
    if (status != LUA_OK)
        return lua_error(L);
    if (!cbor_find_bool(head.body, "ok", &ok) || !ok)
        fail_call(L, head.body);
    if (!value_decode(L, &head.body))
        return prelude_refuse(L, "host.%s: its answer is not understood", op);
    return 1;
}

const struct eval_host session_host = {on_write, on_call};

static int k_sleep(lua_State *L)
{
    lua_Integer ms = luaL_checkinteger(L, 1);
    session_sleep(L, ms > 0 ? (uint64_t)ms : 0);
    return 0;
}
MONITOR_API(sleep, "sleep", "k.sleep(ms)", "lets the kernel run for a while", "k.sleep(10)",
            k_sleep, NULL);

static int k_ns(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)clock_monotonic_ns());
    return 1;
}
MONITOR_API(ns, "ns", NULL, "nanoseconds since boot", "k.ns", k_ns, NULL);
