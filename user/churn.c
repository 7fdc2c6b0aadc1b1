// SPDX-License-Identifier: MIT
// Things that come and go: `churn WHAT COUNT [WORKERS]` does COUNT of WHAT, shared by WORKERS processes (4).
//
//   exec     a child by fork or vfork that runs this program again and ends
//   fault    a first touch of a page: anonymous, of a file, copied on write; given back in several ways
//   frames   256 pages touched one by one, each by its own fault, and given back at once
//   signal   a signal sent to a process that handles, blocks, queues, ignores or waits for it
//   kill     a child killed wherever it happens to be: in a pipe, a futex, a sleep, a wait, a fault, an exec
//   lookup   processes looked up by number, by calls and in /proc, while they come and go
//   mount    a file system mounted and unmounted while others walk across it
//   share    descriptors used while threads that share them come and end
//   holes    64 pages at one address mapped, a hole made in them, and unmapped
//   open     files, pipes, directories opened, linked, duplicated, passed to children, closed by exit
//
// Every result is checked; afterwards nothing may be left of it. Ends with 0 if all was right.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "churn: %s:%d: not so: %s (%s)\n", __func__, __LINE__, #condition,     \
                    strerror(errno));                                                              \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static const char *self;

// ---- exec

static int ends_with(pid_t pid, int want)
{
    int status = -1;

    CHECK(pid > 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(status == want);
    return 0;
}

static int do_exec(long i)
{
    char code[12];
    pid_t pid;

    snprintf(code, sizeof code, "%ld", i & 63);
    if (i & 1)
        pid = vfork();
    else
        pid = fork();
    if (pid == 0) {
        execl(self, self, "exit", code, NULL);
        _exit(99);
    }
    return ends_with(pid, (int)(i & 63) << 8);
}

// ---- fault: 64 pages at a time

static int touch_all(volatile uint8_t *p, size_t pages, int how)
{
    for (size_t i = 0; i < pages; i++) {
        CHECK(p[i * PAGE] == 0);
        if (how & 1)
            p[i * PAGE] = 1;
    }
    return 0;
}

static int copy_on_write(uint8_t *p, size_t pages)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (size_t i = 0; i < pages; i++)
            p[i * PAGE] = 2;
        _exit(p[0] == 2 ? 0 : 1);
    }
    if (ends_with(pid, 0))
        return 1;
    for (size_t i = 0; i < pages; i++)
        CHECK(p[i * PAGE] == 1);
    return 0;
}

// More than a hart keeps for itself, so that whole batches go and come.
static int do_frames(long i)
{
    enum { PAGES = 256 };

    if (i % PAGES)
        return 0;
    uint64_t *p =
        mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE) == 0);
    for (size_t k = 0; k < PAGES; k++) {
        CHECK(p[k * PAGE / 8] == 0);
        p[k * PAGE / 8] = (uint64_t)getpid() << 32 | k;
    }
    for (size_t k = 0; k < PAGES; k++)
        CHECK(p[k * PAGE / 8] == ((uint64_t)getpid() << 32 | k));
    CHECK(munmap(p, PAGES * PAGE) == 0);
    return 0;
}

static int do_fault(long i)
{
    enum { PAGES = 64 };
    int how = (int)(i >> 6);
    size_t len = PAGES * PAGE;

    if (i % PAGES)
        return 0;
    int fd = how % 4 == 3 ? open("/tmp/churn.pages", O_RDWR | O_CREAT, 0600) : -1;
    if (fd >= 0)
        CHECK(ftruncate(fd, (off_t)len) == 0);
    uint8_t *p =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
    CHECK(p != MAP_FAILED);
    if (touch_all(p, PAGES, how))
        return 1;
    if (how % 16 == 1 && copy_on_write(p, PAGES))
        return 1;
    if (how % 8 == 2) {
        CHECK(madvise(p, len, MADV_DONTNEED) == 0);
        CHECK(touch_all(p, PAGES, 1) == 0);
    }
    if (how % 8 == 5)
        CHECK(munmap(p + 8 * PAGE, 8 * PAGE) == 0);
    CHECK(munmap(p, len) == 0);
    if (fd >= 0)
        close(fd);
    return 0;
}

// ---- signal: a child that takes what comes

static volatile sig_atomic_t taken;

static void on_signal(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    taken++;
}

// Ends with its parent, who may be refused what it goes on to ask for.
static void take_signals(long n, pid_t parent)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct timespec patience = {0, 1000000};
    sigset_t queued;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGRTMIN, &action, NULL);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&queued);
    sigaddset(&queued, SIGRTMIN + 1);
    sigprocmask(SIG_SETMASK, &queued, NULL); // all were blocked till now
    for (;; n++) {
        if (n % 3 == 0)
            sigtimedwait(&queued, NULL, &patience);
        else if (n % 3 == 1)
            poll(NULL, 0, 1);
        else
            sched_yield();
    }
}

