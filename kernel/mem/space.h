// SPDX-License-Identifier: MIT
// Address spaces: a range map of mappings over an Sv39 page table.
//
// One spinlock (space.lock) guards the range map, every page table entry below the root, and the
// counters. Calls that change the structure (map, unmap, protect, fork) may take several polls and
// exclude each other by the async mutex space.mutate; faults and user copies need only the lock.
// A frame that was mapped is freed after the shootdown, and both happen before the lock is dropped.
//
// Private anonymous pages are owned by page table entries; 512 of them may be shown to the hardware as one
// (mem/huge.h). A private page is copied on write when
// its frame has another reference (a forked space, the page cache, the zero frame); a pinned frame
// (I/O under way) is copied by fork at once instead of being shared.
//
// refs counts users (threads, the monitor); holds counts "there are users" as one, plus one per
// hart whose satp is this root. Mappings and pages go when refs falls to 0, tables and the root
// when holds does: no root is freed under a hart.
#pragma once

#include "arch/pt.h"
#include "arch/shootdown.h"
#include "async/async.h"
#include "async/wait_async.h"
#include "lib/list.h"
#include "lib/spinlock.h"
#include "mem/range_map.h"
#include "page/frame.h"

struct phys;

// Rights and kinds of access; the values are Linux's PROT_*.
enum { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_EXEC = 4 };

enum mapping_flag {
    MAPPING_SHARED = 1, // writes reach the object
    MAPPING_STACK = 2,  // grows down on faults, up to space.stack_limit
    MAPPING_HEAP = 4,   // the brk area
    MAPPING_NORESERVE = 8,
    MAPPING_DENY_WRITE = 16, // file not opened for writing: mprotect may not add WRITE
    MAPPING_VDSO = 32,       // never merged, named [vdso]
    MAPPING_LOCKED = 64,
    MAPPING_HUGE = 128,        // MADV_HUGEPAGE
    MAPPING_NOHUGE = 256,      // MADV_NOHUGEPAGE
    MAPPING_NOFORK = 512,      // MADV_DONTFORK: a forked space does not get it
    MAPPING_WIPE = 1024,       // MADV_WIPEONFORK: a forked space gets it empty
    MAPPING_RANDOM = 2048,     // MADV_RANDOM: nothing is read ahead
    MAPPING_SEQUENTIAL = 4096, // MADV_SEQUENTIAL: more is
    MAPPING_WRITER = 8192,     // made by a file open for writing: nobody may run that meanwhile
};

struct mapping {
    struct range range;  // first. [lo, hi)
    uint32_t prot;       // ACCESS_*
    uint32_t flags;      // enum mapping_flag
    uint64_t pte_bits;   // of a fully writable page of it: pte_bits_of_prot(prot)
    struct phys *phys;   // referenced; NULL: private anonymous
    uint64_t offset;     // of lo in phys, bytes
    struct space *space; // of a mapping that is bound to its object:
    struct list in_phys; // in phys->mappings, under phys->lock
};

struct space {
    uint32_t refs, holds; // atomic
    uint32_t magic;       // SPACE_MAGIC
    uint32_t id;          // never reused
    struct spinlock lock;
    struct range_map map; // of struct mapping
    pte_t *root;
    uint64_t satp;
    uint64_t harts; // atomic mask: satp of these harts is this root
    struct mutex mutate;
    va_t stack_top;       // end of the first stack
    va_t mmap_top;        // mappings are placed below, going down
    va_t brk_start, brk;  // lock. exec sets both; a process has none of its own
    va_t zap_lo, zap_hi;  // being emptied by the holder of mutate: no stack grows into it
    uint64_t stack_limit; // bytes a stack mapping may grow to (RLIMIT_STACK at exec)
    uint64_t limit;       // bytes of mappings altogether (RLIMIT_AS); UINT64_MAX: none
    uint64_t data_limit;  // bytes of private writable mappings (RLIMIT_DATA)
    bool lock_future;     // mlockall(MCL_FUTURE): new mappings are locked
    bool not_random;      // ADDR_NO_RANDOMIZE: each part of an image has one place
    bool no_huge; // PR_SET_THP_DISABLE: nothing is mapped ahead of its first touch, no 2 MiB page
    uint64_t mapped;     // bytes in mappings
    uint64_t resident;   // user frames in the page table
    uint64_t tables;     // table frames, root included
    uint64_t huge;       // 2 MiB leaves (mem/huge.h)
    struct list filling; // lock. 2 MiB that somebody clears pages for; who else wants them waits:
    struct waitq filled;
    va_t
        walked; // what user copies walked to last: va >> WALK_SHIFT, and the leaf table there, while it lives
    pte_t *walked_table;
    struct list table_list; // of struct page, newest first: a table comes before its parent
    uint64_t peak;          // largest `resident`
    uint64_t faults, cow_copies, major;
    uint64_t fills;  // 2 MiB pages that were made
    struct list all; // in the list of spaces
};
enum { SPACE_MAGIC = 0x5bace5ec };

static inline struct mapping *mapping_of(struct range *r)
{
    return (struct mapping *)r;
}

