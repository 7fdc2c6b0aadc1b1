// SPDX-License-Identifier: MIT
// The classes that other classes' fields refer to.
#pragma once

#include "class/class.h"

CLASS_DECLARE(hart);
CLASS_DECLARE(flusher);
CLASS_DECLARE(sched);
CLASS_DECLARE(task);
CLASS_DECLARE(space);
CLASS_DECLARE(mapping);
int mapping_cells(lua_State *L); // cells.c
CLASS_DECLARE(page_table);
CLASS_DECLARE(walk);
CLASS_DECLARE(tls);
CLASS_DECLARE(virtqueue);
CLASS_DECLARE(tty);
CLASS_DECLARE(irq);
CLASS_DECLARE(device);
CLASS_DECLARE(timer);
CLASS_DECLARE(mount);
CLASS_DECLARE(vnode);
CLASS_DECLARE(phys);
CLASS_DECLARE(frame);
CLASS_DECLARE(memory);
CLASS_DECLARE(file);
CLASS_DECLARE(pipe);
CLASS_DECLARE(signal);
CLASS_DECLARE(futex);
CLASS_DECLARE(lock);
CLASS_DECLARE(channel);

// Further methods and setters of Task (task_change.c, task_registers.c)
int class_task_hold(lua_State *L);
int class_task_signal(lua_State *L);
int class_task_registers(lua_State *L);
int class_task_stats(lua_State *L);
int class_task_set_register(lua_State *L);
void class_task_set_nice(lua_State *L, const struct class_key *key, const void *copy, int value);
void class_task_set_deadline(lua_State *L, const struct class_key *key, const void *copy,
                             int value);

void class_push_locks_of(lua_State *L, uint64_t task); // those that it holds, as a list

// Calls fn for each task that waits, borrowed meanwhile, until it says false; lets others run in between (waiting.c). On the
// fiber, no Lua in fn. False: fn has said so.
struct task;
typedef bool class_waiting_fn(const struct task *t, void *arg);
bool class_visit_waiting(class_waiting_fn *fn, void *arg);

struct device;
struct device *class_device_at(uint64_t id); // NULL: there is none; they live for ever

int class_queue_ring(lua_State *L); // methods of VirtQueue
int class_queue_chains(lua_State *L);
int class_queue_chain(lua_State *L);
int class_queue_release(lua_State *L);
int class_queue_fail(lua_State *L);
int class_queue_reorder(lua_State *L);
int class_queue_kick(lua_State *L);
void class_queue_set_held(lua_State *L, const struct class_key *key, const void *copy, int value);
void class_queue_set_delay(lua_State *L, const struct class_key *key, const void *copy, int value);

void class_push_tls_of_hart(lua_State *L, uint64_t hart); // lists of Tls
void class_push_tls_of_task(lua_State *L, uint64_t task);

int class_task_suspend(lua_State *L); // methods of Task
int class_task_resume(lua_State *L);
int class_task_tree(lua_State *L); // lint/waits.c

// ---- mappings (mapping.c, mapping_change.c)
struct mapping_info;
// The first mapping that ends above `from`, with its pages counted. False: there is none. kind may be NULL.
bool class_mapping_at(uint64_t space, uint64_t from, struct mapping_info *m, const char **kind);
void class_perm_text(char out[8], uint32_t prot, uint32_t flags);
uint64_t class_check_perm(lua_State *L, int idx); // "r-x" as ACCESS_*
// Changes; each raises when it is refused. add: where it is, 0 in a dry run.
void class_mapping_protect(lua_State *L, uint64_t space, uint64_t lo, uint64_t hi, uint64_t prot);
void class_mapping_remove(lua_State *L, uint64_t space, uint64_t lo, uint64_t hi);
void class_mapping_unload(lua_State *L, uint64_t space, uint64_t lo, uint64_t hi);
void class_mapping_split(lua_State *L, uint64_t space, uint64_t at);
uint64_t class_mapping_add(lua_State *L, uint64_t space, uint64_t at, uint64_t bytes,
                           uint64_t prot);
bool class_is_inits(uint64_t space); // init runs in it: if that dies, so does the machine

// ---- memory (vnode.c, phys.c, memory.c, frame.c, leaks.c)
struct phys;
struct vnode;
struct vnode *class_vnode_find(uint64_t dev, uint64_t ino); // referenced, or NULL
struct phys *class_phys_find(const struct class_key *key);  // referenced (phys_put), or NULL
// Names a referenced object; false: it is shared memory that nobody maps.
bool class_phys_key(const struct phys *ph, struct class_key *key);
// Calls fn for each object, which is referenced meanwhile; lets others run in between. On the fiber, no Lua in fn.
typedef void class_object_fn(struct phys *ph, const struct class_key *key, void *arg);
void class_visit_objects(class_object_fn *fn, void *arg);
bool class_phys_of(uint64_t address,
                   struct class_key *key);  // names the object at an address, if one is there
uint64_t class_next_device(uint64_t after); // the least st_dev above, 0: none
// Walks (spaces.c). The next higher space, false: none. Calls fn for each present entry of one, and for each frame of its
// page table, the root's first. On the fiber, which lets others run in between.
bool class_next_space(uint32_t *id);
struct pte_info;
typedef void class_entry_fn(void *arg, uint32_t space, const struct pte_info *e);
void class_each_entry(uint32_t space, class_entry_fn *fn, void *arg);
typedef void class_table_fn(void *arg, uint32_t space, uint64_t table, bool root);
void class_each_table(uint32_t space, class_table_fn *fn, void *arg);
// The least keys of a file system's vnodes from `from` on; locked: only of those whose lock somebody holds.
size_t class_vnode_keys(uint64_t dev, uint64_t from, struct class_key *out, size_t max,
                        bool locked);
enum { PAGE_FLAGS_TEXT = 72 };
void page_flags_text(char out[PAGE_FLAGS_TEXT], uint16_t flags);
int class_memory_leaks(lua_State *L); // methods of Memory
int class_memory_lose(lua_State *L);

int class_signal_number(const char *name); // 0: there is none; with or without SIG
void class_signal_name(char out[16], int sig);

// What Walk and PageTable share (page_table.c).
enum { PTE_LETTERS = 9 };
void pte_bits_text(char out[PTE_LETTERS + 1], uint64_t entry);
void pte_push_bits(lua_State *L, uint64_t entry);
uint64_t pte_check_bits(lua_State *L, int idx);
// False: bits 63 to 39 of va are not all as bit 38 is, and the hardware faults; nil and why are pushed.
bool class_is_va(lua_State *L, uint64_t va);
struct pt_step;
// The kernel's table for space 0. How many steps; 0: the space is gone.
unsigned page_table_walk(uint64_t space, uint64_t va, struct pt_step *steps);
// Changes the bits of one entry; raises when that is refused.
void page_table_change(lua_State *L, uint64_t space, uint64_t va, uint64_t bits);
