// SPDX-License-Identifier: MIT
// Makes random system calls whose arguments fit, nearly fit, or do not: `fuzz [SEED [CALLS [SWARM]]]`.
//
// A supervisor starts children, one after the other, until CALLS (10000) are made. A child has three threads with one set of
// descriptors and an arena that they map, protect and unmap under each other; it forks, clones and runs programs, and is killed with
// all of its own when it has not ended by itself. Which calls a child makes at all, and how often, is chosen by SWARM (else by its
// seed): a child that leaves most calls out gets deeper into the rest (Groce and others, Swarm Testing, 2012), and a driver
// that watches what the kernel covers (tests/boot/fuzz.lua) keeps the swarms that found something.
//
// `fuzz --calls` prints the numbers of the calls that it makes, and of those that it does not, with the reason.
//
// Nothing is expected of a call but that the machine goes on and that all children can be killed. Absolute names are only
// opened to read, and are of no directory where something made would stay in memory; signals are only sent within the
// child's group. What a child mounts is unmounted after it. The clock and the machine's name are left as they come.
// When it ends, all descendants have: orphans come to the supervisor.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <search.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz_calls.h"

enum {
    PAGE = 4096,
    PAGES = 64,
    ARENA = PAGES * PAGE,
    THREADS = 3,
    CALLS = 150,
    PIDS = 16,
    STACK = 16384
};

static uint8_t *arena; // pages of all kinds and holes
static uint64_t made[PAGE / 8] __attribute__((
    aligned(PAGE)));     // its first: calls so far; shared with all children, far from the arena
static pid_t pids[PIDS]; // of children; a child adds to its copy
static int depth;        // of forks
static uint64_t seed, swarm;    // of this child
static __thread uint64_t state; // of this thread
static __thread uint8_t desk[PAGE]
    __attribute__((aligned(PAGE))); // always there, for arguments that must be read

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

static uint64_t mix(uint64_t x) // splitmix64's finaliser, Steele and others 2014
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

#define ONE_OF(...)                                                                                \
    ({                                                                                             \
        static const uint64_t of_[] = {__VA_ARGS__};                                               \
        of_[below(sizeof of_ / sizeof *of_)];                                                      \
    })
#define MINUS(n) ((uint64_t) - (n))

// How an argument is made, as letters in the table of calls.
static uint64_t buffer(void)
{
    switch (below(16)) {
    case 0:
        return ONE_OF(0, 8, MINUS(1), MINUS(4096), 1ul << 63, 0xffffffc080200000, 0x4000000000 - 8,
                      1ul << 38);
    case 1:
        return (uint64_t)arena + ARENA - below(64); // runs out of the arena
    case 2:
        return (uint64_t)&mix + below(4096); // may only be read
    case 3:
    case 4:
        return (uint64_t)arena + below(PAGES) * PAGE - below(64); // runs into the next page
    case 5:
    case 6:
        return (uint64_t)arena + below(ARENA);
    case 7:
    case 8:
        return (uint64_t)arena + below(PAGES) * PAGE;
    default:
        return (uint64_t)desk + below(PAGE / 8) / 8 * 8;
    }
}

static uint64_t size(void)
{
    if (below(3) == 0)
        return below(PAGE);
    return ONE_OF(0, 1, 4, 8, 16, 64, 128, 255, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 1, 2 * PAGE,
                  3 * PAGE + 5, 65535, 65536, 65537, ARENA, 1ul << 31, MINUS(1), MINUS(PAGE),
                  1ul << 63);
}

static uint64_t known_name(void)
{
    static const char *const names[] = {"a", "b",   "c",   "d",      "d/x", "d/y", "d/d", "l",
                                        ".", "a/b", "./a", "d/../a", "p",   "",    "m/f"};
    return (uint64_t)names[below(sizeof names / sizeof *names)];
}

static uint64_t name(void)
{
    return below(12) ? known_name() : buffer();
}

static uint64_t nowhere(void)
{
    return ONE_OF(0, MINUS(1), 1ul << 63, 0xffffffc080200000, 0x4000000000 - 8);
}

static uint64_t moment(void) // a struct timespec, mostly near
{
    struct timespec *t = (struct timespec *)desk + below(8);
    *t = (struct timespec){below(20) ? 0 : (time_t)next(),
                           (long)below(below(10) ? 2000000 : 1 << 31)};
    return below(10) ? (uint64_t)t : buffer();
}

