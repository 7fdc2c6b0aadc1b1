// SPDX-License-Identifier: MIT
// The console's two directions, for its loop (console.c) only.
#pragma once

#include "console.h"

enum { KEEPALIVE_S = 5, READY_MS = 15000 };

extern const struct wire_demux_sink line_sink; // incoming.c

// outgoing.c
void line_hello(struct console *c, uint64_t now);
uint64_t line_hello_due(const struct console *c); // UINT64_MAX: not by itself
void line_write(struct console *c, uint64_t now); // as much as the line takes
void line_read(struct console *c);
