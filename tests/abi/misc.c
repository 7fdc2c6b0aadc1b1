// SPDX-License-Identifier: MIT
// Who and where one is, limits, random bytes, scheduling, and calls that do not exist.
#include "abi.h"
#include <grp.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

static void test_names(void)
{
    struct utsname u;

    OK("uname", uname(&u));
    say("machine", "%s", u.machine);
    say("system", "%s", u.sysname);
    YES("release is a number", u.release[0] >= '0' && u.release[0] <= '9');
    YES("has a host name", u.nodename[0] != 0);
    char name[20] = "";
    OK("PR_SET_NAME", prctl(PR_SET_NAME, "a name that is too long"));
    OK("PR_GET_NAME", prctl(PR_GET_NAME, name));
    say("name", "%s", name);
    VALUE("PR_SET_DUMPABLE odd", prctl(PR_SET_DUMPABLE, 77));
    VALUE("prctl unknown", prctl(99999, 0, 0, 0, 0));
}

static void test_ids(void)
{
    YES("uid", getuid() == geteuid());
    YES("gid", getgid() == getegid());
    OK("setuid to oneself", setuid(getuid()));
    OK("setgid to oneself", setgid(getgid()));
    YES("getgroups counts", getgroups(0, NULL) >= 0);
    VALUE("getgroups negative", syscall(SYS_getgroups, -1, NULL));
    YES("gettid is getpid", gettid() == getpid());
    YES("getppid", getppid() > 0);
}

static void test_limits(void)
{
    struct rlimit r, again;
    struct rusage usage;

    for (int i = 0; i < 16; i++) {
        char key[16];
        snprintf(key, sizeof key, "limit %d", i);
        OK(key, getrlimit(i, &r));
    }
    VALUE("limit 16", getrlimit(16, &r));
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = 100;
    OK("setrlimit", setrlimit(RLIMIT_NOFILE, &r));
    OK("prlimit", prlimit(0, RLIMIT_NOFILE, NULL, &again));
    say("is now", "%ld", (long)again.rlim_cur);
    r.rlim_cur = r.rlim_max + 1;
    VALUE("more than the most", setrlimit(RLIMIT_NOFILE, &r));
    VALUE("limits of nobody", prlimit(0x3fffffff, RLIMIT_NOFILE, NULL, &again));
    OK("getrusage", getrusage(RUSAGE_SELF, &usage));
    OK("of children", getrusage(RUSAGE_CHILDREN, &usage));
    VALUE("of whom", getrusage(77, &usage));
}

static void test_system(void)
{
    struct sysinfo info;
    cpu_set_t set;
    uint8_t bytes[300];
    int nonzero = 0;

    OK("sysinfo", sysinfo(&info));
    YES("has memory", info.totalram > info.freeram && info.mem_unit > 0 && info.procs > 0);
    memset(bytes, 0, sizeof bytes);
    VALUE("getrandom", getrandom(bytes, sizeof bytes, 0));
    for (size_t i = 0; i < sizeof bytes; i++)
        nonzero += bytes[i] != 0;
    YES("it is random", nonzero > 200);
    VALUE("getrandom nonblocking", getrandom(bytes, 16, GRND_NONBLOCK));
    VALUE("getrandom odd flags", getrandom(bytes, 16, 0x80));
    YES("sched_getaffinity", sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0);
    VALUE("into too little", syscall(SYS_sched_getaffinity, 0, 1, &set));
    VALUE("of nobody", syscall(SYS_sched_getaffinity, 0x3fffffff, sizeof set, &set));
    VALUE("sched_yield", sched_yield());
    OK("setpriority", setpriority(PRIO_PROCESS, 0, 19));
    VALUE("getpriority", getpriority(PRIO_PROCESS, 0));
    VALUE("priority of nobody", getpriority(PRIO_PROCESS, 0x3fffffff));
    VALUE("priority of what", getpriority(77, 0));
    VALUE("reboot without its words", syscall(SYS_reboot, 1, 2, RB_POWER_OFF, 0));
}

static void test_missing(void)
{
    VALUE("call 9999", syscall(9999));
    VALUE("call -1", syscall(-1));
    VALUE("call 1 << 40", syscall(1L << 40));
    VALUE("call 244", syscall(244)); // the last before those of the architecture
    VALUE("call 1000", syscall(1000));
    VALUE("ioctl on nothing", syscall(SYS_ioctl, 99, 0x5401, 0));
    int fd = open("file", O_RDWR | O_CREAT, 0600), fds[2];
    char bytes[100];
    VALUE("TCGETS on a file", syscall(SYS_ioctl, fd, 0x5401, bytes));
    VALUE("TIOCGWINSZ on a file", syscall(SYS_ioctl, fd, 0x5413, bytes));
    VALUE("unknown ioctl on a file", syscall(SYS_ioctl, fd, 0x12345678, bytes));
    if (pipe(fds) == 0) {
        VALUE("TCGETS on a pipe", syscall(SYS_ioctl, fds[0], 0x5401, bytes));
        VALUE("unknown ioctl on a pipe", syscall(SYS_ioctl, fds[0], 0x12345678, bytes));
    }
    fd = open("/dev/null", O_RDWR);
    VALUE("TCGETS on /dev/null", syscall(SYS_ioctl, fd, 0x5401, bytes));
    YES("isatty", isatty(fd) == 0);
}

static void test_mount(void)
{
    VALUE("mount of an unknown kind", syscall(SYS_mount, "none", "/tmp", "nosuchfs", 0, NULL));
    VALUE("mount on nothing", syscall(SYS_mount, "none", "/absent", "tmpfs", 0, NULL));
    VALUE("umount of nothing", syscall(SYS_umount2, "/absent", 0));
    VALUE("umount of what is not mounted", syscall(SYS_umount2, "/tmp/..//tmp/.", 0x100));
}

int main(void)
{
    test_names();
    test_ids();
    test_limits();
    test_system();
    test_missing();
    test_mount();
    return 0;
}
