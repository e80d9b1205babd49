/* What the files of this room share: the room itself. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "deliver/deliver.h"
#include "hosts.h"
#include "queue_clock.h"
#include "schedule.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct recording;
struct worker;

struct deliver {
    struct deliver_terms terms;
    struct queue_clock *queue_clock;
    struct schedule *schedule;
    struct hosts *hosts;
    uint64_t lease;
    atomic_bool is_stopping;
    pthread_t runner;
    bool has_runner;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct worker *workers; /* all that were hired and not yet taken leave of */
    unsigned worker_count;  /* at work or idle */
    unsigned recordings;    /* posted, and not yet called back */
    struct recording *unwritten, **unwritten_end; /* the store could not take them; again later */
};

/* Lock order: the schedule's lock (under which workers are hired), then the room's, then a
 * worker's. */

/* queue_runner.c: the thread that finds out what is due. */
void *queue_run(void *deliver);
/* worker.c */
bool worker_hire(void *deliver);
/* Ends every wait before a final dot now; with `all` those behind it too. */
void workers_shut(struct deliver *deliver, bool all);
/* Joins those that have ended. */
void workers_bury(struct deliver *deliver);
