/* Randomness from the kernel through a small pool a thread, and a fixed stream for tests. */
/* SPDX-License-Identifier: ISC */
#include "base/entropy.h"

#include "base/secret.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    POOL_SIZE = 512,          /* one system call for some 50 names of messages */
    POOL_LARGEST_REQUEST = 64 /* more than a key comes from the kernel at once */
};

/* The last `left` bytes are fresh; what was handed out is wiped. */
static _Thread_local struct {
    uint8_t bytes[POOL_SIZE];
    size_t left;
} pool;

/* A child of fork() must not repeat its parent's bytes. It has one thread, whose pool this is. */
static void forget_pool(void)
{
    secret_wipe(pool.bytes, sizeof pool.bytes);
    pool.left = 0;
}

static pthread_once_t fork_guard = PTHREAD_ONCE_INIT;

static void guard_forks(void)
{
    if (pthread_atfork(NULL, NULL, forget_pool) != 0)
        abort();
}

static void ask_kernel(uint8_t *out, size_t len)
{
    while (len > 0) {
        ssize_t got = getrandom(out, len, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort(); /* without randomness there are no keys: better no gateway at all */
        out += got;
        len -= (size_t)got;
    }
}

static void system_fill(void *self, void *out, size_t len)
{
    uint8_t *fresh;

    (void)self;
    if (len > POOL_LARGEST_REQUEST) {
        ask_kernel(out, len);
        return;
    }
    if (len > pool.left) {
        pthread_once(&fork_guard, guard_forks);
        ask_kernel(pool.bytes, sizeof pool.bytes);
        pool.left = sizeof pool.bytes;
    }
    fresh = pool.bytes + sizeof pool.bytes - pool.left;
    memcpy(out, fresh, len);
    secret_wipe(fresh, len);
    pool.left -= len;
}

const struct entropy entropy_of_system = {.fill = system_fill};

/* SplitMix64 (Steele, Lea, Flood 2014): a counter, well mixed. */
static uint64_t next_of_seed(struct entropy_by_seed *seed)
{
    uint64_t z = seed->state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void seed_fill(void *self, void *out, size_t len)
{
    uint8_t *byte = out;

    while (len > 0) {
        uint64_t word = next_of_seed(self);

        for (size_t i = 0; i < sizeof word && len > 0; i++, len--) {
            *byte++ = (uint8_t)word;
            word >>= 8;
        }
    }
}

struct entropy entropy_by_seed(struct entropy_by_seed *seed)
{
    return (struct entropy){.fill = seed_fill, .self = seed};
}

uint32_t entropy_below(const struct entropy *entropy, uint32_t bound)
{
    uint32_t value, uneven;

    assert(bound > 0);
    uneven = (UINT32_MAX - bound + 1) % bound; /* 2^32 modulo bound: so many values are too many */
    do
        entropy_fill(entropy, &value, sizeof value);
    while (value < uneven);
    return value % bound;
}