static int do_signal(long i)
{
    enum { BURST = 50 };
    static const int kinds[] = {SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH, 0};
    static pid_t child;

    if (i % BURST == 0) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        pid_t parent = getpid();
        child = fork();
        CHECK(child >= 0);
        if (child == 0)
            take_signals(i, parent);
    }
    int sig = i % 5 == 4 ? SIGRTMIN + (int)(i & 1) : kinds[i % 5];
    if (i % 5 == 4) {
        union sigval value = {.sival_int = (int)i};
        CHECK(sigqueue(child, sig, value) == 0 || errno == EAGAIN);
    } else if (i % 40 == 7) {
        CHECK(kill(child, SIGSTOP) == 0 && kill(child, SIGCONT) == 0);
    } else {
        CHECK(kill(child, sig) == 0);
    }
    if (i % BURST == BURST - 1) {
        CHECK(kill(child, SIGKILL) == 0);
        return ends_with(child, SIGKILL);
    }
    return 0;
}

// ---- kill: a child busy with something, ended from outside

static __attribute__((noreturn)) void *wait_for_ever(void *word)
{
    for (;;)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static __attribute__((noreturn)) void be_busy(long i)
{
    static int word;
    static uint8_t block[64 << 10];
    struct timespec long_time = {1000, 0};
    pthread_t thread;
    int fds[2];

    while (pipe(fds) < 0)
        ;
    switch (i % 10) {
    case 0:
        for (;;)
            (void)!read(fds[0], block, sizeof block);
    case 1:
        for (;;)
            (void)!write(fds[1], block, sizeof block);
    case 2:
        wait_for_ever(&word);
    case 3:
        for (;;)
            nanosleep(&long_time, NULL);
    case 4:
        if (fork() == 0)
            wait_for_ever(&word);
        for (;;)
            wait(NULL);
    case 5:
        for (;; i++) {
            uint8_t *p = mmap(NULL, 256 * PAGE, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
            memset(p, (int)i, 256 * PAGE);
            munmap(p, 256 * PAGE);
        }
    case 6:
        for (;;)
            if (vfork() == 0) {
                execl(self, self, "exit", "0", NULL);
                _exit(1);
            }
    case 7:
        for (int n = 0; n < 4; n++)
            pthread_create(&thread, NULL, wait_for_ever, &word);
        wait_for_ever(&word);
    case 8: {
        struct pollfd pf[2] = {{fds[0], POLLIN, 0}, {0, POLLIN, 0}};
        for (;;)
            poll(pf, 1, -1);
    }
    default:
        for (;;) {
            int fd = open("/tmp/churn.busy", O_RDWR | O_CREAT, 0600);
            (void)!write(fd, block, sizeof block);
            unlink("/tmp/churn.busy");
            close(fd);
        }
    }
}

static int do_kill(long i)
{
    struct timespec moment = {0, (i * 7919) % 2000000};
    int status;
    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        setpgid(0, 0);
        be_busy(i);
    }
    setpgid(pid, pid);
    nanosleep(&moment, NULL);
    CHECK(kill(-pid, SIGKILL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    unlink("/tmp/churn.busy"); // if it was killed before it could
    return 0;
}

// ---- open

static int do_open(long i)
{
    char a[64], b[64];
    int fds[2];

    snprintf(a, sizeof a, "/tmp/churn.a%d", (int)(i & 7));
    snprintf(b, sizeof b, "/tmp/churn.b%d", (int)(i & 7));
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    int fd = open(a, O_RDWR | O_CREAT, 0600), twin = dup(fd);
    CHECK(fd >= 0 && twin >= 0);
    CHECK(write(fd, a, sizeof a) == (ssize_t)sizeof a);
    (void)!link(a, b);
    unlink(a);
    pid_t pid = fork();
    if (pid == 0) { // everything is left open
        int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
        _exit(dir < 0 || write(fds[1], "x", 1) != 1);
    }
    if (ends_with(pid, 0))
        return 1;
    CHECK(read(fds[0], a, 1) == 1 && a[0] == 'x');
    unlink(b);
    close(fd), close(twin), close(fds[0]), close(fds[1]);
    return 0;
}

// ---- share: the table of descriptors becomes one's own again in the midst of calls

static void *end_at_once(void *unused)
{
    return unused;
}

// An end that somebody keeps beyond its close shows at the other one.
static int do_share(long i)
{
    static char block[PAGE];
    pthread_t thread;
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    CHECK(pipe2(fds, O_NONBLOCK) == 0);
    CHECK(pthread_create(&thread, NULL, end_at_once, NULL) == 0);
    do {
        CHECK(write(fds[1], block, PAGE) == PAGE);
        CHECK(read(fds[0], block, PAGE) == PAGE);
    } while (pthread_tryjoin_np(thread, NULL) == EBUSY);
    CHECK(write(fds[1], block, PAGE) == PAGE); // it leaves the table after it could be joined
    CHECK(read(fds[0], block, PAGE) == PAGE);
    close(fds[i & 1]);
    if (i & 1)
        CHECK(read(fds[0], block, 1) == 0);
    else
        CHECK(write(fds[1], block, 1) < 0 && errno == EPIPE);
    close(fds[!(i & 1)]);
    return 0;
}

// ---- lookup

static int do_lookup(long i)
{
    char name[40];
    int status;
    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid == 0)
        _exit((int)(i & 7));
    for (pid_t near = pid - 4; near <= pid + 4; near++) { // mine, other workers', and nobody's
        CHECK(kill(near, 0) == 0 || errno == ESRCH);
        CHECK(syscall(SYS_tgkill, near, near, 0) == 0 || errno == ESRCH);
        CHECK(getpriority(PRIO_PROCESS, (id_t)near) <= 20);
    }
    snprintf(name, sizeof name, "/proc/%d/stat", (int)pid - (int)(i & 3));
    int fd = open(name, O_RDONLY);
    CHECK(fd >= 0 || errno == ENOENT || errno == ESRCH);
    if (fd >= 0)
        close(fd);
    CHECK(kill(pid, 0) == 0); // nobody has waited for it yet
    CHECK(waitpid(pid, &status, 0) == pid && status == (int)(i & 7) << 8);
    CHECK(kill(pid, 0) == -1 && errno == ESRCH);
    return 0;
}

// ---- mount: the odd processes mount and unmount, the even ones walk

#define MOUNT_POINT "/tmp/churn.mount"

static int do_mount(long i)
{
    struct stat st;

    (void)mkdir(MOUNT_POINT, 0700);
    if (getpid() & 1) {
        CHECK(mount("churn", MOUNT_POINT, "tmpfs", 0, NULL) == 0 || errno == EBUSY);
        CHECK(umount(MOUNT_POINT) == 0 || errno == EBUSY || errno == EINVAL);
        return 0;
    }
    int fd = open(MOUNT_POINT "/file", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    if (i & 1)
        CHECK(stat(MOUNT_POINT "/../churn.mount/.", &st) == 0);
    close(fd);
    return 0;
}

// ---- holes: untouched, for who changes the mappings meanwhile

static int do_holes(long i)
{
    enum { PAGES = 64 };
    uint8_t *at = (uint8_t *)0x2000000000;

    (void)i;
    CHECK(mmap(at, PAGES * PAGE, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at);
    CHECK(munmap(at + PAGES / 2 * PAGE, PAGE) == 0);
    CHECK(munmap(at, PAGES * PAGE) == 0);
    return 0;
}

// ----

static const struct {
    const char *name;
    int (*once)(long i);
} kinds[] = {{"exec", do_exec}, {"fault", do_fault},   {"frames", do_frames}, {"signal", do_signal},
             {"kill", do_kill}, {"lookup", do_lookup}, {"mount", do_mount},   {"share", do_share},
             {"open", do_open}, {"holes", do_holes}};

static int work(int (*once)(long), long n)
{
    for (long i = 0; i < n; i++)
        if (once(i))
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    long n = argc > 2 ? atol(argv[2]) : 100, workers = argc > 3 ? atol(argv[3]) : 4;
    int (*once)(long) = NULL;
    struct rusage used;
    int wrong = 0;

    self = argv[0][0] == '/' ? argv[0] : "/bin/churn";
    if (argc > 2 && strcmp(argv[1], "exit") == 0)
        return atoi(argv[2]);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (argc > 1 && strcmp(argv[1], kinds[i].name) == 0)
            once = kinds[i].once;
    if (!once) {
        fprintf(
            stderr,
            "usage: churn exec|fault|frames|signal|kill|lookup|mount|share|open|holes COUNT [WORKERS]\n");
        return 2;
    }
    for (long i = 0; i < workers; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(work(once, n / workers));
        wrong += pid < 0;
    }
    for (int status; wait(&status) > 0;)
        wrong += status != 0;
    unlink("/tmp/churn.pages");
    unlink("/tmp/churn.busy");
    while (umount(MOUNT_POINT) == 0)
        ;
    unlink(MOUNT_POINT "/file");
    rmdir(MOUNT_POINT);
    getrusage(RUSAGE_CHILDREN, &used);
    printf("churn: %ld %s by %ld workers, %ld faults, %d wrong\n", n, argv[1], workers,
           used.ru_minflt + used.ru_majflt, wrong);
    return wrong != 0;
}
