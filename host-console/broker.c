// SPDX-License-Identifier: MIT
// The line's owner, between the kernel and its clients; see the header.
#include "broker.h"

#include "client.h"
#include "line.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { AGAIN_MS = 1500, TYPING_MS = 100, TYPED_AT_ONCE = 4096, LAST_MS = 2000 };

static struct broker broker;

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

// ---- what a client wants

static void release_shell(struct attached *a)
{
    if (a && a->broker->shell == a)
        a->broker->shell = NULL;
}

static void want_shell(struct attached *a, const struct rpc_head *head)
{
    bool take = false;

    release_shell(a);
    cbor_find_bool(head->body, "take", &take);
    a->wants_shell = take ? head->id : 0;
}

static void give_shell(struct broker *b)
{
    for (unsigned i = 0; i < BROKER_CLIENTS && !b->shell; i++) {
        struct attached *a = &b->clients[i];
        if (a->fd < 0 || !a->wants_shell)
            continue;
        b->shell = a;
        attached_ok(a, a->wants_shell);
        a->wants_shell = 0;
    }
}

void broker_request(struct attached *a, const void *message, size_t n)
{
    struct broker *b = a->broker;
    struct rpc_head head;

    if (!rpc_parse(&head, message, n))
        return;
    if (head.kind == RPC_REQUEST && strcmp(head.op, "terminal") == 0)
        want_shell(a, &head);
    else if (head.kind == RPC_REQUEST && !(b->owner == a && b->owner_id == head.id))
        put(&a->requests, message, n);
    else if (head.kind == RPC_RETURN && b->owner == a)
        put(&b->outbox, message, n);
}

static void interrupt_waiting(struct attached *a)
{
    struct rpc_head head;

    for (size_t n; (n = first(&a->requests)) != 0; bytes_drop(&a->requests, n + sizeof(uint32_t)))
        if (rpc_parse(&head, a->requests.data + sizeof(uint32_t), n))
            attached_error(a, head.id, "interrupted", "interrupted");
}

void broker_interrupt(struct attached *a, enum wire_control how)
{
    struct broker *b = a->broker;

    interrupt_waiting(a);
    if (b->owner != a)
        return;
    console_control(b->c, how);
    if (how != WIRE_RESET)
        return;
    attached_error(a, b->owner_id, "interrupted", "the session was reset");
    b->busy = false;
    b->owner = NULL;
}

void broker_gone(struct attached *a)
{
    struct broker *b = a->broker;

    a->requests.len = 0;
    a->wants_shell = 0;
    release_shell(a);
    if (b->typist == a)
        b->typist = NULL;
    if (b->owner != a)
        return;
    console_control(b->c, WIRE_INT);
    b->owner = NULL;
}

void broker_size(struct attached *a)
{
    struct broker *b = a->broker;
    struct wire_hello *mine = &b->c->hello;
    const struct wire_hello *his = &a->rx.hello;

    if (!his->rows || (mine->rows && b->typist && b->typist != a))
        return;
    if (his->rows == mine->rows && his->cols == mine->cols)
        return;
    mine->rows = his->rows;
    mine->cols = his->cols;
    if (b->c->welcome)
        line_hello(b->c, clock_ms());
}

// ---- what the kernel says

static void to_all(struct console *c, enum wire_channel chan, const uint8_t *data, size_t n)
{
    (void)c;
    for (int i = 0; i < BROKER_CLIENTS; i++)
        attached_send(&broker.clients[i], chan, true, data, n);
}

static void on_tty(struct console *c, const uint8_t *data, size_t n)
{
    to_all(c, WIRE_TTY, data, n);
}

static void on_log(struct console *c, const uint8_t *data, size_t n)
{
    to_all(c, WIRE_LOG, data, n);
}

static void on_event(struct console *c, const uint8_t *data, size_t n)
{
    to_all(c, WIRE_EVENTS, data, n);
}

static void on_text(struct console *c, const uint8_t *data, size_t n)
{
    (void)c;
    for (int i = 0; i < BROKER_CLIENTS; i++)
        if (broker.clients[i].fd >= 0)
            attached_text(&broker.clients[i], data, n);
}

static void on_repl(struct console *c, const uint8_t *data, size_t n)
{
    (void)c;
    if (broker.owner)
        attached_send(broker.owner, WIRE_REPL, true, data, n);
}

static void take_message(struct broker *b, const struct bytes *message)
{
    struct bytes out = {0};
    struct rpc_head head;

    if (!rpc_parse(&head, message->data, message->len))
        return;
    if (head.kind == RPC_CALL && b->owner) {
        attached_message(b->owner, message->data, message->len);
    } else if (head.kind == RPC_CALL) {
        uint8_t memory[128];
        struct cbor_out o = {memory, sizeof memory, 0};
        rpc_call_failed(&o, head.id, "the client is gone");
        put(&b->outbox, memory, o.len);
    } else if (head.kind == RPC_REPLY && b->busy && head.id == b->id) {
        renumber(&out, &head, b->owner_id);
        if (b->owner)
            attached_message(b->owner, out.data, out.len);
        release_shell(b->owner);
        bytes_free(&out);
        b->busy = false;
        b->owner = NULL;
    }
}

// ---- the loop

