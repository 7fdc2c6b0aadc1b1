// SPDX-License-Identifier: MIT
// A session's task: takes requests from the link, runs them in Lua, answers.
//
// The task is pinned to hart 0 (see fiber.h). Code here runs on the fiber, but for session_main, which begins it
// anew when a script could not be stopped in any other way.
#include "session/session.h"

#include "async/executor.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "session/eval.h"
#include "session/freeze.h"
#include "session/jobs.h"
#include "session/journal.h"
#include "session/request.h"
#include "session/sessions.h"

#include <string.h>

enum { STUBBORN = 20 * 1000 * 1000 }; // ticks a script may go on after it was told to stop

long session_send(const void *message, size_t len)
{
    if (session_self()->lost)
        return -ENOTCONN;
    return session_await(link_send, &session_self()->box, WIRE_RPC, message, len);
}

bool session_event(const void *cbor, size_t len)
{
    const struct session *s = session_self();
    return s->lost || link_event(&s->box, cbor, len);
}

void session_on_yield(void *session)
{
    struct session *s = session;
    struct lua_limits *l = &s->limits;
    if (session_stays_frozen(l)) {
        s->told_at = l->ran;
        return;
    }
    if (link_interrupted(&s->box) && !s->preparing)
        limits_interrupt(l);
    if (!l->stop && !l->interrupt)
        s->told_at = l->ran;
    else if (l->ran - s->told_at > STUBBORN)
        fiber_abandon(&s->fiber);
    fiber_yield(&s->fiber);
}

void session_fresh(void)
{
    struct session *s = session_self();
    s->limits.yield = session_on_yield;
    s->limits.arg = s;
    s->limits.lock_depth = &hart_self.lock_depth;
    limits_enter(&s->limits, s->fiber.stack);
    journal_forget_script();
    callbacks_reset();
    s->preparing = true;
    s->calling = false;
    if (limits_open(&s->limits, s->heap, SESSION_HEAP))
        panic("monitor: a fresh Lua state does not fit %d bytes", SESSION_HEAP);
    if (eval_open(&s->limits, &session_host))
        panic("monitor: the prelude: %s", lua_tostring(s->limits.L, -1));
    s->preparing = false;
    s->ready = true;
}

static void do_request(struct session *s, const struct rpc_head *head)
{
    link_interrupt_clear(&s->box);
    if (!s->ready)
        session_fresh();
    s->told_at = s->limits.ran;
    s->reply_len = request_run(&s->limits, head, s->memory->reply, RPC_MESSAGE);
}

// The message in memory->request.
static void take_request(struct session *s, size_t n)
{
    struct rpc_head head;
    if (!rpc_parse(&head, s->memory->request, n) || head.kind != RPC_REQUEST)
        return;
    switch (rpc_once_begin(&s->once, head.id)) {
    case RPC_NEW:
        do_request(s, &head);
        rpc_once_end(&s->once);
        break;
    case RPC_AGAIN:
        break;
    case RPC_DROP:
    case RPC_BUSY:
        return;
    }
    session_send(s->memory->reply, s->reply_len);
}

// Another host, or RESET, or this session's client is gone: nothing of the old one's is left but the journal.
static void forget(struct session *s)
{
    s->lost = false;
    s->kept_len = 0;
    rpc_once_forget(&s->once);
    link_forget_events(s->number);
    link_interrupt_clear(&s->box);
    journal_forget_session();
    s->ready = false;
    callbacks_reset();
}

// What the fiber before this one could not finish.
static void answer_abandoned(struct session *s)
{
    if (!s->once.running)
        return;
    struct cbor_out o = {s->memory->reply, RPC_MESSAGE, 0};
    rpc_error(&o, s->once.id, "interrupted", "the script did not stop: the session was reset");
    s->reply_len = o.len;
    rpc_once_end(&s->once);
    session_send(s->memory->reply, s->reply_len);
}

// True: the session is over. The first one is only told that its client has gone.
static bool has_ended(struct session *s)
{
    if (load_acquire(&s->state) != SESSION_ENDS)
        return false;
    if (s->number)
        return true;
    store_release(&s->state, SESSION_CLOSED);
    link_tend();
    return false;
}

static void session(struct fiber *f)
{
    struct session *s = (struct session *)f;
    const uint8_t *data;
    s->ready = false; // made when a host comes: boot does not pay for it
    callbacks_reset();
    answer_abandoned(s);
    for (;;) {
        if (s->lost) {
            forget(s);
            if (has_ended(s))
                return;
            if (s->number == 0 && link_connected())
                session_fresh();
        }
        if (s->kept_len) {
            size_t kept = s->kept_len;
            s->kept_len = 0;
            take_request(s, kept);
            continue;
        }
        long n = fiber_await(f, link_recv, &s->box, &data, callbacks_ms());
        if (n == -ECONNRESET)
            s->lost = true;
        else if (n == -EINTR)
            link_interrupt_clear(&s->box);
        else if (n > 0) {
            memcpy(s->memory->request, data, (size_t)n); // data is the next message's then
            take_request(s, (size_t)n);
        }
        if (s->ready && !s->lost && callbacks_ms())
            eval_events(&s->limits, callbacks_run);
    }
}

ASYNC(session_main, long r;)
{
    ASYNC_BEGIN(session_main);
    for (;;) {
        AWAIT(f->r, fiber_run, &f->session->fiber, session);
        if (f->r == 0)
            ASYNC_RETURN(0);
        log_warn("monitor: a script did not stop; its session was reset");
    }
    ASYNC_FINALLY;
    ASYNC_END;
}
