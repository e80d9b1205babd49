/* One page that the roles share: a baton of two robust mutexes, and doorbells to sleep by. */
/* SPDX-License-Identifier: ISC */
#include "store/shared.h"

#include "base/memory.h"
#include "fair_lock.h"
#include "futex.h"
#include "shared_memory.h"
#include "store/limits.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

/* Each in a cache line of its own. */
struct bell {
    _Alignas(64) _Atomic uint32_t count;
    _Atomic uint32_t may_sleep; /* somebody may be asleep; put back to 0 by whoever wakes him */
};

enum { PAGE_MAGIC = 0x4c4c5331 /* "LLS1": the layout's version is in it */ };

struct page {
    uint32_t magic;
    /* Who waits for the store holds `turn` while he waits for `store`. So whoever has just given
     * the store back cannot have it again before him: processes alternate. */
    pthread_mutex_t turn, store;
    struct bell bells[DOORBELL_COUNT];
};

struct store_shared {
    struct page *page;
};

static bool mutex_prepare(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes))
        return false;
    bool done = !pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) &&
                !pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) &&
                !pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return done;
}

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
    bool is_ready = mutex_prepare(&page->turn) && mutex_prepare(&page->store);
    page->magic = PAGE_MAGIC;
    munmap(page, sizeof *page);
    if (!is_ready) {
        close(made);
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no mutexes that processes can share");
    }
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

static bool mutex_take(pthread_mutex_t *mutex, const struct timespec *until)
{
    int outcome = pthread_mutex_timedlock(mutex, until);
    if (outcome == EOWNERDEAD) {
        /* Its holder was killed. What it guarded is the database, which forgets what was not
         * committed: there is nothing to repair but the mutex. */
        outcome = pthread_mutex_consistent(mutex);
    }
    return outcome == 0;
}

bool fair_lock_take(struct store_shared *shared)
{
    if (!shared)
        return true;
    /* By the wall clock, the only one that thread sanitizers know here; where it jumps, a turn is
     * lost, and SQLite's lock still keeps order. */
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STORE_BUSY_MS / 1000;
    if (!mutex_take(&shared->page->turn, &until))
        return false;
    bool is_taken = mutex_take(&shared->page->store, &until);
    pthread_mutex_unlock(&shared->page->turn);
    return is_taken;
}

void fair_lock_give(struct store_shared *shared)
{
    if (shared)
        pthread_mutex_unlock(&shared->page->store);
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
