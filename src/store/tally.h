/* What a group of changes adds up to, row by row, and names whose row is known: two small hash
 * tables. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/span.h"
#include "store/store.h"

#include <stdint.h>

/* One count for each state of a delivery, then one for messages. */
enum { TALLY_MESSAGES = DELIVERY_STATE_COUNT, TALLY_COUNTS };

struct tally {
    int64_t row; /* 0: this slot is free */
    int64_t counts[TALLY_COUNTS];
};
/* By row. All zero is empty. */
struct tallies {
    struct tally *slots;
    size_t capacity, used; /* capacity: 0 or a power of two */
};
/* Added with zeros where it is not there; NULL when memory is out. Stays until the next call. */
struct tally *tally_of(struct tallies *tallies, int64_t row);
void tallies_empty(struct tallies *tallies); /* keeps its memory where that is little */
void tallies_clear(struct tallies *tallies);

/* Remembers at most STORE_NAMES_MAX; forgets all when it would be more. */
struct names {
    struct arena *texts;
    struct name *slots;
    size_t used;
    uint64_t seed; /* names come from outside: their slots must not be foreseen */
};
MUST_USE bool names_init(struct names *names, uint64_t seed);
void names_clear(struct names *names);
int64_t names_find(const struct names *names, struct span name); /* 0: not known */
void names_add(struct names *names, struct span name, int64_t row);
void names_forget(struct names *names);
