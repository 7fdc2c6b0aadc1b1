// SPDX-License-Identifier: MIT
// Which client of a shared line has which session of the monitor, and what they say to each other.
#include "broker.h"

#include "client.h"

#include <stdio.h>
#include <string.h>

enum { AGAIN_MS = 1500, WANT_MS = 200, PATIENCE_MS = 5000, LOOK_MS = 50 };
enum {
    UNSENT = 2 * RPC_MESSAGE
}; // waits for the kernel, of one that sends a request and answers each call once: never so much

static void put(struct bytes *queue, const void *data, size_t n)
{
    uint32_t len = (uint32_t)n;

    bytes_add(queue, &len, sizeof len);
    bytes_add(queue, data, n);
}

static size_t first(const struct bytes *queue)
{
    uint32_t len = 0;

    if (queue->len)
        memcpy(&len, queue->data, sizeof len);
    return len;
}

static void drop_first(struct bytes *queue)
{
    bytes_drop(queue, first(queue) + sizeof(uint32_t));
}

// A message with another id: what follows the id stays as it is.
static void renumber(struct bytes *out, const struct rpc_head *head, uint64_t id)
{
    static uint8_t memory[RPC_MESSAGE + 64];
    struct cbor_out o = {memory, sizeof memory, 0};
    size_t n = (size_t)(head->body.end - head->body.p);

    rpc_begin(&o, head->kind, id, head->kind == RPC_REQUEST ? head->op : NULL);
    bytes_add(out, memory, o.len);
    bytes_add(out, head->body.p, n);
}

static struct seat *seat_of(const struct attached *a)
{
    return a->seat == NO_SEAT ? NULL : &a->broker->seats[a->seat];
}

static bool is_open(const struct broker *b, unsigned i)
{
    return b->open >> i & 1;
}

// ---- what a client wants

void seat_request(struct attached *a, const struct rpc_head *head, const void *message, size_t n)
{
    struct seat *s = seat_of(a);

    if (head->kind == RPC_REQUEST && !(s && s->busy && s->owner_id == head->id))
        put(&a->requests, message, n);
    else if (head->kind == RPC_RETURN && s && s->busy && s->outbox.len > UNSENT)
        attached_refuse(a, "too many answers");
    else if (head->kind == RPC_RETURN && s && s->busy)
        put(&s->outbox, message, n);
}

static void answer_waiting(struct attached *a, const char *kind, const char *why)
{
    struct rpc_head head;

    // The answer may be too much for one that reads nothing: then all of it is gone.
    for (size_t n; a->fd >= 0 && (n = first(&a->requests)) != 0;) {
        bool whole = rpc_parse(&head, a->requests.data + sizeof(uint32_t), n);
        drop_first(&a->requests);
        if (whole)
            attached_error(a, head.id, kind, why);
    }
    a->waits_ms = 0;
}

void seat_leave(struct attached *a)
{
    struct seat *s = seat_of(a);

    a->waits_ms = 0;
    if (!s)
        return;
    s->owner = NULL;
    s->busy = false;
    s->outbox.len = 0;
    s->leaving = true;
    s->in_window = false;
    s->mark = a->broker->c->sender.messages.head;
    a->seat = NO_SEAT;
}

void seat_interrupt(struct attached *a, enum wire_control how)
{
    answer_waiting(a, "interrupted", "interrupted");
    struct seat *s = seat_of(a);
    if (s && s->busy && how == WIRE_INT)
        console_tell(a->broker->c, WIRE_INT, (uint8_t)a->seat);
    if (how != WIRE_RESET)
        return;
    if (a->wants_shell)
        attached_error(a, a->wants_shell, "interrupted", "the session was reset");
    a->wants_shell = 0;
    broker_release_shell(a);
    if (s && s->busy)
        attached_error(a, s->owner_id, "interrupted", "the session was reset");
    seat_leave(a);
}

// ---- seats

static struct attached *longest_waiting(struct broker *b)
{
    struct attached *best = NULL;

