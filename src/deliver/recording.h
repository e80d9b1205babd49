/* What one job has to write down, posted to the store as one batch, and offered again until the
 * store takes it. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/scoped.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

struct deliver;
struct job;

enum { RECORDING_CHANGES_FIRST = 8 };
struct recording {
    struct store_posting posting; /* first: done() is handed this */
    struct deliver *deliver;
    struct arena *arena; /* all that the batch points to */
    struct store_change *changes;
    size_t count, capacity;
    struct job **jobs; /* each referenced until it is written */
    size_t job_count, job_capacity;
    bool makes_work;        /* something is due by it: the runner looks again once it is written */
    struct recording *next; /* among the unwritten */
};
/* NULL: memory is out. */
struct recording *recording_new(struct deliver *deliver);
void recording_free(struct recording *recording); /* unposted, or written */
SCOPED_FREE(recording)
/* A zeroed change at the end; NULL: memory is out. Valid until the next one is added. */
struct store_change *recording_add(struct recording *recording);
/* Keeps the job until the batch is written. */
MUST_USE bool recording_hold(struct recording *recording, struct job *job);
/* Takes the recording over. */
void recording_post(struct recording *recording);
/* The runner's: offers again what could not be written. True when there was something. */
bool recordings_post_again(struct deliver *deliver);
