// SPDX-License-Identifier: MIT
// The log ring. The lock is innermost: the sink is called under it and takes no lock of others.
#include "lib/log.h"

#include "async/timer.h"
#include "lib/spinlock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINES = 256 };

static struct spinlock lock = SPINLOCK_INIT("log");
static struct log_line ring[LINES];
static uint64_t written;
static void (*sink)(const char *text, size_t n);

void log_set_sink(void (*put)(const char *text, size_t n))
{
    sink = put;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    struct log_line line = {.ns = clock_monotonic_ns(), .hart = hart_index(), .level = level};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line.text, sizeof line.text, fmt, ap);
    va_end(ap);

    char out[sizeof line.text + 40];
    int n =
        snprintf(out, sizeof out, "[%5lu.%06lu] %s%s\r\n", (unsigned long)(line.ns / 1000000000),
                 (unsigned long)(line.ns / 1000 % 1000000),
                 level == LOG_ERROR  ? "error: "
                 : level == LOG_WARN ? "warning: "
                                     : "",
                 line.text);
    spin_lock(&lock);
    ring[written++ % LINES] = line;
    if (sink && level <= LOG_INFO)
        sink(out, (size_t)n);
    spin_unlock(&lock);
}

size_t log_tail(struct log_line *out, size_t max)
{
    spin_lock(&lock);
    size_t n = written < LINES ? written : LINES;
    n = n < max ? n : max;
    for (size_t i = 0; i < n; i++)
        out[i] = ring[(written - n + i) % LINES];
    spin_unlock(&lock);
    return n;
}

static struct log_range kept_locked(void)
{
    return (struct log_range){written < LINES ? 0 : written - LINES, written};
}

struct log_range log_kept(void)
{
    spin_lock(&lock);
    struct log_range kept = kept_locked();
    spin_unlock(&lock);
    return kept;
}

bool log_get(uint64_t number, struct log_line *out)
{
    spin_lock(&lock);
    struct log_range kept = kept_locked();
    bool there = number >= kept.from && number < kept.to;
    if (there)
        *out = ring[number % LINES];
    spin_unlock(&lock);
    return there;
}

const struct log_line *log_newest_unlocked(size_t back)
{
    return back < written && back < LINES ? &ring[(written - 1 - back) % LINES] : NULL;
}
