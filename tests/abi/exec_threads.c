// SPDX-License-Identifier: MIT
// A process whose first thread has ended while others go on, and programs run by threads that are not the first.
#include "abi.h"
#include <poll.h>
#include <pthread.h>

enum { PIDFD_SEND = 424, PIDFD_OPEN = 434 };
enum { WNOTHREAD = 0x20000000 };
enum { TO_THREAD = 1, TO_GROUP = 4 };

static char self[4096];
static struct gate ready, go, told;
static pid_t parent;

// The rest of the line that begins with key in /proc/PID/FILE; "-": there is none.
static const char *line_of(pid_t pid, const char *file, const char *key)
{
    static char text[8192];
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    char *at = strstr(text, key);
    if (!at)
        return "-";
    at += strlen(key);
    at += strspn(at, "\t ");
    at[strcspn(at, "\n")] = 0;
    return at;
}

static ssize_t bytes_of(pid_t pid, const char *file)
{
    char path[64], text[256];

    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    close(fd);
    return n;
}

// ---- the first thread leaves

static void on_signal(int sig)
{
    (void)sig;
    pass(&told);
}

static void *go_on(void *code)
{
    signal(SIGUSR1, on_signal);
    until_state(getpid(), 'Z');
    pass(&ready);
    wait_for_pass(&go);
    syscall(SYS_exit, (int)(long)code);
    return NULL;
}

// A child whose first thread has ended with 3; another one waits, and ends with 4.
static pid_t headless(void)
{
    pthread_t thread;
    pid_t pid = fork();

    if (pid == 0) {
        pthread_create(&thread, NULL, go_on, (void *)4L);
        syscall(SYS_exit, 3);
    }
    wait_for_pass(&ready);
    return pid;
}

static void test_looks(void)
{
    char link[64], target[64];
    siginfo_t info = {0};
    pid_t pid = headless();

    say("its state", "%c", state_of(pid));
    say("its state in words", "%s", line_of(pid, "status", "State:"));
    say("its threads", "%s", line_of(pid, "status", "Threads:"));
    say("its memory", "%s", line_of(pid, "status", "VmRSS:"));
    VALUE("its maps", bytes_of(pid, "maps"));
    VALUE("its arguments", bytes_of(pid, "cmdline"));
    snprintf(link, sizeof link, "/proc/%d/exe", pid);
    VALUE("its program", readlink(link, target, sizeof target));
    VALUE("WNOHANG", waitpid(pid, NULL, WNOHANG));
    VALUE("WNOWAIT", waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT));
    VALUE("nobody was found", info.si_pid);
    VALUE("kill with 0", kill(pid, 0));
    VALUE("tkill with 0", syscall(SYS_tkill, pid, 0));
    VALUE("tgkill of the thread that ended", syscall(SYS_tgkill, pid, pid, SIGUSR2));
    VALUE("kill", kill(pid, SIGUSR1));
    wait_for_pass(&told);
    say("a signal to the process", "arrived");
    VALUE("its group", getpgid(pid) == getpgid(0));
    VALUE("setpgid", setpgid(pid, pid));
    pass(&go);
    say_end("the end", pid);
    VALUE("no more", kill(pid, 0));
    CHILD("dead as a whole", {
        pid = fork();
        if (pid == 0)
            _exit(0);
        until_state(pid, 'Z');
        say("threads of a zombie", "%s", line_of(pid, "status", "Threads:"));
        VALUE("memory of a zombie", bytes_of(pid, "maps"));
    });
}

static void test_stop(void)
{
    pid_t pid = headless();
    int status = 0;

    kill(pid, SIGSTOP);
    VALUE("a stop is told", waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    say("state of a stopped one", "%c", state_of(pid));
    kill(pid, SIGCONT);
    VALUE("a continue is told", waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    kill(pid, SIGKILL);
    say_end("killed", pid);
}

static int readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0);
}

static void test_pidfd(void)
{
    pid_t pid = headless();
    int fd = syscall(PIDFD_OPEN, pid, 0);

    YES("a pidfd of it", fd >= 0);
    VALUE("says that it goes on", readable(fd));
    VALUE("signal 0 through it", syscall(PIDFD_SEND, fd, 0, NULL, 0));
    VALUE("to the thread that ended", syscall(PIDFD_SEND, fd, SIGUSR1, NULL, TO_THREAD));
    VALUE("to the process", syscall(PIDFD_SEND, fd, SIGUSR1, NULL, 0));
    wait_for_pass(&told);
    pass(&go);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    VALUE("its end is told", poll(&p, 1, -1));
    say_end("its status", pid);
    close(fd);
}