static uint64_t pieces(void) // four struct iovec
{
    struct iovec *v = (struct iovec *)(desk + 512);
    for (int i = 0; i < 4; i++)
        v[i] = (struct iovec){(void *)buffer(), size()};
    return below(10) ? (uint64_t)v : buffer();
}

static uint64_t polled(void) // eight struct pollfd
{
    struct pollfd *p = (struct pollfd *)(desk + 1024);
    for (int i = 0; i < 8; i++)
        p[i] = (struct pollfd){(int)below(24) - 1, (short)next(), 0};
    return below(10) ? (uint64_t)p : buffer();
}

static uint64_t flags(void)
{
    uint64_t f = 0;
    for (uint64_t n = below(4); n > 0; n--)
        f |= 1ul << below(below(8) ? 16 : 64);
    return f;
}

static uint64_t capabilities(void) // a header; what follows may serve as the sets
{
    struct __user_cap_header_struct *h = (void *)(desk + 1536);
    *h = (struct __user_cap_header_struct){
        (uint32_t)ONE_OF(_LINUX_CAPABILITY_VERSION_1, _LINUX_CAPABILITY_VERSION_3, 0),
        below(4) ? 0 : pids[below(PIDS)]};
    return (uint64_t)h;
}

static uint64_t argument(char kind)
{
    switch (kind) {
    case 'f': // descriptor
        return below(16) ? below(28) : ONE_OF(MINUS(1), MINUS(100), 1023, 1024, 1 << 30, 1ul << 32);
    case 'D': // where names begin
        return below(4) ? (uint64_t)AT_FDCWD : 3 + below(4);
    case 'b':
        return buffer();
    case 'n':
        return size();
    case 's':
        return name();
    case 'N': // never a text that came about by chance: that might be "/"
        return below(12) ? known_name() : nowhere();
    case 'h': // of capabilities
        return below(4) ? capabilities() : buffer();
    case 'G': // a group, but none that is new
        return below(2) ? (uint64_t)getpgrp() : ONE_OF(1u << 30, MINUS(1));
    case 'g':
        return flags();
    case 'a': // in the arena
        return (uint64_t)arena + below(PAGES) * PAGE + (below(16) ? 0 : below(PAGE));
    case 'l': // of memory
        return below(16) ? (1 + below(16)) * PAGE : size();
    case 'P':
        return below(16) ? below(8) : flags();
    case 'M':
        return MAP_FIXED |
               ONE_OF(MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED | MAP_ANONYMOUS, MAP_PRIVATE,
                      MAP_SHARED, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                      MAP_SHARED | MAP_POPULATE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                      MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED_VALIDATE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, 0);
    case 'o': // offset
        return below(3) ? below(32) * PAGE + (below(3) ? 0 : below(PAGE))
                        : ONE_OF(MINUS(1), 1ul << 62, 1ul << 63, 1ul << 32, 1ul << 20);
    case 'O':
        return (flags() & ~(uint64_t)O_ASYNC) |
               ONE_OF(O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_TRUNC,
                      O_APPEND | O_WRONLY);
    case 'k': // somebody of this child
        return below(4) ? (uint64_t)pids[below(PIDS)] : ONE_OF(0, 1u << 30, MINUS(1 << 30));
    case 'S':
        return below(4) ? ONE_OF(SIGCHLD, SIGCONT, SIGUSR1, SIGUSR2, SIGALRM, SIGSTOP, SIGTSTP,
                                 SIGWINCH, 0, 34, 64)
                        : below(67);
    case 't':
        return moment();
    case 'u': // futex word
        return below(12) ? (uint64_t)arena + below(4) * PAGE + below(4) * 4 : buffer();
    case 'F':
        return below(14) | (below(2) ? FUTEX_PRIVATE_FLAG : 0) |
               (below(8) ? 0 : FUTEX_CLOCK_REALTIME);
    case 'v':
        return pieces();
    case 'x':
        return polled();
    case 'q':
        return below(8);
    case 'z':
        return below(8) ? 0 : buffer();
    case 'I':
        return ONE_OF(TCGETS, TIOCGWINSZ, TIOCGPGRP, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TIOCGSID,
                      0x5452, 0x5401);
    case 'A':
        return ONE_OF(0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
                      24, 25, 100);
    case 'W':
        return below(8) ? WNOHANG | flags() : flags();
    case 'w':
        return ONE_OF(0, 1, 2, 3, 255, 4096, 1ul << 31, 1ul << 32, 1ul << 63, MINUS(1));
    default:
        return next();
    }
}

