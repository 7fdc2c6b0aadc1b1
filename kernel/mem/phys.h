// SPDX-License-Identifier: MIT
// Memory objects: the pages behind a mapping that are not private to one space.
//
// A file's object is its page cache and belongs to the vnode (embedded: phys_init, phys_destroy);
// an object of shared anonymous memory lives as long as mappings refer to it (phys_new_shared).
// Private anonymous memory has no object: the page tables own its frames.
//
// A page in an object is kept by one reference of the object's; who uses it takes another (page_ref)
// and a page whose last user has gone and that is clean may be given up by the eviction clock.
// Pages are found through a radix tree. Lock order: space.lock -> phys.lock -> frame allocator.
#pragma once

#include "async/async.h"
#include "async/wait.h"
#include "lib/list.h"
#include "lib/spinlock.h"
#include "mem/radix.h"
#include "page/frame.h"

struct phys;

enum phys_kind {
    PHYS_SHARED_ANON, // pages appear zeroed when first touched
    PHYS_FILE,        // pages are filled and written by ops
};

// How many pages one fill or write may cover.
enum { PHYS_RUN = 16 };

// Fill: reads `count` consecutive pages from the store. The pages are PAGE_BUSY and referenced by
// the caller; beyond the end of the file they must be zeroed. 0, or negative errno: none is used.
ASYNC_IFACE(phys_fill, struct phys *ph; uint64_t index; struct page **pages; uint32_t count;);
// Writes `count` consecutive pages. Only bytes below ph->size count. 0 or negative errno.
ASYNC_IFACE(phys_write, struct phys *ph; uint64_t index; struct page **pages; uint32_t count;);

struct phys_ops {
    const struct async_fn *fill;  // implements phys_fill; NULL: pages start as zeroes (tmpfs)
    const struct async_fn *write; // implements phys_write; NULL: dirty pages stay (tmpfs)
    // The vnode's own reference counting: a mapping keeps the vnode. Plain, any context.
    void (*get)(struct phys *ph);
    void (*put)(struct phys *ph);
    // As get, but false when the vnode's last reference has gone. NULL: phys_sync_all passes it by.
    bool (*try_get)(struct phys *ph);
    // A program stored through a mapping into a page that could not be written there before. Plain, in a fault.
    // NULL: nobody is told.
    void (*stored)(struct phys *ph);
};

// How somebody goes through an object: each open file has one, and the object one for those who have
// no file (faults). Changed under phys.lock, but for `next` and `how`.
struct readahead {
    uint64_t next;    // the page behind what was read last; of faults nobody knows
    uint64_t end;     // the page behind the last window, or the last run that was read
    uint64_t trigger; // who touches it has the next window read (phys_read_ahead), or AHEAD_NOWHERE
    uint32_t window;  // pages of the last window; 0: reads are here and there
    uint32_t how;     // advice about this file: PHYS_RANDOM, PHYS_SEQUENTIAL
};
#define AHEAD_NOWHERE UINT64_MAX

struct phys {
    uint32_t kind;        // enum phys_kind
    uint32_t refs;        // PHYS_SHARED_ANON only; files count in the vnode
    struct spinlock lock; // guards the tree, page flags, size
    struct radix tree;    // of pages
    int32_t error;        // of the last failed write
    uint32_t error_count; // failed writes: see phys_error_since
    uint64_t size;        // bytes; a mapping's pages at or beyond round_up(size) are SIGBUS
    uint64_t pages, dirty, writing; // counts
    uint32_t shared_writable;       // MAP_SHARED mappings that may write
    uint32_t writers;               // mappings by files open for writing: see vnode_write_begin
    struct readahead ahead;         // of faults
    uint32_t *
        reading_ahead; // tasks that read ahead from its store, which outlives it; phys_init: NULL, one for all
    struct list mappings; // mapping.in_phys
    struct waitq waiters; // for BUSY or WRITEBACK pages of this object
    const struct phys_ops *ops;
    void *owner;             // the vnode
    uint64_t number;         // of shared anonymous memory, no other ever has it; 0: it is a file's
    struct list dirty_link;  // in the list of objects with dirty pages
    uint64_t dirty_since_ns; // when it came there; under the list's lock
    uint64_t hits, misses, written;
};

// For an object embedded in its owner. size in bytes.
void phys_init(struct phys *ph, enum phys_kind kind, const struct phys_ops *ops, void *owner,
               uint64_t size);
// Drops all pages, dirty ones too (write back first). Nobody maps it and nobody waits. Pages that are
// being read ahead are waited for: that holds no reference on the owner.
ASYNC_DECL(phys_destroy, struct phys *ph;);

// Shared anonymous memory. NULL: no memory. One reference; phys_put frees.
struct phys *phys_new_shared(uint64_t size);
void phys_get(struct phys *ph);
void phys_put(struct phys *ph);

enum phys_how {
    PHYS_READ = 0,
    PHYS_OVERWRITE =
        1,             // the caller overwrites the whole page: no fill. A page that had no contents
                       // comes zeroed; call phys_dirty afterwards
    PHYS_KILLABLE = 2, // a wait ends with -EINTR when the task is cancelled
    PHYS_RANDOM = 4,   // nothing is read ahead
    PHYS_SEQUENTIAL = 8, // more is read ahead
    PHYS_AROUND = 16,    // a page read here or there comes with its block of PHYS_RUN
};

// The page if it is there and up to date: referenced (page_put when done), else NULL. Never waits.
struct page *phys_page_try(struct phys *ph, uint64_t index);
// The same for the pages index + i whose bit i is set: pages[i]. Returns the bits of those found; none
// is at or beyond the end. They do not count as used.
uint32_t phys_pages_try(struct phys *ph, uint64_t index, uint32_t want, struct page **pages);
// The same, and for shared anonymous and fill-less objects creates a zeroed page. NULL also when
// memory is short: then phys_page says so.
struct page *phys_page_now(struct phys *ph, uint64_t index);

