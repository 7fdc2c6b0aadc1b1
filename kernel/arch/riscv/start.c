// SPDX-License-Identifier: MIT
// Boot: from the first C instruction of the boot hart to every hart in its executor.
//
// Pages needed before the frame allocator knows what RAM is free are taken from just behind the
// image; what is left goes to frames_init. The final kernel map has text read-only, data not
// executable, and stacks outside the linear map with a guard page below each.
#include "arch/start.h"
#include "arch/cpu.h"
#include "arch/pt.h"
#include "arch/sbi.h"
#include "async/executor.h"
#include "async/sample.h"
#include "lib/dt.h"
#include "lib/init.h"
#include "lib/local.h"
#include "lib/log.h"
#include "page/frame.h"
#include "page/heap.h"

#include <stdlib.h>
#include <string.h>

extern char __image_start[], __text_end[], __rodata_end[], __image_end[];
extern char __tdata_start[], __tdata_end[], __tbss_end[];
extern char boot_stack_guard[], boot_stack_top[];
extern void trap_entry(void), secondary_start(void);
extern void (*__init_array_start[])(void), (*__init_array_end[])(void);
void machine_init(void);

enum { HART_STACK = 32768, TLS_MAX = 8192, PTE_RWX_MASK = 0xe };

_Thread_local struct hart hart_self __attribute__((section(".tdata.first"))) = {
    .sample_at = SAMPLE_NEVER,
};
_Thread_local uint64_t hart_started_ns;
struct hart *harts[MAX_HARTS];
uint32_t hart_count = 1;
uint64_t *kernel_root;
char boot_tls[TLS_MAX] __attribute__((aligned(64)));

struct hart_start { // boot.S reads the first four words
    uint64_t root_pa, sp, tp, entry;
    uint32_t index;
    uint64_t id;
};

extern struct hart_start *hart_starting; // boot.S

// ---- pages before frames

static pa_t early_next, early_end;

static pa_t early_page(void)
{
    if (early_next >= early_end)
        panic("no RAM behind the kernel image for its page tables");
    pa_t pa = early_next;
    early_next += PAGE_SIZE;
    memset(pa_to_kva(pa), 0, PAGE_SIZE);
    return pa;
}

static pa_t (*table_page)(void) = early_page;

static pa_t frame_page(void)
{
    pa_t pa = frame_alloc(FRAME_ZERO);
    if (!pa)
        panic("out of memory while the kernel map is built");
    return pa;
}

// ---- the kernel map

enum { V = 1, R = 2, W = 4, X = 8, G = 32, A = 64, D = 128 };

static uint64_t *kernel_pte(uint64_t va, int level)
{
    uint64_t *table = kernel_root;
    for (int l = 2; l > level; l--) {
        uint64_t *e = &table[va >> (12 + 9 * l) & 511];
        if (!(*e & V))
            *e = table_page() >> 2 | V;
        table = pa_to_kva(*e >> 10 << 12);
    }
    return &table[va >> (12 + 9 * level) & 511];
}

static void map_at(uint64_t va, pa_t pa, int level, uint64_t perm)
{
    *kernel_pte(va, level) = pa >> 2 | perm | V | A | D | G;
}

// Leaves as large as alignment allows.
static void map_range(uint64_t va, pa_t pa, uint64_t size, uint64_t perm)
{
    while (size) {
        int level = 2;
        while (level &&
               ((va | pa) & ((1ul << (12 + 9 * level)) - 1) || size < 1ul << (12 + 9 * level)))
            level--;
        map_at(va, pa, level, perm);
        uint64_t step = 1ul << (12 + 9 * level);
        va += step;
        pa += step;
        size -= step;
    }
}

static void map_linear(pa_t lo, pa_t hi, uint64_t perm)
{
    map_range((uint64_t)pa_to_kva(lo), lo, hi - lo, perm);
}

