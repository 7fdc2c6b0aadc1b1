// SPDX-License-Identifier: MIT
// The border: copies between the kernel and user memory (architecture.md, invariant 6).
//
// A user address is range-checked, walked in software under the space's lock with its rights
// checked, and copied through the linear map, a page at a time; SUM stays off. What is absent but
// needs no waiting (anonymous, cached) is filled in on the way. Otherwise a plain handler gets
// -ECOMMIT, which it returns: the dispatcher commits the pages and runs it again. So a plain handler
// does all its copying before its first mutation. -EFAULT: a bad pointer.
//
// Async handlers use user_read and user_write, which wait themselves.
#pragma once

#include "async/async.h"
#include "mem/huge.h"
#include "mem/space.h"

#include <string.h>

static inline bool user_range_ok(va_t va, uint64_t len)
{
    return va < USER_TOP && len <= USER_TOP - va;
}

// Copies n bytes, up to PAGES_AT_ONCE pages of each side, to where byte `off` of the first of the pages is. 0; or -EFAULT,
// -ECOMMIT, and nothing was copied.
enum { PAGES_AT_ONCE = 17 };
long user_copy_in_pages(struct space *s, struct page *const *dst, size_t off, va_t src, size_t n);

// The slow and general ones: any length. 0, -EFAULT, -ECOMMIT.
long user_copy_in_slow(struct space *s, void *dst, va_t src, size_t n);
long user_copy_out_slow(struct space *s, va_t dst, const void *src, size_t n);

// space.lock held, va < USER_TOP: the entry of va, NULL if there is no table. Copies often go where the last one went.
enum { WALK_SHIFT = 21 };
static inline pte_t *user_slot_locked(struct space *s, va_t va)
{
    if (unlikely(va >> WALK_SHIFT != s->walked)) {
        pte_t *slot = huge_find(s->root, va);
        if (unlikely(!slot))
            return NULL;
        s->walked = va >> WALK_SHIFT;
        s->walked_table = (pte_t *)((uint64_t)slot & ~(uint64_t)PAGE_MASK);
    }
    return &s->walked_table[va >> PAGE_SHIFT & ((1u << (WALK_SHIFT - PAGE_SHIFT)) - 1)];
}

// space.lock held, va < USER_TOP: kernel address of va if its entry has all the bits, else NULL.
static inline void *user_kva_locked(struct space *s, va_t va, uint64_t bits)
{
    pte_t *slot = user_slot_locked(s, va);
    if (unlikely(!slot || (*slot & bits) != bits))
        return NULL;
    return (char *)pa_to_kva(pte_pa(*slot)) + (va & PAGE_MASK);
}

enum {
    USER_READ_BITS = PTE_V | PTE_U | PTE_R | PTE_A,
    USER_WRITE_BITS = PTE_V | PTE_U | PTE_R | PTE_W | PTE_A | PTE_D,
};

// 1 to USER_FEW bytes are not worth a call, and who makes none saves no registers. False: it takes more.
enum { USER_FEW = 8 };
static inline __attribute__((always_inline)) bool user_move_few_(struct space *s, void *kernel,
                                                                 va_t va, size_t n, bool in)
{
    if (unlikely((va & PAGE_MASK) + n > PAGE_SIZE || va >= USER_TOP))
        return false;
    spin_lock(&s->lock);
    char *user = user_kva_locked(s, va, in ? USER_READ_BITS : USER_WRITE_BITS);
    if (likely(user != NULL)) {
        char *to = in ? kernel : user;
        const char *from = in ? user : kernel, *end = from + n;
        do {
            *to++ = *from++;
            __asm__ volatile("" ::: "memory"); // else gcc calls memcpy
        } while (from != end);
    }
    spin_unlock(&s->lock);
    return user;
}
static inline __attribute__((always_inline)) bool user_get_few(struct space *s, void *dst, va_t src,
                                                               size_t n)
{
    return user_move_few_(s, dst, src, n, true);
}
static inline __attribute__((always_inline)) bool user_put_few(struct space *s, va_t dst,
                                                               const void *src, size_t n)
{
    return user_move_few_(s, (void *)src, dst, n, false);
}

