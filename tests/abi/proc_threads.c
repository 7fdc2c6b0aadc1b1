// SPDX-License-Identifier: MIT
// /proc/PID/task and /proc/thread-self: what there is of each thread, and whose it is.
#include "abi.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static struct gate ready, go;
static volatile int over;

// The rest of the line that begins with key in the file, or all of the first with key ""; "-": there is none.
static const char *line_of(const char *path, const char *key)
{
    static char text[8192];

    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    char *at = strstr(text, key);
    if (!n || !at)
        return "-";
    at += strlen(key);
    at += strspn(at, "\t ");
    at[strcspn(at, "\n")] = 0;
    return at;
}

static const char *of(pid_t tid, const char *file)
{
    static char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, file);
    return path;
}

static char state(const char *path)
{
    return line_of(path, ") ")[0];
}

static int entries(const char *path)
{
    int n = 0;
    DIR *dir = opendir(path);

    if (!dir)
        return -errno;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int has_entry(const char *path, const char *name)
{
    int found = 0;
    DIR *dir = opendir(path);

    for (struct dirent *e; dir && (e = readdir(dir));)
        found |= strcmp(e->d_name, name) == 0;
    if (dir)
        closedir(dir);
    return found;
}

static void *sleeper(void *tid)
{
    char c;
    char text[64], mine[64];

    signal_mask(SIG_BLOCK, SIGUSR2);
    prctl(PR_SET_NAME, "sleeper");
    snprintf(mine, sizeof mine, "%d/task/%d", getpid(), gettid());
    ssize_t n = readlink("/proc/thread-self", text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    YES("thread-self leads to it", strcmp(text, mine) == 0);
    say("its own name there", "%s", line_of("/proc/thread-self/comm", ""));
    say("its process's name", "%s", line_of("/proc/self/comm", ""));
    *(volatile pid_t *)tid = gettid();
    pass(&ready);
    read(go.fds[0], &c, 1);
    return NULL;
}

static void *spinner(void *tid)
{
    *(volatile pid_t *)tid = gettid();
    pass(&ready);
    while (!over)
        ;
    return NULL;
}

static void say_same(const char *key, const char *text, long want)
{
    YES(key, atol(text) == want);
}

static void test_looks(pid_t asleep, pid_t busy)
{
    struct stat a, b;
    char path[64];

    VALUE("directories of threads", entries("/proc/self/task") - 2);
    YES("in the process's directory", has_entry("/proc/self", "task"));
    YES("not in a thread's", !has_entry(of(asleep, ""), "task"));
    YES("which has its descriptors", has_entry(of(asleep, ""), "fd"));
    VALUE("nor is found there", access(of(asleep, "task"), F_OK));
    VALUE("a thread of nobody", access("/proc/self/task/1", F_OK));
    VALUE("another's thread", access("/proc/1/task/2", F_OK));
    YES("a thread is no entry of /proc", (sprintf(path, "%d", asleep), !has_entry("/proc", path)));
    sprintf(path, "/proc/%d/status", asleep);
    say_same("but is found there", line_of(path, "Pid:"), asleep);
    say_same("with its process", line_of(path, "Tgid:"), getpid());
    say_same("its number", line_of(of(asleep, "status"), "\nPid:"), asleep);
    say_same("its process", line_of(of(asleep, "status"), "Tgid:"), getpid());
    say_same("its number in stat", line_of(of(asleep, "stat"), ""), asleep);
    say_same("threads", line_of(of(asleep, "status"), "Threads:"), 3);
    while (state(of(asleep, "stat")) != 'S')
        sched_yield();
    say("state of one that sleeps", "%c", state(of(asleep, "stat")));
    say("state of one that spins", "%c", state(of(busy, "stat")));
    say("in words", "%s", line_of(of(busy, "status"), "State:"));
    say("state of the first", "%c", state(of(getpid(), "stat")));
    say("what one blocks", "%s", line_of(of(asleep, "status"), "SigBlk:"));
    say("what another blocks", "%s", line_of(of(busy, "status"), "SigBlk:"));
    syscall(SYS_tgkill, getpid(), asleep, SIGUSR2);
    say("pending for one", "%s", line_of(of(asleep, "status"), "SigPnd:"));
    say("for another", "%s", line_of(of(busy, "status"), "SigPnd:"));
    say("for the process", "%s", line_of("/proc/self/status", "SigPnd:"));
    say("its name", "%s", line_of(of(asleep, "comm"), ""));
    say("its name in status", "%s", line_of(of(asleep, "status"), "Name:"));
    say("another has its creator's", "%s", line_of(of(busy, "comm"), ""));
    int fd = open(of(busy, "comm"), O_WRONLY);
    VALUE("another name", write(fd, "a name that is longer", 21));
    close(fd);
    say("cut off", "%s", line_of(of(busy, "comm"), ""));
    say("not the process's", "%s", line_of("/proc/self/comm", ""));
    fd = open("/proc/self/comm", O_WRONLY);
    VALUE("a name for the process", write(fd, "process", 7));
    close(fd);
    say("is its first thread's", "%s", line_of(of(getpid(), "comm"), ""));
    fd = open("/proc/1/comm", O_WRONLY);
    VALUE("a name for another process", write(fd, "x", 1));
    close(fd);
    stat("/proc/self/.", &a);
    stat(of(getpid(), "."), &b);
    YES("no directory lies in itself", a.st_ino != b.st_ino);
    VALUE("descriptors as the process", entries(of(asleep, "fd")) - entries("/proc/self/fd"));
}

// A process that does nothing else than its second thread sleeps, though that one runs.
static void test_first(void)
{
    pthread_t thread;
    pid_t tid, pid = fork();

    if (pid == 0) {
        signal(SIGUSR1, SIG_DFL);
        pthread_create(&thread, NULL, spinner, &tid);
        for (;;)
            pause();
    }
    wait_for_pass(&ready);
    until_state(pid, 'S');
    say("a process is its first thread", "asleep");
    kill(pid, SIGKILL);
    say_end("which is killed", pid);
}

static void *name_and_fork(void *unused)
{
    prctl(PR_SET_NAME, "forker");
    CHILD("a thread's child", say("has its name", "%s", line_of("/proc/self/comm", "")));
    return unused;
}

int main(void)
{
    pthread_t a, b, c;
    volatile pid_t asleep, busy;

    prctl(PR_SET_NAME, "first");
    ready = gate_make();
    go = gate_make();
    pthread_create(&a, NULL, sleeper, (void *)&asleep);
    wait_for_pass(&ready);
    pthread_create(&b, NULL, spinner, (void *)&busy);
    wait_for_pass(&ready);
    test_looks(asleep, busy);
    pass(&go);
    pthread_join(a, NULL);
    while (access(of(asleep, ""), F_OK) == 0)
        sched_yield();
    VALUE("one that has ended", access(of(asleep, "stat"), F_OK));
    VALUE("directories then", entries("/proc/self/task") - 2);
    over = 1;
    pthread_join(b, NULL);
    over = 0;
    test_first();
    pthread_create(&c, NULL, name_and_fork, NULL);
    pthread_join(c, NULL);
    return 0;
}
