/* What a worker does with a job: opens it, climbs its deliveries' ladders by the network until each
 * has ended or waits, and records how. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "job.h"
#include "recording.h"
#include "worker.h"

#include <stdbool.h>
#include <stddef.h>

/* Takes the job over. */
void attempt_job(struct worker *worker, struct job *job);

/* ---- try.c: one rung, over the hosts ---- */

struct
try {
    struct worker *worker;
    struct job *job;
    const struct policy *policy; /* in force */
    struct delivery **group;     /* those that go along: same way, same names, same route */
    size_t count;
    bool is_answered; /* some host talked to us */
    bool is_down;     /* none could be reached at all */
    bool was_busy;    /* nothing was tried: hosts have enough sessions with us */
    bool is_stopped;  /* we are stopping */
};
/* Each delivery of the group ends with a verdict, unless .was_busy or .is_stopped. */
void try_rung(struct try *t);

/* ---- aftermath.c: what follows ---- */

/* Where the deliveries of a job go after their verdicts; one recording at a time. */
struct aftermath {
    struct job *job;
    struct recording *recording;
    struct delivery **returning; /* wait for their report */
    size_t returning_count;
};
MUST_USE bool aftermath_begin(struct aftermath *aftermath, struct job *job);
/* By ladder_next(), with the delivery's verdict. It is over, returns, or stands on another rung. */
void aftermath_follow(struct aftermath *aftermath, struct delivery *delivery);
/* Returns, holds, climbs, without the network, what has lost its patience. */
void aftermath_expire(struct aftermath *aftermath, struct delivery *delivery);
void aftermath_put_back(struct aftermath *aftermath, struct delivery *delivery, int64_t in_ms);
/* The destination works, or was not reached at all. */
void aftermath_mark_up(struct aftermath *aftermath);
void aftermath_mark_down(struct aftermath *aftermath);
/* Posts what stands so far. */
void aftermath_post(struct aftermath *aftermath);
/* Returns with one report what returns, and posts. */
void aftermath_end(struct aftermath *aftermath);
/* A job that was never begun goes back into the store, with those that follow it by .next; takes
 * them over. */
void jobs_put_back(struct job *jobs, int64_t due_in_ms);
