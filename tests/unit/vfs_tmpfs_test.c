// SPDX-License-Identifier: MIT
// Random operations on a tmpfs tree beside a naive model: a table of paths and a table of files.
// sources: kernel/fs/dentry.c kernel/fs/walk.c kernel/fs/perm.c kernel/fs/names.c
// sources: kernel/fs/rename.c kernel/fs/mount.c kernel/fs/fsctx.c kernel/fs/vnode.c kernel/fs/reaper.c
// sources: kernel/fs/file.c kernel/fs/fdtable.c kernel/fs/lock.c kernel/fs/open.c
// sources: kernel/fs/pagecache.c kernel/fs/tmpfs.c kernel/fs/tmpfs_dir.c kernel/fs/iobuf.c kernel/fs/pipe.c
// sources: kernel/fs/pipe_end.c kernel/mem/phys.c kernel/mem/phys_io.c kernel/mem/readahead.c kernel/mem/writeback.c kernel/mem/evict.c tests/unit/host_rmap.c kernel/mem/shortage.c
// sources: kernel/mem/radix.c kernel/page/frame.c kernel/lib/init.c kernel/lib/local.c
// sources: kernel/lib/spinlock.c kernel/async/async.c kernel/async/task.c
// sources: kernel/async/executor.c kernel/async/slice.c kernel/async/policy.c kernel/async/timer.c kernel/async/wait.c
// sources: tests/unit/host.c tests/unit/vfs_host.c
// flags: -DDEBUG -DASYNC_CHECKED -Ikernel/arch/riscv/include
#include "vfs_host.h"

#include "host.h"
#include "page/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PATHS = 512, FILES = 512, PATH_LEN = 128, SIZE_MAX_ = 20000, STEPS = 6000 };

struct model_file {
    bool dir, used;
    int links;
    size_t size;
    uint8_t *data;
};
static struct model_file files[FILES];
static struct {
    char path[PATH_LEN];
    int file; // index into files; -1: free
} names[PATHS];

static int find_name(const char *path)
{
    for (int i = 0; i < PATHS; i++)
        if (names[i].file >= 0 && strcmp(names[i].path, path) == 0)
            return i;
    return -1;
}

static struct model_file *file_at(const char *path)
{
    static struct model_file root = {.dir = true, .used = true, .links = 1};
    if (!path[0])
        return &root;
    int i = find_name(path);
    return i < 0 ? NULL : &files[names[i].file];
}

static void parent_of(const char *path, char *out)
{
    strcpy(out, path);
    *strrchr(out, '/') = '\0';
}

// What stands in the way of any operation on this path: 0, -ENOENT, -ENOTDIR.
static int parent_error(const char *path)
{
    char parent[PATH_LEN];
    parent_of(path, parent);
    for (char *p = parent; *p; p++)
        if (p != parent && *p == '/') {
            *p = '\0';
            struct model_file *f = file_at(parent);
            if (!f || !f->dir)
                return f ? -ENOTDIR : -ENOENT;
            *p = '/';
        }
    struct model_file *f = file_at(parent);
    return !f ? -ENOENT : f->dir ? 0 : -ENOTDIR;
}

static int add_name(const char *path, int file)
{
    for (int i = 0; i < PATHS; i++)
        if (names[i].file < 0) {
            strcpy(names[i].path, path);
            names[i].file = file;
            files[file].links++;
            return 0;
        }
    abort();
}

static int new_file(bool dir)
{
    for (int i = 0; i < FILES; i++)
        if (!files[i].used) {
            files[i] = (struct model_file){.dir = dir, .used = true, .data = calloc(1, SIZE_MAX_)};
            return i;
        }
    abort();
}

static void remove_name(int i)
{
    struct model_file *f = &files[names[i].file];
    names[i].file = -1;
    if (--f->links == 0) {
        free(f->data);
        f->used = false;
    }
}

static bool has_children(const char *path)
{
    size_t n = strlen(path);
    for (int i = 0; i < PATHS; i++)
        if (names[i].file >= 0 && strncmp(names[i].path, path, n) == 0 && names[i].path[n] == '/')
            return true;
    return false;
}

// Few names, so that operations meet: one to three parts of a, b, c, long.
static void random_path(char *out)
{
    static const char *const part[] = {"a", "b", "c", "dd", "eee"};
    int depth = 1 + (int)vfs_random(3);
    out[0] = '\0';
    for (int i = 0; i < depth; i++) {
        strcat(out, "/");
        strcat(out, part[vfs_random(5)]);
    }
}

