// SPDX-License-Identifier: MIT
// Sweeps of rare events (/proc/self/fail_nth, kill_nth): `inject fail|kill WORK` does WORK again and again, and
// each time the next allocation fails, or the next wait is its last, until none is left.
//
// A work that an allocation failed must say ENOMEM or succeed; after the sweep it must succeed. Prints how many
// there were. The caller compares what is left behind.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, NOT_HIT = 100, LIMIT = 20000 };

static const char *knob_name = "/proc/self/fail_nth";
static int knob = -1;
static uint8_t block[16 << 10];

#define TRY(condition)                                                                             \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return errno;                                                                          \
    } while (0)

// Each process its own: the file is that of the process that opened it.
static void open_knob(void)
{
    close(knob);
    knob = open(knob_name, O_RDWR | O_CLOEXEC);
}

static void arm(long n)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%ld", n);

    if (pwrite(knob, text, (size_t)len, 0) != len) {
        perror("inject: arm");
        exit(3);
    }
}

// Whether it has happened. To look takes memory as well: what fails only here was not the work's.
static int has_happened(void)
{
    char text[16] = "";

    return lseek(knob, 0, SEEK_SET) == 0 && read(knob, text, sizeof text - 1) > 0 && text[0] == '0';
}

// ---- works: 0, or errno; tidy() takes away what they may have left when it cannot fail any more

static struct termios as_it_was;
static int console = -1;

static void tidy(void)
{
    tcsetattr(console, TCSANOW, &as_it_was);
    unlink("/tmp/inject.a");
    unlink("/tmp/the name of inject.b");
    unlink("/mnt/inject.a");
    unlink("/mnt/the name of inject.b");
    unlink("/tmp/inject.l");
    rmdir("/tmp/inject.d");
    umount("/tmp/inject.m");
    rmdir("/tmp/inject.m");
}

static int closing(int fd, int e)
{
    close(fd);
    return e;
}

static int reap(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status)
                             : ENOMEM; // killed where there was nobody to tell
}

static int do_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    TRY(pid > 0);
    return reap(pid);
}

static void *no_work(void *arg)
{
    return arg;
}

static int do_thread(void)
{
    pthread_t thread;
    int e = pthread_create(&thread, NULL, no_work, NULL);

    if (e)
        return e == EAGAIN ? ENOMEM : e; // as the C library spells it
    pthread_join(thread, NULL);
    return 0;
}

static int do_map(void)
{
    uint8_t *p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int e = 0;

    TRY(p != MAP_FAILED);
    for (int i = 0; i < 64; i += 8)
        p[i * PAGE] = 1;
    if (mprotect(p + 8 * PAGE, 8 * PAGE, PROT_READ) < 0 ||
        madvise(p, 64 * PAGE, MADV_POPULATE_READ) < 0)
        e = errno;
    if (munmap(p + 32 * PAGE, 8 * PAGE) < 0)
        e = errno;
    munmap(p, 32 * PAGE);
    munmap(p + 40 * PAGE, 24 * PAGE);
    return e;
}

static int do_pipe(void)
{
    int fds[2], e = 0;

    TRY(pipe(fds) == 0);
    if (write(fds[1], block, sizeof block) != sizeof block ||
        read(fds[0], block, sizeof block) != sizeof block)
        e = errno;
    close(fds[0]);
    return closing(fds[1], e);
}

static int files_in(const char *dir)
{
    char a[64], b[64];
    int e = 0;

    snprintf(a, sizeof a, "%s/inject.a", dir);
    snprintf(b, sizeof b, "%s/the name of inject.b", dir);
    int fd = open(a, O_RDWR | O_CREAT, 0600);
    TRY(fd >= 0);
    if (write(fd, block, sizeof block) != sizeof block || fsync(fd) < 0 || rename(a, b) < 0 ||
        ftruncate(fd, 5) < 0 || unlink(b) < 0)
        e = errno;
    return closing(fd, e);
}

static int do_tmpfs(void)
{
    return files_in("/tmp");
}

