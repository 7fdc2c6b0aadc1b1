// SPDX-License-Identifier: MIT
// What comes for a session and waits for it: whole messages, or none of one, and no long hold of the lock.
// sources: tests/unit/host.c kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c
// sources: kernel/async/timer.c kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c
// sources: monitor/wire/ring.c
// flags: -DDEBUG -DASYNC_CHECKED
#include "session/link.h"

#include "async/executor.h"
#include "lib/local.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

static uint32_t taken_before, most; // bytes that left the inbox in one hold of its lock

static void hold_begins(const struct link_box *b)
{
    taken_before = b->inbox.tail;
}
static void hold_ends(const struct link_box *b)
{
    uint32_t n = b->inbox.tail - taken_before;
    most = n > most ? n : most;
}

#define spin_lock(l)   (spin_lock(l), hold_begins((const void *)(l)))
#define spin_unlock(l) (hold_ends((const void *)(l)), spin_unlock(l))
#include "session/box.c"
_Static_assert(offsetof(struct link_box, lock) == 0, "its lock is the box");

static struct link_box box;
static uint8_t memory[LINK_BOX];

static int fresh_start(void **state)
{
    static bool once;

    (void)state;
    if (!once) {
        executor_init();
        locals_init();
        once = true;
    }
    link_box_init(&box, 0, memory);
    overlong = 0;
    most = 0;
    return 0;
}

// n parts of a message, each `part` bytes of this letter.
static void put(char letter, unsigned n, size_t part, bool ends)
{
    uint8_t bytes[WIRE_PAYLOAD];

    memset(bytes, letter, sizeof bytes);
    for (unsigned i = 1; i <= n; i++)
        link_box_put(&box, ends && i == n, bytes, part);
}

static void comes(char letter, size_t n)
{
    assert_int_equal(look_through(&box), n);
    assert_int_equal(box.message[0], letter);
    assert_int_equal(box.message[n - 1], letter);
}

enum { LONG = RPC_MESSAGE / WIRE_PAYLOAD }; // parts of the longest message

static void messages_come_whole(void **state)
{
    (void)state;
    put('a', 1, 5, true);
    put('b', LONG, WIRE_PAYLOAD, true);
    put('c', 3, 7, false);
    comes('a', 5);
    comes('b', LONG * WIRE_PAYLOAD);
    assert_int_equal(look_through(&box), 0);
    put('c', 1, 7, true);
    comes('c', 28);
    assert_int_equal(overlong, 0);
}

// One of which a part was taken already goes as a whole; not so what came between.
static void what_has_no_room_takes_no_other_one_along(void **state)
{
    (void)state;
    put('a', 1, 9, false);
    assert_int_equal(look_through(&box), 0);
    put('a', 2 * LONG + 10, WIRE_PAYLOAD, true);
    put('b', 2, 9, true);
    put('c', 2 * LONG + 10, WIRE_PAYLOAD, true);
    put('d', 1, 9, true);
    comes('b', 18);
    comes('d', 9);
    assert_int_equal(look_through(&box), 0);
    assert_int_equal(overlong, 2);
}

static void no_hold_is_long(void **state)
{
    (void)state;
    put('a', 10000, 1, true);
    put('b', LONG, WIRE_PAYLOAD, false);
    comes('a', 10000);
    assert_int_equal(look_through(&box), 0);
    assert_in_range(most, 1, 64 * (WIRE_PAYLOAD + WIRE_RECORD_HEAD));
    put('b', 1, 1, true);
    comes('b', LONG * WIRE_PAYLOAD + 1);
}

#define T(f) cmocka_unit_test_setup(f, fresh_start)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(messages_come_whole),
        T(what_has_no_room_takes_no_other_one_along),
        T(no_hold_is_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
