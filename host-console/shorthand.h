// SPDX-License-Identifier: MIT
// The prompt's words with a colon, and the Lua they stand for.
#pragma once

#include <stddef.h>

// The Lua that ":bt 3" stands for (free it). NULL: none; `why` says in one line why not.
char *shorthand_lua(const char *line, size_t n, char *why, size_t why_n);

// At the prompt: the Lua to run (free it). NULL: nothing to run; what there was to say has been
// said (an unknown word, a missing argument, :help, or --lua, which only prints the Lua).
char *shorthand_expand(const char *line, size_t n);

// The i-th name, to complete one; NULL behind the last.
const char *shorthand_name(unsigned i);
