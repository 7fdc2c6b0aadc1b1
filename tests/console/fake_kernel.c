// SPDX-License-Identifier: MIT
// A kernel that is none: the wire's kernel side over a unix socket, a terminal whose shell is the
// host's, and canned answers to requests. What kmon is tested against without a machine.
//
//     fake_kernel SOCKET|pty:LINK [plain | bad-version | silent | reboot | stubborn | mute | twice | gaps | late | stops | stale |
//                                  full | ghosts | clings | built]
//
// pty: a terminal, to which LINK leads then, instead of a socket; it stays as it is when kmon goes.
// stubborn: scripts end only when they are interrupted, and with a result; it says "asked" for each on its stdout. mute: after the first request it says no more, and
// ends when something but a HELLO comes later than a kernel's keep-alive allows. twice to stale: what its line does (fake_line.h).
// full: it has no memory for a second session. ghosts: before a session is open, something comes of the one before. clings: a
// session never ends. built: it says of which build it is, 0123456789abcdef.
// It serves one connection and ends with it.
#include "fake_kernel.h"

#include "fake_line.h"

#include "wire/rx.h"
#include "wire/tx.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static const struct wire_sink sink;
static const struct wire_tx_sources sources;
static struct wire_rx rx;
static struct wire_tx tx;
static uint8_t messages_memory[65536], events_memory[1024];
static size_t tty_n, line_n;
static char tty_out[1 << 20], line[8192];
static int line_fd, shell_in, shell_out;
static bool bad_line;
static uint64_t muted_ms, hellos;
static uint64_t boot = 1;
const char *fake_mode = "";
uint64_t fake_deaf_until_ms;
static struct fake_session sessions[WIRE_SESSIONS];
struct fake_session *fake_now = sessions;

uint64_t fake_clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void flush(void)
{
    uint8_t buf[4096];
    size_t n;

    if (muted_ms)
        return;
    while ((n = wire_tx_pull(&tx, buf, sizeof buf)) > 0)
        if (bad_line && tx.mux)
            fake_line_write(line_fd, fake_mode, buf, n);
        else if (write(line_fd, buf, n) != (ssize_t)n)
            exit(0);
}

// ---- the terminal

static void show(const char *s, size_t n)
{
    for (; n-- && tty_n < sizeof tty_out - 2; s++) {
        if (*s == '\n')
            tty_out[tty_n++] = '\r';
        tty_out[tty_n++] = *s;
    }
}

// One shell for the whole session, as on a terminal; what it prints comes by itself.
static void start_shell(void)
{
    int in[2], out[2];

    if (pipe(in) < 0 || pipe(out) < 0)
        exit(1);
    if (fork() == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        execl("/bin/sh", "sh", NULL);
        exit(127);
    }
    close(in[0]);
    close(out[1]);
    shell_in = in[1];
    shell_out = out[0];
}

static void run_line(void)
{
    line[line_n] = 0;
    if (strncmp(line, "\027HELLO", 6) == 0) { // nobody here understands it
        line_n = 0;
        return;
    }
    if (strcmp(line, "poweroff") == 0) {
        flush();
        exit(0);
    }
    line[line_n++] = '\n';
    if (write(shell_in, line, line_n) != (ssize_t)line_n)
        exit(1);
    line_n = 0;
}

static void on_tty(void *ctx, const uint8_t *data, size_t n)
{
    (void)ctx;
    for (; n--; data++) {
        if (*data == 0 || *data >= 0x80) {
            continue; // parts of a HELLO that nobody understood
        } else if (*data == '\r' || *data == '\n') {
            show("\n", 1);
            run_line();
        } else if (*data == 005 || *data == 021) { // ^E, ^Q
            continue;
        } else if (*data == 003 || *data == 025) { // ^C, ^U
            line_n = 0;
        } else if (line_n < sizeof line - 1) {
            line[line_n++] = (char)*data;
            show((const char *)data, 1);
        }
    }
}

