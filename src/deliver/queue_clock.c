/* Runs ahead of a wall clock that was set back, so that no retry waits an hour longer for it. */
/* SPDX-License-Identifier: ISC */
#include "queue_clock.h"

#include "base/memory.h"
#include "deliver/limits.h"

#include <pthread.h>

struct queue_clock {
    const struct clock *clock;
    pthread_mutex_t lock;
    int64_t ahead_ms, last_wall_ms, last_monotonic_ns;
    int64_t set_by_ms; /* not yet told */
};

struct queue_clock *queue_clock_new(const struct clock *clock)
{
    struct queue_clock *queue_clock = memory_allocate(sizeof *queue_clock);

    if (!queue_clock)
        return NULL;
    pthread_mutex_init(&queue_clock->lock, NULL);
    queue_clock->clock = clock;
    queue_clock->last_wall_ms = clock_wall_ms(clock);
    queue_clock->last_monotonic_ns = clock_monotonic_ns(clock);
    return queue_clock;
}

void queue_clock_free(struct queue_clock *queue_clock)
{
    if (!queue_clock)
        return;
    pthread_mutex_destroy(&queue_clock->lock);
    memory_release(queue_clock);
}

/* Follows the wall clock while it goes on as the monotonic one does. Set back, we run ahead of it
 * by that much; set forward, the lead shrinks. */
static void follow(struct queue_clock *queue_clock)
{
    int64_t wall_ms = clock_wall_ms(queue_clock->clock);
    int64_t monotonic_ns = clock_monotonic_ns(queue_clock->clock);
    int64_t gone_ms = (monotonic_ns - queue_clock->last_monotonic_ns) / 1000000;
    int64_t step_ms = wall_ms - queue_clock->last_wall_ms - gone_ms;

    if (step_ms < -CLOCK_STEP_MS || step_ms > CLOCK_STEP_MS) {
        queue_clock->set_by_ms += step_ms;
        queue_clock->ahead_ms -= step_ms;
        if (queue_clock->ahead_ms < 0)
            queue_clock->ahead_ms = 0;
    }
    queue_clock->last_wall_ms = wall_ms;
    queue_clock->last_monotonic_ns = monotonic_ns;
}

int64_t queue_clock_ms(struct queue_clock *queue_clock)
{
    int64_t now_ms;

    pthread_mutex_lock(&queue_clock->lock);
    follow(queue_clock);
    now_ms = queue_clock->last_wall_ms + queue_clock->ahead_ms;
    pthread_mutex_unlock(&queue_clock->lock);
    return now_ms;
}

int64_t queue_clock_ahead_ms(struct queue_clock *queue_clock)
{
    int64_t ahead_ms;

    pthread_mutex_lock(&queue_clock->lock);
    follow(queue_clock);
    ahead_ms = queue_clock->ahead_ms;
    pthread_mutex_unlock(&queue_clock->lock);
    return ahead_ms;
}

bool queue_clock_was_set(struct queue_clock *queue_clock, int64_t *by_ms)
{
    bool was_set;

    pthread_mutex_lock(&queue_clock->lock);
    follow(queue_clock);
    was_set = queue_clock->set_by_ms != 0;
    if (was_set)
        *by_ms = queue_clock->set_by_ms;
    queue_clock->set_by_ms = 0;
    pthread_mutex_unlock(&queue_clock->lock);
    return was_set;
}
