// SPDX-License-Identifier: MIT
// The entropy pool: see random.h.
//
// One 256-bit key. Output is ChaCha20 keyed with it; the first 32 bytes of each request's stream
// replace the key before anything is handed out (fast key erasure), so that a later look at the
// kernel's memory says nothing about earlier output. Small requests are served from a stream made in
// advance; what is handed out of it is wiped, and mixing throws the rest away. Mixing folds input into the key through the
// block function used as a compression function, 32 bytes at a time.
#include "dev/random.h"

#include "arch/cpu.h"
#include "dev/chacha.h"
#include "lib/spinlock.h"

#include <string.h>

enum { READY_BITS = 256, CHUNK = 256, RESEED_BYTES = 1 << 20, SMALL = 32, STOCK_BLOCKS = 8 };

static struct spinlock lock = SPINLOCK_INIT("random");
static uint8_t key[CHACHA_KEY];
static uint64_t generation;
static uint8_t stock[STOCK_BLOCKS * CHACHA_BLOCK];
static uint32_t stocked; // bytes left at its start
static uint32_t entropy_bits;
static uint64_t handed_out; // bytes since the source was last asked
static void (*source)(void);

// Lock held. key = first half of block(key ^ input), nonce made of the time and a counter.
static void mix_block(const uint8_t in[CHACHA_KEY])
{
    uint8_t block[CHACHA_BLOCK], nonce[CHACHA_NONCE];
    uint64_t now = time_ticks();
    generation++;
    memcpy(nonce, &now, sizeof(now));
    memcpy(nonce + sizeof(now), &generation, sizeof(nonce) - sizeof(now));
    for (unsigned i = 0; i < CHACHA_KEY; i++)
        key[i] ^= in[i];
    chacha20_block(key, 0, nonce, block);
    memcpy(key, block, CHACHA_KEY);
    stocked = 0;
}

void random_mix(const void *buf, size_t n, uint32_t bits)
{
    const uint8_t *p = buf;
    spin_lock(&lock);
    do {
        uint8_t in[CHACHA_KEY] = {0};
        size_t part = n < sizeof(in) ? n : sizeof(in);
        memcpy(in, p, part);
        mix_block(in);
        p += part;
        n -= part;
    } while (n > 0);
    entropy_bits = entropy_bits + bits > READY_BITS ? READY_BITS : entropy_bits + bits;
    spin_unlock(&lock);
}

bool random_ready(void)
{
    return load_relaxed(&entropy_bits) >= READY_BITS;
}

static void wipe(void *p, size_t n)
{
    memset(p, 0, n);
    __asm__ volatile("" ::"r"(p) : "memory"); // or it is optimised away
}

// Lock held. A new key, and one that is used once for what is handed out.
static void next_key(uint8_t once[CHACHA_KEY], uint8_t nonce[CHACHA_NONCE])
{
    uint8_t block[CHACHA_BLOCK];
    uint64_t now = time_ticks();
    generation++;
    memcpy(nonce, &generation, sizeof(generation));
    memcpy(nonce + sizeof(generation), &now, CHACHA_NONCE - sizeof(generation));
    chacha20_block(key, 0, nonce, block);
    memcpy(key, block, CHACHA_KEY);
    memcpy(once, block + CHACHA_KEY, CHACHA_KEY);
    wipe(block, sizeof(block));
}

static void random_small(uint8_t *out, size_t n)
{
    uint8_t once[CHACHA_KEY], nonce[CHACHA_NONCE];
    spin_lock(&lock);
    if (stocked < n) {
        next_key(once, nonce);
        for (uint32_t i = 0; i < STOCK_BLOCKS; i++)
            chacha20_block(once, i + 1, nonce, stock + i * CHACHA_BLOCK);
        stocked = sizeof(stock);
        wipe(once, sizeof(once));
    }
    stocked -= (uint32_t)n;
    memcpy(out, stock + stocked, n);
    wipe(stock + stocked, n);
    spin_unlock(&lock);
}

// One short stream; large requests take many, so that nobody waits long for the lock.
static void random_chunk(uint8_t *out, size_t n)
{
    uint8_t once[CHACHA_KEY], block[CHACHA_BLOCK], nonce[CHACHA_NONCE];

    spin_lock(&lock);
    next_key(once, nonce);
    spin_unlock(&lock);

    for (uint32_t counter = 1; n > 0; counter++) {
        size_t part = n < CHACHA_BLOCK ? n : CHACHA_BLOCK;
        chacha20_block(once, counter, nonce, block);
        memcpy(out, block, part);
        out += part;
        n -= part;
    }
    wipe(once, sizeof(once));
    wipe(block, sizeof(block));
}

void random_set_source(void (*request)(void))
{
    store_release(&source, request);
}

static void count_output(size_t n)
{
    void (*request)(void) = load_acquire(&source);
    if (!request || atomic_add64(&handed_out, n) + n < RESEED_BYTES)
        return;
    store_relaxed(&handed_out, 0);
    request();
}

void random_bytes(void *buf, size_t n)
{
    uint8_t *out = buf;
    count_output(n);
    if (n <= SMALL) {
        random_small(out, n);
        return;
    }
    while (n > 0) {
        size_t part = n < CHUNK ? n : CHUNK;
        random_chunk(out, part);
        out += part;
        n -= part;
    }
}

uint64_t random_u64(void)
{
    uint64_t v;
    random_bytes(&v, sizeof(v));
    return v;
}
