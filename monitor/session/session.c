// SPDX-License-Identifier: MIT
// The monitor's task: takes requests from the link, runs them in Lua, answers.
//
// Everything it needs is reserved at boot: heap, stack, frames, message buffers. The task is pinned
// to hart 0 (see fiber.h). Code here runs on the fiber, but for monitor_main, which begins it anew
// when a script could not be stopped in any other way.
#include "session/session.h"

#include "async/executor.h"
#include "async/wait_async.h"
#include "class/class.h"
#include "lib/init.h"
#include "lib/log.h"
#include "page/frame.h"
#include "session/eval.h"
#include "session/freeze.h"
#include "session/jobs.h"
#include "session/journal.h"
#include "session/link.h"
#include "session/request.h"
#include "session/value.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

enum {
    HEAP = 1 << 20,
    ARENA = 16 * 1024,  // frames of the deepest call a binding may wait for
    CALLBACK_MS = 1000, // the longest k.sleep of a callback inside a call
    PANIC_ROWS = 8,
    STUBBORN = 20 * 1000 * 1000, // ticks a script may go on after it was told to stop
};

static struct task task;
static char arena[ARENA] __attribute__((aligned(16)));
static struct fiber fiber;
static struct lua_limits limits;
static void *heap;

static uint8_t request[RPC_MESSAGE], reply[RPC_MESSAGE], outgoing[RPC_MESSAGE];
static size_t reply_len, outgoing_len;
static struct rpc_once once;
static uint64_t next_call;
static bool calling;     // a script waits for the host's answer
static bool lost;        // the host went away or asked for a reset while a script ran
static bool ready;       // there is a Lua state
static bool preparing;   // a fresh state runs the prelude: nothing to interrupt yet
static uint64_t told_at; // limits.spent when the script was last seen unhindered

struct fiber *session_fiber(void)
{
    return &fiber;
}

struct task *session_task(void)
{
    return &task;
}

struct lua_limits *session_limits(void)
{
    return &limits;
}

// ---- the script's side

static void on_yield(void *arg)
{
    (void)arg;
    if (session_stays_frozen(&limits))
        return;
    if (link_interrupted() && !preparing)
        limits_interrupt(&limits);
    if (!limits.stop && !limits.interrupt)
        told_at = limits.spent;
    else if (limits.spent > told_at && limits.spent - told_at > STUBBORN)
        fiber_abandon(&fiber);
    fiber_yield(&fiber);
}

static void refuse_busy(uint64_t id)
{
    static uint8_t buf[128];
    struct cbor_out o = {buf, sizeof buf, 0};
    rpc_error(&o, id, "busy", "another request is running");
    fiber_await(&fiber, link_send, WIRE_RPC, buf, o.len);
}