static void start_next(struct broker *b)
{
    struct rpc_head head;

    for (unsigned i = 0; i < BROKER_CLIENTS && !b->busy && b->c->welcome; i++) {
        struct attached *a = &b->clients[(b->turn + i) % BROKER_CLIENTS];
        size_t n = a->fd >= 0 ? first(&a->requests) : 0;
        if (n == 0)
            continue;
        if (rpc_parse(&head, a->requests.data + sizeof(uint32_t), n)) {
            b->busy = true;
            b->owner = a;
            b->owner_id = head.id;
            b->id = client_next_id();
            b->turn = (unsigned)(a - b->clients) + 1;
            b->request.len = 0;
            renumber(&b->request, &head, b->id);
            put(&b->outbox, b->request.data, b->request.len);
            b->again_ms = clock_ms() + AGAIN_MS;
            b->c->rpc_gap = false;
        }
        bytes_drop(&a->requests, n + sizeof(uint32_t));
    }
}

static void send_messages(struct broker *b)
{
    size_t n;

    // Frames from the kernel were lost: perhaps the reply. It does nothing twice.
    if (b->busy && b->c->rpc_gap && clock_ms() >= b->again_ms) {
        put(&b->outbox, b->request.data, b->request.len);
        b->c->rpc_gap = false;
        b->again_ms = clock_ms() + AGAIN_MS;
    }
    while ((n = first(&b->outbox)) != 0 &&
           console_send_message(b->c, b->outbox.data + sizeof(uint32_t), n))
        bytes_drop(&b->outbox, n + sizeof(uint32_t));
}

static void type_keys(struct broker *b, struct attached *a)
{
    size_t n = a->keys.len < TYPED_AT_ONCE ? a->keys.len : TYPED_AT_ONCE;

    if (n == 0 || (b->typist != a && b->line_open && clock_ms() < b->typed_ms + TYPING_MS))
        return;
    if (!console_type(b->c, a->keys.data, n))
        return;
    b->line_open = a->keys.data[n - 1] != '\r' && a->keys.data[n - 1] != '\n';
    b->typed_ms = clock_ms();
    b->typist = a;
    bytes_drop(&a->keys, n);
    broker_size(a);
}

// Another session with the kernel: what ran in the last one is lost, what waits is not. Another
// kernel: nothing that was said to the old one holds.
static void notice_session(struct broker *b)
{
    struct console *c = b->c;

    if (b->sessions == c->sessions)
        return;
    b->sessions = c->sessions;
    if (b->busy && b->owner)
        attached_error(b->owner, b->owner_id, "lost",
                       "the line was given up while this ran: it may have been done or not");
    b->busy = false;
    b->owner = NULL;
    b->outbox.len = 0;
    for (int i = 0; i < BROKER_CLIENTS; i++) {
        struct attached *a = &b->clients[i];
        if (a->fd >= 0 && a->greeted && (a->boot != c->boot_id || !a->rx.mux))
            attached_renew(a);
    }
}

static bool keys_wait(const struct broker *b)
{
    for (int i = 0; i < BROKER_CLIENTS; i++)
        if (b->clients[i].fd >= 0 && b->clients[i].keys.len)
            return true;
    return false;
}

static bool step(struct console *c, void *arg)
{
    static struct bytes message;
    struct broker *b = arg;

    notice_session(b);
    while (console_take_message(c, &message))
        take_message(b, &message);
    for (int i = 0; i < BROKER_CLIENTS; i++)
        if (b->clients[i].fd >= 0) {
            if (!b->clients[i].rx.mux)
                wire_rx_tick(&b->clients[i].rx, clock_ms());
            type_keys(b, &b->clients[i]);
        }
    give_shell(b);
    start_next(b);
    send_messages(b);
    for (int i = 0; i < BROKER_CLIENTS; i++)
        attached_write(&b->clients[i]);
    return b->child && b->clients[0].fd < 0;
}

static bool all_told(struct console *c, void *arg)
{
    struct broker *b = arg;
    bool told = true;

    (void)c;
    for (int i = 0; i < BROKER_CLIENTS; i++) {
        attached_write(&b->clients[i]);
        told &= b->clients[i].fd < 0 || b->clients[i].out.len == 0;
    }
    return told;
}

// The machine has ended or panicked: what it said last still reaches everybody.
static void tell_all_and_close(struct broker *b)
{
    uint64_t until = clock_ms() + LAST_MS;

    while (!all_told(b->c, b) && clock_ms() < until)
        console_serve_others(b->c, 20);
    for (int i = 0; i < BROKER_CLIENTS; i++)
        attached_close(&b->clients[i]);
}

static int status_of(pid_t child)
{
    int status = 0;

    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_INTERRUPTED;
}

int broker_run(struct console *c, const char *path, int listener, pid_t child, int fd)
{
    struct broker *b = &broker;
    enum wait_result r;
    uint64_t soon;

    b->c = c;
    b->child = child;
    b->listener = listener;
    for (int i = 0; i < BROKER_CLIENTS; i++)
        b->clients[i].fd = -1;
    if (child)
        attached_open(b, &b->clients[0], fd);
    broker_accept(b);
    c->terminal_only = c->size_set = true;
    c->on_tty = c->on_mark = on_tty;
    c->on_text = on_text;
    c->on_log = on_log;
    c->on_repl = on_repl;
    c->on_event = on_event;
    if (!child)
        fprintf(stderr, "kmon: the line is shared at %s\n", path);
    do {
        soon = clock_ms() + (keys_wait(b) ? TYPING_MS : b->busy ? AGAIN_MS : 60000);
        r = console_wait(c, step, b, soon);
    } while ((r == WAIT_TIMEOUT && clock_ms() < c->deadline_ms) ||
             (r == WAIT_INTERRUPTED && child));
    tell_all_and_close(b);
    if (child)
        return status_of(child);
    if (r == WAIT_CLOSED || r == WAIT_INTERRUPTED)
        return r == WAIT_CLOSED ? EXIT_OK : EXIT_INTERRUPTED;
    console_fail_wait(c, r, "the line was shared");
}