static void kernel_map_build(const struct dt_range *ram, size_t n)
{
    pa_t image = kva_to_pa(__image_start), text = kva_to_pa(__text_end);
    pa_t rodata = kva_to_pa(__rodata_end), end = page_round_up(kva_to_pa(__image_end));
    kernel_root = pa_to_kva(early_page());
    map_linear(0, 0x80000000, R | W); // devices; RAM of `virt` starts behind them
    for (size_t i = 0; i < n; i++) {
        pa_t lo = page_round_up(ram[i].lo), hi = page_round_down(ram[i].hi);
        if (lo <= image && end <= hi) {
            map_linear(lo, image, R | W);
            map_linear(image, text, R | X);
            map_linear(text, rodata, R);
            map_linear(rodata, end, R | W);
            lo = end;
        }
        map_linear(lo, hi, R | W);
    }
    *kernel_pte((uint64_t)boot_stack_guard, 0) = 0;
    kernel_pte(KSTACK_BASE, 1); // so that every space shares this gigabyte's table
}

static void use_kernel_root(void)
{
    csr_write(satp, 8ul << 60 | kva_to_pa(kernel_root) >> 12);
    __asm__ volatile("sfence.vma" ::: "memory");
}

void *kstack_alloc(size_t size)
{
    static struct spinlock lock = SPINLOCK_INIT("kstack");
    static uint64_t next = KSTACK_BASE;
    spin_lock(&lock);
    uint64_t lo = next + PAGE_SIZE; // the guard page stays unmapped
    next = lo + page_round_up(size);
    for (uint64_t va = lo; va < next; va += PAGE_SIZE)
        map_at(va, table_page(), 0, R | W);
    spin_unlock(&lock);
    __asm__ volatile("sfence.vma" ::: "memory");
    return (void *)lo;
}

// ---- RAM for the frame allocator

static size_t subtract(struct dt_range *r, size_t n, size_t max, pa_t lo, pa_t hi)
{
    for (size_t i = 0; i < n; i++) {
        struct dt_range old = r[i];
        if (hi <= old.lo || old.hi <= lo)
            continue;
        r[i].hi = lo > old.lo ? lo : old.lo; // the part below; may be empty
        if (hi < old.hi && n < max)
            r[n++] = (struct dt_range){hi, old.hi}; // the part above
    }
    return n;
}

static int by_address(const void *a, const void *b)
{
    const struct frame_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static void memory_init(void)
{
    struct dt_range ram[32], free[96], reserved[32];
    size_t n = dt_memory(ram, 32), nr = dt_reserved(reserved, 32), nf = n;
    if (!n)
        panic("device tree: no memory node");
    early_next = page_round_up(kva_to_pa(__image_end));
    early_end = early_next + 64 * PAGE_SIZE;
    kernel_map_build(ram, n);
    use_kernel_root();
    memcpy(free, ram, n * sizeof *ram);
    nf = subtract(free, nf, 96, 0x80000000, early_next);
    for (size_t i = 0; i < nr; i++)
        nf = subtract(free, nf, 96, page_round_down(reserved[i].lo), page_round_up(reserved[i].hi));
    struct frame_range ranges[96];
    size_t k = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < nf; i++)
        if (page_round_up(free[i].lo) < page_round_down(free[i].hi)) {
            ranges[k++] =
                (struct frame_range){page_round_up(free[i].lo), page_round_down(free[i].hi)};
            bytes += ranges[k - 1].hi - ranges[k - 1].lo;
        }
    qsort(ranges, k, sizeof *ranges, by_address);
    frames_init(ranges, k);
    table_page = frame_page;
    log_info("memory: %lu MiB free in %lu ranges", (unsigned long)(bytes >> 20), (unsigned long)k);
}

// ---- harts

static void hart_init(uint32_t index, uint64_t id, uint64_t stack_lo, uint64_t stack_hi)
{
    struct hart *h = this_hart();
    h->index = index;
    h->id = id;
    h->stack_lo = stack_lo;
    h->stack_hi = stack_hi;
    harts[index] = h;
    csr_write(stvec, trap_entry);
    csr_write(sscratch, 0);
    csr_write(scounteren, 7);
    csr_write(sie, SIP_SSIP | SIP_STIP | SIP_SEIP);
}

