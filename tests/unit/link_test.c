// SPDX-License-Identifier: MIT
// The link between the line and a session: what of an old client's reaches the next one.
// sources: tests/unit/host.c kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c
// sources: kernel/async/timer.c kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c
// sources: monitor/session/link.c monitor/session/box.c monitor/wire/cobs.c monitor/wire/crc32.c monitor/wire/frame.c
// sources: monitor/wire/ring.c monitor/wire/rx.c monitor/wire/tx.c monitor/wire/demux.c
// flags: -DDEBUG -DASYNC_CHECKED
#include "session/link.h"

#include "async/executor.h"
#include "dev/uart.h"
#include "fs/tty.h"
#include "host.h"
#include "lib/errno.h"
#include "lib/init.h"
#include "lib/local.h"
#include "session/sessions.h"
#include "session/welcome.h"
#include "wire/demux.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

// ---- what lies around the link

static const struct uart_ops *line;

void uart_set_ops(const struct uart_ops *ops)
{
    line = ops;
}
void uart_kick(void)
{
}
bool uart_present(void)
{
    return true;
}
size_t uart_log_pull(uint8_t *buf, size_t max)
{
    (void)buf;
    (void)max;
    return 0;
}
void tty_rx(uint8_t byte)
{
    (void)byte;
}
size_t tty_tx_pull(uint8_t *buf, size_t max)
{
    (void)buf;
    (void)max;
    return 0;
}
void tty_set_winsize(uint16_t rows, uint16_t cols)
{
    (void)rows;
    (void)cols;
}
void welcome_init(void)
{
}
size_t welcome_info(uint8_t *buf, size_t cap)
{
    (void)cap;
    buf[0] = 0xa0;
    return 1;
}
bool sessions_tend(uint8_t wanted, uint8_t *open, uint8_t *refused)
{
    *open = wanted;
    *refused = 0;
    return false;
}

// ---- the host

static size_t came_n[WIRE_CHANNELS];

static void on_frame(void *ctx, const struct wire_frame *frame)
{
    (void)ctx;
    came_n[frame->chan]++;
}
static void on_text(void *ctx, const uint8_t *data, size_t n)
{
    (void)ctx;
    (void)data;
    (void)n;
}
static void on_lost(void *ctx, size_t n)
{
    (void)ctx;
    (void)n;
}
static const struct wire_demux_sink sink = {on_frame, on_text, on_lost};

static void to_kernel(const uint8_t *data, size_t n)
{
    while (n--)
        line->rx(*data++);
}

// Another host than before, if `who` differs.
static void say_hello(uint8_t who)
{
    struct wire_hello hello = {{who, 2, 3, 4, 5}, 0, 24, 80};
    uint8_t buf[WIRE_FRAME];

    to_kernel(buf, wire_hello_encode(buf, &hello));
}

// All that waits goes out; how many frames of a channel came.
static size_t came(enum wire_channel chan)
{
    struct wire_demux demux;
    uint8_t b;

    memset(came_n, 0, sizeof came_n);
    wire_demux_init(&demux, &sink, NULL);
    demux.strict = true;
    while (line->tx_pull(&b, 1))
        wire_demux_bytes(&demux, &b, 1);
    return came_n[chan];
}

// ---- the session, whose task does one thing after the other

static struct link_box box;
static uint8_t box_memory[LINK_BOX];
static long result;
enum { NOT_YET = 1 };

static void run_all(void)
{
    while (executor_step()) {
    }
}

ASYNC_DECL(sending, enum wire_channel chan; size_t n;);
ASYNC(sending, )
{
    static const uint8_t text[RPC_MESSAGE];

    ASYNC_BEGIN(sending);
    AWAIT(result, link_send, &box, f->chan, text, f->n);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_DECL(receiving, );
ASYNC(receiving, const uint8_t *data;)
{
    ASYNC_BEGIN(receiving);
    AWAIT(result, link_recv, &box, &f->data, 1);
    ASYNC_FINALLY;
    ASYNC_END;
}

static long sends(enum wire_channel chan, size_t n)
{
    result = NOT_YET;
    SPAWN("sending", sending, chan, n);
    run_all();
    return result;
}

static long receives(void)
{
    result = NOT_YET;
    SPAWN("receiving", receiving);
    run_all();
    host_ticks += ns_to_ticks(1000000);
    timers_run();
    run_all();
    return result;
}

static int connected(void **state)
{
    static bool once;

    (void)state;
    if (!once) {
        executor_init();
        locals_init();
        SET_FOREACH(init, struct init_call, c)
            c->fn();
        once = true;
    }
    link_box_init(&box, 0, box_memory);
    link_connect(0, &box);
    say_hello(1);
    say_hello(2);
    assert_int_equal(receives(), -ECONNRESET);
    link_interrupt_clear(&box);
    assert_int_equal(receives(), -ETIMEDOUT);
    came(WIRE_CONTROL);
    return 0;
}

static void who_is_there_is_told(void **state)
{
    (void)state;
    assert_int_equal(sends(WIRE_REPL, 5), 0);
    assert_int_equal(sends(WIRE_RPC, 1000), 0);
    assert_true(link_event(&box, "\1", 1));
    assert_int_equal(came(WIRE_REPL), 1);
    say_hello(2); // the same one, alive
    assert_int_equal(sends(WIRE_REPL, 5), 0);
    assert_int_equal(came(WIRE_REPL), 1);
}

static void another_host_is_told_nothing_of_the_old_one(void **state)
{
    (void)state;
    assert_true(link_event(&box, "\1", 1));
    assert_int_equal(sends(WIRE_REPL, 5), 0);
    say_hello(3);
    // The session does not know yet.
    assert_int_equal(sends(WIRE_REPL, 5), -ENOTCONN);
    assert_int_equal(sends(WIRE_RPC, 5), -ENOTCONN);
    assert_true(link_event(&box, "\1", 1));
    assert_false(link_events_waiting(0));
    assert_int_equal(came(WIRE_REPL) + came_n[WIRE_RPC] + came_n[WIRE_EVENTS], 0);
    // Now it does.
    assert_int_equal(receives(), -ECONNRESET);
    assert_int_equal(sends(WIRE_REPL, 5), 0);
    assert_true(link_event(&box, "\1", 1));
    assert_true(link_events_waiting(0));
    assert_int_equal(came(WIRE_REPL), 1);
    assert_int_equal(came_n[WIRE_EVENTS], 1);
}

static void who_waits_for_room_learns_that_its_host_went(void **state)
{
    (void)state;
    assert_int_equal(sends(WIRE_RPC, 60000), NOT_YET);
    say_hello(3);
    run_all();
    assert_int_equal(result, -ENOTCONN);
    assert_int_equal(came(WIRE_RPC), 0);
}

#define T(f) cmocka_unit_test_setup(f, connected)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(who_is_there_is_told),
        T(another_host_is_told_nothing_of_the_old_one),
        T(who_waits_for_room_learns_that_its_host_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