// The page, read from the store if necessary: *out is referenced. 0, -ENOMEM, -EINTR, or what the
// store said (-EIO). `out` lies in the caller's frame. Pages beyond the size are allowed here (a
// writer extends): they come zeroed without a fill. ahead: of the reader's file, NULL: the object's.
// want: pages from index on that the reader wants soon, > 0.
ASYNC_DECL(phys_page, struct phys *ph; uint64_t index; uint32_t how; struct readahead *ahead;
           uint32_t want; struct page **out;);

// For a plain reader that has touched the page `seen`, ahead->trigger. True: a read has been begun; it gets
// under way when this task lets others run. Nobody is told what comes of it. No lock held.
bool phys_read_ahead(struct phys *ph, struct readahead *ahead, uint64_t seen, uint32_t how);
// Has absent pages with lo <= index < hi read, the first MiB of them at most, and nobody waits. No lock held.
void phys_will_need(struct phys *ph, uint64_t lo, uint64_t hi);
// Drops pages with *next <= index < hi that can be read again and that nobody uses; looks at up to max.
// *next is where to go on; false: there is nothing more.
bool phys_forget_some(struct phys *ph, uint64_t *next, uint64_t hi, unsigned max);

// The referenced page's contents were changed. Any context. phys_stored: by a program, through a mapping; the
// owner is told. phys_wrote: up to byte `end` of the object, which grows to that in the same step: a page that is
// dirty before its bytes count may be written back without them, and be clean.
void phys_dirty(struct phys *ph, struct page *pg);
void phys_stored(struct phys *ph, struct page *pg);
void phys_wrote(struct phys *ph, struct page *pg, uint64_t end);

// Sets the size, takes pages beyond it out of every page table (also private copies of them) and
// drops them, and zeroes the tail of the last one. The owner serialises writers.
ASYNC_DECL(phys_truncate, struct phys *ph; uint64_t size;);
// Plain: only ever larger. What a mapping stored behind the old end does not become contents.
void phys_grow(struct phys *ph, uint64_t size);
// Zeroes what lies behind the end in its page, if that is in the cache (a fill zeroes it too): before bytes further
// behind are written. The owner serialises writers.
void phys_zero_tail(struct phys *ph);

// Writes back dirty pages with lo <= index < hi and waits for them. 0 or the first error these writes
// met. UINT64_MAX: to the end.
ASYNC_DECL(phys_sync, struct phys *ph; uint64_t lo; uint64_t hi;);
// Every object that has dirty pages (sync(2)).
ASYNC_DECL(phys_sync_all, int unused;);
// The error of the last failed write since *seen, whoever wanted it, or 0. *seen is the caller's
// (an open file's), ph->error_count when it began: so each is told once.
long phys_error_since(struct phys *ph, uint32_t *seen);

// More is dirty than may be: a writer of ph awaits phys_throttle, with nothing held that a write needs.
// When much is dirty, the flusher begins.
bool phys_dirty_excess(const struct phys *ph);
ASYNC_DECL(phys_throttle, int unused;);
// How long a page may be dirty before the flusher writes it, in ns; 30 s at boot, as under Linux.
uint64_t phys_dirty_age(void);
void phys_set_dirty_age(uint64_t ns);
// Has the flusher write everything soon. phys_wait_written: until some page has been written since
// phys_totals.written was `before`, or nothing is dirty.
void phys_write_soon(void);
ASYNC_DECL(phys_wait_written, uint64_t before;);

// Gives up clean pages, mapped ones too, but those used lately: up to `want`, in one poll's work. Returns how many; *looked grows
// by the pages it looked at: after phys_evictable() of them five times without success there is nothing.
size_t phys_reclaim(size_t want, uint64_t *looked);
uint64_t phys_evictable(void);

// Copies up to max dirty or cached page numbers from `from` on (the monitor). Returns how many.
struct phys_page_info {
    uint64_t index;
    pa_t pa;
    uint32_t refs, flags;
};
size_t phys_snapshot(struct phys *ph, uint64_t from, struct phys_page_info *out, size_t max);
// Of an object without a fill, what is not there is a hole (lseek(2)). The first byte from `from` on that is in a page, or,
// hole, in none; the size of the object when there is no such byte below it.
uint64_t phys_seek(struct phys *ph, uint64_t from, bool hole);

// The mappings that show it, from the from-th on: how many, at most max.
struct phys_mapper {
    uint32_t space; // id
    va_t lo, hi;
    uint64_t offset; // of lo
};
size_t phys_mappers(struct phys *ph, size_t from, struct phys_mapper *out, size_t max);

// Why a page is written back.
enum phys_why {
    PHYS_SYNC,     // somebody syncs: a file, a mapping, a mount, all
    PHYS_AGE,      // it has been dirty for phys_dirty_age
    PHYS_PRESSURE, // much is dirty, or memory is short
    PHYS_WHYS,
};

// Of all objects. Pages now: in files' caches, of those dirty, in shared anonymous memory. Since boot:
// written, and why, given up, writers made to wait.
struct phys_totals {
    uint64_t cached, dirty, shared_anon;
    uint64_t written, written_for[PHYS_WHYS], evicted, throttled;
    uint64_t fills, filled; // runs of pages that were to be read, and pages of them
    uint64_t ahead,
        waits; // of those runs nobody waited for the start of; times that somebody waited for a page
    uint32_t reading_ahead; // such runs now
};
extern struct phys_totals phys_totals; // atomic
