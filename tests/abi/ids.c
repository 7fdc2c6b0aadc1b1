// SPDX-License-Identifier: MIT
// User and group ids: what each call may change from which state, supplementary groups, what ids do to files
// and signals, and programs that change them.
#include "abi.h"
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { KEEP = -1 };

// The raw calls: those of the C library ask all threads to do the same.
struct family {
    const char *name;
    long set, set2, set3, get3, set_fs;
};
static const struct family user_ids = {"uid",         SYS_setuid,    SYS_setreuid,
                                       SYS_setresuid, SYS_getresuid, SYS_setfsuid};
static const struct family group_ids = {"gid",         SYS_setgid,    SYS_setregid,
                                        SYS_setresgid, SYS_getresgid, SYS_setfsgid};

static void text_of_ids(const struct family *f, char *text)
{
    unsigned id[3] = {77, 77, 77};

    syscall(f->get3, &id[0], &id[1], &id[2]);
    sprintf(text, "%u %u %u %ld", id[0], id[1], id[2], syscall(f->set_fs, KEEP));
}

static void say_ids(const char *key, const struct family *f)
{
    char text[64];

    text_of_ids(f, text);
    say(key, "%s", text);
}

struct change {
    int arity; // 1 to 3: the call with so many ids; 0: the file system's
    int id[3];
};
static const struct change changes[] = {
    {1, {0}},         {1, {1}},         {1, {2}},          {1, {3}},         {1, {9}},
    {1, {-1}},        {2, {-1, 1}},     {2, {-1, 2}},      {2, {-1, 3}},     {2, {-1, 9}},
    {2, {1, -1}},     {2, {2, -1}},     {2, {3, -1}},      {2, {9, -1}},     {2, {2, 1}},
    {2, {-1, -1}},    {2, {0, 0}},      {3, {3, 1, 2}},    {3, {-1, -1, 9}}, {3, {1, 1, 1}},
    {3, {-1, 9, -1}}, {3, {0, -1, -1}}, {3, {-1, -1, -1}}, {0, {0}},         {0, {1}},
    {0, {2}},         {0, {3}},         {0, {9}},
};

static long apply(const struct family *f, const struct change *c)
{
    const long nr[] = {f->set_fs, f->set, f->set2, f->set3};
    return syscall(nr[c->arity], c->id[0], c->id[1], c->id[2]);
}