// The group of a leader who is gone goes on.
static void test_group(void)
{
    pid_t leader = fork(), member;
    int status, fd;

    if (leader == 0) {
        setpgid(0, 0);
        wait_for_pass(&go);
        _exit(0);
    }
    setpgid(leader, leader);
    fd = syscall(PIDFD_OPEN, leader, 0);
    member = fork();
    if (member == 0) {
        setpgid(0, leader);
        pass(&ready);
        for (;;)
            pause();
    }
    wait_for_pass(&ready);
    pass(&go);
    until_state(leader, 'Z');
    VALUE("signal 0 to a zombie's group", syscall(PIDFD_SEND, fd, 0, NULL, TO_GROUP));
    waitpid(leader, &status, 0);
    VALUE("to one that is reaped", syscall(PIDFD_SEND, fd, 0, NULL, 0));
    VALUE("to the group it left", syscall(PIDFD_SEND, fd, 0, NULL, TO_GROUP));
    VALUE("a signal to that group", syscall(PIDFD_SEND, fd, SIGUSR2, NULL, TO_GROUP));
    say_end("ends its member", member);
    VALUE("to a group that is gone", syscall(PIDFD_SEND, fd, 0, NULL, TO_GROUP));
    close(fd);
}

// ---- programs run by another thread

static void *wait_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void *spin(void *unused)
{
    for (;;)
        ;
    return unused;
}

// The program is told how many children of the thread wait to be waited for.
static void *run_program(void *children)
{
    char pid[16], ppid[16], left[16];
    int headless = !children;

    for (long i = 0; i < (long)children; i++)
        if (fork() == 0)
            _exit(0);
    if (headless)
        until_state(getpid(), 'Z');
    snprintf(pid, sizeof pid, "%d", getpid());
    snprintf(ppid, sizeof ppid, "%d", parent);
    snprintf(left, sizeof left, "%ld", (long)children);
    errno = 0;
    execl("/not/there", "x", NULL);
    int error = errno;
    YES(headless ? "a failed exec by a second thread leaves all" : "a failed exec leaves all",
        error == ENOENT && gettid() != getpid());
    execl(self, headless ? "headless" : "second", pid, ppid, left, NULL);
    _exit(99);
}

static void say_of(const char *program, const char *what, const char *value)
{
    char key[80];

    snprintf(key, sizeof key, "%s, %s", program, what);
    say(key, "%s", value);
}

static const char *yes(int condition)
{
    return condition ? "yes" : "no";
}

static int program(char **argv)
{
    int children = 0;
    siginfo_t info;

    say_of(argv[0], "its numbers are the process's",
           yes(getpid() == atoi(argv[1]) && gettid() == getpid()));
    say_of(argv[0], "its parent is the same", yes(getppid() == atoi(argv[2])));
    say_of(argv[0], "its threads", line_of(getpid(), "status", "Threads:"));
    say_of(argv[0], "its state", line_of(getpid(), "status", "State:"));
    say_of(argv[0], "its name", line_of(getpid(), "status", "Name:"));
    while (waitid(P_ALL, 0, &info, WEXITED | WNOTHREAD) == 0)
        children++;
    say_of(argv[0], "all its children are its first thread's", yes(children == atoi(argv[3])));
    say_of(argv[0], "its thread is there", yes(syscall(SYS_tgkill, getpid(), getpid(), 0) == 0));
    return 21;
}

static void test_exec(void)
{
    pthread_t thread;

    parent = getpid();
    CHILD("a second thread's program", {
        pthread_create(&thread, NULL, wait_for_ever, NULL);
        pthread_create(&thread, NULL, spin, NULL);
        pthread_create(&thread, NULL, run_program, (void *)3L);
        for (;;)
            pause();
    });
    CHILD("with no first thread", {
        pthread_create(&thread, NULL, spin, NULL);
        pthread_create(&thread, NULL, run_program, NULL);
        syscall(SYS_exit, 5);
    });
}

// Two run programs at a time: one of them does, and its process has one end.
static void *run_end(void *code)
{
    wait_for_pass(&go);
    execl(self, "ends", (char *)code, NULL);
    _exit(98);
}

static void test_many(void)
{
    int ends = 0, status;

    for (int i = 0; i < 30; i++) {
        pthread_t a, b;
        pid_t pid = fork();
        if (pid == 0) {
            pthread_create(&a, NULL, run_end, "31");
            pthread_create(&b, NULL, run_end, "32");
            pass(&go);
            pass(&go);
            if (i % 2)
                syscall(SYS_exit, 1);
            for (;;)
                pause();
        }
        if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
            ends += WEXITSTATUS(status) == 31 || WEXITSTATUS(status) == 32;
        while (poll(&(struct pollfd){.fd = go.fds[0], .events = POLLIN}, 1, 0) > 0)
            wait_for_pass(&go); // of the one that came too late
    }
    VALUE("ends of 30 processes whose threads run programs", ends);
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return atoi(argv[1]);
    if (argc > 2)
        return program(argv);
    readlink("/proc/self/exe", self, sizeof self - 1);
    ready = gate_make();
    go = gate_make();
    told = gate_make();
    test_looks();
    test_stop();
    test_pidfd();
    test_group();
    test_exec();
    test_many();
    return 0;
}
