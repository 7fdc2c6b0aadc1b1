// SPDX-License-Identifier: MIT
// Where the parts of a new image lie. Each has a window of its own, and a draw of its own in it: all places are
// equally likely, and where one part lies says nothing of another. From the top of user space (Sv39: 256 GiB):
//
//     vDSO                       4 GiB        places, in bits: 20
//     end of the stack          16 GiB        22 (Linux: 18)
//     room for the stack to grow: its limit, at most 64 GiB, and a gap
//     top of the mmap area      16 GiB        22 (Linux: mmap_rnd_bits, 18 unless set)
//     independent program       32 GiB, from two thirds of user space up      23 (Linux: 18)
//     heap                       1 GiB, from the program's end up             18 (Linux: 18)
#include "mem/space_internal.h"

enum { VDSO_BITS = 20, STACK_BITS = 22, MMAP_BITS = 22, PROGRAM_BITS = 23, HEAP_BITS = 18 };
#define VDSO_WINDOW ((va_t)1 << (VDSO_BITS + PAGE_SHIFT))
#define STACK_TOP   (USER_TOP - VDSO_WINDOW)
#define MMAP_TOP    (STACK_TOP - ((va_t)1 << (STACK_BITS + PAGE_SHIFT)))
#define PROGRAM_LOW page_round_down(USER_TOP / 3 * 2)
#define STACK_MOST  ((uint64_t)1 << 36)

static uint64_t weak_random(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15;
    state ^= time_ticks();
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t (*random_fn)(void) = weak_random;

void space_set_random(uint64_t (*fn)(void))
{
    random_fn = fn;
}

static uint64_t lowest(void)
{
    return 0;
}

static uint64_t draw(const struct space *s)
{
    return s->not_random ? 0 : random_fn();
}

static uint64_t pages(uint64_t bits, unsigned count)
{
    return (bits & ((1ul << count) - 1)) << PAGE_SHIFT;
}

void space_place(struct space *s, uint64_t stack_limit)
{
    uint64_t r = draw(s), room = page_round_up(stack_limit < STACK_MOST ? stack_limit : STACK_MOST);
    s->stack_limit = stack_limit;
    s->stack_top = STACK_TOP - pages(r, STACK_BITS);
    s->mmap_top = MMAP_TOP - room - STACK_GAP - pages(r >> STACK_BITS, MMAP_BITS);
}

void space_place_heap(struct space *s, va_t end)
{
    s->brk_start = s->brk = page_round_up(end) + pages(draw(s), HEAP_BITS);
}

static va_t place(struct space *s, uint64_t len, uint64_t align, va_t lo, va_t hi)
{
    spin_lock(&s->lock);
    va_t va = range_map_gap_random(&s->map, len, align, lo, hi, s->not_random ? lowest : random_fn);
    spin_unlock(&s->lock);
    return va;
}

va_t space_place_program(struct space *s, uint64_t len, uint64_t align)
{
    return place(s, len, align, PROGRAM_LOW,
                 PROGRAM_LOW + ((va_t)1 << (PROGRAM_BITS + PAGE_SHIFT)));
}

va_t space_place_vdso(struct space *s, uint64_t len)
{
    return place(s, len, PAGE_SIZE, STACK_TOP, USER_TOP - PAGE_SIZE);
}
