// SPDX-License-Identifier: MIT
// Resource limits that bite, and who may set whose.
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>

static void limit(int which, rlim_t cur, rlim_t max)
{
    struct rlimit l = {cur, max};

    if (setrlimit(which, &l) < 0)
        say("harness", "setrlimit %d: %s", which, errno_name(errno));
}

static void become(int uid)
{
    syscall(SYS_setresgid, uid, uid, uid);
    syscall(SYS_setresuid, uid, uid, uid);
}

// ---- setting

static void test_setting(void)
{
    struct rlimit l = {5, 3}, old;

    VALUE("soft above hard", setrlimit(RLIMIT_CORE, &l));
    VALUE("limit 16", syscall(SYS_getrlimit, 16, &l));
    VALUE("limit -1", syscall(SYS_getrlimit, -1, &l));
    VALUE("setrlimit from nowhere", syscall(SYS_setrlimit, RLIMIT_CORE, 8));
    VALUE("limit 16 from nowhere", syscall(SYS_setrlimit, 16, 8));
    VALUE("getrlimit to nowhere", syscall(SYS_getrlimit, RLIMIT_CORE, 8));
    VALUE("prlimit of nobody", prlimit(0x3fffffff, RLIMIT_CORE, NULL, &l));
    VALUE("prlimit of -1", prlimit(-1, RLIMIT_CORE, NULL, &l));
    VALUE("limit 16 of nobody", syscall(SYS_prlimit64, 0x3fffffff, 16, NULL, &l));
    VALUE("of nobody, from nowhere", syscall(SYS_prlimit64, 0x3fffffff, RLIMIT_CORE, 8, NULL));
    VALUE("neither in nor out", syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, NULL));
    l = (struct rlimit){100, 200};
    VALUE("old to nowhere", syscall(SYS_prlimit64, 0, RLIMIT_CORE, &l, 8));
    getrlimit(RLIMIT_CORE, &l);
    say("set all the same", "%ld", (long)l.rlim_cur);
    l = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    VALUE("unlimited files", setrlimit(RLIMIT_NOFILE, &l));
    l = (struct rlimit){1 << 20, 1 << 20};
    VALUE("2^20 files", setrlimit(RLIMIT_NOFILE, &l));
    l.rlim_max++;
    VALUE("one more", setrlimit(RLIMIT_NOFILE, &l));
    l = (struct rlimit){64, 64};
    VALUE("exchange", prlimit(0, RLIMIT_NOFILE, &l, &old));
    say("what it was", "%ld", (long)old.rlim_cur);
    CHILD("nobody", {
        become(9);
        l = (struct rlimit){64, 65};
        VALUE("nobody raises his hard limit", setrlimit(RLIMIT_NOFILE, &l));
        l = (struct rlimit){32, 32};
        VALUE("lowers it", setrlimit(RLIMIT_NOFILE, &l));
        l = (struct rlimit){32, 64};
        VALUE("raises it again", setrlimit(RLIMIT_NOFILE, &l));
        VALUE("prlimit of init", prlimit(1, RLIMIT_NOFILE, NULL, &l));
        VALUE("prlimit of its parent", prlimit(getppid(), RLIMIT_NOFILE, NULL, &l));
    });
    limit(RLIMIT_NOFILE, 1024, 4096);
}

// Whose limits may a process of (real, effective, saved) users ask for?
static void test_others(void)
{
    static const int ids[][3] = {{1, 1, 1}, {1, 1, 2}, {1, 2, 1}, {2, 1, 1}, {1, 0, 0}, {0, 1, 1}};
    struct rlimit l;
    char key[64];

    for (size_t i = 0; i < COUNT(ids); i++)
        for (int self = 0; self < 2; self++) {
            struct gate ready = gate_make(), go = gate_make();
            const int *from = self ? ids[i] : ids[0], *to = self ? ids[0] : ids[i];
            pid_t pid = fork();
            if (pid == 0) {
                syscall(SYS_setresuid, to[0], to[1], to[2]);
                pass(&ready);
                wait_for_pass(&go);
                _exit(0);
            }
            wait_for_pass(&ready);
            pid_t asker = fork();
            if (asker == 0) {
                syscall(SYS_setresuid, from[0], from[1], from[2]);
                snprintf(key, sizeof key, "%d %d %d asks %d %d %d, %d", from[0], from[1], from[2],
                         to[0], to[1], to[2], self);
                VALUE(key, prlimit(pid, RLIMIT_CORE, NULL, &l));
                _exit(0);
            }
            waitpid(asker, NULL, 0);
            pass(&go);
            waitpid(pid, NULL, 0);
        }
    struct gate go = gate_make();
    pid_t pid = fork();
    if (pid == 0) {
        wait_for_pass(&go);
        _exit(dup(0) < 0 ? errno == EMFILE ? 1 : 2 : 3);
    }
    l = (struct rlimit){3, 10};
    VALUE("another's limit is set", prlimit(pid, RLIMIT_NOFILE, &l, NULL));
    pass(&go);
    say_end("and bites", pid);
}

