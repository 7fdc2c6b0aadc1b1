// SPDX-License-Identifier: MIT
// Devices: the nodes of the device tree that say what they are, the drivers bound to them, and what the
// tree says of each. They are made at boot and live for ever: the id is the place in the list.
#include "dev/driver.h"

#include "class/classes.h"
#include "lib/dt.h"
#include "lib/errno.h"

#include <lauxlib.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

struct device_view {
    const char *name, *compatible, *state, *driver, *parent_name;
    uint64_t registers, bytes, parent, node;
    uint32_t irq;
    int32_t error;
};

struct device *class_device_at(uint64_t id)
{
    LIST_FOREACH(it, &devices)
        if (id-- == 0)
            return list_entry(it, struct device, link);
    return NULL;
}

static uint64_t place_of(const struct device *d)
{
    uint64_t id = 0;
    LIST_FOREACH(it, &devices) {
        if (list_entry(it, struct device, link) == d)
            break;
        id++;
    }
    return id;
}

static long device_copy(const struct class_key *key, void *out)
{
    const struct device *d = class_device_at(key->id);
    struct device_view *v = out;
    if (!d)
        return -ENOENT;
    *v = (struct device_view){
        .name = d->name,
        .compatible = d->compatible,
        .state = device_state_name(d->state),
        .driver = d->driver ? d->driver->name : NULL,
        .parent_name = d->parent ? d->parent->name : NULL,
        .parent = d->parent ? place_of(d->parent) : 0,
        .node = (uint64_t)d->node,
        .irq = d->irq,
        .error = d->error,
    };
    if (d->reg_count) {
        v->registers = d->reg[0].pa;
        v->bytes = d->reg[0].size;
    }
    return 0;
}

static size_t device_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    size_t n = 0;
    for (uint64_t i = from; n < max && class_device_at(i); i++)
        out[n++] = (struct class_key){i, owner};
    return n;
}

static void device_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct device_view *v = copy;
    (void)key;
    snprintf(buf, n, "%s (%s) %s%s%s", v->name, v->compatible, v->state, v->driver ? " to " : "",
             v->driver ? v->driver : "");
}

static void push_parent(lua_State *L, const struct class_key *key, const void *copy)
{
    const struct device_view *v = copy;
    (void)key;
    if (v->parent_name)
        class_push(L, class_device, (struct class_key){v->parent, 0});
    else
        lua_pushnil(L);
}

static void push_irq(lua_State *L, const struct class_key *key, const void *copy)
{
    struct class_key irq = {((const struct device_view *)copy)->irq, 0};
    uint64_t view[CLASS_COPY_MAX / 8];
    (void)key;
    if (irq.id && class_copy(class_irq, &irq, view))
        class_push(L, class_irq, irq);
    else
        lua_pushnil(L);
}

// Strings, each with its zero at the end, and nothing else?
static bool is_text(const char *p, int len)
{
    if (len < 2 || p[len - 1] || !p[0])
        return false;
    for (int i = 0; i + 1 < len; i++)
        if (p[i] ? p[i] < 32 || p[i] > 126 : !p[i + 1])
            return false;
    return true;
}

// Texts as they are, joined by commas; else cells, or bytes, in hexadecimal.
static void push_property(lua_State *L, const char *p, int len)
{
    luaL_Buffer b;
    char cell[12];
    bool text = is_text(p, len);
    int step = len % 4 ? 1 : 4;
    luaL_buffinit(L, &b);
    if (text)
        for (int i = 0; i + 1 < len; i++)
            luaL_addchar(&b, p[i] ? p[i] : ',');
    for (int i = 0; !text && i < len && i < 256; i += step) {
        snprintf(cell, sizeof cell, step == 4 ? "%s%08x" : "%s%02x", i ? " " : "",
                 step == 4 ? fdt32_ld((const fdt32_t *)(p + i)) : (uint8_t)p[i]);
        luaL_addstring(&b, cell);
    }
    luaL_pushresult(&b);
}

// d:properties() -> list of {name, value}
static int device_properties(lua_State *L)
{
    struct device_view v;
    int n = 0, at;
    class_self(L, 1, class_device, &v);
    lua_newtable(L);
    fdt_for_each_property_offset(at, dt_blob, (int)v.node)
    {
        const char *name;
        int len;
        const void *p = fdt_getprop_by_offset(dt_blob, at, &name, &len);
        if (!p)
            continue;
        lua_createtable(L, 0, 2);
        class_set_text(L, "name", name);
        push_property(L, p, len);
        lua_setfield(L, -2, "value");
        lua_rawseti(L, -2, ++n);
    }
    class_set_columns(L, "name value");
    return 1;
}

static const struct class_field fields[] = {
    FIELD(struct device_view, name, "of its node in the device tree"),
    FIELD(struct device_view, compatible, "the string that a driver knew, or the first"),
    FIELD(struct device_view, driver, "who drives it, or nil"),
    FIELD(struct device_view, state, "bound, unbound, deferred, absent or failed"),
    FIELD(struct device_view, error, "of the last probe"),
    FIELD_ADDRESS(struct device_view, registers, "physical address of the first block, 0: none"),
    FIELD(struct device_view, bytes, "of that block"),
    FIELD_OTHER("irq", "Irq", "its interrupt, if somebody handles it", push_irq),
    FIELD_OTHER("parent", "Device", "the nearest device around it; nil at the root", push_parent),
    {0},
};

static const struct class_method methods[] = {
    {"properties", "d:properties() -> list of {name, value}",
     "what its node says: text, or cells in hexadecimal",
     "k.devices():where{driver = \"plic\"}:first():properties()", device_properties},
    {0},
};

CLASS(device, .name = "Device", .doc = "a node of the device tree, and the driver bound to it",
      .place = "struct device, kernel/dev/driver.h", .example = "k.devices():first()",
      .display = "tree parent", .size = sizeof(struct device_view), .copy = device_copy,
      .keys = device_keys, .line = device_line, .fields = fields, .methods = methods);

static int k_devices(lua_State *L)
{
    class_push_list(L, class_device, 0);
    return 1;
}
MONITOR_API(devices, "devices", "k.devices() -> list of Device",
            "nodes of the device tree and the drivers bound to them", "k.devices()", k_devices,
            NULL);