// From real, effective, saved: each of the changes by a child of its own. uid: the effective user of it all.
static void test_changes(const struct family *f, int r, int e, int s, int uid)
{
    char key[64], text[64];

    for (size_t i = 0; i < COUNT(changes); i++) {
        const struct change *c = &changes[i];
        snprintf(key, sizeof key, "%s %d %d %d by %d: ", f->name, r, e, s, uid);
        for (int k = 0; k < (c->arity ? c->arity : 1); k++)
            sprintf(key + strlen(key), "%s%d", k ? "," : "", c->id[k]);
        sprintf(key + strlen(key), " to %d", c->arity);
        for (char *p = key; *p; p++) // keys end at the first of these
            *p = *p == ':' ? '.' : *p;
        pid_t pid = fork();
        if (pid == 0) {
            syscall(f->set3, r, e, s);
            if (f == &group_ids)
                syscall(SYS_setresuid, KEEP, uid, KEEP);
            errno = 0;
            long result = apply(f, c);
            int error = errno;
            text_of_ids(f, text);
            if (result < 0)
                say(key, "%s, %s", errno_name(error), text);
            else
                say(key, "%ld, %s", result, text);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
}

// ---- supplementary groups

static void test_groups(void)
{
    gid_t groups[4] = {30, 10, 20, 10}, got[8] = {0};

    VALUE("setgroups", syscall(SYS_setgroups, 4, groups));
    VALUE("their number", syscall(SYS_getgroups, 0, NULL));
    VALUE("no room for them", syscall(SYS_getgroups, 3, got));
    VALUE("getgroups to nowhere", syscall(SYS_getgroups, 8, 8));
    VALUE("getgroups", syscall(SYS_getgroups, 8, got));
    say("in order", "%u %u %u %u", got[0], got[1], got[2], got[3]);
    VALUE("setgroups from nowhere", syscall(SYS_setgroups, 2, 8));
    VALUE("too many groups", syscall(SYS_setgroups, 65537, groups));
    VALUE("setgroups negative", syscall(SYS_setgroups, -1, groups));
    groups[1] = -1;
    VALUE("a group that is none", syscall(SYS_setgroups, 2, groups));
    VALUE("none of that is left", syscall(SYS_getgroups, 8, got));
    CHILD("inherits", VALUE("groups of the child", syscall(SYS_getgroups, 8, got)));
    CHILD("nobody", {
        syscall(SYS_setresuid, 9, 9, 9);
        VALUE("groups of nobody", syscall(SYS_getgroups, 8, got));
        VALUE("setgroups by nobody", syscall(SYS_setgroups, 0, NULL));
        VALUE("too many by nobody", syscall(SYS_setgroups, 65537, groups));
    });
    VALUE("no groups", syscall(SYS_setgroups, 0, NULL));
    VALUE("number of none", syscall(SYS_getgroups, 0, NULL));
}

static void make(const char *name, int uid, int gid, int mode)
{
    close(open(name, O_CREAT | O_RDWR | O_TRUNC, 0600));
    if (chown(name, uid, gid) < 0 || chmod(name, mode) < 0)
        say("harness", "cannot make a file");
}

static void test_files(void)
{
    gid_t group = 20;
    struct stat st;

    make("ids.20", 0, 20, 0060);
    make("ids.30", 0, 30, 0060);
    make("ids.mine", 9, 9, 0700);
    make("ids.root", 0, 0, 0600);
    make("ids.shut", 9, 20, 0040); // the owner's bits count, though he is in the group
    CHILD("group member", {
        syscall(SYS_setgroups, 1, &group);
        syscall(SYS_setresgid, 9, 9, 9);
        syscall(SYS_setresuid, 9, 9, 9);
        OK("file of a group one is in", open("ids.20", O_RDWR));
        OK("of another", open("ids.30", O_RDWR));
        OK("one's own", open("ids.shut", O_RDONLY));
        OK("access by a group", access("ids.20", R_OK | W_OK));
        OK("chown to a group one is in", chown("ids.mine", KEEP, 20));
        OK("chown to another", chown("ids.mine", KEEP, 30));
        OK("chown to another user", chown("ids.mine", 10, KEEP));
        OK("chmod", chmod("ids.mine", 02770));
        stat("ids.mine", &st);
        say("keeps set-group-id", "%o", st.st_mode);
    });
    make("ids.other", 9, 30, 0770);
    CHILD("no member", {
        syscall(SYS_setgroups, 0, NULL);
        syscall(SYS_setresgid, 9, 9, 9);
        syscall(SYS_setresuid, 9, 9, 9);
        OK("chmod of a foreign group's", chmod("ids.other", 02770));
        stat("ids.other", &st);
        say("loses set-group-id", "%o", st.st_mode);
    });
    CHILD("fsuid", {
        syscall(SYS_setfsuid, 9);
        OK("root's file with another fsuid", open("ids.root", O_RDONLY));
        OK("access with another fsuid", access("ids.root", R_OK));
        close(open("ids.made", O_CREAT | O_RDWR, 0600));
        stat("ids.made", &st);
        say("a new file's owner", "%u %u", st.st_uid, st.st_gid);
    });
    CHILD("real ids", {
        syscall(SYS_setresuid, 9, 0, 0);
        OK("open by the effective user", open("ids.root", O_RDONLY));
        OK("access by the real one", access("ids.root", R_OK));
        OK("or as asked", faccessat(AT_FDCWD, "ids.root", R_OK, AT_EACCESS));
    });
}

// ---- signals

// May a process with these ids (real, effective, saved) signal one with those?
static void say_may(const int from[3], const int to[3], int session)
{
    struct gate ready = gate_make(), go = gate_make();
    char key[64];

    snprintf(key, sizeof key, "%d %d %d signals %d %d %d%s", from[0], from[1], from[2], to[0],
             to[1], to[2], session ? " in another session" : "");
    pid_t pid = fork();
    if (pid == 0) {
        if (session)
            setsid();
        syscall(SYS_setresuid, to[0], to[1], to[2]);
        pass(&ready);
        wait_for_pass(&go);
        _exit(0);
    }
    wait_for_pass(&ready);
    pid_t sender = fork();
    if (sender == 0) {
        syscall(SYS_setresuid, from[0], from[1], from[2]);
        int zero = kill(pid, 0) < 0 ? errno : 0, cont = kill(pid, SIGCONT) < 0 ? errno : 0;
        int thread = syscall(SYS_tgkill, pid, pid, 0) < 0 ? errno : 0;
        int group = kill(-pid, 0) < 0 ? errno : 0;
        say(key, "%s, CONT %s, tgkill %s, group %s", errno_name(zero), errno_name(cont),
            errno_name(thread), errno_name(group));
        _exit(0);
    }
    waitpid(sender, NULL, 0);
    pass(&go);
    waitpid(pid, NULL, 0);
}

static void test_signals(void)
{
    static const int ids[][3] = {{1, 1, 1}, {1, 2, 3}, {2, 1, 1}, {3, 3, 1}, {4, 4, 4}, {1, 0, 0}};

    for (size_t i = 0; i < COUNT(ids); i++)
        for (size_t k = 0; k < COUNT(ids); k++)
            say_may(ids[i], ids[k], 0);
    say_may(ids[4], ids[0], 1);
    CHILD("nobody at all", {
        syscall(SYS_setresuid, 4321, 4321, 4321);
        VALUE("signal 0 to everybody", kill(-1, 0));
        VALUE("odd signal to everybody", kill(-1, 65));
        VALUE("to init", kill(1, 0));
        VALUE("to its group", kill(0, 0));
    });
}

// ---- programs that change ids

static void copy_self(const char *name, int uid, int gid, int mode)
{
    char block[4096];
    int from = open("/proc/self/exe", O_RDONLY),
        to = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0700);

    for (ssize_t n; (n = read(from, block, sizeof block)) > 0;)
        if (write(to, block, n) != n)
            say("harness", "cannot copy");
    close(from);
    close(to);
    if (chown(name, uid, gid) < 0 || chmod(name, mode) < 0)
        say("harness", "cannot change the copy");
}

static void run(const char *key, const char *name, int no_new_privs)
{
    char *const argv[] = {(char *)name, (char *)key, NULL};

    CHILD(key, {
        syscall(SYS_setresgid, 9, 9, 9);
        syscall(SYS_setresuid, 8, 8, 8);
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        if (no_new_privs)
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        execv(name, argv);
        say("exec", "%s", errno_name(errno));
    });
}

// What the program finds.
static void say_self(const char *key)
{
    char line[96];
    int sig = -1;

    snprintf(line, sizeof line, "users, %s", key);
    say_ids(line, &user_ids);
    snprintf(line, sizeof line, "groups, %s", key);
    say_ids(line, &group_ids);
    snprintf(line, sizeof line, "AT_SECURE, dumpable, death signal, %s", key);
    prctl(PR_GET_PDEATHSIG, &sig);
    say(line, "%lu %d %d", getauxval(AT_SECURE), prctl(PR_GET_DUMPABLE), sig);
}

static void test_programs(void)
{
    copy_self("ids.prog", 5, 6, 04755);
    run("set-user-id", "./ids.prog", 0);
    run("set-user-id, no new privileges", "./ids.prog", 1);
    copy_self("ids.prog", 5, 6, 02755);
    run("set-group-id", "./ids.prog", 0);
    copy_self("ids.prog", 5, 6, 02745);
    run("set-group-id without x", "./ids.prog", 0);
    copy_self("ids.prog", 0, 0, 06755);
    run("both of root", "./ids.prog", 0);
    copy_self("ids.prog", 5, 6, 0755);
    run("neither", "./ids.prog", 0);
    copy_self("ids.prog", 8, 9, 06755);
    run("of the caller", "./ids.prog", 0);
    copy_self("ids.prog", 5, 6, 0700);
    run("not executable", "./ids.prog", 0);
}

static void test_dumpable(void)
{
    int sig = -1;

    VALUE("dumpable", prctl(PR_GET_DUMPABLE));
    VALUE("dumpable 2", prctl(PR_SET_DUMPABLE, 2));
    CHILD("other effective user", {
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        syscall(SYS_setresuid, KEEP, 9, KEEP);
        prctl(PR_GET_PDEATHSIG, &sig);
        say("dumpable, death signal", "%d %d", prctl(PR_GET_DUMPABLE), sig);
        VALUE("made so again", prctl(PR_SET_DUMPABLE, 1));
        CHILD("a fork", VALUE("of one that is", prctl(PR_GET_DUMPABLE)));
    });
    CHILD("other real user", {
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        syscall(SYS_setresuid, 9, KEEP, KEEP);
        prctl(PR_GET_PDEATHSIG, &sig);
        say("dumpable with another real user, death signal", "%d %d", prctl(PR_GET_DUMPABLE), sig);
    });
    CHILD("other fs group", {
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        syscall(SYS_setfsgid, 9);
        prctl(PR_GET_PDEATHSIG, &sig);
        say("dumpable with another fs group, death signal", "%d %d", prctl(PR_GET_DUMPABLE), sig);
    });
}

int main(int argc, char **argv)
{
    char place[] = "/tmp/ids.XXXXXX";

    if (argc > 1) {
        say_self(argv[1]);
        return 0;
    }
    if (!mkdtemp(place) || chmod(place, 0777) < 0 || chdir(place) < 0)
        return 1;
    test_changes(&user_ids, 0, 0, 0, 0);
    test_changes(&user_ids, 1, 2, 3, 2);
    test_changes(&user_ids, 0, 1, 2, 1);
    test_changes(&user_ids, 1, 0, 2, 0);
    test_changes(&user_ids, 1, 1, 0, 1);
    test_changes(&group_ids, 0, 0, 0, 0);
    test_changes(&group_ids, 1, 2, 3, 0);
    test_changes(&group_ids, 1, 2, 3, 7);
    test_changes(&group_ids, 1, 0, 2, 7);
    test_groups();
    test_files();
    test_signals();
    test_programs();
    test_dumpable();
    return 0;
}
