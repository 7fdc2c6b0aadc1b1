// SPDX-License-Identifier: MIT
// memcpy, memmove and memset by words: picolibc's are built for size and move a byte at a time.
//
// Words are moved with their natural alignment only. When source and destination are misaligned
// against each other, two aligned words are merged by shifts, so nothing is read outside the words
// that hold the source.
#include <stddef.h>
#include <stdint.h>

typedef uint64_t __attribute__((may_alias)) word;

// The compiler must not recognise these loops and call the functions they implement.
#ifdef __clang__
#define AS_WRITTEN __attribute__((no_builtin))
#else
#define AS_WRITTEN __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

enum { WORD = sizeof(word), BLOCK = 8 * WORD };

static inline void copy_block(word *d, const word *s)
{
    word a = s[0], b = s[1], c = s[2], e = s[3];
    d[0] = a;
    d[1] = b;
    d[2] = c;
    d[3] = e;
    a = s[4];
    b = s[5];
    c = s[6];
    e = s[7];
    d[4] = a;
    d[5] = b;
    d[6] = c;
    d[7] = e;
}

// d is aligned, s is not; n whole words.
AS_WRITTEN static void copy_shifted(word *d, const unsigned char *s, size_t n)
{
    unsigned low = ((uintptr_t)s & 7) * 8, high = 64 - low;
    const word *from = (const word *)((uintptr_t)s & ~7ul);
    word have = *from++;
    for (; n; n--) {
        word next = *from++;
        *d++ = have >> low | next << high;
        have = next;
    }
}

AS_WRITTEN void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    unsigned char *d = dst;
    const unsigned char *s = src;
    if (n >= 2 * WORD) {
        while ((uintptr_t)d & 7) {
            *d++ = *s++;
            n--;
        }
        if (((uintptr_t)s & 7) == 0) {
            for (; n >= BLOCK; n -= BLOCK, d += BLOCK, s += BLOCK)
                copy_block((word *)d, (const word *)s);
            for (; n >= WORD; n -= WORD, d += WORD, s += WORD)
                *(word *)d = *(const word *)s;
        } else {
            copy_shifted((word *)d, s, n / WORD);
            d += n & ~7ul;
            s += n & ~7ul;
            n &= 7;
        }
    }
    while (n--)
        *d++ = *s++;
    return dst;
}

AS_WRITTEN void *memmove(void *dst, const void *src, size_t n)
{
    unsigned char *d = (unsigned char *)dst + n;
    const unsigned char *s = (const unsigned char *)src + n;
    if ((uintptr_t)dst - (uintptr_t)src >= n)
        return memcpy(dst, src, n); // the destination begins outside the source: forwards
    if ((((uintptr_t)d ^ (uintptr_t)s) & 7) == 0) {
        for (; n && ((uintptr_t)d & 7); n--)
            *--d = *--s;
        for (; n >= WORD; n -= WORD) {
            d -= WORD;
            s -= WORD;
            *(word *)d = *(const word *)s;
        }
    }
    while (n--)
        *--d = *--s;
    return dst;
}

AS_WRITTEN void *memset(void *dst, int c, size_t n)
{
    unsigned char *d = dst;
    word w = (unsigned char)c * 0x0101010101010101ul;
    if (n >= 2 * WORD) {
        for (; (uintptr_t)d & 7; n--)
            *d++ = (unsigned char)c;
        for (; n >= BLOCK; n -= BLOCK, d += BLOCK) {
            word *p = (word *)d;
            p[0] = p[1] = p[2] = p[3] = p[4] = p[5] = p[6] = p[7] = w;
        }
        for (; n >= WORD; n -= WORD, d += WORD)
            *(word *)d = w;
    }
    while (n--)
        *d++ = (unsigned char)c;
    return dst;
}
