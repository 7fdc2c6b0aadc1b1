// SPDX-License-Identifier: MIT
// The rings of io_uring: their memory, their completions, their end.
#include "fs/uring.h"

#include "fs/anon.h"
#include "fs/eventfd.h"
#include "fs/poll.h"
#include "fs/proc.h"
#include "mem/phys.h"
#include "page/heap.h"
#include "task/thread.h"

enum { CANCEL_AT_ONCE = 16, CANCEL_EACH = 2, FLUSH_AT_ONCE = 64, OVERFLOW_SHOWN = SQ_CQ_OVERFLOW };

struct overflow {
    struct list link;
    struct uring_cqe cqe;
};

static uint32_t last_id;

// ---- memory

static void memory_free(struct uring_memory *m)
{
    for (uint32_t i = 0; i < m->pages; i++)
        page_put(page_of(kva_to_pa(m->page[i])));
    kfree(m->page);
    if (m->phys)
        phys_put(m->phys);
    *m = (struct uring_memory){0};
}

static int memory_make(struct uring_memory *m, uint64_t bytes)
{
    uint32_t pages = (uint32_t)(page_round_up(bytes) >> PAGE_SHIFT);
    m->page = kmalloc(pages * sizeof *m->page);
    m->phys = phys_new_shared((uint64_t)pages << PAGE_SHIFT);
    while (m->page && m->phys && m->pages < pages) {
        struct page *pg = phys_page_now(m->phys, m->pages);
        if (!pg)
            break;
        m->page[m->pages++] = page_kva(pg);
    }
    return m->pages == pages ? 0 : -ENOMEM;
}

// As under Linux the offset's high bits say what is mapped, from its beginning; what lies behind its end is SIGBUS.
static int uring_mmap(struct file *file, uint64_t *offset, struct phys **out)
{
    struct uring *u = uring_of(file);
    uint64_t part = *offset & URING_OFF_MASK;
    if (part != URING_OFF_SQES && part != URING_OFF_SQ_RING && part != URING_OFF_CQ_RING)
        return -ENOMEM;
    const struct uring_memory *m = part == URING_OFF_SQES ? &u->sqes : &u->ring;
    *offset = 0;
    phys_get(m->phys);
    *out = m->phys;
    return 0;
}

// ---- birth and end

void uring_get(struct uring *u)
{
    atomic_add32(&u->refs, 1);
}

static void overflow_free(struct uring *u)
{
    struct list *it;
    while ((it = list_pop_front(&u->overflow)))
        kfree(list_entry(it, struct overflow, link));
}

void uring_put(struct uring *u)
{
    if (atomic_add32(&u->refs, -1u) != 1)
        return;
    overflow_free(u);
    memory_free(&u->ring);
    memory_free(&u->sqes);
    if (u->user) {
        uring_uncharge(u->user, u->charged);
        uring_user_put(u->user);
    }
    kfree(u);
}

// u->lock held: cancels up to n operations that are not cancelled yet.
static void cancel_some(struct uring *u, int n)
{
    while (n-- && !list_empty(&u->ops)) {
        struct list *it = list_pop_front(&u->ops);
        list_push_back(&u->ending, it);
        task_cancel(list_entry(it, struct uring_flight, in_ring)->task);
    }
}

// What is registered goes with the file: no operation looks at it once the ring is closed.
static void uring_release(struct file *file)
{
    struct uring *u = uring_of(file);
    if (!u)
        return;
    spin_lock(&u->lock);
    u->closed = true;
    struct file *eventfd = u->eventfd, **files = u->files;
    struct uring_buffer *buffers = u->buffers;
    uint32_t nfiles = u->nfiles;
    u->eventfd = NULL;
    u->files = NULL;
    u->buffers = NULL;
    u->nfiles = u->nbuffers = 0;
    cancel_some(u, CANCEL_AT_ONCE);
    spin_unlock(&u->lock);
    for (uint32_t i = 0; i < nfiles; i++)
        if (files[i])
            file_put(files[i]);
    kfree(files);
    kfree(buffers);
    if (eventfd)
        file_put(eventfd);
    uring_put(u);
}

