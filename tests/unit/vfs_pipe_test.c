// SPDX-License-Identifier: MIT
// Pipes and FIFOs: the ring against a model, blocking and waking, ends, atomic writes, user pages
// that are absent.
// sources: kernel/fs/dentry.c kernel/fs/walk.c kernel/fs/perm.c kernel/fs/names.c
// sources: kernel/fs/rename.c kernel/fs/mount.c kernel/fs/fsctx.c kernel/fs/vnode.c kernel/fs/reaper.c
// sources: kernel/fs/file.c kernel/fs/fdtable.c kernel/fs/lock.c kernel/fs/open.c
// sources: kernel/fs/pagecache.c kernel/fs/tmpfs.c kernel/fs/tmpfs_dir.c kernel/fs/iobuf.c kernel/fs/pipe.c
// sources: kernel/fs/pipe_end.c kernel/mem/phys.c kernel/mem/phys_io.c kernel/mem/readahead.c kernel/mem/writeback.c kernel/mem/evict.c tests/unit/host_rmap.c kernel/mem/shortage.c
// sources: kernel/mem/radix.c kernel/page/frame.c kernel/lib/init.c kernel/lib/local.c
// sources: kernel/lib/spinlock.c kernel/async/async.c kernel/async/task.c
// sources: kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c kernel/async/timer.c kernel/async/wait.c
// sources: tests/unit/host.c tests/unit/vfs_host.c
// flags: -DDEBUG -DASYNC_CHECKED -Ikernel/arch/riscv/include
#include "vfs_host.h"

#include "async/executor.h"
#include "fs/pipe.h"
#include "fs/poll.h"
#include "host.h"
#include "page/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { CAPACITY = 65536 };
static struct file *end[2];

// Transfers at the user's side, awaited.
ASYNC_DECL(move_user, struct file *file; void *p; size_t n; bool write;);
ASYNC(move_user, struct iobuf buf; long r;)
{
    ASYNC_BEGIN(move_user);
    iobuf_user(&f->buf, vfs_thread.space, (va_t)f->p, f->n);
    if (f->write)
        AWAIT_VIA(f->r, file_write, f->file->ops->write, f->file, &f->buf, 0);
    else
        AWAIT_VIA(f->r, file_read, f->file->ops->read, f->file, &f->buf, 0);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static long put(const void *p, size_t n)
{
    return RUN(move_user, end[1], (void *)p, n, true);
}

static long get(void *p, size_t n)
{
    return RUN(move_user, end[0], p, n, false);
}

static int setup(void **state)
{
    (void)state;
    vfs_host_init();
    return 0;
}

static int make(void **state)
{
    (void)state;
    vfs_signal = 0;
    vfs_absent(NULL, NULL);
    vfs_bad(NULL);
    return pipe_new(O_NONBLOCK, end);
}

static void blocking(void)
{
    end[0]->flags &= ~(uint32_t)O_NONBLOCK;
    end[1]->flags &= ~(uint32_t)O_NONBLOCK;
}

static int drop(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        if (end[i])
            file_put(end[i]);
    vfs_settle();
    return 0;
}

static void close_end(int i)
{
    file_put(end[i]);
    end[i] = NULL;
}

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8));
}

// Random reads and writes of random sizes, plain and awaited, beside counters that say what the
// bytes must be.
static void against_a_model(void **state)
{
    (void)state;
    static uint8_t buf[CAPACITY * 2];
    uint64_t wrote = 0, read = 0;
    for (int i = 0; i < 20000; i++) {
        size_t n = vfs_random(4) ? vfs_random(5000) : vfs_random(CAPACITY * 2);
        bool plain = vfs_random(2);
        long r = 0;
        if (vfs_random(2)) {
            for (size_t k = 0; k < n; k++)
                buf[k] = pattern(wrote + k);
            if (!plain || vfs_try(end[1]->ops->try_write, end[1], buf, n, &r))
                r = put(buf, n);
            size_t room = CAPACITY - (wrote - read);
            long want = n == 0          ? 0
                        : n <= PIPE_BUF ? (room >= n ? (long)n : -EAGAIN)
                        : room == 0     ? -EAGAIN
                        : room < n      ? (long)room
                                        : (long)n;
            assert_int_equal(r, want);
            wrote += r > 0 ? (uint64_t)r : 0;
        } else {
            if (!plain || vfs_try(end[0]->ops->try_read, end[0], buf, n, &r))
                r = get(buf, n);
            uint64_t fill = wrote - read;
            long want = n == 0 ? 0 : fill == 0 ? -EAGAIN : (long)(fill < n ? fill : n);
            assert_int_equal(r, want);
            for (long k = 0; k < r; k++)
                assert_int_equal(buf[k], pattern(read + (uint64_t)k));
            read += r > 0 ? (uint64_t)r : 0;
        }
    }
}

