// SPDX-License-Identifier: MIT
// The device tree, read with libfdt. See dt.h.
#include "lib/dt.h"

#include "arch/cpu.h"

#include "lib/log.h"

#include <libfdt.h>
#include <string.h>

const void *dt_blob;
static pa_t dt_pa;

void dt_init(pa_t pa)
{
    const void *blob = pa_to_kva(pa);
    int e = fdt_check_header(blob);
    if (e)
        panic("device tree at 0x%lx: %s", pa, fdt_strerror(e));
    dt_blob = blob;
    dt_pa = pa;
}

static uint64_t read_cells(const fdt32_t **p, int cells)
{
    uint64_t v = 0;
    while (cells-- > 0)
        v = v << 32 | fdt32_ld((*p)++);
    return v;
}

static size_t add_regs(int node, int parent, struct dt_range *out, size_t n, size_t max)
{
    int len, ac = fdt_address_cells(dt_blob, parent), sc = fdt_size_cells(dt_blob, parent);
    const fdt32_t *p = fdt_getprop(dt_blob, node, "reg", &len);
    if (!p || ac < 1 || sc < 1)
        return n;
    for (int left = len / 4; left >= ac + sc && n < max; left -= ac + sc) {
        uint64_t lo = read_cells(&p, ac), size = read_cells(&p, sc);
        if (size && lo + size > lo)
            out[n++] = (struct dt_range){lo, lo + size};
    }
    return n;
}

size_t dt_memory(struct dt_range *out, size_t max)
{
    size_t n = 0;
    int node = -1;
    while ((node = fdt_node_offset_by_prop_value(dt_blob, node, "device_type", "memory", 7)) >= 0)
        n = add_regs(node, fdt_parent_offset(dt_blob, node), out, n, max);
    return n;
}

bool dt_is_ram(pa_t lo, pa_t hi)
{
    static struct dt_range ram[32];
    static size_t n;
    if (!n)
        n = dt_memory(ram, 32);
    for (size_t i = 0; i < n; i++)
        if (ram[i].lo <= lo && hi <= ram[i].hi)
            return true;
    return false;
}

size_t dt_reserved(struct dt_range *out, size_t max)
{
    size_t n = 0;
    int node, parent = fdt_path_offset(dt_blob, "/reserved-memory");
    if (parent >= 0)
        fdt_for_each_subnode(node, dt_blob, parent) n = add_regs(node, parent, out, n, max);
    for (int i = 0; i < fdt_num_mem_rsv(dt_blob) && n < max; i++) {
        uint64_t lo, size;
        if (!fdt_get_mem_rsv(dt_blob, i, &lo, &size) && size)
            out[n++] = (struct dt_range){lo, lo + size};
    }
    if (n < max)
        out[n++] = (struct dt_range){dt_pa, dt_pa + fdt_totalsize(dt_blob)};
    if (n < max && dt_initrd(&out[n]))
        n++;
    return n;
}

size_t dt_harts(struct dt_hart *out, size_t max)
{
    size_t n = 0;
    int node, cpus = fdt_path_offset(dt_blob, "/cpus");
    if (cpus < 0)
        return 0;
    fdt_for_each_subnode(node, dt_blob, cpus)
    {
        int len;
        const char *type = fdt_getprop(dt_blob, node, "device_type", NULL);
        const char *status = fdt_getprop(dt_blob, node, "status", NULL);
        const fdt32_t *reg = fdt_getprop(dt_blob, node, "reg", &len);
        if (!type || strcmp(type, "cpu") || !reg || (status && strncmp(status, "ok", 2)))
            continue;
        if (n < max)
            out[n++] = (struct dt_hart){read_cells(&reg, len / 4), node};
    }
    return n;
}

// The ISA string is "rv64" + single letters, then names separated by underscores.
static bool isa_string_has(const char *isa, const char *ext)
{
    size_t n = strlen(ext);
    if (n == 1)
        return strlen(isa) > 4 && memchr(isa + 4, ext[0], strcspn(isa + 4, "_")) != NULL;
    for (const char *p = strchr(isa, '_'); p; p = strchr(p, '_')) {
        p++;
        if (!strncmp(p, ext, n) && (p[n] == '_' || !p[n]))
            return true;
    }
    return false;
}

bool dt_isa_has(const char *ext)
{
    int node, cpus = fdt_path_offset(dt_blob, "/cpus");
    bool any = false;
    if (cpus < 0)
        return false;
    fdt_for_each_subnode(node, dt_blob, cpus)
    {
        const char *isa = fdt_getprop(dt_blob, node, "riscv,isa", NULL);
        if (!isa)
            continue;
        if (!isa_string_has(isa, ext))
            return false;
        any = true;
    }
    return any;
}

const char *dt_isa_string(uint64_t hart_id)
{
    struct dt_hart hart[MAX_HARTS];
    size_t n = dt_harts(hart, MAX_HARTS);
    for (size_t i = 0; i < n; i++) {
        const char *isa = fdt_getprop(dt_blob, hart[i].node, "riscv,isa", NULL);
        if (hart[i].id == hart_id && isa)
            return isa;
    }
    return "unknown";
}

uint64_t dt_timebase(void)
{
    int len, cpus = fdt_path_offset(dt_blob, "/cpus");
    const fdt32_t *p = cpus < 0 ? NULL : fdt_getprop(dt_blob, cpus, "timebase-frequency", &len);
    if (!p)
        panic("device tree: /cpus has no timebase-frequency");
    return read_cells(&p, len / 4);
}

static const void *chosen(const char *prop, int *len)
{
    int node = fdt_path_offset(dt_blob, "/chosen");
    return node < 0 ? NULL : fdt_getprop(dt_blob, node, prop, len);
}

bool dt_initrd(struct dt_range *out)
{
    int ls, le;
    const fdt32_t *s = chosen("linux,initrd-start", &ls), *e = chosen("linux,initrd-end", &le);
    if (!s || !e)
        return false;
    out->lo = read_cells(&s, ls / 4);
    out->hi = read_cells(&e, le / 4);
    return out->hi > out->lo;
}

size_t dt_rng_seed(const void **seed)
{
    int len = 0;
    *seed = chosen("rng-seed", &len);
    return *seed && len > 0 ? (size_t)len : 0;
}

const char *boot_args(void)
{
    const char *s = dt_blob ? chosen("bootargs", NULL) : NULL;
    return s ? s : "";
}

bool boot_arg(const char *key, char *value, size_t n)
{
    size_t klen = strlen(key);
    for (const char *p = boot_args(); *p;) {
        size_t word = strcspn(p, " ");
        if (word >= klen && !memcmp(p, key, klen) && (word == klen || p[klen] == '=')) {
            size_t len = word > klen ? word - klen - 1 : 0;
            if (n) {
                len = len < n - 1 ? len : n - 1;
                memcpy(value, p + word - (word > klen ? word - klen - 1 : 0), len);
                value[len] = 0;
            }
            return true;
        }
        p += word;
        p += strspn(p, " ");
    }
    return false;
}
