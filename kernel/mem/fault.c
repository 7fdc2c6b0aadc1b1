// SPDX-License-Identifier: MIT
// Page faults: from the address to the mapping, to the frame, to the entry.
//
// The plain part does everything that needs no waiting, under the space's lock: first touch of
// anonymous memory, copy on write, pages that are in the cache, growth of the stack, spurious
// faults. The async part waits for the object's page, or fills 2 MiB (mem/huge.c), without any lock and
// then tries again: the mapping may have changed meanwhile, so nothing is remembered but the page itself.
#include "mem/shortage.h"
#include "mem/space_internal.h"
#include "mem/user.h"

static inline void install(struct space *s, struct mapping *m, va_t va, pte_t *slot, pa_t pa,
                           uint64_t bits)
{
    if (unlikely(m->prot & ACCESS_EXEC))
        space_code_visible(s, page_of(pa));
    fence_write(); // contents before the entry
    entry_set(s, slot, va, pte_make(pa, bits));
}

// An entry gets what its mapping allows: for other harts it is enough to fault once, unless the monitor had given it more.
static inline void grant(struct space *s, pte_t *slot, va_t va, pte_t e)
{
    pte_t taken = *slot & ~e & (PTE_R | PTE_W | PTE_X);
    entry_set(s, slot, va, e);
    if (unlikely(taken))
        space_flush(s, page_round_down(va), PAGE_SIZE);
    else
        tlb_flush_page(va);
}

// ---- kinds of faults

// First touch of private anonymous memory. Reading gets the frame of zeroes.
static inline int fault_anonymous(struct space *s, struct mapping *m, va_t va, pte_t *slot,
                                  unsigned access)
{
    pa_t pa;
    uint64_t bits = m->pte_bits;
    if (access == ACCESS_WRITE) {
        pa = frame_alloc(FRAME_ZERO | FRAME_USER);
        if (unlikely(!pa))
            return -ENOMEM;
        page_of(pa)->kind = FRAME_ANON;
    } else {
        pa = frame_zero;
        frame_ref(pa);
        bits &= ~(uint64_t)(PTE_W | PTE_D);
    }
    install(s, m, va, slot, pa, bits);
    space_count_resident(s, 1);
    if (access == ACCESS_WRITE && unlikely(huge_would_fit(m, va)))
        space_map_ahead(s, m, va, slot);
    return 0;
}

// A writable private copy of `from`, which loses nothing here.
static pa_t private_copy(pa_t from)
{
    pa_t pa = frame_alloc(from == frame_zero ? FRAME_ZERO | FRAME_USER : FRAME_USER);
    if (unlikely(!pa))
        return 0;
    if (from != frame_zero)
        page_copy(pa_to_kva(pa), pa_to_kva(from));
    page_of(pa)->kind = FRAME_ANON;
    return pa;
}

static inline bool beyond_end(const struct mapping *m, uint64_t index)
{
    return index >= page_round_up(load_relaxed(&m->phys->size)) >> PAGE_SHIFT;
}

static inline uint64_t page_index(const struct mapping *m, va_t va)
{
    return (m->offset + (page_round_down(va) - m->range.lo)) >> PAGE_SHIFT;
}

// First touch of a page that an object supplies.
static __attribute__((noinline)) int fault_object(struct space *s, struct mapping *m, va_t va,
                                                  pte_t *slot, unsigned access)
{
    uint64_t index = page_index(m, va), bits = m->pte_bits;
    if (beyond_end(m, index))
        return -EIO;
    if (unlikely(index == load_relaxed(&m->phys->ahead.trigger)))
        return -EAGAIN;
    struct page *pg = phys_page_now(m->phys, index);
    if (!pg)
        return -EAGAIN;
    pa_t pa = page_pa(pg);
    if (m->flags & MAPPING_SHARED) {
        if (access == ACCESS_WRITE)
            phys_stored(m->phys, pg);
        else if (m->phys->kind == PHYS_FILE)
            bits &= ~(uint64_t)(PTE_W | PTE_D); // the first write marks the page dirty
    } else if (access == ACCESS_WRITE) {
        pa_t copy = private_copy(pa);
        page_put(pg);
        if (!copy)
            return -ENOMEM;
        pa = copy;
        s->cow_copies++;
    } else {
        bits &= ~(uint64_t)(PTE_W | PTE_D);
    }
    install(s, m, va, slot, pa, bits); // the page's reference is the entry's now
    space_count_resident(s, 1);
    if (access != ACCESS_WRITE)
        space_map_around(s, m, va, slot, bits);
    return 0;
}

