/* Starts the room and ends it: nothing is taken any more, what is past its final dot is heard. */
/* SPDX-License-Identifier: ISC */
#include "deliver/deliver.h"

#include "attempt.h"
#include "base/memory.h"
#include "deliver/limits.h"
#include "recording.h"
#include "room.h"

#include <errno.h>

static void has_room(void *self)
{
    struct deliver *deliver = self;

    doorbell_ring(deliver->terms.shared, DOORBELL_QUEUE);
}

static bool furnish(struct deliver *deliver, struct error *why)
{
    struct schedule_terms terms = {.limits = &deliver->terms.limits,
                                   .clock = deliver->terms.clock,
                                   .hire = worker_hire,
                                   .has_room = has_room,
                                   .self = deliver};
    pthread_condattr_t attributes;

    pthread_mutex_init(&deliver->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&deliver->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    deliver->unwritten_end = &deliver->unwritten;
    deliver->hosts = hosts_new();
    deliver->queue_clock = queue_clock_new(deliver->terms.clock);
    terms.queue_clock = deliver->queue_clock;
    if (deliver->hosts && deliver->queue_clock)
        deliver->schedule = schedule_new(&terms);
    return deliver->schedule || error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
}

bool deliver_start(const struct deliver_terms *terms, struct deliver **out, struct error *why)
{
    scoped(deliver) deliver = memory_allocate(sizeof *deliver);

    if (!deliver)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
    deliver->terms = *terms;
    if (!furnish(deliver, why))
        return false;
    while (!terms->handover && deliver->lease == 0)
        entropy_fill(terms->entropy, &deliver->lease, sizeof deliver->lease);
    if (terms->handover)
        deliver->lease = handover_lease(terms->handover);
    if (!store_leases_end(terms->store, deliver->lease, queue_clock_ms(deliver->queue_clock), why))
        return false;
    if (pthread_create(&deliver->runner, NULL, queue_run, deliver) != 0)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "the queue's thread cannot be started");
    deliver->has_runner = true;
    *out = deliver;
    deliver = NULL;
    return true;
}

/* Until no worker is left, or the deadline. */
static bool wait_for_workers(struct deliver *deliver, const struct deadline *until)
{
    bool are_gone;

    pthread_mutex_lock(&deliver->lock);
    while (deliver->worker_count > 0) {
        struct timespec at;

        if (!until) {
            pthread_cond_wait(&deliver->changed, &deliver->lock);
            continue;
        }
        at = (struct timespec){.tv_sec = (time_t)(until->monotonic_ns / 1000000000),
                               .tv_nsec = (long)(until->monotonic_ns % 1000000000)};
        if (pthread_cond_timedwait(&deliver->changed, &deliver->lock, &at) == ETIMEDOUT)
            break;
    }
    are_gone = deliver->worker_count == 0;
    pthread_mutex_unlock(&deliver->lock);
    return are_gone;
}

static void wait_for_recordings(struct deliver *deliver)
{
    recordings_post_again(deliver);
    pthread_mutex_lock(&deliver->lock);
    while (deliver->recordings > 0)
        pthread_cond_wait(&deliver->changed, &deliver->lock);
    pthread_mutex_unlock(&deliver->lock);
}

void deliver_stop(struct deliver *deliver, struct deadline grace)
{
    if (!deliver->has_runner)
        return;
    atomic_store(&deliver->is_stopping, true);
    doorbell_ring(deliver->terms.shared, DOORBELL_QUEUE);
    pthread_join(deliver->runner, NULL);
    deliver->has_runner = false;
    jobs_put_back(schedule_stop(deliver->schedule), 0);
    workers_shut(deliver, false);
    if (!wait_for_workers(deliver, &grace)) {
        workers_shut(deliver, true);
        wait_for_workers(deliver, NULL);
    }
    workers_bury(deliver);
    wait_for_recordings(deliver);
}

void deliver_free(struct deliver *deliver)
{
    if (!deliver)
        return;
    deliver_stop(deliver, deadline_in_ms(0));
    while (deliver->unwritten) { /* the store takes nothing: the leases will end */
        struct recording *next = deliver->unwritten->next;

        recording_free(deliver->unwritten);
        deliver->unwritten = next;
    }
    schedule_free(deliver->schedule);
    hosts_free(deliver->hosts);
    queue_clock_free(deliver->queue_clock);
    pthread_cond_destroy(&deliver->changed);
    pthread_mutex_destroy(&deliver->lock);
    memory_release(deliver);
}