static int note_start(void *started, void *owner)
{
    (void)owner;
    *(uint64_t *)started = clock_monotonic_ns();
    return 0;
}
HART_LOCAL(hart_started_ns, note_start, NULL);

static void hart_online(void)
{
    int e = hart_locals_construct();
    if (e)
        panic("hart %u: a hart-local constructor failed with %d", hart_index(), e);
    store_release(&hart_self.online, 1);
}

static _Noreturn void secondary_main(struct hart_start *s)
{
    hart_init(s->index, s->id, s->sp - HART_STACK, s->sp);
    timer_program(UINT64_MAX);
    hart_online();
    ipi_send(0, IPI_WAKE);
    executor_run();
}

static size_t tls_size(void)
{
    return (size_t)(__tbss_end - __tdata_start);
}

static void *tls_new(void)
{
    char *tls = kzalloc(tls_size() + 64);
    if (!tls)
        return NULL;
    tls = (char *)(((uint64_t)tls + 63) & ~63ul);
    memcpy(tls, __tdata_start, (size_t)(__tdata_end - __tdata_start));
    return tls;
}

static void harts_start(uint64_t boot_id)
{
    struct dt_hart list[MAX_HARTS];
    size_t n = dt_harts(list, MAX_HARTS);
    hart_count = n ? (uint32_t)n : 1;
    executor_init();
    uint32_t index = 1;
    for (size_t i = 0; i < n; i++) {
        if (list[i].id == boot_id)
            continue;
        struct hart_start *s = kzalloc(sizeof *s);
        void *tls = tls_new();
        if (!s || !tls)
            panic("no memory for hart %lu", (unsigned long)list[i].id);
        uint64_t stack = (uint64_t)kstack_alloc(HART_STACK);
        *s = (struct hart_start){kva_to_pa(kernel_root),
                                 stack + HART_STACK,
                                 (uint64_t)tls,
                                 (uint64_t)secondary_main,
                                 index,
                                 list[i].id};
        harts[index] = (struct hart *)tls;
        store_release(&hart_starting, s);
        struct sbi_ret r =
            sbi_call(SBI_EXT_HSM, 0, list[i].id, kva_to_pa(secondary_start), (uint64_t)s, 0);
        if (r.error)
            panic("hart %lu does not start: SBI error %ld", (unsigned long)list[i].id, r.error);
        while (!load_acquire(&harts[index]->online)) {
            cpu_wait_for_interrupt(); // it sends one: under icount a spinning hart keeps others from running
            irq_poll();
        }
        index++;
    }
}

// The boot hart is whichever firmware chose; it gets index 0.
_Noreturn void boot_main(uint64_t hart_id, pa_t dt_pa)
{
    memcpy(boot_tls, __tdata_start, (size_t)(__tdata_end - __tdata_start));
    hart_init(0, hart_id, (uint64_t)boot_stack_top - HART_STACK, (uint64_t)boot_stack_top);
    log_set_sink(boot_console_put);
    dt_init(dt_pa);
    machine_init();
    log_info("Tidepool on hart %lu", (unsigned long)hart_id);
    memory_init();
    if (tls_size() > TLS_MAX)
        panic("hart-local storage of %lu bytes does not fit %d", tls_size(), TLS_MAX);
    heap_init();
    locals_init();
    for (void (**f)(void) = __init_array_start; f < __init_array_end; f++)
        (*f)();
    init_run(INIT_EARLY);
    timer_program(UINT64_MAX);
    hart_online();
    init_run(INIT_HARTS);
    harts_start(hart_id);
    log_info("harts: %u online", hart_count);
    init_run(INIT_CORE);
    init_run(INIT_DRIVERS);
    init_run(INIT_FS);
    init_run(INIT_LATE);
    init_run(INIT_USER);
    executor_run();
}
