// SPDX-License-Identifier: MIT
// The platform-level interrupt controller (RISC-V PLIC specification 1.0.0): see irq.h.
//
// Which context belongs to which hart is read from `interrupts-extended`: entry n is context n,
// and names the interrupt controller of a cpu node and the cause it raises there. A claim that
// returns 0 is normal: another hart was quicker. A source that is disabled between claim and
// complete is lost for good, so enable bits change only while no claim is outstanding: a source
// in service is moved by whoever completes it.
#include "dev/irq.h"

#include "arch/cpu.h"
#include "arch/mmio.h"
#include "dev/driver.h"
#include "fs/proc.h"
#include "lib/dt.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/spinlock.h"
#include "lib/trace.h"
#include "page/heap.h"

#include <libfdt.h>

TRACE_POINT(irq, "irq", "a device's interrupt was served", TRACE_ARG("source", NUMBER),
            TRACE_ARG("device", NAME), TRACE_ARG("ns", NS));

enum {
    PLIC_ENABLE = 0x2000,
    PLIC_ENABLE_STRIDE = 0x80,
    PLIC_CONTEXT = 0x200000,
    PLIC_CONTEXT_STRIDE = 0x1000,
    PLIC_THRESHOLD = 0,
    PLIC_CLAIM = 4,
    CAUSE_S_EXTERNAL = 9,
    NO_CONTEXT = -1,
    CLAIMS_AT_ONCE = 32, // then back to the executor; what is left is still pending
};

struct source {
    irq_handler *handler;
    void *arg;
    const char *name;
    uint32_t hart; // index of the hart it is enabled on
    uint32_t wanted_hart;
    bool in_service;
};

static struct spinlock lock = SPINLOCK_INIT("plic");
static volatile uint8_t *plic;
static uint32_t source_count;
static struct source sources[IRQ_SOURCES];
static int context_of[MAX_HARTS];   // by hart index
static uint64_t *counts[MAX_HARTS]; // by hart index, then source; written by that hart only

static volatile void *context_reg(uint32_t hart, uint32_t reg)
{
    return plic + PLIC_CONTEXT + PLIC_CONTEXT_STRIDE * context_of[hart] + reg;
}

// Lock held, source not in service.
static void set_enabled(uint32_t source, uint32_t hart, bool on)
{
    volatile void *reg =
        plic + PLIC_ENABLE + PLIC_ENABLE_STRIDE * context_of[hart] + source / 32 * 4;
    uint32_t bit = 1u << source % 32, now = mmio_read32(reg);
    mmio_write32(reg, on ? now | bit : now & ~bit);
}

static void move_source(uint32_t source)
{
    struct source *s = &sources[source];
    set_enabled(source, s->hart, false);
    s->hart = s->wanted_hart;
    set_enabled(source, s->hart, true);
}

static bool hart_serves(uint32_t hart)
{
    return hart < hart_count && context_of[hart] != NO_CONTEXT;
}

int irq_register(uint32_t source, irq_handler *handler, void *arg, const char *name)
{
    if (!plic)
        return -EPROBE_DEFER;
    if (source == 0 || source > source_count)
        return -EINVAL;
    struct source *s = &sources[source];
    spin_lock(&lock);
    if (s->handler) {
        spin_unlock(&lock);
        return -EBUSY;
    }
    *s = (struct source){.handler = handler, .arg = arg, .name = name};
    while (!hart_serves(s->hart))
        s->hart++;
    s->wanted_hart = s->hart;
    mmio_write32(plic + 4 * source, 1);
    set_enabled(source, s->hart, true);
    spin_unlock(&lock);
    return 0;
}

int irq_set_hart(uint32_t source, uint32_t hart)
{
    if (!plic || source == 0 || source > source_count || !hart_serves(hart))
        return -EINVAL;
    int r = -EINVAL;
    spin_lock(&lock);
    struct source *s = &sources[source];
    if (s->handler) {
        s->wanted_hart = hart;
        if (!s->in_service && s->hart != hart)
            move_source(source);
        r = 0;
    }
    spin_unlock(&lock);
    return r;
}

// Claim and the mark are one step under the lock: nobody sees a claimed source unmarked.
static uint32_t claim(uint32_t hart)
{
    spin_lock(&lock);
    uint32_t source = mmio_read32(context_reg(hart, PLIC_CLAIM));
    if (source)
        sources[source].in_service = true;
    spin_unlock(&lock);
    return source;
}

static void complete(uint32_t hart, uint32_t source)
{
    struct source *s = &sources[source];
    spin_lock(&lock);
    mmio_write32(context_reg(hart, PLIC_CLAIM), source);
    s->in_service = false;
    if (s->wanted_hart != s->hart)
        move_source(source);
    spin_unlock(&lock);
}

