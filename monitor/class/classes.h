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
CLASS_DECLARE(page_table);
CLASS_DECLARE(walk);
CLASS_DECLARE(tls);
CLASS_DECLARE(virtqueue);
CLASS_DECLARE(tty);

void class_push_tls_of_hart(lua_State *L, uint64_t hart); // lists of Tls
void class_push_tls_of_task(lua_State *L, uint64_t task);

int class_task_suspend(lua_State *L); // methods of Task
int class_task_resume(lua_State *L);

// What Walk and PageTable share (page_table.c).
enum { PTE_LETTERS = 9 };
void pte_bits_text(char out[PTE_LETTERS + 1], uint64_t entry);
void pte_push_bits(lua_State *L, uint64_t entry);
uint64_t pte_check_bits(lua_State *L, int idx);
void class_set_hex(lua_State *L, const char *name,
                   uint64_t v); // t[name] = "89ab" of the table on top
struct pt_step;
// The kernel's table for space 0. How many steps; 0: the space is gone.
unsigned page_table_walk(uint64_t space, uint64_t va, struct pt_step *steps);
// Changes the bits of one entry; raises when that is refused.
void page_table_change(lua_State *L, uint64_t space, uint64_t va, uint64_t bits);
