// SPDX-License-Identifier: MIT
// Runs the boot calls of one level.
#include "lib/init.h"

void init_run(enum init_level level)
{
    SET_FOREACH(init, struct init_call, call)
        if (call->level == (unsigned long)level)
            call->fn();
}
