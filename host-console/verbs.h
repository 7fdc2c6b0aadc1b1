// SPDX-License-Identifier: MIT
// What kmon does once it has a line.
#pragma once

#include "console.h"

struct options {
    struct machine machine;
    bool qemu; // else connect
    const char *address;
    const char *verb;
    char **args; // behind the verb
    int nargs;
    bool json, verbose;
    uint64_t timeout_ms; // UINT64_MAX: none
    bool timeout_set;
};
// Ends kmon with EXIT_USAGE and one line when the words make no sense.
void options_parse(struct options *o, struct console *c, int argc, char **argv);

struct verb {
    const char *name;
    int (*run)(struct console *c, const struct options *o);
    int least, most; // arguments; most -1: any number
    bool endless;    // no timeout unless asked for
};
const struct verb *verb_find(const char *name);
// Before a machine is started in vain: reads the script.
void verb_prepare(struct console *c, const struct options *o);
// Where the kernel's log goes unless the verb says otherwise.
void verb_hooks(struct console *c);