static inline __attribute__((always_inline)) long user_copy_in(struct space *s, void *dst, va_t src,
                                                               size_t n)
{
    if (likely((src & PAGE_MASK) + n <= PAGE_SIZE && src < USER_TOP)) {
        spin_lock(&s->lock);
        const void *from = user_kva_locked(s, src, USER_READ_BITS);
        if (likely(from != NULL)) {
            memcpy(dst, from, n);
            spin_unlock(&s->lock);
            return 0;
        }
        spin_unlock(&s->lock);
    }
    return user_copy_in_slow(s, dst, src, n);
}

static inline __attribute__((always_inline)) long user_copy_out(struct space *s, va_t dst,
                                                                const void *src, size_t n)
{
    if (likely((dst & PAGE_MASK) + n <= PAGE_SIZE && dst < USER_TOP)) {
        spin_lock(&s->lock);
        void *to = user_kva_locked(s, dst, USER_WRITE_BITS);
        if (likely(to != NULL)) {
            memcpy(to, src, n);
            spin_unlock(&s->lock);
            return 0;
        }
        spin_unlock(&s->lock);
    }
    return user_copy_out_slow(s, dst, src, n);
}

long user_zero_out(struct space *s, va_t dst, size_t n); // writes zeroes

// A NUL-terminated string of at most max-1 bytes: its length, -EFAULT, -ECOMMIT, -ENAMETOOLONG.
long user_string_in(struct space *s, char *dst, va_t src, size_t max);

// For async handlers: the same, committing and trying again. 0 / length, -EFAULT, -ENOMEM, -EINTR.
ASYNC_DECL(user_read, struct space *s; void *dst; va_t src; uint64_t n;);
ASYNC_DECL(user_write, struct space *s; va_t dst; const void *src; uint64_t n;);
ASYNC_DECL(user_read_string, struct space *s; char *dst; va_t src; uint64_t max;);

// ---- words (futex, set_tid_address)

// 0, -EFAULT (bad address, or not 4-aligned), -EAGAIN: absent, commit and start again.
long user_load32_slow(struct space *s, va_t va, uint32_t *out);
static inline __attribute__((always_inline)) long user_load32_nofault(struct space *s, va_t va,
                                                                      uint32_t *out)
{
    if (likely(!(va & 3) && va < USER_TOP)) {
        spin_lock(&s->lock);
        const uint32_t *word = user_kva_locked(s, va, USER_READ_BITS);
        if (likely(word != NULL)) {
            *out = load_relaxed(word);
            spin_unlock(&s->lock);
            return 0;
        }
        spin_unlock(&s->lock);
    }
    return user_load32_slow(s, va, out);
}
// Atomically: if the word equals expect it becomes want; *old is what it was. Same results.
long user_cmpxchg32_nofault(struct space *s, va_t va, uint32_t expect, uint32_t want,
                            uint32_t *old);

// Who a futex word is: private (space, va), shared (object, offset), or (space, va + 1) when a shared one
// is asked for and the memory is private and may be written.
struct futex_key {
    const void *object; // struct space * or struct phys *
    uint64_t offset;
};
// 0, -EFAULT, -EINVAL (not 4-aligned). No reference is taken: the waiter's space keeps both alive.
// access: what a shared word's mapping must allow (one of them); a private one is not looked at.
int space_futex_key_shared(struct space *s, va_t va, uint32_t access, struct futex_key *out);
static inline int space_futex_key(struct space *s, va_t va, bool shared, uint32_t access,
                                  struct futex_key *out)
{
    if (unlikely(va & 3))
        return -EINVAL;
    if (unlikely(va >= USER_TOP))
        return -EFAULT;
    *out = (struct futex_key){s, va};
    return unlikely(shared) ? space_futex_key_shared(s, va, access, out) : 0;
}

// ---- pinned pages for long transfers

enum { PIN_MAX = 16 };
struct user_pin {
    uint32_t count;
    uint32_t access;
    va_t va;
    uint64_t len;    // bytes covered, <= what was asked for
    uint32_t offset; // of va in the first page
    struct page *page[PIN_MAX];
};
// Pins as much of [va, va+len) as fits, at least one byte: 0, -EFAULT, -ENOMEM, -EINTR. ACCESS_WRITE
// marks file pages dirty on unpin. Fork copies pinned pages at once.
ASYNC_DECL(user_pin, struct space *s; va_t va; uint64_t len; uint32_t access; struct user_pin *out;);
void user_unpin(struct user_pin *p);