// Waits for a message while a script runs. > 0: a RETURN, in *head. Otherwise a negative errno.
static long next_return(struct rpc_head *head, uint32_t ms)
{
    const uint8_t *data;
    for (;;) {
        long n = fiber_await(&fiber, link_recv, &data, ms);
        if (n == -ECONNRESET)
            lost = true;
        if (n == -ECONNRESET || n == -EINTR)
            limits_interrupt(&limits);
        if (n <= 0)
            return n;
        if (!rpc_parse(head, data, (size_t)n))
            continue;
        if (head->kind == RPC_RETURN)
            return n;
        if (head->kind != RPC_REQUEST)
            continue;
        switch (rpc_once_begin(&once, head->id)) {
        case RPC_BUSY:
            refuse_busy(head->id);
            break;
        case RPC_DROP: // the host missed something: perhaps what it is being asked
            if (calling)
                fiber_await(&fiber, link_send, WIRE_RPC, outgoing, outgoing_len);
            break;
        default:
            break;
        }
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
    if (calling) { // in a probe's callback: the answer to the call must not be taken here
        fiber_await(&fiber, sleep_ns, (ms < CALLBACK_MS ? ms : CALLBACK_MS) * 1000000, false);
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
    session_not_frozen(L, "print");
    long e = n ? fiber_await(&fiber, link_send, WIRE_REPL, text, n) : 0;
    if (e == -ENOTCONN) {
        lost = true;
        limits_interrupt(&limits);
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
    luaL_where(L, 2);
    lua_pushlstring(L, message, n);
    lua_concat(L, 2);
    lua_error(L);
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
    session_not_frozen(L, "a call to the host");
    if (calling)
        return luaL_error(
            L,
            "host.%s: a probe's callback cannot call the host while the host is being "
            "waited for",
            op);
    struct cbor_out o = {outgoing, sizeof outgoing, 0};
    uint64_t call = ++next_call;
    rpc_begin(&o, RPC_CALL, call, op);
    size_t at = cbor_open_map(&o);
    unsigned n = 0;
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1), n++) {
        cbor_str(&o, luaL_checkstring(L, -2));
        value_encode(L, -1, &o);
    }
    cbor_close(&o, at, n);
    if (!cbor_fits(&o))
        return luaL_error(L, "host.%s: the arguments are too large", op);
    outgoing_len = o.len;
    if (fiber_await(&fiber, link_send, WIRE_RPC, outgoing, o.len) < 0)
        return luaL_error(L, "host.%s: no host listens", op);
    struct rpc_head head = {.id = call};
    bool ok;
    calling = true;
    lua_pushcfunction(L, protected_wait);
    lua_pushlightuserdata(L, &head);
    int status = lua_pcall(L, 1, 0, 0);
    calling = false;
    if (status != LUA_OK)
        return lua_error(L);
    if (!cbor_find_bool(head.body, "ok", &ok) || !ok)
        fail_call(L, head.body);
    if (!value_decode(L, &head.body))
        return luaL_error(L, "host.%s: its answer is not understood", op);
    return 1;
}

static const struct eval_host host = {on_write, on_call};

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

// ---- requests

void session_fresh(void)
{
    limits.yield = on_yield;
    limits.lock_depth = &hart_self.lock_depth;
    limits_enter(&limits, fiber.stack);
    journal_forget_dry_run();
    callbacks_reset();
    preparing = true;
    calling = false;
    if (limits_open(&limits, heap, HEAP))
        panic("monitor: a fresh Lua state does not fit %d bytes", HEAP);
    if (eval_open(&limits, &host))
        panic("monitor: the prelude: %s", lua_tostring(limits.L, -1));
    preparing = false;
    ready = true;
}

static void do_request(const struct rpc_head *head)
{
    link_interrupt_clear();
    told_at = 0;
    if (!ready)
        session_fresh();
    reply_len = request_run(&limits, head, reply, sizeof reply);
}

static void take_request(const uint8_t *data, size_t n)
{
    struct rpc_head head;
    memcpy(request, data, n); // the link's buffer is used by the next message
    if (!rpc_parse(&head, request, n) || head.kind != RPC_REQUEST)
        return;
    switch (rpc_once_begin(&once, head.id)) {
    case RPC_NEW:
        do_request(&head);
        rpc_once_end(&once);
        break;
    case RPC_AGAIN:
        break;
    case RPC_DROP:
    case RPC_BUSY:
        return;
    }
    if (!lost)
        fiber_await(&fiber, link_send, WIRE_RPC, reply, reply_len);
}

// Another host, or RESET: nothing of the old one's is left but the journal.
static void forget(void)
{
    lost = false;
    rpc_once_forget(&once);
    link_interrupt_clear();
    monitor_mode = MODE_RO;
    ready = false;
    callbacks_reset();
    if (link_connected())
        session_fresh();
}

// What the fiber before this one could not finish.
static void answer_abandoned(void)
{
    if (!once.running)
        return;
    struct cbor_out o = {reply, sizeof reply, 0};
    rpc_error(&o, once.id, "interrupted", "the script did not stop: the session was reset");
    reply_len = o.len;
    rpc_once_end(&once);
    if (!lost)
        fiber_await(&fiber, link_send, WIRE_RPC, reply, reply_len);
}

static void session(struct fiber *f)
{
    const uint8_t *data;
    ready = false; // made when a host comes: boot does not pay for it
    callbacks_reset();
    answer_abandoned();
    for (;;) {
        if (lost)
            forget();
        long n = fiber_await(f, link_recv, &data, callbacks_ms());
        if (n == -ECONNRESET)
            lost = true;
        else if (n == -EINTR)
            link_interrupt_clear();
        else if (n > 0)
            take_request(data, (size_t)n);
        if (ready && !lost && callbacks_ms())
            eval_events(&limits, callbacks_run);
    }
}

ASYNC_DECL(monitor_main, );
ASYNC(monitor_main, long r;)
{
    ASYNC_BEGIN(monitor_main);
    for (;;) {
        AWAIT(f->r, fiber_run, &fiber, session);
        log_warn("monitor: a script did not stop; its session was reset");
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// The last of a panic's text: what was changed from here.
static void tell_journal(void)
{
    struct journal_row *r;
    char line[160];
    for (uint32_t i = 0; (r = journal_newest(i)) && i < PANIC_ROWS; i++) {
        snprintf(line, sizeof line, "  change %u: %s%s\r\n", r->n, r->change.text,
                 r->undone_by ? " (undone)" : "");
        panic_puts(line);
    }
}

static void session_init(void)
{
    panic_hook = tell_journal;
    pa_t pa = frame_alloc_run(HEAP / PAGE_SIZE);
    if (!pa)
        panic("monitor: no %d KiB for its heap", HEAP >> 10);
    heap = pa_to_kva(pa);
    fiber_init(&fiber);
    link_set_schema(class_schema_hash());
    if (task_init(&task, "monitor", arena, sizeof arena, &monitor_main_fn, NULL, 0))
        panic("monitor: no memory for its task");
    task.affinity = 1;
    task_start(&task);
}
INIT(INIT_LATE, session_init);