    for (int i = 0; i < BROKER_CLIENTS; i++) {
        struct attached *a = &b->clients[i];
        if (a->fd < 0 || a->seat != NO_SEAT || !first(&a->requests))
            continue;
        if (!a->waits_ms)
            a->waits_ms = clock_ms();
        if (!best || a->waits_ms < best->waits_ms)
            best = a;
    }
    return best;
}

static int free_seat(const struct broker *b)
{
    for (int i = 0; i < WIRE_SESSIONS; i++)
        if (!((b->wanted | b->open) >> i & 1))
            return i;
    return NO_SEAT;
}

static void close_session(struct broker *b, unsigned i)
{
    b->seats[i].leaving = false;
    b->wanted &= (uint8_t) ~(1u << i);
    b->want_ms = 0;
}

// Frames are acknowledged in order.
static bool all_arrived(struct seat *s, const struct wire_sender *w)
{
    if (!s->in_window && (int32_t)(w->messages.tail - s->mark) >= 0) {
        s->in_window = true;
        s->seq = (uint8_t)(w->base + w->filled);
    }
    return s->in_window && (uint8_t)(s->seq - w->base - 1) >= WIRE_WINDOW;
}

// One that is not open yet is waited for: its OPEN, on its way, would be taken for the next one's.
static void close_what_was_left(struct broker *b)
{
    for (unsigned i = 0; i < WIRE_SESSIONS; i++)
        if (b->seats[i].leaving && is_open(b, i) && all_arrived(&b->seats[i], &b->c->sender))
            close_session(b, i);
}

static void seat_clients(struct broker *b)
{
    struct attached *a;
    int i;

    while (clock_ms() >= b->full_ms && (a = longest_waiting(b)) && (i = free_seat(b)) != NO_SEAT) {
        b->seats[i].owner = a;
        b->wanted |= (uint8_t)(1u << i);
        b->want_ms = 0;
        a->seat = i;
    }
}

static void refuse(struct broker *b, struct attached *a)
{
    char text[160];
    int at = snprintf(text, sizeof text, "all sessions of the monitor are in use: end one of kmon");
    int taken = 0;

    for (int i = 0; i < WIRE_SESSIONS; i++)
        if (b->seats[i].owner) {
            taken++;
            at += snprintf(text + at, sizeof text - (size_t)at, " %d", (int)b->seats[i].owner->pid);
        }
    answer_waiting(
        a, "busy",
        clock_ms() < b->full_ms
            ? "the kernel has no memory for another session of the monitor: end a program"
        : taken ? text
                : "the sessions of the monitor whose clients have gone do not end");
}

// One whose client has gone, and that the kernel clears away; unless it hangs.
static bool a_seat_comes(const struct broker *b)
{
    for (int i = 0; i < WIRE_SESSIONS; i++)
        if (!b->seats[i].owner)
            return clock_ms() >= b->full_ms;
    return false;
}

static void refuse_the_patient(struct broker *b)
{
    struct attached *a;

    while (b->c->welcome && (a = longest_waiting(b)) &&
           clock_ms() > a->waits_ms + (a_seat_comes(b) ? 3 * PATIENCE_MS : PATIENCE_MS))
        refuse(b, a);
}

static void say_what_is_wanted(struct broker *b)
{
    if (b->wanted == b->open || !b->c->welcome || clock_ms() < b->want_ms)
        return;
    console_tell(b->c, WIRE_WANT, b->wanted);
    b->want_ms = clock_ms() + WANT_MS;
}

void seats_on_open(struct console *c, uint8_t open, uint8_t refused)
{
    (void)c;
    broker.open = open;
    refused &= broker.wanted;
    for (int i = 0; i < WIRE_SESSIONS; i++) {
        struct attached *a = broker.seats[i].owner;
        if (!(refused >> i & 1))
            continue;
        if (a) {
            uint64_t since = a->waits_ms;
            seat_leave(a);
            a->waits_ms = since;
            broker.full_ms = clock_ms() + WANT_MS;
        }
        close_session(&broker, (unsigned)i);
    }
}

