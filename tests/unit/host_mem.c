// SPDX-License-Identifier: MIT
// Fake RAM and fake harts. The harts' TLBs are as nasty as the architecture allows: they remember
// every translation until they are told to forget it. An access through a stale one that reaches
// a free frame, or a kernel's, ends the test.
#include "host_mem.h"
#include "host.h"

#include "lib/log.h"
#include "mem/huge.h"
#include "page/frame.h"
#include "page/heap.h"

#include <stdlib.h>

enum { HARTS = 4, TLB_SIZE = 4096 };

static struct {
    uint64_t satp;
    struct {
        va_t page;
        pte_t entry; // 0: empty
    } tlb[TLB_SIZE];
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

static unsigned slot_of(va_t page)
{
    return page >> PAGE_SHIFT & (TLB_SIZE - 1);
}

static void forget(unsigned hart, va_t va, uint64_t len)
{
    for (unsigned i = 0; i < TLB_SIZE; i++)
        if (!len || cpu[hart].tlb[i].page - page_round_down(va) < len)
            cpu[hart].tlb[i].entry = 0;
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

// As the hardware does, which keeps a page's share of a leaf of 2 MiB for itself.
static pte_t walk(const pte_t *root, va_t va)
{
    struct pt_step steps[PT_LEVELS];
    unsigned n = pt_walk(root, va, steps);
    pte_t e = steps[n - 1].entry;
    if (n == PT_LEVELS)
        return e;
    if (!(e & PTE_V))
        return 0;
    if (n != 2 || pte_pa(e) & (HUGE_SIZE - 1))
        panic("a leaf at level %u, to frame 0x%lx", PT_LEVELS - n, (unsigned long)pte_pa(e));
    return e + pte_make(va & (HUGE_SIZE - PAGE_SIZE), 0);
}

static void *translate(unsigned hart, va_t va, pte_t need)
{
    if (va >= USER_TOP)
        return NULL;
    unsigned i = slot_of(va);
    pte_t e = cpu[hart].tlb[i].entry;
    if (!e || cpu[hart].tlb[i].page != page_round_down(va) || (e & need) != need) {
        e = walk(pa_to_kva((cpu[hart].satp & 0xfffffffffff) << PAGE_SHIFT), va);
        if ((e & need) != need)
            return NULL;
        cpu[hart].tlb[i].page = page_round_down(va);
        cpu[hart].tlb[i].entry = e;
    }
    struct page *pg = page_of(pte_pa(e));
    if (!pg->refs || (pg->kind != FRAME_ANON && pg->kind != FRAME_CACHE && pte_pa(e) != frame_zero))
        panic("hart %u reaches frame 0x%lx of kind %u with %u references through va 0x%lx", hart,
              (unsigned long)pte_pa(e), pg->kind, pg->refs, (unsigned long)va);
    return (char *)pa_to_kva(pte_pa(e)) + (va & PAGE_MASK);
}

static int user_access(unsigned hart, struct space *s, va_t va, unsigned access, void **out)
{
    host_on_hart(hart);
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
