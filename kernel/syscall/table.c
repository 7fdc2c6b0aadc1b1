// SPDX-License-Identifier: MIT
// The two tables of entry addresses, made once at boot from the linker set.
//
// The fast table holds plain handlers, first tries, and for async calls the label of the slow
// path. In the traced table every entry is the slow path: a thread that points there shows every
// call to the user loop, and the table everybody else uses is not touched.
#include "syscall/table.h"

#include "arch/trap_frame.h"
#include "lib/init.h"
#include "lib/log.h"

ASYNC_IFACE_DEFINE(syscall);

const void *syscall_fast[SYSCALL_MAX], *syscall_traced[SYSCALL_MAX];
const struct syscall_entry *syscall_entries[SYSCALL_MAX];
uint64_t syscall_unknown[SYSCALL_MAX];

static void tables_init(void)
{
    for (int i = 0; i < SYSCALL_MAX; i++)
        syscall_fast[i] = syscall_traced[i] = trap_slow_syscall;
    SET_FOREACH(syscalls, struct syscall_entry, e) {
        if (e->nr >= SYSCALL_MAX || syscall_entries[e->nr])
            panic("system call %lu (%s): number taken or too large", (unsigned long)e->nr, e->name);
        syscall_entries[e->nr] = e;
        if (e->plain)
            syscall_fast[e->nr] = e->plain;
    }
}
INIT(INIT_CORE, tables_init);

const struct syscall_entry *syscall_lookup(uint64_t nr)
{
    return nr < SYSCALL_MAX ? syscall_entries[nr] : NULL;
}
