// SPDX-License-Identifier: MIT
// Credentials are a thread's own: what one does about its ids, groups and capabilities with bare system calls is not its
// siblings', its children have what it has, and who asks by the number of the process is told of the first thread.
#include "abi.h"
#include <linux/capability.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char self[4096];
static pid_t second; // the second thread's number

static void say_ids(const char *who, const char *when)
{
    char key[80];
    uid_t r = 77, e = 77, s = 77;
    gid_t gr = 77, ge = 77, gs = 77;

    syscall(SYS_getresuid, &r, &e, &s);
    syscall(SYS_getresgid, &gr, &ge, &gs);
    snprintf(key, sizeof key, "%s, %s", who, when);
    say(key, "users %d %d %d, groups %d %d %d, %d supplementary", r, e, s, gr, ge, gs,
        getgroups(0, NULL));
}

// The effective and permitted bit of a capability of thread tid, 0: the caller's own.
static int has_cap(pid_t tid, int cap)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, tid};
    struct __user_cap_data_struct data[2] = {0};

    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    return (data[0].effective >> cap & 1) + 2 * (data[0].permitted >> cap & 1);
}

static long drop_cap(int cap)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {0};

    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    data[0].effective &= ~(1u << cap);
    return syscall(SYS_capset, &header, data);
}

// The effective user id that a file of /proc shows.
static int uid_in(const char *path)
{
    char text[2048], *at;
    int real, effective, fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    close(fd);
    text[n > 0 ? n : 0] = 0;
    at = strstr(text, "Uid:");
    return at && sscanf(at, "Uid: %d %d", &real, &effective) == 2 ? effective : -1;
}

static int uid_of(pid_t pid, pid_t tid)
{
    char path[64];

    snprintf(path, sizeof path, tid ? "/proc/%d/task/%d/status" : "/proc/%d/status", pid, tid);
    return uid_in(path);
}

static int owner_of(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 ? -1 : (int)st.st_uid;
}

// ---- two threads, of which one is asked to do something by the other

static struct gate asked, done;
static void (*work)(void);

static void *serve(void *arg)
{
    (void)arg;
    second = (pid_t)syscall(SYS_gettid);
    pass(&done);
    for (;;) {
        wait_for_pass(&asked);
        work();
        pass(&done);
    }
    return NULL;
}

static void in_second(void (*fn)(void))
{
    work = fn;
    pass(&asked);
    wait_for_pass(&done);
}

static void begin(void)
{
    static pthread_t thread;

    asked = gate_make();
    done = gate_make();
    pthread_create(&thread, NULL, serve, NULL);
    wait_for_pass(&done);
}

// ---- ids

static pid_t victim; // root's

static void become_five(void)
{
    gid_t groups[] = {40, 41, 42};

    VALUE("setgroups", syscall(SYS_setgroups, 3, groups));
    VALUE("setresgid", syscall(SYS_setresgid, 6, 7, 8));
    VALUE("setresuid", syscall(SYS_setresuid, 5, 5, 5));
    say_ids("second", "after it");
}

static void look_around(void)
{
    say_ids("second", "later");
    OK("second opens what is root's", open("private", O_RDONLY));
    VALUE("second makes a file", open("second's", O_CREAT | O_WRONLY, 0600) < 0 ? -1 : 0);
    VALUE("second sends to root's", kill(victim, 0));
    VALUE("second's thread is sent to", syscall(SYS_tgkill, getpid(), second, 0));
    VALUE("second sees itself", uid_of(getpid(), second));
    CHILD("second's child", say_ids("second's child", "at once");
          VALUE("second's child is no root", setresuid(0, 0, 0)));
    VALUE("second is no root any more", syscall(SYS_setresuid, 0, 0, 0));
}