enum { KINDS = sizeof calls / sizeof *calls };

static void remember(long pid)
{
    if (pid > 0)
        pids[below(PIDS)] = (pid_t)pid;
}

static void make_calls(int n);

// Behind a clone, in both: pid is 0 in the child, which makes some calls and ends.
static void born(long pid)
{
    if (pid == 0) {
        depth++;
        make_calls((int)below(30));
        syscall(SYS_exit_group, 0);
    }
    remember(pid);
}

static void fork_child(void)
{
    if (depth >= 2)
        return;
    born(syscall(SYS_clone, SIGCHLD | (below(4) ? 0 : CLONE_FILES | CLONE_FS), 0, 0, 0, 0));
}

// Another process, by the call that takes a structure; or a thread that ends at once, as its stack is where nothing is.
static void fork_by_structure(void)
{
    struct clone_args *args = (void *)(desk + 2048);
    if (depth >= 2)
        return;
    *args = (struct clone_args){
        .flags =
            next() & (CLONE_FS | CLONE_FILES | CLONE_PARENT | CLONE_PIDFD | CLONE_PARENT_SETTID |
                      CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_CLEAR_SIGHAND),
        .pidfd = buffer(),
        .child_tid = buffer(),
        .parent_tid = buffer(),
        .exit_signal = below(4) ? SIGCHLD : argument('S'),
    };
    if (below(4) == 0)
        args->flags |= flags();
    if (below(8) == 0 || args->flags & CLONE_VM)
        args->stack = nowhere(), args->stack_size = size();
    if (below(8) == 0)
        args->set_tid = buffer(), args->set_tid_size = below(4);
    born(syscall(SYS_clone3, below(8) ? (uint64_t)args : nowhere(),
                 below(8) ? sizeof *args : size()));
}

// A place that is found again to unmount it; "." may be a directory that others use.
static uint64_t mount_point(void)
{
    return below(12) ? (uint64_t)(below(2) ? "d" : "d/d") : nowhere();
}

static void mount_something(void)
{
    static const char *const types[] = {"tmpfs", "proc", "vfat", "devtmpfs", "devpts", "none"};
    static const char *const sources[] = {"none", "/dev/vda", "/dev/null", "a", "m/f"};
    syscall(
        SYS_mount,
        below(12) ? (uint64_t)sources[below(sizeof sources / sizeof *sources)] : nowhere(),
        mount_point(), below(12) ? (uint64_t)types[below(sizeof types / sizeof *types)] : nowhere(),
        below(4) ? next() & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_REMOUNT) : flags(),
        below(4)   ? 0
        : below(2) ? (uint64_t) "size=64k,mode=0700"
                   : buffer());
}

static int cloned(void *arg)
{
    char *const args[] = {"hello", NULL};
    switch ((uintptr_t)arg) {
    case 0:
        syscall(SYS_execve, "/bin/hello", args, args + 1);
        break;
    case 1:
        syscall(SYS_futex, arena, FUTEX_WAIT, 0, NULL);
        break;
    case 2:
        syscall(SYS_exit_group, 1);
    }
    syscall(SYS_exit, 0);
    return 0;
}

// Children that share whatever clone lets them, or are refused.
static void clone_child(void)
{
    static uint8_t stacks[8][STACK] __attribute__((aligned(16)));
    uint64_t chosen = next() & (CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_VFORK |
                                CLONE_PARENT | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID |
                                CLONE_CHILD_CLEARTID | CLONE_PIDFD | CLONE_CHILD_SETTID);
    if (below(3) == 0)
        chosen = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    remember(clone(cloned, stacks[below(8)] + STACK,
                   (int)(chosen | CLONE_VM | (below(2) ? SIGCHLD : 0)), (void *)below(5),
                   (int *)desk, NULL, (int *)(desk + 8)));
}

static void run_program(void)
{
    char *args[] = {"hello", (char *)buffer(), NULL};
    if (below(8))
        return;
    syscall(SYS_execve, below(4) ? (uint64_t) "/bin/hello" : name(),
            below(2) ? (uint64_t)args : buffer(), below(2) ? 0 : buffer());
}