void uring_landed(struct uring *u, struct uring_flight *f)
{
    spin_lock(&u->lock);
    bool first = u->ops.next == &f->in_ring;
    list_remove(&f->in_ring);
    u->under_way--;
    if (u->closed)
        cancel_some(u, CANCEL_EACH);
    if (list_empty(&u->ops) ||
        list_entry(u->ops.next, struct uring_flight, in_ring)->seq > u->drain)
        u->drain = 0;
    if (first || u->closed) // else what is first has not changed, for which they wait
        waitq_wake_all(&u->drains);
    spin_unlock(&u->lock);
}

static uint32_t round_up_pow2(uint32_t n)
{
    return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

// The numbers of entries, as io_uring_setup(2) has them.
static int count_entries(struct uring_params *p)
{
    bool clamp = p->flags & SETUP_CLAMP;
    if (!p->sq_entries || (p->sq_entries > URING_SQ_MAX && !clamp))
        return -EINVAL;
    uint32_t sq = p->sq_entries > URING_SQ_MAX ? URING_SQ_MAX : p->sq_entries;
    uint32_t cq = p->cq_entries;
    p->sq_entries = round_up_pow2(sq);
    if (!(p->flags & SETUP_CQSIZE)) {
        p->cq_entries = 2 * p->sq_entries;
        return 0;
    }
    if (!cq || (cq > URING_CQ_MAX && !clamp))
        return -EINVAL;
    p->cq_entries = round_up_pow2(cq > URING_CQ_MAX ? URING_CQ_MAX : cq);
    return p->cq_entries < p->sq_entries ? -EINVAL : 0;
}

static void describe(struct uring_params *p, uint32_t array)
{
    p->features = FEAT_SINGLE_MMAP | FEAT_NODROP | FEAT_RW_CUR_POS | FEAT_FAST_POLL |
                  FEAT_POLL_32BITS | FEAT_EXT_ARG | FEAT_NATIVE_WORKERS | FEAT_CQE_SKIP |
                  FEAT_LINKED_FILE;
    p->sq = (struct uring_sq_offsets){
        .head = offsetof(struct uring_header, sq_head),
        .tail = offsetof(struct uring_header, sq_tail),
        .mask = offsetof(struct uring_header, sq_mask),
        .entries = offsetof(struct uring_header, sq_entries),
        .flags = offsetof(struct uring_header, sq_flags),
        .dropped = offsetof(struct uring_header, sq_dropped),
        .array = p->flags & SETUP_NO_SQARRAY ? 0 : array,
    };
    p->cq = (struct uring_cq_offsets){
        .head = offsetof(struct uring_header, cq_head),
        .tail = offsetof(struct uring_header, cq_tail),
        .mask = offsetof(struct uring_header, cq_mask),
        .entries = offsetof(struct uring_header, cq_entries),
        .flags = offsetof(struct uring_header, cq_flags),
        .overflow = offsetof(struct uring_header, cq_overflow),
        .cqes = sizeof(struct uring_header),
    };
}

static int make_rings(struct uring *u, struct uring_params *p)
{
    u->array = (sizeof(struct uring_header) + p->cq_entries * sizeof(struct uring_cqe));
    uint64_t array = p->flags & SETUP_NO_SQARRAY ? 0 : 4ul * p->sq_entries;
    uint64_t ring = u->array + array, sqes = (uint64_t)p->sq_entries * sizeof(struct uring_sqe);
    uint64_t all = sizeof *u + page_round_up(ring) + page_round_up(sqes);
    if (!(u->user = uring_user_get(cred_current()->uid)) || !uring_charge(u->user, all))
        return -ENOMEM;
    u->charged = all;
    if (memory_make(&u->ring, ring) || memory_make(&u->sqes, sqes))
        return -ENOMEM;
    u->header = (struct uring_header *)u->ring.page[0];
    u->header->sq_mask = u->sq_mask = p->sq_entries - 1;
    u->header->cq_mask = u->cq_mask = p->cq_entries - 1;
    u->header->sq_entries = p->sq_entries;
    u->header->cq_entries = p->cq_entries;
    describe(p, (uint32_t)u->array);
    return 0;
}

long uring_new(struct uring_params *p, struct file **out)
{
    int e = count_entries(p);
    if (e)
        return e;
    struct uring *u = kzalloc(sizeof *u);
    if (!u)
        return -ENOMEM;
    u->refs = 1;
    u->id = atomic_add32(&last_id, 1);
    u->flags = p->flags;
    spin_init(&u->lock, "uring");
    mutex_init(&u->submit, "uring submit");
    list_init(&u->overflow);
    list_init(&u->ops);
    list_init(&u->ending);
    waitq_init(&u->waiters);
    waitq_init(&u->pollers);
    waitq_init(&u->drains);
    e = make_rings(u, p);
    if (!e && !(*out = anon_new(&uring_file_ops, u, 0)))
        e = -ENOMEM;
    if (e)
        uring_put(u);
    return e;
}

// ---- completions

void uring_tell_slow(struct uring *u)
{
    waitq_wake_all(&u->waiters);
    poll_wake(&u->pollers, POLLIN | POLLRDNORM);
}

static void show_overflow(struct uring *u)
{
    store_relaxed(&u->header->sq_flags, list_empty(&u->overflow) ? 0 : OVERFLOW_SHOWN);
}

// u->lock held. Only memory that is short makes it lose one, and it says so.
static void keep_or_drop(struct uring *u, const struct uring_cqe *c)
{
    struct overflow *o = kmalloc(sizeof *o);
    if (!o) {
        store_relaxed(&u->header->cq_overflow, u->header->cq_overflow + 1);
        return;
    }
    o->cqe = *c;
    list_push_back(&u->overflow, &o->link);
    u->kept++;
    show_overflow(u);
}

void uring_complete(struct uring *u, const struct uring_cqe *c, bool timeout, bool at_once)
{
    struct file *eventfd = NULL;
    spin_lock(&u->lock);
    u->posted += !timeout;
    if (likely(uring_has_room(u, 1))) {
        *uring_cqe_at(u, u->cq_tail) = *c;
        uring_cq_written(u, u->cq_tail + 1);
    } else {
        keep_or_drop(u, c);
    }
    uring_tell(u);
    bool quiet = load_relaxed(&u->header->cq_flags) & CQ_EVENTFD_DISABLED;
    if (u->eventfd && !quiet && !(at_once && u->eventfd_async))
        eventfd = file_get(u->eventfd);
    spin_unlock(&u->lock);
    if (eventfd) {
        eventfd_signal(eventfd);
        file_put(eventfd);
    }
}

bool uring_flush(struct uring *u)
{
    if (likely(list_empty(&u->overflow)))
        return false;
    spin_lock(&u->lock);
    int n = FLUSH_AT_ONCE;
    while (n-- && !list_empty(&u->overflow) && uring_ready(u) <= u->cq_mask) {
        struct overflow *o = list_entry(list_pop_front(&u->overflow), struct overflow, link);
        *uring_cqe_at(u, u->cq_tail) = o->cqe;
        uring_cq_written(u, u->cq_tail + 1);
        u->kept--;
        kfree(o);
    }
    show_overflow(u);
    uring_tell(u);
    spin_unlock(&u->lock);
    return n < 0;
}

// ---- the file

static uint32_t uring_poll(struct file *file, struct poll_list *pl)
{
    struct uring *u = uring_of(file);
    spin_lock(&u->lock);
    if (pl)
        poll_add(pl, &u->lock, &u->pollers, POLL_ANY);
    uint32_t mask = uring_ready(u) || !list_empty(&u->overflow) ? POLLIN | POLLRDNORM : 0;
    if (uring_submitted(u) <= u->sq_mask)
        mask |= POLLOUT | POLLWRNORM;
    spin_unlock(&u->lock);
    return mask;
}

static void uring_show(struct file *file, struct text *out)
{
    struct uring *u = uring_of(file);
    spin_lock(&u->lock);
    text_printf(
        out, "SqMask:\t0x%x\nSqHead:\t%u\nSqTail:\t%u\nCqMask:\t0x%x\nCqHead:\t%u\nCqTail:\t%u\n",
        (unsigned)u->sq_mask, (unsigned)u->sq_head, (unsigned)u->header->sq_tail,
        (unsigned)u->cq_mask, (unsigned)u->header->cq_head, (unsigned)u->cq_tail);
    text_printf(out, "UserFiles:\t%u\nUserBufs:\t%u\nUnderWay:\t%u\nOverflow:\t%u\n",
                (unsigned)u->nfiles, (unsigned)u->nbuffers, (unsigned)u->under_way,
                (unsigned)u->kept);
    spin_unlock(&u->lock);
}

const struct file_ops uring_file_ops = {
    .mmap_part = uring_mmap,
    .poll = uring_poll,
    .release = uring_release,
    .show = uring_show,
    .flags = FILE_OPS_STREAM,
    .name = "[io_uring]",
};
