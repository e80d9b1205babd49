/* A worker: a thread with at most one session, which it keeps between jobs. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "room.h"
#include "schedule.h"
#include "session.h"

#include <pthread.h>
#include <stdbool.h>

struct worker {
    struct deliver *deliver;
    pthread_t thread;
    struct seat seat;
    struct session *session; /* kept; NULL: none */
    bool has_ended;          /* under the room's lock, as the next is */
    struct worker *next;

    pthread_mutex_t lock;
    struct stream *stream; /* while it lives, so that its waits can be ended */
    bool is_past_final;
};

/* For session_terms.watch. */
void worker_watch(void *worker, struct stream *stream);
/* For transaction_terms.past_final. */
bool worker_past_final(void *worker, bool is_past);
/* Closes the kept session, if any. */
void worker_close_session(struct worker *worker);
