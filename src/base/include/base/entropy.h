/* Randomness as a thing that is handed in. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct entropy {
    void (*fill)(void *self, void *out, size_t len); /* cannot fail */
    void *self;
};

/* The kernel's generator; aborts where there is none. Thread-safe. */
extern const struct entropy entropy_of_system;

/* A fixed stream from a seed, for tests only. One thread at a time. */
struct entropy_by_seed {
    uint64_t state;
};
struct entropy entropy_by_seed(struct entropy_by_seed *seed);

static inline void entropy_fill(const struct entropy *entropy, void *out, size_t len)
{
    entropy->fill(entropy->self, out, len);
}
/* Even over 0 … bound-1; bound > 0. */
uint32_t entropy_below(const struct entropy *entropy, uint32_t bound);
