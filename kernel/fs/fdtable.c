// SPDX-License-Identifier: MIT
// Descriptor tables: the lowest free number, growth, close on exec, dup.
//
// A table starts with 32 slots inside itself and doubles. A grown table's old arrays are freed at
// once: readers either hold the lock or (fd_borrow) run on the only thread that has the table.
#include "fs/file.h"
#include "fs/lock.h"
#include "lib/log.h"
#include "page/heap.h"

static uint32_t words(uint32_t capacity)
{
    return (capacity + 63) / 64;
}

static void use_inline(struct fd_table *table)
{
    table->capacity = FD_INLINE;
    table->file = table->file0;
    table->used = &table->used0;
    table->cloexec = &table->cloexec0;
}

struct fd_table *fd_table_new(void)
{
    struct fd_table *table = kzalloc(sizeof *table);
    if (!table)
        return NULL;
    table->refs = 1;
    spin_init(&table->lock, "descriptors");
    use_inline(table);
    return table;
}

// One block for the three arrays.
static bool allocate(struct fd_table *table, uint32_t capacity)
{
    size_t files = capacity * sizeof *table->file, map = words(capacity) * sizeof(uint64_t);
    char *block = kzalloc(files + 2 * map);
    if (!block)
        return false;
    table->capacity = capacity;
    table->file = (struct file **)block;
    table->used = (uint64_t *)(block + files);
    table->cloexec = (uint64_t *)(block + files + map);
    return true;
}

static void copy_arrays(struct fd_table *to, const struct fd_table *from)
{
    memcpy(to->file, from->file, from->capacity * sizeof *to->file);
    memcpy(to->used, from->used, words(from->capacity) * sizeof(uint64_t));
    memcpy(to->cloexec, from->cloexec, words(from->capacity) * sizeof(uint64_t));
}

// Lock held. Room for descriptor fd.
static int grow(struct fd_table *table, uint32_t fd)
{
    struct fd_table old = *table;
    if (fd < table->capacity)
        return 0;
    if (fd >= FD_LIMIT)
        return -EMFILE;
    uint32_t capacity = 64;
    while (capacity <= fd)
        capacity *= 2;
    if (!allocate(table, capacity))
        return -ENOMEM;
    if (old.file == table->file0)
        old.used = &table->used0, old.cloexec = &table->cloexec0;
    copy_arrays(table, &old);
    if (old.file != table->file0)
        kfree(old.file);
    return 0;
}

struct fd_table *fd_table_copy(struct fd_table *from)
{
    struct fd_table *table = fd_table_new();
    if (!table)
        return NULL;
    spin_lock(&from->lock);
    if (from->capacity > FD_INLINE && !allocate(table, from->capacity)) {
        spin_unlock(&from->lock);
        kfree(table);
        return NULL;
    }
    copy_arrays(table, from);
    table->first_free = from->first_free;
    table->open = from->open;
    for (uint32_t w = 0; w < words(table->capacity); w++)
        for (uint64_t bits = table->used[w]; bits; bits &= bits - 1) {
            struct file *file = table->file[w * 64 + (uint32_t)__builtin_ctzll(bits)];
            if (file)
                file_get(file);
        }
    spin_unlock(&from->lock);
    return table;
}

void fd_table_get(struct fd_table *table)
{
    atomic_add32(&table->refs, 1);
}

// Closes what `which` of the word-th bit map selects; nobody else has the table.
static void close_selected(struct fd_table *table, const uint64_t *which)
{
    for (uint32_t w = 0; w < words(table->capacity); w++)
        for (uint64_t bits = which[w] & table->used[w]; bits; bits &= bits - 1) {
            struct file *file = fd_remove(table, (int32_t)(w * 64 + __builtin_ctzll(bits)));
            if (file) {
                locks_release(file, table);
                file_put(file);
            }
        }
}

void fd_table_put(struct fd_table *table)
{
    if (atomic_add32(&table->refs, -1u) != 1)
        return;
    close_selected(table, table->used);
    if (table->file != table->file0)
        kfree(table->file);
    kfree(table);
}

void fd_table_close_on_exec(struct fd_table *table)
{
    close_selected(table, table->cloexec);
}

int fd_table_unshare(struct fd_table **table)
{
    if (fd_table_private(*table))
        return 0;
    struct fd_table *own = fd_table_copy(*table);
    if (!own)
        return -ENOMEM;
    fd_table_put(*table);
    *table = own;
    return 0;
}