// ---- files

static void test_files(void)
{
    int fds[2];

    CHILD("few files", {
        close_range(3, 1000, 0);
        limit(RLIMIT_NOFILE, 4, 10);
        VALUE("the last file", dup(0));
        VALUE("one too many", dup(0));
        VALUE("open", open("/dev/null", O_RDONLY));
        VALUE("pipe", pipe(fds));
        VALUE("dup3 to the limit", dup3(0, 4, 0));
        VALUE("F_DUPFD to the limit", fcntl(0, F_DUPFD, 4));
        VALUE("F_DUPFD below it", fcntl(0, F_DUPFD, 3));
        struct pollfd many[11] = {{0}};
        for (int i = 0; i < 11; i++)
            many[i].fd = -1;
        VALUE("poll of as many", poll(many, 4, 0));
        VALUE("poll of more", poll(many, 5, 0));
        VALUE("epoll_create", epoll_create(1));
        VALUE("raised", (limit(RLIMIT_NOFILE, 10, 10), dup(0)));
    });
    CHILD("files above the limit stay", {
        int fd = dup3(0, 20, 0);
        limit(RLIMIT_NOFILE, 10, 10);
        VALUE("still open", fcntl(fd, F_GETFD));
        VALUE("dup3 onto itself", dup3(0, 20, 0));
    });
}

static volatile sig_atomic_t told;

static void on_signal(int sig)
{
    told = sig;
}

static void test_size(void)
{
    char block[100] = "";
    int fd = open("limits.file", O_RDWR | O_CREAT | O_TRUNC, 0600);

    CHILD("FSIZE kills", {
        limit(RLIMIT_FSIZE, 50, 50);
        _exit(pwrite(fd, block, 1, 50) < 0 ? 1 : 2);
    });
    CHILD("FSIZE", {
        signal(SIGXFSZ, on_signal);
        limit(RLIMIT_FSIZE, 150, 150);
        VALUE("write below", write(fd, block, 100));
        VALUE("write across", write(fd, block, 100));
        say("no signal yet", "%d", told);
        VALUE("write above", write(fd, block, 100));
        say("signal", "%s", signal_name(told));
        told = 0;
        VALUE("pwrite above", pwrite(fd, block, 1, 150));
        say("signal of pwrite", "%s", signal_name(told));
        told = 0;
        VALUE("pwrite of nothing above", pwrite(fd, block, 0, 150));
        VALUE("ftruncate to it", ftruncate(fd, 150));
        VALUE("ftruncate above", ftruncate(fd, 151));
        say("signal of ftruncate", "%s", signal_name(told));
        told = 0;
        VALUE("truncate above", truncate("limits.file", 151));
        say("signal of truncate", "%s", signal_name(told));
        told = 0;
        VALUE("fallocate above", fallocate(fd, 0, 100, 100));
        say("signal of fallocate", "%s", told ? signal_name(told) : "none");
        VALUE("shrinking", ftruncate(fd, 10));
        int fds[2];
        VALUE("a pipe", pipe(fds));
        VALUE("pipes have no limit",
              pwrite(fds[1], block, 100, 0) < 0 ? write(fds[1], block, 100) : 0);
        signal(SIGXFSZ, SIG_IGN);
        VALUE("ignored", pwrite(fd, block, 1, 1000));
    });
    CHILD("a larger file", {
        VALUE("made large", ftruncate(fd, 1000));
        signal(SIGXFSZ, SIG_IGN);
        limit(RLIMIT_FSIZE, 150, 150);
        VALUE("written above", pwrite(fd, block, 1, 500));
        VALUE("shrunk above", ftruncate(fd, 500));
        int append = open("limits.file", O_WRONLY | O_APPEND);
        VALUE("appended", write(append, block, 1));
    });
    close(fd);
    unlink("limits.file");
}

