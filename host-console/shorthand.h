// SPDX-License-Identifier: MIT
// The prompt's words with a colon, and the Lua they stand for.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// What ":bt 3" stands for. True: *text is Lua to run. False: *text is what there is to say instead:
// an unknown word, a missing argument, :help, or with --lua the Lua itself. Free *text.
bool shorthand(const char *line, size_t n, char **text);

// The i-th name, to complete one; NULL behind the last.
const char *shorthand_name(unsigned i);
