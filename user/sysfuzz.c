// SPDX-License-Identifier: MIT
// Asks the kernel for nonsense: `sysfuzz [SEED [ROUNDS]]` runs ROUNDS children (100), each of which makes
// 300 system calls with arguments that are likely to hurt, and ends them if they do not end themselves.
//
// Nothing is expected of a call but that the machine goes on. The seed names the run: the same seed makes
// the same calls, as far as the answers are the same. A child works in a directory and a group of its own;
// calls that would end the machine, or reach processes outside, are left out.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CALLS = 300, ARENA = 64 << 10 };

static uint64_t state;
static uint8_t *arena; // memory that calls may read and write

static uint64_t next(void) // xorshift64*, Vigna 2016
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d;
}

static uint64_t below(uint64_t n)
{
    return (next() >> 33) % n;
}

static const char *const paths[] = {
    "/",
    ".",
    "..",
    "a",
    "b",
    "d",
    "d/x",
    "/tmp",
    "/dev/null",
    "/dev/zero",
    "/proc/self/",
    "/mnt",
    "/mnt/fuzz",
    "/proc/self/maps",
    "a/b",
    "/dev/tty",
    "/proc",
    "",
    "l",
    "/proc/self",
    "/proc/self/fd/3",
    "/dev",
    "/etc/passwd",
    "/bin/hello",
    "/proc/meminfo",
    "/dev/urandom",
    "./././a",
    "/tmp/../tmp/a",
};

static uint64_t pointer(void)
{
    switch (below(12)) {
    case 0:
        return 0;
    case 1:
        return below(4096);
    case 2:
        return 0xffffffc080200000 + (below(1 << 20) & ~7ul);
    case 3:
        return (uint64_t)arena + ARENA - below(64); // runs out of the arena into nothing
    case 4:
        return 0x4000000000 - below(8192);
    case 5:
        return next();
    case 6:
        return (uint64_t)paths[below(sizeof paths / sizeof *paths)];
    default:
        return (uint64_t)arena + below(ARENA - 4096) / 8 * 8;
    }
}

static uint64_t argument(void)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     3,
                                     4,
                                     7,
                                     8,
                                     16,
                                     255,
                                     256,
                                     4095,
                                     4096,
                                     4097,
                                     65536,
                                     1ul << 20,
                                     1u << 31,
                                     (uint64_t)-1,
                                     (uint64_t)-100,
                                     1ul << 32,
                                     1ul << 38,
                                     1ul << 39,
                                     1ul << 63,
                                     0x7fffffff,
                                     0x7fffffffffffffff};

    switch (below(8)) {
    case 0:
    case 1:
    case 2:
        return pointer();
    case 3:
        return below(16); // descriptors, among others
    case 4:
        return 1ul << below(64);
    case 5:
        return below(1 << 20);
    case 6:
        return (uint64_t)paths[below(sizeof paths / sizeof *paths)];
    default:
        return edges[below(sizeof edges / sizeof *edges)];
    }
}

// What would end the machine, the harness or the next rounds.
static int is_left_out(long nr)
{
    switch (nr) {
    case SYS_reboot:
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
    case SYS_rt_sigqueueinfo:
    case SYS_rt_tgsigqueueinfo:
    case SYS_setsid:
    case SYS_setpgid:
    case SYS_exit:
    case SYS_exit_group:
    case SYS_clock_settime:
    case SYS_umount2:
    case SYS_mount:
    case SYS_chroot:
        return 1;
    }
    return 0;
}

static long choose_call(void)
{
    long nr = below(40) == 0 ? (long)below(500) : 17 + (long)below(280);

    return is_left_out(nr) ? SYS_getpid : nr;
}

static void fill_arena(void)
{
    for (size_t i = 0; i < ARENA; i += 8) {
        uint64_t value = below(3) ? argument() : next();
        memcpy(arena + i, &value, 8);
    }
}

static void ignore(int sig)
{
    (void)sig;
}

// A signal every 2 ms brings calls back that wait for what never comes.
static void arm_interruption(void)
{
    struct itimerval often = {{0, 2000}, {0, 2000}};
    struct sigaction action = {.sa_handler = ignore};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
}

static void misbehave(void)
{
    setpgid(0, 0);
    fill_arena();
    for (int fd = open("a", O_RDWR | O_CREAT, 0600); fd >= 0 && fd < 6;)
        fd = open(paths[below(sizeof paths / sizeof *paths)], O_RDWR | O_CREAT | O_NONBLOCK, 0600);
    for (int i = 0; i < CALLS; i++) {
        long nr = choose_call();
        uint64_t a[6];
        if (i % 8 == 0)
            arm_interruption();
        for (int k = 0; k < 6; k++)
            a[k] = argument();
        if (nr == SYS_clone && below(4))
            a[0] &= ~0x100ul; // seldom a child on the same stack
        if (nr == SYS_munmap || nr == SYS_mprotect)
            a[0] = below(2) ? a[0] : (uint64_t)arena; // rather not the program itself
        syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
        if (i % 50 == 49)
            fill_arena();
    }
    _exit(0);
}

// One child at most 300 ms; its group ends with it.
static int run_child(uint64_t seed)
{
    struct timespec patience = {0, 300000000}, none = {0};
    sigset_t child;
    int status = 0;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, NULL, &none); // of the children before
    pid_t pid = fork();
    if (pid < 0)
        return errno;
    if (pid == 0) {
        state = seed * 0x9e3779b97f4a7c15 + 1;
        misbehave();
    }
    sigtimedwait(&child, NULL, &patience);
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    long rounds = argc > 2 ? atol(argv[2]) : 100, failed = 0;
    char place[] = "/tmp/fuzz.XXXXXX";
    sigset_t child;

    arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED || !mkdtemp(place) || chdir(place) < 0 || mkdir("d", 0700) < 0) {
        perror("sysfuzz");
        return 1;
    }
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (long i = 0; i < rounds; i++) {
        if (i % 10 == 0)
            printf("sysfuzz: seed %lu\n", (unsigned long)(seed + i));
        failed += run_child(seed + i) != 0;
    }
    printf("sysfuzz: %ld rounds, %ld could not start\n", rounds, failed);
    return failed != 0;
}
