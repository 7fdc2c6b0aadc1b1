// SPDX-License-Identifier: MIT
// What one write puts into a file is never between parts of what another does, also when the program's memory is not there and
// has to be read from the disk in the middle of it.
#include "abi.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

enum { ROUNDS = 20, RECORD = 4 };

static char other[RECORD * PAGE];
static atomic_int out, turn; // the file of the round, its number

static off_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 ? -1 : st.st_size;
}

// Appends as soon as there is something of the other's record.
static void *append(void *rounds)
{
    for (int round = 1; round <= *(int *)rounds; round++) {
        while (turn != round)
            sched_yield();
        int fd = out;
        while (size_of(fd) == 0)
            sched_yield();
        if (write(fd, other, sizeof other) != sizeof other)
            say("appending", "%s", errno_name(errno));
        turn = -round;
    }
    return NULL;
}

// A record whose third page is the file's, which has just left memory.
static char *make_record(int source)
{
    char *record =
        mmap(NULL, RECORD * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memset(record, 'a', RECORD * PAGE);
    munmap(record + 2 * PAGE, PAGE);
    posix_fadvise(source, 0, 0, POSIX_FADV_DONTNEED);
    mmap(record + 2 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, source, 0);
    return record;
}

// The records in the file: a letter for each page, '?' for one that is mixed.
static void describe(int fd, char *text, size_t room)
{
    char page[PAGE];
    size_t n = 0;

    for (off_t at = 0; n < room - 1 && pread(fd, page, PAGE, at) == PAGE; at += PAGE) {
        int same = 1;
        for (size_t i = 1; i < PAGE; i++)
            same &= page[i] == page[0];
        text[n++] = same ? page[0] : '?';
    }
    text[n] = 0;
}

static void test_append(const char *key, const char *path, int source)
{
    char text[32], wrong[32] = "";
    int rounds = ROUNDS, odd = 0;
    pthread_t thread;

    turn = 0;
    pthread_create(&thread, NULL, append, &rounds);
    for (int round = 1; round <= ROUNDS; round++) {
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
        char *record = make_record(source);
        out = open(path, O_RDWR | O_APPEND);
        turn = round;
        if (write(fd, record, RECORD * PAGE) != RECORD * PAGE)
            say("writing", "%s", errno_name(errno));
        while (turn != -round)
            sched_yield();
        describe(fd, text, sizeof text);
        if (strcmp(text, "aaaabbbb") != 0) {
            odd++;
            strcpy(wrong, text);
        }
        munmap(record, RECORD * PAGE);
        close(out);
        close(fd);
    }
    pthread_join(thread, NULL);
    say(key, "%s", odd ? wrong : "each record is whole");
}

int main(void)
{
    char page[PAGE];

    memset(other, 'b', sizeof other);
    memset(page, 'a', PAGE);
    struct statfs fs;
    if (statfs("/mnt", &fs) < 0 || fs.f_type != 0x4d44) // what Linux calls MSDOS_SUPER_MAGIC
        if (mount("/dev/vda", "/mnt", "vfat", 0, NULL) < 0)
            say("harness", "cannot mount the disk: %s", errno_name(errno));
    int source = open("/mnt/record", O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (write(source, page, PAGE) != PAGE || fsync(source) < 0)
        say("harness", "cannot write to the disk: %s", errno_name(errno));
    test_append("in memory", "file", source);
    test_append("on the disk", "/mnt/file", source);
    close(source);
    unlink("/mnt/record");
    unlink("/mnt/file");
    return 0;
}
