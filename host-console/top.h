// SPDX-License-Identifier: MIT
// One frame of `kmon top` as lines of text, apart from where they are shown.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { TOP_HARTS = 8, TOP_HISTORY = 120 };
enum top_view { TOP_TASKS, TOP_MAPS, TOP_QUEUES, TOP_VIEWS };

struct top {
    enum top_view view;
    char filter[40];
    bool typing;       // the filter is being typed
    bool stacks;       // below each task the steps of what it awaits
    bool paper;        // no foot: there are no keys
    bool bare;         // no head either
    unsigned selected; // of the tasks shown
    int64_t chosen;    // id of that task; 0: none yet
    unsigned rows, cols;
    // of the look before this one
    int64_t ns, idle_ns[TOP_HARTS], done[16];
    char history[TOP_HARTS][TOP_HISTORY + 1]; // how busy each was, the newest last
    unsigned looks;
    json_t *maps, *maps_before; // of this look and the one before it, if both are of one task
    int64_t mapped;             // the task's id
};

// In a row of an address space: a cell in which pages have come since the look before. Where the
// terminal can, it is shown lit.
enum { TOP_LIT = '*' };

// Takes a look in: history, lights, and the task that is selected.
void top_take(struct top *t, json_t *look);
void top_choose(struct top *t, const json_t *look); // another task of the same look
// Calls show for each line of the frame, from 0; at most rows of them, none wider than cols.
void top_draw(const struct top *t, const json_t *look,
              void (*show)(unsigned row, const char *text, bool bright, void *arg), void *arg);
