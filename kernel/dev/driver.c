// SPDX-License-Identifier: MIT
// Devices from the device tree, and the rounds in which drivers bind to them: see driver.h.
//
// Addresses are taken as the tree writes them: buses with an empty `ranges` map one to one, which
// is all that boards with memory-mapped devices of this kind have; others are reported.
#include "dev/driver.h"

#include "lib/dt.h"
#include "lib/errno.h"
#include "lib/init.h"
#include "lib/log.h"
#include "page/heap.h"

#include <libfdt.h>
#include <string.h>

struct list devices = LIST_INIT(devices);

static const char *const state_names[] = {
    [DEVICE_UNBOUND] = "unbound", [DEVICE_DEFERRED] = "deferred", [DEVICE_BOUND] = "bound",
    [DEVICE_ABSENT] = "absent",   [DEVICE_FAILED] = "failed",
};

const char *device_state_name(enum device_state s)
{
    return s < sizeof(state_names) / sizeof(state_names[0]) ? state_names[s] : "?";
}

volatile void *device_map(const struct device *dev, unsigned i)
{
    return i < dev->reg_count ? pa_to_kva(dev->reg[i].pa) : NULL;
}

bool device_u32(const struct device *dev, const char *property, uint32_t *out)
{
    int len = 0;
    const fdt32_t *p = fdt_getprop(dt_blob, dev->node, property, &len);
    if (!p || len < 4)
        return false;
    *out = fdt32_ld(p);
    return true;
}

struct device *device_find(const char *compatible, struct device *after)
{
    for (struct list *it = after ? after->link.next : devices.next; it != &devices; it = it->next) {
        struct device *dev = list_entry(it, struct device, link);
        if (fdt_node_check_compatible(dt_blob, dev->node, compatible) == 0)
            return dev;
    }
    return NULL;
}

// ---- reading a node

static bool node_enabled(int node)
{
    const char *status = fdt_getprop(dt_blob, node, "status", NULL);
    return !status || strcmp(status, "okay") == 0 || strcmp(status, "ok") == 0;
}

static uint64_t cells(const fdt32_t *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 32 | fdt32_ld(p + i);
    return v;
}

static void read_regs(struct device *dev, int parent)
{
    int len = 0, ac = fdt_address_cells(dt_blob, parent), sc = fdt_size_cells(dt_blob, parent);
    const fdt32_t *p = fdt_getprop(dt_blob, dev->node, "reg", &len);
    if (!p || ac < 1 || ac > 2 || sc < 0 || sc > 2)
        return;
    for (int left = len / 4; left >= ac + sc && dev->reg_count < DEVICE_REGS; left -= ac + sc) {
        dev->reg[dev->reg_count++] =
            (struct device_reg){.pa = cells(p, ac), .size = cells(p + ac, sc)};
        p += ac + sc;
    }
}

// A controller with more than one cell per interrupt has the source in the first.
static void read_interrupt(struct device *dev)
{
    int len = 0;
    const fdt32_t *p = fdt_getprop(dt_blob, dev->node, "interrupts-extended", &len);
    if (p && len == 8) { // controllers list several: of harts, not sources
        dev->irq_parent = fdt32_ld(p);
        dev->irq = fdt32_ld(p + 1);
        return;
    }
    p = fdt_getprop(dt_blob, dev->node, "interrupts", &len);
    if (!p || len < 4)
        return;
    dev->irq = fdt32_ld(p);
    for (int node = dev->node; node >= 0; node = fdt_parent_offset(dt_blob, node)) {
        p = fdt_getprop(dt_blob, node, "interrupt-parent", &len);
        if (p && len >= 4) {
            dev->irq_parent = fdt32_ld(p);
            return;
        }
    }
}

static struct device *add_device(int node, struct device *parent, const char *compatible)
{
    struct device *dev = kzalloc(sizeof(*dev));
    if (!dev)
        panic("no memory for the devices of the device tree");
    dev->node = node;
    dev->name = fdt_get_name(dt_blob, node, NULL);
    dev->compatible = compatible;
    dev->parent = parent;
    read_regs(dev, fdt_parent_offset(dt_blob, node));
    read_interrupt(dev);
    list_push_back(&devices, &dev->link);
    return dev;
}

enum { TREE_DEPTH = 16 };

static void read_tree(void)
{
    struct device *above[TREE_DEPTH] = {0};
    int depth = 0, disabled = TREE_DEPTH;
    for (int node = fdt_next_node(dt_blob, -1, &depth); node >= 0 && depth >= 0;
         node = fdt_next_node(dt_blob, node, &depth)) {
        if (depth >= TREE_DEPTH || depth > disabled)
            continue;
        disabled = node_enabled(node) ? TREE_DEPTH : depth;
        above[depth] = depth > 0 ? above[depth - 1] : NULL;
        const char *compatible = fdt_getprop(dt_blob, node, "compatible", NULL);
        if (compatible && depth > 0 && disabled == TREE_DEPTH)
            above[depth] = add_device(node, above[depth], compatible);
    }
}

// ---- binding

static bool driver_lists(const struct driver *drv, const char *compatible)
{
    for (const char *s = drv->compatible; *s; s += strlen(s) + 1)
        if (strcmp(s, compatible) == 0)
            return true;
    return false;
}

static const struct driver *driver_for(const char *compatible)
{
    SET_FOREACH(drivers, struct driver, drv)
        if (driver_lists(drv, compatible))
            return drv;
    return NULL;
}

static void set_result(struct device *dev, int error)
{
    dev->error = error;
    dev->state = error == 0               ? DEVICE_BOUND
                 : error == -EPROBE_DEFER ? DEVICE_DEFERRED
                 : error == -ENODEV       ? DEVICE_ABSENT
                                          : DEVICE_FAILED;
    if (dev->state == DEVICE_FAILED)
        log_error("%s: driver %s failed with %d", dev->name, dev->driver->name, error);
}

// The node's strings go from the most specific to the most general: the first that any driver
// knows decides.
static void probe_device(struct device *dev)
{
    int len = 0;
    const char *list = fdt_getprop(dt_blob, dev->node, "compatible", &len);
    for (const char *s = list; s && s < list + len; s += strlen(s) + 1) {
        const struct driver *drv = driver_for(s);
        if (!drv)
            continue;
        dev->driver = drv;
        dev->compatible = s;
        set_result(dev, drv->probe(dev));
        return;
    }
}

static bool wants_probe(const struct device *dev)
{
    return dev->state == DEVICE_DEFERRED || (dev->state == DEVICE_UNBOUND && !dev->driver);
}

static unsigned probe_round(void)
{
    unsigned bound = 0;
    LIST_FOREACH(it, &devices) {
        struct device *dev = list_entry(it, struct device, link);
        if (!wants_probe(dev))
            continue;
        probe_device(dev);
        bound += dev->state == DEVICE_BOUND;
    }
    return bound;
}

static void drivers_bind(void)
{
    unsigned total = 0, bound;
    if (dt_blob)
        read_tree();
    while ((bound = probe_round()) > 0)
        total += bound;
    LIST_FOREACH(it, &devices) {
        const struct device *dev = list_entry(it, struct device, link);
        if (dev->state == DEVICE_DEFERRED)
            log_warn("%s: driver %s waits for a device that is not there", dev->name,
                     dev->driver->name);
    }
    log_info("devices: %u bound", total);
}
INIT(INIT_DRIVERS, drivers_bind);
