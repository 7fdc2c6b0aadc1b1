// SPDX-License-Identifier: MIT
// A kernel that is none: the wire's kernel side over a unix socket, a terminal whose shell is the
// host's, and canned answers to requests. What kmon is tested against without a machine.
//
//     fake_kernel SOCKET [plain | bad-version | silent | reboot | stubborn | mute | twice | gaps | late | stale | full]
//
// stubborn: scripts end only when they are interrupted, and with a result. mute: after the first request it says no more, and
// ends when something but a HELLO comes later than a kernel's keep-alive allows. twice to stale: what its line does (fake_line.h).
// full: it has no memory for a second session.
// It serves one connection and ends with it.
#include "fake_line.h"

#include "wire/rpc.h"
#include "wire/rx.h"
#include "wire/tx.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const struct wire_sink sink;
static const struct wire_tx_sources sources;
static struct wire_rx rx;
static struct wire_tx tx;
static uint8_t messages_memory[65536], events_memory[1024];
static size_t tty_n, line_n;
static char tty_out[1 << 20], line[8192];
static const char *mode = "";
static int line_fd, shell_in, shell_out;
static bool interrupted, bad_line;
static uint64_t muted_ms, hellos, deaf_until_ms;
static uint64_t boot = 1;
static struct session {
    uint8_t message[RPC_MESSAGE], reply_memory[RPC_MESSAGE];
    size_t message_n;
    bool waiting;
    uint64_t waiting_id;
    struct rpc_once once;
    struct cbor_out reply;
} sessions[WIRE_SESSIONS], *now = sessions; // now: whose message or INT it is

static uint64_t now_ms(void)
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
            fake_line_write(line_fd, mode, buf, n);
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

// ---- requests

static void send_all(enum wire_channel chan, const uint8_t *data, size_t n)
{
    do {
        size_t part = n < WIRE_PAYLOAD ? n : WIRE_PAYLOAD;
        wire_tx_put(&tx, wire_channel_of(chan, (unsigned)(now - sessions)), part == n, data, part);
        data += part;
        n -= part;
    } while (n);
}

static void print(const char *s)
{
    send_all(WIRE_REPL, (const uint8_t *)s, strlen(s));
}

static void begin_reply(uint64_t id, unsigned pairs)
{
    now->reply = (struct cbor_out){now->reply_memory, sizeof now->reply_memory, 0};
    rpc_begin(&now->reply, RPC_REPLY, id, NULL);
    cbor_map(&now->reply, pairs + 1);
    cbor_str(&now->reply, "ok");
    cbor_bool(&now->reply, true);
}

static void end_reply(void)
{
    rpc_once_end(&now->once);
    send_all(WIRE_RPC, now->reply.buf, now->reply.len);
}

static void text_reply(uint64_t id, const char *key, const char *text)
{
    begin_reply(id, text ? 1 : 0);
    if (text) {
        cbor_str(&now->reply, key);
        cbor_str(&now->reply, text);
    }
    end_reply();
}

static void fail(uint64_t id, const char *kind, const char *why, const char *file, unsigned at)
{
    now->reply = (struct cbor_out){now->reply_memory, sizeof now->reply_memory, 0};
    if (!file) {
        rpc_error(&now->reply, id, kind, why);
        end_reply();
        return;
    }
    rpc_begin(&now->reply, RPC_REPLY, id, NULL);
    cbor_map(&now->reply, 2);
    cbor_str(&now->reply, "ok");
    cbor_bool(&now->reply, false);
    cbor_str(&now->reply, "error");
    cbor_map(&now->reply, 5);
    cbor_str(&now->reply, "kind");
    cbor_str(&now->reply, kind);
    cbor_str(&now->reply, "message");
    cbor_str(&now->reply, why);
    cbor_str(&now->reply, "traceback");
    cbor_str(&now->reply, "stack traceback:\n\t[C]: in ?");
    cbor_str(&now->reply, "file");
    cbor_str(&now->reply, file);
    cbor_str(&now->reply, "line");
    cbor_uint(&now->reply, at);
    end_reply();
}

