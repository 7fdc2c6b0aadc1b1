// SPDX-License-Identifier: MIT
// The dentry cache: one hash of (parent, name), one lock, a sweep for what nobody uses.
//
// Why one lock: a walk takes it once for all components, and under it needs neither reference
// counts nor retries. The cache holds a reference on each hashed dentry (see path.h), so dropping
// the last user's reference costs one atomic add and no lock.
#include "fs/dentry.h"

#include "lib/init.h"
#include "lib/log.h"
#include "page/frame.h"
#include "page/heap.h"

#include <string.h>

struct spinlock dentry_lock = SPINLOCK_INIT("dentries");
struct dentry **dentry_table;
uint32_t dentry_mask;

static struct list all_dentries = LIST_INIT(all_dentries);
static uint32_t cached;     // hashed dentries
static uint32_t cached_max; // sweep above this many

struct dentry *dentry_new(struct dentry *parent, const char *name, size_t len, uint32_t hash,
                          struct super *super)
{
    struct dentry *d = kzalloc(sizeof *d);
    if (!d)
        return NULL;
    d->name = d->inline_name;
    if (len >= DENTRY_INLINE && !(d->name = kmalloc(len + 1))) {
        kfree(d);
        return NULL;
    }
    memcpy(d->name, name, len);
    d->name[len] = '\0';
    d->len = (uint16_t)len;
    d->hash = hash;
    d->refs = 1;
    d->super = super;
    d->parent = parent ? dentry_get(parent) : d;
    list_init(&d->children);
    list_init(&d->sibling);
    list_init(&d->all);
    return d;
}

struct dentry *dentry_new_root(struct vnode *v, struct super *super)
{
    struct dentry *d = dentry_new(NULL, "/", 1, 0, super);
    if (d)
        d->vnode = vnode_get(v);
    return d;
}

void dentry_free(struct dentry *d)
{
    // Iterative: dropping the last child may free a chain of removed parents.
    for (;;) {
        struct dentry *parent = d->parent;
        if (d->vnode)
            vnode_put(d->vnode);
        if (d->name != d->inline_name)
            kfree(d->name);
        bool root = parent == d;
        kfree(d);
        if (root || atomic_add32(&parent->refs, -1u) != 1)
            return;
        d = parent;
    }
}

static void insert_locked(struct dentry *d)
{
    struct dentry **head = dentry_bucket(d->parent, d->hash);
    d->hash_next = *head;
    *head = d;
    d->hashed = 1;
    list_push_back(&d->parent->children, &d->sibling);
    cached++;
}

// Takes d out of the hash and its parent's list; its references stay.
static void remove_locked(struct dentry *d)
{
    struct dentry **at = dentry_bucket(d->parent, d->hash);
    while (*at != d)
        at = &(*at)->hash_next;
    *at = d->hash_next;
    d->hashed = 0;
    list_remove(&d->sibling);
    cached--;
}

// A reference dropped under the lock: what fell to 0 is chained for dentry_free_chain.
static void put_locked(struct dentry *d, struct dentry **chain)
{
    if (atomic_add32(&d->refs, -1u) == 1) {
        d->hash_next = *chain;
        *chain = d;
    }
}

static void free_chain(struct dentry *chain)
{
    while (chain) {
        struct dentry *next = chain->hash_next;
        dentry_free(chain);
        chain = next;
    }
}

static void forget_locked(struct dentry *d, struct dentry **chain)
{
    remove_locked(d);
    list_remove(&d->all);
    put_locked(d, chain);
}

// Second chance: what was looked up since the last sweep stays. Bounded work per call.
static void sweep_locked(struct dentry **chain)
{
    for (unsigned i = 0; i < 64 && !list_empty(&all_dentries); i++) {
        struct dentry *d = list_entry(list_pop_front(&all_dentries), struct dentry, all);
        if (d->recent || load_relaxed(&d->refs) > 1) {
            d->recent = 0;
            list_push_back(&all_dentries, &d->all);
        } else {
            forget_locked(d, chain);
        }
    }
}

