// SPDX-License-Identifier: MIT
// The monitor's prompt, apart from how a line is typed: what it says, what becomes of a line.
#pragma once

#include "console.h"

void prompt_refresh(struct console *c, unsigned ms); // asks the kernel, for so long
const char *prompt_text(void);                       // of the next line
bool prompt_is_open(void);                           // an entry lacks its end
// A line without its line feed, and what is printed for it. `begin`, if not NULL, is called before
// the kernel is asked.
void prompt_take(struct console *c, const char *line, size_t n, void (*begin)(struct console *c));
void prompt_give_up(struct console *c); // forgets the open entry
// The hook for what a script prints; `answering`: since prompt_take called begin.
void prompt_print(struct console *c, const uint8_t *data, size_t n);
