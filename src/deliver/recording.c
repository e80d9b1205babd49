/* Batches on their way into the store; none is lost while the store cannot write. */
/* SPDX-License-Identifier: ISC */
#include "recording.h"

#include "base/log.h"
#include "base/memory.h"
#include "deliver/limits.h"
#include "job.h"
#include "room.h"

#include <assert.h>

struct recording *recording_new(struct deliver *deliver)
{
    struct recording *recording = memory_allocate(sizeof *recording);

    if (!recording)
        return NULL;
    recording->deliver = deliver;
    recording->arena = arena_new("recording", JOB_ARENA_MAX);
    if (!recording->arena) {
        memory_release(recording);
        return NULL;
    }
    return recording;
}

void recording_free(struct recording *recording)
{
    if (!recording)
        return;
    for (size_t i = 0; i < recording->job_count; i++)
        job_unref(recording->jobs[i]);
    arena_free(recording->arena);
    memory_release(recording);
}

struct store_change *recording_add(struct recording *recording)
{
    if (recording->count == recording->capacity) {
        size_t capacity = recording->capacity ? recording->capacity * 4 : RECORDING_CHANGES_FIRST;
        struct store_change *changes =
            arena_take_array(recording->arena, capacity, sizeof *changes);

        if (!changes)
            return NULL;
        if (recording->count > 0)
            memcpy(changes, recording->changes, recording->count * sizeof *changes);
        recording->changes = changes;
        recording->capacity = capacity;
    }
    return &recording->changes[recording->count++];
}

bool recording_hold(struct recording *recording, struct job *job)
{
    if (recording->job_count == recording->job_capacity) {
        size_t capacity = recording->job_capacity ? recording->job_capacity * 4 : 4;
        struct job **jobs = arena_take_array(recording->arena, capacity, sizeof(struct job *));

        if (!jobs)
            return false;
        if (recording->job_count > 0)
            memcpy(jobs, recording->jobs, recording->job_count * sizeof(struct job *));
        recording->jobs = jobs;
        recording->job_capacity = capacity;
    }
    job_ref(job);
    recording->jobs[recording->job_count++] = job;
    return true;
}

/* On the writer's thread: nothing here waits, and the store is not called. */
static void written(struct store_posting *posting, const struct error *why)
{
    struct recording *recording = (struct recording *)posting;
    struct deliver *deliver = recording->deliver;
    bool is_for_later = why && why->kind == ERROR_TEMPORARY;
    bool makes_work = recording->makes_work && !why;

    if (why && !is_for_later)
        log_error(LOG_LEVEL_ALARM, "a delivery's outcome could not be recorded", why);
    if (!is_for_later)
        recording_free(recording);
    pthread_mutex_lock(&deliver->lock);
    if (is_for_later) {
        recording->next = NULL;
        *deliver->unwritten_end = recording;
        deliver->unwritten_end = &recording->next;
    }
    assert(deliver->recordings > 0);
    deliver->recordings--;
    pthread_cond_broadcast(&deliver->changed);
    if (makes_work || is_for_later)
        doorbell_ring(deliver->terms.shared, DOORBELL_QUEUE);
    pthread_mutex_unlock(&deliver->lock);
}

void recording_post(struct recording *recording)
{
    struct deliver *deliver = recording->deliver;

    if (recording->count == 0) {
        recording_free(recording);
        return;
    }
    pthread_mutex_lock(&deliver->lock);
    deliver->recordings++;
    pthread_mutex_unlock(&deliver->lock);
    recording->posting = (struct store_posting){
        .batch = {.changes = recording->changes, .count = recording->count},
        .done = written,
    };
    store_post(deliver->terms.store, &recording->posting);
}

bool recordings_post_again(struct deliver *deliver)
{
    struct recording *list;
    bool had_some;

    pthread_mutex_lock(&deliver->lock);
    list = deliver->unwritten;
    deliver->unwritten = NULL;
    deliver->unwritten_end = &deliver->unwritten;
    pthread_mutex_unlock(&deliver->lock);
    had_some = list != NULL;
    while (list) {
        struct recording *next = list->next;

        recording_post(list);
        list = next;
    }
    return had_some;
}