static int do_fat(void)
{
    return files_in("/mnt");
}

static int do_names(void)
{
    int e = 0;

    TRY(mkdir("/tmp/inject.d", 0700) == 0 && symlink("/tmp/inject.d", "/tmp/inject.l") == 0);
    int fd = open("/tmp/inject.l/../inject.l/.", O_RDONLY | O_DIRECTORY);
    TRY(fd >= 0);
    if (syscall(SYS_getdents64, fd, block, sizeof block) < 0)
        e = errno;
    return closing(fd, e);
}

static int do_poll(void)
{
    enum { N = 300 };
    static struct pollfd pf[N];
    int fds[2], e = 0;

    TRY(pipe(fds) == 0);
    for (int i = 0; i < N; i++)
        pf[i] = (struct pollfd){fds[0], POLLIN, 0};
    if (poll(pf, N, 1) != 0)
        e = errno;
    close(fds[0]);
    return closing(fds[1], e);
}

static int do_epoll(void)
{
    struct itimerspec moment = {.it_value.tv_nsec = 1000000};
    struct epoll_event ev = {.events = EPOLLIN};
    int outer = epoll_create1(0), ep = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0),
        event = eventfd(1, 0), e = 0;
    uint64_t n;

    if (outer < 0 || ep < 0 || timer < 0 || event < 0 ||
        epoll_ctl(outer, EPOLL_CTL_ADD, ep, &ev) < 0 ||
        epoll_ctl(ep, EPOLL_CTL_ADD, timer, &ev) < 0 || read(event, &n, sizeof n) < 0 ||
        epoll_ctl(ep, EPOLL_CTL_ADD, event, &ev) < 0 ||
        timerfd_settime(timer, 0, &moment, NULL) < 0 || epoll_wait(outer, &ev, 1, -1) < 0 ||
        read(timer, &n, sizeof n) < 0 || timerfd_settime(timer, 0, &moment, NULL) < 0 ||
        read(timer, &n, sizeof n) < 0)
        e = errno;
    close(outer);
    close(event);
    close(timer);
    return closing(ep, e);
}

static int do_futex(void)
{
    static uint32_t word;
    struct timespec moment = {0, 1000000};

    for (int private = 0; private <= FUTEX_PRIVATE_FLAG; private += FUTEX_PRIVATE_FLAG)
        if (syscall(SYS_futex, &word, FUTEX_WAIT | private, 0, &moment, NULL, 0) < 0 &&
            errno != ETIMEDOUT)
            return errno;
    return 0;
}

static int do_mount(void)
{
    TRY(mkdir("/tmp/inject.m", 0700) == 0);
    TRY(mount("inject", "/tmp/inject.m", "tmpfs", 0, NULL) == 0);
    TRY(umount("/tmp/inject.m") == 0);
    return 0;
}

static int do_memfd(void)
{
    int e = 0, fd = memfd_create("inject", 0);

    TRY(fd >= 0);
    if (ftruncate(fd, 8 * PAGE) < 0 || pwrite(fd, block, 2 * PAGE, 3 * PAGE) != 2 * PAGE)
        e = errno;
    uint8_t *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return closing(fd, errno);
    p[PAGE] = 1;
    munmap(p, 8 * PAGE);
    return closing(fd, e);
}

static int do_many(void)
{
    int e = 0, fd = fcntl(0, F_DUPFD, 500);

    if (fd < 0)
        return errno;
    return closing(fd, e);
}

static int do_timer(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    timer_t id;

    if (timer_create(CLOCK_MONOTONIC, &event, &id) < 0)
        return errno == EAGAIN ? ENOMEM : errno; // timer_create(2): no memory for the timer
    TRY(timer_delete(id) == 0);
    return 0;
}

static int do_queue(void)
{
    union sigval value = {.sival_int = 1};

    TRY(sigqueue(getpid(), SIGRTMIN, value) == 0 || errno == EAGAIN);
    return 0;
}

