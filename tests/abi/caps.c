// SPDX-License-Identifier: MIT
// Capabilities: how they are asked for and set, what a change of ids and a program do to them, and that every one that is given up
// is missed.
#include "abi.h"
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

enum { VERSION_1 = 0x19980330, VERSION_2 = 0x20071026, VERSION_3 = 0x20080522 };
enum { CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP };
enum { MKNOD = 27, SYS_CHROOT = 18, SYS_ADMIN = 21, SYS_NICE = 23, SYS_TIME = 25, LAST = 40 };

struct header {
    uint32_t version;
    int pid;
};
struct sets {
    uint32_t effective, permitted, inheritable;
};

static uint64_t all; // what the test was started with
static char self[4096];

static long get(struct sets data[2])
{
    struct header h = {VERSION_3, 0};
    return syscall(SYS_capget, &h, data);
}

static long set(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
    struct header h = {VERSION_3, 0};
    struct sets data[2] = {{effective, permitted, inheritable},
                           {effective >> 32, permitted >> 32, inheritable >> 32}};
    return syscall(SYS_capset, &h, data);
}

static void text_of(uint64_t set, char *text)
{
    if (set == all)
        strcpy(text, "all");
    else if (!set)
        strcpy(text, "none");
    else if (!(set & ~all) && __builtin_popcountl(all & ~set) == 1)
        sprintf(text, "all but %d", __builtin_ctzl(all & ~set));
    else
        sprintf(text, "%lx", set);
}

static void say_sets(const char *key)
{
    struct sets d[2];
    char e[32], p[32], i[32];

    if (get(d) < 0)
        say("harness", "capget");
    text_of(d[0].effective | (uint64_t)d[1].effective << 32, e);
    text_of(d[0].permitted | (uint64_t)d[1].permitted << 32, p);
    text_of(d[0].inheritable | (uint64_t)d[1].inheritable << 32, i);
    say(key, "%s, permitted %s, inheritable %s", e, p, i);
}

static void say_version(const char *key, long result, const struct header *h)
{
    say(key, "%s, version %x", result < 0 ? errno_name(errno) : "0", h->version);
}

static void test_calls(void)
{
    struct header h = {0, 0};
    struct sets d[2];
    long r;

    r = syscall(SYS_capget, &h, NULL);
    say_version("asking for the version", r, &h);
    h = (struct header){0x1234, 0};
    r = syscall(SYS_capget, &h, d);
    say_version("capget of an odd version", r, &h);
    h = (struct header){0x1234, 0};
    r = syscall(SYS_capset, &h, d);
    say_version("capset of an odd version", r, &h);
    h = (struct header){VERSION_3, 0};
    VALUE("capget to nowhere", syscall(SYS_capget, &h, NULL));
    VALUE("capget from nowhere", syscall(SYS_capget, NULL, NULL));
    VALUE("capget to a bad address", syscall(SYS_capget, &h, 8));
    VALUE("capset from a bad address", syscall(SYS_capset, &h, 8));
    h.pid = -1;
    VALUE("capget of -1", syscall(SYS_capget, &h, d));
    h.pid = 0x3fffffff;
    VALUE("capget of nobody", syscall(SYS_capget, &h, d));
    h.pid = 1;
    VALUE("capget of init", syscall(SYS_capget, &h, d));
    VALUE("capset of init", syscall(SYS_capset, &h, d));
    h.pid = getpid();
    VALUE("capget of itself", syscall(SYS_capget, &h, d));
    VALUE("capset of itself", syscall(SYS_capset, &h, d));
    h = (struct header){VERSION_1, 0};
    memset(d, 0x55, sizeof d);
    VALUE("version 1", syscall(SYS_capget, &h, d));
    say("its second word", "%x", d[1].effective);
    say_sets("root has");
    VALUE("keeps none", prctl(PR_GET_KEEPCAPS));
    VALUE("keep 2", prctl(PR_SET_KEEPCAPS, 2));
    VALUE("no bits are set", prctl(PR_GET_SECUREBITS));
    VALUE("bound 0", prctl(PR_CAPBSET_READ, 0));
    VALUE("bound 40", prctl(PR_CAPBSET_READ, LAST));
    VALUE("bound 41", prctl(PR_CAPBSET_READ, LAST + 1));
    VALUE("drop 41", prctl(PR_CAPBSET_DROP, LAST + 1));
    VALUE("ambient 0", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0));
    VALUE("ambient 41", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, LAST + 1, 0, 0));
    VALUE("ambient of an odd kind", prctl(PR_CAP_AMBIENT, 9, 0, 0, 0));
    VALUE("raise what is not inheritable", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, KILL, 0, 0));
}

