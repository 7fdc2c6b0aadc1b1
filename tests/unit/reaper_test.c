// SPDX-License-Identifier: MIT
// Letting go of vnodes on devices that do not answer.
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
#include "dev/block.h"
#include "fs/dentry.h"
#include "page/heap.h"
#include "vfs_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SUPERS = 2, VNODES = 5 };

static struct block_device disk[SUPERS] = {{.name = "mute"}, {.name = "disk"}};
static struct event answers[SUPERS];
static struct super *super[SUPERS];
static unsigned freed[SUPERS];

static unsigned which(const struct super *s)
{
    return s == super[1];
}

ASYNC_IMPL(wait_for_disk, vnode_evict, long r;)
{
    ASYNC_BEGIN(wait_for_disk);
    AWAIT(f->r, event_wait, &answers[which(f->v->super)], false);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void free_vnode(struct vnode *v)
{
    freed[which(v->super)]++;
    kfree(v);
}

static const struct vnode_ops ops = {.evict = &wait_for_disk_fn, .free_vnode = free_vnode};
static const struct super_ops super_ops = {.statfs = NULL};
static const struct filesystem fs = {.name = "test"};

static int start(void **state)
{
    (void)state;
    vfs_host_init();
    for (unsigned i = 0; i < SUPERS; i++) {
        freed[i] = 0;
        event_init(&answers[i]);
        super[i] = super_new(&fs, &super_ops, &disk[i], "disk");
        assert_non_null(super[i]);
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SUPERS; i++)
        event_set(&answers[i]);
    vfs_settle();
    for (unsigned i = 0; i < SUPERS; i++)
        super_free(super[i]);
    vfs_settle();
    return 0;
}

// Vnodes of a super, all let go of at once.
static void let_go(unsigned i, unsigned n)
{
    for (; n; n--) {
        struct vnode *v = kzalloc(sizeof *v);
        assert_non_null(v);
        vnode_init(v, super[i], &ops, n, S_IFREG | 0600);
        vnode_put(v);
    }
    vfs_settle();
}

// Neither the other disk's, nor what lies in memory, waits for one that does not answer.
static void others_go_on(void **state)
{
    struct file *file;
    (void)state;
    event_set(&answers[1]);
    let_go(0, VNODES);
    let_go(1, VNODES);
    assert_int_equal(freed[0], 0);
    assert_int_equal(freed[1], VNODES);
    assert_int_equal(RUN(vnode_reaper_flush, super[1], true), 0);

    static char page[64 * PAGE_SIZE];
    assert_int_equal(v_open("/big", O_CREAT | O_RDWR, 0644, &file), 0);
    uint64_t before = frame_free_count();
    assert_int_equal(v_write(file, 0, page, sizeof page), sizeof page);
    assert_true(frame_free_count() + 64 <= before);
    file_put(file);
    assert_int_equal(v_remove("/big", false), 0);
    vfs_settle();
    assert_true(frame_free_count() + 8 > before);

    event_set(&answers[0]);
    vfs_settle();
    assert_int_equal(freed[0], VNODES);
}

// Who waits until nothing is left waits for that, and no longer.
static void flush_waits(void **state)
{
    (void)state;
    let_go(0, 2);
    struct task *t = START(vnode_reaper_flush, super[0], false);
    vfs_settle();
    assert_false(vfs_ended(t));
    event_set(&answers[0]);
    assert_int_equal(vfs_finish(t), 0);
    assert_int_equal(freed[0], 2);

    struct vnode *v = kzalloc(sizeof *v);
    assert_non_null(v);
    vnode_init(v, super[0], &ops, 7, S_IFREG | 0600);
    assert_int_equal(RUN(vnode_reaper_flush, super[0], false), 0);
    t = START(vnode_reaper_flush, super[0], true);
    vfs_settle();
    assert_false(vfs_ended(t));
    vnode_put(v);
    assert_int_equal(vfs_finish(t), 0);
}

static bool count_one(struct task *t, void *arg)
{
    (void)t;
    ++*(unsigned *)arg;
    return true;
}

static unsigned tasks(void)
{
    unsigned n = 0;
    task_foreach(0, count_one, &n);
    return n;
}

// A super's reaper ends with it.
static void reapers_end(void **state)
{
    (void)state;
    unsigned before = tasks();
    struct super *s = super_new(&fs, &super_ops, &disk[0], "disk");
    assert_non_null(s);
    vfs_settle();
    assert_int_equal(tasks(), before + 1);
    super_free(s);
    vfs_settle();
    assert_int_equal(tasks(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(others_go_on, start, stop),
        cmocka_unit_test_setup_teardown(flush_waits, start, stop),
        cmocka_unit_test_setup_teardown(reapers_end, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
