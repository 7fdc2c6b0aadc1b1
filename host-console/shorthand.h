// SPDX-License-Identifier: MIT
// The prompt's words with a colon, and the Lua they stand for.
#pragma once

#include <stddef.h>

// ":bt 3" -> the Lua to run (free it). NULL: nothing to run; what there was to say has been said
// (an unknown word, a missing argument, :help, or --lua, which only prints the Lua).
char *shorthand_expand(const char *line, size_t n);
