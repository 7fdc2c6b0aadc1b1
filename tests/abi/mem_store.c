// SPDX-License-Identifier: MIT
// Stores through shared mappings of files: what they do to the file's times, and what becomes of those behind its end.
#include "abi.h"
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static bool on_disk;
#define TELL(key, ...) say(on_disk ? key ", on disk" : key, __VA_ARGS__)

static int file_of_pages(unsigned pages)
{
    int fd = open("mem_store.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
    static const char page[PAGE] = "page";

    while (pages--)
        if (write(fd, page, PAGE) != PAGE)
            _exit(1);
    return fd;
}

static char *map(int fd, size_t pages)
{
    return mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

// ---- times

static struct timespec changed;

static void make_old(int fd)
{
    struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    struct stat st;

    futimens(fd, old);
    fstat(fd, &st);
    changed = st.st_ctim;
    while (clock_gettime(CLOCK_REALTIME_COARSE, &st.st_ctim) == 0 &&
           st.st_ctim.tv_sec == changed.tv_sec && st.st_ctim.tv_nsec <= changed.tv_nsec)
        ;
}

// Has the time of the last write, and that of the last change, moved since make_old?
static const char *moved(int fd)
{
    struct stat st;

    fstat(fd, &st);
    bool m = st.st_mtim.tv_sec != 1000000000;
    bool c = st.st_ctim.tv_sec != changed.tv_sec || st.st_ctim.tv_nsec != changed.tv_nsec;
    return m && c ? "both" : m ? "mtime" : c ? "ctime" : "neither";
}

static void test_times(int fd)
{
    char *shared = map(fd, 4);
    int zero = open("/dev/zero", O_RDONLY);

    fsync(fd);
    make_old(fd);
    shared[0] = 1;
    TELL("stored", "%s", moved(fd));
    make_old(fd);
    shared[1] = 1;
    TELL("stored again", "%s", moved(fd));
    make_old(fd);
    VALUE(on_disk ? "loaded, on disk" : "loaded", shared[PAGE]);
    TELL("by a load", "%s", moved(fd));
    shared[PAGE] = 1;
    TELL("stored after a load", "%s", moved(fd));
    make_old(fd);
    VALUE(on_disk ? "msync, on disk" : "msync", msync(shared, 4 * PAGE, MS_SYNC));
    TELL("by msync", "%s", moved(fd));
    make_old(fd);
    VALUE(on_disk ? "read into, on disk" : "read into", read(zero, shared + 2 * PAGE, 10));
    TELL("by a read into it", "%s", moved(fd));
    make_old(fd);
    munmap(shared, 4 * PAGE);
    fsync(fd);
    TELL("by munmap and fsync", "%s", moved(fd));
    char *twice = map(fd, 4);
    twice[3 * PAGE] = 2;
    TELL("stored in a new mapping", "%s", moved(fd));
    if (on_disk) { // what is written back is write-protected; there is nothing to write back in memory
        fsync(fd);
        make_old(fd);
        twice[3 * PAGE] = 3;
        TELL("stored after fsync", "%s", moved(fd));
        make_old(fd);
        twice[PAGE + 1] = 3;
        TELL("stored after a load of a neighbour", "%s", moved(fd));
    }
    munmap(twice, 4 * PAGE);
    char *private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    make_old(fd);
    private[0] = 4;
    TELL("stored privately", "%s", moved(fd));
    munmap(private, PAGE);
    close(zero);
}

// ---- behind the end

enum { END = PAGE + 10 };

static void grow_to_page(int fd)
{
    ftruncate(fd, 2 * PAGE);
}

static void grow_beyond(int fd)
{
    ftruncate(fd, 3 * PAGE);
}

static void allocate(int fd)
{
    fallocate(fd, 0, 0, 3 * PAGE);
}

static void write_beyond(int fd)
{
    pwrite(fd, "w", 1, 2 * PAGE + 5);
}

static void write_in_page(int fd)
{
    pwrite(fd, "w", 1, END + 1000);
}

static void write_at_end(int fd)
{
    pwrite(fd, "w", 1, END);
    ftruncate(fd, 2 * PAGE);
}

static void shrink_and_grow(int fd)
{
    ftruncate(fd, END - 3);
    ftruncate(fd, 2 * PAGE);
}

static const struct growth {
    const char *key;
    void (*grow)(int fd);
} growths[] = {
    {"ftruncate, in its page", grow_to_page},
    {"ftruncate, beyond", grow_beyond},
    {"fallocate", allocate},
    {"a write beyond", write_beyond},
    {"a write in its page", write_in_page},
    {"a write at the end, and ftruncate", write_at_end},
    {"a shorter file", shrink_and_grow},
};

// The bytes [1, 900) behind the end: how many are not zero, as a read and as the mapping has them.
static void count_stale(const char *key, int fd, const char *shared)
{
    char bytes[900];
    unsigned read_stale = 0, mapped_stale = 0;
    ssize_t n = pread(fd, bytes, sizeof bytes, END);

    for (ssize_t i = 1; i < n; i++) {
        read_stale += bytes[i] != 0;
        mapped_stale += shared[END + i] != 0;
    }
    say(key, "%ld bytes, %u %u stale", (long)n, read_stale, mapped_stale);
}

// cached: the page stays in memory; else it goes, with the bytes behind the end, and comes again.
static void test_growth(int fd, const struct growth *g, bool cached)
{
    char key[90];

    ftruncate(fd, 0);
    ftruncate(fd, END);
    char *shared = map(fd, 3);
    memset(shared + END, 's', 2 * PAGE - END);
    if (!cached) {
        munmap(shared, 3 * PAGE);
        fsync(fd);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    g->grow(fd);
    if (!cached)
        shared = map(fd, 3);
    snprintf(key, sizeof key, "behind the end%s, grown by %s%s", cached ? "" : ", written back",
             g->key, on_disk ? ", on disk" : "");
    count_stale(key, fd, shared);
    munmap(shared, 3 * PAGE);
}

// Does the disk's sector that begins with `text` go on, behind the end at len, with anything but zeros?
static const char *found_on_disk(const char *text, size_t len)
{
    static char part[128 * 512];
    int disk = open("/dev/vda", O_RDONLY);

    for (ssize_t n; (n = read(disk, part, sizeof part)) > 0;)
        for (const char *sector = part; sector < part + n; sector += 512)
            if (!memcmp(sector, text, len)) {
                close(disk);
                for (size_t i = len; i < 512; i++)
                    if (sector[i])
                        return "yes";
                return "no";
            }
    close(disk);
    return "no such sector";
}

// Read from the disk itself. On a machine that has none of the tests' the answer is what it should be.
static void test_write_back(int fd)
{
    static const char text[] = "mem_store: the bytes of a file whose page has more";
    size_t len = sizeof text - 1;

    ftruncate(fd, 0);
    pwrite(fd, text, len, 0);
    char *shared = map(fd, 1);
    memset(shared + len, 's', PAGE - len);
    fsync(fd);
    say("written out from behind the end", "%s",
        access("/mnt/README.TXT", F_OK) ? "no" : found_on_disk(text, len));
    munmap(shared, PAGE);
}

int main(void)
{
    for (on_disk = false;; on_disk = true) { // the second time on the FAT32 disk where there is one
        if (on_disk && access("/mnt/README.TXT", F_OK) == 0)
            chdir("/mnt");
        int fd = file_of_pages(4);
        test_times(fd);
        for (unsigned i = 0; i < 2 * COUNT(growths); i++)
            test_growth(fd, &growths[i / 2], i % 2);
        if (on_disk)
            test_write_back(fd);
        close(fd);
        unlink("mem_store.tmp");
        if (on_disk)
            return 0;
    }
}
