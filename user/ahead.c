// SPDX-License-Identifier: MIT
// Reads a file, and gives advice about it, as it is told: `ahead FILE WORD...`, in order, through one open file.
//
//     random, sequential, normal, willneed, dontneed    posix_fadvise(2) about all of it
//     readahead                                         readahead(2) of all of it
//     read                                              all of it is read, a page at a time
//     mrandom, msequential, mwillneed                   madvise(2) about a mapping of all of it
//     touch, half, back                                 each page of the mapping is read, in order; of
//                                                       its second half; from the last to the first
//     cached                                            says how many pages are in memory
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };

static int fd;
static size_t size;
static volatile unsigned char *map;

static int advise(int advice)
{
    return errno = posix_fadvise(fd, 0, 0, advice);
}

static int read_all(void)
{
    static char page[PAGE];
    for (size_t at = 0; at < size; at += PAGE)
        if (pread(fd, page, PAGE, (off_t)at) <= 0)
            return -1;
    return 0;
}

static int touch_from(size_t at)
{
    unsigned sum = 0;
    for (; at < size; at += PAGE)
        sum += map[at];
    return sum == 0;
}

static int touch_back(void)
{
    unsigned sum = 0;
    for (size_t at = size; at >= PAGE; at -= PAGE)
        sum += map[at - PAGE];
    return sum == 0;
}

static int say_cached(void)
{
    static unsigned char in[1 << 16];
    size_t pages = (size + PAGE - 1) / PAGE, n = 0;
    if (pages > sizeof in || mincore((void *)map, size, in))
        return -1;
    for (size_t i = 0; i < pages; i++)
        n += in[i] & 1;
    printf("%zu\n", n);
    return 0;
}

static int obey(const char *word)
{
    static const char *const advices[] = {"normal",   "random",   "sequential",
                                          "willneed", "dontneed", "noreuse"};
    for (int i = 0; i < 6; i++) {
        if (!strcmp(word, advices[i]))
            return advise(i);
        if (word[0] == 'm' && !strcmp(word + 1, advices[i]))
            return madvise((void *)map, size, i);
    }
    if (!strcmp(word, "readahead"))
        return (int)readahead(fd, 0, size);
    if (!strcmp(word, "read"))
        return read_all();
    if (!strcmp(word, "touch"))
        return touch_from(0);
    if (!strcmp(word, "half"))
        return touch_from(size / PAGE / 2 * PAGE);
    if (!strcmp(word, "back"))
        return touch_back();
    return strcmp(word, "cached") ? (errno = EINVAL, -1) : say_cached();
}

int main(int argc, char **argv)
{
    struct stat st;
    if (argc < 2 || (fd = open(argv[1], O_RDONLY)) < 0 || fstat(fd, &st))
        return 2;
    size = (size_t)st.st_size;
    map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return 2;
    for (int i = 2; i < argc; i++)
        if (obey(argv[i])) {
            fprintf(stderr, "ahead: %s: %s\n", argv[i], strerror(errno));
            return 1;
        }
    return 0;
}
