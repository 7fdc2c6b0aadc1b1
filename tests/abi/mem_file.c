// SPDX-License-Identifier: MIT
// Files in memory: what read, write, truncate and mappings of one file see of each other, shared and
// private; what is left of a mapping when its file becomes shorter; files that are copied onto themselves.
#include "abi.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <sys/mman.h>

static bool on_disk;
#define TELL(key, ...) say(on_disk ? key ", on disk" : key, __VA_ARGS__)

static sigjmp_buf after_fault;
static volatile int seen_signal, seen_code;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    seen_signal = sig;
    seen_code = info->si_code;
    siglongjmp(after_fault, 1);
}

static const char *touch(volatile char *p)
{
    static char text[32];
    if (sigsetjmp(after_fault, 1) == 0)
        snprintf(text, sizeof text, "%d", *p);
    else
        snprintf(text, sizeof text, "SIG%s code %d", signal_name(seen_signal), seen_code);
    return text;
}

static char *map(int fd, size_t pages, int prot, int flags)
{
    return mmap(NULL, pages * PAGE, prot, flags, fd, 0);
}

static int at(int fd, off_t offset)
{
    unsigned char c;
    ssize_t n = pread(fd, &c, 1, offset);
    return n == 1 ? c : n == 0 ? -1 : -2;
}

