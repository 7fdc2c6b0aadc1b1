// SPDX-License-Identifier: MIT
// See fat_model.h. Names are compared as FAT does for the names used here: ASCII case is ignored.
#include "fat_model.h"

#include "host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const names[] = {
    "a",
    "B",
    "c.txt",
    "README.TXT",
    "readme.md",
    ".profile",
    "profile",
    "Makefile",
    "ReadMe.Txt",
    "a long name that needs three entries.text",
    "another long name, quite alike.one",
    "another long name, quite alike.two",
    "another long name, quite alike.three",
    "x.y.z",
    "h\xc3\xa9t\xc3\xa9roclite",
    "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e.txt",
    "UPPER",
    "lower",
    "with space",
    "with space ",
    "12345678.123",
    "123456789.1234",
    "+plus,comma;[brackets]",
    "twenty-six character name.",
    "Exactly13.chr",
};
enum { NAMES = sizeof names / sizeof names[0] };

static uint8_t buffer[MODEL_FILE_MAX * 2], other[MODEL_FILE_MAX * 2];

// ---- snapshots

uint64_t model_clock;
static uint64_t began; // the operation under way

static void changed(struct node *n)
{
    if (n->snap && n->snap->changed == UINT64_MAX)
        n->snap->changed = began;
}

static void moved(struct node *n, void *arg)
{
    (void)arg;
    if (n->snap && n->snap->moved == UINT64_MAX)
        n->snap->moved = began;
}

static void snap_node(struct node *n, void *arg)
{
    struct model *m = arg;
    if (n->directory)
        return;
    if (!n->snap) {
        n->snap = calloc(1, sizeof *n->snap);
        n->snap->next = m->snaps;
        m->snaps = n->snap;
    }
    struct snap *s = n->snap;
    model_path(n, s->path);
    s->data = realloc(s->data, n->size + 1);
    if (n->size)
        memcpy(s->data, n->data, n->size);
    s->size = n->size;
    s->from = model_clock;
    s->changed = s->moved = UINT64_MAX;
}

void model_snap_all(struct model *m)
{
    for (struct snap *s = m->snaps; s; s = s->next)
        s->from = UINT64_MAX; // of files that are there no more: the clock may have begun anew
    model_walk(&m->root, snap_node, m);
}

// ---- the tree

void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
    m->root.directory = true;
}

static void node_free(struct node *n)
{
    while (n->child) {
        struct node *c = n->child;
        n->child = c->next;
        node_free(c);
        free(c->data);
        free(c);
    }
}

void model_free(struct model *m)
{
    model_close_all(m);
    node_free(&m->root);
    while (m->snaps) {
        struct snap *s = m->snaps;
        m->snaps = s->next;
        free(s->data);
        free(s);
    }
}

static char folded(char c)
{
    return c >= 'a' && c <= 'z' ? c - 32 : c;
}

static size_t trimmed(const char *s)
{
    size_t n = strlen(s);
    while (n && (s[n - 1] == ' ' || s[n - 1] == '.'))
        n--;
    return n;
}

static bool same_name(const char *a, const char *b)
{
    size_t n = trimmed(a);
    if (n != trimmed(b))
        return false;
    for (size_t i = 0; i < n; i++)
        if (folded(a[i]) != folded(b[i]))
            return false;
    return true;
}

static struct node *child_of(struct node *dir, const char *name)
{
    for (struct node *n = dir->child; n; n = n->next)
        if (same_name(n->name, name))
            return n;
    return NULL;
}

static void detach(struct node *n)
{
    struct node **at = &n->parent->child;
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    n->parent = NULL;
}

static void attach(struct node *dir, struct node *n, const char *name)
{
    n->parent = dir;
    n->next = dir->child;
    dir->child = n;
    memset(n->name, 0, sizeof n->name);
    memcpy(n->name, name, trimmed(name));
}

static void drop(struct node *n)
{
    changed(n);
    if (n->parent)
        detach(n);
    if (n->opened)
        return;
    free(n->data);
    free(n);
}

void model_path(const struct node *n, char *out)
{
    out[0] = 0;
    if (!n->parent)
        return;
    model_path(n->parent, out);
    if (out[0])
        strcat(out, "/");
    strcat(out, n->name);
}

void model_walk(struct node *dir, void (*fn)(struct node *n, void *arg), void *arg)
{
    for (struct node *n = dir->child, *next; n; n = next) {
        next = n->next;
        fn(n, arg);
        if (n->directory)
            model_walk(n, fn, arg);
    }
}

