// SPDX-License-Identifier: MIT
// One kmon has the line, others attach to it over a local socket.
//
// To each client the broker speaks what a kernel speaks (monitor/wire), so a client is an ordinary
// `kmon connect unix:PATH`, and what speaks no frames (nc -U PATH) has the plain terminal. What the
// kernel prints goes to all.
//
// With its first request a client gets a seat: a session of the monitor of its own, with its globals, its
// mode and its heap, until it ends. What the session prints, its events, calls to the host and replies go
// to that client, whose INT goes to that session. A client that ends, or says RESET, leaves its seat, and
// the session is forgotten. When all seats are taken, a client waits a moment for one, then its requests
// are refused.
#pragma once

#include "console.h"
#include "wire/rx.h"

enum { BROKER_CLIENTS = 32 };

struct broker;

struct attached {
    struct broker *broker;
    int fd;            // -1: free
    struct wire_rx rx; // what it sends
    bool greeted;      // it said HELLO; `rx.mux` once the kernel could be told of
    bool eof;          // it will say no more
    uint8_t seq, connection;
    uint64_t boot;         // of the kernel it was last told of
    struct bytes out;      // waits to be written
    size_t lost;           // bytes of terminal and log that it was too slow for
    struct bytes message;  // parts of one so far
    struct bytes requests; // that wait their turn: u32 length, bytes
    struct bytes keys;     // typed, not yet on the line
    uint64_t wants_shell;  // id of the request for it, 0: none
    pid_t pid;
    int seat;          // index, NO_SEAT: none
    uint64_t waits_ms; // since when it waits for one, 0: it does not
};
enum { NO_SEAT = -1 };

// A session of the kernel's, by number. It is free when the kernel does not have it open, nor is to.
// One that its client left stays wanted until all that was sent to it has come there, for WANT
// overtakes it: else the number's next session would get it.
struct seat {
    struct attached *owner;  // NULL: it is free, or about to be
    bool busy;               // a request runs
    bool gap;                // a frame was lost since it was sent
    uint64_t owner_id, id;   // of the request: as the client, as the kernel knows it
    struct bytes request;    // as it was sent
    uint64_t again_ms;       // when it may be sent once more
    struct bytes outbox;     // messages for the kernel: u32 length, bytes
    bool leaving, in_window; // nobody's; in_window: none of its frames waits in the ring any more
    uint32_t mark;           // leaving: behind its last frame, in the ring
    uint8_t seq;             // in_window: behind its last frame, in the sequence
};

struct broker {
    struct console *c;
    int listener;
    struct attached clients[BROKER_CLIENTS];
    struct seat seats[WIRE_SESSIONS];
    uint8_t wanted, open;      // sessions, a bit each: as the kernel is told, as it says
    uint64_t want_ms, full_ms; // when it was told last; when it had no memory for one
    struct attached *shell;    // whose command the guest's shell runs
    // Who typed last: another one's keys wait until his line is whole, or for a moment
    struct attached *typist;
    bool line_open;
    uint64_t typed_ms;
    unsigned connections; // of the console, as last seen
    pid_t child;
};

// broker_client.c: one client
void attached_open(struct broker *b, struct attached *a, int fd);
void attached_close(struct attached *a);                   // tells broker_gone
void attached_refuse(struct attached *a, const char *why); // says why, and closes
// A frame for it, or in PLAIN the bytes of terminal and log as they are.
void attached_send(struct attached *a, enum wire_channel chan, bool last, const void *data,
                   size_t n);
void attached_message(struct attached *a, const void *data, size_t n); // on rpc
void attached_ok(struct attached *a, uint64_t id);                     // the reply to a request
void attached_error(struct attached *a, uint64_t id, const char *kind, const char *message);
void attached_text(struct attached *a, const void *data, size_t n); // outside frames
// The kernel is another one, or there is one now: numbers start anew, what waited is void.
void attached_renew(struct attached *a);
void attached_write(struct attached *a); // as much as its socket takes

// broker_seats.c: requests, and who has which session
void seat_request(struct attached *a, const struct rpc_head *head, const void *message, size_t n);
void seat_interrupt(struct attached *a, enum wire_control how); // INT or RESET
void seat_leave(struct attached *a);
void seats_step(struct broker *b);              // seats clients, starts requests, sends
void seats_lost(struct broker *b);              // another connection with the kernel
void seats_take(struct broker *b);              // what the kernel says on rpc
uint64_t seats_wake_ms(const struct broker *b); // how long until there is something to do
void seats_on_open(struct console *c, uint8_t open, uint8_t refused);
void seats_on_repl(struct console *c, const uint8_t *data, size_t n);
void seats_on_event(struct console *c, const uint8_t *data, size_t n);

extern struct broker broker;

// broker.c: what a client wants
void broker_request(struct attached *a, const void *message, size_t n);
void broker_release_shell(struct attached *a);
void broker_gone(struct attached *a);
// The guest's terminal is as large as that of the client who typed last, or else the first with one.
void broker_size(struct attached *a);

// Serves until the machine ends. `child`: the process that is this kmon's own client, on `fd`; its
// end is the end, its status the result. 0: none.
int broker_run(struct console *c, const char *path, int listener, pid_t child, int fd);

// broker_socket.c: binds the socket, removed at exit; ends kmon when that cannot be.
int broker_listen(struct console *c, const char *path);
void broker_accept(struct broker *b);