static int do_proc(void)
{
    int e = 0, fd = open("/proc/self/maps", O_RDONLY);

    TRY(fd >= 0);
    if (read(fd, block, sizeof block) <= 0)
        e = errno;
    close(fd);
    if (!getcwd((char *)block, sizeof block))
        e = errno;
    if (readlink("/proc/self/exe", (char *)block, sizeof block) < 0)
        e = errno;
    return e;
}

static siginfo_t told;
static sigjmp_buf caught;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    told = *info;
    siglongjmp(caught, 1);
}

// A fault says where and why, and its handler runs on a stack that nobody has touched yet.
static int do_fault(void)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t stack = {.ss_size = 4 * PAGE}, none = {.ss_flags = SS_DISABLE};
    uint8_t *p = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int e = 0;

    TRY(p != MAP_FAILED);
    stack.ss_sp = p + PAGE;
    if (mprotect(p, PAGE, PROT_READ) < 0 || sigaltstack(&stack, NULL) < 0)
        e = errno;
    sigaction(SIGSEGV, &act, NULL);
    told = (siginfo_t){0};
    if (!e && sigsetjmp(caught, 1) == 0)
        *(volatile uint8_t *)(p + 5) = 1;
    if (!e && (told.si_addr != p + 5 || told.si_code != SEGV_ACCERR))
        e = EFAULT;
    signal(SIGSEGV, SIG_DFL);
    sigaltstack(&none, NULL);
    munmap(p, 5 * PAGE);
    return e;
}

static const char *self;

static int do_exec(void) // in a child of its own
{
    execl(self, self, "hit", NULL);
    return errno;
}

static int do_wait(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl(self, self, "hit", NULL);
        _exit(errno);
    }
    TRY(pid > 0);
    int e = reap(pid);
    return e == NOT_HIT ? 0 : e;
}

static int do_reader(void)
{
    int fds[2];

    TRY(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        for (int i = 0; i < 20 && write(fds[1], block, 100) == 100; i++)
            sched_yield();
        _exit(0);
    }
    close(fds[1]);
    if (pid < 0)
        return closing(fds[0], errno);
    while (read(fds[0], block, sizeof block) > 0)
        ;
    close(fds[0]);
    return reap(pid);
}

static int do_tty(void)
{
    struct termios mode = as_it_was;
    struct pollfd pf = {open("/dev/console", O_RDWR | O_NOCTTY), POLLIN, 0};

    TRY(pf.fd >= 0);
    mode.c_lflag &= ~(tcflag_t)ICANON;
    mode.c_cc[VMIN] = 0;
    mode.c_cc[VTIME] = 1;
    signal(SIGTTIN, SIG_IGN);
    if (tcsetattr(pf.fd, TCSADRAIN, &mode) < 0 || poll(&pf, 1, 1) < 0 ||
        (read(pf.fd, block, 1) < 0 && errno != EIO))
        return closing(pf.fd, errno);
    return closing(pf.fd, 0);
}

// A session of its own types on a pseudo terminal, and writes to it, while both are waited for.
static int do_pty(void)
{
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), zero = 0, number, e = 0;
    struct timespec moment = {0, 200000};
    char name[24];

    TRY(master >= 0);
    if (ioctl(master, TIOCGPTN, &number) < 0 || ioctl(master, TIOCSPTLCK, &zero) < 0)
        return closing(master, errno);
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    int slave = open(name, O_RDWR | O_NOCTTY);
    if (slave < 0)
        return closing(master, errno);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        if (ioctl(slave, TIOCSCTTY, 0) < 0)
            _exit(errno);
        nanosleep(&moment, NULL);
        if (write(master, "x\n", 2) != 2)
            _exit(errno);
        nanosleep(&moment, NULL);
        _exit(write(slave, "out", 3) == 3 ? 0 : errno);
    }
    if (pid < 0 || read(slave, block, 10) != 2)
        e = errno;
    for (int n = 0; !e && n < 6;) { // with the echo
        ssize_t r = read(master, block, sizeof block);
        n += r > 0 ? (int)r : 0;
        e = r > 0 ? 0 : errno;
    }
    close(slave);
    if (e && pid > 0)
        kill(pid, SIGKILL);
    int its = pid > 0 ? reap(pid) : 0;
    return closing(master, e ? e : its);
}