struct pick {
    bool directory;
    unsigned left;
    struct node *found;
};

static void pick_node(struct node *n, void *arg)
{
    struct pick *p = arg;
    if (n->directory == p->directory && p->left-- == 0)
        p->found = n;
}

// A random directory (often the root) or file; NULL: none.
static struct node *random_node(struct model *m, bool directory)
{
    struct pick p = {directory, UINT32_MAX / 2, directory ? &m->root : NULL};
    model_walk(&m->root, pick_node, &p);
    unsigned count = UINT32_MAX / 2 - p.left;
    if (count && !(directory && host_random(3) == 0)) {
        p.left = host_random(count);
        model_walk(&m->root, pick_node, &p);
    }
    return p.found;
}

static bool inside(const struct node *n, const struct node *dir)
{
    for (; n; n = n->parent)
        if (n == dir)
            return true;
    return false;
}

static unsigned depth(const struct node *n)
{
    return n->parent ? 1 + depth(n->parent) : 0;
}

// ---- operations

static void expect(struct model *m, long got, long want, const char *what, const char *path)
{
    if (got == -ENOSPC && m->may_be_full) {
        m->full++;
        return;
    }
    if (got == -ENOMEM && m->may_lack_memory)
        return;
    if (got != want)
        fail_msg("%s %s: %ld, want %ld", what, path, got, want);
}

static void random_path(struct model *m, char *path, struct node **dir, const char **name)
{
    *dir = random_node(m, true);
    *name = names[host_random(NAMES)];
    model_path(*dir, path);
    if (path[0])
        strcat(path, "/");
    strcat(path, *name);
}

static void step_make(struct model *m, bool directory)
{
    char path[512];
    struct node *dir;
    const char *name;
    random_path(m, path, &dir, &name);
    if (depth(dir) > 3)
        return;
    long want = child_of(dir, name) ? -EEXIST : 0;
    long got = directory ? fh_mkdir(path) : fh_create(path);
    expect(m, got, want, directory ? "mkdir" : "create", path);
    if (got)
        return;
    struct node *n = calloc(1, sizeof *n);
    n->directory = directory;
    attach(dir, n, name);
}

static void step_remove(struct model *m, bool directory)
{
    char path[512];
    struct node *dir;
    const char *name;
    random_path(m, path, &dir, &name);
    struct node *n = child_of(dir, name);
    long want = !n                          ? -ENOENT
                : n->directory != directory ? (directory ? -ENOTDIR : -EISDIR)
                : n->child                  ? -ENOTEMPTY
                                            : 0;
    long got = fh_remove(path, directory);
    expect(m, got, want, "remove", path);
    if (got == 0)
        drop(n);
}

static void step_rename(struct model *m)
{
    char from[512], to[512], kept[80];
    struct node *dir, *new_dir;
    const char *name, *new_name;
    random_path(m, from, &dir, &name);
    random_path(m, to, &new_dir, &new_name);
    struct node *n = child_of(dir, name), *target = child_of(new_dir, new_name);
    if ((n && inside(new_dir, n)) || (target && inside(dir, target)) || depth(new_dir) > 3)
        return; // the VFS's own answer
    long want = !n                                            ? -ENOENT
                : target == n                                 ? 0
                : target && target->directory != n->directory ? (n->directory ? -ENOTDIR : -EISDIR)
                : target && target->child                     ? -ENOTEMPTY
                                                              : 0;
    long got = fh_rename(from, to);
    expect(m, got, want, "rename", to);
    if (got || target == n)
        return;
    strcpy(kept, target ? target->name : new_name); // a replaced name keeps its spelling
    if (target)
        drop(target);
    detach(n);
    attach(new_dir, n, kept);
    moved(n, NULL);
    model_walk(n, moved, NULL);
}

static void step_exchange(struct model *m)
{
    char one[512], two[512], name[80];
    struct node *dir, *other_dir;
    const char *one_name, *two_name;
    random_path(m, one, &dir, &one_name);
    random_path(m, two, &other_dir, &two_name);
    struct node *a = child_of(dir, one_name), *b = child_of(other_dir, two_name);
    if (!a || !b || a == b || inside(other_dir, a) || inside(dir, b) || depth(dir) > 3 ||
        depth(other_dir) > 3)
        return; // the VFS's own answer
    long got = fh_exchange(one, two);
    expect(m, got, 0, "exchange", two);
    if (got)
        return;
    char other[80];
    strcpy(name, a->name);
    strcpy(other, b->name);
    detach(a);
    detach(b);
    attach(other_dir, a, other);
    attach(dir, b, name);
    for (int i = 0; i < 2; i++, a = b) {
        moved(a, NULL);
        model_walk(a, moved, NULL);
    }
}

