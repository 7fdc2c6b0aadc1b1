// SPDX-License-Identifier: MIT
// sources: kernel/mem/phys.c kernel/mem/phys_io.c kernel/mem/readahead.c kernel/mem/writeback.c kernel/mem/evict.c tests/unit/host_rmap.c kernel/mem/shortage.c
// sources: kernel/mem/radix.c kernel/page/frame.c kernel/page/heap.c kernel/lib/init.c
// sources: kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c kernel/async/timer.c
// sources: kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c tests/unit/host.c
// flags: -DDEBUG
// Giving up clean pages: which go, which stay, and when it is known that there is nothing to give up.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host.h"
#include "mem/phys_internal.h"
#include "page/heap.h"

enum { RAM = 4096, PAGES = 600, TURNS = 5 };

ASYNC_IMPL(never, phys_fill, )
{
    ASYNC_BEGIN(never);
    ASYNC_RETURN(-EIO);
    ASYNC_FINALLY;
    ASYNC_END;
}

static const struct phys_ops ops = {.fill = &never_fn};
static struct phys file;

static int setup(void **state)
{
    (void)state;
    char *ram = aligned_alloc(4 << 20, RAM * PAGE_SIZE);
    struct frame_range r = {(pa_t)ram, (pa_t)ram + RAM * PAGE_SIZE};
    frames_init(&r, 1);
    heap_init();
    return 0;
}

// `file` with PAGES clean pages that nobody uses.
static int begin(void **state)
{
    (void)state;
    phys_init(&file, PHYS_FILE, &ops, NULL, PAGES * PAGE_SIZE);
    spin_lock(&file.lock);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(phys_insert(&file, i, page_of(frame_alloc(0)), PAGE_UPTODATE), 0);
    spin_unlock(&file.lock);
    return 0;
}

static int end(void **state)
{
    (void)state;
    uint64_t at = 0;
    phys_drop_some(&file, &at, UINT32_MAX);
    assert_int_equal(phys_evictable(), 0);
    return 0;
}

static bool is_there(uint64_t index)
{
    return radix_get(&file.tree, index) != NULL;
}

static void use(uint64_t index)
{
    struct page *pg = phys_page_try(&file, index);
    assert_non_null(pg);
    page_put(pg);
}

// As the memory keeper does. Returns how many pages went before `want` had, or nothing was left to give up.
static size_t give_up(size_t want)
{
    size_t got = 0;
    uint64_t looked = 0;
    while (got < want && (!looked || looked < TURNS * phys_evictable())) {
        size_t n = phys_reclaim(want - got, &looked);
        got += n;
        looked = n ? 0 : looked;
    }
    return got;
}

static void the_oldest_go_first(void **state)
{
    (void)state;
    assert_int_equal(give_up(100), 100);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(is_there(i), i >= 100);
    assert_int_equal(give_up(PAGES), PAGES - 100);
    assert_int_equal(file.pages, 0);
}

static void what_is_used_stays(void **state)
{
    (void)state;
    use(0); // again and again
    use(0);
    use(1); // once: one more round
    assert_int_equal(give_up(300), 300);
    assert_true(is_there(0) && is_there(1));
    assert_int_equal(give_up(PAGES - 301), PAGES - 301);
    assert_true(is_there(0) && !is_there(1));
    struct page *held = phys_page_try(&file, 0);
    assert_int_equal(give_up(1), 0); // not while somebody has it
    page_put(held);
    assert_int_equal(give_up(1), 1);
}

static void dirty_pages_stay(void **state)
{
    (void)state;
    spin_lock(&file.lock);
    for (uint64_t i = 0; i < PAGES; i += 2)
        ((struct page *)radix_get(&file.tree, i))->flags |= i % 4 ? PAGE_DIRTY : PAGE_WRITEBACK;
    spin_unlock(&file.lock);
    assert_int_equal(give_up(PAGES), PAGES / 2);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(is_there(i), i % 2 == 0);
    spin_lock(&file.lock);
    for (uint64_t i = 0; i < PAGES; i += 2)
        ((struct page *)radix_get(&file.tree, i))->flags = PAGE_UPTODATE;
    spin_unlock(&file.lock);
}

// Another hart may hold an object's lock for as long as its host does not run it. That says nothing of the
// object's pages: to count them as looked at would end a program for it.
static void a_locked_object_is_not_looked_at(void **state)
{
    (void)state;
    uint64_t looked = 0;
    spin_lock(&file.lock);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(phys_reclaim(64, &looked), 0);
    spin_unlock(&file.lock);
    assert_int_equal(looked, 0);
    assert_int_equal(give_up(PAGES), PAGES);
    assert_int_equal(phys_reclaim(1, &looked), 0); // and that there are none is seen
    assert_int_not_equal(looked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_oldest_go_first, begin, end),
        cmocka_unit_test_setup_teardown(what_is_used_stays, begin, end),
        cmocka_unit_test_setup_teardown(dirty_pages_stay, begin, end),
        cmocka_unit_test_setup_teardown(a_locked_object_is_not_looked_at, begin, end),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