static void call(const char *op, const char *key, const char *text)
{
    uint8_t buf[4096];
    struct cbor_out o = {buf, sizeof buf, 0};
    static uint64_t number;

    rpc_begin(&o, RPC_CALL, ++number, op);
    cbor_map(&o, 3);
    cbor_str(&o, key);
    cbor_str(&o, text);
    cbor_str(&o, "ms");
    cbor_uint(&o, 700);
    cbor_str(&o, "kind");
    cbor_str(&o, "file");
    send_all(WIRE_RPC, o.buf, o.len);
}

static void panic(void)
{
    static const char text[] = "\0\r\nPANIC on hart 1: the sky fell\r\nhalted\r\n";

    if (write(line_fd, text, sizeof text - 1) < 0)
        exit(1);
}

// Another kernel on the same line, without a word to whom it was speaking.
static void reboot(void)
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

static void json_reply(uint64_t id)
{
    begin_reply(id, 1);
    cbor_str(&now->reply, "value");
    cbor_map(&now->reply, 4);
    cbor_str(&now->reply, "va");
    cbor_tag(&now->reply, CBOR_TAG_ADDRESS);
    cbor_uint(&now->reply, 0xffffffc080200000);
    cbor_str(&now->reply, "list");
    cbor_array(&now->reply, 3);
    cbor_int(&now->reply, -5);
    cbor_bool(&now->reply, true);
    cbor_null(&now->reply);
    cbor_str(&now->reply, "task");
    cbor_tag(&now->reply, CBOR_TAG_HANDLE);
    cbor_array(&now->reply, 3);
    cbor_str(&now->reply, "Task");
    cbor_uint(&now->reply, 12);
    cbor_str(&now->reply, "Task#12 sh");
    cbor_str(&now->reply, "bytes");
    cbor_text(&now->reply, "\xff\x80", 2);
    end_reply();
}

static void wait_for(uint64_t id)
{
    now->waiting = true;
    now->waiting_id = id;
}

// "OP KEY TEXT": a call with one argument.
static void evaluate_call(uint64_t id, char *words)
{
    char *op = strtok(words, " "), *key = strtok(NULL, " "), *text = strtok(NULL, "");

    wait_for(id);
    call(op, key ? key : "", text ? text : "");
}

static void evaluate_tap(uint64_t id)
{
    print("1..2\nok 1 - a\nnot ok 2 - b\n");
    begin_reply(id, 2);
    cbor_str(&now->reply, "tests");
    cbor_uint(&now->reply, 2);
    cbor_str(&now->reply, "failed");
    cbor_uint(&now->reply, 1);
    end_reply();
}

// The condition of `watch --until`: "upto 3" holds the third time.
static void evaluate_condition(uint64_t id, const char *condition)
{
    static unsigned times;

    if (strncmp(condition, "error", 5) == 0) {
        fail(id, "lua", "x.lua:2: it went wrong", "tests/console/two-lines.lua", 2);
        return;
    }
    begin_reply(id, 1);
    cbor_str(&now->reply, "value");
    cbor_bool(&now->reply, ++times >= (unsigned)strtoul(condition + 5, NULL, 10));
    end_reply();
}