static long m_create(const char *path)
{
    int e = parent_error(path);
    if (e)
        return e;
    struct model_file *f = file_at(path);
    if (f)
        return f->dir ? -EISDIR : 0;
    return add_name(path, new_file(false));
}

static long m_mkdir(const char *path)
{
    int e = parent_error(path);
    if (e)
        return e;
    return file_at(path) ? -EEXIST : add_name(path, new_file(true));
}

static long m_remove(const char *path, bool dir)
{
    int e = parent_error(path);
    if (e)
        return e;
    struct model_file *f = file_at(path);
    if (!f)
        return -ENOENT;
    if (dir != f->dir)
        return dir ? -ENOTDIR : -EISDIR;
    if (dir && has_children(path))
        return -ENOTEMPTY;
    remove_name(find_name(path));
    return 0;
}

static long m_link(const char *from, const char *to)
{
    int e = parent_error(from);
    struct model_file *f = e ? NULL : file_at(from);
    if (!f)
        return e ? e : -ENOENT;
    if ((e = parent_error(to)))
        return e;
    if (file_at(to))
        return -EEXIST;
    if (f->dir)
        return -EPERM;
    return add_name(to, (int)(f - files));
}

static bool below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static long m_rename(const char *from, const char *to)
{
    char moved[PATH_LEN * 2];
    int e = parent_error(from);
    if (!e)
        e = parent_error(to);
    if (e)
        return e;
    struct model_file *f = file_at(from), *target = file_at(to);
    if (!f)
        return -ENOENT;
    if (f->dir && below(to, from) && strcmp(to, from) != 0)
        return -EINVAL;
    if (target && target->dir && below(from, to) && strcmp(to, from) != 0)
        return -ENOTEMPTY;
    if (target == f)
        return 0;
    if (target && f->dir != target->dir)
        return f->dir ? -ENOTDIR : -EISDIR;
    if (target && target->dir && has_children(to))
        return -ENOTEMPTY;
    if (target)
        remove_name(find_name(to));
    size_t n = strlen(from);
    for (int i = 0; i < PATHS; i++)
        if (names[i].file >= 0 && below(names[i].path, from)) {
            snprintf(moved, sizeof moved, "%s%s", to, names[i].path + n);
            strcpy(names[i].path, moved);
        }
    return 0;
}

// Would a path become longer than the table's?
static bool too_deep(const char *from, const char *to)
{
    for (int i = 0; i < PATHS; i++)
        if (names[i].file >= 0 && below(names[i].path, from) &&
            strlen(names[i].path) + strlen(to) >= PATH_LEN - 8)
            return true;
    return false;
}

// ---- one step on both

static void step_data(const char *path)
{
    static uint8_t buf[SIZE_MAX_];
    struct file *file;
    struct model_file *m = file_at(path);
    if (parent_error(path) || !m || m->dir)
        return;
    assert_int_equal(v_open(path, O_RDWR, 0, &file), 0);
    size_t at = vfs_random(SIZE_MAX_), n = vfs_random(SIZE_MAX_ - (unsigned)at);
    switch (vfs_random(3)) {
    case 0:
        for (size_t i = 0; i < n; i++)
            buf[i] = (uint8_t)vfs_random(256);
        assert_int_equal(v_write(file, at, buf, n), n);
        if (n) {
            memcpy(m->data + at, buf, n);
            m->size = at + n > m->size ? at + n : m->size;
        }
        break;
    case 1:
        assert_int_equal(RUN(vnode_truncate, file->vnode, at), 0);
        if (at < m->size)
            memset(m->data + at, 0, m->size - at);
        m->size = at;
        break;
    default: {
        size_t want = at >= m->size ? 0 : n < m->size - at ? n : m->size - at;
        assert_int_equal(v_read(file, at, buf, n), want);
        assert_memory_equal(buf, m->data + at, want);
    }
    }
    assert_int_equal(file->vnode->size, m->size);
    file_put(file);
}

static void step(void)
{
    char a[PATH_LEN], b[PATH_LEN];
    struct file *file = NULL;
    random_path(a);
    random_path(b);
    switch (vfs_random(9)) {
    case 0:
    case 1: {
        long r = v_open(a, O_CREAT | O_WRONLY, 0644, &file);
        if (r == 0)
            file_put(file);
        assert_int_equal(r, m_create(a));
        break;
    }
    case 2:
    case 3:
        assert_int_equal(RUN(vfs_mkdir, fs_kernel, NULL, a, 0755), m_mkdir(a));
        break;
    case 4:
        assert_int_equal(v_remove(a, false), m_remove(a, false));
        break;
    case 5:
        assert_int_equal(v_remove(a, true), m_remove(a, true));
        break;
    case 6:
        if (too_deep(a, b))
            break;
        assert_int_equal(RUN(vfs_rename, fs_kernel, NULL, a, NULL, b, 0), m_rename(a, b));
        break;
    case 7:
        assert_int_equal(RUN(vfs_link, fs_kernel, NULL, a, NULL, b, 0), m_link(a, b));
        break;
    default:
        step_data(a);
    }
}

