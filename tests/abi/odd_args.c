// SPDX-License-Identifier: MIT
// Arguments that only just fit: what user/fuzz.c found to be answered otherwise than by Linux.
#include "abi.h"
#include <sys/mman.h>
#include <time.h>

#define HIGH (1UL << 41) // lost where a call takes an int

static void ints(void)
{
    char place[] = "/tmp/odd.XXXXXX", stat[256];
    uint64_t mask[16] = {1};

    if (!mkdtemp(place) || chdir(place) < 0)
        _exit(122);
    close(open("f", O_CREAT | O_RDWR, 0600));
    OK("int.fstatat", syscall(SYS_newfstatat, AT_FDCWD, "f", stat, HIGH));
    OK("int.statx", syscall(SYS_statx, AT_FDCWD, "f", HIGH, 0, stat));
    OK("int.linkat", syscall(SYS_linkat, AT_FDCWD, "f", AT_FDCWD, "g", HIGH));
    OK("int.fchownat", syscall(SYS_fchownat, AT_FDCWD, "f", -1, -1, HIGH));
    OK("int.utimensat", syscall(SYS_utimensat, AT_FDCWD, "f", NULL, HIGH));
    OK("int.unlinkat", syscall(SYS_unlinkat, AT_FDCWD, "f", HIGH));
    unlink("g");
    OK("int.rmdir", syscall(SYS_unlinkat, AT_FDCWD, place, HIGH | AT_REMOVEDIR));
    OK("int.setaffinity", syscall(SYS_sched_setaffinity, 0, 1UL << 63, mask));
    OK("int.getaffinity", syscall(SYS_sched_getaffinity, 0, 1UL << 63, mask));
}

static void clocks(void)
{
    struct timespec none = {0, 0};

    for (int clock = 0; clock <= 7; clock++) {
        if (clock == 2 || clock == 3) // processor time: not yet
            continue;
        char key[16];
        snprintf(key, sizeof key, "sleep.%d", clock);
        OK(key, syscall(SYS_clock_nanosleep, clock, 0, &none, NULL));
    }
}

static void maps(void)
{
    void *p = (void *)syscall(SYS_mmap, NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                              1UL << 63);
    unsigned char there[4];

    say("mmap.offset", "%s", p == MAP_FAILED ? errno_name(errno) : "ok");
    p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect((char *)p + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);
    say("mremap.shrink", "%s", mremap(p, 4 * PAGE, PAGE, 0) == p ? "ok" : errno_name(errno));
    OK("mremap.kept", mincore(p, PAGE, there));
    OK("mremap.gone", mincore((char *)p + PAGE, 3 * PAGE, there));
    p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap((char *)p + 2 * PAGE, PAGE);
    say("mremap.hole", "%s", mremap(p, 4 * PAGE, PAGE, 0) == p ? "ok" : errno_name(errno));
    mremap(p, PAGE, PAGE, 0);
    munmap(p, PAGE);
    say("mremap.none", "%s", mremap(p, 4 * PAGE, PAGE, 0) == p ? "ok" : errno_name(errno));
}

int main(void)
{
    ints();
    clocks();
    maps();
    return 0;
}
