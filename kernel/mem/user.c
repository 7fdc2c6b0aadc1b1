// SPDX-License-Identifier: MIT
// Copies across the border, the general case: several pages, absent pages, strings, words, pins.
#include "mem/user.h"
#include "mem/phys.h"
#include "mem/space_internal.h"

// Lock held: kernel address of va, filling in what needs no waiting. NULL and *error (-EFAULT, or
// -EAGAIN: it must be awaited) else. May also fill a page that present bits would allow already.
static void *user_page(struct space *s, va_t va, unsigned access, long *error)
{
    uint64_t bits = access == ACCESS_WRITE ? USER_WRITE_BITS : USER_READ_BITS;
    void *p = user_kva_locked(s, va, bits);
    if (likely(p != NULL))
        return p;
    pte_t *slot;
    int e = space_fault_locked(s, va, access, &slot);
    if (e == 0)
        return (char *)pa_to_kva(pte_pa(*slot)) + (va & PAGE_MASK);
    *error = e == -EAGAIN || e == -ENOMEM ? -EAGAIN : -EFAULT;
    return NULL;
}

static size_t chunk_of(va_t va, size_t n)
{
    size_t room = PAGE_SIZE - (va & PAGE_MASK);
    return n < room ? n : room;
}

enum copy_how { COPY_IN, COPY_OUT, COPY_ZERO };

// Copies page by page; the number of bytes done is in *done. 0, -EFAULT, -EAGAIN.
static long copy_pages(struct space *s, void *kernel, va_t va, size_t n, enum copy_how how,
                       size_t *done)
{
    unsigned access = how == COPY_IN ? ACCESS_READ : ACCESS_WRITE;
    *done = 0;
    if (!user_range_ok(va, n))
        return -EFAULT;
    while (*done < n) {
        size_t chunk = chunk_of(va + *done, n - *done);
        long error = 0;
        spin_lock(&s->lock);
        void *p = user_page(s, va + *done, access, &error);
        if (p && how == COPY_IN)
            memcpy((char *)kernel + *done, p, chunk);
        else if (p && how == COPY_OUT)
            memcpy(p, (char *)kernel + *done, chunk);
        else if (p)
            memset(p, 0, chunk);
        spin_unlock(&s->lock);
        if (!p)
            return error;
        *done += chunk;
    }
    return 0;
}

static long plain_result(long r, va_t va, size_t n, unsigned access)
{
    return r == -EAGAIN ? task_note_commit(va, n, access) : r;
}

long user_copy_in_slow(struct space *s, void *dst, va_t src, size_t n)
{
    size_t done;
    return plain_result(copy_pages(s, dst, src, n, COPY_IN, &done), src, n, ACCESS_READ);
}

long user_copy_out_slow(struct space *s, va_t dst, const void *src, size_t n)
{
    size_t done;
    long r = copy_pages(s, (void *)src, dst, n, COPY_OUT, &done);
    return plain_result(r, dst, n, ACCESS_WRITE);
}

long user_zero_out(struct space *s, va_t dst, size_t n)
{
    size_t done;
    return plain_result(copy_pages(s, NULL, dst, n, COPY_ZERO, &done), dst, n, ACCESS_WRITE);
}

// Lock held: where the pages of [src, src + n) are. 0, -EFAULT, -EAGAIN.
static long find_pages(struct space *s, va_t src, size_t n, const char **from)
{
    long error = 0;
    for (va_t va = page_round_down(src); va < src + n && !error; va += PAGE_SIZE)
        *from++ = user_page(s, va, ACCESS_READ, &error);
    return error;
}

long user_copy_in_pages(struct space *s, struct page *const *dst, size_t off, va_t src, size_t n)
{
    const char *from[PAGES_AT_ONCE];
    DEBUG_ASSERT((src & PAGE_MASK) + n <= PAGES_AT_ONCE * PAGE_SIZE);
    if (!user_range_ok(src, n))
        return -EFAULT;
    spin_lock(&s->lock);
    long r = find_pages(s, src, n, from);
    va_t base = page_round_down(src);
    for (size_t part; !r && n; src += part, off += part, n -= part) {
        part = chunk_of(src, chunk_of(off, n));
        memcpy((char *)page_kva(dst[off >> PAGE_SHIFT]) + (off & PAGE_MASK),
               from[(src - base) >> PAGE_SHIFT] + (src & PAGE_MASK), part);
    }
    spin_unlock(&s->lock);
    return plain_result(r, src, n, ACCESS_READ); // if it failed, src and n are as they were given
}

