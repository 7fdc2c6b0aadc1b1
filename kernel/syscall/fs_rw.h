// SPDX-License-Identifier: MIT
// Transfers between open files and user memory, for calls that have the file already. It stays the caller's.
#pragma once

#include "fs/file.h"

enum { RW_MAX = 0x7ffff000 }; // as Linux: longer transfers are cut to this

// pos < 0: at the file's own position; a stream has none. Bytes, or negative errno.
ASYNC_DECL(file_transfer, struct file *file; struct iobuf *buf; int64_t pos; bool write;);
// The same with an iovec that lies in the calling thread's memory. pos: -1 own position, else not negative.
// *total (may be NULL): how much it asks for.
ASYNC_DECL(file_transfer_vector, struct file *file; va_t iov; uint64_t count; int64_t pos; bool write;
           uint64_t *total;);
// fsync(2), fdatasync(2).
ASYNC_DECL(file_sync, struct file *file; bool data_only;);
