// SPDX-License-Identifier: MIT
// Lazy FP: see arch/fpu.h.
//
// A hart remembers whose registers it holds (owner, generation); a thread remembers the hart. Both
// agree: nothing is loaded. FS is Off until the thread's first FP instruction, Clean after a load.
#include "arch/fpu.h"
#include "arch/cpu.h"
#include "lib/errno.h"
#include "page/heap.h"

#include <string.h>

#define SSTATUS_FS (3ul << 13)
#define FS_CLEAN   (2ul << 13)
#define FS_DIRTY   (3ul << 13)

void fpu_store_regs(struct fpu_state *s);
void fpu_load_regs(const struct fpu_state *s);

enum { QUIET = 8 }; // turns without a write before FS is turned off

static _Thread_local struct fpu *held;    // whose registers this hart holds
static _Thread_local uint32_t generation; // of this hart's holdings

static void set_fs(uint64_t fs)
{
    csr_clear(sstatus, SSTATUS_FS);
    if (fs)
        csr_set(sstatus, fs);
    hart_self.fs_on = fs != 0;
}

static bool holds(const struct fpu *fp)
{
    return held == fp && fp->hart == hart_self.index && fp->generation == generation;
}

void fpu_save_slow(struct fpu *fp)
{
    if (!holds(fp))
        return; // what this hart holds is not this thread's
    if ((csr_read(sstatus) & SSTATUS_FS) == FS_DIRTY) {
        fpu_store_regs(fp->state);
        set_fs(FS_CLEAN);
        fp->quiet = 0;
    } else if (fp->quiet < QUIET) {
        fp->quiet++;
        fp->wanted = fp->quiet < QUIET;
    }
}

void fpu_enter_slow(struct fpu *fp)
{
    if (!fp->wanted) {
        set_fs(0);
    } else if (!holds(fp)) {
        set_fs(FS_DIRTY);
        fpu_load_regs(fp->state);
        set_fs(FS_CLEAN);
        held = fp;
        fp->hart = hart_self.index;
        fp->generation = ++generation;
    } else if (!hart_self.fs_on) {
        set_fs(FS_CLEAN);
    }
}

bool fpu_fault(struct fpu *fp, bool *oom)
{
    *oom = false;
    if (fp->wanted) // FS was on: it is not about FP
        return false;
    if (!fp->state && !(fp->state = kzalloc(sizeof *fp->state))) {
        *oom = true;
        return false;
    }
    if (!fp->used)
        fp->hart = UINT32_MAX;
    fp->used = fp->wanted = 1;
    fp->quiet = 0;
    return true;
}

void fpu_reset(struct fpu *fp)
{
    fp->used = fp->wanted = 0;
    fp->hart = UINT32_MAX;
    if (fp->state)
        memset(fp->state, 0, sizeof *fp->state);
    if (held == fp)
        held = NULL;
}

void fpu_release(struct fpu *fp)
{
    kfree(fp->state);
    *fp = (struct fpu){0};
    if (held == fp)
        held = NULL;
}

int fpu_copy(struct fpu *to, struct fpu *from)
{
    *to = (struct fpu){.hart = UINT32_MAX};
    if (!from->used)
        return 0;
    fpu_save(from);
    if (!(to->state = kmalloc(sizeof *to->state)))
        return -ENOMEM;
    *to->state = *from->state;
    to->used = to->wanted = 1;
    return 0;
}

void fpu_forget(struct fpu *fp)
{
    fp->hart = UINT32_MAX;
    if (held == fp)
        held = NULL;
}
