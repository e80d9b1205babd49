/* Who delivers what next: jobs wait by destination, workers take them in turn, and neither a dead
 * destination nor a large message holds up the others.
 *
 * Its one lock is held for no I/O; for its place among the others see room.h. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/clock.h"
#include "base/id.h"
#include "base/scoped.h"
#include "base/span.h"
#include "deliver/deliver.h"
#include "queue_clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct job;
struct letter;
struct schedule;
struct destination; /* a queue of jobs and what is known of where they go */

struct schedule_terms {
    const struct deliver_limits *limits;
    const struct clock *clock;
    struct queue_clock *queue_clock;
    /* Starts one more worker, with the lock held; false: it cannot. */
    bool (*hire)(void *self);
    /* There is room for more jobs again; may be called with the lock held. */
    void (*has_room)(void *self);
    void *self;
};
struct schedule *schedule_new(const struct schedule_terms *terms);
void schedule_free(struct schedule *schedule);
SCOPED_FREE(schedule)

/* What each thread that delivers hands in: its seat at the schedule. */
struct seat {
    struct destination *at; /* where its session is, or its job goes */
    struct seat *next;      /* among the idle */
    bool is_idle, has_session, is_called;
    bool is_unproven; /* its job goes where nothing has worked lately */
    pthread_cond_t condition;
};
void seat_init(struct seat *seat);
void seat_clear(struct seat *seat);

/* ---- the runner's side ---- */

/* May so many more bytes of content come into hand now, and one more job? */
bool schedule_has_room(struct schedule *schedule, size_t bytes);
/* A letter's body counts from when it comes into hand (a fresh one's at once, a claimed one's when
 * its first job is given out) until it is returned. */
void schedule_take_letter(struct schedule *schedule, struct letter *letter);
void schedule_return_letter(struct schedule *schedule, struct letter *letter);
enum schedule_add {
    SCHEDULE_ADDED,
    SCHEDULE_PUT_OFF, /* the destination is not to be tried now: put it back into the store */
    SCHEDULE_FULL,    /* it has more in hand than it can serve: the same */
};
/* `is_due_by_store`: claimed, so that the store has found its destination due. */
enum schedule_add schedule_add(struct schedule *schedule, struct job *job, bool is_due_by_store);
/* Every job in hand is counted, and found by its message, from here … */
void schedule_register(struct schedule *schedule, struct job *job);
/* … to here. */
void schedule_unregister(struct schedule *schedule, struct job *job);
bool schedule_holds(struct schedule *schedule, struct id message, uint32_t delivery);
size_t schedule_jobs(struct schedule *schedule);
/* Names of destinations of which nothing more should be claimed; they live in the arena. */
size_t schedule_busy(struct schedule *schedule, struct arena *arena, struct span **names);
/* No more jobs are given out; those that wait come back as a list by .next. */
struct job *schedule_stop(struct schedule *schedule);

/* ---- the workers' side ---- */

enum schedule_news {
    NEWS_JOB,
    NEWS_IDLE, /* nothing for this destination for a while: close the session */
    NEWS_END,  /* we stop, or nobody needs this worker any more */
};
/* Waits for the next job, first of the destination where the worker has its session. */
enum schedule_news schedule_next(struct schedule *schedule, struct seat *seat, bool has_session,
                                 struct job **job);
/* The job is done; without a session the worker is no longer anywhere. */
void schedule_done(struct schedule *schedule, struct seat *seat, bool has_session);
/* It works: true where the store has to be told that it is up again. */
bool schedule_mark_up(struct schedule *schedule, struct destination *destination);
/* Its hosts have as many sessions with us as they take: for a while no other worker turns to it.
 * Where those sessions are all for other destinations, the jobs that wait come back by .next. */
struct job *schedule_mark_full(struct schedule *schedule, struct destination *destination);
/* It did not work, for the `failures`th time: nothing more before `until_ms` (queue time). The jobs
 * that wait for it come back as a list by .next. */
struct job *schedule_mark_down(struct schedule *schedule, struct destination *destination,
                               int64_t until_ms, uint32_t failures);
/* How often it failed; false where that is only in the store, which is asked once. */
bool schedule_knows_failures(struct schedule *schedule, struct destination *destination,
                             uint32_t *failures);
void schedule_learn_failures(struct schedule *schedule, struct destination *destination,
                             uint32_t failures);