static void test_coherence(int fd)
{
    char *shared = map(fd, 4, PROT_READ | PROT_WRITE, MAP_SHARED);
    char *twice = map(fd, 4, PROT_READ | PROT_WRITE, MAP_SHARED);
    char *private = map(fd, 4, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    char c = 5;
    shared[0] = 1;
    TELL("stored, then read", "%d", at(fd, 0));
    TELL("stored, in the other mapping", "%d", twice[0]);
    TELL("stored, in the private one", "%d", private[0]);
    pwrite(fd, &c, 1, PAGE + 7);
    TELL("written, then loaded", "%d %d %d", shared[PAGE + 7], twice[PAGE + 7], private[PAGE + 7]);
    private[PAGE + 7] = 9;
    TELL("stored privately", "%d %d %d", shared[PAGE + 7], at(fd, PAGE + 7), private[PAGE + 7]);
    shared[2 * PAGE] = 21;
    TELL("msync", "%d", msync(shared, 4 * PAGE, MS_SYNC));
    shared[2 * PAGE] = 22; // after write-back a store is seen, and kept, as before it
    TELL("stored after msync", "%d %d", twice[2 * PAGE], at(fd, 2 * PAGE));
    TELL("fsync", "%d", fsync(fd));
    shared[2 * PAGE] = 23;
    TELL("stored after fsync", "%d %d", twice[2 * PAGE], at(fd, 2 * PAGE));
    pid_t pid = fork();
    if (pid == 0) {
        shared[3 * PAGE] = 31;
        private[3 * PAGE] = 32;
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    TELL("stored by a child", "%d %d %d", at(fd, 3 * PAGE), twice[3 * PAGE], private[3 * PAGE]);
    munmap(shared, 4 * PAGE);
    munmap(twice, 4 * PAGE);
    munmap(private, 4 * PAGE);
    TELL("after munmap", "%d %d", at(fd, 2 * PAGE), at(fd, 3 * PAGE));
}

static void test_truncate(int fd)
{
    char *shared = map(fd, 4, PROT_READ | PROT_WRITE, MAP_SHARED);
    char *private = map(fd, 4, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    memset(shared, 7, 4 * PAGE);
    private[PAGE + 100] = 8; // copies
    private[3 * PAGE] = 8;
    ftruncate(fd, PAGE + 50);
    TELL("before the end", "%s", touch(shared + PAGE + 49));
    TELL("behind the end, in its page", "%s", touch(shared + PAGE + 50));
    TELL("in a private copy of it", "%s", touch(private + PAGE + 100));
    TELL("beyond, shared", "%s", touch(shared + 2 * PAGE));
    TELL("beyond, private", "%s", touch(private + 2 * PAGE));
    TELL("beyond, copied", "%s", touch(private + 3 * PAGE));
    pid_t pid = fork();
    if (pid == 0) {
        TELL("beyond, in a child", "%s", touch(shared + 3 * PAGE));
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    ftruncate(fd, 4 * PAGE);
    TELL("grown again, its page", "%s", touch(shared + PAGE + 50));
    TELL("grown again, beyond", "%s", touch(shared + 3 * PAGE));
    TELL("grown again, private", "%s", touch(private + 3 * PAGE));
    TELL("grown again, read", "%d", at(fd, 3 * PAGE));
    shared[3 * PAGE] = 3;
    TELL("and written", "%d", at(fd, 3 * PAGE));
    ftruncate(fd, 0);
    TELL("empty", "%s", touch(shared));
    munmap(shared, 4 * PAGE);
    munmap(private, 4 * PAGE);
}

// ---- a file's bytes are copied to, and from, a mapping of the same bytes that the process has not touched yet

enum {
    HALF = 17,
    WHOLE = 2 * HALF,
    ROUNDS = 20
}; // in pages; half is more than fits into one step of the kernel's

static void make_absent(int fd, char *map, bool uncached)
{
    madvise(map, WHOLE * PAGE, MADV_DONTNEED);
    if (uncached && fsync(fd) == 0)
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static bool all_are(const char *bytes, size_t n, char value)
{
    size_t i = 0;

    while (i < n && bytes[i] == value)
        i++;
    return i == n;
}

// Reads one half into the mapping of the other and writes it from there, the others at the same time the other way round.
static void *copy_across(void *arg)
{
    int fd = ((int *)arg)[0], odd = ((int *)arg)[1];
    char *map_all = map(fd, WHOLE, PROT_READ | PROT_WRITE, MAP_SHARED),
         *half = map_all + odd * HALF * PAGE;
    off_t other = (off_t)(!odd * HALF * PAGE);
    long wrong = 0;

    for (int i = 0; i < ROUNDS; i++) {
        make_absent(fd, map_all, i % 8 == odd);
        wrong += pread(fd, half, HALF * PAGE, other) != HALF * (long)PAGE;
        make_absent(fd, map_all, false);
        wrong += pwrite(fd, half, HALF * PAGE, other) != HALF * (long)PAGE;
        wrong += !all_are(map_all, WHOLE * PAGE, 7);
    }
    return (void *)wrong;
}

// What is cut off is looked for where it is mapped, not on the way there.
static void test_far_behind(void)
{
    int fd = memfd_create("far", 0);
    VALUE("four pages", ftruncate(fd, 4 * PAGE));
    char *near = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *far = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 1L << 50);
    YES("mapped here and far behind", near != MAP_FAILED && far != MAP_FAILED);
    near[2 * PAGE] = 1;
    VALUE("cut off before both", ftruncate(fd, PAGE));
    VALUE("and on again", ftruncate(fd, 4 * PAGE));
    say("what was there", "%d", near[2 * PAGE]);
    munmap(near, 4 * PAGE);
    munmap(far, PAGE);
    close(fd);
}

static void test_onto_itself(int fd)
{
    ftruncate(fd, WHOLE * PAGE);
    char *shared = map(fd, WHOLE, PROT_READ | PROT_WRITE, MAP_SHARED);
    char *private = map(fd, WHOLE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    pthread_t thread[4];
    int args[4][2];
    long wrong = 0;

    memset(shared, 7, WHOLE * PAGE);
    for (int i = 0; i < 2; i++) {
        make_absent(fd, shared, i);
        wrong += pread(fd, shared, WHOLE * PAGE, 0) != WHOLE * (long)PAGE;
        make_absent(fd, shared, i);
        wrong += pwrite(fd, shared, WHOLE * PAGE, 0) != WHOLE * (long)PAGE;
        make_absent(fd, private, i);
        wrong += pread(fd, private, WHOLE * PAGE, 0) != WHOLE * (long)PAGE;
        wrong += !all_are(private, WHOLE * PAGE, 7);
    }
    TELL("onto itself, went wrong", "%ld", wrong);
    wrong = 0;
    for (int i = 0; i < 4; i++) {
        args[i][0] = fd;
        args[i][1] = i % 2;
        pthread_create(&thread[i], NULL, copy_across, args[i]);
    }
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(thread[i], &result);
        wrong += (long)result;
    }
    TELL("across by four threads, went wrong", "%ld", wrong);
    munmap(shared, WHOLE * PAGE);
    munmap(private, WHOLE * PAGE);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    test_far_behind();
    for (on_disk = false;; on_disk = true) { // the second time on the FAT32 disk where there is one
        if (on_disk && access("/mnt/README.TXT", F_OK) == 0)
            chdir("/mnt");
        int fd = open("mem_file.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || ftruncate(fd, 4 * PAGE))
            return 1;
        test_coherence(fd);
        test_truncate(fd);
        test_onto_itself(fd);
        close(fd);
        unlink("mem_file.tmp");
        if (on_disk)
            return 0;
    }
}
