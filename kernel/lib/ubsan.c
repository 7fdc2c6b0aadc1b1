// SPDX-License-Identifier: MIT
// DEBUG builds: what the compiler's checks for undefined behaviour (-fsanitize=undefined) call.
//
// Each check hands over a record that begins with its place in the source, and up to two values; the
// names are the compilers' (gcc libsanitizer/ubsan/ubsan_handlers.h). No build recovers: all end in a
// panic. Lua and libfdt are compiled without these checks.
#ifdef DEBUG
#include "lib/log.h"

struct source_location {
    const char *file;
    uint32_t line, column;
};

#define UBSAN(check, text)                                                                         \
    _Noreturn void ubsan_##check(const struct source_location *at, uint64_t a,                     \
                                 uint64_t b) __asm__("__ubsan_handle_" #check);                    \
    void ubsan_##check(const struct source_location *at, uint64_t a, uint64_t b)                   \
    {                                                                                              \
        undefined(at, text, a, b);                                                                 \
    }

// What a register holds beyond a check's values is nothing: checks of one value show a second.
static _Noreturn void undefined(const struct source_location *at, const char *what, uint64_t a,
                                uint64_t b)
{
    panic("%s:%u:%u: undefined behaviour: %s (0x%lx, 0x%lx)", at->file, at->line, at->column, what,
          (unsigned long)a, (unsigned long)b);
}

UBSAN(type_mismatch_v1_abort, "access by a pointer that is null, misaligned or beyond its object")
UBSAN(add_overflow_abort, "signed addition overflows")
UBSAN(sub_overflow_abort, "signed subtraction overflows")
UBSAN(mul_overflow_abort, "signed multiplication overflows")
UBSAN(negate_overflow_abort, "negation overflows")
UBSAN(divrem_overflow_abort, "division by zero, or it overflows")
UBSAN(shift_out_of_bounds_abort, "shift by too much, or of a negative value")
UBSAN(out_of_bounds_abort, "index outside of its array")
UBSAN(pointer_overflow_abort, "pointer arithmetic wraps")
UBSAN(load_invalid_value_abort, "no value of this bool or enumeration")
UBSAN(vla_bound_not_positive_abort, "array without elements")
UBSAN(builtin_unreachable, "an unreachable place is reached")
UBSAN(missing_return, "a function ends without its value")
UBSAN(nonnull_arg_abort, "a null pointer where an attribute forbids it")
UBSAN(nonnull_return_v1_abort, "a null pointer returned where an attribute forbids it")
UBSAN(invalid_builtin_abort, "a count of zero bits of zero")
#endif