// One reference. NULL: no memory.
struct space *space_new(void);
static inline void space_get(struct space *s)
{
    atomic_add32(&s->refs, 1);
}
// Plain: when it was the last reference, the reaper task releases the pages in bounded steps.
void space_unref(struct space *s);
// The same, done by the caller (exit, exec): never fails, is not interrupted.
ASYNC_DECL(space_release, struct space *s;);

// A copy-on-write copy: *out gets a new space with one reference. 0, -ENOMEM.
ASYNC_DECL(space_fork, struct space *parent; struct space **out;);

// Loads the space's root if another is loaded. Called at user entry only, on the running hart.
void space_switch_slow(struct space *s);
static inline void space_activate(struct space *s)
{
    if (unlikely(hart_self.space != s))
        space_switch_slow(s);
}

// ---- structure. Addresses and lengths are page multiples here; callers round.

enum space_map_how {
    SPACE_FIXED = 1,           // exactly there, replacing what is mapped
    SPACE_FIXED_NOREPLACE = 2, // exactly there, or -EEXIST
};
struct space_map { // what to map; copied
    va_t at;       // hint, or place when fixed; 0: anywhere
    uint64_t len;
    uint32_t prot, flags, how;
    struct phys *phys; // a reference is taken on success
    uint64_t offset;
};
// *va: where. 0, -ENOMEM, -EINVAL, -EEXIST.
ASYNC_DECL(space_map, struct space *s; struct space_map what; va_t *va;);
ASYNC_DECL(space_unmap, struct space *s; va_t va; uint64_t len;);
// -ENOMEM when part of the range is not mapped, -EACCES when the file forbids it: what lies before that changes.
ASYNC_DECL(space_protect, struct space *s; va_t va; uint64_t len; uint32_t prot;);
// The same by who has s->mutate, of a range that was checked: what was seen of the mappings before is still so.
ASYNC_DECL(space_protect_steps, struct space *s; va_t va; uint64_t len; uint32_t prot;);
// touches: 0, or what space_touches said; of a range in one mapping, -EAGAIN when a page may have come since, and nothing
// is removed.
ASYNC_DECL(space_remove_steps, struct space *s; va_t va; uint64_t len; uint64_t touches;);
// Never 0; grows before a page comes that was not there, or that is copied. Any context.
uint64_t space_touches(const struct space *s);
// Drops the pages of private mappings (MADV_DONTNEED): they read as fresh afterwards.
ASYNC_DECL(space_discard, struct space *s; va_t va; uint64_t len;);
// Moves the break; *now is the new one, or the old one when that is impossible. Always 0.
// lock_limit: bytes that the caller may have locked; a break that is locked as it grows does not grow beyond that.
ASYNC_DECL(space_brk, struct space *s; va_t to; uint64_t lock_limit; va_t *now;);
// mremap(2): *va is where the mapping is afterwards. old and to are aligned, lengths are rounded up.
// -EFAULT: the old range is not inside one mapping.
// An old length of 0 maps the same part of a shared object once more. DONTUNMAP leaves the old
// mapping, empty. -EAGAIN: what is locked would grow beyond lock_limit.
enum { REMAP_MAYMOVE = 1, REMAP_FIXED = 2, REMAP_DONTUNMAP = 4 };
ASYNC_DECL(space_remap, struct space *s; va_t old; uint64_t old_len; uint64_t new_len;
           uint32_t how; va_t to; uint64_t lock_limit; va_t *va;);

// What a range is made of.
struct space_survey {
    va_t until;            // mapped without a hole up to here
    uint32_t any, all;     // flags that some mapping has, that every mapping has
    bool object, no_write; // some mapping has an object; some may not be written
};
// Mapping by mapping: what others change meanwhile may be seen as it was or as it is.
ASYNC_DECL(space_survey, struct space *s; va_t lo; va_t hi; struct space_survey *out;);
bool space_allows(struct space *s, va_t lo, va_t hi, uint32_t access); // every mapping of the range
// Is the page at va in memory (mincore)? A file's counts when it is cached, mapped or not; of an object that `told`
// (NULL: all) says false of, every page does. told is asked under space.lock, of what is mapped there then.
bool space_in_memory(struct space *s, va_t va, bool (*told)(const struct phys *));
// Bytes of the range in mappings with one of the flags.
uint64_t space_flagged(struct space *s, va_t lo, va_t hi, uint32_t flags);
// Sets and clears flags of the mappings in the range. 0, -ENOMEM (nothing has changed).
ASYNC_DECL(space_set_flags, struct space *s; va_t va; uint64_t len; uint32_t set; uint32_t clear;);
// Makes every page of the range present that its mapping allows, private ones for writing; goes on
// behind holes. 0, -ENOMEM, -EINTR, or -EFAULT: some page could not be had (the rest is there).
ASYNC_DECL(space_populate, struct space *s; va_t va; uint64_t len;);
// Has what is missing of files mapped there read, a MiB of each mapping at most, and does not wait for it.
ASYNC_DECL(space_will_need, struct space *s; va_t va; uint64_t len;);
// Empties shared memory behind the range (MADV_REMOVE): it reads as zero for all.
// -EOPNOTSUPP: a file's store would have to follow.
ASYNC_DECL(space_wipe_objects, struct space *s; va_t va; uint64_t len;);

