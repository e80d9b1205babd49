/* A destination: a queue of jobs and what is known of where they go. The table of them is bounded;
 * what is idle is forgotten when it is full. The schedule's own, under its lock. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/span.h"
#include "deliver/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct job;

struct destination {
    struct span name;
    struct arena *arena; /* the name's */
    struct job *first, **last;
    size_t waiting;
    unsigned sessions; /* workers that are there */
    int64_t works_until_ns;
    int64_t full_until_ns; /* no more sessions than those that are there */
    int64_t put_off_until_ms;
    uint32_t failures;
    bool knows_failures;
    bool is_told_busy; /* the runner claims nothing of it until it is told otherwise */
    bool is_ready;     /* in the list below: jobs wait */
    TAILQ_ENTRY(destination) ready;
    struct destination *next;
};
TAILQ_HEAD(ready_list, destination);

struct destinations {
    struct destination *buckets[TABLE_BUCKETS];
    size_t count;
};
/* Makes it where it is not there. NULL: memory is out, or all of many are busy. */
struct destination *destinations_find(struct destinations *table, struct span name);
void destinations_clear(struct destinations *table);
/* Which of TABLE_BUCKETS these bytes fall into. */
size_t destinations_bucket(struct span bytes);
