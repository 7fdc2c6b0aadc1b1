// SPDX-License-Identifier: MIT
// The loop: line in, line out, signals, clocks.
#include "console.h"

#include "guest.h"
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    HELLO_EVERY_MS = 1000,
    HELLO_FIRST_MS = 400,
    HELLO_TRIES = 3,
    READY_MS = 15000,
    CONNECT_MS = 10000
};
enum { KEEPALIVE_S = 5, TEXT_KEPT = 64 * 1024, IDLE_MS = 100, STALE_MS = 1000 };

static uint8_t tty_memory[64 * 1024], message_memory[256 * 1024];

uint64_t clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

// ---- what comes off the line

static void keep_text(struct console *c, const uint8_t *data, size_t n)
{
    bytes_add(&c->text, data, n);
    if (c->text.len > 2 * TEXT_KEPT)
        bytes_drop(&c->text, c->text.len - TEXT_KEPT);
    if (strstr(c->text.data, "PANIC on hart "))
        c->panicked = true;
}

// Firmware speaks again: until the new kernel listens, HELLO would be typed at its half-made UART.
static void notice_reboot(struct console *c, const uint8_t *data, size_t n)
{
    if (!c->welcome || !memmem(data, n, "OpenSBI v", 9))
        return;
    if (!c->terminal_only)
        console_fail(c, EXIT_PROTOCOL, "the kernel was booted anew");
    c->welcome = false;
    c->await_ready = true;
    c->text.len = 0;
}

static void on_text(void *ctx, const uint8_t *data, size_t n)
{
    struct console *c = ctx;

    notice_reboot(c, data, n);
    keep_text(c, data, n);
    if (c->await_ready && strstr(c->text.data, "monitor: listening"))
        c->await_ready = false;
    if (!c->welcome)
        guest_saw(c, data, n);
    if (c->on_text)
        c->on_text(c, data, n);
}

static void on_lost(void *ctx, size_t n)
{
    struct console *c = ctx;
    char line[48];
    int len = snprintf(line, sizeof line, "\r\n[%zu bytes lost]\r\n", n);

    c->lost += (unsigned)n;
    if (c->on_text)
        c->on_text(c, (const uint8_t *)line, (size_t)len);
}

// Both sides number from 0. A request that was on its way is sent again (client.c).
static void begin_session(struct console *c, uint8_t session)
{
    wire_sender_reset(&c->sender);
    c->session = session;
    c->next_seq = -1;
    c->hellos = 0;
    c->rpc_gap = true;
    c->message.len = 0;
}

// What the host looks up in the ELF file (names, lines) would be of another kernel.
static void warn_of_other_build(struct console *c, const char *build, size_t n)
{
    char hex[17];

    if (build_id_of(c->elf, hex) && (n != 16 || memcmp(hex, build, 16) != 0))
        fprintf(stderr, "kmon: the kernel that runs is not %s\r\n", c->elf);
    c->elf = NULL;
}

static void take_welcome(struct console *c, const struct wire_frame *frame)
{
    struct cbor_in info =
        cbor_in(frame->payload + WIRE_WELCOME_HEAD, frame->len - WIRE_WELCOME_HEAD);
    uint64_t version = 0, boot = 0, harts = 0;
    const char *build;
    size_t build_n;

    if (memcmp(frame->payload + 1, c->hello.nonce, WIRE_NONCE) != 0)
        return;
    if (!cbor_find_uint(info, "version", &version) || version != RPC_VERSION)
        console_fail(c, EXIT_PROTOCOL, "the kernel speaks version %u of the protocol, kmon %u",
                     (unsigned)version, RPC_VERSION);
    cbor_find_uint(info, "boot", &boot);
    cbor_find_uint(info, "harts", &harts);
    cbor_find_uint(info, "schema", &c->schema);
    if (cbor_find_text(info, "build", &build, &build_n) && c->elf && !c->welcome)
        warn_of_other_build(c, build, build_n);
    if (c->welcome && boot != c->boot_id)
        console_fail(c, EXIT_PROTOCOL, "the kernel was booted anew");
    if (c->welcome && frame->payload[1 + WIRE_NONCE] != c->session && !c->terminal_only)
        console_fail(c, EXIT_PROTOCOL, "the kernel gave kmon up after %u s of silence",
                     KEEPALIVE_S);
    if (!c->welcome || frame->payload[1 + WIRE_NONCE] != c->session)
        begin_session(c, frame->payload[1 + WIRE_NONCE]);
    c->welcome = true;
    c->demux.strict = true;
    c->boot_id = boot;
    c->harts = (unsigned)harts;
}

