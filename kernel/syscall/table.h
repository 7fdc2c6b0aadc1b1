// SPDX-License-Identifier: MIT
// Tables by number; see table.c. Written at boot, read-only afterwards.
#pragma once

#include "syscall/syscall.h"

extern const void *syscall_fast[SYSCALL_MAX], *syscall_traced[SYSCALL_MAX];
extern const struct syscall_entry *syscall_entries[SYSCALL_MAX];
