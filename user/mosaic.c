// SPDX-License-Identifier: MIT
// `mosaic COUNT`: so many mappings of a page each, none with the rights of its neighbours, every third touched. Says
// `ready`, and waits for a signal.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

int main(int argc, char **argv)
{
    long n = argc == 2 ? atol(argv[1]) : 0;
    volatile char *tiles =
        mmap(NULL, (size_t)n * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (n < 1 || tiles == MAP_FAILED) {
        fprintf(stderr, "usage: mosaic COUNT\n");
        return 2;
    }
    for (long i = 0; i < n; i += 2)
        if (mprotect((void *)(tiles + i * PAGE), PAGE, PROT_READ | PROT_WRITE)) {
            perror("mosaic");
            return 1;
        }
    for (long i = 0; i < n; i += 3)
        (void)tiles[i * PAGE];
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}
