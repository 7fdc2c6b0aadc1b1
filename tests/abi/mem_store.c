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

int main(void)
{
    for (on_disk = false;; on_disk = true) { // the second time on the FAT32 disk where there is one
        if (on_disk && access("/mnt/README.TXT", F_OK) == 0)
            chdir("/mnt");
        int fd = file_of_pages(4);
        test_times(fd);
        close(fd);
        unlink("mem_store.tmp");
        if (on_disk)
            return 0;
    }
}
