// SPDX-License-Identifier: MIT
// The line from the fake kernel to kmon, also a bad one.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Waits for kmon at a socket of that name, or, "pty:LINK", makes a terminal to which LINK leads. The descriptor; exits on an error.
int fake_line_open(const char *address);

// data: any part of a stream of frames. how: "twice", each frame comes so; "gaps", each fifth one with a number is missing at first;
// "late", it comes behind the next ones; "stops", the line stands still amid it; "stale", one of another session stands behind the
// first one.
void fake_line_write(int fd, const char *how, const uint8_t *data, size_t n);
