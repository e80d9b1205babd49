/* The only door to the heap: zeroed memory, NULL when there is none, and a switch for tests. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)

/* Zeroed; NULL when memory is out. */
void *memory_allocate(size_t size);
/* count * size with the overflow checked: NULL then. */
void *memory_allocate_array(size_t count, size_t size);
/* Keeps the first old_size bytes, zeroes what is new; on NULL the old block is untouched. */
void *memory_resize(void *block, size_t old_size, size_t new_size);
void memory_release(void *block); /* accepts NULL */

/* For tests: the n-th allocation from now fails (1 is the next), once; 0 switches this off. */
void memory_fail_after(unsigned n);

static inline __attribute__((warn_unused_result)) _Bool size_add(size_t a, size_t b, size_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}
static inline __attribute__((warn_unused_result)) _Bool size_multiply(size_t a, size_t b,
                                                                      size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}
