// SPDX-License-Identifier: MIT
// What is entered at the prompt, from a keyboard or from a transcript: lines of Lua until they are
// complete, ":bt 3", "name?".
#pragma once

#include "client.h"

struct entry {
    struct bytes chunk; // lines of Lua so far
};

enum entry_state {
    ENTRY_MORE,  // more lines are needed
    ENTRY_SAID,  // nothing ran; *said (free it) is the answer
    ENTRY_REPLY, // the kernel answered
};
// A line without its line feed. `begin`, if not NULL, is called before the kernel is asked.
enum entry_state entry_line(struct console *c, struct entry *e, const char *line, size_t n,
                            void (*begin)(struct console *c), struct reply *reply, char **said);
