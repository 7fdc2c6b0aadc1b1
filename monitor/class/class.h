// SPDX-License-Identifier: MIT
// Kernel objects as Lua sees them: one C table per class.
//
// From the table come field access, setters, tostring, pairs in declared order, completion, help,
// JSON and editor stubs. An object is a handle {class, id, owner}, looked up at each use: `copy`
// finds it, copies what the fields show into a plain struct under the object's own locks, and lets
// go. No lua_* call is made under a kernel lock, and no pointer into the kernel is kept.
//
//     struct hart_view { uint32_t index; uint64_t polls; };
//     static long hart_copy(const struct class_key *key, void *out) { ... }
//     static const struct class_field fields[] = {
//         FIELD(struct hart_view, index, "position in the list of harts"),
//         FIELD(struct hart_view, polls, "task polls so far"),
//         {0},
//     };
//     CLASS(hart, .name = "Hart", .doc = "...", .place = "struct hart, kernel/...", ...);
//
// A function or field of the table `k` is one line too: MONITOR_API. Both go into linker sets:
// a new class or function touches one file. What stands for each field in C is said for the test in
// tests/gdb/fields.py, which fails without.
#pragma once

#include "lib/set.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLASS_COPY_MAX = 1024, CLASS_KEYS = 32 };

// id: never reused while boot lasts, or `owner` makes it so (a mapping's id is its address, its
// owner the space's id). owner: 0 when the class has none.
struct class_key {
    uint64_t id, owner;
};

enum class_kind {
    KIND_BOOL,
    KIND_U8,
    KIND_U16,
    KIND_U32,
    KIND_U64,
    KIND_I32,
    KIND_I64,
    KIND_CHARS,   // char[n], zero-terminated
    KIND_STRING,  // const char *, may be NULL (nil)
    KIND_ADDRESS, // uint64_t, shown in hexadecimal
    KIND_NS,      // uint64_t nanoseconds
    KIND_OTHER,   // `get` pushes it
};

struct class_field {
    const char *name;
    const char *doc;
    const char *type; // KIND_OTHER: what get pushes, as in "Space", "list of Tls"
    enum class_kind kind;
    uint32_t offset; // in the copy
    // Pushes one value.
    void (*get)(lua_State *L, const struct class_key *key, const void *copy);
    // Assigns the value at index `value`, by way of change_make (session/journal.h); raises when
    // it does not fit. NULL: read-only.
    void (*set)(lua_State *L, const struct class_key *key, const void *copy, int value);
};

struct class_method {
    const char *name, *signature; // "backtrace", "t:backtrace() -> list of steps"
    const char *doc, *example;
    lua_CFunction fn; // self is argument 1: class_self() checks and copies it
};

struct class
{
    const char *name, *doc;
    const char *place; // the C structure behind it: "struct task, kernel/async/task.h"
    const char *gone;  // in "stale handle: Task#12 exited"; NULL: "is gone"
    // An expression that gives one, for help and tests: "k.harts[0]". It may raise when there is none now.
    const char *example;
    // How a list of them is laid out, and by which members (prelude/layout.lua): "tree parent", "map cells",
    // "ring size free", "hist latency"; NULL: "table", a line for each.
    const char *display;
    uint64_t hex; // ids are addresses
    size_t size;  // of the copy, at most CLASS_COPY_MAX
    // 0, or -ENOENT: no such object (any more); out then stays unused.
    long (*copy)(const struct class_key *key, void *out);
    // Whether copy would find it, where that costs much less; NULL: copy tells.
    bool (*alive)(const struct class_key *key);
    // Keys of owner's objects with id >= from, ascending: how many of them, at most max. Locks,
    // copies, unlocks. NULL: not iterated.
    size_t (*keys)(uint64_t owner, uint64_t from, struct class_key *out, size_t max);
    // What follows "Task#12 " in one line; may be NULL.
    void (*line)(char *buf, size_t n, const struct class_key *key, const void *copy);
    const struct class_field *fields;   // up to an item without a name
    const struct class_method *methods; // the same; may be NULL
    const char *changing; // which methods change the kernel, as in "suspend resume"; NULL: none
};
SET_DECLARE(classes, struct class);

