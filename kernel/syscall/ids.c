// SPDX-License-Identifier: MIT
// User and group ids (credentials(7)). They are the calling thread's: that all of a process have the same is the C library's
// doing. Capabilities follow the user ids.
#include "mem/user.h"
#include "page/heap.h"
#include "syscall/syscall.h"
#include "task/caps.h"
#include "task/process.h"

#define GETTER(nr, name, field)                                                                    \
    long sys_##name(void)                                                                          \
    {                                                                                              \
        return cred_current()->field;                                                              \
    }                                                                                              \
    SYSCALL(nr, name, 0)
GETTER(174, getuid, uid);
GETTER(175, geteuid, euid);
GETTER(176, getgid, gid);
GETTER(177, getegid, egid);

// One kind of ids: real, effective, saved, fs; and what allows to set them at will.
struct ids {
    uint32_t *r, *e, *s, *fs;
    int cap;
};

static struct ids users(struct credentials *c)
{
    return (struct ids){&c->uid, &c->euid, &c->suid, &c->fsuid, CAP_SETUID};
}

static struct ids groups(struct credentials *c)
{
    return (struct ids){&c->gid, &c->egid, &c->sgid, &c->fsgid, CAP_SETGID};
}

static bool is_one_of(const struct ids *i, uint32_t v)
{
    return v == *i->r || v == *i->e || v == *i->s;
}

// Who takes other rights is not to be looked into by those with the old ones, and its parent's death is no
// business of theirs.
static void act_as(struct ids i, uint32_t e, uint32_t fs)
{
    struct process *me = process_current();
    if (*i.e != e || *i.fs != fs)
        me->dumpable = me->death_signal = 0;
    *i.e = e;
    *i.fs = fs;
}

static long set_one(struct ids i, uint32_t v)
{
    if (v == UINT32_MAX)
        return -EINVAL;
    if (caller_can(i.cap))
        *i.r = *i.s = v;
    else if (v != *i.r && v != *i.s)
        return -EPERM;
    act_as(i, v, v);
    return 0;
}

static long set_three(struct ids i, uint32_t r, uint32_t e, uint32_t s)
{
    const uint32_t v[3] = {r, e, s};
    if (!caller_can(i.cap))
        for (int k = 0; k < 3; k++)
            if (v[k] != UINT32_MAX && !is_one_of(&i, v[k]))
                return -EPERM;
    *i.r = r == UINT32_MAX ? *i.r : r;
    e = e == UINT32_MAX ? *i.e : e;
    act_as(i, e, e);
    *i.s = s == UINT32_MAX ? *i.s : s;
    return 0;
}

static long set_two(struct ids i, uint32_t r, uint32_t e)
{
    bool save = r != UINT32_MAX || (e != UINT32_MAX && e != *i.r);
    if (!caller_can(i.cap)) {
        if (r != UINT32_MAX && r != *i.r && r != *i.e)
            return -EPERM;
        if (e != UINT32_MAX && !is_one_of(&i, e))
            return -EPERM;
    }
    *i.r = r == UINT32_MAX ? *i.r : r;
    e = e == UINT32_MAX ? *i.e : e;
    act_as(i, e, e);
    if (save)
        *i.s = *i.e;
    return 0;
}

static long get_three(const uint32_t v[3], va_t r, va_t e, va_t s)
{
    struct space *space = thread_current()->space;
    long bad = user_copy_out(space, r, &v[0], 4);
    if (!bad)
        bad = user_copy_out(space, e, &v[1], 4);
    return bad ? bad : user_copy_out(space, s, &v[2], 4);
}

static void set_fs(struct ids i, uint32_t v)
{
    if (v != UINT32_MAX && (caller_can(i.cap) || is_one_of(&i, v) || v == *i.fs))
        act_as(i, *i.e, v);
}

// new: what a call that sets user ids has made of the caller's; r: its result.
static long set_users(struct credentials *new, long r)
{
    struct process *me = process_current();
    bool other = false;
    if (r >= 0) {
        caps_after_setuid(new, cred_current());
        other = new->uid != cred_current()->uid;
    }
    r = cred_commit(new, r);
    if (other)
        me->over_nproc = process_user_is_over(me->nthreads);
    return r;
}

// The caller's new credentials c are changed by `change`, whose result goes to `end`.
#define CHANGE(end, change)                                                                        \
    ({                                                                                             \
        struct credentials *c = cred_prepare();                                                    \
        end(c, c ? (change) : -ENOMEM);                                                            \
    })

