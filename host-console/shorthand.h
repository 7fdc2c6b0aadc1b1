// SPDX-License-Identifier: MIT
// The prompt's words with a colon, and the Lua they stand for.
#pragma once

#include <stddef.h>

enum shorthand {
    SHORTHAND_RUN,   // *text is Lua to run
    SHORTHAND_SAY,   // *text is what was asked for: :help, or with --lua the Lua itself
    SHORTHAND_WRONG, // *text says what is wrong: an unknown word, a missing argument
};
// What ":bt 3" stands for. Free *text.
enum shorthand shorthand(const char *line, size_t n, char **text);

// The i-th name, to complete one; NULL behind the last.
const char *shorthand_name(unsigned i);
