// SPDX-License-Identifier: MIT
// The loop: line in, line out, signals, clocks.
#include "console.h"

#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT_MS = 10000, IDLE_MS = 100, STALE_MS = 1000 };

static uint8_t tty_memory[64 * 1024], message_memory[256 * 1024];

uint64_t clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void read_signal(struct console *c)
{
    struct signalfd_siginfo info;

    if (read(c->signals, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGINT) {
        c->interrupted = true;
        c->interrupts++;
    } else if (info.ssi_signo == SIGWINCH) {
        c->resizes++;
        if (c->welcome)
            line_hello(c, clock_ms());
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

void console_watch(struct console *c, int fd, bool read, bool write,
                   void (*ready)(struct console *c, void *arg), void *arg)
{
    uint32_t events = (read ? (uint32_t)EPOLLIN : 0) | (write ? (uint32_t)EPOLLOUT : 0);

    for (unsigned i = 0; i < c->watchers_n; i++)
        if (c->watchers[i].fd == fd) {
            watch(c, fd, events, EPOLL_CTL_MOD);
            return;
        }
    if (c->watchers_n == WATCHERS)
        console_fail(c, EXIT_USAGE, "more than %d files to watch", WATCHERS);
    c->watchers[c->watchers_n].fd = fd;
    c->watchers[c->watchers_n].ready = ready;
    c->watchers[c->watchers_n++].arg = arg;
    watch(c, fd, events, EPOLL_CTL_ADD);
}

void console_unwatch(struct console *c, int fd)
{
    for (unsigned i = 0; i < c->watchers_n; i++)
        if (c->watchers[i].fd == fd) {
            c->watchers[i] = c->watchers[--c->watchers_n];
            watch(c, fd, 0, EPOLL_CTL_DEL);
        }
}

static void call_watcher(struct console *c, int fd)
{
    for (unsigned i = 0; i < c->watchers_n; i++)
        if (c->watchers[i].fd == fd) {
            c->watchers[i].ready(c, c->watchers[i].arg);
            return;
        }
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

static bool stdin_ready;

static void stdin_came(struct console *c)
{
    (void)c;
    stdin_ready = true;
}

static bool stdin_has_come(struct console *c, void *arg)
{
    (void)c;
    (void)arg;
    return stdin_ready;
}

ssize_t console_read_stdin(struct console *c, void *buf, size_t n)
{
    stdin_ready = false;
    c->on_stdin = stdin_came;
    console_watch_stdin(c, true);
    enum wait_result r = console_wait(c, stdin_has_come, NULL, UINT64_MAX);
    console_watch_stdin(c, false);
    c->on_stdin = NULL;
    if (r == WAIT_INTERRUPTED)
        console_fail(c, EXIT_INTERRUPTED, "interrupted");
    return read(STDIN_FILENO, buf, n);
}

bool console_interrupted(struct console *c)
{
    read_signal(c);
    return c->interrupted;
}

static void serve_clocks(struct console *c, uint64_t now)
{
    wire_sender_tick(&c->sender, now);
    if (now > line_hello_due(c)) {
        c->await_ready = false;
        line_hello(c, now);
    }
    if (wire_demux_holds(&c->demux) && now >= c->heard_ms + IDLE_MS)
        wire_demux_idle(&c->demux, now >= c->heard_ms + STALE_MS);
}

static int sleep_time(struct console *c, uint64_t now, uint64_t until)
{
    uint64_t when = until, due = wire_sender_deadline(&c->sender);

    when = due < when ? due : when;
    due = line_hello_due(c);
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
    struct epoll_event ev[16];
    uint64_t now = clock_ms();
    size_t before;

    serve_clocks(c, now);
    before = c->out.len;
    line_write(c, now);
    if (c->fd >= 0)
        watch(c, c->fd, EPOLLIN | (c->out.len ? EPOLLOUT : 0), EPOLL_CTL_MOD);
    // What was written may be what the caller waits for: no sleep before it has looked again.
    int n = epoll_wait(c->epoll, ev, 16, before > c->out.len ? 0 : sleep_time(c, now, until));
    for (int i = 0; i < n; i++) {
        if (ev[i].data.fd == c->signals)
            read_signal(c);
        else if (ev[i].data.fd == 0) {
            if (c->on_stdin)
                c->on_stdin(c);
        } else if (ev[i].data.fd == c->fd && (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
            line_read(c);
        else if (ev[i].data.fd != c->fd)
            call_watcher(c, ev[i].data.fd);
    }
    if (stdin_is_file && stdin_watched && c->on_stdin)
        c->on_stdin(c);
    line_write(c, clock_ms());
}

void console_serve_others(struct console *c, int ms)
{
    struct epoll_event ev[16];
    int n = epoll_wait(c->epoll, ev, 16, ms);

    for (int i = 0; i < n; i++)
        call_watcher(c, ev[i].data.fd);
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

    *c = (struct console){.fd = -1, .deadline_ms = UINT64_MAX};
    stdin_watched = false;
    c->started_ms = c->heard_ms = clock_ms();
    bytes_add(&c->text, "", 0);
    bytes_add(&c->terminal, "", 0);
    wire_ring_init(&tty, tty_memory, sizeof tty_memory);
    wire_ring_init(&messages, message_memory, sizeof message_memory);
    wire_sender_init(&c->sender, tty, messages);
    wire_demux_init(&c->demux, &line_sink, c);
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
    r = console_wait(c, welcomed, NULL, clock_ms() + (c->booting ? READY_MS : 0) + CONNECT_MS);
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