static cold void serve_traced(uint32_t source)
{
    const struct source *s = &sources[source];
    uint64_t from = time_ticks();
    s->handler(source, s->arg);
    TRACE(irq, source, (uint64_t)(uintptr_t)s->name, ticks_to_ns(time_ticks() - from));
}

void irq_dispatch(void)
{
    uint32_t hart = hart_index();
    if (!plic || !hart_serves(hart))
        return;
    for (unsigned i = 0; i < CLAIMS_AT_ONCE; i++) {
        uint32_t source = claim(hart);
        if (!source)
            return;
        counts[hart][source]++;
        if (TRACE_ON(irq))
            serve_traced(source);
        else
            sources[source].handler(source, sources[source].arg);
        complete(hart, source);
    }
}

bool irq_info(uint32_t source, const char **name, uint32_t *hart)
{
    if (source >= IRQ_SOURCES || !sources[source].handler)
        return false;
    *name = sources[source].name;
    *hart = sources[source].hart;
    return true;
}

uint64_t irq_count(uint32_t source, uint32_t hart)
{
    return source < IRQ_SOURCES && hart < hart_count && counts[hart]
               ? load_relaxed(&counts[hart][source])
               : 0;
}

static void show_interrupts(struct text *out)
{
    text_printf(out, "    ");
    for (uint32_t h = 0; h < hart_count; h++)
        text_printf(out, "       CPU%u", h);
    text_printf(out, "\n");
    for (uint32_t s = 1; s <= source_count; s++) {
        if (!sources[s].handler)
            continue;
        text_printf(out, "%3u:", s);
        for (uint32_t h = 0; h < hart_count; h++)
            text_printf(out, " %10lu", (unsigned long)irq_count(s, h));
        text_printf(out, "  PLIC %u  %s\n", s, sources[s].name);
    }
    text_printf(out, "IPI:");
    for (uint32_t h = 0; h < hart_count; h++)
        text_printf(out, " %10lu", (unsigned long)load_relaxed(&harts[h]->ipis_taken));
    text_printf(out, "  from other harts\n");
}
PROC(interrupts, show_interrupts);

// ---- probe

// The hart whose interrupt controller has this phandle; hart_count if none that runs.
static uint32_t hart_of_phandle(uint32_t phandle)
{
    int node = fdt_node_offset_by_phandle(dt_blob, phandle);
    int cpu = node < 0 ? node : fdt_parent_offset(dt_blob, node), len = 0;
    const fdt32_t *reg = cpu < 0 ? NULL : fdt_getprop(dt_blob, cpu, "reg", &len);
    if (!reg || len < 4)
        return hart_count;
    uint64_t id = len >= 8 ? (uint64_t)fdt32_ld(reg) << 32 | fdt32_ld(reg + 1) : fdt32_ld(reg);
    for (uint32_t i = 0; i < hart_count; i++)
        if (harts[i] && harts[i]->id == id)
            return i;
    return hart_count;
}

static unsigned read_contexts(const struct device *dev)
{
    int len = 0;
    unsigned found = 0;
    const fdt32_t *p = fdt_getprop(dt_blob, dev->node, "interrupts-extended", &len);
    for (uint32_t i = 0; i < MAX_HARTS; i++)
        context_of[i] = NO_CONTEXT;
    for (int n = 0; p && n < len / 8; n++) {
        uint32_t hart = hart_of_phandle(fdt32_ld(p + 2 * n));
        if (fdt32_ld(p + 2 * n + 1) != CAUSE_S_EXTERNAL || hart >= hart_count)
            continue;
        context_of[hart] = n;
        found++;
    }
    return found;
}

static int probe(struct device *dev)
{
    uint32_t ndev = 0;
    if (plic)
        return -EBUSY;
    if (!device_map(dev, 0) || !device_u32(dev, "riscv,ndev", &ndev) || !read_contexts(dev))
        return -EINVAL;
    for (uint32_t i = 0; i < hart_count; i++)
        if (hart_serves(i) && !(counts[i] = kzalloc(IRQ_SOURCES * sizeof(uint64_t))))
            return -ENOMEM;
    source_count = ndev < IRQ_SOURCES ? ndev : IRQ_SOURCES - 1;
    plic = device_map(dev, 0);
    for (uint32_t s = 1; s <= source_count; s++)
        mmio_write32(plic + 4 * s, 0);
    for (uint32_t i = 0; i < hart_count; i++) {
        if (!hart_serves(i))
            continue;
        for (uint32_t w = 0; w <= source_count / 32; w++)
            mmio_write32(plic + PLIC_ENABLE + PLIC_ENABLE_STRIDE * context_of[i] + 4 * w, 0);
        mmio_write32(context_reg(i, PLIC_THRESHOLD), 0);
    }
    irq_external = irq_dispatch;
    log_info("%s: %u sources, serves %u harts", dev->name, source_count, hart_count);
    return 0;
}
DRIVER(plic, "sifive,plic-1.0.0\0riscv,plic0", probe);
