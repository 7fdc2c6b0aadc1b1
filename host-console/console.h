// SPDX-License-Identifier: MIT
// One line to one kernel, and the loop that serves it.
//
// Everything runs in one thread: whoever has to wait calls console_wait(), which serves the line,
// the signals and the machine's end until the condition holds. Verbs are written as if they
// blocked. What comes off the line is handed to the hooks as it comes.
#pragma once

#include "wire/demux.h"
#include "wire/rpc.h"
#include "wire/sender.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum exit_code {
    EXIT_OK = 0,
    EXIT_LUA = 1,
    EXIT_USAGE = 2,
    EXIT_CONNECT = 3,
    EXIT_TIMEOUT = 4,
    EXIT_PANIC = 5,
    EXIT_PROTOCOL = 6,
    EXIT_ASSERT = 7,
    EXIT_INTERRUPTED = 130,
};

// A growable byte buffer; always has a zero behind its len bytes.
struct bytes {
    char *data;
    size_t len, cap;
};
void bytes_add(struct bytes *b, const void *data, size_t n);
void bytes_drop(struct bytes *b, size_t n); // from its beginning
void bytes_free(struct bytes *b);

// On the heap; ends kmon without memory.
char *format_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

enum { WATCHERS = 40 };

struct console {
    int fd; // the line; -1 when closed
    int epoll, signals;
    pid_t qemu;      // 0: not ours
    int qemu_status; // of waitpid, valid once the machine is gone
    bool raw_tty;    // the line is a pty or serial device
    bool icount;     // guest time is not host time: no keep-alive
    bool verbose;    // log lines of the kernel go to stderr
    bool shared;     // the line is a broker's (broker.h)
    bool booting;    // the machine was started just now: more patience
    struct {
        int fd;
        void (*ready)(struct console *c, void *arg);
        void *arg;
    } watchers[WATCHERS];
    unsigned watchers_n;

    const char *elf; // the kernel that runs, as far as the host knows; may be NULL

    // the connection: what HELLO begins; it carries the monitor's sessions
    struct wire_demux demux;
    struct wire_sender sender;
    struct wire_hello hello;
    bool await_ready;   // no HELLO before the kernel says it listens
    bool terminal_only; // a kernel without a monitor will do: do not type HELLO at it for ever
    bool has_monitor;   // it said so, or did answer: HELLO is repeated until it does
    unsigned hellos;
    bool welcome, closed, panicked, interrupted;
    unsigned interrupts;  // SIGINTs so far
    unsigned resizes;     // SIGWINCHs
    bool size_set;        // hello.rows and .cols are not those of kmon's own terminal
    unsigned connections; // how many began; a request of one before is lost
    uint64_t boot_id, schema;
    unsigned harts;
    uint8_t info[WIRE_PAYLOAD]; // the map in WELCOME
    size_t info_n;
    uint8_t connection;                      // its number, from WELCOME
    uint64_t started_ms, hello_ms, heard_ms; // of the last HELLO sent, byte received
    uint64_t deadline_ms;                    // of the verb; UINT64_MAX: none
    uint8_t next_seq;                        // from the kernel
    unsigned behind;                         // WELCOMEs in a row that named one before it
    bool outside;                            // text came that was in no frame, since the last one
    bool rpc_gap;      // frames from the kernel were lost since the last request
    unsigned lost;     // bytes nobody could read
    struct bytes out;  // waits to be written
    struct bytes text; // what came outside frames, its last part
    struct {
        struct bytes parts; // of an rpc message so far
        bool torn;          // one is missing: until its last one
    } message[WIRE_SESSIONS];
    struct bytes inbox;    // whole rpc messages: u32 length, u32 session, bytes
    unsigned speaker;      // session that what on_repl, on_event get is of
    struct bytes terminal; // what the user's terminal showed, CR LF as LF (guest.c)
    bool terminal_cr;

    // hooks; may be NULL
    void (*on_tty)(struct console *c, const uint8_t *data, size_t n);
    void (*on_text)(struct console *c, const uint8_t *data, size_t n);
    void (*on_mark)(struct console *c, const uint8_t *data,
                    size_t n); // "[... lost]"; NULL: on_text
    void (*on_log)(struct console *c, const uint8_t *data, size_t n);
    void (*on_repl)(struct console *c, const uint8_t *data, size_t n);
    void (*on_event)(struct console *c, const uint8_t *data, size_t n);
    void (*on_open)(struct console *c, uint8_t open, uint8_t refused); // see WIRE_OPEN
    void (*on_stdin)(struct console *c);
};

uint64_t clock_ms(void);
void console_init(struct console *c);
// Takes a connected line.
void console_attach(struct console *c, int fd);
// Watches stdin: on_stdin is called when it can be read.
void console_watch_stdin(struct console *c, bool on);
// What is read of stdin before there is a line. ^C ends kmon.
ssize_t console_read_stdin(struct console *c, void *buf, size_t n);
// ^C came, to one that computes and does not wait.
bool console_interrupted(struct console *c);

// Calls ready when the file can be read, and when `write`, when it can be written. Watched again it
// changes what for.
void console_watch(struct console *c, int fd, bool read, bool write,
                   void (*ready)(struct console *c, void *arg), void *arg);
void console_unwatch(struct console *c, int fd);
// Serves only what is watched, for at most ms: the line has ended.
void console_serve_others(struct console *c, int ms);

enum wait_result { WAIT_OK, WAIT_TIMEOUT, WAIT_CLOSED, WAIT_PANIC, WAIT_INTERRUPTED };
// Serves the line until done(c, arg), until_ms (clock_ms; UINT64_MAX: none) or the verb's deadline.
// Interrupted: ^C was typed; told once per ^C.
enum wait_result console_wait(struct console *c, bool (*done)(struct console *c, void *arg),
                              void *arg, uint64_t until_ms);

// HELLO until the kernel answers. Ends kmon when it does not.
void console_connect(struct console *c);
void console_bye(struct console *c);

// Queues; false when the queue is full (serve the line and come back).
bool console_type(struct console *c, const void *data, size_t n);
bool console_send_message(struct console *c, unsigned session, const void *data, size_t n);
void console_control(struct console *c, enum wire_control what); // INT: of session 0
void console_tell(struct console *c, enum wire_control what, uint8_t of);
// The oldest whole rpc message and the session it is of; false when there is none. Free data afterwards.
bool console_take_message(struct console *c, struct bytes *into, unsigned *session);

// Ends kmon: restores the terminal, stops the machine by force, one line on stderr.
_Noreturn void console_fail(struct console *c, enum exit_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// The same for what console_wait returned, with `doing` as in "while booting".
_Noreturn void console_fail_wait(struct console *c, enum wait_result r, const char *doing);

// qemu.c
enum { MACHINE_MORE = 16 };
struct machine {
    unsigned harts;
    const char *memory, *disk, *initrd, *kernel, *append;
    bool scratch_disk; // what is written to the disk is forgotten
    bool icount;
    const char *more[MACHINE_MORE]; // further words for QEMU
    unsigned more_n;
};
void qemu_start(struct console *c, const struct machine *m);
void qemu_kill(struct console *c); // and wait; no-op when it is not ours or gone
// Powers the machine off through the kernel; false when it had to be killed.
bool qemu_power_off(struct console *c);
// build_id.c: the first 16 hexadecimal digits; false when the file has none.
bool build_id_of(const char *path, char hex[17]);
// connect.c: unix:/path or pty:/dev/...
void line_open(struct console *c, const char *address);