static void open_to_read(void)
{
    static const char *const names[] = {"/proc/self",    "/dev/null",       "/dev/zero",
                                        "/dev/urandom",  "/dev/tty",        "/proc",
                                        "/bin/hello",    "/proc/self/maps", "/proc/self/status",
                                        "/proc/self/fd", "/proc/meminfo",   "/mnt"};
    open(names[below(sizeof names / sizeof *names)],
         O_RDONLY | O_NONBLOCK | (below(4) ? 0 : ONE_OF(O_CLOEXEC, O_DIRECTORY, O_PATH)));
}

#include "fuzz_ring.h"

// Three of four calls are left out; of the others a quarter comes eight times as often.
static const struct call *choose_call(void)
{
    for (int patience = 0; patience < 64; patience++) {
        uint64_t i = below(KINDS), share = mix(swarm * KINDS + i) % 16;
        if (share == 0 || (share < 4 && below(8) == 0))
            return &calls[i];
    }
    return &calls[below(KINDS)];
}

// After these little is left to the rest of a child.
static bool is_final(int nr)
{
    static const int finals[] = {SYS_exit,     SYS_exit_group, SYS_rt_sigreturn, SYS_close_range,
                                 SYS_chroot,   SYS_setuid,     SYS_setreuid,     SYS_setresuid,
                                 SYS_setfsuid, SYS_capset};
    for (unsigned i = 0; i < sizeof finals / sizeof *finals; i++)
        if (finals[i] == nr)
            return true;
    return false;
}

static void make_call(void)
{
    const struct call *c = choose_call();
    uint64_t a[6] = {0};

    for (int i = 0; c->args[i]; i++)
        a[i] = c->args[i] == '8'   ? (below(16) ? 8 : size())
               : c->args[i] == 'c' ? below(70)
                                   : argument(c->args[i]);
    __atomic_fetch_add(made, 1, __ATOMIC_RELAXED);
    if (c->nr == FORK)
        fork_child();
    else if (c->nr == CLONE)
        clone_child();
    else if (c->nr == EXEC)
        run_program();
    else if (c->nr == OPEN)
        open_to_read();
    else if (c->nr == RING)
        submit_nonsense();
    else if (c->nr == CLONE3)
        fork_by_structure();
    else if (c->nr == MOUNT)
        mount_something();
    else if (c->nr == UMOUNT)
        syscall(SYS_umount2, mount_point(), below(2) ? 0 : below(16));
    else if (!is_final(c->nr) || below(20) == 0)
        syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
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
    sigaction(SIGXFSZ, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
}

static void make_calls(int n)
{
    for (int i = 0; i < n; i++) {
        if (i % 8 == 0)
            arm_interruption();
        make_call();
        for (int k = 0; k < 8; k++)
            ((uint64_t *)desk)[below(PAGE / 8)] = below(3) ? argument("fabngwk"[below(7)]) : next();
    }
}

static void *thread(void *arg)
{
    state = mix(seed * THREADS + (uintptr_t)arg) | 1;
    remember(gettid());
    make_calls(CALLS);
    return NULL;
}

static void misbehave(void)
{
    struct rlimit file = {1 << 20, 1 << 20}, memory = {64 << 20, 64 << 20};
    pthread_t other;
    int ends[2];

    setpgid(0, 0);
    setrlimit(RLIMIT_FSIZE, &file);
    setrlimit(RLIMIT_AS, &memory);
    state = mix(seed);
    for (int i = 0; i < PIDS; i++)
        pids[i] = getpid();
    for (int fd = 0; fd < 3; fd++)
        dup2(open("/dev/null", O_RDWR), fd);
    mkdir("d", 0700), mkfifo("p", 0600);
    open(".", O_RDONLY), open("d", O_RDONLY | O_NONBLOCK),
        open("a", O_RDWR | O_CREAT | O_NONBLOCK, 0600),
        open("d/x", O_RDWR | O_CREAT | O_NONBLOCK, 0600);
    open("p", O_RDWR | O_NONBLOCK), eventfd(0, EFD_NONBLOCK), memfd_create("m", MFD_ALLOW_SEALING);
    if (pipe(ends) < 0 || pipe2(ends, O_NONBLOCK) < 0)
        _exit(1);
    for (int i = 0; i < 6; i++)
        open_to_read();
    for (uintptr_t i = 1; i < THREADS; i++)
        pthread_create(&other, NULL, thread, (void *)i);
    thread(0);
    _exit(0);
}

static void report_stuck(int sig)
{
    static const char text[] = "fuzz: a child cannot be killed\n";
    (void)sig;
    _exit(write(1, text, sizeof text - 1) < 0 ? 2 : 3);
}

// How many mounts there are, and where the last one is.
static int count_mounts(char last[PAGE])
{
    static char line[3 * PAGE];
    FILE *in = fopen("/proc/mounts", "r");
    int n = 0;

    for (; in && fgets(line, sizeof line, in); n++) {
        for (int i = 0; i < 4; i++) // type, options and two numbers come behind
            *strrchr(line, ' ') = 0;
        snprintf(last, PAGE, "%s", strrchr(line, ' ') + 1);
    }
    if (in)
        fclose(in);
    return n;
}

static int unmount_to(int before)
{
    char last[PAGE];

    while (count_mounts(last) > before)
        if (umount2(last, 0) < 0)
            return printf("fuzz: %s stays mounted: %s\n", last, strerror(errno));
    return 0;
}

// One child at most 100 ms; its group ends with it.
static int run_child(void)
{
    struct timespec patience = {0, 100000000}, none = {0};
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, NULL, &none); // of the children before
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0)
        misbehave();
    sigtimedwait(&child, NULL, &patience);
    alarm(60);
    do { // CLONE_PARENT makes more of them, orphans come
        kill(pid, SIGKILL);
        kill(-pid, SIGKILL);
    } while (waitpid(-1, NULL, 0) > 0 || errno == EINTR);
    alarm(0);
    return 0;
}

