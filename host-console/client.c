// SPDX-License-Identifier: MIT
// Requests and replies on channel rpc.
//
// A request is sent again when frames from the kernel were lost while it ran: the kernel does
// nothing twice, it answers from its copy.
#include "client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { AGAIN_MS = 1500, INTERRUPT_MS = 3000 };

static uint8_t request_memory[RPC_MESSAGE], return_memory[RPC_MESSAGE];
static struct cbor_out last_return;
static uint64_t last_call = UINT64_MAX;
static struct bytes incoming;
static bool interrupted;

uint64_t client_next_id(void)
{
    static uint64_t id;

    if (id == 0 && getrandom(&id, sizeof id, 0) == sizeof id)
        id >>= 16;
    return ++id;
}

void request_begin(struct request *q, const char *op)
{
    q->out = (struct cbor_out){request_memory, sizeof request_memory, 0};
    q->id = client_next_id();
    q->pairs = 0;
    rpc_begin(&q->out, RPC_REQUEST, q->id, op);
    q->map = cbor_open_map(&q->out);
}

void request_text(struct request *q, const char *key, const char *s, size_t n)
{
    cbor_str(&q->out, key);
    cbor_text(&q->out, s, n);
    q->pairs++;
}

void request_uint(struct request *q, const char *key, uint64_t v)
{
    cbor_str(&q->out, key);
    cbor_uint(&q->out, v);
    q->pairs++;
}

void request_words(struct request *q, const char *key, char *const *words, unsigned n)
{
    cbor_str(&q->out, key);
    cbor_array(&q->out, n);
    for (unsigned i = 0; i < n; i++)
        cbor_str(&q->out, words[i]);
    q->pairs++;
}

static bool room_for(struct console *c, void *size)
{
    return wire_ring_room(&c->sender.messages, WIRE_PAYLOAD) >= *(size_t *)size;
}

static void send_message(struct console *c, const struct cbor_out *o)
{
    size_t n = o->len;
    enum wait_result r;

    do
        r = console_wait(c, room_for, &n, UINT64_MAX);
    while (r == WAIT_INTERRUPTED);
    if (r != WAIT_OK)
        console_fail_wait(c, r, "sending a request");
    console_send_message(c, 0, o->buf, n);
}

static void send_request(struct console *c, struct request *q)
{
    cbor_close(&q->out, q->map, q->pairs);
    if (!cbor_fits(&q->out))
        console_fail(c, EXIT_USAGE, "the script is too large: a request has at most %u bytes",
                     RPC_MESSAGE);
    c->rpc_gap = false;
    interrupted = false;
    last_call = UINT64_MAX; // a kernel that was booted anew counts anew
    send_message(c, &q->out);
}

bool client_was_interrupted(void)
{
    return interrupted;
}

void client_post(struct console *c, const char *op)
{
    struct request q;

    request_begin(&q, op);
    send_request(c, &q);
}

static bool message_there(struct console *c, void *arg)
{
    return c->inbox.len != 0 || c->connections != *(unsigned *)arg;
}

// Not by way of struct request: one may be under way. Nor into `incoming`: there lies the call that is being served.
void client_terminal(struct console *c, bool take)
{
    uint8_t memory[64];
    struct cbor_out o = {memory, sizeof memory, 0};
    uint64_t id = client_next_id();
    struct rpc_head head = {0};
    struct bytes answer = {0};
    unsigned connection = c->connections, of;

    if (!c->shared)
        return;
    rpc_begin(&o, RPC_REQUEST, id, "terminal");
    cbor_map(&o, 1);
    cbor_str(&o, "take");
    cbor_bool(&o, take);
    send_message(c, &o);
    while (take && head.id != id && connection == c->connections) {
        enum wait_result r = console_wait(c, message_there, &connection, UINT64_MAX);
        if (r != WAIT_OK)
            console_fail_wait(c, r, "another kmon used the guest's shell");
        if (console_take_message(c, &answer, &of) && !rpc_parse(&head, answer.data, answer.len))
            head.id = 0;
    }
    bytes_free(&answer);
}

