// SPDX-License-Identifier: MIT
// The terminal kmon itself was started on.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct console;

// 0, 0 when there is none.
void terminal_size(uint16_t *rows, uint16_t *cols);
// No echo, no line editing, no signals from keys; undone by terminal_restore (also at exit).
void terminal_raw(void);
void terminal_restore(void);
// What else is undone then.
void terminal_at_restore(void (*undo)(void));
bool terminal_colour(int fd); // a terminal, and NO_COLOR is not set

// Keys that were read together with Ctrl-], so before the prompt stood. -1: none.
bool terminal_keys_wait(void);
int terminal_take_key(void);

// The verb tty. Returns the exit code once the machine is off or, on a running kernel, when stdin
// has ended and the line is quiet.
int terminal_verb(struct console *c);