struct dentry *dentry_insert(struct dentry *d)
{
    struct dentry *chain = NULL;
    spin_lock(&dentry_lock);
    struct dentry *there = dentry_find_locked(d->parent, d->name, d->len, d->hash);
    if (there) {
        dentry_get(there);
        spin_unlock(&dentry_lock);
        dentry_put(d);
        return there;
    }
    dentry_get(d);
    insert_locked(d);
    list_push_back(&all_dentries, &d->all);
    if (cached > cached_max)
        sweep_locked(&chain);
    spin_unlock(&dentry_lock);
    free_chain(chain);
    return d;
}

void dentry_set_vnode(struct dentry *d, struct vnode *v)
{
    spin_lock(&dentry_lock);
    struct vnode *old = d->vnode;
    d->vnode = v;
    spin_unlock(&dentry_lock);
    if (old)
        vnode_put(old);
}

static void forget_children_locked(struct dentry *d, struct dentry **chain)
{
    LIST_FOREACH_SAFE(it, next, &d->children)
        forget_locked(list_entry(it, struct dentry, sibling), chain);
}

// Other cached names of what d names (FAT: other spellings, also through another spelling of the
// directory) leave the cache.
static void forget_aliases_locked(const struct dentry *d, struct dentry **chain)
{
    if (!(d->super->flags & SUPER_ALIASES) || !d->vnode)
        return;
    LIST_FOREACH_SAFE(it, next, &all_dentries) {
        struct dentry *other = list_entry(it, struct dentry, all);
        if (other != d && other->vnode == d->vnode)
            forget_locked(other, chain);
    }
}

void dentry_removed(struct dentry *d)
{
    struct dentry *chain = NULL;
    struct vnode *old = NULL;
    spin_lock(&dentry_lock);
    forget_aliases_locked(d, &chain);
    bool keep = d->hashed && load_relaxed(&d->refs) == 2 && d->super->flags & SUPER_NEGATIVE;
    if (keep && list_empty(&d->children)) {
        old = d->vnode; // only the cache and the caller: the dentry now says "absent"
        d->vnode = NULL;
    } else {
        d->gone = 1;
        forget_children_locked(d, &chain);
        if (d->hashed)
            forget_locked(d, &chain);
    }
    spin_unlock(&dentry_lock);
    free_chain(chain);
    if (old)
        vnode_put(old);
}

static int set_name(struct dentry *d, const struct dentry *as)
{
    char *name = d->inline_name;
    if (as->len >= DENTRY_INLINE && !(name = kmalloc(as->len + 1ul)))
        return -ENOMEM;
    if (d->name != d->inline_name)
        kfree(d->name);
    memcpy(name, as->name, as->len + 1ul);
    d->name = name;
    d->len = as->len;
    d->hash = as->hash;
    return 0;
}

// Where renaming to a long name finds no memory the old dentry is dropped from the cache: the next
// lookup asks the file system.
void dentry_moved(struct dentry *d, struct dentry *target)
{
    struct dentry *chain = NULL;
    spin_lock(&dentry_lock);
    forget_aliases_locked(d, &chain);
    forget_aliases_locked(target, &chain);
    if (target->vnode && target->vnode != d->vnode)
        target->gone = 1;
    forget_children_locked(target, &chain);
    if (target->hashed)
        forget_locked(target, &chain);
    if (d->hashed) {
        remove_locked(d);
        struct dentry *old_parent = d->parent;
        bool named = set_name(d, target) == 0;
        d->parent = dentry_get(target->parent);
        if (named) {
            insert_locked(d);
        } else {
            list_remove(&d->all);
            put_locked(d, &chain);
        }
        put_locked(old_parent, &chain);
    }
    spin_unlock(&dentry_lock);
    free_chain(chain);
}

