// SPDX-License-Identifier: MIT
// Takes all memory there is: `hog [MIB]` touches MIB of it (without limit if 0 or absent), one MiB at
// a time, and says every 16 how far it came. `hog -s KIB` touches KIB and sleeps for ever.
//
// What must come of it is a clear end, of this program and of nothing else: mmap refuses with ENOMEM,
// or the kernel ends the process and says so.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1UL << 20)

static int sleeper(size_t bytes)
{
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return 1;
    memset(p, 0x5a, bytes);
    puts("hog: sleeps");
    fflush(stdout);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "-s"))
        return sleeper(strtoul(argv[2], NULL, 0) << 10);
    unsigned long most = argc > 1 ? strtoul(argv[1], NULL, 0) : 0, held = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (; most == 0 || held < most; held++) {
        char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            printf("hog: refused after %lu MiB: %s\n", held, strerror(errno));
            return errno == ENOMEM ? 0 : 1;
        }
        memset(p, 0x5a, MIB);
        if (held % 16 == 15)
            printf("hog: %lu MiB\n", held + 1);
    }
    printf("hog: holds %lu MiB\n", held);
    return 0;
}
