// SPDX-License-Identifier: MIT
// Unpacks a cpio archive of format newc (magic 070701) into the tree.
#pragma once

#include "async/async.h"
#include "fs/fsctx.h"

// One header, decoded. Layout: cpio(5), "New ASCII Format".
struct cpio_entry {
    uint32_t ino, mode, uid, gid, nlink, mtime, rdev_major, rdev_minor;
    uint64_t size;
    const char *name; // NUL terminated, inside the archive
    const char *data;
    size_t next; // offset of the following header
};
// Decodes the header at `at`. 1: an entry; 0: the trailer, out->next is then the offset of an archive
// behind it or 0; -EINVAL: damaged or cut short.
int cpio_parse(const char *archive, size_t size, size_t at, struct cpio_entry *out);

// Creates what the archive holds below the context's root. Existing files are overwritten; what
// further archives behind the first hold replaces what is there, directories apart. The number of
// entries, or the first error; *bad is then the offset of the entry concerned.
ASYNC_DECL(cpio_unpack, struct fs_context *fs; const char *archive; size_t size; size_t *bad;);