static void swap_names(struct dentry *a, struct dentry *b)
{
    char inline_a[DENTRY_INLINE];
    char *heap_a = a->name == a->inline_name ? NULL : a->name;
    char *heap_b = b->name == b->inline_name ? NULL : b->name;
    memcpy(inline_a, a->inline_name, sizeof inline_a);
    memcpy(a->inline_name, b->inline_name, sizeof inline_a);
    memcpy(b->inline_name, inline_a, sizeof inline_a);
    a->name = heap_b ? heap_b : a->inline_name;
    b->name = heap_a ? heap_a : b->inline_name;
    uint16_t len = a->len;
    a->len = b->len;
    b->len = len;
    uint32_t hash = a->hash;
    a->hash = b->hash;
    b->hash = hash;
    struct dentry *parent = a->parent;
    a->parent = b->parent;
    b->parent = parent;
}

void dentry_exchanged(struct dentry *a, struct dentry *b)
{
    spin_lock(&dentry_lock);
    if (a->hashed && b->hashed) {
        remove_locked(a);
        remove_locked(b);
        swap_names(a, b);
        insert_locked(a);
        insert_locked(b);
    }
    spin_unlock(&dentry_lock);
}

bool dentry_is_ancestor(const struct dentry *of, const struct dentry *a)
{
    spin_lock(&dentry_lock);
    const struct dentry *d = of;
    while (d != a && d->parent != d)
        d = d->parent;
    spin_unlock(&dentry_lock);
    return d == a;
}

bool dentry_forget_super(struct super *super)
{
    // Children hold their parents: repeat while leaves go. Bounded per call; true: call again.
    struct dentry *chain = NULL;
    unsigned dropped = 0;
    spin_lock(&dentry_lock);
    LIST_FOREACH_SAFE(it, next, &all_dentries) {
        struct dentry *d = list_entry(it, struct dentry, all);
        if (d->super == super && load_relaxed(&d->refs) == 1) {
            forget_locked(d, &chain);
            if (++dropped == 256)
                break;
        }
    }
    spin_unlock(&dentry_lock);
    free_chain(chain);
    return dropped > 0;
}

struct root_search {
    const void *vnode;
    struct dentry *found; // referenced
};

static bool is_not_root(const struct mount *m, void *arg)
{
    struct root_search *s = arg;
    if (m->root->vnode == s->vnode)
        s->found = dentry_get(m->root);
    return !s->found;
}

// What is mounted has no name of its own: the root of a mount is not among the cached names.
static struct dentry *root_of_vnode(const void *v)
{
    struct root_search s = {v, NULL};
    mount_foreach(is_not_root, &s);
    return s.found;
}

char *dentry_path_of_vnode(const void *v, char *buf, size_t size)
{
    struct path p = {NULL, NULL};
    spin_lock(&dentry_lock);
    LIST_FOREACH(it, &all_dentries) {
        struct dentry *d = list_entry(it, struct dentry, all);
        if (d->vnode == v) {
            p.dentry = dentry_get(d);
            break;
        }
    }
    spin_unlock(&dentry_lock);
    if (!p.dentry && !(p.dentry = root_of_vnode(v)))
        return NULL;
    char *text = NULL;
    p.mount = mount_of_super(p.dentry->super);
    if (p.mount) {
        text = path_text(&p, NULL, buf, size, NULL);
        path_put(&p);
    } else {
        dentry_put(p.dentry);
    }
    return text;
}

uint32_t dentry_count(void)
{
    return cached;
}

static void dentries_init(void)
{
    // About one bucket per 64 KiB of RAM, and room for two names in each before sweeping.
    uint32_t buckets = 256;
    while (buckets < 65536 && buckets * 16ul < frame_total())
        buckets *= 2;
    dentry_table = kzalloc(buckets * sizeof *dentry_table);
    if (!dentry_table)
        panic("no memory for %u name buckets", buckets);
    dentry_mask = buckets - 1;
    cached_max = buckets * 2;
}
INIT(INIT_CORE, dentries_init);