static void no_page_is_lost(void **state)
{
    (void)state;
    static uint8_t buf[CAPACITY];
    drop(state);
    uint64_t before = frame_free_count();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(make(state), 0);
        for (int k = 0; k < 20; k++) {
            put(buf, vfs_random(CAPACITY));
            get(buf, vfs_random(CAPACITY));
        }
        drop(state);
    }
    assert_int_equal(frame_free_count(), before);
    assert_int_equal(make(state), 0);
}

// Frames that the pipe gave back belong to others now.
static void pages_given_back_are_not_used(void **state)
{
    (void)state;
    enum { TAKEN = 64 };
    static uint8_t buf[CAPACITY];
    uint8_t *taken[TAKEN];
    for (int i = 0; i < 10; i++) { // round the ring, never empty: pages are dropped
        put(buf, 6 * PAGE_SIZE + 1);
        get(buf, 6 * PAGE_SIZE);
    }
    for (int i = 0; i < TAKEN; i++) {
        taken[i] = pa_to_kva(frame_alloc(0));
        memset(taken[i], 0xee, PAGE_SIZE);
    }
    memset(buf, 0x11, sizeof buf);
    put(buf, CAPACITY);
    for (int i = 0; i < TAKEN; i++) {
        for (size_t k = 0; k < PAGE_SIZE; k++)
            assert_int_equal(taken[i][k], 0xee);
        frame_unref(kva_to_pa(taken[i]));
    }
}

static void ends(void **state)
{
    (void)state;
    char c = 'x';
    assert_int_equal(put("abc", 3), 3);
    close_end(1);
    assert_int_equal(get(&c, 1), 1);
    char rest[8];
    assert_int_equal(get(rest, 8), 2);
    assert_int_equal(get(rest, 8), 0); // the end of the file
    drop(state);
    assert_int_equal(make(state), 0);
    close_end(0);
    assert_int_equal(put("a", 1), -EPIPE);
    assert_int_equal(vfs_signal, SIGPIPE);
}

static void a_reader_waits(void **state)
{
    (void)state;
    char buf[8] = "";
    blocking();
    struct task *t = START(move_user, end[0], buf, 8, false);
    vfs_settle();
    assert_false(vfs_ended(t));
    assert_int_equal(put("hello", 5), 5);
    assert_int_equal(vfs_finish(t), 5);
    assert_memory_equal(buf, "hello", 5);
    t = START(move_user, end[0], buf, 8, false);
    vfs_settle();
    close_end(1);
    assert_int_equal(vfs_finish(t), 0);
}

static void one_wake_per_reader(void **state)
{
    (void)state;
    char buf[3][2] = {"", "", ""};
    struct task *t[3];
    blocking();
    for (int i = 0; i < 3; i++)
        t[i] = START(move_user, end[0], buf[i], 1, false);
    vfs_settle();
    // Three bytes at once: the first reader passes the wake on for what it leaves.
    assert_int_equal(put("abc", 3), 3);
    vfs_settle();
    for (int i = 0; i < 3; i++)
        assert_true(vfs_ended(t[i]));
    assert_int_equal(vfs_finish(t[0]) + vfs_finish(t[1]) + vfs_finish(t[2]), 3);
    assert_int_equal(buf[0][0] + buf[1][0] + buf[2][0], 'a' + 'b' + 'c');
}