// Plain parts of the same for a space nobody else uses yet (exec building an image), or when the
// work is small: they return -EAGAIN when it would have to wait or takes more than a short poll.
int space_map_now(struct space *s, const struct space_map *what, va_t *va);
int space_unmap_now(struct space *s, va_t va, uint64_t len);
int space_protect_now(struct space *s, va_t va, uint64_t len, uint32_t prot);
int space_brk_now(struct space *s, va_t to, uint64_t lock_limit, va_t *now);

// ---- faults

// 0: mapped, run the instruction again. -EFAULT: nothing mapped there (SEGV_MAPERR). -EACCES: not
// allowed (SEGV_ACCERR). -EIO: beyond the end of the file or unreadable (SIGBUS, BUS_ADRERR).
// -ENOMEM: the user program has exhausted memory. -EINTR: cancelled meanwhile.
// access is one of ACCESS_*. The fast one is plain and returns -EAGAIN when a page must be read.
int space_fault_fast(struct space *s, va_t va, unsigned access);
ASYNC_DECL(space_fault, struct space *s; va_t va; uint32_t access;);
// Makes [va, va+len) present for `access`. 0, -EFAULT (any reason but the next two), -ENOMEM, -EINTR.
ASYNC_DECL(space_commit, struct space *s; va_t va; uint64_t len; uint32_t access;);

// space.lock held: the same as space_fault_fast, for user copies. Returns the leaf slot through out.
int space_fault_locked(struct space *s, va_t va, unsigned access, pte_t **out);

// ---- looking and changing from outside (monitor, procfs)

struct mapping_info {
    va_t lo, hi;
    uint32_t prot, flags;
    bool file;         // phys is a file's
    struct phys *phys; // not referenced: for comparing only
    void *owner;       // phys->owner (vnode), not referenced
    uint64_t offset;
    uint64_t resident; // pages present
};
// Copies out up to max mappings with hi > from, by address. Returns how many. with_resident counts
// pages (slow).
size_t space_mappings(struct space *s, va_t from, struct mapping_info *out, size_t max,
                      bool with_resident);

// How many pages are there, from lo to below hi; both are whole pages.
uint64_t space_present(struct space *s, va_t lo, va_t hi);

// The object behind the mapping at va, referenced (phys_put); NULL: nothing is mapped there, or there is none.
struct phys *space_object(struct space *s, va_t va);
// Frames of its page table from the from-th on, the root first: how many, at most max.
size_t space_table_frames(struct space *s, size_t from, pa_t *out, size_t max);
// Makes the page at va lazy again: the next touch faults, and finds what was there. -ENOENT: none is there.
int space_unload_now(struct space *s, va_t va);
// Makes two mappings of the one around `at`, or one of two alike that meet there. 0; -EINVAL: there is none, or they
// are not alike; -ENOMEM. The caller has s->mutate.
int space_cut_locked(struct space *s, va_t at);
int space_join_locked(struct space *s, va_t at);

// Present leaf entries at or above `from`, below `to`, and one that `from` lies in: for the monitor's page
// table class.
struct pte_info {
    va_t va;
    pte_t entry;
    uint64_t pages; // 1 or PT_ENTRIES
};
size_t space_entries(struct space *s, va_t from, va_t to, struct pte_info *out, size_t max);

// Reads a page's entry (0: none). Sets one with shootdown under the lock: only flag bits may change
// (V, R, W, X, U, A, D, HELD) on an entry that has a frame; *old gets what it was. -ENOENT: there is
// no frame. -EINVAL: another frame, reserved combination (W without R), or kernel address. -EBUSY:
// W on a frame that others have, too.
pte_t space_pte_get(struct space *s, va_t va);
int space_pte_set(struct space *s, va_t va, pte_t entry, pte_t *old);
// The same, but harts go on with what they remember of the entry: to show what a shootdown is for. Debug builds end
// the machine when somebody relies on it.
int space_pte_set_stale(struct space *s, va_t va, pte_t entry, pte_t *old);

// Calls fn for spaces with id >= from under the list lock until it returns false.
void space_foreach(uint32_t from, bool (*fn)(struct space *, void *), void *arg);
struct space *space_find(uint32_t id); // referenced, or NULL

// For a new image, each at random in a window of its own (layout.c): stack_top and mmap_top, with room for
// stack_limit bytes of stack in between; brk_start, behind the program's `end`; and where to map the vDSO
// or a program of `len` bytes (`align`: a power of two, pages), 0 if the window has no such room.
void space_place(struct space *s, uint64_t stack_limit);
void space_place_heap(struct space *s, va_t end);
va_t space_place_vdso(struct space *s, uint64_t len);
va_t space_place_program(struct space *s, uint64_t len, uint64_t align);
// Placement randomness; dev/random hands itself in at boot. Before that a weak generator serves.
void space_set_random(uint64_t (*fn)(void));
