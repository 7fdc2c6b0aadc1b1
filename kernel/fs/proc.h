// SPDX-License-Identifier: MIT
// /proc entries, registered beside the code they are about.
//
//     PROC(meminfo, proc_meminfo);             void proc_meminfo(struct text *out)
//     PROC_TASK(status, 0444, proc_task_status);   void fn(struct text *out, struct process *p)
//     PROC_TASK_RW(oom_score_adj, 0644, show, store);   long store(struct process *p, uint32_t tid, const char *text)
//
// The text is made when the file is first read after an open or a seek to 0, in one go, plain: no
// waiting, but short locks may be taken. It grows on the heap; text_printf stops silently when
// memory is short and the read then reports -ENOMEM.
#pragma once

#include "lib/set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process;

struct text {
    char *buf;
    size_t len, size;
    bool failed;
    uint32_t tid; // of the thread whose directory the entry is read in; 0: the process's
};
void text_printf(struct text *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_write(struct text *out, const void *p, size_t n);
void text_free(struct text *out);

struct proc_entry {
    const char *name; // in /proc; slashes make directories: "sys/kernel/ostype"
    void (*show)(struct text *out);
    // What one write said, as for a proc_task_entry. NULL: read-only.
    long (*store)(const char *text);
};
SET_DECLARE(proc_entries, struct proc_entry);
#define PROC(ident, fn)                                                                            \
    SET_ITEM(proc_entries, struct proc_entry, proc_item_##ident) = {#ident, fn, NULL}

// An entry in a directory: PROC_AT(ostype, "sys/kernel/ostype", fn)
#define PROC_AT(ident, path, fn)                                                                   \
    SET_ITEM(proc_entries, struct proc_entry, proc_item_##ident) = {path, fn, NULL}
#define PROC_AT_RW(ident, path, show, store)                                                       \
    SET_ITEM(proc_entries, struct proc_entry, proc_item_##ident) = {path, show, store}

struct proc_task_entry {
    const char *name; // in /proc/PID and /proc/PID/task/TID
    uint64_t mode;
    void (*show)(struct text *out, struct process *p);
    // What one write said, cut off after PROC_STORE_MAX - 1 bytes: 0 or an error. tid as in struct text. NULL: read-only.
    long (*store)(struct process *p, uint32_t tid, const char *text);
};
enum { PROC_STORE_MAX = 32 };
SET_DECLARE(proc_task_entries, struct proc_task_entry);
#define PROC_TASK_RW(ident, mode, show, store)                                                     \
    SET_ITEM(proc_task_entries, struct proc_task_entry, proc_task_item_##ident) = {#ident, mode,   \
                                                                                   show, store}
#define PROC_TASK(ident, mode, fn) PROC_TASK_RW(ident, mode, fn, NULL)
