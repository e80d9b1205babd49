/* The thread that writes: it gathers what all others want written, commits once, and answers them.
 */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "ledger.h"
#include "store/store.h"

/* What is done within the writer's transaction. False: nothing of it is to stay. It may be run more
 * than once before it is answered (the group is run anew without a job that failed). */
typedef bool writer_job(struct ledger *ledger, void *self, struct error *why);

struct writer;
/* Opens its connection, which makes the database where there is none, and starts the thread. `path`
 * is copied. */
MUST_USE bool writer_start(const char *path, struct store_shared *shared, const struct clock *clock,
                           const struct entropy *entropy, struct writer **out, struct error *why);
/* Writes what is queued, then ends the thread. Accepts NULL. */
void writer_stop(struct writer *writer);

/* Waits until the job is durable, or not done. `changes`: how much it weighs in a group. */
MUST_USE bool writer_do(struct writer *writer, writer_job *job, void *self, size_t changes,
                        struct error *why);
/* Waits for room in the queue only. */
void writer_post(struct writer *writer, struct store_posting *posting);
