// SPDX-License-Identifier: MIT
// A bad pointer in every class of system call: each must answer EFAULT, and nothing must stop.
//
// One line per call and argument; the value is what all bad pointers gave, or the list of them.
#include "abi.h"
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

static void *bad[6];

static void say_all(const char *key, const int *errors, int n)
{
    char list[200] = "";

    for (int i = 0; i < n; i++) {
        if (i > 0 && errors[i] != errors[0]) { // they differ: show every one
            for (int j = 0; j < n; j++)
                snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", j ? " " : "",
                         errors[j] ? errno_name(errors[j]) : "ok");
            say(key, "%s", list);
            return;
        }
    }
    say(key, "%s", errors[0] ? errno_name(errors[0]) : "ok");
}

#define CASE(key, ...)                                                                             \
    do {                                                                                           \
        int errors[COUNT(bad)];                                                                    \
        for (size_t i_ = 0; i_ < COUNT(bad); i_++) {                                               \
            UNUSED void *p = bad[i_];                                                              \
            errors[i_] = (__VA_ARGS__) == -1 ? errno : 0;                                          \
        }                                                                                          \
        say_all(key, errors, COUNT(bad));                                                          \
    } while (0)

#define SYS(name, ...) syscall(SYS_##name, __VA_ARGS__)

static void test_input(void)
{
    int fds[2], null = open("/dev/null", O_RDWR);
    int file = open("file", O_RDWR | O_CREAT, 0600);
    struct timespec far_off = {1000, 0};

    if (pipe(fds) < 0)
        return;
    CASE("write to a pipe", SYS(write, fds[1], p, 10));
    CASE("write to a file", SYS(write, file, p, 10));
    CASE("write a page to a file", SYS(write, file, p, PAGE));
    CASE("pwrite", SYS(pwrite64, file, p, 10, 0));
    CASE("writev's list", SYS(writev, file, p, 1));
    CASE("writev's buffer", SYS(writev, file, &((struct iovec){p, 10}), 1));
    CASE("openat", SYS(openat, AT_FDCWD, p, O_RDONLY));
    CASE("mkdirat", SYS(mkdirat, AT_FDCWD, p, 0700));
    CASE("unlinkat", SYS(unlinkat, AT_FDCWD, p, 0));
    CASE("renameat2", SYS(renameat2, AT_FDCWD, "file", AT_FDCWD, p, 0));
    CASE("symlinkat", SYS(symlinkat, p, AT_FDCWD, "link"));
    CASE("linkat", SYS(linkat, AT_FDCWD, p, AT_FDCWD, "link", 0));
    CASE("chdir", SYS(chdir, p));
    CASE("faccessat", SYS(faccessat, AT_FDCWD, p, F_OK));
    CASE("truncate", SYS(truncate, p, 0));
    CASE("utimensat", SYS(utimensat, AT_FDCWD, "file", p, 0));
    CASE("nanosleep", SYS(nanosleep, p, NULL));
    CASE("clock_nanosleep", SYS(clock_nanosleep, CLOCK_MONOTONIC, 0, p, NULL));
    CASE("rt_sigaction new", SYS(rt_sigaction, SIGUSR1, p, NULL, 8));
    CASE("rt_sigprocmask new", SYS(rt_sigprocmask, SIG_BLOCK, p, NULL, 8));
    CASE("rt_sigsuspend", SYS(rt_sigsuspend, p, 8));
    CASE("rt_sigtimedwait", SYS(rt_sigtimedwait, p, NULL, &far_off, 8));
    CASE("sigaltstack new", SYS(sigaltstack, p, NULL));
    CASE("setitimer", SYS(setitimer, ITIMER_REAL, p, NULL));
    CASE("futex wait", SYS(futex, (uintptr_t)p & ~3UL, 0, 0, &far_off, NULL, 0));
    CASE("futex wake private", SYS(futex, (uintptr_t)0x10, 1 | 128, 1, NULL, NULL, 0) - 1);
    CASE("execve path", SYS(execve, p, NULL, NULL));
    CASE("execve argv", SYS(execve, "/proc/self/exe", p, NULL));
    CASE("execve envp", SYS(execve, "/proc/self/exe", NULL, p));
    CASE("ppoll", SYS(ppoll, p, 1, &far_off, NULL, 8));
    CASE("prlimit64 new", SYS(prlimit64, 0, RLIMIT_NOFILE, p, NULL));
    VALUE("write no bytes", SYS(write, null, bad[0], 0));
    VALUE("read no bytes", SYS(read, null, bad[0], 0));
}