static void take_message_part(struct console *c, const struct wire_frame *frame)
{
    uint32_t len;

    bytes_add(&c->message, frame->payload, frame->len);
    if (frame->type != WIRE_LAST)
        return;
    len = (uint32_t)c->message.len;
    bytes_add(&c->inbox, &len, sizeof len);
    bytes_add(&c->inbox, c->message.data, c->message.len);
    c->message.len = 0;
}

static void take_sequenced(struct console *c, const struct wire_frame *frame)
{
    // A gap may have taken a part of a message: what there is of it is worth nothing.
    if (c->next_seq >= 0 && frame->seq != c->next_seq) {
        c->rpc_gap = true;
        c->message.len = 0;
    }
    c->next_seq = (uint8_t)(frame->seq + 1);
    switch (frame->chan) {
    case WIRE_TTY:
        guest_saw(c, frame->payload, frame->len);
        if (c->on_tty)
            c->on_tty(c, frame->payload, frame->len);
        break;
    case WIRE_LOG:
        if (c->on_log)
            c->on_log(c, frame->payload, frame->len);
        break;
    case WIRE_REPL:
        if (c->on_repl)
            c->on_repl(c, frame->payload, frame->len);
        break;
    case WIRE_RPC:
        take_message_part(c, frame);
        break;
    default:
        break;
    }
}

static void on_frame(void *ctx, const struct wire_frame *frame)
{
    struct console *c = ctx;
    struct wire_ack ack;

    if (frame->type == WIRE_NOW && frame->len >= WIRE_WELCOME_HEAD &&
        frame->payload[0] == WIRE_WELCOME)
        take_welcome(c, frame);
    else if (!c->welcome)
        return; // of a session before this one
    else if (wire_ack_decode(&ack, frame))
        wire_sender_ack(&c->sender, &ack);
    else if (frame->type == WIRE_DATA || frame->type == WIRE_LAST)
        take_sequenced(c, frame);
}

static const struct wire_demux_sink demux_sink = {on_frame, on_text, on_lost};

bool console_take_message(struct console *c, struct bytes *into)
{
    uint32_t len;

    if (c->inbox.len < sizeof len)
        return false;
    memcpy(&len, c->inbox.data, sizeof len);
    into->len = 0;
    bytes_add(into, c->inbox.data + sizeof len, len);
    bytes_drop(&c->inbox, sizeof len + len);
    return true;
}

// ---- what goes onto it

static void say_hello(struct console *c, uint64_t now)
{
    uint8_t buf[WIRE_FRAME];

    terminal_size(&c->hello.rows, &c->hello.cols);
    bytes_add(&c->out, buf, wire_hello_encode(buf, &c->hello));
    c->hello_ms = now;
    c->hellos += !c->welcome;
}

static uint64_t hello_due(const struct console *c)
{
    if (c->fd < 0)
        return UINT64_MAX;
    if (c->await_ready)
        return c->terminal_only ? UINT64_MAX : c->started_ms + READY_MS;
    if (!c->welcome) {
        bool enough = c->terminal_only && c->hellos >= HELLO_TRIES;
        return enough && clock_ms() > c->hello_ms + HELLO_FIRST_MS ? UINT64_MAX
                                                                   : c->hello_ms + HELLO_FIRST_MS;
    }
    return c->icount ? UINT64_MAX : c->hello_ms + HELLO_EVERY_MS;
}

bool console_type(struct console *c, const void *data, size_t n)
{
    const uint8_t *p = data;

    if (!c->welcome) {
        // A HELLO is on its way: whether this is to be a frame or not is known with the answer.
        if (c->hellos && hello_due(c) != UINT64_MAX)
            return false;
        bytes_add(&c->out, data, n);
        return true;
    }
    if (n > wire_ring_room(&c->sender.tty, WIRE_PAYLOAD))
        return false;
    for (size_t part; n > 0; p += part, n -= part) {
        part = n < WIRE_PAYLOAD ? n : WIRE_PAYLOAD;
        wire_sender_put(&c->sender, WIRE_TTY, true, p, part);
    }
    return true;
}