static void test_ids(void)
{
    mode_t old = umask(0);
    int fd = open("private", O_CREAT | O_WRONLY, 0600);

    umask(old);
    close(fd);
    chmod(".", 0777);
    struct gate end = gate_make();
    victim = fork();
    if (victim == 0) {
        wait_for_pass(&end);
        _exit(0);
    }
    begin();
    say_ids("first", "before");
    in_second(become_five);
    say_ids("first", "after it");
    VALUE("the process as others see it", uid_of(getpid(), 0));
    VALUE("the first thread as others see it", uid_of(getpid(), getpid()));
    VALUE("the second thread as others see it", uid_of(getpid(), second));
    in_second(look_around);
    OK("first opens what is root's", open("private", O_RDONLY));
    VALUE("first sends to root's", kill(victim, 0));
    VALUE("the second's file is of", owner_of("second's"));
    CHILD("first's child", say_ids("first's child", "at once"));
    setpriority(PRIO_PROCESS, second, 3);
    errno = 0;
    VALUE("best of user 5", getpriority(PRIO_USER, 5));
    VALUE("fsuid", syscall(SYS_setfsuid, 9));
    VALUE("fsuid then", syscall(SYS_setfsuid, -1));
    CHILD("another 5", if (syscall(SYS_setresuid, 5, 5, 5) < 0) _exit(1);
          VALUE("5 sends to the first", syscall(SYS_tgkill, getppid(), getppid(), 0));
          VALUE("5 sends to the second", syscall(SYS_tgkill, getppid(), second, 0));
          VALUE("5 sends to the process", kill(getppid(), 0));
          VALUE("5 places the second", setpriority(PRIO_PROCESS, second, 4));
          VALUE("5 places the first", setpriority(PRIO_PROCESS, getppid(), 4)));
    pass(&end);
    say_end("victim", victim);
}

// ---- capabilities

static void drop(void)
{
    VALUE("capset", drop_cap(CAP_CHOWN));
    VALUE("second has it", has_cap(0, CAP_CHOWN));
    VALUE("second by its number", has_cap(second, CAP_CHOWN));
    VALUE("first by its number", has_cap(getpid(), CAP_CHOWN));
    VALUE("keep", prctl(PR_SET_KEEPCAPS, 1));
    VALUE("second keeps", prctl(PR_GET_KEEPCAPS));
    VALUE("bounding set", prctl(PR_CAPBSET_DROP, CAP_KILL));
    VALUE("second's bounding set", prctl(PR_CAPBSET_READ, CAP_KILL));
    VALUE("second gives away", chown("private", 3, 3));
}

static void again(void)
{
    VALUE("second has it later", has_cap(0, CAP_CHOWN));
}

static void test_caps(void)
{
    begin();
    in_second(drop);
    VALUE("first has it", has_cap(0, CAP_CHOWN));
    VALUE("the second by its number", has_cap(second, CAP_CHOWN));
    VALUE("first keeps", prctl(PR_GET_KEEPCAPS));
    VALUE("first's bounding set", prctl(PR_CAPBSET_READ, CAP_KILL));
    VALUE("first gives away", chown("private", 3, 3));
    drop_cap(CAP_FOWNER);
    in_second(again);
}

// ---- the first thread changes; the second runs a program; the C library asks all

static void see_first(void)
{
    say_ids("second", "when the first is 7");
    VALUE("the process is seen as", uid_of(getpid(), 0));
    VALUE("the second is seen as", uid_of(getpid(), second));
}

static void run_it(void)
{
    syscall(SYS_setresuid, -1, 5, -1);
    execl(self, self, "show", NULL);
}

static void show_five(void)
{
    say_ids("second", "when all are 6");
}

int main(int argc, char **argv)
{
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    self[n > 0 ? n : 0] = 0;
    if (argc > 1 && strcmp(argv[1], "show") == 0) {
        say_ids("program", "by a thread that was 5");
        VALUE("the program is seen as", uid_of(getpid(), 0));
        return 0;
    }
    syscall(SYS_setgroups, 0, NULL);
    CHILD("ids", test_ids());
    CHILD("capabilities", test_caps());
    CHILD("first", begin(); syscall(SYS_setresuid, 7, 7, 0); in_second(see_first));
    CHILD("exec", begin(); in_second(run_it));
    CHILD("library", begin(); VALUE("setuid", setuid(6)); say_ids("first", "when all are 6");
          in_second(show_five));
    return 0;
}
