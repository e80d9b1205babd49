/* One page that the roles share: a lock that the kernel hands on, and doorbells to sleep by. */
/* SPDX-License-Identifier: ISC */
#include "store/shared.h"

#include "base/memory.h"
#include "fair_lock.h"
#include "futex.h"
#include "shared_memory.h"
#include "store/limits.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* Each in a cache line of its own. */
struct bell {
    _Alignas(64) _Atomic uint32_t count;
    _Atomic uint32_t may_sleep; /* somebody may be asleep; put back to 0 by whoever wakes him */
};

enum { PAGE_MAGIC = 0x4c4c5331 /* "LLS1": the layout's version is in it */ };

/* Nothing here is a pointer: a role that has fallen into a stranger's hands can write into this
 * page, and must not thereby write into its siblings. (A robust mutex of the C library keeps its
 * list in it.) So no promise of order hangs on the lock: that SQLite's own keeps. */
struct page {
    uint32_t magic;
    _Atomic uint32_t lock; /* 0, or the holder's thread and the kernel's flags; see futex(2), PI */
    struct bell bells[DOORBELL_COUNT];
};

struct store_shared {
    struct page *page;
};

bool store_shared_create(int *fd, struct error *why)
{
    int made;
    void *memory;
    if (!shared_memory_create("letterlock-store", sizeof(struct page), &made, why))
        return false;
    if (!shared_memory_map(made, sizeof(struct page), &memory, why)) {
        close(made);
        return false;
    }
    struct page *page = memory;
    page->magic = PAGE_MAGIC;
    munmap(page, sizeof *page);
    *fd = made;
    return true;
}

bool store_shared_attach(int fd, struct store_shared **out, struct error *why)
{
    void *memory;
    if (!shared_memory_map(fd, sizeof(struct page), &memory, why))
        return false;
    struct page *page = memory;
    struct store_shared *shared = memory_allocate(sizeof *shared);
    if (!shared || page->magic != PAGE_MAGIC) {
        bool is_foreign = shared != NULL;
        memory_release(shared);
        munmap(memory, sizeof(struct page));
        return is_foreign ? error_set(why, ERROR_INTERNAL, "4.3.0",
                                      "the descriptor is not our shared page")
                          : error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
    }
    shared->page = page;
    *out = shared;
    return true;
}

void store_shared_free(struct store_shared *shared)
{
    if (!shared)
        return;
    munmap(shared->page, sizeof *shared->page);
    memory_release(shared);
}

/* The holder died while nobody waited. What it guarded is the database, which forgets what was not
 * committed: there is nothing to repair. */
static bool inherit(_Atomic uint32_t *lock, uint32_t self)
{
    uint32_t left = atomic_load(lock);

    return atomic_compare_exchange_strong(lock, &left, self | (left & FUTEX_WAITERS));
}

/* One holder was there for the whole wait. He is stuck, or has died, and his number is that of a
 * thread now that never gives the lock back: else each turn would begin with such a wait. Who still
 * sleeps in the kernel wakes at the end of his own. */
static bool take_from(_Atomic uint32_t *lock, uint32_t holder, uint32_t self)
{
    uint32_t left = atomic_load(lock);

    return holder != 0 && (left & FUTEX_TID_MASK) == holder &&
           atomic_compare_exchange_strong(lock, &left, self);
}

/* With FUTEX_LOCK_PI the kernel hands the lock to who has waited longest, so that whoever has just
 * given it back cannot have it again before him; and it does so too when the holder dies. Threads
 * are known by number, hence all roles must live in one PID namespace. */
bool fair_lock_take(struct store_shared *shared)
{
    return fair_lock_take_within(shared, STORE_BUSY_MS);
}

bool fair_lock_take_within(struct store_shared *shared, unsigned ms)
{
    if (!shared)
        return true;
    _Atomic uint32_t *lock = &shared->page->lock;
    uint32_t self = (uint32_t)gettid(), holder = 0;
    struct timespec until; /* of the wall clock, as the kernel wants it: a jump may cost a turn */

    if (atomic_compare_exchange_strong(lock, &holder, self))
        return true;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (futex_lock(lock, &until) < 0) {
        if (errno == ESRCH && inherit(lock, self))
            return true;
        if (errno == EDEADLK) /* a dead holder had the number that is ours now */
            return true;
        if (errno == ETIMEDOUT)
            return take_from(lock, holder & FUTEX_TID_MASK, self);
        if (errno != ESRCH && errno != EAGAIN && errno != EINTR)
            return false;
    }
    return true;
}

void fair_lock_give(struct store_shared *shared)
{
    if (!shared)
        return;
    _Atomic uint32_t *lock = &shared->page->lock;
    uint32_t self = (uint32_t)gettid(), left = self;
    if (atomic_compare_exchange_strong(lock, &left, 0) || futex_unlock(lock) == 0)
        return;
    /* It was taken from another one, in whose name the kernel still keeps sleepers; or from us. */
    while ((left & FUTEX_TID_MASK) == self && !atomic_compare_exchange_weak(lock, &left, 0))
        ;
}

void doorbell_ring(struct store_shared *shared, enum doorbell doorbell)
{
    struct bell *bell = &shared->page->bells[doorbell];

    /* Either the sleeper sees the new count before he sleeps, or he is seen here: both sides write
     * first and look afterwards. A sleeper that was killed costs one call, once. */
    atomic_fetch_add(&bell->count, 1);
    if (atomic_load(&bell->may_sleep) && atomic_exchange(&bell->may_sleep, 0))
        futex_wake_all(&bell->count);
}

uint32_t doorbell_count(struct store_shared *shared, enum doorbell doorbell)
{
    return atomic_load(&shared->page->bells[doorbell].count);
}

void doorbell_wait(struct store_shared *shared, enum doorbell doorbell, uint32_t seen,
                   struct deadline until)
{
    struct bell *bell = &shared->page->bells[doorbell];
    const struct timespec end = {.tv_sec = until.monotonic_ns / 1000000000,
                                 .tv_nsec = until.monotonic_ns % 1000000000};

    if (until.monotonic_ns <= 0)
        return;
    while (atomic_load(&bell->count) == seen && !deadline_is_over(until)) {
        atomic_store(&bell->may_sleep, 1);
        futex_wait(&bell->count, seen, &end);
    }
}
