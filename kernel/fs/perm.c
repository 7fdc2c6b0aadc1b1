// SPDX-License-Identifier: MIT
// Who may do what: the classic permission bits against the calling thread's file-system ids and capabilities.
#include "fs/dentry.h"
#include "fs/fsctx.h"
#include "task/caps.h"

static const struct credentials *caller(void)
{
    struct task *t = current_task();
    return t && t->thread ? t->thread->cred : NULL;
}

bool fs_can(int cap)
{
    const struct credentials *cred = caller();
    return !cred || caps_have(cred, cap);
}

bool vnode_owner(const struct vnode *v)
{
    const struct credentials *cred = caller();
    return !cred || cred->fsuid == v->uid || caps_have(cred, CAP_FOWNER);
}

static bool has_group(const struct credentials *cred, uint32_t gid)
{
    if (cred->fsgid == gid)
        return true;
    const struct group_set *set = cred->groups;
    uint32_t lo = 0, hi = set ? set->count : 0;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (set->gid[mid] < gid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return set && lo < set->count && set->gid[lo] == gid;
}

bool fs_has_group(uint32_t gid)
{
    const struct credentials *cred = caller();
    return !cred || has_group(cred, gid);
}

int vnode_permission(const struct vnode *v, uint32_t want)
{
    return vnode_permission_of(v, want, caller());
}

int vnode_permission_of(const struct vnode *v, uint32_t want, const struct credentials *cred)
{
    uint32_t mode = v->mode;
    if (!cred || caps_have(cred, CAP_DAC_OVERRIDE)) {
        bool no_exec = (want & X_OK) && !S_ISDIR(mode) && !(mode & 0111);
        return no_exec ? -EACCES : 0;
    }
    if (cred->fsuid == v->uid)
        mode >>= 6;
    else if (has_group(cred, v->gid))
        mode >>= 3;
    if (!(want & ~mode & 7))
        return 0;
    bool only_looks = S_ISDIR(v->mode) ? !(want & W_OK) : want == R_OK;
    return only_looks && caps_have(cred, CAP_DAC_READ_SEARCH) ? 0 : -EACCES;
}

int vnode_may_remove(const struct vnode *dir, const struct vnode *v)
{
    if ((dir->mode & S_ISVTX) && !vnode_owner(dir) && !vnode_owner(v))
        return -EPERM;
    return 0;
}

void vnode_own_by_caller(struct vnode *v, const struct vnode *dir)
{
    const struct credentials *cred = caller();
    if (!cred)
        return;
    v->uid = cred->fsuid;
    v->gid = dir->mode & S_ISGID ? dir->gid : cred->fsgid;
}

struct fs_context *fs_of_task(struct task *t)
{
    return t->thread ? t->thread->fs : fs_kernel;
}