void seats_lost(struct broker *b)
{
    b->wanted = b->open = 0;
    for (int i = 0; i < WIRE_SESSIONS; i++) {
        struct seat *s = &b->seats[i];
        if (s->owner && s->busy)
            attached_error(s->owner, s->owner_id, "lost",
                           "the line was given up while this ran: it may have been done or not");
        if (s->owner)
            seat_leave(s->owner);
        s->leaving = false;
    }
}

// ---- requests

static void start_next(struct seat *s)
{
    struct attached *a = s->owner;
    struct rpc_head head;

    for (size_t n; !s->busy && (n = first(&a->requests)) != 0; drop_first(&a->requests)) {
        if (!rpc_parse(&head, a->requests.data + sizeof(uint32_t), n))
            continue;
        s->busy = true;
        s->gap = false;
        s->owner_id = head.id;
        s->id = client_next_id();
        s->request.len = 0;
        renumber(&s->request, &head, s->id);
        put(&s->outbox, s->request.data, s->request.len);
        s->again_ms = clock_ms() + AGAIN_MS;
    }
    a->waits_ms = 0;
}

static void send_messages(struct broker *b, unsigned i)
{
    struct seat *s = &b->seats[i];
    size_t n;

    // Frames from the kernel were lost: perhaps the reply. It does nothing twice.
    if (s->busy && s->gap && !s->outbox.len && clock_ms() >= s->again_ms) {
        put(&s->outbox, s->request.data, s->request.len);
        s->gap = false;
        s->again_ms = clock_ms() + AGAIN_MS;
    }
    while ((n = first(&s->outbox)) != 0 &&
           console_send_message(b->c, i, s->outbox.data + sizeof(uint32_t), n))
        drop_first(&s->outbox);
}

void seats_step(struct broker *b)
{
    close_what_was_left(b);
    seat_clients(b);
    refuse_the_patient(b);
    say_what_is_wanted(b);
    for (unsigned i = 0; i < WIRE_SESSIONS; i++) {
        struct seat *s = &b->seats[i];
        s->gap |= b->c->rpc_gap;
        if (s->owner && is_open(b, i) && b->c->welcome)
            start_next(s);
        send_messages(b, i);
    }
    b->c->rpc_gap = false;
}

uint64_t seats_wake_ms(const struct broker *b)
{
    uint64_t ms = b->wanted != b->open ? WANT_MS : 60000;

    for (int i = 0; i < WIRE_SESSIONS; i++)
        if (b->seats[i].busy && ms > AGAIN_MS)
            ms = AGAIN_MS;
    for (int i = 0; i < BROKER_CLIENTS; i++)
        if (b->clients[i].fd >= 0 && b->clients[i].waits_ms)
            ms = LOOK_MS;
    return ms;
}

// ---- what the kernel says

static void take_message(struct seat *s, const struct bytes *message)
{
    struct bytes out = {0};
    struct rpc_head head;

    if (!s->owner || !s->busy || !rpc_parse(&head, message->data, message->len))
        return;
    if (head.kind == RPC_CALL) {
        attached_message(s->owner, message->data, message->len);
    } else if (head.kind == RPC_REPLY && head.id == s->id) {
        renumber(&out, &head, s->owner_id);
        s->busy = false;
        broker_release_shell(s->owner);
        attached_message(s->owner, out.data, out.len);
        bytes_free(&out);
    }
}

void seats_take(struct broker *b)
{
    static struct bytes message;
    unsigned session;

    while (console_take_message(b->c, &message, &session))
        take_message(&b->seats[session], &message);
}

// NULL also while its session is not open yet: what comes is of the one before, whose events OPEN overtook.
static struct attached *listener(const struct console *c)
{
    return is_open(&broker, c->speaker) ? broker.seats[c->speaker].owner : NULL;
}

void seats_on_repl(struct console *c, const uint8_t *data, size_t n)
{
    struct attached *a = listener(c);

    if (a)
        attached_send(a, WIRE_REPL, true, data, n);
}

void seats_on_event(struct console *c, const uint8_t *data, size_t n)
{
    struct attached *a = listener(c);

    if (a)
        attached_send(a, WIRE_EVENTS, true, data, n);
}
