// SPDX-License-Identifier: MIT
// Linker sets: arrays whose items are written beside the code they are about.
//
// An item is a const struct in section set_NAME; the linker gathers the section and gives its
// bounds. All items of a set have one type. Every type used in a set is 8-byte aligned by the
// attribute, or the compiler pads items and the section is no array.
#pragma once

#define SET_ITEM(set, type, name)                                                                  \
    static const type name __attribute__((used, section("set_" #set), aligned(8)))

// Bounds are weak so that an empty set links.
#define SET_DECLARE(set, type)                                                                     \
    extern const type __start_set_##set[] __attribute__((weak));                                   \
    extern const type __stop_set_##set[] __attribute__((weak));                                    \
    _Static_assert(sizeof(type) % 8 == 0, "items of a linker set must be multiples of 8 bytes")

// The bounds as plain pointers: to the compiler they are two objects that cannot be compared (and
// clang 14 never ends when it folds the difference of weak ones), hence the empty assembly.
#define SET_BOUND_(symbol)                                                                         \
    ({                                                                                             \
        __typeof__(&(symbol)[0]) bound_ = (symbol);                                                \
        __asm__("" : "+r"(bound_));                                                                \
        bound_;                                                                                    \
    })
#define SET_BEGIN(set) SET_BOUND_(__start_set_##set)
#define SET_END(set)   SET_BOUND_(__stop_set_##set)

#define SET_FOREACH(set, type, it)                                                                 \
    for (const type *it = SET_BEGIN(set), *it##_end = SET_END(set); it < it##_end; it++)

#define SET_COUNT(set) ((size_t)(SET_END(set) - SET_BEGIN(set)))
