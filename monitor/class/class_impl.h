// SPDX-License-Identifier: MIT
// What the files of the class machinery share among themselves.
#pragma once

#include "class/class.h"

struct handle { // what the userdata of an object holds
    const struct class *c;
    struct class_key key;
};
void class_push_metatable(lua_State *L, const struct class *c); // of its handles

const struct class_field *class_field(const struct class *c, const char *name);
const struct class_method *class_method(const struct class *c, const char *name);
const char *class_member_name(const void *c, size_t i); // fields, then methods
const char *class_type_name(const struct class_field *f);
// The words of a text, each perhaps with a '>' behind it: *text goes on to the next. Its length, 0: there are no more.
size_t class_next_word(const char **word, const char **text);
bool class_has_word(const char *words, const char *name); // "a b> c" has a, b and c; NULL has none

extern const struct class_method
    class_common_methods[]; // snap.c: what every class has, up to an item without a name

void class_open_lists(lua_State *L);        // list.c
void class_push_list_methods(lua_State *L); // the table of them, for the prelude
int class_list_behind(lua_State *L);
void class_open_api(lua_State *L);        // api.c: the table `k`
void class_push_reflection(lua_State *L); // reflect.c: the table `monitor`
