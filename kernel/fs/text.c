// SPDX-License-Identifier: MIT
// A text that grows on the heap, for /proc.
#include "fs/proc.h"
#include "page/heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_FIRST = 512 };

static bool reserve(struct text *out, size_t n)
{
    size_t size = out->size ? out->size : TEXT_FIRST;
    if (out->failed)
        return false;
    if (out->len + n <= out->size)
        return true;
    while (size < out->len + n)
        size *= 2;
    char *buf = kmalloc(size);
    if (!buf) {
        out->failed = true;
        return false;
    }
    if (out->len)
        memcpy(buf, out->buf, out->len);
    kfree(out->buf);
    out->buf = buf;
    out->size = size;
    return true;
}

void text_write(struct text *out, const void *p, size_t n)
{
    if (!reserve(out, n))
        return;
    memcpy(out->buf + out->len, p, n);
    out->len += n;
}

void text_printf(struct text *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0 || !reserve(out, (size_t)n + 1))
        return;
    va_start(args, fmt);
    vsnprintf(out->buf + out->len, (size_t)n + 1, fmt, args);
    va_end(args);
    out->len += (size_t)n;
}

void text_free(struct text *out)
{
    kfree(out->buf);
    *out = (struct text){.buf = NULL};
}
