// SPDX-License-Identifier: MIT
// sources: kernel/mem/space.c kernel/mem/tables.c kernel/mem/map.c kernel/mem/zap.c kernel/mem/fault.c kernel/mem/around.c kernel/mem/huge.c kernel/mem/fork.c
// sources: kernel/mem/protect.c kernel/mem/remap.c kernel/mem/advise.c kernel/mem/look.c kernel/mem/user.c kernel/mem/pin.c
// sources: kernel/mem/phys.c kernel/mem/phys_io.c kernel/mem/readahead.c kernel/mem/writeback.c kernel/mem/evict.c kernel/mem/rmap.c kernel/mem/shortage.c kernel/mem/radix.c kernel/mem/range_map.c
// sources: kernel/page/frame.c kernel/page/heap.c kernel/arch/riscv/pt.c
// sources: kernel/async/async.c kernel/async/task.c kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c kernel/async/timer.c
// sources: kernel/async/wait.c kernel/lib/local.c kernel/lib/spinlock.c kernel/lib/init.c kernel/lib/translations.c
// sources: kernel/mem/trace.c tests/unit/host.c tests/unit/host_mem.c
// flags: -idirafter /usr/lib/picolibc/riscv64-unknown-elf/include -D__unused= -Wno-unused-function
// flags: -DDEBUG -DASYNC_CHECKED -DTRANSLATIONS_CHECKED
// Address spaces against a model that is an array of pages, on harts whose TLBs forget nothing they
// are not told to forget.
#include "async/executor.h"
#include "host.h"
#include "host_mem.h"
#include "lib/init.h"
#include "lib/local.h"
#include "mem/phys.h"
#include "mem/user.h"
#include "page/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { RW = ACCESS_READ | ACCESS_WRITE };

static void run_all(void)
{
    while (executor_step()) {
    }
    hart_self.current = NULL;
}

