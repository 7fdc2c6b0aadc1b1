// SPDX-License-Identifier: MIT
// Directories: listing, making, removing, renaming, links, files without a name, the working directory.
#include "abi.h"
#include <dirent.h>
#include <sys/stat.h>

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// All names in a directory, sorted, with a mark for their kind as getdents64 tells it.
static void list(const char *key, const char *path)
{
    DIR *d = opendir(path);
    char *names[64], line[400] = "";
    int n = 0;

    if (!d) {
        say(key, "%s", errno_name(errno));
        return;
    }
    for (struct dirent *e; n < 64 && (e = readdir(d));) {
        names[n] = malloc(300);
        snprintf(names[n++], 300, "%s%s", e->d_name,
                 e->d_type == DT_DIR   ? "/"
                 : e->d_type == DT_LNK ? "@"
                 : e->d_type == DT_REG ? ""
                                       : "?");
    }
    closedir(d);
    qsort(names, n, sizeof *names, compare);
    for (int i = 0; i < n; i++)
        snprintf(line + strlen(line), sizeof line - strlen(line), "%s%s", i ? " " : "", names[i]);
    say(key, "%s", line);
}

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);

    if (fd < 0 || write(fd, path, strlen(path)) < 0)
        say("harness", "cannot make %s: %s", path, errno_name(errno));
    close(fd);
}

static void holds(const char *key, const char *path)
{
    char text[64] = "";
    int fd = open(path, O_RDONLY);

    if (fd < 0 || read(fd, text, 63) < 0)
        say(key, "%s", errno_name(errno));
    else
        say(key, "%s", text);
    close(fd);
}

static void test_make_and_remove(void)
{
    OK("mkdir", mkdir("d", 0755));
    VALUE("mkdir twice", mkdir("d", 0755));
    VALUE("mkdir below nothing", mkdir("x/y", 0755));
    OK("mkdir with a slash", mkdir("d/sub/", 0755));
    touch("d/file");
    VALUE("mkdir over a file", mkdir("d/file", 0755));
    VALUE("mkdir below a file", mkdir("d/file/x", 0755));
    list("d holds", "d");
    VALUE("rmdir full", rmdir("d"));
    VALUE("rmdir a file", rmdir("d/file"));
    VALUE("rmdir absent", rmdir("d/absent"));
    VALUE("rmdir .", rmdir("d/sub/."));
    VALUE("rmdir ..", rmdir("d/sub/.."));
    VALUE("rmdir /", rmdir("/"));
    VALUE("unlink a directory", unlink("d/sub"));
    VALUE("unlink absent", unlink("d/absent"));
    VALUE("unlink below a file", unlink("d/file/x"));
    VALUE("unlinkat with odd flags", unlinkat(AT_FDCWD, "d/file", 0x1));
    OK("rmdir", rmdir("d/sub"));
    OK("unlink", unlink("d/file"));
    list("d empty", "d");
    OK("unlinkat REMOVEDIR", unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
    list("d gone", "d");
}

static void test_rename(void)
{
    mkdir("r", 0755);
    mkdir("r/full", 0755);
    mkdir("r/empty", 0755);
    touch("r/full/one");
    touch("r/a");
    touch("r/b");
    OK("rename", rename("r/a", "r/c"));
    holds("moved", "r/c");
    VALUE("old name", open("r/a", O_RDONLY));
    OK("rename over a file", rename("r/c", "r/b"));
    holds("replaced", "r/b");
    VALUE("rename absent", rename("r/absent", "r/x"));
    VALUE("file over a directory", rename("r/b", "r/empty"));
    VALUE("directory over a file", rename("r/empty", "r/b"));
    VALUE("over a full directory", rename("r/empty", "r/full"));
    OK("over an empty directory", rename("r/full", "r/empty"));
    list("r/empty holds", "r/empty");
    VALUE("into itself", rename("r/empty", "r/empty/x"));
    VALUE("onto its parent", rename("r/empty/one", "r/empty"));
    OK("onto itself", rename("r/b", "r/b"));
    OK("into another directory", rename("r/b", "r/empty/two"));
    list("afterwards", "r/empty");
    mkdir("r/e", 0755);
    OK("a directory elsewhere", rename("r/e", "r/empty/e"));
    list("its dots", "r/empty/e");
    OK("and .. leads", chdir("r/empty/e/.."));
    list("there", ".");
    OK("back", chdir("../.."));
    VALUE("noreplace", syscall(SYS_renameat2, AT_FDCWD, "r/empty/one", AT_FDCWD, "r/empty/two", 1));
    VALUE("odd flags", syscall(SYS_renameat2, AT_FDCWD, "r/empty/one", AT_FDCWD, "x", 0x100));
}

static void test_nameless(void)
{
    char text[16] = "";
    struct stat st;

    touch("ghost");
    int fd = open("ghost", O_RDWR);
    OK("unlink an open file", unlink("ghost"));
    VALUE("its name", open("ghost", O_RDONLY));
    OK("write on", pwrite(fd, "still here", 10, 0));
    touch("ghost");
    VALUE("read on", pread(fd, text, 15, 0));
    say("text", "%s", text);
    fstat(fd, &st);
    say("links", "%ld", (long)st.st_nlink);
    holds("a new one", "ghost");
    mkdir("gone", 0755);
    int dir = open("gone", O_RDONLY);
    rmdir("gone");
    VALUE("create in a removed directory", openat(dir, "x", O_RDWR | O_CREAT, 0644));
}

static void test_links(void)
{
    char text[64];
    struct stat st;

    touch("target");
    OK("symlink", symlink("target", "link"));
    memset(text, 0, sizeof text);
    VALUE("readlink", readlink("link", text, 60));
    say("leads to", "%s", text);
    VALUE("short readlink", readlink("link", text, 3));
    VALUE("readlink a file", readlink("target", text, 60));
    VALUE("readlink into nothing", readlink("link", text, 0));
    holds("through it", "link");
    lstat("link", &st);
    say("lstat", "%s, %ld bytes", S_ISLNK(st.st_mode) ? "link" : "other", (long)st.st_size);
    stat("link", &st);
    YES("stat follows", S_ISREG(st.st_mode));
    VALUE("O_NOFOLLOW", open("link", O_RDONLY | O_NOFOLLOW));
    VALUE("symlink over a file", symlink("x", "target"));
    OK("dangling", symlink("nowhere", "dangling"));
    VALUE("open dangling", open("dangling", O_RDONLY));
    VALUE("exclusive over dangling", open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644));
    OK("create through it", open("dangling", O_RDWR | O_CREAT, 0644));
    OK("now it is", access("nowhere", F_OK));
    (void)!symlink("loop2", "loop1");
    (void)!symlink("loop1", "loop2");
    VALUE("loop", open("loop1", O_RDONLY));
    mkdir("ld", 0755);
    (void)!symlink("ld", "to_dir");
    touch("ld/inner");
    holds("in the middle of a path", "to_dir/inner");
    OK("unlink removes the link", unlink("link"));
    OK("not the target", access("target", F_OK));
    OK("hard link", link("target", "second"));
    stat("target", &st);
    say("hard links", "%ld", (long)st.st_nlink);
    VALUE("link over a file", link("target", "second"));
    VALUE("link a directory", link("ld", "ld2"));
    unlink("target");
    holds("the other name", "second");
}

