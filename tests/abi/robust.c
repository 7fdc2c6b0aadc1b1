// SPDX-License-Identifier: MIT
// Robust lists, lock by lock: what becomes of a word and of who waits for it when the owner ends, of the one that is
// pending, and of the rest of a list that is damaged.
#include "abi.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>

// An entry and its word; both may stand at odd places in the page.
struct node {
    struct robust_list list;
    volatile uint32_t word;
};

static struct shared {
    struct robust_list_head head;
    struct node a, b;
    char room[64];
} * page;

#define WAITERS FUTEX_WAITERS
#define DIED    FUTEX_OWNER_DIED
#define MINE    0xabcu // stands for the owner's number
#define OTHER   0x1234567u

static long futex(volatile uint32_t *at, int op, int value, long value2)
{
    return syscall(SYS_futex, at, op, value, value2, at, 0);
}

// A requeue to the word itself counts who waits for it.
static long waiting(volatile uint32_t *at)
{
    return futex(at, FUTEX_REQUEUE, 0, 1000);
}

static pid_t wait_for(volatile uint32_t *at)
{
    pid_t pid = fork();

    if (pid == 0) {
        while (futex(at, FUTEX_WAIT, *at, 0) < 0 && errno == EINTR)
            ;
        _exit(0);
    }
    while (waiting(at) < 1)
        sched_yield();
    return pid;
}

static uint32_t as(uint32_t word, uint32_t from, uint32_t to)
{
    return (word & FUTEX_TID_MASK) == from ? (word & ~FUTEX_TID_MASK) | to : word;
}

// Somebody waits for a word; its owner ends. What the word is then, and whether the one who waits was woken.
static void owner_ends(const char *key, volatile uint32_t *at, void (*list)(void))
{
    struct gate go = gate_make();
    pid_t owner = fork();

    if (owner == 0) {
        wait_for_pass(&go);
        if (syscall(SYS_set_robust_list, &page->head, sizeof page->head))
            _exit(9);
        _exit(0);
    }
    list();
    page->a.word = as(page->a.word, MINE, (uint32_t)owner);
    page->b.word = as(page->b.word, MINE, (uint32_t)owner);
    if ((long)at % 4 == 0)
        *at = as(*at, MINE, (uint32_t)owner);
    pid_t waiter = wait_for(at);
    pass(&go);
    waitpid(owner, NULL, 0);
    say(key, "%x, %s", as(*at, (uint32_t)owner, MINE), waiting(at) ? "waits on" : "woken");
    kill(waiter, SIGKILL);
    waitpid(waiter, NULL, 0);
    close(go.fds[0]);
    close(go.fds[1]);
}

static void list_of(void *first, void *pending)
{
    page->head.list.next = first ? first : &page->head.list;
    page->head.futex_offset = offsetof(struct node, word);
    page->head.list_op_pending = pending;
    page->a.list.next = page->b.list.next = &page->head.list;
}

static uint32_t value; // of the word to come

static void in_list(void)
{
    list_of(&page->a, NULL);
    page->a.word = value;
}

static void pending(void)
{
    list_of(NULL, &page->a);
    page->a.word = value;
}

static void pending_pi(void)
{
    list_of(NULL, (char *)&page->a + 1);
    page->a.word = value;
}

static void in_list_and_pending(void)
{
    list_of(&page->a, &page->a);
    page->a.word = value;
}

static void test_words(void)
{
    static const struct {
        const char *key;
        void (*list)(void);
        uint32_t word;
    } all[] = {
        {"in the list, owned, waited for", in_list, MINE | WAITERS},
        {"in the list, owned", in_list, MINE},
        {"in the list, another's", in_list, OTHER | WAITERS},
        {"in the list, nobody's", in_list, 0},
        {"in the list, nobody's, waited for", in_list, WAITERS},
        {"pending, owned, waited for", pending, MINE | WAITERS},
        {"pending, owned", pending, MINE},
        {"pending, another's", pending, OTHER | WAITERS},
        {"pending, nobody's", pending, 0},
        {"pending, nobody's, waited for", pending, WAITERS},
        {"pending, nobody's, its owner died", pending, DIED | WAITERS},
        {"pending and PI, nobody's", pending_pi, 0},
        {"pending and PI, owned, waited for", pending_pi, MINE | WAITERS},
        {"in the list and pending, owned, waited for", in_list_and_pending, MINE | WAITERS},
    };

    for (size_t i = 0; i < COUNT(all); i++) {
        value = all[i].word;
        owner_ends(all[i].key, &page->a.word, all[i].list);
    }
}

// ---- damaged lists: what is met before the damage is released, what comes after it is not, nor is what is pending

static char *hole; // the border between a page and nothing

static void odd_entry_first(void)
{
    struct robust_list *odd = (void *)(page->room + 2);

    list_of(odd, &page->a);
    odd->next = &page->b.list;
    page->a.word = page->b.word = MINE | WAITERS;
}

static void entry_in_hole(void)
{
    list_of(hole, &page->a);
    page->head.futex_offset = -8;
    *(uint32_t *)(hole - 8) = MINE | WAITERS;
    page->a.word = MINE | WAITERS;
}

static void next_nowhere(void)
{
    list_of(&page->b, &page->a);
    page->b.list.next = (void *)16;
    page->a.word = page->b.word = MINE | WAITERS;
}

static void test_damage(void)
{
    char *two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    hole = two + PAGE;
    munmap(hole, PAGE);
    owner_ends("an odd address, the next one", &page->b.word, odd_entry_first);
    owner_ends("an odd address, the pending one", &page->a.word, odd_entry_first);
    owner_ends("an entry that cannot be read, its word", (volatile uint32_t *)(hole - 8),
               entry_in_hole);
    owner_ends("an entry that cannot be read, the pending one", &page->a.word, entry_in_hole);
    owner_ends("an entry nowhere, the one before", &page->b.word, next_nowhere);
    owner_ends("an entry nowhere, the pending one", &page->a.word, next_nowhere);
}

// ---- whose list

static struct gate thread_go;
static pid_t thread_id;
static struct robust_list_head *thread_list;

static void *thread(void *started)
{
    size_t size;

    thread_id = gettid();
    syscall(SYS_get_robust_list, 0, &thread_list, &size);
    pass(started);
    wait_for_pass(&thread_go);
    return NULL;
}

static void test_get(void)
{
    struct robust_list_head *got = NULL;
    struct gate started = gate_make();
    size_t size = 0;
    pthread_t it;

    thread_go = gate_make();
    pthread_create(&it, NULL, thread, &started);
    wait_for_pass(&started);
    OK("a sibling's list", syscall(SYS_get_robust_list, thread_id, &got, &size));
    YES("it is what it says itself", got == thread_list && got != NULL);
    pass(&thread_go);
    pthread_join(it, NULL);
    VALUE("nobody's list", syscall(SYS_get_robust_list, 0x3fffffff, &got, &size));
    VALUE("a list, its size to nowhere", syscall(SYS_get_robust_list, 0, &got, NULL));
    VALUE("a list to nowhere", syscall(SYS_get_robust_list, 0, NULL, &size));
    VALUE("a size too big", syscall(SYS_set_robust_list, &page->head, sizeof page->head + 1));
    CHILD("root's list for somebody else", setgid(1000); setuid(1000);
          VALUE("another user's list", syscall(SYS_get_robust_list, getppid(), &got, &size)));
}

int main(void)
{
    page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    test_words();
    test_damage();
    test_get();
    return 0;
}
