// SPDX-License-Identifier: MIT
// Where a name led: alone, so that who only stores one needs nothing else of names (fs/path.h).
#pragma once

struct mount;
struct dentry;

// A place in the tree: both referenced unless said otherwise.
struct path {
    struct mount *mount;
    struct dentry *dentry;
};
