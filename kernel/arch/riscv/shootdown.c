// SPDX-License-Identifier: MIT
// Shootdown of translations and instruction caches on other harts.
//
// One request at a time stands in `request`: the initiator sets a bit per hart, sends IPIs and waits
// until all bits are gone. Whoever spins, the initiator included, serves requests (ipi_serve), so two
// initiators cannot wait for each other. `sbi.rfence=1` lets the firmware do it (SBI 1.0, chapter 8),
// which interrupts the harts whatever they do; but OpenSBI waits for them without an end, and QEMU's
// -icount, which runs harts in turn, may never give them one (cpu_relax_long).
#include "arch/shootdown.h"
#include "arch/cpu.h"
#include "arch/sbi.h"
#include "lib/dt.h"
#include "lib/init.h"
#include "lib/log.h"
#include "lib/spinlock.h"

enum { PAGES_BEFORE_ALL = 32 }; // from here on one full flush is cheaper than single ones

enum { RFENCE_FENCE_I = 0, RFENCE_SFENCE_VMA = 1 };

struct shootdown_stats shootdown_stats;

static bool rfence;
static struct {
    struct spinlock lock; // one initiator
    va_t va;
    uint64_t len;
    uint64_t pending; // atomic: harts that have not answered
} request = {.lock = SPINLOCK_INIT("shootdown")};

static void flush_local(va_t va, uint64_t len)
{
    if (len - 1 >= PAGES_BEFORE_ALL * PAGE_SIZE) { // 0 means everything, too
        tlb_flush_all();
        return;
    }
    for (va_t end = va + len; va < end; va += PAGE_SIZE)
        tlb_flush_page(va);
}

// SBI names harts by id, 64 to a mask from a base.
static void rfence_call(long fn, uint64_t harts_left, va_t va, uint64_t len)
{
    while (harts_left) {
        uint64_t base = harts[__builtin_ctzl(harts_left)]->id, mask = 0;
        for (uint64_t m = harts_left; m; m &= m - 1) {
            uint64_t id = harts[__builtin_ctzl(m)]->id;
            if (id - base < 64) {
                mask |= 1ul << (id - base);
                harts_left &= ~(1ul << __builtin_ctzl(m));
            }
        }
        register uint64_t a0 __asm__("a0") = mask, a1 __asm__("a1") = base, a2 __asm__("a2") = va,
                             a3 __asm__("a3") = len;
        register long a6 __asm__("a6") = fn, a7 __asm__("a7") = SBI_EXT_RFENCE;
        __asm__ volatile("ecall"
                         : "+r"(a0), "+r"(a1)
                         : "r"(a2), "r"(a3), "r"(a6), "r"(a7)
                         : "memory");
        if (a0)
            panic("SBI RFENCE failed with %ld on harts 0x%lx from %lu", (long)a0, mask, base);
    }
}

static void shootdown_handler(void)
{
    uint64_t bit = 1ul << hart_index();
    if (!(load_acquire(&request.pending) & bit))
        return;
    flush_local(request.va, request.len);
    atomic_and64(&request.pending, ~bit);
}

static void ask_by_ipi(uint64_t others, va_t va, uint64_t len)
{
    spin_lock(&request.lock);
    request.va = va;
    request.len = len;
    store_release(&request.pending, others);
    for (uint64_t m = others; m; m &= m - 1)
        ipi_send((uint32_t)__builtin_ctzl(m), IPI_SHOOTDOWN);
    uint64_t until = time_ticks() + 10 * timebase_hz;
    uint32_t turns = 0;
    while (load_acquire(&request.pending)) {
        ipi_serve();
        cpu_relax_long(&turns);
        if (time_ticks() > until)
            panic("shootdown: harts 0x%lx do not answer",
                  (unsigned long)load_relaxed(&request.pending));
    }
    spin_unlock(&request.lock);
}

// Leaves lazy harts a note instead: flag, fence, look whether it is still lazy. The hart clears lazy,
// fences, looks at the flag: one of the two sees the other.
static uint64_t without_lazy(uint64_t others)
{
    for (uint64_t m = others; m; m &= m - 1) {
        struct hart *h = harts[__builtin_ctzl(m)];
        if (!load_relaxed(&h->lazy))
            continue;
        store_relaxed(&h->tlb_stale, 1);
        fence_full();
        if (load_relaxed(&h->lazy)) {
            others &= ~(m & -m);
            translations_forget(m & -m, 0, 0);
        }
    }
    return others;
}

void shootdown_harts(uint64_t mask, va_t va, uint64_t len)
{
    if (translations_planted)
        return;
    uint64_t self = 1ul << hart_index(), others = without_lazy(mask & ~self);
    if (len == UINT64_MAX || len > PAGES_BEFORE_ALL * PAGE_SIZE)
        len = 0;
    if (len)
        shootdown_stats.pages++;
    else
        shootdown_stats.all++;
    if (mask & self)
        flush_local(va, len);
    if (likely(!others)) {
        shootdown_stats.local++;
        return;
    }
    shootdown_stats.remote++;
    if (rfence) {
        rfence_call(RFENCE_SFENCE_VMA, others, len ? va : 0, len ? len : UINT64_MAX);
        translations_forget(others, va, len);
    } else {
        ask_by_ipi(others, va, len);
    }
}

static void fence_i_handler(void)
{
    icache_flush_local();
}

void icache_shootdown(uint64_t mask)
{
    uint64_t self = 1ul << hart_index();
    icache_flush_local();
    for (uint64_t m = mask & ~self; m; m &= m - 1)
        ipi_send((uint32_t)__builtin_ctzl(m), IPI_FENCE_I);
}

static void shootdown_init(void)
{
    char value[4];
    bool wanted = boot_arg("sbi.rfence", value, sizeof value) && value[0] == '1';
    rfence = wanted && sbi_has(SBI_EXT_RFENCE);
    ipi_register(IPI_SHOOTDOWN, shootdown_handler);
    ipi_register(IPI_FENCE_I, fence_i_handler);
    log_info("shootdown: by %s", rfence ? "SBI RFENCE" : "IPI");
}
INIT(INIT_HARTS, shootdown_init);
