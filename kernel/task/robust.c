// SPDX-License-Identifier: MIT
// The robust list: a ring in user memory, kept by the C library, of the locks a thread holds, and one
// that it is about to take or give back (Linux, Documentation/locking/robust-futex-ABI.rst). Whatever
// stands there is believed only as far as words in the thread's own memory go.
#include "task/robust.h"

#include "mem/user.h"
#include "syscall/syscall.h"
#include "task/futex.h"
#include "task/process.h"

enum { ROBUST_MAX = 2048, YIELD_EVERY = 128 };
enum { OWNER_DIED = 0x40000000, OWNER_TID = 0x3fffffff };
#define HAS_WAITERS 0x80000000u

struct robust_head {
    uint64_t next;  // of the ring: its end is the head's own address. Bit 0: a PI futex
    int64_t offset; // from an entry to its word
    uint64_t pending;
};

// The word at va, if the thread owns it, says that its owner died.
ASYNC_DECL(word_release, struct thread *th; va_t va; bool pi; bool pending;);
ASYNC(word_release, long r; uint32_t now; uint32_t old;)
{
    ASYNC_BEGIN(word_release);
    if (f->va % 4)
        ASYNC_RETURN(-EINVAL);
    for (;;) {
        AWAIT(f->r, user_read, f->th->space, &f->now, f->va, 4);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
        // Nobody's: it has unlocked, but not woken anybody yet, or was woken and has not taken it yet.
        if (f->pending && !f->pi && !(f->now & OWNER_TID)) {
            f->now = HAS_WAITERS;
            break;
        }
        if ((f->now & OWNER_TID) != f->th->tid)
            ASYNC_RETURN(0);
        f->r = user_cmpxchg32_nofault(f->th->space, f->va, f->now,
                                      (f->now & HAS_WAITERS) | OWNER_DIED, &f->old);
        if (f->r == -EAGAIN)
            AWAIT(f->r, space_commit, f->th->space, f->va, 4, ACCESS_READ | ACCESS_WRITE);
        else if (f->r == 0 && f->old == f->now)
            break;
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    if (!f->pi && (f->now & HAS_WAITERS))
        futex_wake(f->th->space, f->va, 1, ~0u, false);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(robust_release, long r; long more; struct robust_head head; uint64_t at; uint64_t next; uint32_t n;)
{
    ASYNC_BEGIN(robust_release);
    if (!f->th->robust_list)
        ASYNC_RETURN(0);
    AWAIT(f->r, user_read, f->th->space, &f->head, f->th->robust_list, sizeof f->head);
    if (f->r < 0)
        ASYNC_RETURN(0);
    f->at = f->head.next;
    for (f->n = 0; f->n < ROBUST_MAX && (f->at & ~1ul) != f->th->robust_list; f->n++) {
        AWAIT(f->more, user_read, f->th->space, &f->next, f->at & ~1ul, 8);
        if ((f->at ^ f->head.pending) & ~1ul)
            AWAIT(f->r, word_release, f->th, (f->at & ~1ul) + (uint64_t)f->head.offset, f->at & 1,
                  false);
        if (f->r < 0 || f->more < 0)
            ASYNC_RETURN(0); // the list is damaged: what stands for pending is not believed, either
        f->at = f->next;
        if (f->n % YIELD_EVERY == YIELD_EVERY - 1)
            YIELD();
    }
    if (f->head.pending & ~1ul)
        AWAIT(f->r, word_release, f->th, (f->head.pending & ~1ul) + (uint64_t)f->head.offset,
              f->head.pending & 1, true);
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}

long sys_set_robust_list(va_t head, uint64_t len)
{
    if (len != sizeof(struct robust_head))
        return -EINVAL;
    thread_current()->robust_list = head;
    return 0;
}
SYSCALL(99, set_robust_list, 2);

long sys_get_robust_list(int32_t tid, va_t head_out, va_t len_out)
{
    uint64_t len = sizeof(struct robust_head);
    struct thread_ref of;
    if (!thread_ref_get((uint32_t)tid, &of))
        return -ESRCH;
    va_t head = of.thread ? of.thread->robust_list : 0; // what it had is released
    bool may = process_may_look_into(of.process);
    thread_ref_put(&of);
    if (!may)
        return -EPERM;
    long e = user_copy_out(thread_current()->space, len_out, &len, sizeof len);
    return e ? e : user_copy_out(thread_current()->space, head_out, &head, sizeof head);
}
SYSCALL(100, get_robust_list, 3);