static void test_setting(void)
{
    uint64_t kill_only = 1ul << KILL;

    CHILD("setter", {
        VALUE("effective, not permitted", set(all, all & ~kill_only, 0));
        VALUE("give up one", set(all & ~kill_only, all, 0));
        say_sets("but permitted");
        VALUE("take it back", set(all, all, 0));
        VALUE("give it up for good", set(all & ~kill_only, all & ~kill_only, 0));
        VALUE("it does not come back", set(all, all, 0));
        VALUE("inheritable is the bound", set(0, all & ~kill_only, kill_only));
        say_sets("then");
        VALUE("not without SETPCAP", set(0, 0, kill_only | 1));
        VALUE("all of it", set(0, 0, 0));
        say_sets("has");
        VALUE("drop a bound", prctl(PR_CAPBSET_DROP, 3));
    });
}

static void test_ids(void)
{
    CHILD("nobody", {
        OK("setresuid", syscall(SYS_setresuid, 9, 9, 9));
        say_sets("nobody has");
    });
    CHILD("effective only", {
        OK("seteuid", syscall(SYS_setresuid, -1, 9, -1));
        say_sets("nobody for a while has");
        OK("seteuid back", syscall(SYS_setresuid, -1, 0, -1));
        say_sets("root again has");
    });
    CHILD("file system only", {
        syscall(SYS_setfsuid, 9);
        struct sets d[2];
        get(d);
        uint64_t e = d[0].effective | (uint64_t)d[1].effective << 32;
        say("lost by setfsuid", "%lx", all & ~e);
        syscall(SYS_setfsuid, 0);
        say_sets("and got back");
    });
    CHILD("kept", {
        VALUE("keep", prctl(PR_SET_KEEPCAPS, 1));
        OK("setresuid, kept", syscall(SYS_setresuid, 9, 9, 9));
        say_sets("nobody who kept has");
        VALUE("raises them", set(all, all, 0));
        OK("sets ids by that", syscall(SYS_setresuid, 5, 5, 5));
        say_sets("still has");
        VALUE("is keeping", prctl(PR_GET_KEEPCAPS));
    });
}

// ---- programs

static void run(const char *whose)
{
    char text[32];

    sprintf(text, "%lx", all);
    execl(self, whose, text, NULL);
}

static void test_programs(void)
{
    CHILD("root's program", run("root's"));
    CHILD("after giving all up", set(0, 0, 0); run("root's, who had none,"));
    CHILD("with a bound", prctl(PR_CAPBSET_DROP, KILL); run("bounded root's"));
    CHILD("nobody's program", prctl(PR_SET_KEEPCAPS, 1); syscall(SYS_setresuid, 9, 9, 9);
          set(all, all, 0); run("nobody's"));
    CHILD("ambient", {
        prctl(PR_SET_KEEPCAPS, 1);
        syscall(SYS_setresuid, 9, 9, 9);
        VALUE("inheritable", set(all, all, 1ul << KILL));
        VALUE("raised", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, KILL, 0, 0));
        VALUE("is ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, KILL, 0, 0));
        run("nobody's with an ambient one");
    });
    CHILD("no new privileges", {
        set(all & ~(1ul << KILL), all & ~(1ul << KILL), 0);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        run("root's without new privileges");
    });
}

// ---- what is missed

// A child without the capability says what the call gives.
#define WITHOUT(cap, key, call)                                                                    \
    CHILD(key " by a child", set(all & ~(1ul << (cap)), all & ~(1ul << (cap)), 0); VALUE(key, call))