#define CLASS_DECLARE(id) extern const struct class *const class_##id
#define CLASS(id, ...)                                                                             \
    SET_ITEM(classes, struct class, class_table_##id) = {__VA_ARGS__};                             \
    const struct class *const class_##id = &class_table_##id

#define FIELD_KIND_(type, member)                                                                  \
    _Generic(((type *)0)->member, bool: KIND_BOOL, uint8_t: KIND_U8, uint16_t: KIND_U16,       \
             uint32_t: KIND_U32, uint64_t: KIND_U64, int32_t: KIND_I32, int64_t: KIND_I64,     \
             char *: KIND_CHARS, const char *: KIND_STRING)
#define FIELD_AS(kind_, type, member, doc_, ...)                                                   \
    {                                                                                              \
        .name = #member, .doc = doc_, .kind = kind_, .offset = offsetof(type, member), __VA_ARGS__ \
    }
// A member of the copy, shown under its own name. Further arguments: `.set = fn`.
#define FIELD(type, member, doc_, ...)                                                             \
    FIELD_AS(FIELD_KIND_(type, member), type, member, doc_, __VA_ARGS__)
#define FIELD_64_(kind, type, member) _Generic(((type *)0)->member, uint64_t : kind)
#define FIELD_ADDRESS(type, member, doc_, ...)                                                     \
    FIELD_AS(FIELD_64_(KIND_ADDRESS, type, member), type, member, doc_, __VA_ARGS__)
#define FIELD_NS(type, member, doc_, ...)                                                          \
    FIELD_AS(FIELD_64_(KIND_NS, type, member), type, member, doc_, __VA_ARGS__)
// A field that a function pushes.
#define FIELD_OTHER(name_, type_, doc_, get_, ...)                                                 \
    {                                                                                              \
        .name = name_, .doc = doc_, .type = type_, .kind = KIND_OTHER, .get = get_, __VA_ARGS__    \
    }

// A member of `k`. signature NULL: a field, whose value fn pushes; else a function.
struct monitor_api {
    const char *name, *signature, *doc, *example;
    lua_CFunction fn;
    lua_CFunction set; // of a field: assigns argument 1. NULL: read-only
};
SET_DECLARE(monitor_api, struct monitor_api);
#define MONITOR_API(id, ...)                                                                       \
    SET_ITEM(monitor_api, struct monitor_api, monitor_api_##id) = {__VA_ARGS__}

// ---- for bindings

// Raises "k.mode: string expected, got nil" when what is assigned, argument 1, is of another type.
void class_check_assigned(lua_State *L, const char *member, const char *type);

// Pushes a handle; does not look whether it lives.
void class_push(lua_State *L, const struct class *c, struct class_key key);
// The handle at idx, or raises "Task expected, got ...".
struct class_key class_key_at(lua_State *L, int idx, const struct class *c);
// The same, and copies the object; raises "stale handle: ..." when it is gone.
struct class_key class_self(lua_State *L, int idx, const struct class *c, void *copy);
// Pushes the sequence of owner's objects: iterable, indexable by id, with :where{} and so on.
void class_push_list(lua_State *L, const struct class *c, uint64_t owner);
// For `keys` of what is in no order: puts key into the ascending list of the least ids, once; the new n, at most max.
size_t class_keep_least(struct class_key *out, size_t n, size_t max, struct class_key key);
// Class and key of any handle; NULL when the value is none.
const struct class *class_of(lua_State *L, int idx, struct class_key *key);

// Key and copy of any handle, for those who show whole objects; false when the object is gone.
bool class_copy(const struct class *c, const struct class_key *key, void *copy);
// Pushes a field of a copy.
void class_push_field(lua_State *L, const struct class_field *f, const struct class_key *key,
                      const void *copy);
// Pushes the fields of a copy made at ns as a value that stays what it is (prelude/snap.lua).
void class_push_snap(lua_State *L, const struct class *c, const struct class_key *key,
                     const void *copy, uint64_t ns);
// "Task#12 sh" into buf, or "Task#12 (exited)".
void class_line(const struct class *c, const struct class_key *key, char *buf, size_t n);

// t[name] = value of the table on top.
void class_set_int(lua_State *L, const char *name, uint64_t v);
void class_set_text(lua_State *L, const char *name, const char *text); // NULL: nothing
// t[name] = v of the record on top, and says so in its metatable: {__addresses = {[name] = true, ...}}, which all such records
// share. Who shows them (session/prelude) or sends them (session/value.c) knows by that which of their integers are addresses.
void class_set_address(lua_State *L, const char *name, uint64_t v);
// What __display of an object, or a list, is: {kind, by, class, columns}: by is the list of members.
void class_push_display(lua_State *L, const struct class *c);

// The list of records on top is shown as a table with these columns ("fn at bytes> | task": '>' aligns to
// the right, what stands behind the bar is not shown). Reading a name that a row neither has nor may have by this raises.
void class_set_columns(lua_State *L, const char *columns);
// Only the latter, for the rows of a list, one record (`what` is said in the error), or as a metatable for many, pushed.
// `absent`: names that it may lack.
void class_set_row_names(lua_State *L, const char *absent);
void class_set_names(lua_State *L, const char *what, const char *absent);
void class_push_names(lua_State *L, const char *what, const char *absent);

// Installs metatables, and the table `k`, into a new state; and what session/prelude.lua needs:
// the table `monitor` (stacked, not global).
void class_open(lua_State *L);
// Of names, types and documentation of everything: completions may be cached by it.
uint64_t class_schema_hash(void);

// The name most like `wrong`, or NULL when none is near. name(ctx, i) gives the i-th, NULL ends.
const char *class_nearest(const char *wrong, const char *(*name)(const void *ctx, size_t i),
                          const void *ctx);
