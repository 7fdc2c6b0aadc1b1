// SPDX-License-Identifier: MIT
// For those who add to a panic: what the monitor changed, and the post-mortem shell.
//
// All of it runs in the panic alone: the other harts stand still, no lock is taken, nothing is allocated.
#pragma once

#include <stdint.h>

struct task;

enum { PANIC_TASKS = 1 << 20 }; // nobody walks further through a list that may be broken

void panic_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
// One line, then the async backtrace.
void panic_say_task(const struct task *t);
// The task behind t; NULL: the first. NULL: there is no more, or what follows is no task, which is said.
const struct task *panic_next_task(const struct task *t);
// fn(arg). A fault or a failed assertion in it is said, and ends only it.
void panic_attempt(void (*fn)(const void *arg), const void *arg);

// Says the newest changes made from the monitor, at most `max`, newest first. NULL: there is none.
extern void (*panic_changes)(uint32_t max);
// Called last, may not return. NULL: there is no line to talk on.
extern void (*panic_shell)(void);