// What moves many bytes stops at the limit, and says how many it moved.
static void test_size_of_many(void)
{
    static char block[3 * PAGE];
    struct iovec three[3] = {{block, 40}, {block, 40}, {block, 40}};
    int from = open("limits.from", O_RDWR | O_CREAT | O_TRUNC, 0600);

    VALUE("a file to copy", write(from, block, sizeof block));
    CHILD("FSIZE of many", {
        int fd = open("limits.file", O_RDWR | O_CREAT | O_TRUNC, 0600);
        off_t at = 0;
        signal(SIGXFSZ, on_signal);
        limit(RLIMIT_FSIZE, 100, 100);
        VALUE("writev across", writev(fd, three, 3));
        VALUE("writev above", writev(fd, three, 3));
        say("signal of writev", "%s", signal_name(told));
        told = 0;
        VALUE("pwritev across", pwritev(fd, three, 3, 50));
        ftruncate(fd, 0);
        lseek(fd, 0, SEEK_SET);
        VALUE("sendfile across", sendfile(fd, from, &at, 200));
        VALUE("sendfile above", sendfile(fd, from, &at, 200) < 0);
        told = 0;
        ftruncate(fd, 0);
        VALUE("copied across",
              syscall(SYS_copy_file_range, from, &(off_t){0}, fd, &(off_t){60}, 200L, 0));
        VALUE("copied above",
              syscall(SYS_copy_file_range, from, &(off_t){0}, fd, &(off_t){100}, 200L, 0));
        say("signal of a copy", "%s", told ? signal_name(told) : "none");
        told = 0;
        ftruncate(fd, 100);
        char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        p[99] = 1;
        struct stat st;
        fstat(fd, &st);
        say("a mapping makes nothing larger", "%ld", (long)st.st_size);
        VALUE("files in memory have it as well", ftruncate(memfd_create("m", 0), 1000));
        VALUE("nor has what is shrunk", ftruncate(from, 500));
    });
    unlink("limits.file");
    unlink("limits.from");
    close(from);
}

// ---- processes

static pid_t say_fork(const char *key, int stay)
{
    pid_t pid = fork();

    if (pid == 0) {
        while (stay)
            pause();
        _exit(0);
    }
    say(key, "%s", pid < 0 ? errno_name(errno) : "ok");
    return pid;
}

static void *do_nothing(void *unused)
{
    return unused;
}

// Who becomes a user that has too many already is let off until he runs a program.
static void test_passed_by_setuid(void)
{
    CHILD("NPROC passed by setuid", {
        struct gate ready = gate_make();
        struct gate go = gate_make();
        for (int i = 0; i < 2; i++)
            if (fork() == 0) {
                become(4714);
                pass(&ready);
                wait_for_pass(&go);
                _exit(0);
            }
        wait_for_pass(&ready);
        wait_for_pass(&ready);
        limit(RLIMIT_NPROC, 1, 1);
        VALUE("setuid succeeds", syscall(SYS_setuid, 4714));
        execl("/proc/self/exe", "limits", "a program of too many", NULL);
        say("but no program", "%s", errno_name(errno));
        pass(&go);
        pass(&go);
    });
}

static void test_processes(void)
{
    CHILD("NPROC", {
        pthread_t thread;
        limit(RLIMIT_NPROC, 2, 2);
        CHILD("root is not held back", CHILD("root forks", (void)0));
        become(4711);
        pid_t pid = say_fork("one child", 1);
        say_fork("two", 0);
        say("a thread", "%s", errno_name(pthread_create(&thread, NULL, do_nothing, NULL)));
        kill(pid, SIGKILL);
        siginfo_t info;
        waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
        say_fork("a zombie counts", 0);
        waitpid(pid, NULL, 0);
        waitpid(say_fork("a reaped one does not", 0), NULL, 0);
        say("a thread then", "%s", errno_name(pthread_create(&thread, NULL, do_nothing, NULL)));
    });
    CHILD("NPROC and a program", {
        limit(RLIMIT_NPROC, 1, 1);
        become(4713);
        VALUE("no child", fork());
        execl("/proc/self/exe", "limits", "a program all the same", NULL);
        say("exec", "%s", errno_name(errno));
    });
    test_passed_by_setuid();
    CHILD("SIGPENDING", {
        limit(RLIMIT_SIGPENDING, 2, 2);
        become(4715);
        signal_mask(SIG_BLOCK, SIGRTMIN);
        signal_mask(SIG_BLOCK, SIGUSR1);
        union sigval v = {0};
        VALUE("queued", sigqueue(getpid(), SIGRTMIN, v));
        VALUE("and another", sigqueue(getpid(), SIGRTMIN, v));
        VALUE("one too many is queued", sigqueue(getpid(), SIGRTMIN, v));
        VALUE("kill needs no room", kill(getpid(), SIGRTMIN));
        VALUE("nor does a plain signal", kill(getpid(), SIGUSR1));
    });
    CHILD("NPROC of another user", {
        limit(RLIMIT_NPROC, 1, 1);
        become(4712);
        say_fork("the only one", 0);
    });
}