bool console_send_message(struct console *c, const void *data, size_t n)
{
    const uint8_t *p = data;

    if (n > wire_ring_room(&c->sender.messages, WIRE_PAYLOAD))
        return false;
    do {
        size_t part = n < WIRE_PAYLOAD ? n : WIRE_PAYLOAD;
        wire_sender_put(&c->sender, WIRE_RPC, part == n, p, part);
        p += part;
        n -= part;
    } while (n > 0);
    return true;
}

void console_control(struct console *c, enum wire_control what)
{
    uint8_t buf[WIRE_FRAME], payload = (uint8_t)what;
    struct wire_frame frame = {WIRE_NOW, WIRE_CONTROL, 1, 1, &payload};

    bytes_add(&c->out, buf, wire_frame_encode(buf, &frame));
}

// A few frames at a time: what is in the socket cannot be overtaken by a key or an INT.
static void fill_out(struct console *c, uint64_t now)
{
    uint8_t buf[WIRE_FRAME];
    size_t n;

    while (c->welcome && c->out.len < 2 * WIRE_FRAME &&
           (n = wire_sender_pull(&c->sender, buf, now)))
        bytes_add(&c->out, buf, n);
}

static void line_closed(struct console *c)
{
    if (c->fd < 0)
        return;
    wire_demux_idle(&c->demux, true);
    close(c->fd);
    c->fd = -1;
    c->closed = true;
}

static void write_line(struct console *c, uint64_t now)
{
    fill_out(c, now);
    while (c->fd >= 0 && c->out.len) {
        ssize_t n = write(c->fd, c->out.data, c->out.len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            line_closed(c);
            return;
        }
        bytes_drop(&c->out, (size_t)n);
        fill_out(c, now);
    }
}

static void read_line(struct console *c)
{
    uint8_t buf[16384];
    ssize_t n = read(c->fd, buf, sizeof buf);

    if (n > 0) {
        c->heard_ms = clock_ms();
        wire_demux_bytes(&c->demux, buf, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        line_closed(c);
    }
}

// ---- the loop

static void read_signal(struct console *c)
{
    struct signalfd_siginfo info;

    if (read(c->signals, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGINT) {
        c->interrupted = true;
        c->interrupts++;
    } else if (info.ssi_signo == SIGWINCH) {
        if (c->welcome)
            say_hello(c, clock_ms());
    } else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGHUP) {
        console_fail(c, EXIT_INTERRUPTED, "ended by signal %u", info.ssi_signo);
    }
}

static void watch(struct console *c, int fd, uint32_t events, int op)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};

    if (epoll_ctl(c->epoll, op, fd, &ev) < 0 && op == EPOLL_CTL_ADD && errno == EPERM && fd == 0)
        return; // a regular file: always readable, see stdin_is_file
}

static bool stdin_watched, stdin_is_file;

void console_watch_stdin(struct console *c, bool on)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = 0};

    if (on == stdin_watched)
        return;
    stdin_watched = on;
    stdin_is_file = false;
    if (!on)
        epoll_ctl(c->epoll, EPOLL_CTL_DEL, 0, NULL);
    else if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, 0, &ev) < 0)
        stdin_is_file = true;
}

static void serve_clocks(struct console *c, uint64_t now)
{
    wire_sender_tick(&c->sender, now);
    if (now > hello_due(c)) {
        c->await_ready = false;
        say_hello(c, now);
    }
    if (wire_demux_holds(&c->demux) && now >= c->heard_ms + IDLE_MS)
        wire_demux_idle(&c->demux, now >= c->heard_ms + STALE_MS);
}

static int sleep_time(struct console *c, uint64_t now, uint64_t until)
{
    uint64_t when = until, due = wire_sender_deadline(&c->sender);

    when = due < when ? due : when;
    due = hello_due(c);
    when = due < when ? due : when;
    if (wire_demux_holds(&c->demux)) {
        due = now < c->heard_ms + IDLE_MS ? c->heard_ms + IDLE_MS : c->heard_ms + STALE_MS;
        when = due < when ? due : when;
    }
    if (stdin_is_file && stdin_watched)
        return 0;
    // Without an answer yet, callers also wait for the time when no answer is expected any more.
    uint64_t most = c->welcome ? 60000 : 100;
    return when <= now ? 1 : (int)(when - now < most ? when - now : most);
}

