// SPDX-License-Identifier: MIT
// Does one forbidden thing, so that a test sees the signal it dies of, and that nobody else dies.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Addresses are volatile so that the compiler cannot know what it is asked to do.
static volatile char *volatile nowhere = NULL;
static volatile char *volatile kernel_text = (volatile char *)0xffffffc080200000UL;
static volatile char *volatile non_canonical = (volatile char *)0x8000000000000000UL;

static volatile int bottom =
    -1; // is never reached; without it the compiler sees an endless recursion

static int overflow_stack(int n)
{
    volatile char room[4096];

    room[0] = (char)n;
    return n == bottom ? 0 : overflow_stack(n + 1) + room[0];
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";

    if (strcmp(how, "null") == 0)
        *nowhere = 1;
    else if (strcmp(how, "kernel") == 0)
        *kernel_text = 1;
    else if (strcmp(how, "wild") == 0)
        *non_canonical = 1;
    else if (strcmp(how, "text") == 0)
        *(volatile char *)main = 1;
    else if (strcmp(how, "illegal") == 0)
        __asm__ volatile(".half 0");
    else if (strcmp(how, "csr") == 0)
        __asm__ volatile("csrr t0, sstatus" ::: "t0");
    else if (strcmp(how, "break") == 0)
        __asm__ volatile("ebreak");
    else if (strcmp(how, "stack") == 0)
        return overflow_stack(0);
    else if (strcmp(how, "jump") == 0)
        ((void (*)(void))kernel_text)();
    else if (strcmp(how, "abort") == 0)
        abort();
    else
        fprintf(stderr, "usage: crash null|kernel|wild|text|illegal|csr|break|stack|jump|abort\n");
    return 2;
}
