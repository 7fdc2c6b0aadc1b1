// SPDX-License-Identifier: MIT
// What rings and their operations take of the kernel's memory, counted by user: else a program could have all of it, and nobody
// would be found to end, since it is no program's memory.
//
// A ring is charged to the user who made it, and so is what is submitted to it. What a full ring of completions keeps is not:
// it is at most so much more for each operation that is charged, and URING_KEPT_MOST beyond these.
#include "fs/uring.h"
#include "lib/init.h"
#include "page/frame.h"
#include "page/heap.h"

enum { SHARE = 16 }; // a user's, in parts of the whole memory

struct uring_user {
    struct list link; // in users
    uint32_t uid;
    uint32_t rings; // that are charged to it
    uint64_t bytes; // atomic
};

static struct spinlock users_lock = SPINLOCK_INIT("uring users");
static struct list users = LIST_INIT(users);
static uint64_t max_bytes;

static struct uring_user *find_or_make_locked(uint32_t uid)
{
    LIST_FOREACH(it, &users) {
        struct uring_user *u = list_entry(it, struct uring_user, link);
        if (u->uid == uid)
            return u;
    }
    struct uring_user *u = kzalloc(sizeof *u);
    if (u) {
        u->uid = uid;
        list_push_back(&users, &u->link);
    }
    return u;
}

struct uring_user *uring_user_get(uint32_t uid)
{
    spin_lock(&users_lock);
    struct uring_user *u = find_or_make_locked(uid);
    if (u)
        u->rings++;
    spin_unlock(&users_lock);
    return u;
}

void uring_user_put(struct uring_user *u)
{
    spin_lock(&users_lock);
    bool last = --u->rings == 0;
    if (last)
        list_remove(&u->link);
    spin_unlock(&users_lock);
    if (last) {
        DEBUG_ASSERT(!u->bytes);
        kfree(u);
    }
}

bool uring_charge(struct uring_user *u, uint64_t bytes)
{
    if (atomic_add64(&u->bytes, bytes) + bytes <= max_bytes)
        return true;
    uring_uncharge(u, bytes);
    return false;
}

void uring_uncharge(struct uring_user *u, uint64_t bytes)
{
    atomic_add64(&u->bytes, -bytes);
}

static void limit(void)
{
    max_bytes = frame_total() / SHARE * PAGE_SIZE;
}
INIT(INIT_CORE, limit);