static void test_working_directory(void)
{
    char here[256], there[256];

    mkdir("w", 0755);
    getcwd(here, sizeof here);
    OK("chdir", chdir("w"));
    getcwd(there, sizeof there);
    YES("getcwd", strncmp(there, here, strlen(here)) == 0 && !strcmp(there + strlen(here), "/w"));
    VALUE("getcwd too small", syscall(SYS_getcwd, there, 3));
    VALUE("its length counts the end", syscall(SYS_getcwd, there, 256) - (long)strlen(here));
    VALUE("chdir absent", chdir("absent"));
    touch("f");
    VALUE("chdir to a file", chdir("f"));
    OK("chdir ..", chdir(".."));
    OK("chdir deep", chdir("w/../w/.//../w"));
    unlink("f");
    OK("rmdir of where we are", rmdir("../w"));
    VALUE("getcwd there", syscall(SYS_getcwd, there, 256));
    VALUE("create there", open("x", O_RDWR | O_CREAT, 0644));
    OK("up from there", chdir(here));
    OK("up from the root", chdir("/../.."));
    syscall(SYS_getcwd, there, 256);
    say("is", "%s", there);
    OK("home", chdir(here));
}

static void test_many(void)
{
    char name[32];
    int n = 0, odd = 0;

    mkdir("many", 0755);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "many/file-%03d", i);
        touch(name);
    }
    DIR *d = opendir("many");
    for (struct dirent *e; (e = readdir(d));) {
        n++;
        if (e->d_name[0] != '.') { // removing what was just listed must not lose others
            snprintf(name, sizeof name, "many/%.20s", e->d_name);
            odd += unlink(name) != 0;
        }
    }
    rewinddir(d);
    int left = 0;
    while (readdir(d))
        left++;
    closedir(d);
    say("many", "%d listed, %d odd, %d left", n, odd, left);
    VALUE("getdents64 into too little", syscall(SYS_getdents64, open("many", O_RDONLY), name, 10));
    VALUE("getdents64 of a file", syscall(SYS_getdents64, open("second", O_RDONLY), name, 32));
    OK("empty now", rmdir("many"));
}