static void serve_call(struct console *c, const struct rpc_head *call)
{
    if (call->id != last_call) {
        last_return = (struct cbor_out){return_memory, sizeof return_memory, 0};
        calls_serve(c, call, &last_return);
        if (!cbor_fits(&last_return)) {
            last_return.len = 0;
            rpc_call_failed(&last_return, call->id, "the result is larger than a message can be");
        }
        last_call = call->id;
    }
    send_message(c, &last_return);
}

// True when it was the reply to id.
static bool take_message(struct console *c, uint64_t id, struct reply *reply)
{
    struct rpc_head head;
    unsigned of; // there is one, as far as a client knows

    if (!console_take_message(c, &incoming, &of))
        return false;
    if (!rpc_parse(&head, incoming.data, incoming.len))
        console_fail(c, EXIT_PROTOCOL, "the kernel sent %zu bytes that are no message",
                     incoming.len);
    if (head.kind == RPC_CALL)
        serve_call(c, &head);
    if (head.kind != RPC_REPLY || head.id != id)
        return false;
    reply->result = head.body;
    if (!cbor_find_bool(head.body, "ok", &reply->ok))
        console_fail(c, EXIT_PROTOCOL, "the kernel's reply says neither ok nor not ok");
    return true;
}

// The first ^C asks the script to stop, the second one takes the session from under it.
static void interrupt(struct console *c)
{
    console_control(c, interrupted ? WIRE_RESET : WIRE_INT);
    interrupted = true;
}

// The kernel that took the request is not there any more, or has given kmon up.
static void reply_lost(struct reply *reply, uint64_t id)
{
    static uint8_t memory[256];
    struct cbor_out o = {memory, sizeof memory, 0};
    struct rpc_head head;

    rpc_error(&o, id, "lost", "the line was given up while this ran: it may have been done or not");
    rpc_parse(&head, memory, o.len);
    *reply = (struct reply){.ok = false, .result = head.body};
}

static enum wait_result await_reply(struct console *c, struct request *q, struct reply *reply,
                                    uint64_t until)
{
    uint64_t again = clock_ms() + AGAIN_MS;
    unsigned connection = c->connections;

    for (;;) {
        uint64_t wake = until < again ? until : again;
        enum wait_result r = console_wait(c, message_there, &connection, wake);
        if (c->connections != connection) {
            reply_lost(reply, q->id);
            return WAIT_OK;
        }
        if (r == WAIT_INTERRUPTED) {
            interrupt(c);
            if (clock_ms() + INTERRUPT_MS < until)
                until = clock_ms() + INTERRUPT_MS;
        } else if (r == WAIT_TIMEOUT) {
            uint64_t now = clock_ms();
            if (now >= until || now >= c->deadline_ms)
                return interrupted && now < c->deadline_ms ? WAIT_INTERRUPTED : WAIT_TIMEOUT;
            if (c->rpc_gap)
                send_message(c, &q->out);
            if (interrupted)
                console_control(c, WIRE_INT);
            c->rpc_gap = false;
            again = now + AGAIN_MS;
        } else if (r != WAIT_OK) {
            return r;
        } else if (take_message(c, q->id, reply)) {
            return WAIT_OK;
        }
    }
}

struct reply client_finish(struct console *c, struct request *q, const char *doing)
{
    struct reply reply = {0};
    enum wait_result r;

    send_request(c, q);
    r = await_reply(c, q, &reply, UINT64_MAX);
    if (r == WAIT_TIMEOUT)
        console_control(c, WIRE_INT);
    if (r != WAIT_OK)
        console_fail_wait(c, r, doing);
    return reply;
}

bool client_try(struct console *c, struct request *q, struct reply *reply, unsigned ms)
{
    enum wait_result r;

    send_request(c, q);
    r = await_reply(c, q, reply, clock_ms() + ms);
    if (r == WAIT_CLOSED || r == WAIT_PANIC)
        console_fail_wait(c, r, "the prompt was open");
    return r == WAIT_OK;
}
