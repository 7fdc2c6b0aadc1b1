// SPDX-License-Identifier: MIT
// Who waits for whom: waitid in all its forms, usage, ignored children, adoption, orphaned groups,
// leaders that leave first, and what exec keeps.
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

static char self[4096];

static void say_info(const char *key, const siginfo_t *info)
{
    static const char *const codes[] = {"none",    "exited",  "killed",   "dumped",
                                        "trapped", "stopped", "continued"};

    say(key, "%s %s %d uid %d", signal_name(info->si_signo),
        (unsigned)info->si_code < COUNT(codes) ? codes[info->si_code] : "odd", info->si_status,
        info->si_uid);
}

static long raw_waitid(int which, pid_t id, siginfo_t *info, int options, struct rusage *usage)
{
    return syscall(SYS_waitid, which, id, info, options, usage);
}

static void burn(void)
{
    struct timespec now, end;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    end.tv_nsec += 30000000;
    if (end.tv_nsec >= 1000000000)
        end.tv_sec++, end.tv_nsec -= 1000000000;
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
}

static long us(struct timeval t)
{
    return t.tv_sec * 1000000L + t.tv_usec;
}

// ---- waitid

static pid_t stopper(struct gate *again)
{
    pid_t pid = fork();

    if (pid == 0)
        for (;;) {
            raise(SIGSTOP);
            wait_for_pass(again);
        }
    return pid;
}

static void test_waitid(void)
{
    siginfo_t info;
    struct rusage usage;
    struct gate again = gate_make();

    memset(&info, 0xff, sizeof info);
    VALUE("waitid, no children", waitid(P_ALL, 0, &info, WEXITED));
    VALUE("waitid, no event", waitid(P_ALL, 0, &info, WNOHANG));
    VALUE("waitid, odd option", waitid(P_ALL, 0, &info, WEXITED | 0x100));
    VALUE("waitid, odd kind", waitid((idtype_t)4, 0, &info, WEXITED));
    VALUE("waitid, pid 0", waitid(P_PID, 0, &info, WEXITED));
    VALUE("waitid, pid -1", waitid(P_PID, -1, &info, WEXITED));
    VALUE("waitid, group -1", waitid(P_PGID, -1, &info, WEXITED));
    VALUE("waitid, stranger", waitid(P_PID, 1, &info, WEXITED));

    pid_t pid = stopper(&again);
    VALUE("wait for the stop", waitid(P_PID, pid, &info, WSTOPPED));
    say_info("stopped", &info);
    YES("is that child", info.si_pid == pid);
    memset(&info, 0xff, sizeof info);
    VALUE("no second report", waitid(P_PID, pid, &info, WSTOPPED | WNOHANG));
    say("then siginfo", "%d %d", info.si_signo, info.si_pid);
    kill(pid, SIGCONT);
    VALUE("wait for going on", waitid(P_PID, pid, &info, WCONTINUED | WNOWAIT));
    say_info("going on", &info);
    VALUE("it is kept", waitid(P_ALL, 0, &info, WCONTINUED | WNOHANG));
    YES("and found again", info.si_pid == pid);
    pass(&again);
    VALUE("stopped again", waitid(P_PGID, getpgrp(), &info, WSTOPPED | WNOWAIT));
    VALUE("kept stop", waitid(P_PGID, 0, &info, WSTOPPED));
    say_info("stop in the group", &info);
    kill(pid, SIGKILL); // a stopped one can be killed
    VALUE("wait for its end", waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    say_info("killed while stopped", &info);
    VALUE("a zombie never stops", waitid(P_PID, pid, &info, WSTOPPED));
    VALUE("a zombie never goes on", waitid(P_ALL, 0, &info, WCONTINUED | WNOHANG));
    VALUE("reap without siginfo", raw_waitid(P_PID, pid, NULL, WEXITED, &usage));
    YES("with usage", us(usage.ru_utime) + us(usage.ru_stime) >= 0 && usage.ru_maxrss > 0);
    VALUE("gone", waitid(P_PID, pid, &info, WEXITED));

    pid = fork();
    if (pid == 0)
        _exit(300);
    VALUE("wait for an exit", waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED));
    say_info("exit 300", &info);
}

