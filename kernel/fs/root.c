// SPDX-License-Identifier: MIT
// The tree at boot: tmpfs as the root, the initrd unpacked into it, /dev mounted.
//
// The empty root exists when INIT_FS is over. Unpacking is the work of a task, beside the start of
// the other harts; process 1 waits for fs_ready.
#include "async/wait_async.h"
#include "fs/cpio.h"
#include "fs/dentry.h"
#include "fs/fsctx.h"
#include "fs/tmpfs.h"
#include "lib/dt.h"
#include "lib/init.h"
#include "lib/log.h"

struct event fs_ready;

ASYNC_DECL(fs_boot, int unused;);
ASYNC(fs_boot, struct dt_range initrd; size_t bad; uint64_t start; long r;)
{
    ASYNC_BEGIN(fs_boot);
    f->start = clock_monotonic_ns();
    if (dt_initrd(&f->initrd)) {
        AWAIT(f->r, cpio_unpack, fs_kernel, pa_to_kva(f->initrd.lo), f->initrd.hi - f->initrd.lo,
              &f->bad);
        if (f->r < 0)
            log_error("initrd: error %ld at byte %zu of %lu: the root is incomplete", -f->r, f->bad,
                      (unsigned long)(f->initrd.hi - f->initrd.lo));
        else
            log_info("initrd: %ld files in %lu us", f->r,
                     (unsigned long)((clock_monotonic_ns() - f->start) / 1000));
    } else {
        log_warn("no initrd: the root is empty");
    }
    AWAIT(f->r, vfs_mkdir, fs_kernel, NULL, "/dev", 0755);
    AWAIT(f->r, vfs_mount, fs_kernel, "devtmpfs", "/dev", "devtmpfs", 0, "");
    if (f->r < 0)
        log_error("cannot mount /dev: error %ld", -f->r);
    event_set(&fs_ready);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

void fs_make_root(void)
{
    event_init(&fs_ready);
    struct super *super = tmpfs_super(filesystem_find("tmpfs"), "rootfs", 0755, 0);
    if (!super || mount_root(super) < 0 || !(fs_kernel = fs_context_new()))
        panic("no memory for the root file system");
    fs_kernel->umask = 0;
}

static void fs_start(void)
{
    fs_make_root();
    if (!SPAWN("unpack", fs_boot, 0))
        panic("no memory to unpack the root");
}
INIT(INIT_FS, fs_start);