static void serve(struct console *c, uint64_t until)
{
    struct epoll_event ev[4];
    uint64_t now = clock_ms();
    size_t before;

    serve_clocks(c, now);
    before = c->out.len;
    write_line(c, now);
    if (c->fd >= 0)
        watch(c, c->fd, EPOLLIN | (c->out.len ? EPOLLOUT : 0), EPOLL_CTL_MOD);
    // What was written may be what the caller waits for: no sleep before it has looked again.
    int n = epoll_wait(c->epoll, ev, 4, before > c->out.len ? 0 : sleep_time(c, now, until));
    for (int i = 0; i < n; i++) {
        if (ev[i].data.fd == c->signals)
            read_signal(c);
        else if (ev[i].data.fd == 0 && c->on_stdin)
            c->on_stdin(c);
        else if (ev[i].data.fd == c->fd && (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
            read_line(c);
    }
    if (stdin_is_file && stdin_watched && c->on_stdin)
        c->on_stdin(c);
    write_line(c, clock_ms());
}

static bool panic_told(struct console *c, void *arg)
{
    (void)arg;
    const char *at = strstr(c->text.data, "PANIC on hart ");
    return !at || strstr(at, "halted");
}

enum wait_result console_wait(struct console *c, bool (*done)(struct console *c, void *arg),
                              void *arg, uint64_t until_ms)
{
    uint64_t until = until_ms < c->deadline_ms ? until_ms : c->deadline_ms;

    for (;;) {
        if (done(c, arg))
            return WAIT_OK;
        if (c->panicked && done != panic_told) {
            uint64_t now = clock_ms();
            console_wait(c, panic_told, NULL, now + 2000);
            return WAIT_PANIC;
        }
        if (c->closed)
            return WAIT_CLOSED;
        if (c->interrupted) {
            c->interrupted = false;
            return WAIT_INTERRUPTED;
        }
        if (clock_ms() >= until)
            return WAIT_TIMEOUT;
        serve(c, until);
    }
}

void console_init(struct console *c)
{
    sigset_t set;
    struct wire_ring tty, messages;

    *c = (struct console){.fd = -1, .next_seq = -1, .deadline_ms = UINT64_MAX};
    c->started_ms = c->heard_ms = clock_ms();
    bytes_add(&c->text, "", 0);
    bytes_add(&c->terminal, "", 0);
    wire_ring_init(&tty, tty_memory, sizeof tty_memory);
    wire_ring_init(&messages, message_memory, sizeof message_memory);
    wire_sender_init(&c->sender, tty, messages);
    wire_demux_init(&c->demux, &demux_sink, c);
    if (getrandom(c->hello.nonce, WIRE_NONCE, 0) != WIRE_NONCE)
        console_fail(c, EXIT_CONNECT, "no random numbers: %s", strerror(errno));
    for (int i = 0; i < WIRE_NONCE; i++)
        c->hello.nonce[i] &= 0x7f;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, NULL);
    c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(c, c->signals, EPOLLIN, EPOLL_CTL_ADD);
}

void console_attach(struct console *c, int fd)
{
    c->fd = fd;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    c->hello.keepalive = c->icount ? 0 : KEEPALIVE_S;
    watch(c, fd, EPOLLIN, EPOLL_CTL_ADD);
}

static bool welcomed(struct console *c, void *arg)
{
    (void)arg;
    return c->welcome;
}

void console_connect(struct console *c)
{
    enum wait_result r;

    if (c->welcome)
        return;
    r = console_wait(c, welcomed, NULL, clock_ms() + (c->qemu ? READY_MS : 0) + CONNECT_MS);
    if (r == WAIT_TIMEOUT && clock_ms() < c->deadline_ms)
        console_fail(c, EXIT_CONNECT, "no kernel with a monitor answers");
    if (r != WAIT_OK)
        console_fail_wait(c, r, "connecting");
}

static bool all_written(struct console *c, void *arg)
{
    (void)arg;
    return c->out.len == 0;
}

void console_bye(struct console *c)
{
    if (!c->welcome || c->closed)
        return;
    c->welcome = false;
    c->await_ready = true; // no further HELLO
    c->started_ms = clock_ms();
    console_control(c, WIRE_BYE);
    console_wait(c, all_written, NULL, clock_ms() + 1000);
}
