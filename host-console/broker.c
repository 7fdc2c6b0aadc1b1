// SPDX-License-Identifier: MIT
// The line's owner, between the kernel and its clients; see the header.
#include "broker.h"

#include "client.h"
#include "line.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { TYPING_MS = 100, TYPED_AT_ONCE = 4096, LAST_MS = 2000 };

struct broker broker;

// ---- what a client wants

void broker_release_shell(struct attached *a)
{
    if (a && a->broker->shell == a)
        a->broker->shell = NULL;
}

static void want_shell(struct attached *a, const struct rpc_head *head)
{
    bool take = false;

    broker_release_shell(a);
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
    struct rpc_head head;

    if (!rpc_parse(&head, message, n))
        return;
    if (head.kind == RPC_REQUEST && strcmp(head.op, "terminal") == 0)
        want_shell(a, &head);
    else
        seat_request(a, &head, message, n);
}

void broker_gone(struct attached *a)
{
    struct broker *b = a->broker;

    a->requests.len = 0;
    a->wants_shell = 0;
    broker_release_shell(a);
    if (b->typist == a)
        b->typist = NULL;
    seat_leave(a);
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

static void on_text(struct console *c, const uint8_t *data, size_t n)
{
    (void)c;
    for (int i = 0; i < BROKER_CLIENTS; i++)
        if (broker.clients[i].fd >= 0)
            attached_text(&broker.clients[i], data, n);
}

// ---- the loop

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

// Another connection with the kernel: what ran in the last one is lost, what waits is not. Another
// kernel: nothing that was said to the old one holds.
static void notice_connection(struct broker *b)
{
    struct console *c = b->c;

    if (b->connections == c->connections)
        return;
    b->connections = c->connections;
    seats_lost(b);
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
    struct broker *b = arg;

    (void)c;
    notice_connection(b);
    seats_take(b);
    for (int i = 0; i < BROKER_CLIENTS; i++)
        if (b->clients[i].fd >= 0) {
            if (!b->clients[i].rx.mux)
                wire_rx_tick(&b->clients[i].rx, clock_ms());
            type_keys(b, &b->clients[i]);
        }
    give_shell(b);
    seats_step(b);
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
    c->on_repl = seats_on_repl;
    c->on_event = seats_on_event;
    c->on_open = seats_on_open;
    if (!child)
        fprintf(stderr, "kmon: the line is shared at %s\n", path);
    do {
        soon = clock_ms() + (keys_wait(b) ? TYPING_MS : seats_wake_ms(b));
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