// ---- files: a text that came about by chance may be an absolute name

static void *there; // names, by strcmp

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int keep_name(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    char *kept = strdup(path);
    return !kept || !tsearch(kept, &there, compare);
}

static int remove_new(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type;
    if (at->level == 0 || tfind(path, &there, compare) || remove(path) == 0)
        return 0;
    perror(path);
    return 1;
}

static int each_file(int (*fn)(const char *, const struct stat *, int, struct FTW *), int order)
{
    return nftw("/", fn, 16, FTW_PHYS | FTW_MOUNT | order) ||
           nftw("/tmp", fn, 16, FTW_PHYS | FTW_MOUNT | order);
}

static int list_calls(void)
{
    for (unsigned i = 0; i < KINDS; i++)
        if (calls[i].nr >= 0)
            printf("%d\n", calls[i].nr);
    for (unsigned i = 0; i < sizeof within / sizeof *within; i++)
        printf("%d\n", within[i]);
    for (unsigned i = 0; i < sizeof left_out / sizeof *left_out; i++)
        printf("%d is left out: %s\n", left_out[i].nr, left_out[i].why);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--calls") == 0)
        return list_calls();

    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1,
             most = argc > 2 ? strtoull(argv[2], NULL, 0) : 10000;
    char place[] = "/tmp/fuzz.XXXXXX", last[PAGE];
    int mounts = count_mounts(last);
    uint64_t children = 0;
    sigset_t child;

    if (each_file(keep_name, 0)) {
        perror("fuzz: the files that there are");
        return 1;
    }
    arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED ||
        mmap(made, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
            made ||
        !mkdtemp(place) || chdir(place) < 0) {
        perror("fuzz");
        return 1;
    }
    for (int i = 0; i < 3; i++) // "d/../a" leads upwards when d has become a link to "."
        if (mkdir("deeper", 0700) < 0 || chdir("deeper") < 0)
            return 1;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGALRM, report_stuck);
    for (; *made < most && children < most / 8 + 8; children++) {
        seed = first + children;
        swarm = argc > 3 ? strtoull(argv[3], NULL, 0) : seed / 4;
        if (run_child() != 0) {
            perror("fuzz: no child");
            return 1;
        }
        if (unmount_to(mounts) != 0)
            return 1;
    }
    printf("fuzz: %lu calls in %lu children\n", (unsigned long)*made, (unsigned long)children);
    return chdir("/") || each_file(remove_new, FTW_DEPTH);
}