static size_t pull_tty(void *ctx, uint8_t *buf, size_t max)
{
    size_t n = tty_n < max ? tty_n : max;

    (void)ctx;
    memcpy(buf, tty_out, n);
    memmove(tty_out, tty_out + n, tty_n - n);
    tty_n -= n;
    return n;
}

static size_t pull_nothing(void *ctx, uint8_t *buf, size_t max)
{
    (void)ctx;
    (void)buf;
    (void)max;
    return 0;
}

// ---- what the answers need

void fake_send(enum wire_channel chan, const uint8_t *data, size_t n)
{
    do {
        size_t part = n < WIRE_PAYLOAD ? n : WIRE_PAYLOAD;
        wire_tx_put(&tx, wire_channel_of(chan, (unsigned)(fake_now - sessions)), part == n, data,
                    part);
        data += part;
        n -= part;
    } while (n);
}

void fake_panic(void)
{
    static const char text[] = "\0\r\nPANIC on hart 1: the sky fell\r\nhalted\r\n";

    if (write(line_fd, text, sizeof text - 1) < 0)
        exit(1);
}

// Another kernel on the same line, without a word to whom it was speaking.
void fake_reboot(void)
{
    struct wire_ring messages, events;
    static const char text[] = "\0\r\nOpenSBI v0\r\n";

    if (write(line_fd, text, sizeof text - 1) < 0)
        exit(1);
    boot++;
    memset(sessions, 0, sizeof sessions);
    wire_ring_init(&messages, messages_memory, sizeof messages_memory);
    wire_ring_init(&events, events_memory, sizeof events_memory);
    wire_rx_init(&rx, &sink, NULL);
    wire_tx_init(&tx, &sources, NULL, messages, events);
    show("monitor: listening\n", 19);
}

// ---- the link

static bool on_message(void *ctx, enum wire_channel chan, bool last, const uint8_t *data, size_t n)
{
    (void)ctx;
    if (fake_deaf_until_ms)
        return false;
    fake_now = &sessions[wire_session(chan)];
    if (fake_now->message_n + n > sizeof fake_now->message)
        exit(9);
    memcpy(fake_now->message + fake_now->message_n, data, n);
    fake_now->message_n += n;
    if (strcmp(fake_mode, "mute") == 0 && !muted_ms)
        muted_ms = fake_clock_ms();
    if (last) {
        fake_answer();
        fake_now->message_n = 0;
    }
    return true;
}

static size_t on_room(void *ctx)
{
    (void)ctx;
    return fake_deaf_until_ms ? 0 : 4096;
}

static void on_ack(void *ctx, const struct wire_ack *ack)
{
    (void)ctx;
    wire_tx_ack(&tx, ack);
}

static void on_hello(void *ctx, const struct wire_hello *hello, bool fresh)
{
    uint8_t info[RPC_WELCOME];
    struct cbor_out o = {info, sizeof info, 0};
    bool built = strcmp(fake_mode, "built") == 0;

    (void)ctx;
    hellos++;
    if (strcmp(fake_mode, "silent") == 0)
        return;
    if (fresh)
        wire_tx_begin(&tx);
    cbor_map(&o, 3 + built);
    if (built) {
        cbor_str(&o, "build");
        cbor_str(&o, "0123456789abcdef");
    }
    cbor_str(&o, "version");
    cbor_uint(&o, strcmp(fake_mode, "bad-version") == 0 ? 99 : RPC_VERSION);
    cbor_str(&o, "boot");
    cbor_uint(&o, strcmp(fake_mode, "reboot") == 0 ? boot++ : boot);
    cbor_str(&o, "harts");
    cbor_uint(&o, 4);
    wire_tx_welcome(&tx, hello->nonce, info, o.len);
}

static void on_plain(void *ctx)
{
    (void)ctx;
    wire_tx_end(&tx);
}

static void on_interrupt(void *ctx, unsigned session)
{
    (void)ctx;
    fake_now = &sessions[session % WIRE_SESSIONS];
    fake_interrupt();
}