static void a_granted_reader_that_dies_passes_it_on(void **state)
{
    (void)state;
    char buf[2][2] = {"", ""};
    blocking();
    struct task *a = START(move_user, end[0], buf[0], 1, false);
    vfs_settle();
    struct task *b = START(move_user, end[0], buf[1], 1, false);
    vfs_settle();
    long r;
    assert_false(vfs_try(end[1]->ops->try_write, end[1], "x", 1, &r)); // grants the first
    task_cancel(a);
    vfs_settle();
    assert_true(vfs_ended(a));
    assert_true(vfs_ended(b));
    task_put(a);
    assert_int_equal(vfs_finish(b), 1);
    assert_int_equal(buf[1][0], 'x');
}

static void a_writer_waits(void **state)
{
    (void)state;
    static uint8_t big[CAPACITY + 5000], buf[CAPACITY];
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = pattern(i);
    blocking();
    struct task *t = START(move_user, end[1], big, sizeof big, true);
    vfs_settle();
    assert_false(vfs_ended(t));
    size_t got = 0;
    while (got < sizeof big) {
        long r = get(buf, 3000);
        assert_true(r > 0);
        for (long k = 0; k < r; k++)
            assert_int_equal(buf[k], pattern(got + (size_t)k));
        got += (size_t)r;
        vfs_settle();
    }
    assert_int_equal(vfs_finish(t), sizeof big);
    // Interrupted in the middle by the reader's end: what went before is told, and the signal sent.
    t = START(move_user, end[1], big, sizeof big, true);
    vfs_settle();
    close_end(0);
    assert_int_equal(vfs_finish(t), CAPACITY);
    assert_int_equal(vfs_signal, SIGPIPE);
}

static void small_writes_go_in_whole(void **state)
{
    (void)state;
    static uint8_t buf[CAPACITY];
    blocking();
    assert_int_equal(put(buf, CAPACITY - 100), CAPACITY - 100);
    struct task *t = START(move_user, end[1], buf, 200, true);
    vfs_settle();
    assert_false(vfs_ended(t));
    assert_int_equal(get(buf, 50), 50);
    vfs_settle();
    assert_false(vfs_ended(t)); // 150 are free: not enough
    assert_int_equal(get(buf, 50), 50);
    assert_int_equal(vfs_finish(t), 200);
}

static bool no_memory(void)
{
    return true;
}

// A small write over two pages of the pipe, and no memory for the second: nothing of it goes in.
static void without_memory(void **state)
{
    (void)state;
    static uint8_t all[PAGE_SIZE + 200], back[sizeof all];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = pattern(i);
    assert_int_equal(put(all, PAGE_SIZE - 100), PAGE_SIZE - 100);
    alloc_failures = &(struct alloc_failure){.fails = no_memory};
    alarm(10); // it ends
    long r = put(all + PAGE_SIZE - 100, 300);
    alarm(0);
    alloc_failures = NULL;
    assert_int_equal(r, -ENOMEM);
    assert_int_equal(put(all + PAGE_SIZE - 100, 300), 300);
    assert_int_equal(get(back, PAGE_SIZE), PAGE_SIZE);
    assert_int_equal(get(back + PAGE_SIZE, PAGE_SIZE), 200);
    assert_memory_equal(back, all, sizeof all);
}