static int clock_back(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return clock_settime(CLOCK_REALTIME, &now);
}

static void test_missed(void)
{
    struct gate ready = gate_make();
    pid_t other = fork();
    gid_t group = 7;
    char name[64] = "";

    if (other == 0) {
        syscall(SYS_setresuid, 9, 9, 9);
        pass(&ready);
        for (;;)
            pause();
    }
    wait_for_pass(&ready);
    gethostname(name, sizeof name);
    int fd = open("caps.file", O_CREAT | O_RDWR, 0644);
    fchown(fd, 9, 9);
    fchmod(fd, 0600);
    WITHOUT(KILL, "kill", kill(other, SIGTERM));
    WITHOUT(SETUID, "setuid", syscall(SYS_setuid, 9));
    WITHOUT(SETGID, "setgid", syscall(SYS_setgid, 9));
    WITHOUT(SETGID, "setgroups", syscall(SYS_setgroups, 1, &group));
    WITHOUT(CHOWN, "chown", chown("caps.file", 10, 10));
    WITHOUT(FOWNER, "chmod", chmod("caps.file", 0644));
    CHILD("open by a child", set(all & ~6ul, all & ~6ul, 0);
          VALUE("open of another's", open("caps.file", O_RDONLY)));
    CHILD("read by a child", set(all & ~2ul, all & ~2ul, 0);
          YES("reading is left", open("caps.file", O_RDONLY) >= 0);
          VALUE("writing is not", open("caps.file", O_WRONLY)));
    WITHOUT(SYS_TIME, "clock_settime", clock_back());
    WITHOUT(SYS_NICE, "setpriority", setpriority(PRIO_PROCESS, 0, -1));
    WITHOUT(SYS_NICE, "nice of another", setpriority(PRIO_PROCESS, other, 5));
    WITHOUT(SYS_ADMIN, "sethostname", sethostname(name, strlen(name)));
    WITHOUT(SYS_CHROOT, "chroot", chroot("/"));
    WITHOUT(MKNOD, "mknod", mknod("caps.node", S_IFCHR | 0600, 0x103));
    WITHOUT(SETPCAP, "drop another bound", prctl(PR_CAPBSET_DROP, KILL));
    CHILD("access by a child", syscall(SYS_setresuid, 9, 0, 0);
          VALUE("access by the real id", access("caps.file", R_OK)); fchown(fd, 0, 0);
          VALUE("access to root's", access("caps.file", R_OK)));
    CHILD("nobody who may kill", prctl(PR_SET_KEEPCAPS, 1); syscall(SYS_setresuid, 10, 10, 10);
          VALUE("before", kill(other, SIGTERM)); set(1ul << KILL, 1ul << KILL, 0);
          VALUE("nobody kills", kill(other, SIGTERM)));
    say_end("the other", other);
    unlink("caps.file");
    close(fd);
}

static void line(const char *key)
{
    static char text[4096];
    int fd = open("/proc/self/status", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    char *at = strstr(text, key), set[64] = "-";
    if (at)
        text_of(strtoul(at + strlen(key) + 1, NULL, 16), set);
    say(key, "%s", set);
}

static uint64_t bound(void)
{
    uint64_t set = 0;

    for (int i = 0; i <= LAST; i++)
        set |= (uint64_t)(prctl(PR_CAPBSET_READ, i) == 1) << i;
    return set;
}

int main(int argc, char **argv)
{
    struct sets d[2];

    if (argc > 1) {
        char key[64], text[32];
        all = strtoul(argv[1], NULL, 16);
        snprintf(key, sizeof key, "%s program has", argv[0]);
        say_sets(key);
        text_of(bound(), text);
        snprintf(key, sizeof key, "%s program's bound", argv[0]);
        say(key, "%s", text);
        return 0;
    }
    get(d);
    all = d[0].effective | (uint64_t)d[1].effective << 32;
    readlink("/proc/self/exe", self, sizeof self - 1);
    test_calls();
    line("CapInh");
    line("CapPrm");
    line("CapEff");
    line("CapBnd");
    line("CapAmb");
    test_setting();
    test_ids();
    test_programs();
    test_missed();
    return 0;
}