// ---- processor time

static double now(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void burn_until_told(void)
{
    for (double end = now(CLOCK_PROCESS_CPUTIME_ID) + 20; !told;)
        if (now(CLOCK_PROCESS_CPUTIME_ID) > end)
            _exit(99);
}

static void test_cpu(void)
{
    CHILD("CPU kills", limit(RLIMIT_CPU, 1, 100); burn_until_told());
    CHILD("hard CPU kills", signal(SIGXCPU, SIG_IGN); limit(RLIMIT_CPU, 1, 1); burn_until_told());
    CHILD("CPU", {
        signal(SIGXCPU, on_signal);
        limit(RLIMIT_CPU, 1, 100);
        told = 0;
        burn_until_told();
        YES("told after a second", now(CLOCK_PROCESS_CPUTIME_ID) >= 1 && told == SIGXCPU);
        struct rlimit l;
        getrlimit(RLIMIT_CPU, &l); // 2, or more if more had gone by when it was told
        YES("the next limit is the next second",
            l.rlim_cur >= 2 && l.rlim_cur <= now(CLOCK_PROCESS_CPUTIME_ID) + 1 &&
                l.rlim_max == 100);
        limit(RLIMIT_CPU, l.rlim_cur, l.rlim_cur);
        told = 0;
        burn_until_told();
        told = 0;
        burn_until_told();
    });
}

// ---- memory

static void *map(size_t size, int prot)
{
    return mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *map_at(void *place, size_t size)
{
    return mmap(place, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

// Of 40 MiB so many pages are left, each a mapping of its own, the first begins with 7.
static void leave(char *p, int pages)
{
    munmap(p + pages * PAGE, (40 << 20) - pages * PAGE);
    for (int i = 0; i < pages; i += 2)
        mprotect(p + i * PAGE, PAGE, PROT_READ | PROT_WRITE);
    *p = 7;
}

static void say_map(const char *key, void *p)
{
    say(key, "%s", p == MAP_FAILED ? errno_name(errno) : "ok");
}

static void use_stack(size_t n)
{
    volatile char block[PAGE];

    block[0] = (char)n;
    if (n > sizeof block)
        use_stack(n - sizeof block);
    block[1] = block[0];
}

// Runs this program with so many arguments, empty but for the first and, if `bytes` are to be reached by what Linux counts
// (path, strings and pointers), the last.
static void say_exec(const char *key, int n, size_t bytes)
{
    static const char path[] = "/proc/self/exe";
    static char fill[128 << 10];
    const char **argv = calloc(n + 1, sizeof *argv);
    pid_t pid = fork();

    if (pid == 0) {
        size_t used = sizeof path + n * (sizeof *argv + 1) + strlen(key);
        argv[0] = "";
        argv[1] = key;
        for (int i = 2; i < n; i++)
            argv[i] = "";
        if (bytes > used)
            argv[n - 1] = memset(fill, 'x', bytes - used);
        execve(path, (char **)argv, (char *[]){NULL});
        say(key, "%s", errno_name(errno));
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    free(argv);
}

static void test_memory(void)
{
    CHILD("AS", {
        char *p = map(PAGE, PROT_READ);
        limit(RLIMIT_AS, 64 << 20, RLIM_INFINITY);
        say_map("a mapping too large", map(64 << 20, PROT_READ));
        say_map("even if it is not accessible", map(64 << 20, PROT_NONE));
        say_map("one that fits", map(1 << 20, PROT_READ));
        say_map("grown too large", mremap(p, PAGE, 64 << 20, MREMAP_MAYMOVE));
        say_map("brk", sbrk(64 << 20));
    });
    CHILD("DATA", {
        limit(RLIMIT_DATA, 32 << 20, RLIM_INFINITY);
        say_map("data too large", map(64 << 20, PROT_READ | PROT_WRITE));
        char *p = map(64 << 20, PROT_READ);
        say_map("no data", p);
        VALUE("that becomes data", mprotect(p, 64 << 20, PROT_READ | PROT_WRITE));
    });
    CHILD("AS and what is given back", {
        limit(RLIMIT_AS, 64 << 20, RLIM_INFINITY);
        char *p = map(40 << 20, PROT_READ);
        say_map("two do not fit", map(40 << 20, PROT_READ));
        say_map("one in the place of the other",
                mmap(p, 40 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
        munmap(p, 40 << 20);
        say_map("one after the other", map(40 << 20, PROT_READ));
        say_map("grown", mremap(map(PAGE, PROT_READ), PAGE, 40 << 20, MREMAP_MAYMOVE));
    });
    CHILD("AS and what would be replaced", {
        char *one = map(40 << 20, PROT_READ), *many = map(40 << 20, PROT_READ),
             *other = map(40 << 20, PROT_READ);
        leave(one, 1);
        leave(many, 200);
        limit(RLIMIT_AS, 64 << 20, RLIM_INFINITY);
        say_map("much in the place of a page", map_at(one, 40 << 20));
        say("the page is as it was", "%d", *one);
        say_map("much in the place of many mappings", map_at(many, 40 << 20));
        say("they are as they were", "%d", *many);
        say_map("a page grown over what is larger",
                mremap(one, PAGE, 40 << 20, MREMAP_MAYMOVE | MREMAP_FIXED, other));
        say_map("a page grown where nothing is",
                mremap(many, PAGE, 40 << 20, MREMAP_MAYMOVE | MREMAP_FIXED, one));
        limit(RLIMIT_AS, PAGE, RLIM_INFINITY);
        say_map("moved, above the limit",
                mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other + PAGE));
        say_map("a page in the place of another, above the limit", map_at(other + PAGE, PAGE));
        say("which is as it was", "%d", other[PAGE]);
    });
    CHILD("AS and the stack", limit(RLIMIT_AS, 6 << 20, RLIM_INFINITY); use_stack(7 << 20));
    CHILD("STACK and arguments", {
        static char large[128 * 1024];
        memset(large, 'x', sizeof large - 1);
        limit(RLIMIT_STACK, 512 << 10, RLIM_INFINITY);
        execl("/proc/self/exe", "limits", large, NULL);
        say("arguments beyond a quarter of it", "%s", errno_name(errno));
        large[100000] = 0;
        execl("/proc/self/exe", "limits", large, large, large, NULL);
        say("several", "%s", errno_name(errno));
    });
    CHILD("STACK and pointers to arguments", {
        limit(RLIMIT_STACK, 512 << 10, RLIM_INFINITY);
        say_exec("arguments and pointers, 128 KiB", 14000, 128 << 10);
        say_exec("a byte more", 14000, (128 << 10) + 1);
        say_exec("pointers alone are too many", 20000, 0);
    });
    CHILD("a million empty arguments", say_exec("a million", 1000000, 0));
    CHILD("STACK", limit(RLIMIT_STACK, 256 << 10, RLIM_INFINITY); use_stack(1 << 20));
    CHILD("a larger stack", limit(RLIMIT_STACK, 16 << 20, RLIM_INFINITY); use_stack(12 << 20));
    CHILD("MEMLOCK", {
        limit(RLIMIT_MEMLOCK, 4 * PAGE, 4 * PAGE);
        char *p = map(8 * PAGE, PROT_READ | PROT_WRITE);
        VALUE("root locks", mlock(p, 8 * PAGE));
        munlock(p, 8 * PAGE);
        become(9);
        VALUE("lock four", mlock(p, 4 * PAGE));
        VALUE("lock again", mlock(p, 4 * PAGE));
        VALUE("lock a fifth", mlock(p + 4 * PAGE, PAGE));
        VALUE("lock all", mlockall(MCL_CURRENT));
        limit(RLIMIT_MEMLOCK, 0, 0);
        VALUE("nothing may be locked", mlock(p, PAGE));
    });
}

// ---- niceness

static void test_nice(void)
{
    CHILD("NICE", {
        limit(RLIMIT_NICE, 15, 15); // to nice 5
        become(9);
        VALUE("nicer", setpriority(PRIO_PROCESS, 0, 10));
        VALUE("back to what is allowed", setpriority(PRIO_PROCESS, 0, 5));
        VALUE("further", setpriority(PRIO_PROCESS, 0, 4));
        VALUE("it is", syscall(SYS_getpriority, PRIO_PROCESS, 0));
    });
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        say(argv[1], "runs");
        return 0;
    }
    test_setting();
    test_others();
    test_files();
    test_size();
    test_size_of_many();
    test_processes();
    test_cpu();
    test_memory();
    test_nice();
    return 0;
}
