// SPDX-License-Identifier: MIT
// Pipes: what waits in each, and who waits for it. One is named as its file is: number, and st_dev.
#include "fs/pipe.h"

#include "class/classes.h"
#include "lib/errno.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

static long pipe_copy(const struct class_key *key, void *out)
{
    struct vnode *v = class_vnode_find(key->owner, key->id);
    bool is = v && pipe_look(v, out);
    if (v)
        vnode_put(v);
    return is ? 0 : -ENOENT;
}

static size_t pipe_keys(uint64_t owner, uint64_t from, struct class_key *out, size_t max)
{
    return class_vnode->keys(owner, from, out, max);
}

static void pipe_line(char *buf, size_t n, const struct class_key *key, const void *copy)
{
    const struct pipe_info *v = copy;
    (void)key;
    snprintf(buf, n, "%lu bytes in it, %u ends to read (%u wait), %u to write (%u wait)",
             (unsigned long)v->bytes, v->readers, v->reading, v->writers, v->writing);
}

static void push_task(lua_State *L, uint32_t id)
{
    if (id)
        class_push(L, class_task, (struct class_key){id, 0});
    else
        lua_pushnil(L);
}

static void push_reader(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)key;
    push_task(L, ((const struct pipe_info *)copy)->first_reader);
}

static void push_writer(lua_State *L, const struct class_key *key, const void *copy)
{
    (void)key;
    push_task(L, ((const struct pipe_info *)copy)->first_writer);
}

static const struct class_field fields[] = {
    FIELD(struct pipe_info, anonymous, "made by pipe(2); false: a FIFO"),
    FIELD(struct pipe_info, bytes, "that wait in it"),
    FIELD(struct pipe_info, passed, "bytes that have gone in"),
    FIELD(struct pipe_info, pages, "frames that hold them"),
    FIELD(struct pipe_info, readers, "ends that are open for reading"),
    FIELD(struct pipe_info, writers, "ends that are open for writing"),
    FIELD(struct pipe_info, reading, "tasks that wait for bytes"),
    FIELD(struct pipe_info, writing, "tasks that wait for room"),
    FIELD_OTHER("reader", "Task", "the first that waits for bytes, or nil", push_reader),
    FIELD_OTHER("writer", "Task", "the first that waits for room, or nil", push_writer),
    {0},
};

CLASS(pipe, .name = "Pipe", .doc = "a pipe with its two ends",
      .place = "struct pipe, kernel/fs/pipe_impl.h", .gone = "was closed",
      .example = "k.pipes():first()", .size = sizeof(struct pipe_info), .copy = pipe_copy,
      .keys = pipe_keys, .line = pipe_line, .fields = fields);

static uint64_t device_of(const char *type)
{
    uint64_t dev = 0;
    spin_lock(&super_lock);
    LIST_FOREACH(it, &super_list) {
        const struct super *super = list_entry(it, struct super, all);
        if (strcmp(super->fs->name, type) == 0)
            dev = super->dev;
    }
    spin_unlock(&super_lock);
    return dev;
}

static int k_pipes(lua_State *L)
{
    class_push_list(L, class_pipe, device_of("pipefs"));
    return 1;
}
MONITOR_API(pipes, "pipes", "k.pipes() -> list of Pipe",
            "the pipes that pipe(2) made; a FIFO's is the .pipe of its Vnode", "k.pipes()", k_pipes,
            NULL);
