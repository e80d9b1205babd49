/* What all sessions of the process share: the terms, the counters, and the news that it ends. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "receive/receive.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;
struct pool; /* listener.c's: the threads of one listener */

enum { SERVICE_BUCKETS = 1024 };

/* Lock order: `lock` alone; it is never held across I/O. */
struct receive {
    struct receive_terms terms;
    struct receive_listener *listeners; /* our own copy */
    struct pool *pools;

    int stop_event; /* an eventfd that becomes readable, for good, when it is time to end */
    atomic_bool is_stopping;
    _Atomic int64_t grace_ns; /* when those inside a message must have ended */

    atomic_size_t bytes_in_flight; /* of all messages */
    atomic_uint transactions;      /* sessions inside one */

    pthread_mutex_t lock; /* for all below, and for what listener.c keeps in pools */
    pthread_cond_t changed;
    unsigned threads;
    unsigned sessions, sessions_peak; /* the peak since memory was last given back */
    struct session *by_address[SERVICE_BUCKETS];
    unsigned refusals_posted;  /* leaves about refusals that the store still holds */
    int64_t refusals_since_ns; /* when their minute began */
    unsigned refusals_this_minute;
    unsigned refusals_untold; /* beyond the limit: told by number in the next leaf */
};

/* Room for so many more bytes of messages? Then they must be given back. */
bool service_take_bytes(struct receive *receive, size_t bytes);
void service_give_bytes(struct receive *receive, size_t bytes);
/* Would there be room now? For a size that a client only declares. */
bool service_has_bytes(struct receive *receive, size_t bytes);
/* One more session inside a transaction? */
bool service_enter_transaction(struct receive *receive);
void service_leave_transaction(struct receive *receive);
static inline bool service_is_stopping(struct receive *receive)
{
    return atomic_load_explicit(&receive->is_stopping, memory_order_acquire);
}
static inline struct deadline service_grace(struct receive *receive)
{
    return (struct deadline){.monotonic_ns = atomic_load(&receive->grace_ns)};
}
