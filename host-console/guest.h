// SPDX-License-Identifier: MIT
// The guest's user terminal as a script drives it: run a command, type, expect.
//
// A command is typed to the shell that reads the console. Random markers bracket its output, put
// together by printf in the guest so that the echo of the typed line does not contain them: no
// prompt is looked for, and what stood on the terminal before does not matter.
#pragma once

#include "console.h"

// Tty output arrived (console.c).
void guest_saw(struct console *c, const uint8_t *data, size_t n);

struct guest_run {
    char begin[48], end[48]; // as they appear, with the line feeds around them
    char taken[48];          // behind a line of a long command: the shell has taken it
    struct bytes typing;     // lines not yet typed
    unsigned lines;          // typed
    bool begun, ended;
    int status;
    bool stream; // output goes to stdout as it comes, not to `output`
    struct bytes output;
};
// Begins to type the command, all of it when it is short. -1: it is too long.
int guest_start(struct console *c, struct guest_run *run, const char *command, size_t n);
// For console_wait: takes output in, true when the command ended.
bool guest_ended(struct console *c, void *run);
// For console_wait: true when the shell has begun it.
bool guest_begun(struct console *c, void *run);