// Sharers of a page in different spaces may write at once. From the look at the count to the drop of
// the reference each holds the lock of its frame's class, so the last one always sees that it is: n
// sharers make n - 1 copies.
enum { COPY_LOCKS = 16 };
static struct spinlock copy_locks[COPY_LOCKS] = {
    [0 ... COPY_LOCKS - 1] = SPINLOCK_INIT("copy on write"),
};

// The entry's frame becomes a copy that is its own.
static int copy_page(struct space *s, struct mapping *m, va_t va, pte_t *slot)
{
    pa_t old = pte_pa(*slot), pa = private_copy(old);
    if (!pa)
        return -ENOMEM;
    install(s, m, va, slot, pa, m->pte_bits);
    space_flush(s, page_round_down(va), PAGE_SIZE);
    frame_unref(old);
    s->cow_copies++;
    return 0;
}

// A write to a private page that is, or was, shared.
static __attribute__((noinline)) int fault_copy(struct space *s, struct mapping *m, va_t va,
                                                pte_t *slot)
{
    struct page *pg = page_of(pte_pa(*slot));
    if (pg->kind != FRAME_ANON) // the object's, or the zero frame: never one's own
        return copy_page(s, m, va, slot);
    struct spinlock *l = &copy_locks[(pg - frame_pages) % COPY_LOCKS];
    int r = 0;
    spin_lock(l);
    if (page_is_own(pg)) {
        // The last owner; others' entries allow less.
        grant(s, slot, va, pte_make(page_pa(pg), m->pte_bits));
    } else {
        r = copy_page(s, m, va, slot);
    }
    spin_unlock(l);
    return r;
}

// The entry has a frame, and the mapping allows the access.
static __attribute__((noinline)) int fault_present(struct space *s, struct mapping *m, va_t va,
                                                   pte_t *slot, unsigned access)
{
    pte_t e = *slot;
    uint64_t need =
        PTE_V | PTE_U | PTE_A | (uint64_t)access << 1 | (access == ACCESS_WRITE ? PTE_D : 0);
    if ((e & need) == need) { // somebody was faster, or this hart remembered the absence
        tlb_flush_page(va);
        return 0;
    }
    if (unlikely(e & PTE_PART)) {
        huge_split(s, va);
        e = *slot;
    }
    struct page *pg = page_of(pte_pa(e));
    if (access == ACCESS_WRITE && !(m->flags & MAPPING_SHARED))
        return fault_copy(s, m, va, slot);
    uint64_t bits = mapping_bits_for(m, pg);
    if (access == ACCESS_WRITE) {
        phys_stored(m->phys, pg);
        bits = m->pte_bits;
    }
    grant(s, slot, va, pte_make(pte_pa(e), bits));
    return 0;
}

// An address below a stack: the mapping grows down to it, if limits and neighbours let it.
static cold struct mapping *grow_stack(struct space *s, va_t va)
{
    struct range *r = range_map_from(&s->map, va);
    va_t lo = page_round_down(va);
    if (!r || !(mapping_of(r)->flags & MAPPING_STACK) || lo < MAP_LOWEST)
        return NULL;
    struct range *below = range_map_prev(r);
    uint64_t more = r->lo - lo;
    if (r->hi - lo > s->stack_limit || s->mapped + more > s->limit)
        return NULL;
    if ((below && below->hi + STACK_GAP > lo) || (s->zap_hi > lo && s->zap_lo < r->lo))
        return NULL;
    range_map_resize(&s->map, r, lo, r->hi);
    trace_map(s, MAP_GROWN, r->lo, r->hi, mapping_of(r)->prot);
    s->mapped += more;
    return mapping_of(r);
}

// small: no 2 MiB page, which takes longer than this may.
static inline __attribute__((always_inline)) int fault_in(struct space *s, va_t va, unsigned access,
                                                          bool small, pte_t **out)
{
    struct range *r = range_map_find(&s->map, va);
    if (unlikely(!r) && !(r = (struct range *)grow_stack(s, va)))
        return -EFAULT;
    struct mapping *m = mapping_of(r);
    if (unlikely(!(m->pte_bits & (uint64_t)access << 1))) // not prot: W without R does not exist
        return -EACCES;
    pte_t *slot = huge_find(s->root, va);
    if (unlikely(!slot)) {
        if (!small && access == ACCESS_WRITE && huge_wanted(s, m, va))
            return -EAGAIN;
        slot = space_slot(s, va);
        if (!slot)
            return -ENOMEM;
    }
    *out = slot;
    s->faults++;
    if (unlikely(*slot))
        return fault_present(s, m, va, slot, access);
    if (unlikely(m->phys != NULL))
        return fault_object(s, m, va, slot, access);
    return fault_anonymous(s, m, va, slot, access);
}

