// SPDX-License-Identifier: MIT
// The disk's FAT file system: what it has in common with others, and what is its own (names, links, modes).
#include "abi.h"
#include <dirent.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        say("harness", "cannot write %s: %s", path, errno_name(errno));
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

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *key, const char *path)
{
    DIR *d = opendir(path);
    char *names[40], line[480] = "";
    int n = 0;

    for (struct dirent *e; d && n < 40 && (e = readdir(d));)
        names[n++] = strdup(e->d_name);
    if (d)
        closedir(d);
    qsort(names, n, sizeof *names, compare);
    for (int i = 0; i < n; i++)
        snprintf(line + strlen(line), sizeof line - strlen(line), "%s|", names[i]);
    say(key, "%s", line);
}

static void test_names(void)
{
    mkdir("names", 0755);
    put("names/a rather long name.with.dots", "long");
    put("names/README.TXT", "short");
    put("names/MixedCase.Txt", "mixed");
    put("names/.profile", "dot");
    put("names/profile", "no dot");
    list("names", "names");
    holds("another case", "names/readme.txt");
    holds("long in another case", "names/A RATHER LONG NAME.WITH.DOTS");
    holds("dot", "names/.profile");
    holds("no dot", "names/profile");
    VALUE("exclusive in another case",
          open("names/mixedcase.txt", O_RDWR | O_CREAT | O_EXCL, 0644));
    put("names/mixedcase.TXT", "changed");
    holds("same file", "names/MixedCase.Txt");
    list("still the same names", "names");
    VALUE("a forbidden letter", open("names/a*b", O_RDWR | O_CREAT, 0644));
    VALUE("a colon", open("names/a:b", O_RDWR | O_CREAT, 0644));
    OK("dots at the end", open("names/dots...", O_RDWR | O_CREAT, 0644));
    OK("are cut off", access("names/dots", F_OK));
    OK("a name of one letter", open("names/x", O_RDWR | O_CREAT, 0644));
    OK("many in one pattern", open("names/longname-1.text", O_RDWR | O_CREAT, 0644));
    OK("many in one pattern 2", open("names/longname-2.text", O_RDWR | O_CREAT, 0644));
    list("in the end", "names");
    OK("rename its case", rename("names/README.TXT", "names/readme.txt"));
    holds("renamed", "names/README.TXT");
}

static void test_common(void)
{
    char text[16] = "";
    struct stat st;

    mkdir("d", 0755);
    VALUE("mkdir twice", mkdir("d", 0755));
    put("d/a", "first");
    put("d/b", "second");
    OK("rename over a file", rename("d/a", "d/b"));
    holds("replaced", "d/b");
    VALUE("old name", open("d/a", O_RDONLY));
    VALUE("rmdir full", rmdir("d"));
    int fd = open("d/b", O_RDWR);
    OK("unlink an open file", unlink("d/b"));
    VALUE("its name", open("d/b", O_RDONLY));
    put("d/b", "third"); // must not take the clusters of the open one
    VALUE("read on", read(fd, text, 15));
    say("still", "%s", text);
    OK("write on", pwrite(fd, "more", 4, 5));
    close(fd);
    holds("the new one", "d/b");
    OK("truncate", fd = open("d/b", O_RDWR | O_TRUNC));
    fstat(fd, &st);
    say("size", "%ld", (long)st.st_size);
    OK("grow", ftruncate(fd, 100000));
    memset(text, 1, sizeof text);
    VALUE("in the gap", pread(fd, text, 15, 70000));
    say("is zero", "%d %d", text[0], text[14]);
    OK("write far behind", pwrite(fd, "end", 3, 200000));
    VALUE("before it", pread(fd, text, 15, 150000));
    say("is zero too", "%d %d", text[0], text[14]);
    close(fd);
    mkdir("d/one", 0755);
    mkdir("d/one/two", 0755);
    put("d/one/two/three", "deep");
    OK("move a directory", rename("d/one/two", "d/two"));
    holds("deep", "d/two/three");
    OK("its .. leads", chdir("d/two/.."));
    list("to", ".");
    OK("back", chdir(".."));
    VALUE("into itself", rename("d", "d/two/x"));
    OK("unlink", unlink("d/two/three"));
    OK("rmdir", rmdir("d/two"));
    VALUE("what was there", open("d/two/three", O_RDONLY));
}