static void test_output(void)
{
    int fds[2], zero = open("/dev/zero", O_RDONLY), file = open("file", O_RDWR | O_TRUNC);
    int folder = open(".", O_RDONLY), status;

    if (pipe(fds) < 0 || write(fds[1], "text", 4) != 4 || write(file, "text", 4) != 4)
        return;
    CASE("read from a pipe", SYS(read, fds[0], p, 4));
    CASE("pipe still has it", read(fds[0], &status, 4) == 4 ? write(fds[1], "text", 4) * 0 : -1);
    CASE("read from /dev/zero", SYS(read, zero, p, 10));
    CASE("pread", SYS(pread64, file, p, 4, 0));
    CASE("readv's list", SYS(readv, zero, p, 1));
    CASE("readv's buffer", SYS(readv, zero, &((struct iovec){p, 10}), 1));
    CASE("pipe2", SYS(pipe2, p, 0));
    CASE("fstat", SYS(fstat, file, p));
    CASE("newfstatat", SYS(newfstatat, AT_FDCWD, "file", p, 0));
    CASE("statfs", SYS(statfs, ".", p));
    CASE("getdents64", SYS(getdents64, folder, p, 1000));
    CASE("getcwd", SYS(getcwd, p, 1000));
    CASE("readlinkat", SYS(readlinkat, AT_FDCWD, "/proc/self/exe", p, 100));
    CASE("clock_gettime", SYS(clock_gettime, CLOCK_MONOTONIC, p));
    CASE("clock_getres", SYS(clock_getres, CLOCK_MONOTONIC, p));
    CASE("gettimeofday", SYS(gettimeofday, p, NULL));
    CASE("times", SYS(times, p));
    CASE("uname", SYS(uname, p));
    CASE("sysinfo", SYS(sysinfo, p));
    CASE("getrandom", SYS(getrandom, p, 10, 0));
    CASE("prlimit64 old", SYS(prlimit64, 0, RLIMIT_NOFILE, NULL, p));
    CASE("getrlimit", SYS(getrlimit, RLIMIT_NOFILE, p));
    CASE("getrusage", SYS(getrusage, RUSAGE_SELF, p));
    CASE("rt_sigaction old", SYS(rt_sigaction, SIGUSR1, NULL, p, 8));
    CASE("rt_sigprocmask old", SYS(rt_sigprocmask, SIG_BLOCK, NULL, p, 8));
    CASE("rt_sigpending", SYS(rt_sigpending, p, 8));
    CASE("sigaltstack old", SYS(sigaltstack, NULL, p));
    CASE("sched_getaffinity", SYS(sched_getaffinity, 0, 8, p));
    CASE("sendfile's offset", SYS(sendfile, fds[1], file, p, 1));
    CASE("wait4 with no child", SYS(wait4, -1, p, 0, NULL));
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    VALUE("wait4 status", SYS(wait4, pid, bad[0], 0, NULL));
    VALUE("the child is gone all the same", waitpid(pid, &status, 0));
}

// A buffer that begins well and runs into nothing.
static void test_crossing(void)
{
    uint8_t *two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *name = (char *)two + PAGE - 4;
    struct stat st;

    munmap(two + PAGE, PAGE);
    memcpy(name, "abc", 4);
    VALUE("name that ends at the edge", stat(name, &st));
    memcpy(name, "abcd", 4);
    VALUE("name that crosses the edge", stat(name, &st));
    VALUE("structure that crosses the edge", SYS(fstat, 1, two + PAGE - 8));
    int zero = open("/dev/zero", O_RDONLY);
    two[PAGE - 1] = 1;
    VALUE("read across the edge", read(zero, two + PAGE - 64, 128));
    uint8_t *ro = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    VALUE("read into a read-only page", read(zero, ro, 8));
    VALUE("read into text", read(zero, (void *)(uintptr_t)test_crossing, 8));
    VALUE("more than there is", SYS(read, zero, 0x3ffffff000, 1UL << 40));
    VALUE("a length that wraps", SYS(read, zero, two, -1L));
}

int main(void)
{
    uint8_t *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    bad[0] = (void *)0x10;
    bad[1] = none;
    bad[2] = (void *)0xffffffc080200000UL; // the kernel's text
    bad[3] = (void *)0xfffffffffffffff8UL;
    bad[4] = (void *)0x4000000000UL; // the first address above the user's
    bad[5] = (void *)0x1234567890abcdefUL;
    test_input();
    test_output();
    test_crossing();
    return 0;
}
