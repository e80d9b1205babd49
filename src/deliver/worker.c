/* Threads that take jobs; hired when work comes, gone when none is left. */
/* SPDX-License-Identifier: ISC */
#include "worker.h"

#include "attempt.h"
#include "base/log.h"
#include "base/memory.h"
#include "deliver/limits.h"

void worker_watch(void *self, struct stream *stream)
{
    struct worker *worker = self;

    pthread_mutex_lock(&worker->lock);
    worker->stream = stream;
    if (stream && atomic_load(&worker->deliver->is_stopping))
        stream_shut(stream);
    pthread_mutex_unlock(&worker->lock);
}

bool worker_past_final(void *self, bool is_past)
{
    struct worker *worker = self;
    bool may_go;

    pthread_mutex_lock(&worker->lock);
    may_go = !is_past || !atomic_load(&worker->deliver->is_stopping);
    worker->is_past_final = is_past && may_go;
    pthread_mutex_unlock(&worker->lock);
    return may_go;
}

void worker_close_session(struct worker *worker)
{
    struct session_facts facts;

    if (!worker->session)
        return;
    facts = session_facts(worker->session);
    hosts_leave(worker->deliver->hosts, facts.host, facts.address, true);
    session_free(worker->session);
    worker->session = NULL;
}

static void *work(void *self)
{
    struct worker *worker = self;
    struct deliver *deliver = worker->deliver;
    struct job *job;

    for (;;) {
        enum schedule_news news =
            schedule_next(deliver->schedule, &worker->seat, worker->session != NULL, &job);

        if (news == NEWS_JOB)
            attempt_job(worker, job);
        else
            worker_close_session(worker);
        if (news == NEWS_END)
            break;
        if (news == NEWS_JOB)
            schedule_done(deliver->schedule, &worker->seat, worker->session != NULL);
    }
    pthread_mutex_lock(&deliver->lock);
    worker->has_ended = true;
    deliver->worker_count--;
    pthread_cond_broadcast(&deliver->changed);
    pthread_mutex_unlock(&deliver->lock);
    return NULL;
}

static void worker_free(struct worker *worker)
{
    seat_clear(&worker->seat);
    pthread_mutex_destroy(&worker->lock);
    memory_release(worker);
}

bool worker_hire(void *self)
{
    struct deliver *deliver = self;
    struct worker *worker = NULL;
    pthread_attr_t attributes;
    bool is_hired = false;

    pthread_mutex_lock(&deliver->lock);
    if (deliver->worker_count < deliver->terms.limits.workers_max &&
        !atomic_load(&deliver->is_stopping))
        worker = memory_allocate(sizeof *worker);
    if (worker) {
        worker->deliver = deliver;
        seat_init(&worker->seat);
        pthread_mutex_init(&worker->lock, NULL);
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, WORKER_STACK_BYTES);
        is_hired = pthread_create(&worker->thread, &attributes, work, worker) == 0;
        pthread_attr_destroy(&attributes);
    }
    if (is_hired) {
        worker->next = deliver->workers;
        deliver->workers = worker;
        deliver->worker_count++;
    } else if (worker) {
        worker_free(worker);
    }
    pthread_mutex_unlock(&deliver->lock);
    return is_hired;
}

void workers_shut(struct deliver *deliver, bool all)
{
    pthread_mutex_lock(&deliver->lock);
    for (struct worker *worker = deliver->workers; worker; worker = worker->next) {
        pthread_mutex_lock(&worker->lock);
        if (worker->stream && (all || !worker->is_past_final))
            stream_shut(worker->stream);
        pthread_mutex_unlock(&worker->lock);
    }
    pthread_mutex_unlock(&deliver->lock);
}

void workers_bury(struct deliver *deliver)
{
    struct worker **at, *ended = NULL;

    pthread_mutex_lock(&deliver->lock);
    at = &deliver->workers;
    while (*at) {
        struct worker *worker = *at;

        if (!worker->has_ended) {
            at = &worker->next;
            continue;
        }
        *at = worker->next;
        worker->next = ended;
        ended = worker;
    }
    pthread_mutex_unlock(&deliver->lock);
    while (ended) {
        struct worker *next = ended->next;

        pthread_join(ended->thread, NULL);
        worker_free(ended);
        ended = next;
    }
}