static void evaluate(uint64_t id, struct cbor_in body)
{
    const char *source = "", *how = "";
    char code[4096];
    size_t n = 0, how_n = 0;

    cbor_find_text(body, "source", &source, &n);
    cbor_find_text(body, "mode", &how, &how_n);
    snprintf(code, sizeof code, "%.*s", (int)n, source);
    code[strcspn(code, "\n")] = 0;
    if (strcmp(mode, "stubborn") == 0)
        wait_for(id);
    else if (strncmp(code, "return not not (", 16) == 0)
        evaluate_condition(id, code + 16);
    else if (how_n == 4 && memcmp(how, "json", 4) == 0)
        json_reply(id);
    else if (strcmp(code, "1+1") == 0)
        text_reply(id, "text", "2");
    else if (strcmp(code, "error") == 0)
        fail(id, "lua", "x.lua:2: it went wrong", "tests/console/two-lines.lua", 2);
    else if (strcmp(code, "assert") == 0)
        fail(id, "assert", "assertion failed!", NULL, 0);
    else if (strcmp(code, "panic") == 0)
        panic();
    else if (strcmp(code, "reboot") == 0)
        reboot();
    else if (strcmp(code, "die") == 0)
        exit(0);
    else if (strcmp(code, "garbage") == 0)
        send_all(WIRE_RPC, (const uint8_t *)"\xff\xff", 2);
    else if (strncmp(code, "call ", 5) == 0)
        evaluate_call(id, code + 5);
    else if (strcmp(code, "hang") == 0)
        wait_for(id);
    else if (strcmp(code, "deaf") == 0) { // for messages; not for what overtakes them
        deaf_until_ms = now_ms() + 2000;
        text_reply(id, "text", NULL);
    } else if (strcmp(code, "length") == 0) {
        snprintf(code, sizeof code, "%zu", n);
        text_reply(id, "text", code);
    } else if (strcmp(code, "long") == 0) {
        memset(code, 'x', sizeof code - 1);
        code[sizeof code - 1] = 0;
        text_reply(id, "text", code);
    } else if (strcmp(code, "count") == 0) {
        static unsigned times;
        snprintf(code, sizeof code, "%u", ++times);
        text_reply(id, "text", code);
    } else if (strcmp(code, "tap") == 0) {
        evaluate_tap(id);
    } else {
        print("hello from a script\n");
        text_reply(id, "text", NULL);
    }
}

static void status(uint64_t id)
{
    begin_reply(id, 4);
    cbor_str(&now->reply, "ns");
    cbor_uint(&now->reply, 12000000345);
    cbor_str(&now->reply, "mode");
    cbor_str(&now->reply, "ro");
    cbor_str(&now->reply, "harts");
    cbor_uint(&now->reply, 4);
    cbor_str(&now->reply, "tasks");
    cbor_uint(&now->reply, 12);
    end_reply();
}

static void complete(uint64_t id, struct cbor_in body)
{
    const char *typed;
    size_t n;

    if (cbor_find_text(body, "line", &typed, &n) && n == 4 && memcmp(typed, "slow", 4) == 0) {
        rpc_once_end(&now->once); // never answered
        return;
    }

    begin_reply(id, 2);
    cbor_str(&now->reply, "start");
    cbor_uint(&now->reply, 0);
    cbor_str(&now->reply, "words");
    cbor_array(&now->reply, 1);
    cbor_str(&now->reply, "1+1");
    end_reply();
}

static void take_return(const struct rpc_head *head)
{
    const char *text = "", *why = "";
    uint64_t status = 0;
    size_t n = 0, why_n = 0;
    char line_[4096];

    if (!now->waiting)
        return;
    now->waiting = false;
    if (!cbor_find_text(head->body, "output", &text, &n) &&
        !cbor_find_text(head->body, "text", &text, &n))
        cbor_find_text(head->body, "data", &text, &n);
    cbor_find_uint(head->body, "status", &status);
    if (cbor_find_text(head->body, "message", &why, &why_n))
        snprintf(line_, sizeof line_, "failed: %.*s", (int)why_n, why);
    else
        snprintf(line_, sizeof line_, "status %u <%.*s>", (unsigned)status, (int)n, text);
    text_reply(now->waiting_id, "text", line_);
}

