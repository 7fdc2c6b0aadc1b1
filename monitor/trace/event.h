// SPDX-License-Identifier: MIT
// What a trace point tells, as everything that listens sees it: its arguments, and who ran where.
//
// A variable is an argument of the point, or one of those that every point has: `task` and `pid` of
// what ran there (an interrupt belongs to nobody: it says what it interrupted), and `hart`.
#pragma once

#include "lib/trace.h"

struct trace_event {
    uint64_t at; // ticks of the time CSR
    uint64_t arg[TRACE_ARGS];
    uint32_t task, pid;  // 0: none; a kernel task has no pid
    uint32_t lost;       // in a ring: how many before it found no room there
    uint8_t point, hart; // index into the set of points
    uint8_t use;         // who listens: index of a struct trace_use
    uint8_t held;        // the point does not go on before it is let go
};
_Static_assert(sizeof(struct trace_event) == 64, "a cache line");

enum { VAR_TASK = TRACE_ARGS, VAR_PID, VAR_HART, VARS };

// Of the n-th variable of a point: its name, NULL when the point has no such argument.
const char *trace_var_name(const struct trace_point *p, unsigned var);
enum trace_type trace_var_type(const struct trace_point *p, unsigned var);
int trace_var_find(const struct trace_point *p, const char *name); // -1: none
static inline uint64_t trace_var_value(const struct trace_event *e, unsigned var)
{
    return var < TRACE_ARGS  ? e->arg[var]
           : var == VAR_TASK ? e->task
           : var == VAR_PID  ? e->pid
                             : e->hart;
}

// The n-th of the words "read - write"; NULL: it has no name. Its length in *len.
const char *trace_word(const char *words, uint64_t n, unsigned *len);
int trace_word_find(const char *words, const char *word); // -1: none