long sys_setuid(uint32_t v)
{
    return CHANGE(set_users, set_one(users(c), v));
}
SYSCALL(146, setuid, 1);
long sys_setgid(uint32_t v)
{
    return CHANGE(cred_commit, set_one(groups(c), v));
}
SYSCALL(144, setgid, 1);
long sys_setreuid(uint32_t r, uint32_t e)
{
    return CHANGE(set_users, set_two(users(c), r, e));
}
SYSCALL(145, setreuid, 2);
long sys_setregid(uint32_t r, uint32_t e)
{
    return CHANGE(cred_commit, set_two(groups(c), r, e));
}
SYSCALL(143, setregid, 2);
long sys_setresuid(uint32_t r, uint32_t e, uint32_t s)
{
    return CHANGE(set_users, set_three(users(c), r, e, s));
}
SYSCALL(147, setresuid, 3);
long sys_setresgid(uint32_t r, uint32_t e, uint32_t s)
{
    return CHANGE(cred_commit, set_three(groups(c), r, e, s));
}
SYSCALL(149, setresgid, 3);

long sys_getresuid(va_t r, va_t e, va_t s)
{
    const struct credentials *c = cred_current();
    return get_three((const uint32_t[]){c->uid, c->euid, c->suid}, r, e, s);
}
SYSCALL(148, getresuid, 3);
long sys_getresgid(va_t r, va_t e, va_t s)
{
    const struct credentials *c = cred_current();
    return get_three((const uint32_t[]){c->gid, c->egid, c->sgid}, r, e, s);
}
SYSCALL(150, getresgid, 3);

// They say what it was, and never fail.
long sys_setfsuid(uint32_t v)
{
    uint32_t old = cred_current()->fsuid;
    struct credentials *c = cred_prepare();
    if (c) {
        set_fs(users(c), v);
        caps_after_setfsuid(c, old);
        cred_commit(c, 0);
    }
    return old;
}
SYSCALL(151, setfsuid, 1);
long sys_setfsgid(uint32_t v)
{
    uint32_t old = cred_current()->fsgid;
    struct credentials *c = cred_prepare();
    if (c) {
        set_fs(groups(c), v);
        cred_commit(c, 0);
    }
    return old;
}
SYSCALL(152, setfsgid, 1);

// ---- supplementary groups

enum { NGROUPS_MAX = 65536 };

long sys_getgroups(int32_t room, va_t out)
{
    if (room < 0)
        return -EINVAL;
    const struct group_set *set = cred_current()->groups;
    uint32_t n = set ? set->count : 0;
    long r = n;
    if (room && n > (uint32_t)room)
        r = -EINVAL;
    else if (room && n)
        r = user_copy_out(thread_current()->space, out, set->gid, n * sizeof *set->gid);
    return r ? r : (long)n;
}
SYSCALL(158, getgroups, 2);

static void sort(uint32_t *v, uint32_t n)
{
    for (uint32_t gap = n / 2; gap; gap /= 2)
        for (uint32_t i = gap; i < n; i++) {
            uint32_t x = v[i], k = i;
            for (; k >= gap && v[k - gap] > x; k -= gap)
                v[k] = v[k - gap];
            v[k] = x;
        }
}

static long read_groups(struct group_set *set, uint32_t n, va_t from)
{
    long e = user_copy_in(thread_current()->space, set->gid, from, n * sizeof *set->gid);
    if (e)
        return e;
    for (uint32_t i = 0; i < n; i++)
        if (set->gid[i] == UINT32_MAX)
            return -EINVAL;
    set->refs = 1;
    set->count = n;
    sort(set->gid, n);
    return 0;
}

long sys_setgroups(int32_t n, va_t groups)
{
    struct group_set *set = NULL;
    if (!caller_can(CAP_SETGID))
        return -EPERM;
    if (n < 0 || n > NGROUPS_MAX)
        return -EINVAL;
    if (n && !(set = kzalloc(sizeof *set + (size_t)n * sizeof *set->gid)))
        return -ENOMEM;
    long e = n ? read_groups(set, (uint32_t)n, groups) : 0;
    struct credentials *c = e ? NULL : cred_prepare();
    if (!c) {
        kfree(set);
        return e ? e : -ENOMEM;
    }
    group_set_put(c->groups);
    c->groups = set;
    return cred_commit(c, 0);
}
SYSCALL(159, setgroups, 2);