static void on_reset(void *ctx)
{
    on_interrupt(ctx, 0);
}

static void speak_as_ghost(unsigned session)
{
    uint8_t buf[64];
    struct cbor_out o = {buf, sizeof buf, 0};

    fake_now = &sessions[session];
    fake_print("boo\n");
    cbor_map(&o, 1);
    cbor_str(&o, "point");
    cbor_str(&o, "boo");
    wire_tx_event(&tx, wire_channel_of(WIRE_EVENTS, session), buf, o.len);
    flush(); // events may be overtaken
}

static void on_want(void *ctx, uint8_t wanted)
{
    static uint8_t open;
    uint8_t may = strcmp(fake_mode, "full") == 0 ? 1 : 0xff;

    (void)ctx;
    for (unsigned i = 0; i < WIRE_SESSIONS && strcmp(fake_mode, "ghosts") == 0; i++)
        if ((wanted & ~open) >> i & 1)
            speak_as_ghost(i);
    open = (wanted & may) | (strcmp(fake_mode, "clings") == 0 ? open : 0);
    uint8_t answer[] = {WIRE_OPEN, open, wanted & (uint8_t)~may};
    for (unsigned i = 0; i < WIRE_SESSIONS; i++)
        if (!(wanted >> i & 1))
            memset(&sessions[i], 0, sizeof sessions[i]);
    wire_tx_put(&tx, WIRE_CONTROL, true, answer, sizeof answer);
}

static const struct wire_sink sink = {on_tty,   on_message,   on_room,  on_ack, on_hello,
                                      on_plain, on_interrupt, on_reset, on_want};
static const struct wire_tx_sources sources = {pull_tty, pull_nothing};

// A kernel that is plain again would take a frame for keys.
static void take_line(const uint8_t *data, size_t n)
{
    uint64_t others = rx.frames - hellos;

    for (size_t i = 0; i < n; i++) {
        if (strcmp(fake_mode, "plain") == 0)
            on_tty(NULL, &data[i], 1);
        else
            wire_rx_byte(&rx, data[i], fake_clock_ms());
    }
    if (muted_ms && fake_clock_ms() > muted_ms + 4500 && rx.frames - hellos != others)
        exit(0);
}

static void serve(void)
{
    uint8_t buf[4096];
    struct pollfd p[2] = {{line_fd, POLLIN, 0}, {shell_out, POLLIN, 0}};

    for (;;) {
        flush();
        p[1].fd = tty_n < sizeof tty_out / 2 ? shell_out : -1;
        poll(p, 2, 50);
        if (p[1].fd >= 0 && p[1].revents) {
            ssize_t n = read(shell_out, buf, sizeof buf);
            if (n <= 0) {
                flush();
                exit(0);
            }
            show((char *)buf, (size_t)n);
        }
        if (p[0].revents) {
            ssize_t n = read(line_fd, buf, sizeof buf);
            if (n <= 0)
                exit(0);
            take_line(buf, (size_t)n);
        }
        wire_rx_tick(&rx, fake_clock_ms());
        fake_tick();
        if (fake_deaf_until_ms && fake_clock_ms() > fake_deaf_until_ms)
            fake_deaf_until_ms = 0;
    }
}

int main(int argc, char **argv)
{
    struct wire_ring messages, events;

    if (argc < 2)
        return 2;
    fake_mode = argc > 2 ? argv[2] : "";
    bad_line = *fake_mode && strstr("twice gaps late stops stale", fake_mode);
    wire_ring_init(&messages, messages_memory, sizeof messages_memory);
    wire_ring_init(&events, events_memory, sizeof events_memory);
    wire_rx_init(&rx, &sink, NULL);
    wire_tx_init(&tx, &sources, NULL, messages, events);
    prctl(PR_SET_PDEATHSIG, SIGKILL); // the test is through, or was ended
    alarm(600);                       // or hangs
    line_fd = fake_line_open(argv[1]);
    show("booted\n~ # ", 11);
    start_shell();
    serve();
}