// ---- usage

static void test_usage(void)
{
    struct rusage before, after, own;
    int status;

    getrusage(RUSAGE_CHILDREN, &before);
    pid_t pid = fork();
    if (pid == 0) {
        char *touched = malloc(64 * PAGE);
        for (size_t i = 0; i < 64; i++)
            ((volatile char *)touched)[i * PAGE] = 1;
        burn();
        for (int i = 0; i < 5; i++)
            usleep(1000);
        _exit(0);
    }
    siginfo_t info;
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
    getrusage(RUSAGE_CHILDREN, &after);
    YES("not counted before it is reaped", us(after.ru_utime) == us(before.ru_utime));
    YES("wait4", wait4(pid, &status, 0, &own) == pid);
    getrusage(RUSAGE_CHILDREN, &after);
    YES("its time", us(own.ru_utime) + us(own.ru_stime) >= 25000);
    YES("its faults", own.ru_minflt >= 64 && own.ru_minflt < 5000);
    YES("its waits", own.ru_nvcsw >= 5 && own.ru_nvcsw < 1000);
    YES("its memory", own.ru_maxrss >= 256 && own.ru_maxrss < 100000);
    YES("is its parent's children's", us(after.ru_utime) + us(after.ru_stime) >=
                                          us(before.ru_utime) + us(before.ru_stime) + 25000);
    YES("and so are its faults", after.ru_minflt >= before.ru_minflt + own.ru_minflt);
    YES("and waits", after.ru_nvcsw >= before.ru_nvcsw + 5);
    burn();
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_THREAD, &after);
    YES("own time", us(own.ru_utime) + us(own.ru_stime) >= 25000);
    YES("thread's time", us(after.ru_utime) + us(after.ru_stime) >= 25000);
    volatile char *pages =
        mmap(NULL, 100 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise((void *)pages, 100 * PAGE, MADV_NOHUGEPAGE);
    getrusage(RUSAGE_THREAD, &before);
    for (int i = 0; i < 100; i++)
        pages[i * PAGE] = 1;
    getrusage(RUSAGE_THREAD, &after);
    YES("thread's faults",
        after.ru_minflt >= before.ru_minflt + 100 && after.ru_minflt < before.ru_minflt + 200);
    VALUE("usage of whom", getrusage(7, &own));
}

// ---- children nobody wants

static volatile sig_atomic_t told;

static void on_child(int sig)
{
    told += sig == SIGCHLD;
}

static void test_ignored(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN}, old;
    struct gate g = gate_make();
    struct rusage before, after;

    getrusage(RUSAGE_CHILDREN, &before);
    sigaction(SIGCHLD, &action, &old);
    if (fork() == 0) {
        wait_for_pass(&g);
        burn();
        _exit(0);
    }
    VALUE("ignored child that lives", waitpid(-1, NULL, WNOHANG));
    pass(&g);
    VALUE("wait for ignored children", waitpid(-1, NULL, 0));
    getrusage(RUSAGE_CHILDREN, &after);
    YES("their time is lost", us(after.ru_utime) + us(after.ru_stime) <
                                  us(before.ru_utime) + us(before.ru_stime) + 25000);
    action.sa_handler = on_child;
    action.sa_flags = SA_NOCLDWAIT;
    sigaction(SIGCHLD, &action, NULL);
    if (fork() == 0)
        _exit(0);
    for (errno = 0; waitpid(-1, NULL, 0) < 0 && errno == EINTR;)
        ;
    say("NOCLDWAIT", "%s, told %d", errno_name(errno), told);
    sigaction(SIGCHLD, &old, NULL);
}

static pid_t made;

static void *make_child(void *gate)
{
    struct gate *g = gate;

    if ((made = fork()) == 0)
        _exit(5);
    pass(&g[0]);
    wait_for_pass(&g[1]);
    return NULL;
}

static void test_threads_child(void)
{
    struct gate g[2] = {gate_make(), gate_make()};
    pthread_t thread;
    int status;

    pthread_create(&thread, NULL, make_child, g);
    wait_for_pass(&g[0]);
    VALUE("another thread's child", waitpid(made, &status, __WNOTHREAD));
    pass(&g[1]);
    pthread_join(thread, NULL);
    while (waitpid(made, &status, __WNOTHREAD) != made)
        sched_yield();
    say_status("when that thread has ended", status);
}

