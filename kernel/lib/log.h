// SPDX-License-Identifier: MIT
// The kernel log: a ring of lines with time and hart, copied to the console as they come.
//
// Callable from any kernel context, also under a spinlock (the ring has its own, innermost lock).
// log_* lines are shortened at 240 bytes. panic() never returns; it is for broken invariants and
// says what was expected.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

// Where finished lines go besides the ring: the SBI console at boot, the UART later. `put` is
// called with the ring's lock held, must not log and must not block. NULL: ring only.
void log_set_sink(void (*put)(const char *text, size_t n));

struct log_line {
    uint64_t ns;
    uint32_t hart;
    uint32_t level;
    char text[240];
};
// Copies up to max newest lines, oldest first; returns how many.
size_t log_tail(struct log_line *out, size_t max);

// Lines are numbered from 0 since boot; these are kept. Any context.
struct log_range {
    uint64_t from, to; // to: the next to be written
};
struct log_range log_kept(void);
// False: that line is overwritten, or not yet written.
bool log_get(uint64_t number, struct log_line *out);

// The newest line (0), the one before it (1), ...; NULL: no more. Panic only: no lock.
const struct log_line *log_newest_unlocked(size_t back);

// How a panic sends its text: by polling, without a lock.
extern void (*panic_puts)(const char *text);

_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// Three assertions: an internal invariant, a checked expression, a caller's contract.
#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            panic("%s:%d: %s: expected %s", __FILE__, __LINE__, __func__, #cond);                  \
    } while (0)
#ifdef DEBUG
#define DEBUG_ASSERT(cond) ASSERT(cond)
#else
#define DEBUG_ASSERT(cond) ((void)0)
#endif
#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            panic("%s: caller must ensure %s", __func__, #cond);                                   \
    } while (0)
