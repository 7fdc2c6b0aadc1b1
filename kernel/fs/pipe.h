// SPDX-License-Identifier: MIT
// Pipes and FIFOs.
#pragma once

#include "fs/file.h"

// The two ends, read end first, each with one reference. flags: O_NONBLOCK. -ENOMEM, -ENFILE.
int pipe_new(uint32_t flags, struct file *end[2]);
long pipe_fcntl(struct file *file, uint32_t cmd, uint64_t arg); // F_GETPIPE_SZ, F_SETPIPE_SZ

// A look at the pipe of a referenced vnode, anonymous or a FIFO that is open; false: it has none. Any context.
struct pipe_info {
    uint64_t bytes, passed;              // that wait in it; that have gone in
    uint32_t readers, writers;           // open ends
    uint32_t reading, writing;           // tasks that wait to
    uint32_t first_reader, first_writer; // the first of each: ids, 0: none
    uint32_t pages;                      // frames that it has
    bool anonymous;
};
bool pipe_look(struct vnode *v, struct pipe_info *out);