static void step_open(struct model *m)
{
    unsigned slot = host_random(MODEL_OPEN);
    struct node *n = m->open[slot].node;
    if (n) {
        vnode_put(m->open[slot].vnode);
        m->open[slot].node = NULL;
        if (--n->opened == 0 && !n->parent)
            drop(n);
        return;
    }
    n = random_node(m, false);
    if (!n)
        return;
    char path[512];
    model_path(n, path);
    expect(m, fh_lookup(path, &m->open[slot].vnode), 0, "lookup", path);
    m->open[slot].node = n;
    n->opened++;
}

void model_close_all(struct model *m)
{
    for (unsigned i = 0; i < MODEL_OPEN; i++) {
        struct node *n = m->open[i].node;
        if (!n)
            continue;
        vnode_put(m->open[i].vnode);
        m->open[i].node = NULL;
        if (--n->opened == 0 && !n->parent)
            drop(n);
    }
}

// A file to work on: an open one, or one that is opened for the occasion.
static struct node *some_file(struct model *m, struct vnode **v)
{
    unsigned slot = host_random(MODEL_OPEN);
    struct node *n = m->open[slot].node;
    if (n) {
        *v = vnode_get(m->open[slot].vnode);
        return n;
    }
    n = random_node(m, false);
    char path[512];
    if (n) {
        model_path(n, path);
        expect(m, fh_lookup(path, v), 0, "lookup", path);
    }
    return n;
}

static void resize(struct node *n, size_t size)
{
    n->data = realloc(n->data, size + 1);
    if (size > n->size)
        memset(n->data + n->size, 0, size - n->size);
    n->size = size;
}

static size_t random_write(struct node *n, size_t *pos)
{
    *pos = host_random(3) ? n->size : host_random(n->size + 9000);
    size_t len = 1 + host_random(host_random(2) ? 700 : 20000);
    if (*pos > MODEL_FILE_MAX)
        *pos = 0;
    for (size_t i = 0; i < len; i++)
        buffer[i] = (uint8_t)host_random(256);
    return len;
}

static void wrote(struct node *n, size_t pos, const void *data, size_t len)
{
    if (pos + len > n->size)
        resize(n, pos + len);
    memcpy(n->data + pos, data, len);
    changed(n);
}

static void step_write(struct model *m)
{
    struct vnode *v;
    struct node *n = some_file(m, &v);
    if (!n)
        return;
    size_t pos, len = random_write(n, &pos);
    long got = fh_write(v, pos, buffer, len);
    expect(m, got, (long)len, "write", n->name);
    if (got > 0)
        wrote(n, pos, buffer, len);
    vnode_put(v);
}

static void step_truncate(struct model *m)
{
    struct vnode *v;
    struct node *n = some_file(m, &v);
    if (!n)
        return;
    size_t size = host_random(4) ? host_random(n->size + 3000) : 0;
    long got = fh_truncate(v, size);
    expect(m, got, 0, "truncate", n->name);
    if (got == 0) {
        resize(n, size);
        changed(n);
    }
    vnode_put(v);
}

static void compare_file(struct node *n, struct vnode *v)
{
    if (v->size != n->size)
        fail_msg("%s: size %lu, want %zu", n->name, (unsigned long)v->size, n->size);
    long got = fh_read(v, 0, other, sizeof other);
    if (got != (long)n->size)
        fail_msg("%s: read %ld of %zu", n->name, got, n->size);
    for (size_t i = 0; i < n->size; i++)
        if (other[i] != n->data[i])
            fail_msg("%s: byte %zu of %zu is %02x, want %02x", n->name, i, n->size, other[i],
                     n->data[i]);
}

static void step_read(struct model *m)
{
    struct vnode *v;
    struct node *n = some_file(m, &v);
    if (!n)
        return;
    compare_file(n, v);
    vnode_put(v);
}

static void step_fsync(struct model *m)
{
    struct vnode *v;
    struct node *n = some_file(m, &v);
    if (!n)
        return;
    expect(m, fh_fsync(v), 0, "fsync", n->name);
    if (n->parent)
        snap_node(n, m);
    vnode_put(v);
}

