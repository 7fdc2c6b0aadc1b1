// SPDX-License-Identifier: MIT
// A session at the prompt and at the user's terminal, written down as it happens. Without a
// recording each of these does nothing.
//
// A recording is a transcript (transcript.c): it can be entered again and compared. What else is
// needed to show it as it was stands in comments:
//
//     # kmon recording 1
//     #@ 12.345 guest 8.123456789      seconds since it began, the guest's clock: what follows
//     k[ro h4 t14]> 1 + 1              came then
//     2
//     #> text                          shown, but not to be compared: a traceback, a log line
//     #] ~ # ls\r\n                    bytes of the user's terminal
#pragma once

#include "console.h"

#include <stdio.h>

#define RECORD_HEAD "# kmon recording 1"

void record_to(struct console *c, const char *path); // ends kmon when it cannot be written
// A prompt stands; what the guest's clock said then.
void record_prompt(uint64_t guest_ns);
// A line of an entry, behind its prompt. It is written when all of the entry is known to be
// entered, and only as something that was shown when it is given up.
void record_line(const char *prompt, const char *line, size_t n);
void record_entered(struct console *c);
void record_give_up(struct console *c);
void record_output(struct console *c, const void *data, size_t n);
void record_aside(struct console *c, const void *data, size_t n);
void record_terminal(struct console *c, const void *data, size_t n);
// The answer is complete, although its last line may have no line feed.
void record_answered(struct console *c);
