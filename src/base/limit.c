/* Limits set by name, whatever the type of each. */
/* SPDX-License-Identifier: ISC */
#include "base/limit.h"

#include <assert.h>
#include <limits.h>

static void put(char *member, enum limit_type type, long long value)
{
    switch (type) {
    case LIMIT_INT:
        memcpy(member, &(int){(int)value}, sizeof(int));
        break;
    case LIMIT_UNSIGNED:
        memcpy(member, &(unsigned){(unsigned)value}, sizeof(unsigned));
        break;
    case LIMIT_SIZE:
        memcpy(member, &(size_t){(size_t)value}, sizeof(size_t));
        break;
    case LIMIT_INT64:
        memcpy(member, &(int64_t){value}, sizeof(int64_t));
        break;
    }
}

bool limit_set(void *limits, const struct limit_place *places, size_t count, struct span name,
               long long value, long long least)
{
    assert(least >= 0);
    if (value < least || value > INT_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!span_equal(name, span_of(places[i].name)))
            continue;
        put((char *)limits + places[i].offset, places[i].type, value);
        return true;
    }
    return false;
}
