// SPDX-License-Identifier: MIT
// What kmon does once it has a line: one table, made of what each family's file adds to it.
//
// A verb is written beside its code, `VERB(eval, .args = "EXPR", ...)`, and nowhere else: the
// command line, `kmon help`, the completion for bash and the check of the manual page read the
// table.
#pragma once

#include "console.h"
#include "lib/set.h"

enum { VERB_OPTIONS = 6 };

struct verb_option {
    const char *name;  // "--until", "-n"
    const char *value; // "EXPR"; NULL: it stands alone
    const char *help;  // one line
};

struct options {
    struct machine machine;
    enum { ON_SHARED, ON_LINE, ON_QEMU, ON_DUMP } on;
    const char
        *address; // ON_LINE; ON_SHARED: the socket of the kmon that has the line; ON_DUMP: file
    const char *share; // socket to share the line on; NULL: it is not shared
    const struct verb *verb;
    char **args; // behind the verb
    int nargs;
    const char *set[VERB_OPTIONS]; // the verb's own, in its order: NULL, a value, "" if it has none
    bool verbose;
    uint64_t timeout_ms; // UINT64_MAX: none
    bool timeout_set;
};

struct verb {
    const char *name, *args, *help;    // "eval", "EXPR", one line
    const char *needs;                 // "an expression", when an argument is missing
    const struct verb_option *options; // up to one without a name; NULL: none
    // Before a machine is started in vain: reads files, refuses what makes no sense. May be NULL.
    void (*prepare)(struct console *c, const struct options *o);
    int (*run)(struct console *c, const struct options *o);
    int least, most;  // arguments; most -1: any number, all behind the first are the script's own
    uint64_t endless; // no timeout unless asked for
    uint64_t offline; // needs no kernel
};
SET_DECLARE(verbs, struct verb);
#define VERB(id, ...) SET_ITEM(verbs, struct verb, verb_##id) = {.name = #id, __VA_ARGS__}

// Ends kmon with EXIT_USAGE and one line when the words make no sense.
void options_parse(struct options *o, struct console *c, int argc, char **argv);
// What was given for one of the verb's own options; NULL: it was not.
const char *option_value(const struct options *o, const char *name);
// "0.5", "2s" as milliseconds; anything else, and what is not above zero, ends kmon.
uint64_t option_seconds(struct console *c, const char *option, const char *text);
// A file of the build kmon lies in; NULL when it is not there.
const char *options_built(const char *name);
// Where a shared line is looked for and, unless told otherwise, shared.
const char *options_socket(void);

const struct verb *verb_find(const char *name);
// All verbs by name: calls show for each.
void verb_each(void (*show)(const struct verb *verb, void *arg), void *arg);
void verb_usage(void); // of all of them, to stdout
