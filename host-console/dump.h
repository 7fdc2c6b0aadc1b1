// SPDX-License-Identifier: MIT
// Dumps of a kernel's objects, looked at without one.
#pragma once

#include "verbs.h"

// --dump FILE: does the verb on a dump; o->address is the file. The exit code.
int dump_offline(struct console *c, const struct options *o);
