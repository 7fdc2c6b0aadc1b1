// SPDX-License-Identifier: MIT
// Where the kernel puts the parts of an image: `aslr` runs `bases` 320 times and tells whether each part is spread
// evenly over its window, and independent of the others. `aslr fixed` without randomness: always the same.
//
// A chi-square of 16 cells each for the upper four bits of a part's place, for the lower four, and for the upper two
// bits of each pair of parts. LIMIT is from the exact distribution of 320 throws into 16 equal cells: it is
// exceeded once in 10^9, one of the 20 statistics by chance in less than one of 10^7 runs.
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARTS = 5, RUNS = 320, CELLS = 16, PAGE_SHIFT = 12 };
#define LIMIT 77.9
#define GIB   (1ul << 30)

// The windows, as kernel/mem/layout.c describes them; the heap's starts where the program ends. Linux has
// 18 bits on this machine (mmap_rnd_bits, STACK_RND_MASK, arch_randomize_brk), and none of its own for the vDSO.
static const struct {
    const char *name;
    unsigned bits;
} part[PARTS] = {{"stack", 22}, {"mmap", 22}, {"program", 23}, {"heap", 18}, {"vdso", 20}};

// Where each part lies, in pages from the start of its window.
static int run(uint64_t at[PARTS])
{
    static char *argv[] = {"bases", NULL}, *envp[] = {NULL};
    const uint64_t room = (8ul << 20) + (1ul << 20); // RLIMIT_STACK and the gap behind it
    posix_spawn_file_actions_t actions;
    uint64_t base[PARTS + 1]; // and where the program ends
    int pipe_fd[2], status;
    pid_t child;
    posix_spawn_file_actions_init(&actions);
    if (pipe(pipe_fd) || posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], 1) ||
        posix_spawn(&child, "/bin/bases", &actions, NULL, argv, envp))
        return -1;
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fd[1]);
    ssize_t n = read(pipe_fd[0], base, sizeof base);
    close(pipe_fd[0]);
    if (waitpid(child, &status, 0) != child || status || n != sizeof base)
        return -1;
    at[0] = base[0] - (236 * GIB + 4096);
    at[1] = base[1] - (220 * GIB + 4096 - room);
    at[2] = base[2] - (256 * GIB / 3 * 2 & ~4095ul);
    at[3] = base[3] - ((base[PARTS] + 4095) & ~4095ul);
    at[4] = base[4] - 252 * GIB;
    for (int i = 0; i < PARTS; i++) {
        at[i] >>= PAGE_SHIFT;
        if (at[i] >> part[i].bits) {
            printf("%s: at 0x%lx, outside of its window\n", part[i].name, base[i]);
            return -1;
        }
    }
    return 0;
}

static uint64_t at[RUNS][PARTS];

static unsigned upper(int n, int i, unsigned bits)
{
    return (unsigned)(at[n][i] >> (part[i].bits - bits));
}

static int told(const unsigned cell[CELLS], const char *a, const char *b)
{
    const double expected = (double)RUNS / CELLS;
    double x = 0;
    for (int i = 0; i < CELLS; i++)
        x += (cell[i] - expected) * (cell[i] - expected) / expected;
    if (x > LIMIT)
        printf("%s, %s: chi-square %.1f\n", a, b, x);
    return x > LIMIT;
}

static int judge(void)
{
    int bad = 0;
    for (int i = 0; i < PARTS; i++) {
        unsigned high[CELLS] = {0}, low[CELLS] = {0};
        for (int n = 0; n < RUNS; n++) {
            high[upper(n, i, 4)]++;
            low[at[n][i] % CELLS]++;
        }
        bad += told(high, part[i].name, "upper bits") + told(low, part[i].name, "lower bits");
        for (int j = 0; j < i; j++) {
            unsigned pair[CELLS] = {0};
            for (int n = 0; n < RUNS; n++)
                pair[upper(n, i, 2) << 2 | upper(n, j, 2)]++;
            bad += told(pair, part[i].name, part[j].name);
        }
    }
    return bad;
}

int main(int argc, char **argv)
{
    int fixed = argc > 1 && !strcmp(argv[1], "fixed");
    if (fixed && personality(ADDR_NO_RANDOMIZE) < 0)
        return 1;
    for (int n = 0; n < RUNS; n++) {
        if (run(at[n])) {
            printf("bases: run %d failed\n", n);
            return 1;
        }
        if (fixed && n == 8)
            return memcmp(at[0], at[8], sizeof at[0]) != 0;
    }
    return judge() != 0;
}
