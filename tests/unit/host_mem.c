// SPDX-License-Identifier: MIT
// Fake RAM and fake harts. The harts' TLBs are as nasty as the architecture allows: they remember
// every translation until they are told to forget it, and a leaf of 2 MiB until they are told to forget all of
// it. An access through a stale one that reaches a free frame, or a kernel's, ends the test; so does what the
// kernel's own record of them says (lib/translations.h).
#include "host_mem.h"
#include "host.h"

#include "lib/log.h"
#include "lib/translations.h"
#include "mem/huge.h"
#include "page/frame.h"
#include "page/heap.h"

#include <stdlib.h>

enum { HARTS = 4, TLB_SIZE = 4096, TLB_HUGE = 64 };

static struct {
    uint64_t satp;
    struct {
        va_t page;
        pte_t entry; // 0: empty
    } tlb[TLB_SIZE], huge[TLB_HUGE];
} cpu[HARTS];

pte_t *kernel_root;
uint64_t host_faults, host_flushes, host_shootdowns;
static struct hart hart_state[HARTS];

void host_ram_init(uint64_t frames)
{
    char *ram = aligned_alloc(4 << 20, frames * PAGE_SIZE);
    memset(ram, 0xa5, frames * PAGE_SIZE);
    struct frame_range r = {(pa_t)ram, (pa_t)ram + frames * PAGE_SIZE};
    frames_init(&r, 1);
    heap_init();
    kernel_root = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
    memset(kernel_root, 0, PAGE_SIZE);
    kernel_root[PT_USER_ENTRIES] = 0xfeed; // seen in every space
    for (unsigned i = 0; i < HARTS; i++)
        hart_state[i].index = i;
}

void host_on_hart(unsigned hart)
{
    struct task *current = hart_self.current;
    hart_state[hart_self.index] = hart_self;
    hart_self = hart_state[hart];
    hart_self.current = current;
    harts[hart] = &hart_self;
}

static void forget(unsigned hart, va_t va, uint64_t len)
{
    va_t lo = page_round_down(va);
    for (unsigned i = 0; i < TLB_SIZE; i++)
        if (!len || cpu[hart].tlb[i].page - lo < len)
            cpu[hart].tlb[i].entry = 0;
    for (unsigned i = 0; i < TLB_HUGE; i++)
        if (!len ||
            (cpu[hart].huge[i].page >= lo && cpu[hart].huge[i].page + HUGE_SIZE <= va + len))
            cpu[hart].huge[i].entry = 0;
    translations_forget(1ul << hart, va, len);
}

void tlb_flush_page(va_t va)
{
    host_flushes++;
    forget(hart_self.index, va, PAGE_SIZE);
}

void tlb_flush_all(void)
{
    host_flushes++;
    forget(hart_self.index, 0, 0);
}

void satp_load(uint64_t satp)
{
    translations_load(satp);
    cpu[hart_self.index].satp = satp;
    forget(hart_self.index, 0, 0);
}

void shootdown_harts(uint64_t mask, va_t va, uint64_t len)
{
    host_shootdowns++;
    for (unsigned i = 0; i < HARTS; i++)
        if (mask >> i & 1)
            forget(i, va, len == UINT64_MAX ? 0 : len);
}

void icache_shootdown(uint64_t mask)
{
    (void)mask;
}

// A page's share of a leaf.
static pte_t part_of(pte_t leaf, va_t va)
{
    return leaf + pte_make(va & (HUGE_SIZE - PAGE_SIZE), 0);
}

// As the hardware does; a leaf is remembered as such.
static pte_t walk(unsigned hart, va_t va, pte_t need)
{
    struct pt_step steps[PT_LEVELS];
    unsigned n = pt_walk(pa_to_kva((cpu[hart].satp & 0xfffffffffff) << PAGE_SHIFT), va, steps);
    pte_t e = steps[n - 1].entry;
    if ((e & need) != need)
        return 0;
    if (n == PT_LEVELS) {
        cpu[hart].tlb[va >> PAGE_SHIFT & (TLB_SIZE - 1)].page = page_round_down(va);
        cpu[hart].tlb[va >> PAGE_SHIFT & (TLB_SIZE - 1)].entry = e;
        return e;
    }
    if (n != 2 || pte_pa(e) & (HUGE_SIZE - 1))
        panic("a leaf at level %u, to frame 0x%lx", PT_LEVELS - n, (unsigned long)pte_pa(e));
    cpu[hart].huge[va / HUGE_SIZE % TLB_HUGE].page = va & ~(HUGE_SIZE - 1);
    cpu[hart].huge[va / HUGE_SIZE % TLB_HUGE].entry = e;
    return part_of(e, va);
}

// What the hart remembers, else what the tables say. 0: a fault.
static pte_t lookup(unsigned hart, va_t va, pte_t need)
{
    unsigned i = va >> PAGE_SHIFT & (TLB_SIZE - 1), h = va / HUGE_SIZE % TLB_HUGE;
    pte_t e = cpu[hart].tlb[i].page == page_round_down(va) ? cpu[hart].tlb[i].entry : 0;
    pte_t leaf = cpu[hart].huge[h].page == (va & ~(HUGE_SIZE - 1)) ? cpu[hart].huge[h].entry : 0;
    if (leaf && (leaf & need) == need)
        return part_of(leaf, va);
    return e && (e & need) == need ? e : walk(hart, va, need);
}

static void *translate(unsigned hart, va_t va, pte_t need)
{
    pte_t e = va < USER_TOP ? lookup(hart, va, need) : 0;
    if (!e)
        return NULL;
    struct page *pg = page_of(pte_pa(e));
    if (!pg->refs || (pg->kind != FRAME_ANON && pg->kind != FRAME_CACHE && pte_pa(e) != frame_zero))
        panic("hart %u reaches frame 0x%lx of kind %u with %u references through va 0x%lx", hart,
              (unsigned long)pte_pa(e), pg->kind, pg->refs, (unsigned long)va);
    return (char *)pa_to_kva(pte_pa(e)) + (va & PAGE_MASK);
}

static int user_access(unsigned hart, struct space *s, va_t va, unsigned access, void **out)
{
    host_on_hart(hart);
    translations_check_settled();
    space_activate(s);
    pte_t need = PTE_V | PTE_U | (access == ACCESS_WRITE ? PTE_W : PTE_R);
    for (unsigned tries = 0; !(*out = translate(hart, va, need)); tries++) {
        host_faults++;
        int r = space_fault_fast(s, va, access);
        if (r)
            return r;
        if (tries > 3)
            panic("va 0x%lx faults for ever", (unsigned long)va);
    }
    return 0;
}

int host_user_load(unsigned hart, struct space *s, va_t va, uint64_t *out)
{
    void *p;
    int r = user_access(hart, s, va, ACCESS_READ, &p);
    if (!r)
        *out = *(uint64_t *)p;
    return r;
}

int host_user_store(unsigned hart, struct space *s, va_t va, uint64_t value)
{
    void *p;
    int r = user_access(hart, s, va, ACCESS_WRITE, &p);
    if (!r)
        *(uint64_t *)p = value;
    return r;
}