// Waits for an async call by running everything; the executor has one hart.
#define CALL(name, ...)                                                                            \
    ({                                                                                             \
        static long result_;                                                                       \
        result_ = 12345;                                                                           \
        host_on_hart(0);                                                                           \
        assert_non_null(SPAWN(#name, call_##name, &result_, (struct name##_args){__VA_ARGS__}));   \
        run_all();                                                                                 \
        assert_int_not_equal(result_, 12345);                                                      \
        result_;                                                                                   \
    })
#define CALLABLE(name, ...)                                                                        \
    ASYNC_DECL(call_##name, long *out; struct name##_args a;);                                     \
    ASYNC(call_##name, long r;)                                                                    \
    {                                                                                              \
        ASYNC_BEGIN(call_##name);                                                                  \
        AWAIT(f->r, name, __VA_ARGS__);                                                            \
        *f->out = f->r;                                                                            \
        ASYNC_RETURN(0);                                                                           \
        ASYNC_FINALLY;                                                                             \
        ASYNC_END;                                                                                 \
    }
CALLABLE(space_fork, f->a.parent, f->a.out)
CALLABLE(space_map, f->a.s, f->a.what, f->a.va)
CALLABLE(space_unmap, f->a.s, f->a.va, f->a.len)
CALLABLE(space_remove_steps, f->a.s, f->a.va, f->a.len, f->a.touches)
CALLABLE(space_protect, f->a.s, f->a.va, f->a.len, f->a.prot)
CALLABLE(space_discard, f->a.s, f->a.va, f->a.len)
CALLABLE(space_set_flags, f->a.s, f->a.va, f->a.len, f->a.set, f->a.clear)
CALLABLE(space_release, f->a.s)
CALLABLE(space_remap, f->a.s, f->a.old, f->a.old_len, f->a.new_len, f->a.how, f->a.to,
         f->a.lock_limit, f->a.va)
CALLABLE(space_fault, f->a.s, f->a.va, f->a.access)
CALLABLE(space_commit, f->a.s, f->a.va, f->a.len, f->a.access)
CALLABLE(user_pin, f->a.s, f->a.va, f->a.len, f->a.access, f->a.out)
CALLABLE(user_read, f->a.s, f->a.dst, f->a.src, f->a.n)
CALLABLE(user_write, f->a.s, f->a.dst, f->a.src, f->a.n)
CALLABLE(phys_sync, f->a.ph, f->a.lo, f->a.hi)
CALLABLE(phys_truncate, f->a.ph, f->a.size)
CALLABLE(phys_destroy, f->a.ph)

static int setup(void **state)
{
    (void)state;
    host_ram_init(16384);
    executor_init();
    locals_init();
    init_run(INIT_CORE);
    run_all();
    return 0;
}

static uint64_t heap_objects(void)
{
    struct heap_stats hs;
    uint64_t objects = 0;
    heap_flush_hart();
    heap_stats_get(&hs);
    for (unsigned c = 0; c < HEAP_CLASSES; c++)
        objects += hs.cls[c].used;
    return objects;
}

// What is in use: user frames and heap objects exactly. Table frames up to the few roots in stock.
static uint64_t in_use(void)
{
    static uint64_t first_tables;
    struct frame_stats fs;
    run_all();
    uint64_t objects = heap_objects();
    frame_count_kinds(&fs);
    if (!first_tables)
        first_tables = fs.kind[FRAME_TABLE];
    assert_true(fs.kind[FRAME_TABLE] <= first_tables + 4);
    return objects << 32 | (fs.kind[FRAME_ANON] + fs.kind[FRAME_CACHE]);
}

static va_t map_at(struct space *s, va_t at, uint64_t pages, uint32_t prot, uint32_t flags)
{
    struct space_map w = {.at = at,
                          .len = pages * PAGE_SIZE,
                          .prot = prot,
                          .flags = flags,
                          .how = at ? SPACE_FIXED : 0};
    va_t va = 0;
    assert_int_equal(space_map_now(s, &w, &va), 0);
    return va;
}

static void release(struct space *s)
{
    for (unsigned h = 0; h < 4; h++) { // every hart moves on to another space
        host_on_hart(h);
        if (hart_self.space == s) {
            struct space *other = space_new();
            space_activate(other);
            space_unref(other);
        }
    }
    assert_int_equal(CALL(space_release, s), 0);
}

// Harts hold the last space they ran: let go of it, so that frames can be counted.
static void leave_all(void)
{
    static struct space *idle;
    if (!idle)
        idle = space_new();
    for (unsigned h = 0; h < 4; h++) {
        host_on_hart(h);
        space_activate(idle);
    }
    host_on_hart(0);
}

// Loads and stores that wait for what has to be read, or cleared.
static int load_on(unsigned hart, struct space *s, va_t va, uint64_t *v)
{
    int r = host_user_load(hart, s, va, v);
    if (r != -EAGAIN)
        return r;
    long e = CALL(space_fault, s, va, ACCESS_READ);
    return e ? (int)e : host_user_load(hart, s, va, v);
}

static int store_on(unsigned hart, struct space *s, va_t va, uint64_t v)
{
    int r = host_user_store(hart, s, va, v);
    if (r != -EAGAIN)
        return r;
    long e = CALL(space_fault, s, va, ACCESS_WRITE);
    return e ? (int)e : host_user_store(hart, s, va, v);
}

static int load(struct space *s, va_t va, uint64_t *v)
{
    return load_on(0, s, va, v);
}

static int store(struct space *s, va_t va, uint64_t v)
{
    return store_on(0, s, va, v);
}

// ---- single facts

static void first_touch(void **state)
{
    (void)state;
    leave_all();
    uint64_t before = in_use(), v = 1;
    struct space *s = space_new();
    va_t va = map_at(s, 0, 4, RW, 0);
    assert_int_equal(host_user_load(0, s, va + 8, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(pte_pa(space_pte_get(s, va)), frame_zero);
    assert_int_equal(host_user_store(0, s, va + 8, 77), 0);
    assert_int_not_equal(pte_pa(space_pte_get(s, va)), frame_zero);
    assert_int_equal(host_user_load(0, s, va + 8, &v), 0);
    assert_int_equal(v, 77);
    assert_int_equal(host_user_load(0, s, va, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(host_user_store(0, s, va + PAGE_SIZE, 5), 0);
    assert_int_equal(s->resident, 2);
    assert_int_equal(host_user_load(0, s, va + 4 * PAGE_SIZE, &v), -EFAULT);
    assert_int_equal(host_user_load(0, s, USER_TOP, &v), -EFAULT);
    assert_int_equal(s->root[PT_USER_ENTRIES], 0xfeed);
    leave_all();
    assert_int_equal(CALL(space_release, s), 0);
    assert_int_equal(in_use(), before);
}

static void rights(void **state)
{
    (void)state;
    uint64_t v;
    struct space *s = space_new();
    va_t va = map_at(s, 0, 3, ACCESS_READ, 0);
    assert_int_equal(host_user_load(0, s, va, &v), 0);
    assert_int_equal(host_user_store(0, s, va, 1), -EACCES);
    assert_int_equal(space_protect_now(s, va, PAGE_SIZE, RW), 0);
    assert_int_equal(host_user_store(0, s, va, 1), 0);
    assert_int_equal(space_protect_now(s, va, PAGE_SIZE, 0), 0);
    assert_int_equal(host_user_load(0, s, va, &v), -EACCES);
    assert_int_equal(space_protect_now(s, va, PAGE_SIZE, ACCESS_READ), 0);
    assert_int_equal(host_user_load(0, s, va, &v), 0);
    assert_int_equal(v, 1);
    assert_int_equal(space_protect_now(s, va, 4 * PAGE_SIZE, RW), -ENOMEM);
    assert_int_equal(space_protect_now(s, va, PAGE_SIZE, 8), -EINVAL);
    release(s);
}

static void stack_grows(void **state)
{
    (void)state;
    uint64_t v;
    struct space *s = space_new();
    va_t top = 0x2000000000;
    s->stack_limit = 16 * PAGE_SIZE;
    map_at(s, top - 2 * PAGE_SIZE, 2, RW, MAPPING_STACK);
    assert_int_equal(host_user_store(0, s, top - 5 * PAGE_SIZE, 9), 0);
    assert_int_equal(host_user_load(0, s, top - 4 * PAGE_SIZE, &v), 0);
    assert_int_equal(s->mapped, 5 * PAGE_SIZE);
    assert_int_equal(host_user_store(0, s, top - 17 * PAGE_SIZE, 9), -EFAULT);
    assert_int_equal(host_user_store(0, s, top - 16 * PAGE_SIZE, 9), 0);
    release(s);
}

// A write maps the rest of its 64 KiB where 2 MiB belong to the mapping, but have a table, and nowhere else.
static void writes_map_ahead(void **state)
{
    (void)state;
    uint64_t v, mib2 = 512 * PAGE_SIZE;
    struct space *s = space_new();
    va_t va = map_at(s, 0x40000000 + 5 * PAGE_SIZE, 1100, RW, 0);
    assert_int_equal(host_user_load(0, s, 0x40000000 + mib2 + 18 * PAGE_SIZE, &v), 0);
    assert_int_equal(host_user_store(0, s, 0x40000000 + mib2 + 17 * PAGE_SIZE, 7), 0);
    assert_int_equal(s->resident, 16);
    assert_int_equal(host_user_store(0, s, 0x40000000 + mib2 + 31 * PAGE_SIZE, 8), 0);
    assert_int_equal(host_user_load(0, s, 0x40000000 + mib2 + 30 * PAGE_SIZE, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(s->resident, 16);
    assert_int_equal(host_user_store(0, s, va, 1), 0); // the head is less than 2 MiB
    assert_int_equal(s->resident, 17);
    assert_int_equal(host_user_load(0, s, 0x40000000 + mib2 + 40 * PAGE_SIZE, &v), 0);
    assert_int_equal(s->resident, 18); // reading maps nothing ahead, and what is there stays
    assert_int_equal(host_user_store(0, s, 0x40000000 + mib2 + 41 * PAGE_SIZE, 9), 0);
    assert_int_equal(s->resident, 33);
    assert_int_equal(pte_pa(space_pte_get(s, 0x40000000 + mib2 + 40 * PAGE_SIZE)), frame_zero);
    assert_int_equal(CALL(space_set_flags, s, 0x40000000 + mib2, mib2, MAPPING_NOHUGE, 0), 0);
    assert_int_equal(host_user_store(0, s, 0x40000000 + mib2 + 101 * PAGE_SIZE, 1), 0);
    assert_int_equal(s->resident, 34);
    assert_int_equal(CALL(space_unmap, s, va, 1100 * PAGE_SIZE), 0);
    assert_int_equal(s->resident, 0);
    release(s);
}

// ---- how much one poll does

// Runs everything; returns how much of *what went in the poll in which most of it did.
static uint64_t most_a_poll(const uint64_t *(*what)(void *), void *arg)
{
    uint64_t most = 0, last = *what(arg);
    while (executor_step()) {
        uint64_t now = *what(arg);
        if (last > now && last - now > most)
            most = last - now;
        last = now;
    }
    hart_self.current = NULL;
    return most;
}

static const uint64_t *frames_used(void *unused)
{
    static uint64_t used;
    used = unused ? 0 : 16384 - frame_free_count();
    return &used;
}

static const uint64_t *objects_used(void *unused)
{
    static uint64_t used;
    used = unused ? 0 : heap_objects();
    return &used;
}

enum { APART = 2000 };

// A page in each of APART leaf tables.
static struct space *sparse_space(va_t *va)
{
    struct space *s = space_new();
    struct space_map w = {
        .len = APART * HUGE_SIZE, .prot = RW, .flags = MAPPING_NOHUGE | MAPPING_NORESERVE};
    assert_int_equal(space_map_now(s, &w, va), 0);
    for (unsigned i = 0; i < APART; i++)
        assert_int_equal(host_user_store(0, s, *va + i * HUGE_SIZE, i), 0);
    leave_all();
    return s;
}

// None like the next, and no page.
static struct space *many_mappings(void)
{
    struct space *s = space_new();
    for (unsigned i = 0; i < APART; i++)
        map_at(s, 0x40000000 + i * PAGE_SIZE, 1, i % 2 ? RW : ACCESS_READ, 0);
    assert_int_equal(s->map.count, APART);
    return s;
}

static void polls_are_short(void **state)
{
    (void)state;
    va_t va;
    static long done;
    leave_all();
    uint64_t before = in_use();
    struct space *s = sparse_space(&va);
    done = 1;
    SPAWN("unmap", call_space_unmap, &done, (struct space_unmap_args){s, va, APART * HUGE_SIZE});
    assert_in_range(most_a_poll(frames_used, NULL), 1, 600);
    assert_int_equal(done, 0);
    assert_int_equal(s->resident, 0);
    assert_true(s->tables < 10);
    release(s);

    s = sparse_space(&va);
    SPAWN("release", call_space_release, &done, (struct space_release_args){s});
    assert_in_range(most_a_poll(frames_used, NULL), 1, 600);

    s = many_mappings();
    SPAWN("protect", call_space_protect, &done,
          (struct space_protect_args){s, 0x40000000, APART * PAGE_SIZE, ACCESS_READ});
    assert_in_range(most_a_poll(objects_used, NULL), 1, 512);
    assert_int_equal(s->map.count, 1);
    release(s);

    s = many_mappings();
    SPAWN("release", call_space_release, &done, (struct space_release_args){s});
    assert_in_range(most_a_poll(objects_used, NULL), 1, 512);
    assert_int_equal(in_use(), before);
}

// ---- 2 MiB pages

// A mapping with one whole 2 MiB in it, at `huge`, whose pages hold their number plus 100.
static struct {
    struct space *s;
    va_t va, huge;
    uint64_t before;
} hm;

static unsigned levels(va_t va)
{
    struct pt_step steps[PT_LEVELS];
    return pt_walk(hm.s->root, va, steps);
}

static va_t huge_at(unsigned page)
{
    return hm.huge + page * PAGE_SIZE;
}

static void huge_begin(void)
{
    leave_all();
    hm.before = in_use();
    hm.s = space_new();
    hm.huge = 0x40200000;
    hm.va = map_at(hm.s, hm.huge - 3 * PAGE_SIZE, 3 + 512 + 5, RW, 0);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(store_on(i % 2, hm.s, huge_at(i), 100 + i), 0);
    assert_int_equal(hm.s->huge, 1);
    assert_int_equal(hm.s->resident, 512);
    assert_int_equal(hm.s->faults, 1);
    assert_int_equal(levels(hm.huge), 2);
}

// All pages but [lo, hi) are as they were, on every hart.
static void huge_holds(unsigned lo, unsigned hi)
{
    uint64_t v;
    for (unsigned i = 0; i < 512; i++) {
        if (i >= lo && i < hi)
            continue;
        assert_int_equal(load_on(i % 3, hm.s, huge_at(i), &v), 0);
        assert_int_equal(v, 100 + i);
        assert_int_equal(user_copy_in(hm.s, &v, huge_at(i), sizeof v), 0);
        assert_int_equal(v, 100 + i);
    }
}

static void huge_end(void)
{
    release(hm.s);
    leave_all();
    assert_int_equal(huge_leaves, 0);
    assert_int_equal(in_use(), hm.before);
}

static void huge_whole(void **state)
{
    (void)state;
    uint64_t v;
    huge_begin();
    huge_holds(0, 0);
    assert_int_equal(store(hm.s, hm.va, 1), 0); // beside it: by itself
    assert_int_equal(hm.s->resident, 513);
    struct pte_info info[4];
    assert_int_equal(space_entries(hm.s, 0, USER_TOP, info, 4), 2);
    assert_int_equal(info[1].va, hm.huge);
    assert_int_equal(info[1].pages, 512);
    assert_int_equal(space_entries(hm.s, huge_at(9), huge_at(10), info, 4), 1);
    assert_int_equal(pte_pa(space_pte_get(hm.s, huge_at(9))),
                     pte_pa(info[0].entry) + 9 * PAGE_SIZE);
    assert_true(space_in_memory(hm.s, huge_at(511), NULL));
    // the way there is remembered
    assert_int_equal(user_copy_in(hm.s, &v, huge_at(7), sizeof v), 0);
    host_on_hart(1);
    assert_int_equal(CALL(space_discard, hm.s, hm.huge, 512 * PAGE_SIZE), 0);
    assert_int_equal(hm.s->resident, 1);
    assert_int_equal(hm.s->huge, 0);
    assert_int_equal(hm.s->tables, 3);
    assert_int_equal(user_copy_in(hm.s, &v, huge_at(7), sizeof v), 0);
    assert_int_equal(v, 0);
    for (unsigned h = 0; h < 3; h++) {
        assert_int_equal(load_on(h, hm.s, huge_at(8 + h), &v), 0);
        assert_int_equal(v, 0);
    }
    assert_int_equal(levels(hm.huge), 3); // what was read first stays in 4 KiB
    huge_end();
    huge_begin();
    assert_int_equal(space_unmap_now(hm.s, hm.va, 520 * PAGE_SIZE), 0);
    assert_int_equal(hm.s->resident, 0);
    assert_int_equal(load_on(1, hm.s, huge_at(1), &v), -EFAULT);
    huge_end();
}

// Each thing that changes a part: the rest is what it was.
static void huge_parts(void **state)
{
    (void)state;
    uint64_t v;
    pte_t old;
    huge_begin();
    huge_holds(0, 0);
    host_on_hart(0);
    assert_int_equal(space_unmap_now(hm.s, huge_at(100), 3 * PAGE_SIZE), 0);
    assert_int_equal(hm.s->huge, 0);
    assert_int_equal(hm.s->resident, 509);
    assert_int_equal(levels(hm.huge), 3);
    assert_int_equal(load_on(1, hm.s, huge_at(101), &v), -EFAULT);
    huge_holds(100, 103);
    huge_end();

    huge_begin();
    huge_holds(0, 0);
    assert_int_equal(space_protect_now(hm.s, huge_at(200), PAGE_SIZE, ACCESS_READ), 0);
    assert_int_equal(store_on(1, hm.s, huge_at(200), 1), -EACCES);
    assert_int_equal(store_on(1, hm.s, huge_at(201), 301), 0);
    huge_holds(0, 0);
    assert_int_equal(space_protect_now(hm.s, hm.huge, 512 * PAGE_SIZE, 0), 0);
    assert_int_equal(load_on(2, hm.s, huge_at(1), &v), -EACCES);
    huge_end();

    huge_begin();
    huge_holds(0, 0);
    assert_int_equal(CALL(space_protect, hm.s, hm.va, 520 * PAGE_SIZE, ACCESS_READ), 0);
    assert_int_equal(store_on(1, hm.s, huge_at(5), 1), -EACCES);
    huge_holds(0, 0);
    huge_end();

    huge_begin();
    huge_holds(0, 0);
    assert_int_equal(CALL(space_discard, hm.s, huge_at(511), PAGE_SIZE), 0);
    assert_int_equal(load_on(1, hm.s, huge_at(511), &v), 0);
    assert_int_equal(v, 0);
    huge_holds(511, 512);
    huge_end();

    huge_begin();
    huge_holds(0, 0);
    pte_t e = space_pte_get(hm.s, huge_at(3));
    assert_int_equal(space_pte_set(hm.s, huge_at(3), e & ~(pte_t)PTE_W, &old), 0);
    assert_int_equal(old, e);
    assert_int_equal(space_pte_get(hm.s, huge_at(4)) & PTE_W, PTE_W);
    assert_int_equal(space_pte_get(hm.s, huge_at(3)) & PTE_W, 0);
    uint64_t faults = host_faults;
    assert_int_equal(store_on(1, hm.s, huge_at(3), 103), 0);
    assert_int_equal(host_faults, faults + 1); // hart 1 forgot the leaf
    huge_holds(0, 0);
    huge_end();
}

static void huge_moves(void **state)
{
    (void)state;
    uint64_t v;
    va_t to;
    huge_begin();
    huge_holds(0, 0);
    host_on_hart(0);
    assert_int_equal(CALL(space_remap, hm.s, hm.va, 520 * PAGE_SIZE, 520 * PAGE_SIZE,
                          REMAP_MAYMOVE | REMAP_FIXED, hm.va + 1023 * PAGE_SIZE, UINT64_MAX, &to),
                     0);
    assert_int_equal(load_on(1, hm.s, huge_at(1), &v), -EFAULT);
    hm.huge += 1023 * PAGE_SIZE;
    huge_holds(0, 0);
    huge_end();
}

static void huge_forks(void **state)
{
    (void)state;
    uint64_t v;
    struct space *c;
    huge_begin();
    huge_holds(0, 0);
    struct user_pin pin;
    assert_int_equal(CALL(user_pin, hm.s, huge_at(9), 8, ACCESS_WRITE, &pin), 0);
    assert_int_equal(hm.s->huge, 1); // looking does not split
    assert_int_equal(CALL(space_fork, hm.s, &c), 0);
    assert_int_equal(c->resident, 512);
    assert_int_equal(store_on(1, hm.s, huge_at(9), 1), 0);
    assert_int_equal(store_on(1, hm.s, huge_at(10), 1), 0);
    for (unsigned i = 0; i < 512; i++) {
        assert_int_equal(load_on(2, c, huge_at(i), &v), 0);
        assert_int_equal(v, 100 + i);
    }
    assert_int_equal(*(uint64_t *)page_kva(pin.page[0]), 1);
    assert_int_equal(store_on(2, c, huge_at(11), 5), 0);
    huge_holds(9, 11);
    user_unpin(&pin);
    release(c);
    huge_end();
}

// A device's page is its own until it is given back, whatever becomes of the 2 MiB around it.
static void huge_pinned(void **state)
{
    (void)state;
    struct user_pin pin;
    huge_begin();
    assert_int_equal(CALL(user_pin, hm.s, huge_at(9), 8, ACCESS_WRITE, &pin), 0);
    struct page *pg = pin.page[0];
    *(uint64_t *)page_kva(pg) = 77;
    assert_int_equal(CALL(space_discard, hm.s, hm.huge, 512 * PAGE_SIZE), 0);
    assert_int_equal(hm.s->huge, 0);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(store_on(0, hm.s, huge_at(i), i), 0);
    assert_int_equal(pg->kind, FRAME_ANON);
    assert_int_equal(pg->refs, 1);
    assert_int_equal(*(uint64_t *)page_kva(pg), 77);
    user_unpin(&pin);
    huge_end();
}

// Where it is not wanted, or there is no run, 4 KiB do.
static bool fail_once(void) // in a task, not the making of one
{
    if (!hart_self.current)
        return false;
    alloc_fail_hook = NULL;
    return true;
}

static void huge_not(void **state)
{
    (void)state;
    struct space *s = space_new();
    const uint64_t mib2 = 512 * PAGE_SIZE;
    va_t va = map_at(s, 0x40000000, 4 * 512, RW, 0);
    assert_int_equal(CALL(space_set_flags, s, va, mib2, MAPPING_NOHUGE, 0), 0);
    assert_int_equal(host_user_store(0, s, va, 1), 0);
    s->no_huge = true;
    assert_int_equal(host_user_store(0, s, va + mib2, 1), 0);
    s->no_huge = false;
    assert_int_equal(host_user_store(0, s, va + 2 * mib2, 1), -EAGAIN);
    alloc_fail_hook = fail_once;
    assert_int_equal(CALL(space_fault, s, va + 2 * mib2, ACCESS_WRITE), 0);
    assert_null(alloc_fail_hook);
    assert_int_equal(s->huge, 0);
    pa_t runs[32];
    unsigned big = 0, n;
    while ((runs[big] = frame_try_run(1024)))
        big++;
    for (n = big; (runs[n] = frame_try_run(512));)
        n++;
    frame_reserve /= 64; // there is enough, but in pieces
    assert_int_equal(host_user_store(0, s, va + 3 * mib2, 1), 0);
    assert_int_equal(s->huge, 0);
    frame_reserve *= 64;
    while (n--)
        for (unsigned i = 0; i < (n < big ? 1024 : 512); i++)
            frame_unref(runs[n] + i * PAGE_SIZE);
    release(s);
}

// Somebody comes while the run is being cleared: what is there stays, and the run goes back.
static void huge_late(void **state)
{
    (void)state;
    static long result;
    uint64_t v;
    leave_all();
    uint64_t before = in_use();
    struct space *s = space_new();
    va_t va = map_at(s, 0x40000000, 512, RW, 0);
    assert_int_equal(host_user_store(0, s, va, 1), -EAGAIN);
    assert_non_null(
        SPAWN("late", call_space_fault, &result, (struct space_fault_args){s, va, ACCESS_WRITE}));
    assert_true(executor_step());
    hart_self.current = NULL;
    assert_int_equal(load(s, va + 8 * PAGE_SIZE, &v), 0); // by a page of zeroes in a table
    run_all();
    assert_int_equal(result, 0);
    assert_int_equal(s->huge, 0);
    assert_int_equal(host_user_store(0, s, va, 7), 0);
    assert_int_equal(load(s, va, &v), 0);
    assert_int_equal(v, 7);
    release(s);
    leave_all();
    assert_int_equal(in_use(), before);

    before = in_use();
    s = space_new();
    va = map_at(s, 0x40000000, 512, RW, 0);
    assert_non_null(
        SPAWN("late", call_space_fault, &result, (struct space_fault_args){s, va, ACCESS_WRITE}));
    assert_true(executor_step());
    hart_self.current = NULL;
    assert_int_equal(space_unmap_now(s, va + 511 * PAGE_SIZE, PAGE_SIZE), 0);
    run_all();
    assert_int_equal(result, 0);
    assert_int_equal(s->huge, 0);
    assert_int_equal(host_user_load(0, s, va + 511 * PAGE_SIZE, &v), -EFAULT);
    release(s);
    leave_all();
    assert_int_equal(in_use(), before);
}

// What was counted before may be removed only if no page has come since.
static void touched_before_it_goes(void **state)
{
    (void)state;
    uint64_t v;
    host_on_hart(0);
    struct space *s = space_new();
    va_t va = map_at(s, 0x40000000, 16, RW, MAPPING_NOHUGE),
         big = map_at(s, 0x50000000, 512, RW, 0);
    uint64_t touches = space_touches(s);
    assert_int_equal(host_user_store(0, s, va + 3 * PAGE_SIZE, 7), 0);
    assert_int_equal(CALL(space_remove_steps, s, va, 8 * PAGE_SIZE, touches), -EAGAIN);
    assert_int_equal(host_user_load(0, s, va + 3 * PAGE_SIZE, &v), 0);
    assert_int_equal(v, 7);
    assert_int_equal(host_user_load(0, s, va + 12 * PAGE_SIZE, &v), 0); // the frame of zeroes
    touches = space_touches(s);
    assert_int_equal(host_user_store(0, s, va + 12 * PAGE_SIZE, 7), 0);
    assert_int_equal(CALL(space_remove_steps, s, va, 16 * PAGE_SIZE, touches), -EAGAIN);
    touches = space_touches(s);
    assert_int_equal(CALL(space_fault, s, big, ACCESS_WRITE), 0);
    assert_int_equal(s->huge, 1);
    assert_int_equal(CALL(space_remove_steps, s, big, 512 * PAGE_SIZE, touches), -EAGAIN);
    touches = space_touches(s);
    assert_int_equal(CALL(space_remove_steps, s, va, 8 * PAGE_SIZE, touches), 0);
    assert_int_equal(host_user_load(0, s, va + 3 * PAGE_SIZE, &v), -EFAULT);
    assert_int_equal(host_user_load(0, s, va + 12 * PAGE_SIZE, &v), 0);
    assert_int_equal(v, 7);
    release(s);
}

// Two touch the same 2 MiB at once: one clears pages, and both have them.
static void huge_twice(void **state)
{
    (void)state;
    static long result[2];
    leave_all();
    uint64_t before = in_use(), free = frame_free_count(), most = 0;
    struct space *s = space_new();
    va_t va = map_at(s, 0x40000000, 2 * 512, RW, 0);
    for (unsigned i = 0; i < 2; i++)
        SPAWN("touch", call_space_fault, &result[i],
              (struct space_fault_args){s, va + i * 9 * PAGE_SIZE, ACCESS_WRITE});
    while (executor_step())
        most = free - frame_free_count() > most ? free - frame_free_count() : most;
    hart_self.current = NULL;
    assert_in_range(most, 512, 512 + 64);
    assert_int_equal(result[0] | result[1], 0);
    assert_int_equal(s->huge, 1);
    assert_int_equal(s->resident, 512);

    // the first is stopped amid it: the other takes a page of its own
    struct task *first = SPAWN("touch", call_space_fault, &result[0],
                               (struct space_fault_args){s, va + HUGE_SIZE, ACCESS_WRITE});
    SPAWN("touch", call_space_fault, &result[1],
          (struct space_fault_args){s, va + HUGE_SIZE + 9 * PAGE_SIZE, ACCESS_WRITE});
    executor_step();
    executor_step();
    hart_self.current = NULL;
    task_cancel(first);
    result[1] = 1;
    run_all();
    assert_int_equal(result[1], 0);
    assert_int_equal(s->huge, 1);
    release(s);
    leave_all();
    assert_int_equal(in_use(), before);
}

// The middle, the head and the tail of a mapping go; what stays, stays.
static void unmap_parts(void **state)
{
    (void)state;
    uint64_t v;
    struct space *s = space_new();
    va_t va = map_at(s, 0, 8, RW, 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(host_user_store(0, s, va + (va_t)i * PAGE_SIZE, 100 + i), 0);
    assert_int_equal(space_unmap_now(s, va + 3 * PAGE_SIZE, 2 * PAGE_SIZE), 0);
    assert_int_equal(space_unmap_now(s, va, PAGE_SIZE), 0);
    assert_int_equal(CALL(space_unmap, s, va + 7 * PAGE_SIZE, PAGE_SIZE), 0);
    for (int i = 0; i < 8; i++) {
        bool there = i == 1 || i == 2 || i == 5 || i == 6;
        assert_int_equal(host_user_load(0, s, va + (va_t)i * PAGE_SIZE, &v), there ? 0 : -EFAULT);
        if (there)
            assert_int_equal(v, 100 + i);
    }
    assert_int_equal(s->resident, 4);
    assert_int_equal(s->mapped, 4 * PAGE_SIZE);
    release(s);
}

static void tables_come_back(void **state)
{
    (void)state;
    leave_all();
    struct space *s = space_new();
    uint64_t tables = s->tables;
    va_t va = map_at(s, 0x40000000, 4096, RW,
                     MAPPING_NOHUGE); // 16 MiB: eight leaf tables and a middle one
    for (int i = 0; i < 4096; i += 256)
        assert_int_equal(host_user_store(0, s, va + (va_t)i * PAGE_SIZE, 1), 0);
    assert_int_equal(s->tables, tables + 9);
    assert_int_equal(CALL(space_unmap, s, va, 4096 * PAGE_SIZE), 0);
    assert_int_equal(s->tables, tables + 1);
    assert_int_equal(s->resident, 0);
    release(s);
}

// Both write; each keeps its own. Two harts run the parent with warm TLBs.
static void fork_copies_on_write(void **state)
{
    (void)state;
    uint64_t v;
    struct space *s = space_new(), *c;
    va_t va = map_at(s, 0, 4, RW, 0), sh = map_at(s, 0, 1, RW, 0);
    struct phys *ph = phys_new_shared(PAGE_SIZE);
    struct space_map w = {.len = PAGE_SIZE, .prot = RW, .flags = MAPPING_SHARED, .phys = ph};
    assert_int_equal(space_map_now(s, &w, &sh), 0);
    phys_put(ph);
    for (unsigned h = 0; h < 2; h++)
        for (int i = 0; i < 3; i++)
            assert_int_equal(host_user_store(h, s, va + (va_t)i * PAGE_SIZE, 10 + i), 0);
    assert_int_equal(host_user_store(1, s, sh, 1), 0);
    host_on_hart(0);
    assert_int_equal(CALL(space_fork, s, &c), 0);
    assert_int_equal(c->resident, s->resident);
    assert_int_equal(host_user_store(1, s, va, 99), 0); // hart 1 remembers it writable
    assert_int_equal(host_user_load(2, c, va, &v), 0);
    assert_int_equal(v, 10);
    assert_int_equal(host_user_load(0, s, va, &v), 0);
    assert_int_equal(v, 99);
    assert_int_equal(host_user_store(2, c, va + PAGE_SIZE, 55), 0);
    assert_int_equal(host_user_load(1, s, va + PAGE_SIZE, &v), 0);
    assert_int_equal(v, 11);
    assert_int_equal(host_user_store(2, c, sh, 7), 0);
    assert_int_equal(host_user_load(0, s, sh, &v), 0);
    assert_int_equal(v, 7);
    release(c);
    uint64_t copies = s->cow_copies;
    assert_int_equal(host_user_store(0, s, va + 2 * PAGE_SIZE, 1), 0);
    assert_int_equal(s->cow_copies, copies); // the last owner does not copy
    release(s);
}

static void fork_copies_pinned_pages(void **state)
{
    (void)state;
    uint64_t v;
    struct space *s = space_new(), *c;
    va_t va = map_at(s, 0, 2, RW, 0);
    assert_int_equal(host_user_store(0, s, va, 1), 0);
    struct user_pin pin;
    assert_int_equal(CALL(user_pin, s, va + 16, 100, ACCESS_WRITE, &pin), 0);
    assert_int_equal(pin.count, 1);
    assert_int_equal(pin.offset, 16);
    assert_int_equal(CALL(space_fork, s, &c), 0);
    assert_int_equal(host_user_store(0, s, va, 2), 0);
    *(uint64_t *)page_kva(pin.page[0]) = 3; // the device writes where the parent looks
    assert_int_equal(host_user_load(0, s, va, &v), 0);
    assert_int_equal(v, 3);
    assert_int_equal(host_user_load(1, c, va, &v), 0);
    assert_int_equal(v, 1);
    // Losing W and getting it back must not move the page away from the device.
    host_on_hart(0);
    assert_int_equal(space_protect_now(s, va, PAGE_SIZE, ACCESS_READ), 0);
    assert_int_equal(space_protect_now(s, va, PAGE_SIZE, RW), 0);
    assert_int_equal(host_user_store(0, s, va + 8, 5), 0);
    *(uint64_t *)page_kva(pin.page[0]) = 4;
    assert_int_equal(host_user_load(0, s, va, &v), 0);
    assert_int_equal(v, 4);
    release(s);
    user_unpin(&pin);
    release(c);
}

static void copies_cross_pages(void **state)
{
    (void)state;
    static char in[3 * PAGE_SIZE], out[3 * PAGE_SIZE];
    struct space *s = space_new();
    va_t va = map_at(s, 0, 4, RW, 0);
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (char)(i * 7 + 1);
    assert_int_equal(user_copy_out(s, va + 100, in, sizeof in), 0);
    assert_int_equal(user_copy_in(s, out, va + 100, sizeof out), 0);
    assert_memory_equal(in, out, sizeof in);
    assert_int_equal(user_copy_in(s, out, va + 2 * PAGE_SIZE, 2 * PAGE_SIZE + 1), -EFAULT);
    assert_int_equal(user_copy_out(s, USER_TOP - 4, in, 8), -EFAULT);
    assert_int_equal(user_copy_out(s, 0xffffffc080200000, in, 8), -EFAULT);
    assert_int_equal(user_copy_in(s, out, UINT64_MAX - 3, 8), -EFAULT);
    assert_int_equal(space_protect_now(s, va, PAGE_SIZE, ACCESS_READ), 0);
    assert_int_equal(user_copy_out(s, va, in, 8), -EFAULT);
    assert_int_equal(user_copy_in(s, out, va, 8), 0);

    memset(in, 'x', sizeof in);
    in[PAGE_SIZE + 50] = 0;
    assert_int_equal(user_copy_out(s, va + PAGE_SIZE, in, 2 * PAGE_SIZE), 0);
    assert_int_equal(user_string_in(s, out, va + PAGE_SIZE + 10, sizeof out), PAGE_SIZE + 40);
    assert_string_equal(out, in + 10);
    assert_int_equal(user_string_in(s, out, va + PAGE_SIZE, 100), -ENAMETOOLONG);
    assert_int_equal(user_string_in(s, out, 0x1000, 100), -EFAULT);

    uint32_t old, word = 5;
    assert_int_equal(user_copy_out(s, va + PAGE_SIZE, &word, 4), 0);
    assert_int_equal(user_cmpxchg32_nofault(s, va + PAGE_SIZE, 4, 9, &old), 0);
    assert_int_equal(old, 5);
    assert_int_equal(user_cmpxchg32_nofault(s, va + PAGE_SIZE, 5, 9, &old), 0);
    assert_int_equal(user_load32_nofault(s, va + PAGE_SIZE, &old), 0);
    assert_int_equal(old, 9);
    assert_int_equal(user_load32_nofault(s, va + PAGE_SIZE + 2, &old), -EFAULT);
    release(s);
}

static void monitor_changes_entries(void **state)
{
    (void)state;
    uint64_t v;
    pte_t old;
    struct space *s = space_new();
    va_t va = map_at(s, 0, 2, RW, 0);
    assert_int_equal(host_user_store(0, s, va, 4), 0);
    pte_t e = space_pte_get(s, va);
    assert_int_equal(space_pte_set(s, va, e & ~(pte_t)PTE_V, &old), 0);
    assert_int_equal(old, e);
    uint64_t faults = host_faults;
    assert_int_equal(host_user_load(0, s, va, &v), 0); // faults once, then is as before
    assert_int_equal(v, 4);
    assert_int_equal(host_faults, faults + 1);
    assert_int_equal(space_pte_set(s, va, (e & ~(pte_t)PTE_R), &old), -EINVAL);
    assert_int_equal(space_pte_set(s, va, e + (1 << 10), &old), -EINVAL);
    assert_int_equal(space_pte_set(s, va + PAGE_SIZE, e, &old), -ENOENT);
    assert_int_equal(space_pte_set(s, 0xffffffc080200000, e, &old), -EINVAL);
    struct pt_step steps[PT_LEVELS];
    assert_int_equal(pt_walk(s->root, va, steps), 3);
    assert_int_equal(steps[2].entry, space_pte_get(s, va));
    struct pte_info info[4];
    assert_int_equal(space_entries(s, 0, USER_TOP, info, 4), 1);
    assert_int_equal(info[0].va, va);
    release(s);
}

// ---- a file: read in, written back, private and shared

enum { FILE_PAGES = 40 };
static uint8_t disk[FILE_PAGES * PAGE_SIZE];
static int reads, writes, bad_page = -1;
static int file_refs;

ASYNC_IMPL(disk_fill, phys_fill, uint32_t i;)
{
    ASYNC_BEGIN(disk_fill);
    YIELD();
    reads++;
    for (f->i = 0; f->i < f->count; f->i++) {
        if ((int)(f->index + f->i) == bad_page)
            ASYNC_RETURN(-EIO);
        memcpy(page_kva(f->pages[f->i]), disk + (f->index + f->i) * PAGE_SIZE, PAGE_SIZE);
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC_IMPL(disk_write, phys_write, uint32_t i;)
{
    ASYNC_BEGIN(disk_write);
    YIELD();
    writes++;
    for (f->i = 0; f->i < f->count; f->i++)
        memcpy(disk + (f->index + f->i) * PAGE_SIZE, page_kva(f->pages[f->i]), PAGE_SIZE);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void file_get(struct phys *ph)
{
    (void)ph;
    file_refs++;
}

static void file_put(struct phys *ph)
{
    (void)ph;
    file_refs--;
}

static const struct phys_ops file_ops = {&disk_fill_fn, &disk_write_fn, file_get,
                                         file_put,      NULL,           NULL};

static va_t map_file(struct space *s, struct phys *ph, uint64_t pages, uint32_t prot,
                     uint32_t flags)
{
    struct space_map w = {.len = pages * PAGE_SIZE, .prot = prot, .flags = flags, .phys = ph};
    va_t va = 0;
    assert_int_equal(space_map_now(s, &w, &va), 0);
    return va;
}

// A file of 20 pages and 100 bytes, each 8 of them their own position, mapped twice: privately and shared.
static struct file_mapped {
    struct phys ph;
    struct space *s;
    va_t private, shared;
    uint64_t before;
} fm;

static void file_begin(void)
{
    leave_all();
    fm.before = in_use();
    for (size_t i = 0; i < sizeof disk; i += 8)
        *(uint64_t *)(disk + i) = i;
    phys_init(&fm.ph, PHYS_FILE, &file_ops, NULL, 20 * PAGE_SIZE + 100);
    fm.s = space_new();
    fm.private = map_file(fm.s, &fm.ph, 30, RW, 0);
    fm.shared = map_file(fm.s, &fm.ph, 30, RW, MAPPING_SHARED);
    assert_int_equal(file_refs, 2);
    assert_int_equal(fm.ph.shared_writable, 1);
}

static void file_unmap(void)
{
    release(fm.s);
    assert_int_equal(file_refs, 0);
    assert_int_equal(fm.ph.shared_writable, 0);
    assert_int_equal(CALL(phys_sync, &fm.ph, 0, UINT64_MAX), 0);
    assert_int_equal(fm.ph.dirty, 0);
}

static void file_end(void)
{
    assert_int_equal(CALL(phys_destroy, &fm.ph), 0);
    assert_int_equal(fm.ph.pages, 0);
    assert_null(fm.ph.tree.root);
    leave_all();
    assert_int_equal(in_use(), fm.before);
}

static void loads(va_t va, uint64_t want)
{
    uint64_t v;
    assert_int_equal(load(fm.s, va, &v), 0);
    assert_int_equal(v, want);
}

static void fails_to_load(va_t va)
{
    uint64_t v;
    assert_int_equal(load(fm.s, va, &v), -EIO);
}

static void stores(va_t va, uint64_t v)
{
    assert_int_equal(store(fm.s, va, v), 0);
}

static uint64_t on_disk(size_t at)
{
    return *(uint64_t *)(disk + at);
}

static void file_pages_are_read(void **state)
{
    (void)state;
    file_begin();
    int before = reads;
    loads(fm.private + 8, 8);
    assert_int_equal(reads, before + 1);
    loads(fm.shared + PAGE_SIZE, PAGE_SIZE); // read with the first; that it is used has more read
    while (executor_step())
        ;
    assert_int_equal(reads, before + 2);
    loads(fm.shared + 5 * PAGE_SIZE, 5 * PAGE_SIZE);
    assert_int_equal(reads, before + 2);
    uint64_t v;
    assert_int_equal(load(fm.s, fm.private + 20 * PAGE_SIZE + 200, &v), 0); // the last page
    fails_to_load(fm.private + 21 * PAGE_SIZE);                             // behind it
    file_unmap();
    file_end();
}

static void file_pages_are_written(void **state)
{
    (void)state;
    file_begin();
    stores(fm.private + 8, 1111); // private: the file does not see it
    loads(fm.shared + 8, 8);
    stores(fm.shared + 16, 2222); // shared: it does
    assert_int_equal(fm.ph.dirty, 1);
    loads(fm.private + 8, 1111);
    assert_int_equal(CALL(phys_sync, &fm.ph, 0, UINT64_MAX), 0);
    assert_int_equal(on_disk(16), 2222);
    assert_int_equal(on_disk(8), 8);
    assert_int_equal(fm.ph.dirty, 0); // though still mapped: the next store faults first
    stores(fm.shared + 16, 3333);
    assert_int_equal(fm.ph.dirty, 1);
    assert_int_equal(on_disk(16), 2222);
    assert_int_equal(CALL(phys_sync, &fm.ph, 1, UINT64_MAX), 0); // another range
    assert_int_equal(fm.ph.dirty, 1);
    assert_int_equal(CALL(phys_sync, &fm.ph, 0, 1), 0);
    assert_int_equal(on_disk(16), 3333);
    file_unmap();
    file_end();
}

static void file_pages_are_given_up(void **state)
{
    (void)state;
    file_begin();
    loads(fm.shared + PAGE_SIZE, PAGE_SIZE);
    stores(fm.private + 8, 1111);
    stores(fm.shared + 16, 4444);
    uint64_t looked = 0;
    while (looked < 5 * phys_evictable()) // used and mapped, mapped only, then given up
        if (phys_reclaim(1, &looked))
            looked = 0;
    assert_int_equal(fm.ph.pages, 1); // the dirty one stays
    loads(fm.shared + 16, 4444);
    loads(fm.private + 8, 1111); // a private copy is none of the file's pages
    loads(fm.shared + PAGE_SIZE, PAGE_SIZE);
    file_unmap();
    file_end();
}

static void file_pages_that_cannot_be_read(void **state)
{
    (void)state;
    file_begin();
    bad_page = 13;
    loads(fm.private + 12 * PAGE_SIZE, 12 * PAGE_SIZE); // its neighbour can be read
    fails_to_load(fm.private + 13 * PAGE_SIZE);
    bad_page = -1;
    loads(fm.private + 13 * PAGE_SIZE, 13 * PAGE_SIZE);
    file_unmap();
    file_end();
}

static void file_is_cut(void **state)
{
    (void)state;
    file_begin();
    stores(fm.private + 8, 1111);
    loads(fm.private + 13 * PAGE_SIZE, 13 * PAGE_SIZE);
    loads(fm.shared + 12 * PAGE_SIZE, 12 * PAGE_SIZE);
    assert_int_equal(CALL(phys_truncate, &fm.ph, 10 * PAGE_SIZE + 8), 0); // gone from both mappings
    fails_to_load(fm.private + 13 * PAGE_SIZE);
    fails_to_load(fm.shared + 12 * PAGE_SIZE);
    loads(fm.private + 8, 1111);
    file_unmap();
    assert_int_equal(CALL(phys_truncate, &fm.ph, 100), 0);
    assert_int_equal(fm.ph.pages, 1);
    struct page *pg = phys_page_try(&fm.ph, 0);
    assert_int_equal(((uint8_t *)page_kva(pg))[96], 96);
    assert_int_equal(((uint8_t *)page_kva(pg))[104], 0);
    page_put(pg);
    file_end();
}

// A read maps what is cached of its block, inside the mapping and the file, and never writable.
static void reads_map_around(void **state)
{
    (void)state;
    leave_all();
    uint64_t before = in_use(), v;
    struct phys ph;
    phys_init(&ph, PHYS_FILE, &file_ops, NULL, 30 * PAGE_SIZE);
    struct space *s = space_new(), *t = space_new();
    va_t all = map_file(s, &ph, 40, ACCESS_READ, 0);
    for (int i = 0; i < 30; i++)
        if (i != 19)
            assert_int_equal(load(s, all + (va_t)i * PAGE_SIZE, &v), 0);
    struct space_map w = {.at = 0x40000000 + 2 * PAGE_SIZE,
                          .len = 40 * PAGE_SIZE,
                          .prot = RW,
                          .how = SPACE_FIXED,
                          .flags = MAPPING_SHARED,
                          .phys = &ph};
    va_t va;
    assert_int_equal(space_map_now(t, &w, &va), 0);
    assert_int_equal(host_user_load(0, t, va + 3 * PAGE_SIZE, &v), 0);
    assert_int_equal(t->resident, 14); // from the mapping's start to the block's end
    assert_int_equal(host_user_load(0, t, va + 29 * PAGE_SIZE, &v), 0);
    uint64_t there = t->resident;
    assert_true(there <= 14 + 16 && !space_pte_get(t, va + 30 * PAGE_SIZE));
    for (int i = 0; i < 14; i++) {
        assert_false(space_pte_get(t, va + (va_t)i * PAGE_SIZE) & PTE_W);
        assert_int_equal(host_user_load(0, t, va + (va_t)i * PAGE_SIZE + 8, &v), 0);
        assert_int_equal(v, *(uint64_t *)(disk + (size_t)i * PAGE_SIZE + 8));
    }
    assert_int_equal(ph.dirty, 0);
    release(s);
    release(t);
    assert_int_equal(CALL(phys_destroy, &ph), 0);
    leave_all();
    assert_int_equal(in_use(), before);
}

// Memory runs out: a user fault says so, cached pages are given up first, the kernel still has some.
static void exhaustion(void **state)
{
    (void)state;
    leave_all();
    uint64_t before = in_use(), v;
    struct phys ph;
    phys_init(&ph, PHYS_FILE, &file_ops, NULL, FILE_PAGES * PAGE_SIZE);
    struct space *s = space_new();
    va_t file = map_file(s, &ph, FILE_PAGES, ACCESS_READ, 0);
    for (int i = 0; i < FILE_PAGES; i++)
        assert_int_equal(load(s, file + (va_t)i * PAGE_SIZE, &v), 0);
    assert_int_equal(space_unmap_now(s, file, FILE_PAGES * PAGE_SIZE), 0);
    assert_int_equal(ph.pages, FILE_PAGES);
    va_t va = map_at(s, 0, 16000, RW, MAPPING_NORESERVE);
    int r = 0;
    uint64_t n = 0;
    while (n < 16000 && !(r = store(s, va + n * PAGE_SIZE, n)))
        n++;
    assert_int_equal(r, -ENOMEM);
    assert_true(s->huge > 10);
    assert_int_equal(ph.pages, 0);
    assert_int_equal(CALL(space_fault, s, va + n * PAGE_SIZE, ACCESS_WRITE), -ENOMEM);
    pa_t kernel = frame_alloc(0);
    assert_true(kernel);
    frame_unref(kernel);
    release(s);
    assert_int_equal(CALL(phys_destroy, &ph), 0);
    leave_all();
    assert_int_equal(in_use(), before);
}

// ---- the model

enum { SPACES = 5, PAGES_MAX = 4 * 512 + 40, HARTS = 3 };
static int pages;
static va_t base;

struct object {
    uint64_t value;
    int refs;
};
struct model_page {
    uint32_t prot;
    bool mapped, shared;
    struct object *object; // shared: what all who inherit it see
    uint64_t value;
};
static struct {
    struct space *s;
    struct model_page page[PAGES_MAX];
} world[SPACES];

static va_t addr(int page)
{
    return base + (va_t)page * PAGE_SIZE + 40;
}

static void page_forget(struct model_page *p)
{
    if (p->object && --p->object->refs == 0)
        free(p->object);
    *p = (struct model_page){0};
}

static void model_map(int w, int lo, int n, uint32_t prot, bool shared)
{
    for (int i = lo; i < lo + n; i++) {
        struct model_page *p = &world[w].page[i];
        page_forget(p);
        *p = (struct model_page){.prot = prot, .mapped = true, .shared = shared};
        if (shared) {
            p->object = calloc(1, sizeof *p->object);
            p->object->refs = 1;
        }
    }
}

static void op_map(int w, int lo, int n)
{
    uint32_t prot = rand() % 4 ? RW : ACCESS_READ;
    bool shared = rand() % 4 == 0;
    struct space_map m = {.at = base + (va_t)lo * PAGE_SIZE,
                          .len = (uint64_t)n * PAGE_SIZE,
                          .prot = prot,
                          .how = SPACE_FIXED};
    if (shared) {
        m.flags = MAPPING_SHARED;
        m.phys = phys_new_shared(m.len);
        assert_non_null(m.phys);
    }
    va_t va;
    int now =
        rand() % 2 ? space_map_now(world[w].s, &m, &va) : -EAGAIN; // too much for a plain call
    assert_int_equal(now == -EAGAIN ? CALL(space_map, world[w].s, m, &va) : now, 0);
    assert_int_equal(va, m.at);
    if (shared)
        phys_put(m.phys);
    model_map(w, lo, n, prot, shared);
}

static void op_unmap(int w, int lo, int n)
{
    va_t va = base + (va_t)lo * PAGE_SIZE;
    uint64_t len = (uint64_t)n * PAGE_SIZE;
    int now = rand() % 2 ? space_unmap_now(world[w].s, va, len) : -EAGAIN;
    assert_int_equal(now == -EAGAIN ? CALL(space_unmap, world[w].s, va, len) : now, 0);
    for (int i = lo; i < lo + n; i++)
        page_forget(&world[w].page[i]);
}

static void op_protect(int w, int lo, int n)
{
    static const uint32_t prots[] = {0, ACCESS_READ, RW, RW, ACCESS_READ | ACCESS_EXEC};
    uint32_t prot = prots[rand() % 5];
    int hole = lo; // what lies before it changes all the same
    while (hole < lo + n && world[w].page[hole].mapped)
        hole++;
    va_t va = base + (va_t)lo * PAGE_SIZE;
    uint64_t len = (uint64_t)n * PAGE_SIZE;
    long r = rand() % 2 ? space_protect_now(world[w].s, va, len, prot) : -EAGAIN;
    r = r == -EAGAIN ? CALL(space_protect, world[w].s, va, len, prot) : r;
    assert_int_equal(r, hole == lo + n ? 0 : -ENOMEM);
    for (int i = lo; i < hole; i++)
        world[w].page[i].prot = prot;
}

static void op_discard(int w, int lo, int n)
{
    assert_int_equal(
        CALL(space_discard, world[w].s, base + (va_t)lo * PAGE_SIZE, (uint64_t)n * PAGE_SIZE), 0);
    for (int i = lo; i < lo + n; i++)
        world[w].page[i].value = 0;
}

static void op_fork(int w, int to)
{
    for (int i = 0; i < pages; i++)
        page_forget(&world[to].page[i]);
    assert_int_equal(CALL(space_release, world[to].s), 0);
    assert_int_equal(CALL(space_fork, world[w].s, &world[to].s), 0);
    for (int i = 0; i < pages; i++) {
        world[to].page[i] = world[w].page[i];
        if (world[w].page[i].object)
            world[w].page[i].object->refs++;
    }
}

// Moves pages inside one mapping's range to where nothing is.
static void op_remap(int w, int lo, int n)
{
    int to = rand() % (pages - n + 1);
    bool one = true, overlap = to < lo + n && lo < to + n;
    for (int i = lo; i < lo + n; i++)
        one &= world[w].page[i].mapped;
    va_t va;
    long r = CALL(space_remap, world[w].s, base + (va_t)lo * PAGE_SIZE, (uint64_t)n * PAGE_SIZE,
                  (uint64_t)n * PAGE_SIZE, REMAP_MAYMOVE | REMAP_FIXED, base + (va_t)to * PAGE_SIZE,
                  UINT64_MAX, &va);
    if (overlap)
        assert_int_equal(r, world[w].page[lo].mapped ? -EINVAL : -EFAULT);
    else if (!one)
        assert_int_equal(r, -EFAULT);
    if (r) {
        assert_true(overlap || r == -EFAULT);
        return;
    }
    for (int i = 0; i < n; i++) {
        page_forget(&world[w].page[to + i]);
        world[w].page[to + i] = world[w].page[lo + i];
        world[w].page[lo + i] = (struct model_page){0};
    }
}

static uint64_t model_value(const struct model_page *p)
{
    return p->object ? p->object->value : p->value;
}

static void op_store(int w, int page, uint64_t v)
{
    struct model_page *p = &world[w].page[page];
    int want = !p->mapped ? -EFAULT : p->prot & ACCESS_WRITE ? 0 : -EACCES;
    int r = rand() % 4 ? store_on((unsigned)rand() % HARTS, world[w].s, addr(page), v)
                       : (int)CALL(user_write, world[w].s, addr(page), &v, sizeof v);
    if (r == -EFAULT && want == -EACCES)
        r = want; // user_write makes no difference
    assert_int_equal(r, want);
    if (!r && p->object)
        p->object->value = v;
    else if (!r)
        p->value = v;
}

static void check_page(int w, int page)
{
    struct model_page *p = &world[w].page[page];
    int want = !p->mapped ? -EFAULT : p->prot & ACCESS_READ ? 0 : -EACCES;
    uint64_t v = 0, u = 0;
    assert_int_equal(load_on((unsigned)rand() % HARTS, world[w].s, addr(page), &v), want);
    if (want)
        return;
    assert_int_equal(v, model_value(p));
    assert_int_equal(user_copy_in(world[w].s, &u, addr(page), sizeof u), 0);
    assert_int_equal(u, v);
}

// Where: a few pages, or whole 2 MiB in the middle. few, many: pages an operation is about.
static void random_steps(unsigned seeds, int steps, int few, int many)
{
    leave_all();
    uint64_t before = in_use(), huge = 0, was = 0;
    for (unsigned seed = 1; seed <= seeds; seed++) {
        srand(seed);
        for (int w = 0; w < SPACES; w++)
            world[w].s = space_new();
        // Mostly the same space and neighbourhood again, so that stale translations get their chance.
        for (int step = 0, w = 0, near = 0; step < steps; step++) {
            if (rand() % 12 == 0)
                w = rand() % SPACES;
            if (rand() % 12 == 0)
                near = rand() % pages;
            int lo = rand() % 4 ? (near + rand() % 4) % pages : rand() % pages;
            int n = 1 + rand() % (rand() % 4 ? few : many);
            if (pages > 512 && rand() % 4 == 0) { // just what one leaf may show
                lo = 20 + 512 * (rand() % 4);
                n = 512;
            }
            if (lo + n > pages)
                n = pages - lo;
            host_on_hart((unsigned)rand() % HARTS);
            switch (rand() % 16) {
            case 0:
            case 1:
                op_map(w, lo, n);
                break;
            case 2:
                op_unmap(w, lo, n);
                break;
            case 3:
                op_protect(w, lo, n);
                break;
            case 4:
                op_discard(w, lo, n);
                break;
            case 5:
                op_fork(w, (w + 1 + rand() % (SPACES - 1)) % SPACES);
                break;
            case 6:
                op_remap(w, lo, n);
                break;
            case 7:
            case 8:
            case 9:
            case 10:
            case 11:
                for (int i = lo; i < lo + n; i++)
                    op_store(w, i, (uint64_t)step << 16 | (uint64_t)i);
                break;
            default:
                for (int i = lo; i < lo + n; i++)
                    check_page(w, i);
            }
            huge += huge_leaves > was ? huge_leaves - was : 0;
            was = huge_leaves;
        }
        for (int w = 0; w < SPACES; w++)
            for (int i = 0; i < pages; i++) {
                check_page(w, i);
                page_forget(&world[w].page[i]);
            }
        leave_all();
        for (int w = 0; w < SPACES; w++)
            assert_int_equal(CALL(space_release, world[w].s), 0);
        assert_int_equal(in_use(), before);
        assert_int_equal(huge_leaves, 0);
        was = 0;
    }
    assert_true(pages < 512 ? !huge : huge > 10 * seeds);
}

static void random_worlds(void **state)
{
    (void)state;
    pages = 96;
    base = 0x3f000000 - 40 * PAGE_SIZE; // straddles two leaf tables
    random_steps(20, 6000, 5, 40);
}

static void random_huge_worlds(void **state)
{
    (void)state;
    pages = PAGES_MAX;
    base = 0x3f000000 - 20 * PAGE_SIZE;
    random_steps(6, 3000, 20, 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_touch),
        cmocka_unit_test(rights),
        cmocka_unit_test(stack_grows),
        cmocka_unit_test(writes_map_ahead),
        cmocka_unit_test(polls_are_short),
        cmocka_unit_test(huge_whole),
        cmocka_unit_test(huge_parts),
        cmocka_unit_test(huge_moves),
        cmocka_unit_test(huge_forks),
        cmocka_unit_test(huge_pinned),
        cmocka_unit_test(huge_not),
        cmocka_unit_test(huge_late),
        cmocka_unit_test(touched_before_it_goes),
        cmocka_unit_test(huge_twice),
        cmocka_unit_test(unmap_parts),
        cmocka_unit_test(tables_come_back),
        cmocka_unit_test(fork_copies_on_write),
        cmocka_unit_test(fork_copies_pinned_pages),
        cmocka_unit_test(copies_cross_pages),
        cmocka_unit_test(monitor_changes_entries),
        cmocka_unit_test(file_pages_are_read),
        cmocka_unit_test(file_pages_are_written),
        cmocka_unit_test(file_pages_are_given_up),
        cmocka_unit_test(file_pages_that_cannot_be_read),
        cmocka_unit_test(file_is_cut),
        cmocka_unit_test(reads_map_around),
        cmocka_unit_test(exhaustion),
        cmocka_unit_test(random_worlds),
        cmocka_unit_test(random_huge_worlds),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
