// SPDX-License-Identifier: MIT
// A naive file tree in memory, and random operations done to it and to a FAT volume side by side.
#pragma once

#include "fat_host.h"

enum { MODEL_OPEN = 8, MODEL_FILE_MAX = 60000 };

// What a crash must not take: a file as it was when it was made durable.
struct snap {
    struct snap *next;
    char path[512];
    uint8_t *data;
    size_t size;
    uint64_t from;           // model_clock when it became durable
    uint64_t changed, moved; // when an operation that changes it, or its path, began
};

struct node {
    struct node *parent, *next, *child;
    bool directory;
    char name[80];
    uint8_t *data;
    size_t size;
    unsigned opened;   // slots of model.open that hold it
    struct snap *snap; // in model.snaps, or NULL
};

struct model {
    struct node root;
    struct {
        struct node *node; // may have no parent: unlinked
        struct vnode *vnode;
    } open[MODEL_OPEN];
    bool may_be_full; // -ENOSPC is a legal answer
    unsigned full;    // times it was given
    struct snap *snaps;
    bool memory_fails;    // now and then an allocation fails
    bool may_lack_memory; // -ENOMEM is a legal answer of what changes names
};

void model_init(struct model *m);
void model_free(struct model *m);    // closes, frees
void model_step(struct model *m);    // one random operation, compared
void model_burst(struct model *m);   // several writes, fsyncs and a sync at the same time
void model_compare(struct model *m); // the whole tree
void model_close_all(struct model *m);
void model_snap_all(struct model *m); // every file is durable now
extern uint64_t model_clock;          // moved by the test
void model_path(const struct node *n, char *out);
// Calls fn for each node that has a name.
void model_walk(struct node *dir, void (*fn)(struct node *n, void *arg), void *arg);
