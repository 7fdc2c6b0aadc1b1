// SPDX-License-Identifier: MIT
// Hart-local and task-local storage with constructors and destructors.
//
// HART_LOCAL names a `_Thread_local` variable and what to run on each hart when it is born; a
// TASK_LOCAL type gets an instance in every task born after boot. Both are lists that the monitor
// reads and changes (disable, reorder, run again), so their mutable half is a separate struct.
// Constructors run on the hart (of the newborn's creator), may not block, and return 0 or a
// negative errno; a task whose constructor fails is not born. Destructors run in reverse
// order, and must accept an all-zero object: its constructor may have been disabled.
#pragma once

#include "lib/set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task;

struct local_state {
    uint32_t offset; // TASK_LOCAL: of the instance in the task's block
    uint16_t order;  // position in the list; lower runs first
    bool disabled;
    bool skipped_last;                       // the newest owner was born without it
    uint64_t constructed, destroyed, failed; // atomic: all harts' births and deaths
};

struct local_ctor {
    const char *name; // the variable or type
    const char *file;
    uint32_t line;
    uint32_t size;
    int (*ctor)(void *obj, void *owner);  // owner: struct hart * or struct task *; may be NULL
    void (*dtor)(void *obj, void *owner); // may be NULL
    struct local_state *state;
    void *(*hart_object)(void); // HART_LOCAL: the calling hart's instance
};
SET_DECLARE(hart_locals, struct local_ctor);
SET_DECLARE(task_locals, struct local_ctor);

#define HART_LOCAL(var, ctor, dtor)                                                                \
    static struct local_state var##_local_state;                                                   \
    static void *var##_local_object(void)                                                          \
    {                                                                                              \
        return &var;                                                                               \
    }                                                                                              \
    SET_ITEM(hart_locals, struct local_ctor, var##_local) = {                                      \
        #var, __FILE__, __LINE__, sizeof(var), ctor, dtor, &var##_local_state, var##_local_object}

// Defines `struct type *type_of(struct task *)`-like accessor NAME_of.
#define TASK_LOCAL(name, type, ctor, dtor)                                                         \
    static struct local_state name##_local_state;                                                  \
    SET_ITEM(task_locals, struct local_ctor, name##_local) = {                                     \
        #name, __FILE__, __LINE__, sizeof(type), ctor, dtor, &name##_local_state, NULL};           \
    type *name##_of(struct task *t)                                                                \
    {                                                                                              \
        return (type *)((char *)task_local_block(t) + name##_local_state.offset);                  \
    }                                                                                              \
    _Static_assert(sizeof(type) <= 4096, "a task-local object is small")

void *task_local_block(struct task *t); // async/task.c
size_t task_local_size(void);           // bytes of a task's block

// Which of one owner's instances are constructed: bit i is that of the list's item i. Set when its constructor has
// run and did not fail, at birth or again by the monitor.
extern _Thread_local uint32_t hart_locals_made;
static inline uint32_t *task_locals_made(void *block) // it is what a block begins with
{
    return block;
}

void locals_init(void);          // assigns offsets and order; boot, once
int hart_locals_construct(void); // on the newborn hart
int task_locals_construct(struct task *t, void *block);
void task_locals_destroy(struct task *t, void *block);

// Two of one list change places, for owners born (and gone) from then on. One caller at a time.
void locals_exchange(const struct local_ctor *a, const struct local_ctor *b);

// Walks a list in its present order: calls fn(ctor, arg) until it returns false.
void locals_walk(bool of_tasks, bool (*fn)(const struct local_ctor *, void *), void *arg);