struct file *fd_get(struct fd_table *table, int32_t fd)
{
    struct file *file = NULL;
    spin_lock(&table->lock);
    if ((uint32_t)fd < table->capacity && (file = table->file[fd]))
        file_get(file);
    spin_unlock(&table->lock);
    return file;
}

// Lock held. The lowest free number >= from; may be the capacity itself.
static uint32_t lowest_free(const struct fd_table *table, uint32_t from)
{
    uint32_t n = words(table->capacity), w = from / 64;
    if (from >= table->capacity)
        return from;
    uint64_t free_bits = ~table->used[w] & (~0ull << from % 64);
    while (!free_bits && ++w < n)
        free_bits = ~table->used[w];
    if (w >= n)
        return table->capacity;
    uint32_t fd = w * 64 + (uint32_t)__builtin_ctzll(free_bits);
    return fd < table->capacity ? fd : table->capacity;
}

static void mark(struct fd_table *table, uint32_t fd, bool cloexec)
{
    uint64_t bit = 1ull << fd % 64;
    table->used[fd / 64] |= bit;
    if (cloexec)
        table->cloexec[fd / 64] |= bit;
    else
        table->cloexec[fd / 64] &= ~bit;
}

int fd_install(struct fd_table *table, struct file *file, uint32_t from, uint64_t limit,
               bool cloexec)
{
    spin_lock(&table->lock);
    uint32_t start = from > table->first_free ? from : table->first_free;
    uint32_t fd = lowest_free(table, start);
    int r = fd < limit ? grow(table, fd) : -EMFILE;
    if (r == 0) {
        mark(table, fd, cloexec);
        table->file[fd] = file;
        table->open++;
        if (start == table->first_free)
            table->first_free = fd + 1;
        r = (int)fd;
    }
    spin_unlock(&table->lock);
    return r;
}

struct file *fd_remove(struct fd_table *table, int32_t fd)
{
    struct file *file = NULL;
    spin_lock(&table->lock);
    if ((uint32_t)fd < table->capacity && (file = table->file[fd])) {
        uint64_t bit = 1ull << (uint32_t)fd % 64;
        table->file[fd] = NULL;
        table->used[fd / 64] &= ~bit;
        table->cloexec[fd / 64] &= ~bit;
        table->open--;
        if ((uint32_t)fd < table->first_free)
            table->first_free = (uint32_t)fd;
    }
    spin_unlock(&table->lock);
    return file;
}

int fd_replace(struct fd_table *table, struct file *file, uint32_t fd, uint64_t limit, bool cloexec,
               struct file **old)
{
    if (fd >= limit)
        return -EBADF;
    spin_lock(&table->lock);
    int r = grow(table, fd);
    if (r == 0) {
        *old = table->file[fd];
        table->file[fd] = file;
        mark(table, fd, cloexec);
        table->open += *old == NULL;
        r = (int)fd;
    }
    spin_unlock(&table->lock);
    return r;
}

bool fd_is(struct fd_table *table, int32_t fd, const struct file *file)
{
    spin_lock(&table->lock);
    bool is = (uint32_t)fd < table->capacity && table->file[fd] == file;
    spin_unlock(&table->lock);
    return is;
}

int fd_get_cloexec(struct fd_table *table, int32_t fd)
{
    int r = -EBADF;
    spin_lock(&table->lock);
    if ((uint32_t)fd < table->capacity && table->file[fd])
        r = table->cloexec[fd / 64] >> (uint32_t)fd % 64 & 1;
    spin_unlock(&table->lock);
    return r;
}

int fd_set_cloexec(struct fd_table *table, int32_t fd, bool on)
{
    int r = -EBADF;
    spin_lock(&table->lock);
    if ((uint32_t)fd < table->capacity && table->file[fd]) {
        mark(table, (uint32_t)fd, on);
        r = 0;
    }
    spin_unlock(&table->lock);
    return r;
}

int fd_next_open(struct fd_table *table, uint32_t from)
{
    int r = -1;
    spin_lock(&table->lock);
    for (uint32_t fd = from; fd < table->capacity && r < 0; fd++)
        if (table->file[fd])
            r = (int)fd;
    spin_unlock(&table->lock);
    return r;
}
