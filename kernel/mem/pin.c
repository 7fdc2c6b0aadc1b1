// SPDX-License-Identifier: MIT
// Pinned user pages: a transfer longer than a page works on frames, not on addresses.
//
// A pin is a reference on the frame plus a count that tells fork to copy at once. Unmapping a
// pinned page is harmless: the frame lives until the pin goes.
#include "mem/phys.h"
#include "mem/space_internal.h"
#include "mem/user.h"

// Pins present pages from where p stands. 0: p is full or complete; -EAGAIN: the next is absent.
static long pin_present(struct space *s, struct user_pin *p, uint64_t len)
{
    uint64_t bits = p->access & ACCESS_WRITE ? USER_WRITE_BITS : USER_READ_BITS;
    long r = 0;
    spin_lock(&s->lock);
    while (p->len < len && p->count < PIN_MAX) {
        va_t va = p->va + p->len;
        void *kva = user_kva_locked(s, va, bits);
        if (!kva) {
            r = -EAGAIN;
            break;
        }
        struct page *pg = page_of(kva_to_pa(kva));
        atomic_add64(page_counts(pg), 1ul << 32 | 1);
        p->page[p->count++] = pg;
        p->len += PAGE_SIZE - (va & PAGE_MASK);
    }
    spin_unlock(&s->lock);
    if (p->len > len)
        p->len = len;
    return r;
}

void user_unpin(struct user_pin *p)
{
    while (p->count) {
        struct page *pg = p->page[--p->count];
        if (p->access & ACCESS_WRITE && pg->kind == FRAME_CACHE && pg->owner)
            phys_dirty(pg->owner, pg);
        if ((uint32_t)atomic_add64(page_counts(pg), -(1ul << 32 | 1)) == 1)
            frame_free(page_pa(pg));
    }
    p->len = 0;
}

ASYNC(user_pin, long r;)
{
    ASYNC_BEGIN(user_pin);
    *f->out = (struct user_pin){
        .access = f->access, .va = f->va, .offset = (uint32_t)(f->va & PAGE_MASK)};
    if (!user_range_ok(f->va, f->len))
        ASYNC_RETURN(-EFAULT);
    while ((f->r = pin_present(f->s, f->out, f->len)) == -EAGAIN) {
        AWAIT(f->r, space_commit, f->s, f->va + f->out->len, 1, f->access);
        if (f->r < 0)
            break;
    }
    if (f->r < 0 && f->out->count) // what is pinned is good; the rest fails next time
        f->r = 0;
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    if (t->top->at == &async_unwound)
        user_unpin(f->out);
    ASYNC_END;
}