// The string's length, -EFAULT, -EAGAIN (*at: where), -ENAMETOOLONG.
static long copy_string(struct space *s, char *dst, va_t src, size_t max, va_t *at)
{
    size_t done = 0;
    while (done < max) {
        va_t va = src + done;
        *at = va;
        if (va >= USER_TOP)
            return -EFAULT;
        size_t chunk = chunk_of(va, max - done);
        long error = 0;
        spin_lock(&s->lock);
        const char *p = user_page(s, va, ACCESS_READ, &error);
        const char *end = p ? memchr(p, 0, chunk) : NULL;
        size_t n = end ? (size_t)(end - p) + 1 : chunk;
        if (p)
            memcpy(dst + done, p, n);
        spin_unlock(&s->lock);
        if (!p)
            return error;
        // Another thread may write meanwhile: what was copied decides, so look at the copy.
        if (end && dst[done + n - 1] == 0)
            return (long)(done + n - 1);
        done += n;
    }
    return -ENAMETOOLONG;
}

long user_string_in(struct space *s, char *dst, va_t src, size_t max)
{
    va_t at;
    long r = copy_string(s, dst, src, max, &at);
    return r == -EAGAIN ? task_note_commit(at, 1, ACCESS_READ) : r;
}

// ---- async forms: commit where the copy stopped, and go on there

ASYNC(user_read, size_t done; size_t n_done; long r;)
{
    ASYNC_BEGIN(user_read);
    for (f->done = 0;; f->done += f->n_done) {
        f->r = copy_pages(f->s, (char *)f->dst + f->done, f->src + f->done, f->n - f->done, COPY_IN,
                          &f->n_done);
        if (f->r != -EAGAIN)
            ASYNC_RETURN(f->r);
        AWAIT(f->r, space_commit, f->s, f->src + f->done + f->n_done, 1, ACCESS_READ);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(user_write, size_t done; size_t n_done; long r;)
{
    ASYNC_BEGIN(user_write);
    for (f->done = 0;; f->done += f->n_done) {
        f->r = copy_pages(f->s, (char *)f->src + f->done, f->dst + f->done, f->n - f->done,
                          COPY_OUT, &f->n_done);
        if (f->r != -EAGAIN)
            ASYNC_RETURN(f->r);
        AWAIT(f->r, space_commit, f->s, f->dst + f->done + f->n_done, 1, ACCESS_WRITE);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

ASYNC(user_read_string, va_t at; long r;)
{
    ASYNC_BEGIN(user_read_string);
    for (;;) {
        f->r = copy_string(f->s, f->dst, f->src, f->max, &f->at);
        if (f->r != -EAGAIN)
            ASYNC_RETURN(f->r);
        AWAIT(f->r, space_commit, f->s, f->at, 1, ACCESS_READ);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_FINALLY;
    ASYNC_END;
}

// ---- words

static long word_at(struct space *s, va_t va, unsigned access, uint32_t **out)
{
    long error = 0;
    if (va & 3 || va >= USER_TOP)
        return -EFAULT;
    *out = user_page(s, va, access, &error);
    return *out ? 0 : error;
}

long user_load32_slow(struct space *s, va_t va, uint32_t *out)
{
    uint32_t *word;
    spin_lock(&s->lock);
    long r = word_at(s, va, ACCESS_READ, &word);
    if (!r)
        *out = load_relaxed(word);
    spin_unlock(&s->lock);
    return r;
}

long user_cmpxchg32_nofault(struct space *s, va_t va, uint32_t expect, uint32_t want, uint32_t *old)
{
    uint32_t *word;
    spin_lock(&s->lock);
    long r = word_at(s, va, ACCESS_WRITE, &word);
    if (!r)
        *old = atomic_cas32(word, expect, want);
    spin_unlock(&s->lock);
    return r;
}

// Lock held: is the page at va its object's? A private mapping that may be written has its own, or will have.
static bool is_of_object(struct space *s, const struct mapping *m, va_t va)
{
    if (!m->phys || m->flags & MAPPING_SHARED)
        return m->phys != NULL;
    if (m->prot & ACCESS_WRITE)
        return false;
    const pte_t *slot = huge_find(s->root, va);
    return !slot || !*slot || page_of(pte_pa(*slot))->kind != FRAME_ANON;
}

// As Linux (get_futex_key), which goes by the page it finds: what is private and cannot be written will never change, so
// nobody can have reason to wait for it.
int space_futex_key_shared(struct space *s, va_t va, uint32_t access, struct futex_key *out)
{
    spin_lock(&s->lock);
    struct range *r = range_map_find(&s->map, va);
    const struct mapping *m = r ? mapping_of(r) : NULL;
    bool ok = m && m->pte_bits & (uint64_t)access << 1, of_object = ok && is_of_object(s, m, va);
    out->offset |= 1; // who asks for a shared one finds nobody who asked for a private one
    if (of_object)
        *out = (struct futex_key){m->phys, m->offset + (va - r->lo)};
    ok = of_object || (ok && m->prot & ACCESS_WRITE);
    spin_unlock(&s->lock);
    return ok ? 0 : -EFAULT;
}