// ---- the whole tree compared

struct seen {
    struct dir_sink sink;
    const char *dir;
    int count, per_call;
};

static bool see(struct dir_sink *sink, const char *name, size_t len, uint64_t ino, uint32_t dtype,
                int64_t next)
{
    struct seen *s = container_of(sink, struct seen, sink);
    char path[PATH_LEN * 2];
    (void)ino, (void)next;
    if (s->per_call-- == 0)
        return false;
    if (name[0] == '.')
        return true;
    snprintf(path, sizeof path, "%s/%.*s", s->dir, (int)len, name);
    struct model_file *m = file_at(path);
    assert_non_null(m);
    assert_int_equal(dtype, DT_OF_MODE(m->dir ? S_IFDIR : S_IFREG));
    s->count++;
    return true;
}

ASYNC_DECL(list_dir, struct vnode *dir; struct dir_sink *sink;);
ASYNC(list_dir, long r;)
{
    ASYNC_BEGIN(list_dir);
    AWAIT_VIA(f->r, vnode_readdir, f->dir->ops->readdir, f->dir, f->sink);
    ASYNC_RETURN(f->r);
    ASYNC_FINALLY;
    ASYNC_END;
}

static void check_dir(const char *path)
{
    struct file *file;
    int children = 0, subdirs = 0;
    size_t n = strlen(path);
    for (int i = 0; i < PATHS; i++)
        if (names[i].file >= 0 && strncmp(names[i].path, path, n) == 0 && names[i].path[n] == '/' &&
            !strchr(names[i].path + n + 1, '/')) {
            children++;
            subdirs += files[names[i].file].dir;
        }
    assert_int_equal(v_open(*path ? path : "/", O_RDONLY | O_DIRECTORY, 0, &file), 0);
    struct seen s = {.sink.emit = see, .dir = path};
    do {
        s.per_call = 1 + (int)vfs_random(4); // in several calls, as getdents does
        assert_int_equal(RUN(list_dir, file->vnode, &s.sink), 0);
    } while (s.per_call < 0);
    assert_int_equal(s.count, children);
    assert_int_equal(file->vnode->nlink, 2 + subdirs);
    file_put(file);
}

static void check_all(void)
{
    struct stat_k st;
    check_dir("");
    for (int i = 0; i < PATHS; i++) {
        if (names[i].file < 0)
            continue;
        struct model_file *m = &files[names[i].file];
        assert_int_equal(v_stat(names[i].path, false, &st), 0);
        assert_int_equal(S_ISDIR(st.mode), m->dir);
        if (m->dir) {
            check_dir(names[i].path);
        } else {
            assert_int_equal(st.size, m->size);
            assert_int_equal(st.nlink, m->links);
        }
    }
}

static void random_operations(void **state)
{
    (void)state;
    vfs_host_init();
    for (int i = 0; i < PATHS; i++)
        names[i].file = -1;
    vfs_seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 1;
    for (int i = 0; i < STEPS; i++) {
        step();
        if (i % 200 == 0)
            check_all();
    }
    check_all();
}

// All names removed, all memory is back.
static void emptied(void **state)
{
    (void)state;
    for (int pass = 0; pass < 4; pass++)
        for (int i = 0; i < PATHS; i++)
            if (names[i].file >= 0 && !has_children(names[i].path)) {
                assert_int_equal(v_remove(names[i].path, files[names[i].file].dir), 0);
                remove_name(i);
            }
    vfs_settle();
    check_dir("");
    assert_int_equal(RUN(vnode_reaper_flush, root_path.mount->super, false), 0);
    uint64_t before = frame_free_count();
    struct file *file;
    static uint8_t big[1 << 20];
    for (int i = 0; i < 20; i++) {
        assert_int_equal(v_open("/big", O_CREAT | O_RDWR, 0644, &file), 0);
        assert_int_equal(v_write(file, 0, big, sizeof big), sizeof big);
        file_put(file);
        assert_int_equal(v_remove("/big", false), 0);
    }
    assert_int_equal(RUN(vnode_reaper_flush, root_path.mount->super, false), 0);
    vfs_settle();
    assert_int_equal(frame_free_count(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations),
        cmocka_unit_test(emptied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