static int do_sleep(void)
{
    struct timespec moment = {0, 200000};

    for (int i = 0; i < 5; i++)
        nanosleep(&moment, NULL);
    return 0;
}

static int do_threads(void)
{
    pthread_t thread[4];

    for (int i = 0; i < 4; i++)
        if (pthread_create(&thread[i], NULL, no_work, NULL))
            return ENOMEM;
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    return 0;
}

// ----

#include "inject_ring.h"

static const struct {
    const char *name;
    int (*once)(void);
    int own_process;
} works[] = {
    {"fork", do_fork, 0},   {"thread", do_thread, 0}, {"map", do_map, 0},
    {"pipe", do_pipe, 0},   {"tmpfs", do_tmpfs, 0},   {"fat", do_fat, 0},
    {"names", do_names, 0}, {"poll", do_poll, 0},     {"futex", do_futex, 0},
    {"mount", do_mount, 0}, {"memfd", do_memfd, 0},   {"many", do_many, 1},
    {"timer", do_timer, 0}, {"queue", do_queue, 0},   {"proc", do_proc, 0},
    {"exec", do_exec, 1},   {"wait", do_wait, 0},     {"reader", do_reader, 0},
    {"tty", do_tty, 0},     {"sleep", do_sleep, 0},   {"threads", do_threads, 0},
    {"epoll", do_epoll, 0}, {"pty", do_pty, 0},       {"fault", do_fault, 0},
    {"ring", do_ring, 0},
};

static int fail_sweep(int (*once)(void), int own_process)
{
    for (long n = 1; n < LIMIT; n++) {
        int e = 0, hit = 0;
        if (own_process) {
            pid_t pid = fork();
            if (pid == 0) {
                open_knob();
                arm(n);
                e = once();
                _exit(has_happened() ? e : NOT_HIT);
            }
            e = reap(pid);
            if (e == 127)
                e = ENOMEM; // the new program could not begin, and said so
            hit = e != NOT_HIT;
            e = hit ? e : 0;
        } else {
            arm(n);
            e = once();
            hit = has_happened();
            arm(0);
        }
        tidy();
        if (e && (e != ENOMEM || !hit)) {
            printf("inject: allocation %ld: %s\n", n, strerror(e));
            return 1;
        }
        if (!hit) {
            printf("inject: %ld allocations\n", n - 1);
            return 0;
        }
    }
    return 2;
}

static int kill_sweep(int (*once)(void))
{
    for (long n = 1; n < LIMIT; n++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            open_knob();
            arm(n);
            int e = once();
            arm(0);
            _exit(e == NOT_HIT ? 0 : e);
        }
        if (waitpid(pid, &status, 0) != pid)
            return 3;
        tidy();
        if (status == 0) {
            printf("inject: %ld waits\n", n - 1);
            return 0;
        }
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
            printf("inject: wait %ld: status %x\n", n, (unsigned)status);
            return 1;
        }
    }
    return 2;
}

int main(int argc, char **argv)
{
    int kill = argc > 1 && strcmp(argv[1], "kill") == 0;

    self = "/bin/inject";
    console = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
    tcgetattr(console, &as_it_was);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGRTMIN, SIG_IGN);
    if (kill)
        knob_name = "/proc/self/kill_nth";
    open_knob();
    if (argc > 1 && strcmp(argv[1], "hit") == 0)
        return knob < 0 || has_happened() ? 0 : NOT_HIT;
    for (size_t i = 0; argc > 2 && i < sizeof works / sizeof *works; i++)
        if (strcmp(argv[2], works[i].name) == 0)
            return kill ? kill_sweep(works[i].once)
                        : fail_sweep(works[i].once, works[i].own_process);
    fprintf(stderr, "usage: inject fail|kill WORK\n");
    return 2;
}
