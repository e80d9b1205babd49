/* The heap behind one door, so that a test can fail any allocation by its number. */
/* SPDX-License-Identifier: ISC */
#include "base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* How many allocations are left until one fails; 0 is off. */
static atomic_uint countdown;

static bool must_fail(void)
{
    unsigned left = atomic_load_explicit(&countdown, memory_order_relaxed);

    while (left > 0)
        if (atomic_compare_exchange_weak(&countdown, &left, left - 1))
            return left == 1;
    return false;
}

void *memory_allocate(size_t size)
{
    return memory_allocate_array(1, size);
}

void *memory_allocate_array(size_t count, size_t size)
{
    size_t total;

    if (must_fail() || !size_multiply(count, size, &total))
        return NULL;
    return calloc(1, total > 0 ? total : 1);
}

void *memory_resize(void *block, size_t old_size, size_t new_size)
{
    char *resized;

    if (must_fail())
        return NULL;
    resized = realloc(block, new_size > 0 ? new_size : 1);
    if (resized && new_size > old_size)
        memset(resized + old_size, 0, new_size - old_size);
    return resized;
}

void memory_release(void *block)
{
    free(block);
}

void memory_fail_after(unsigned n)
{
    atomic_store(&countdown, n);
}