static void take_message(void)
{
    struct rpc_head head;

    if (!rpc_parse(&head, now->message, now->message_n))
        exit(9);
    if (head.kind == RPC_RETURN) {
        take_return(&head);
        return;
    }
    switch (rpc_once_begin(&now->once, head.id)) {
    case RPC_AGAIN:
        send_all(WIRE_RPC, now->reply.buf, now->reply.len);
        return;
    case RPC_NEW:
        break;
    default:
        return;
    }
    interrupted = false;
    if (strcmp(head.op, "eval") == 0)
        evaluate(head.id, head.body);
    else if (strcmp(head.op, "poweroff") == 0)
        exit(0);
    else if (strcmp(head.op, "status") == 0)
        status(head.id);
    else if (strcmp(head.op, "complete") == 0)
        complete(head.id, head.body);
    else if (strcmp(head.op, "help") == 0)
        text_reply(head.id, "text", "help: it helps");
    else
        fail(head.id, "request", "unknown request", NULL, 0);
}

// ---- the link

static bool on_message(void *ctx, enum wire_channel chan, bool last, const uint8_t *data, size_t n)
{
    (void)ctx;
    if (deaf_until_ms)
        return false;
    now = &sessions[wire_session(chan)];
    if (now->message_n + n > sizeof now->message)
        exit(9);
    memcpy(now->message + now->message_n, data, n);
    now->message_n += n;
    if (strcmp(mode, "mute") == 0 && !muted_ms)
        muted_ms = now_ms();
    if (last) {
        take_message();
        now->message_n = 0;
    }
    return true;
}

static size_t on_room(void *ctx)
{
    (void)ctx;
    return deaf_until_ms ? 0 : 4096;
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

    (void)ctx;
    hellos++;
    if (strcmp(mode, "silent") == 0)
        return;
    if (fresh)
        wire_tx_begin(&tx);
    cbor_map(&o, 3);
    cbor_str(&o, "version");
    cbor_uint(&o, strcmp(mode, "bad-version") == 0 ? 99 : RPC_VERSION);
    cbor_str(&o, "boot");
    cbor_uint(&o, strcmp(mode, "reboot") == 0 ? boot++ : boot);
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
    now = &sessions[session % WIRE_SESSIONS];
    if (now->waiting && strcmp(mode, "stubborn") == 0)
        json_reply(now->waiting_id);
    else if (now->waiting)
        fail(now->waiting_id, "interrupted", "interrupted", NULL, 0);
    now->waiting = false;
}

static void on_reset(void *ctx)
{
    on_interrupt(ctx, 0);
}

static void on_want(void *ctx, uint8_t wanted)
{
    uint8_t may = strcmp(mode, "full") == 0 ? 1 : 0xff;
    uint8_t answer[] = {WIRE_OPEN, wanted & may, wanted & (uint8_t)~may};

    (void)ctx;
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
        if (strcmp(mode, "plain") == 0)
            on_tty(NULL, &data[i], 1);
        else
            wire_rx_byte(&rx, data[i], now_ms());
    }
    if (muted_ms && now_ms() > muted_ms + 4500 && rx.frames - hellos != others)
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
        wire_rx_tick(&rx, now_ms());
        if (deaf_until_ms && now_ms() > deaf_until_ms)
            deaf_until_ms = 0;
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct wire_ring messages, events;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    if (argc < 2)
        return 2;
    mode = argc > 2 ? argv[2] : "";
    bad_line = *mode && strstr("twice gaps late stale", mode);
    // The name appears when somebody listens.
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s~", argv[1]);
    unlink(addr.sun_path);
    if (bind(listener, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(listener, 1) < 0 ||
        rename(addr.sun_path, argv[1]) < 0)
        return 1;
    wire_ring_init(&messages, messages_memory, sizeof messages_memory);
    wire_ring_init(&events, events_memory, sizeof events_memory);
    wire_rx_init(&rx, &sink, NULL);
    wire_tx_init(&tx, &sources, NULL, messages, events);
    alarm(30);
    line_fd = accept(listener, NULL, NULL);
    if (line_fd < 0)
        return 1;
    unlink(argv[1]);
    show("booted\n~ # ", 11);
    start_shell();
    serve();
}
