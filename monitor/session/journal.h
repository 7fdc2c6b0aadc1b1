// SPDX-License-Identifier: MIT
// Changes to the running kernel: validated, made, written down, undone.
//
// A change is a kind and up to eight numbers. validate() looks at everything that can refuse and
// changes nothing; apply() acts, and says by which arguments of which kind it is undone. An undo is
// a change like any other: validated anew, and written down. Nothing else in the monitor mutates
// the kernel.
//
//     static const struct change_kind suspend = {"task.suspend", MODE_RW, validate, apply};
//     change_make(L, &(struct change){.kind = &suspend, .arg = {task_id}});
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum monitor_mode { MODE_RO, MODE_RW, MODE_UNSAFE };

enum { CHANGE_ARGS = 8, JOURNAL_ROWS = 64 };

struct change;
struct change_kind {
    const char *name;
    uint64_t mode; // the least enum monitor_mode that allows it
    // 0, or a negative errno with c->why. Fills c->text: one line, what would be done.
    long (*validate)(struct change *c);
    // The same; fills c->undo and c->undo_arg, unless it cannot be undone.
    long (*apply)(struct change *c);
};

struct change {
    const struct change_kind *kind, *undo;
    uint64_t arg[CHANGE_ARGS], undo_arg[CHANGE_ARGS];
    char text[100], why[100];
};

struct journal_row {
    uint32_t n;         // counted from 1
    uint32_t undone_by; // row, 0: still in force
    uint32_t session;   // whose, counted from 1
    uint32_t client;    // of that session's, one after the other
    bool being_undone;  // by somebody who waits meanwhile
    uint64_t repeats;   // of journal_repeats(); 0: made once
    uint32_t times;     // that it was made; the row is the latest
    uint64_t ns;
    struct change change;
};

// Mode, validation, dry run, application, journal; raises a Lua error when refused.
void change_make(lua_State *L, struct change *c);
// For what is a session's own and no change of the kernel. True: this is a dry run, which notes the text; do nothing.
bool change_is_dry(lua_State *L, const char *text);

enum monitor_mode monitor_mode(void); // of the session that runs
const char *monitor_mode_name(void);
bool monitor_mode_set(const char *name); // false: no such mode
// For bindings that read where reading has effects.
void monitor_need(lua_State *L, enum monitor_mode mode, const char *what);

// What the session changes until it says 0 is done again and again by one who has this number, for each newborn: of each kind one
// row is kept, the latest, else soon there would be no others. Returns what was said before.
uint64_t journal_repeats(uint64_t who);

// The Lua state of what ran is gone: no dry run, nobody who repeats.
void journal_forget_script(void);
// Another host's: as at boot, but for the rows.
void journal_forget_session(void);

// The newest row (0), the one before it (1), ...; NULL: no more. Any context (panic too): no lock.
struct journal_row *journal_newest(uint32_t back);