int space_fault_locked(struct space *s, va_t va, unsigned access, pte_t **out)
{
    return va < USER_TOP ? fault_in(s, va, access, false, out) : -EFAULT;
}

static inline __attribute__((always_inline)) int fault(struct space *s, va_t va, unsigned access,
                                                       bool small)
{
    pte_t *slot;
    if (unlikely(va >= USER_TOP))
        return -EFAULT;
    spin_lock(&s->lock);
    int r = fault_in(s, va, access, small, &slot);
    spin_unlock(&s->lock);
    return r;
}

int space_fault_fast(struct space *s, va_t va, unsigned access)
{
    return fault(s, va, access, false);
}

static uint32_t how_to_read(const struct mapping *m)
{
    return PHYS_KILLABLE | (m->flags & MAPPING_RANDOM       ? PHYS_RANDOM
                            : m->flags & MAPPING_SEQUENTIAL ? PHYS_SEQUENTIAL
                                                            : PHYS_AROUND);
}

// Which page of which object the fault waits for; both stay referenced by the caller. False: the
// mapping is not an object's any more, look again.
static bool fault_target(struct space *s, va_t va, struct phys **ph, uint64_t *index, uint32_t *how)
{
    spin_lock(&s->lock);
    struct range *r = range_map_find(&s->map, va);
    bool found = r && mapping_of(r)->phys;
    if (found) {
        *ph = mapping_of(r)->phys;
        *index = page_index(mapping_of(r), va);
        *how = how_to_read(mapping_of(r));
        phys_get(*ph);
        s->major += *index != load_relaxed(&(*ph)->ahead.trigger); // that is there, or on its way
    }
    spin_unlock(&s->lock);
    return found;
}

static void target_drop(struct phys **ph, struct page **page)
{
    if (*page)
        page_put(*page);
    if (*ph)
        phys_put(*ph);
    *page = NULL;
    *ph = NULL;
}

ASYNC(space_fault, struct phys *ph; uint64_t index; struct page *page; long r; uint32_t how;
      uint32_t tries; bool small;)
{
    ASYNC_BEGIN(space_fault);
    f->ph = NULL;
    f->page = NULL;
    f->tries = 0;
    f->small = false;
    for (;;) {
        f->r = fault(f->s, f->va, f->access, f->small);
        target_drop(&f->ph, &f->page);
        if (f->r == -EAGAIN) {
            if (!fault_target(f->s, f->va, &f->ph, &f->index, &f->how)) {
                AWAIT(f->r, huge_fault, f->s, f->va); // 2 MiB of anonymous memory, as it was
                if (f->r < 0)
                    ASYNC_RETURN(f->r);
                f->small = true;
                continue;
            }
            AWAIT(f->r, phys_page, f->ph, f->index, f->how, NULL, 1, &f->page);
            if (f->r == 0)
                continue;
            target_drop(&f->ph, &f->page);
            if (f->r != -ENOMEM)
                ASYNC_RETURN(f->r == -EINTR ? f->r : -EIO);
        }
        if (f->r != -ENOMEM || f->tries++ == MEMORY_TRIES)
            ASYNC_RETURN(f->r);
        AWAIT(f->r, memory_wait, 0);
        if (f->r < 0)
            ASYNC_RETURN(f->r);
    }
    ASYNC_FINALLY;
    target_drop(&f->ph, &f->page);
    ASYNC_END;
}

// ---- commit

static bool present(struct space *s, va_t va, unsigned access)
{
    uint64_t need = PTE_V | PTE_U | PTE_A | (access & ACCESS_READ ? PTE_R : 0) |
                    (access & ACCESS_WRITE ? PTE_R | PTE_W | PTE_D : 0);
    spin_lock(&s->lock);
    bool ok = user_kva_locked(s, va, need) != NULL;
    spin_unlock(&s->lock);
    return ok;
}

ASYNC(space_commit, va_t at; long r; uint32_t steps;)
{
    ASYNC_BEGIN(space_commit);
    if (!user_range_ok(f->va, f->len))
        ASYNC_RETURN(-EFAULT);
    f->steps = 0;
    for (f->at = f->va; f->at < f->va + f->len; f->at = page_round_down(f->at) + PAGE_SIZE) {
        if (!present(f->s, f->at, f->access)) {
            AWAIT(f->r, space_fault, f->s, f->at,
                  f->access & ACCESS_WRITE ? ACCESS_WRITE : ACCESS_READ);
            if (f->r < 0)
                ASYNC_RETURN(f->r == -ENOMEM || f->r == -EINTR ? f->r : -EFAULT);
        }
        if (++f->steps % 32 == 0)
            YIELD();
    }
    ASYNC_RETURN(0);
    ASYNC_FINALLY;
    ASYNC_END;
}
