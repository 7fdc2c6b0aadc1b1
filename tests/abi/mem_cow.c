// SPDX-License-Identifier: MIT
// Copy on write, shared memory and mapped files: who sees whose writes.
#include "abi.h"
#include <sys/mman.h>

#define RW (PROT_READ | PROT_WRITE)

static uint8_t data_page[2 * PAGE] = {1};

static void test_private(void)
{
    uint8_t *p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct gate to_child = gate_make(), to_parent = gate_make();

    memset(p, 1, 3 * PAGE); // the fourth page stays untouched
    pid_t pid = fork();
    if (pid == 0) {
        p[0] = 2;
        data_page[0] = 2;
        p[3 * PAGE] = 2;
        pass(&to_parent);
        wait_for_pass(&to_child);
        say("child sees", "%d %d %d %d, %d", p[0], p[PAGE], p[2 * PAGE], p[3 * PAGE], data_page[0]);
        _exit(0);
    }
    wait_for_pass(&to_parent);
    p[PAGE] = 3;
    say("parent sees", "%d %d %d %d, %d", p[0], p[PAGE], p[2 * PAGE], p[3 * PAGE], data_page[0]);
    pass(&to_child);
    say_end("private child", pid);
}

// A page that two forks share three ways, written by each in turn.
static void test_generations(void)
{
    uint8_t *p = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    p[0] = 1;
    CHILD("child", CHILD("grandchild", p[0] = 3; say("grandchild sees", "%d", p[0]));
          say("child sees its own before", "%d", p[0]); p[0] = 2;
          CHILD("second grandchild", say("second grandchild sees", "%d", p[0]));
          say("child sees its own after", "%d", p[0]));
    say("grandparent sees", "%d", p[0]);
}

static void test_system_call_writes(void)
{
    int fds[2];
    uint8_t *p = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    p[0] = 1;
    if (pipe(fds) < 0)
        _exit(1);
    CHILD("child reads into a shared page", {
        if (write(fds[1], "\7\7", 2) != 2 || read(fds[0], p, 2) != 2)
            _exit(1);
        say("read into the copy", "%d %d", p[0], p[1]);
    });
    say("parent's page", "%d %d", p[0], p[1]);
}

static void test_shared(void)
{
    volatile uint8_t *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct gate g = gate_make();

    p[0] = 1;
    pid_t pid = fork();
    if (pid == 0) {
        p[0]++;
        p[PAGE] = 5; // first touched after the fork
        pass(&g);
        _exit(0);
    }
    wait_for_pass(&g);
    say("shared", "%d %d", p[0], p[PAGE]);
    say_end("shared child", pid);
}

static void test_file(void)
{
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    char text[8] = "";

    if (write(fd, "abcdefg", 7) != 7 || ftruncate(fd, 3 * PAGE) < 0)
        say("harness", "cannot write");
    char *private = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    char *shared = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
    say("mapped file", "%.7s", private);
    OK("pwrite", pwrite(fd, "X", 1, 0));
    say("before the copy it follows the file", "%.7s", private);
    private[1] = 'P';
    OK("pwrite again", pwrite(fd, "Y", 1, 0));
    say("after the copy it does not", "%.7s", private);
    shared[2] = 'S';
    shared[PAGE + 1] = 'T';
    VALUE("pread sees the shared write", pread(fd, text, 7, 0));
    say("file holds", "%.7s", text);
    VALUE("pread of the second page", pread(fd, text, 2, PAGE));
    say("second page holds", "%c", text[1]);
    OK("msync", msync(shared, 2 * PAGE, MS_SYNC));
    VALUE("msync with odd flags", msync(shared, PAGE, 0x40));
    VALUE("msync unmapped", msync((void *)0x10000, PAGE, MS_SYNC));
    close(fd);
    say("mapping outlives its descriptor", "%c", shared[2]);

    fd = open("file", O_RDONLY);
    char *reader = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    say("read-only shared", "%c", reader[2]);
    VALUE("made writable", mprotect(reader, PAGE, RW));
    VALUE("shared and writable from a read-only descriptor",
          mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0));
    OK("private and writable from a read-only descriptor",
       mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0));
    VALUE("unaligned offset", mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 100));
    int null = open("/", O_RDONLY);
    VALUE("a directory", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, null, 0));
    fd = open("file", O_WRONLY);
    VALUE("a write-only descriptor", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
    CHILD("a child writes the shared mapping", shared[3] = 'C');
    say("and the parent sees", "%c", shared[3]);
    CHILD("a child writes the private mapping", private[3] = 'C');
    say("and the parent does not", "%c", private[3]);
}

int main(void)
{
    test_private();
    test_generations();
    test_system_call_writes();
    test_shared();
    test_file();
    return 0;
}