static int rename_with(const char *from, const char *to, unsigned flags)
{
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

enum { NOREPLACE = 1, EXCHANGE = 2, WHITEOUT = 4 };

static void test_exchange(void)
{
    mkdir("x", 0755);
    mkdir("x/below", 0755);
    touch("x/file");
    touch("x/other");
    OK("exchange", rename_with("x/file", "x/other", EXCHANGE));
    holds("exchanged", "x/other");
    OK("exchange with a directory", rename_with("x/file", "x/below", EXCHANGE));
    holds("is below now", "x/below");
    VALUE("exchange with nothing", rename_with("x/other", "x/none", EXCHANGE));
    VALUE("exchange nothing", rename_with("x/none", "x/other", EXCHANGE));
    VALUE("exchange with what is above", rename_with("x/file", "x", EXCHANGE));
    VALUE("exchange with what is below", rename_with("x", "x/file", EXCHANGE));
    VALUE("a directory with a file and a slash", rename_with("x/file", "x/other/", EXCHANGE));
    VALUE("a file with a directory and a slash", rename_with("x/other", "x/file/", EXCHANGE));
    VALUE("onto nothing", rename_with("x/file", "x/new", NOREPLACE));
    VALUE("onto something", rename_with("x/new", "x/below", NOREPLACE));
    VALUE("nothing onto something", rename_with("x/none", "x/below", NOREPLACE));
    VALUE("two at once", rename_with("x/none", "x/below", NOREPLACE | EXCHANGE));
    VALUE("other two", rename_with("x/none", "x/below", WHITEOUT | EXCHANGE));
    VALUE("an unknown flag", rename_with("x/none", "x/below", 8));
    VALUE("a whiteout of nothing", rename_with("x/none", "x/below", WHITEOUT));
    VALUE("a whiteout onto something", rename_with("x/new", "x/below", WHITEOUT | NOREPLACE));
    OK("a whiteout", rename_with("x/below", "x/moved", WHITEOUT));
    holds("is moved", "x/moved");
    holds("and left", "x/below");
    struct stat st = {0};
    stat("x/below", &st);
    say("what it left", "%o %ld, %ld links", st.st_mode, (long)st.st_rdev, (long)st.st_nlink);
    OK("a directory's whiteout", rename_with("x/other", "x/directory", WHITEOUT));
    list("with whiteouts", "x");
    OK("something over it", rename("x/moved", "x/below"));
    holds("is there again", "x/below");
}

// Which of two reasons is told. By a user who may change nothing.
static void test_order(void)
{
    mkdir("locked", 0755);
    mkdir("locked/one", 0755);
    touch("locked/file");
    chmod(".", 0755);
    CHILD("errors of a user", {
        if (setuid(1000))
            _exit(1);
        VALUE("link across, without rights", link("/proc/self/stat", "locked/stat"));
        VALUE("link across, over a file", link("/proc/self/stat", "locked/file"));
        VALUE("link nothing over a file", link("/proc/none", "locked/file"));
        VALUE("rename across, without rights", rename("/proc/self/stat", "locked/stat"));
        VALUE("rename into itself, without rights", rename("locked/one", "locked/one/two"));
        VALUE("rename over what is above", rename("locked/file", "locked"));
        VALUE("rename to itself, without rights", rename("locked/file", "locked/file"));
        VALUE("rename a file onto a directory", rename("locked/file", "locked/one"));
        VALUE("rename nothing, without rights", rename("locked/none", "locked/some"));
        VALUE("with a slash, without rights", rename("locked/file/", "locked/some"));
    });
    VALUE("link a directory over a file", link("locked/one", "locked/file"));
    VALUE("link to a name with a slash", link("locked/file", "locked/new/"));
}

static void test_seek(void)
{
    int dir = open(access("/dev/shm", F_OK) ? "." : "/dev/shm", O_RDONLY | O_DIRECTORY); // a tmpfs

    VALUE("seek in a directory", lseek(dir, 0, SEEK_SET));
    VALUE("stay there", lseek(dir, 0, SEEK_CUR));
    VALUE("before it", lseek(dir, -1, SEEK_SET));
    VALUE("its end", lseek(dir, 0, SEEK_END));
    VALUE("its data", lseek(dir, 0, SEEK_DATA));
    VALUE("its holes", lseek(dir, 0, SEEK_HOLE));
    dir = open("/proc/self", O_RDONLY | O_DIRECTORY);
    VALUE("data of an empty one", lseek(dir, 0, SEEK_DATA));
    VALUE("holes of an empty one", lseek(dir, 0, SEEK_HOLE));
}

int main(void)
{
    umask(022);
    test_make_and_remove();
    test_rename();
    test_nameless();
    test_links();
    test_working_directory();
    test_many();
    test_exchange();
    test_order();
    test_seek();
    return 0;
}
