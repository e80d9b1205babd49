/* Limits that a caller may cut by their names: one table for each struct of them. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/scoped.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum limit_type { LIMIT_INT, LIMIT_UNSIGNED, LIMIT_SIZE, LIMIT_INT64 };

struct limit_place {
    const char *name;
    enum limit_type type;
    size_t offset; /* within the struct */
};
/* The row of a member, under the member's own name. Another type does not compile. */
#define LIMIT_PLACE(owner, member)                                                                 \
    {                                                                                              \
        .name = #member, .offset = offsetof(owner, member),                                        \
        .type = _Generic(((owner *)0)->member, int                                                 \
                         : LIMIT_INT, unsigned                                                     \
                         : LIMIT_UNSIGNED, size_t                                                  \
                         : LIMIT_SIZE, int64_t                                                     \
                         : LIMIT_INT64),                                                           \
    }

/* Sets the member of this name; false, and nothing is changed, where there is none, or where the
 * value is below `least` (0 or more) or above INT_MAX. */
MUST_USE bool limit_set(void *limits, const struct limit_place *places, size_t count,
                        struct span name, long long value, long long least);