static void absent_pages(void **state)
{
    (void)state;
    static char user[4 * PAGE_SIZE] __attribute__((aligned(4096)));
    char back[PIPE_BUF];
    memset(user, 'u', sizeof user);
    // A small write over two pages, the second absent: whole after a commit, in one piece.
    vfs_absent(user + PAGE_SIZE, user + 2 * PAGE_SIZE);
    vfs_commits = 0;
    assert_int_equal(put(user + PAGE_SIZE - 100, 300), 300);
    assert_true(vfs_commits >= 1);
    assert_int_equal(get(back, sizeof back), 300);
    for (int i = 0; i < 300; i++)
        assert_int_equal(back[i], 'u');
    // While it waits for the page nothing of it is in the pipe: another write goes before it whole.
    vfs_absent(user + PAGE_SIZE, user + 2 * PAGE_SIZE);
    struct task *t = START(move_user, end[1], user + PAGE_SIZE - 100, 300, true);
    assert_true(executor_step());
    assert_int_equal(end[0]->ops->poll(end[0], NULL), 0);
    assert_int_equal(vfs_finish(t), 300);
    assert_int_equal(get(back, sizeof back), 300);
    // The same into an absent buffer.
    assert_int_equal(put(user, 300), 300);
    vfs_absent(user + PAGE_SIZE, user + 2 * PAGE_SIZE);
    memset(user, 0, PAGE_SIZE * 2);
    long got = get(user + PAGE_SIZE - 100, 300);
    assert_true(got == 300 || got == 100); // the run before the absent page may come alone
    // A bad buffer takes nothing out.
    drop(state);
    assert_int_equal(make(state), 0);
    assert_int_equal(put("keep", 4), 4);
    vfs_bad(user);
    assert_int_equal(get(user, 4), -EFAULT);
    vfs_bad(NULL);
    assert_int_equal(get(back, 8), 4);
    assert_memory_equal(back, "keep", 4);
    vfs_bad(user);
    assert_int_equal(put(user, 4), -EFAULT);
    assert_int_equal(get(back, 8), -EAGAIN);
}

static void polling(void **state)
{
    (void)state;
    uint32_t (*poll)(struct file *, struct poll_list *) = end[0]->ops->poll;
    static uint8_t buf[CAPACITY];
    assert_int_equal(poll(end[0], NULL), 0);
    assert_int_equal(poll(end[1], NULL), POLLOUT | POLLWRNORM);
    put(buf, CAPACITY);
    assert_int_equal(poll(end[0], NULL), POLLIN | POLLRDNORM);
    assert_int_equal(poll(end[1], NULL), 0);
    close_end(1);
    assert_int_equal(poll(end[0], NULL), POLLIN | POLLRDNORM | POLLHUP);
    get(buf, CAPACITY);
    assert_int_equal(poll(end[0], NULL), POLLHUP);
}

ASYNC_DECL(open_task, const char *path; uint32_t flags; struct file **out;);
ASYNC(open_task, long r;)
{
    ASYNC_BEGIN(open_task);
    AWAIT(f->r, vfs_open, fs_kernel, NULL, f->path, f->flags, 0, f->out);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void fifos(void **state)
{
    (void)state;
    struct file *r = NULL, *w = NULL;
    char buf[4];
    assert_int_equal(RUN(vfs_mknod, fs_kernel, NULL, "/fifo", S_IFIFO | 0600, 0), 0);
    assert_int_equal(v_open("/fifo", O_WRONLY | O_NONBLOCK, 0, &w), -ENXIO);
    struct task *reader = START(open_task, "/fifo", O_RDONLY, &r);
    vfs_settle();
    assert_false(vfs_ended(reader));
    assert_int_equal(v_open("/fifo", O_WRONLY, 0, &w), 0);
    assert_int_equal(vfs_finish(reader), 0);
    assert_int_equal(v_write(w, 0, "abc", 3), 3);
    file_put(w);
    assert_int_equal(v_read(r, 0, buf, 4), 3);
    assert_int_equal(v_read(r, 0, buf, 4), 0);
    file_put(r);
    // An open that is cancelled leaves nothing behind.
    reader = START(open_task, "/fifo", O_RDONLY, &r);
    vfs_settle();
    task_cancel(reader);
    vfs_settle();
    assert_true(vfs_ended(reader));
    task_put(reader);
    assert_int_equal(v_open("/fifo", O_WRONLY | O_NONBLOCK, 0, &w), -ENXIO);
    assert_int_equal(v_open("/fifo", O_RDONLY | O_NONBLOCK, 0, &r), 0);
    file_put(r);
    assert_int_equal(v_remove("/fifo", false), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make, drop)
    const struct CMUnitTest tests[] = {
        TEST(against_a_model),
        TEST(no_page_is_lost),
        TEST(pages_given_back_are_not_used),
        TEST(ends),
        TEST(a_reader_waits),
        TEST(one_wake_per_reader),
        TEST(a_granted_reader_that_dies_passes_it_on),
        TEST(a_writer_waits),
        TEST(small_writes_go_in_whole),
        TEST(absent_pages),
        TEST(without_memory),
        TEST(polling),
        TEST(fifos),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