// ---- adoption

static void test_subreaper(void)
{
    int on = 7, status;
    pid_t pids[2] = {0, 0};
    struct gate g = gate_make();

    OK("PR_SET_CHILD_SUBREAPER", prctl(PR_SET_CHILD_SUBREAPER, 5));
    prctl(PR_GET_CHILD_SUBREAPER, &on);
    say("subreaper", "%d", on);
    CHILD(
        "middle", prctl(PR_GET_CHILD_SUBREAPER, &on); say("inherited", "%d", on);
        pid_t middle = getpid(); pids[0] = fork(); if (pids[0] == 0) {
            while (getppid() == middle)
                sched_yield();
            _exit(6);
        } if (write(g.fds[1], pids, sizeof *pids) < 0) _exit(1));
    if (read(g.fds[0], pids, sizeof *pids) < 0)
        say("harness", "no pid");
    YES("a grandchild is ours", waitpid(-1, &status, 0) == pids[0]);
    say_status("its status", status);

    // A zombie is adopted, too; who ignores SIGCHLD does not get it.
    signal(SIGCHLD, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        siginfo_t info;
        signal(SIGCHLD, SIG_DFL);
        if (fork() == 0)
            _exit(0);
        waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
        _exit(0);
    }
    VALUE("zombies nobody wants", waitpid(-1, NULL, 0));
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static struct gate death;

static void on_death(int sig)
{
    (void)sig;
    pass(&death);
}

static void test_death_signal(void)
{
    struct gate ready = gate_make();
    int sig = 77;

    death = gate_make();
    OK("PR_SET_PDEATHSIG", prctl(PR_SET_PDEATHSIG, SIGUSR1));
    prctl(PR_GET_PDEATHSIG, &sig);
    say("death signal", "%s", signal_name(sig));
    VALUE("death signal 65", prctl(PR_SET_PDEATHSIG, 65));
    CHILD("dying parent", {
        prctl(PR_GET_PDEATHSIG, &sig);
        say("not inherited", "%d", sig);
        if (fork() == 0) {
            signal(SIGUSR1, on_death);
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            pass(&ready);
            for (;;)
                pause();
        }
        wait_for_pass(&ready);
    });
    struct pollfd p = {.fd = death.fds[0], .events = POLLIN};
    say("told of its parent's death", "%d", poll(&p, 1, 20000));
    prctl(PR_SET_PDEATHSIG, 0);
}

// ---- orphaned groups

static int report;

static void on_hangup(int sig)
{
    char c = sig == SIGHUP ? 'H' : 'C';

    if (write(report, &c, 1) != 1)
        _exit(1);
    told++;
}

static void test_orphaned(bool stop, const char *key)
{
    struct gate out = gate_make(), ready = gate_make();
    char seen[8] = "";
    siginfo_t info;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    report = out.fds[1];
    told = 0;
    pid_t leader = fork();
    if (leader == 0) {
        leader = setsid();
        pid_t pid = fork();
        if (pid == 0) {
            setpgid(0, 0);
            signal(SIGHUP, on_hangup);
            signal(SIGCONT, on_hangup);
            if (stop)
                raise(SIGSTOP);
            pass(&ready);
            while (stop && told < 2)
                sched_yield();
            while (!stop && getppid() == leader)
                sched_yield();
            _exit(0);
        }
        if (stop)
            waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT);
        else
            wait_for_pass(&ready);
        _exit(0);
    }
    waitpid(leader, NULL, 0);
    close(out.fds[1]);
    waitpid(-1, NULL, 0);
    while (strlen(seen) < 7 && read(out.fds[0], seen + strlen(seen), 1) > 0)
        ;
    say(key, "<%s>", seen);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void test_groups(void)
{
    struct gate g = gate_make(), out = gate_make();
    char c;

    pid_t pid = fork();
    if (pid == 0) {
        char *const argv[] = {self, "wait", NULL};
        dup2(g.fds[0], 0);
        dup2(out.fds[1], 1);
        execv(self, argv);
        _exit(98);
    }
    if (read(out.fds[0], &c, 1) != 1)
        say("harness", "no exec");
    VALUE("setpgid after exec", setpgid(pid, pid));
    pass(&g);
    waitpid(pid, NULL, 0);
    pid = fork();
    if (pid == 0) {
        setsid();
        pass(&out);
        wait_for_pass(&g);
        _exit(0);
    }
    wait_for_pass(&out);
    VALUE("setpgid into another session", setpgid(pid, getpgrp()));
    VALUE("of a stranger", setpgid(1, 0));
    VALUE("own group into another session", setpgid(0, pid));
    pass(&g);
    waitpid(pid, NULL, 0);
}

// ---- leaders and exec

static volatile int leader_tid;

static void *outlive(void *gates)
{
    struct gate *g = gates;

    while (leader_tid) // cleared when the leader exits
        sched_yield();
    pass(&g[0]);
    wait_for_pass(&g[1]);
    syscall(SYS_exit, 44);
    return NULL;
}

static void test_leader(void)
{
    struct gate g[2] = {gate_make(), gate_make()};
    char path[64];
    struct stat st;
    pthread_t thread;

    pid_t pid = fork();
    if (pid == 0) {
        leader_tid = syscall(SYS_set_tid_address, &leader_tid);
        pthread_create(&thread, NULL, outlive, g);
        syscall(SYS_exit, 33);
    }
    wait_for_pass(&g[0]);
    VALUE("without its leader it lives", waitpid(pid, NULL, WNOHANG));
    VALUE("gets signals", kill(pid, 0));
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    VALUE("is shown", stat(path, &st));
    pass(&g[1]);
    say_end("and ends with its last thread's code", pid);
    VALUE("is shown no more", stat(path, &st));
}

static void *run_again(void *unused)
{
    char *const argv[] = {self, "kept", NULL};

    (void)unused;
    execv(self, argv);
    _exit(98);
}

// What the program in argv[1] == "kept" finds.
static void say_kept(void)
{
    sigset_t set;
    struct itimerval timer;

    sigpending(&set);
    YES("pending signal of the process is kept", sigismember(&set, SIGUSR1));
    YES("pending signal of the thread is kept", sigismember(&set, SIGUSR2));
    getitimer(ITIMER_REAL, &timer);
    YES("interval timer is kept", timer.it_value.tv_sec > 100);
    YES("it leads", getpid() == gettid());
}

static void *prepare_exec(void *unused)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    syscall(SYS_tgkill, getpid(), gettid(), SIGUSR2);
    return run_again(unused);
}