static int rename_with(const char *from, const char *to, unsigned flags)
{
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void test_exchange(void)
{
    enum { NOREPLACE = 1, EXCHANGE = 2, WHITEOUT = 4 };

    mkdir("x", 0755);
    mkdir("x/y", 0755);
    put("x/a", "first");
    put("x/second, with a long name", "second");
    put("x/y/deep", "deep");
    OK("exchange", rename_with("x/a", "x/second, with a long name", EXCHANGE));
    holds("exchanged", "x/a");
    holds("the other", "x/second, with a long name");
    OK("exchange across", rename_with("x/a", "x/y/deep", EXCHANGE));
    holds("went down", "x/y/deep");
    holds("came up", "x/a");
    OK("exchange with a directory", rename_with("x/y", "d/b", EXCHANGE));
    holds("below it", "d/b/deep");
    OK("into it", chdir("d/b"));
    holds("beside it, by ..", "../../x/a");
    OK("out of it", chdir("../.."));
    list("where it was", "x");
    OK("changed back", rename_with("d/b", "x/y", EXCHANGE));
    holds("is back", "x/y/deep");
    VALUE("with nothing", rename_with("x/a", "x/none", EXCHANGE));
    VALUE("with what is above", rename_with("x/a", "x", EXCHANGE));
    VALUE("a whiteout", rename_with("x/a", "x/b", WHITEOUT));
    VALUE("a whiteout of nothing", rename_with("x/none", "x/b", WHITEOUT));
    VALUE("onto a file", rename_with("x/a", "x/y/deep", NOREPLACE));
    OK("onto nothing", rename_with("x/a", "x/b", NOREPLACE));
    int dir = open("x", O_RDONLY);
    VALUE("data of a directory", lseek(dir, 1L << 40, SEEK_DATA));
    close(dir);
}

static void test_own(void)
{
    struct stat st;
    struct statfs fs;

    put("f", "x");
    VALUE("symlink", symlink("f", "s"));
    VALUE("link", link("f", "l"));
    VALUE("mkfifo", mkfifo("p", 0600));
    stat("f", &st);
    say("mode", "%o", st.st_mode);
    OK("chmod read-only", chmod("f", 0444));
    OK("chmod back", chmod("f", 0755));
    VALUE("chown to another", chown("f", 5, 5));
    OK("statfs", statfs(".", &fs));
    say("type", "%#lx", (long)fs.f_type);
    VALUE("as large as it gets", truncate("f", 1L << 33));
}

// A file that spans many clusters, written in odd pieces and mapped.
static void test_large(void)
{
    static uint8_t block[7001];
    int fd = open("large", O_RDWR | O_CREAT | O_TRUNC, 0644), wrong = 0;
    long at = 0;

    for (int i = 0; i < 60; i++) {
        for (size_t j = 0; j < sizeof block; j++)
            block[j] = (uint8_t)((at + j) % 253);
        at += write(fd, block, sizeof block);
    }
    say("written", "%ld", at);
    OK("fsync", fsync(fd));
    uint8_t *map = mmap(NULL, at, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (long i = 0; i < at; i++)
        wrong += map[i] != i % 253;
    map[5000] = 254;
    lseek(fd, 0, SEEK_SET);
    at = 0;
    for (ssize_t n; (n = read(fd, block, 5000)) > 0; at += n)
        for (ssize_t j = 0; j < n; j++)
            wrong += block[j] != (at + j == 5000 ? 254 : (at + j) % 253);
    say("read back", "%ld bytes, %d wrong", at, wrong);
}

static void test_many(void)
{
    char name[64];
    int n = 0, odd = 0;

    mkdir("many", 0755);
    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "many/a file whose name is long %03d", i);
        close(open(name, O_RDWR | O_CREAT, 0644));
    }
    DIR *d = opendir("many");
    while (readdir(d))
        n++;
    closedir(d);
    say("listed", "%d", n);
    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "many/a file whose name is long %03d", i);
        odd += unlink(name) != 0;
    }
    say("not removed", "%d", odd);
    OK("empty", rmdir("many"));
}

int main(void)
{
    struct statfs fs;
    char place[64] = "/mnt/abi-XXXXXX";

    if (statfs("/mnt", &fs) < 0 || fs.f_type != 0x4d44) // what Linux calls MSDOS_SUPER_MAGIC
        if (mount("/dev/vda", "/mnt", "vfat", 0, NULL) < 0)
            say("harness", "cannot mount the disk: %s", errno_name(errno));
    if (!mkdtemp(place) || chdir(place) < 0) {
        say("harness", "no disk in /mnt: %s", errno_name(errno));
        return 1;
    }
    test_names();
    test_common();
    test_exchange();
    test_own();
    test_large();
    test_many();
    sync();
    return 0;
}
