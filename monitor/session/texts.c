// SPDX-License-Identifier: MIT
// The texts stand behind each other in the order in which they came.
#include "session/texts.h"

#include "wire/hash.h"

#include <string.h>

static char bytes[TEXTS_BYTES];
static struct {
    uint64_t hash;
    size_t n;
} texts[TEXTS];
static size_t count, used;

// Where it begins, or `used`; its place in the list.
static size_t find(uint64_t hash, size_t *place)
{
    size_t at = 0;
    for (*place = 0; *place < count && texts[*place].hash != hash; ++*place)
        at += texts[*place].n;
    return at;
}

static void forget_oldest(void)
{
    size_t n = texts[0].n;
    memmove(bytes, bytes + n, used - n);
    memmove(texts, texts + 1, (count - 1) * sizeof *texts);
    used -= n;
    count--;
}

void texts_keep(const void *text, size_t n)
{
    size_t place;
    uint64_t hash = wire_hash(WIRE_HASH, text, n);
    find(hash, &place);
    if (place < count || n > TEXTS_BYTES || n == 0)
        return;
    while (count == TEXTS || n > TEXTS_BYTES - used)
        forget_oldest();
    memcpy(bytes + used, text, n);
    texts[count].hash = hash;
    texts[count++].n = n;
    used += n;
}

size_t texts_hashes(uint64_t out[TEXTS])
{
    for (size_t i = 0; i < count; i++)
        out[i] = texts[i].hash;
    return count;
}

size_t texts_size(uint64_t hash)
{
    size_t place;
    find(hash, &place);
    return place < count ? texts[place].n : 0;
}

bool texts_copy(uint64_t hash, void *out, size_t n)
{
    size_t place, at = find(hash, &place);
    if (place == count || texts[place].n != n)
        return false;
    memcpy(out, bytes + at, n);
    return true;
}