static void test_exec(void)
{
    CHILD("exec by another thread", {
        struct itimerval timer = {{0, 0}, {1000, 0}};
        pthread_t thread;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, NULL);
        kill(getpid(), SIGUSR1);
        setitimer(ITIMER_REAL, &timer, NULL);
        pthread_create(&thread, NULL, prepare_exec, NULL);
        for (;;)
            pause();
    });
    int status = 0;
    siginfo_t info;
    pid_t pid = syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0);
    if (pid == 0) {
        char *const argv[] = {self, "nothing", NULL};
        execv(self, argv);
        _exit(98);
    }
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT | __WALL);
    YES("exec makes it an ordinary child", waitpid(pid, &status, 0) == pid);
    say_status("its end", status);
}

int main(int argc, char **argv)
{
    char c;

    if (argc > 1 && !strcmp(argv[1], "kept"))
        say_kept();
    if (argc > 1 && !strcmp(argv[1], "wait"))
        return write(1, "x", 1) != 1 || read(0, &c, 1) != 1;
    if (argc > 1)
        return 12;
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        say("harness", "no /proc/self/exe");
    test_waitid();
    test_usage();
    test_ignored();
    test_threads_child();
    test_subreaper();
    test_death_signal();
    test_orphaned(true, "orphaned with a stopped one");
    test_orphaned(false, "orphaned with none");
    test_groups();
    test_leader();
    signal(SIGUSR1, SIG_IGN);
    test_exec();
    return 0;
}