// The n-th allocation from now fails, while an operation on names is under way.
static void step_in_need(struct model *m)
{
    unsigned kind = host_random(5);
    host_fail_after = host_random(25);
    m->may_lack_memory = true;
    if (kind == 0)
        step_make(m, false);
    else if (kind == 1)
        step_make(m, true);
    else if (kind == 2)
        step_remove(m, host_random(2));
    else if (kind == 3)
        step_exchange(m);
    else
        step_rename(m);
    host_fail_after = -1;
    m->may_lack_memory = false;
}

void model_step(struct model *m)
{
    began = model_clock;
    unsigned kind = host_random(100);
    if (m->memory_fails && host_random(3) == 0)
        step_in_need(m);
    else if (kind < 14)
        step_make(m, false);
    else if (kind < 22)
        step_make(m, true);
    else if (kind < 31)
        step_remove(m, false);
    else if (kind < 36)
        step_remove(m, true);
    else if (kind < 46)
        step_rename(m);
    else if (kind < 50)
        for (int i = 0; i < 4; i++) // most find no two names
            step_exchange(m);
    else if (kind < 58)
        step_open(m);
    else if (kind < 80)
        step_write(m);
    else if (kind < 88)
        step_truncate(m);
    else if (kind < 97)
        step_read(m);
    else if (kind < 99)
        step_fsync(m);
    else
        host_pass_ns(5000000000); // the flusher's turn
}

void model_burst(struct model *m)
{
    began = model_clock;
    struct task *task[MODEL_OPEN * 2 + 1];
    unsigned n = 0;
    static uint8_t data[MODEL_OPEN][20001];
    long want[MODEL_OPEN * 2 + 1];
    for (unsigned i = 0; i < MODEL_OPEN; i++) {
        struct node *node = m->open[i].node;
        bool twice = false;
        for (unsigned j = 0; j < i; j++)
            twice |= m->open[j].node == node;
        if (!node || twice)
            continue;
        if (host_random(4) == 0) {
            size_t size = host_random(node->size + 500);
            resize(node, size);
            changed(node);
            want[n] = 0;
            task[n++] = START(host_truncate, host_truncate, m->open[i].vnode, size);
        } else {
            size_t pos, len = random_write(node, &pos);
            memcpy(data[i], buffer, len);
            wrote(node, pos, data[i], len);
            want[n] = (long)len;
            task[n++] = START(host_write, host_write, m->open[i].vnode, pos, data[i], len);
        }
        if (host_random(2)) {
            want[n] = 0;
            task[n++] = START(fat_fsync, vnode_fsync, m->open[i].vnode, false);
        }
    }
    want[n] = 0;
    task[n++] = START(fat_sync, super_sync, fat_super);
    for (unsigned i = 0; i < n; i++) {
        long got = host_finish(task[i]);
        if (got != want[i])
            fail_msg("burst: operation %u gave %ld, want %ld", i, got, want[i]);
    }
}

// ---- comparing

struct listing {
    struct node *dir;
    unsigned seen;
};

static void check_name(void *arg, const char *name, size_t len, bool directory)
{
    struct listing *l = arg;
    for (struct node *n = l->dir->child; n; n = n->next)
        if (strlen(n->name) == len && !memcmp(n->name, name, len)) {
            if (n->directory != directory)
                fail_msg("%s: kind", n->name);
            l->seen++;
            return;
        }
    fail_msg("unexpected name \"%.*s\" in \"%s\"", (int)len, name, l->dir->name);
}

static void compare_dir(struct node *dir)
{
    char path[512];
    struct listing l = {dir, 0};
    unsigned children = 0;
    model_path(dir, path);
    strcat(path, path[0] ? "/" : "");
    for (struct node *n = dir->child; n; n = n->next)
        children++;
    long r = fh_readdir(path, 1 + host_random(9), check_name, &l);
    if (r || l.seen != children)
        fail_msg("readdir %s: %ld, %u of %u names", path, r, l.seen, children);
    for (struct node *n = dir->child; n; n = n->next) {
        struct vnode *v;
        if (n->directory) {
            compare_dir(n);
            continue;
        }
        model_path(n, path);
        r = fh_lookup(path, &v);
        if (r)
            fail_msg("lookup %s: %ld", path, r);
        compare_file(n, v);
        vnode_put(v);
    }
}

void model_compare(struct model *m)
{
    compare_dir(&m->root);
    for (unsigned i = 0; i < MODEL_OPEN; i++)
        if (m->open[i].node)
            compare_file(m->open[i].node, m->open[i].vnode);
}
