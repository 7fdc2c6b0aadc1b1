// SPDX-License-Identifier: MIT
// Sharing the line with other kmons.
#pragma once

#include "verbs.h"

#include <string.h>

static inline bool share_wanted(const struct options *o)
{
    return o->share || strcmp(o->verb->name, "serve") == 0;
}
// Opens the line, shares it, and does the verb as one of those who use it. The exit code.
int share_run(struct console *c, const struct options *o,
              void (*open_line)(struct console *c, const struct options *o));
