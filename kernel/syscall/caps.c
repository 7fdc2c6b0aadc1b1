// SPDX-License-Identifier: MIT
// capget(2), capset(2), and what prctl(2) has of capabilities. Orders of errors are Linux's.
#include "task/caps.h"

#include "fs/proc.h"
#include "mem/user.h"
#include "syscall/syscall.h"

#define US thread_current()->space

// Versions differ by how many words of 32 bits a set has.
enum { VERSION_1 = 0x19980330, VERSION_2 = 0x20071026, VERSION_3 = 0x20080522 };

struct cap_header {
    uint32_t version;
    int32_t pid;
};
struct cap_data { // one word of each set
    uint32_t effective, permitted, inheritable;
};

// How many words, or -EINVAL: then the version that is spoken here is written into the header.
static long words_of(va_t header)
{
    uint32_t version;
    long e = user_copy_in(US, &version, header, sizeof version);
    if (e)
        return e;
    if (version == VERSION_1)
        return 1;
    if (version == VERSION_2 || version == VERSION_3)
        return 2;
    version = VERSION_3;
    e = user_copy_out(US, header, &version, sizeof version);
    return e ? e : -EINVAL;
}

static long sets_of(int32_t pid, struct cap_data data[2])
{
    struct thread_ref of;
    struct credentials cred, *c = &cred;
    if (!thread_ref_get((uint32_t)pid, &of))
        return -ESRCH;
    cred_of(&of, c);
    thread_ref_put(&of);
    for (int i = 0; i < 2; i++)
        data[i] = (struct cap_data){(uint32_t)(c->effective >> 32 * i),
                                    (uint32_t)(c->permitted >> 32 * i),
                                    (uint32_t)(c->inheritable >> 32 * i)};
    return 0;
}

long sys_capget(va_t header, va_t out)
{
    struct cap_data data[2];
    int32_t pid;
    long words = words_of(header);
    if (!out && (words > 0 || words == -EINVAL))
        return 0; // it asks for the version
    if (words < 0)
        return words;
    long e = user_copy_in(US, &pid, header + 4, sizeof pid);
    if (!e && pid < 0)
        e = -EINVAL;
    if (!e)
        e = sets_of(pid, data);
    return e ? e : user_copy_out(US, out, data, (uint64_t)words * sizeof *data);
}
SYSCALL(90, capget, 2);

static long set(struct credentials *c, uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
    if (!c)
        return -ENOMEM;
    if (!caps_have(c, CAP_SETPCAP) && (inheritable & ~(c->inheritable | c->permitted)))
        return -EPERM;
    if ((inheritable & ~(c->inheritable | c->bounding)) || (permitted & ~c->permitted) ||
        (effective & ~permitted))
        return -EPERM;
    c->effective = effective;
    c->permitted = permitted;
    c->inheritable = inheritable;
    c->ambient &= permitted & inheritable;
    return 0;
}

long sys_capset(va_t header, va_t in)
{
    struct cap_data data[2] = {0};
    int32_t pid;
    long words = words_of(header);
    if (words < 0)
        return words;
    long e = user_copy_in(US, &pid, header + 4, sizeof pid);
    if (!e && pid && (uint32_t)pid != thread_current()->tid)
        e = -EPERM;
    if (!e)
        e = user_copy_in(US, data, in, (uint64_t)words * sizeof *data);
    if (e)
        return e;
    struct credentials *c = cred_prepare();
    return cred_commit(c,
                       set(c, (data[0].effective | (uint64_t)data[1].effective << 32) & CAPS_ALL,
                           (data[0].permitted | (uint64_t)data[1].permitted << 32) & CAPS_ALL,
                           (data[0].inheritable | (uint64_t)data[1].inheritable << 32) & CAPS_ALL));
}
SYSCALL(91, capset, 2);

// ---- prctl

enum {
    PR_GET_KEEPCAPS = 7,
    PR_SET_KEEPCAPS = 8,
    PR_CAPBSET_READ = 23,
    PR_CAPBSET_DROP = 24,
    PR_GET_SECUREBITS = 27,
    PR_CAP_AMBIENT = 47,
};
enum { AMBIENT_IS_SET = 1, AMBIENT_RAISE, AMBIENT_LOWER, AMBIENT_CLEAR_ALL };

static long ambient(struct credentials *cred, uint64_t how, uint64_t cap, uint64_t c, uint64_t d)
{
    if (how == AMBIENT_CLEAR_ALL && !cap && !c && !d) {
        cred->ambient = 0;
        return 0;
    }
    if (c || d || cap > CAP_LAST || how < AMBIENT_IS_SET || how > AMBIENT_LOWER)
        return -EINVAL;
    if (how == AMBIENT_IS_SET)
        return cred->ambient >> cap & 1;
    if (how == AMBIENT_RAISE && !((cred->permitted & cred->inheritable) >> cap & 1))
        return -EPERM;
    cred->ambient = how == AMBIENT_RAISE ? cred->ambient | CAP(cap) : cred->ambient & ~CAP(cap);
    return 0;
}

static long change(struct credentials *cred, int32_t op, uint64_t a, uint64_t b, uint64_t c,
                   uint64_t d)
{
    if (op == PR_CAP_AMBIENT)
        return ambient(cred, a, b, c, d);
    if (op == PR_SET_KEEPCAPS) {
        if (a > 1)
            return -EINVAL;
        cred->keep_caps = a;
        return 0;
    }
    if (!caps_have(cred, CAP_SETPCAP))
        return -EPERM;
    if (a > CAP_LAST)
        return -EINVAL;
    cred->bounding &= ~CAP(a);
    return 0;
}

long caps_prctl(int32_t op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    switch (op) {
    case PR_GET_KEEPCAPS:
        return cred_current()->keep_caps;
    case PR_CAPBSET_READ:
        return a > CAP_LAST ? -EINVAL : (long)(cred_current()->bounding >> a & 1);
    case PR_GET_SECUREBITS:
        return cred_current()->keep_caps ? 1 << 4 : 0;
    case PR_SET_KEEPCAPS:
    case PR_CAPBSET_DROP:
    case PR_CAP_AMBIENT: {
        struct credentials *new = cred_prepare();
        return cred_commit(new, new ? change(new, op, a, b, c, d) : -ENOMEM);
    }
    default:
        return -EINVAL;
    }
}

static void proc_cap_last_cap(struct text *out)
{
    text_printf(out, "%d\n", CAP_LAST);
}
PROC_AT(cap_last_cap, "sys/kernel/cap_last_cap", proc_cap_last_cap);
