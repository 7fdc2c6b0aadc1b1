// SPDX-License-Identifier: MIT
// Pipes and FIFOs.
#pragma once

#include "fs/file.h"

// The two ends, read end first, each with one reference. flags: O_NONBLOCK. -ENOMEM, -ENFILE.
int pipe_new(uint32_t flags, struct file *end[2]);
long pipe_fcntl(struct file *file, uint32_t cmd, uint64_t arg); // F_GETPIPE_SZ, F_SETPIPE_SZ
