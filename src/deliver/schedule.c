/* Jobs by destination, given out in turn. */
/* SPDX-License-Identifier: ISC */
#include "schedule.h"

#include "base/memory.h"
#include "deliver/limits.h"
#include "destination.h"
#include "job.h"

#include <assert.h>
#include <errno.h>
#include <sys/queue.h>

enum { WORKER_IDLE_MS = 60 * 1000 };

struct schedule {
    struct schedule_terms terms;
    pthread_mutex_t lock;
    struct destinations destinations;
    struct ready_list ready;
    struct seat *idle;
    unsigned unproven; /* workers at destinations that have not worked lately */
    struct job *in_hand[TABLE_BUCKETS];
    size_t jobs, bytes;
    bool is_full_told, is_stopping;
};

void seat_init(struct seat *seat)
{
    pthread_condattr_t attributes;

    *seat = (struct seat){0};
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&seat->condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

void seat_clear(struct seat *seat)
{
    pthread_cond_destroy(&seat->condition);
}

struct schedule *schedule_new(const struct schedule_terms *terms)
{
    struct schedule *schedule = memory_allocate(sizeof *schedule);

    if (!schedule)
        return NULL;
    schedule->terms = *terms;
    pthread_mutex_init(&schedule->lock, NULL);
    TAILQ_INIT(&schedule->ready);
    return schedule;
}

void schedule_free(struct schedule *schedule)
{
    if (!schedule)
        return;
    destinations_clear(&schedule->destinations);
    pthread_mutex_destroy(&schedule->lock);
    memory_release(schedule);
}

static int64_t now_ns(const struct schedule *schedule)
{
    return clock_monotonic_ns(schedule->terms.clock);
}

/* ---- destinations ---- */

static bool works(const struct schedule *schedule, const struct destination *destination)
{
    return destination->name.len == 0 || destination->works_until_ns > now_ns(schedule);
}

static void leave(struct seat *seat)
{
    if (!seat->at)
        return;
    assert(seat->at->sessions > 0);
    seat->at->sessions--;
    seat->at = NULL;
}

static size_t bytes_needed(const struct job *job)
{
    return job->kind == JOB_EXPIRED || job->letter->bytes_counted > 0 ? 0 : job->letter->size;
}

static bool has_bytes(const struct schedule *schedule, size_t bytes)
{
    size_t sum;

    if (bytes == 0 || schedule->bytes == 0) /* one message may always pass, however large */
        return true;
    return size_add(schedule->bytes, bytes, &sum) &&
           sum <= schedule->terms.limits->bytes_in_hand_max;
}

/* How many jobs may wait for it here. */
static size_t waiting_max(const struct schedule *schedule, const struct destination *destination)
{
    size_t half = JOBS_IN_HAND_MAX / 2;

    if (works(schedule, destination))
        return JOBS_PER_DESTINATION_MAX;
    if (schedule->jobs + JOBS_UNPROVEN_SHARE < half)
        return (half - schedule->jobs) / JOBS_UNPROVEN_SHARE;
    return schedule->jobs < half + half / 2 ? 1 : 0;
}

/* May one more worker turn to it? */
static bool has_place(const struct schedule *schedule, const struct destination *destination)
{
    const struct deliver_limits *limits = schedule->terms.limits;

    /* Those that are there go on with what waits; were none there, nobody would. */
    if (destination->sessions > 0 && destination->full_until_ns > now_ns(schedule))
        return false;
    if (works(schedule, destination))
        return destination->sessions < limits->sessions_per_destination;
    return destination->sessions < limits->first_sessions &&
           schedule->unproven < (limits->workers_max + 1) / 2;
}

static bool is_next_for(const struct schedule *schedule, const struct seat *seat,
                        const struct destination *destination)
{
    if (!destination->first || !has_bytes(schedule, bytes_needed(destination->first)))
        return false;
    return (seat && seat->at == destination) || has_place(schedule, destination);
}

static void take_out_of_line(struct schedule *schedule, struct destination *destination)
{
    if (destination->is_ready)
        TAILQ_REMOVE(&schedule->ready, destination, ready);
    destination->is_ready = false;
}

static void put_in_line(struct schedule *schedule, struct destination *destination)
{
    take_out_of_line(schedule, destination);
    if (!destination->first)
        return;
    TAILQ_INSERT_TAIL(&schedule->ready, destination, ready);
    destination->is_ready = true;
}

/* ---- the runner's side ---- */

bool schedule_has_room(struct schedule *schedule, size_t bytes)
{
    bool has_room;

    pthread_mutex_lock(&schedule->lock);
    has_room = schedule->jobs < JOBS_IN_HAND_MAX && has_bytes(schedule, bytes);
    if (!has_room)
        schedule->is_full_told = true;
    pthread_mutex_unlock(&schedule->lock);
    return has_room;
}

/* With the lock held: whether the runner waits for what was just given back. */
static bool tells_room(struct schedule *schedule)
{
    bool tells = schedule->is_full_told && schedule->jobs <= JOBS_IN_HAND_MAX / 2 &&
                 schedule->bytes <= schedule->terms.limits->bytes_in_hand_max / 2;

    if (tells)
        schedule->is_full_told = false;
    return tells;
}

void schedule_take_letter(struct schedule *schedule, struct letter *letter)
{
    pthread_mutex_lock(&schedule->lock);
    assert(letter->bytes_counted == 0);
    letter->bytes_counted = letter->size;
    schedule->bytes += letter->size;
    pthread_mutex_unlock(&schedule->lock);
}

void schedule_return_letter(struct schedule *schedule, struct letter *letter)
{
    bool tells;

    pthread_mutex_lock(&schedule->lock);
    schedule->bytes -= letter->bytes_counted;
    letter->bytes_counted = 0;
    tells = tells_room(schedule);
    pthread_mutex_unlock(&schedule->lock);
    if (tells)
        schedule->terms.has_room(schedule->terms.self);
}

static struct seat *take_from_idle(struct schedule *schedule, struct seat *wanted)
{
    for (struct seat **at = &schedule->idle; *at; at = &(*at)->next)
        if (*at == wanted) {
            *at = wanted->next;
            wanted->is_idle = false;
            return wanted;
        }
    return NULL;
}

/* Calls one worker for the destination's next job: the one whose session is there, else one
 * without any, else a new one, else one whose session is elsewhere. */
static void call_somebody(struct schedule *schedule, struct destination *destination)
{
    struct seat *there = NULL, *free_one = NULL, *elsewhere = NULL, *called;

    for (struct seat *seat = schedule->idle; seat; seat = seat->next) {
        if (seat->at == destination && is_next_for(schedule, seat, destination))
            there = seat;
        else if (!seat->has_session)
            free_one = seat;
        else
            elsewhere = seat;
    }
    if (!there && !is_next_for(schedule, NULL, destination))
        return;
    called = there ? there : free_one;
    if (!called && schedule->terms.hire(schedule->terms.self))
        return;
    if (!called)
        called = elsewhere;
    if (!called)
        return; /* all are at work, and look for more when they are done */
    take_from_idle(schedule, called);
    called->is_called = true;
    pthread_cond_signal(&called->condition);
}

enum schedule_add schedule_add(struct schedule *schedule, struct job *job, bool is_due_by_store)
{
    int64_t now_ms = queue_clock_ms(schedule->terms.queue_clock);
    enum schedule_add result = SCHEDULE_ADDED;
    struct destination *destination;
    size_t most;

    pthread_mutex_lock(&schedule->lock);
    destination = destinations_find(&schedule->destinations, job->destination_name);
    most = destination ? waiting_max(schedule, destination) : 0;
    if (!destination || schedule->is_stopping || destination->waiting >= most) {
        result = SCHEDULE_FULL;
    } else if (!is_due_by_store && destination->put_off_until_ms > now_ms) {
        result = SCHEDULE_PUT_OFF;
    } else {
        job->destination = destination;
        job->next = NULL;
        *destination->last = job;
        destination->last = &job->next;
        if (destination->waiting++ == 0)
            put_in_line(schedule, destination);
        call_somebody(schedule, destination);
    }
    pthread_mutex_unlock(&schedule->lock);
    return result;
}

static struct job **hand_of(struct schedule *schedule, struct id message)
{
    return &schedule->in_hand[destinations_bucket(span_make(message.bytes, sizeof message.bytes))];
}

void schedule_register(struct schedule *schedule, struct job *job)
{
    struct job **hand;

    pthread_mutex_lock(&schedule->lock);
    hand = hand_of(schedule, job->letter->id);
    job->next_in_hand = *hand;
    *hand = job;
    schedule->jobs++;
    pthread_mutex_unlock(&schedule->lock);
}

void schedule_unregister(struct schedule *schedule, struct job *job)
{
    struct job **at;
    bool tells;

    pthread_mutex_lock(&schedule->lock);
    at = hand_of(schedule, job->letter->id);
    while (*at != job)
        at = &(*at)->next_in_hand;
    *at = job->next_in_hand;
    schedule->jobs--;
    tells = tells_room(schedule);
    pthread_mutex_unlock(&schedule->lock);
    if (tells)
        schedule->terms.has_room(schedule->terms.self);
}

bool schedule_holds(struct schedule *schedule, struct id message, uint32_t delivery)
{
    bool holds = false;

    pthread_mutex_lock(&schedule->lock);
    for (struct job *job = *hand_of(schedule, message); job && !holds; job = job->next_in_hand)
        for (size_t i = 0; i < job->count && id_equal(job->letter->id, message); i++)
            holds = holds || job->deliveries[i].number == delivery;
    pthread_mutex_unlock(&schedule->lock);
    return holds;
}

size_t schedule_jobs(struct schedule *schedule)
{
    size_t jobs;

    pthread_mutex_lock(&schedule->lock);
    jobs = schedule->jobs;
    pthread_mutex_unlock(&schedule->lock);
    return jobs;
}

size_t schedule_busy(struct schedule *schedule, struct arena *arena, struct span **names)
{
    size_t count = 0, found = 0;
    struct destination *destination;

    pthread_mutex_lock(&schedule->lock);
    TAILQ_FOREACH(destination, &schedule->ready, ready)
    count++;
    *names = arena_take_array(arena, count, sizeof **names);
    if (*names)
        TAILQ_FOREACH(destination, &schedule->ready, ready)
        {
            size_t most = waiting_max(schedule, destination);

            if (destination->waiting < most / 2 || destination->name.len == 0)
                continue;
            (*names)[found] = arena_copy(arena, destination->name);
            if (!(*names)[found].data)
                continue;
            found++;
            destination->is_told_busy = true;
        }
    pthread_mutex_unlock(&schedule->lock);
    return found;
}

static struct job *take_all(struct schedule *schedule, struct destination *destination)
{
    struct job *jobs = destination->first;

    take_out_of_line(schedule, destination);
    destination->first = NULL;
    destination->last = &destination->first;
    destination->waiting = 0;
    return jobs;
}

struct job *schedule_stop(struct schedule *schedule)
{
    struct job *all = NULL;

    pthread_mutex_lock(&schedule->lock);
    schedule->is_stopping = true;
    while (!TAILQ_EMPTY(&schedule->ready)) {
        struct job *jobs = take_all(schedule, TAILQ_FIRST(&schedule->ready));

        while (jobs) {
            struct job *next = jobs->next;

            jobs->next = all;
            all = jobs;
            jobs = next;
        }
    }
    for (struct seat *seat = schedule->idle; seat; seat = seat->next) {
        seat->is_called = true;
        pthread_cond_signal(&seat->condition);
    }
    pthread_mutex_unlock(&schedule->lock);
    return all;
}

/* ---- the workers' side ---- */

static struct destination *choose(struct schedule *schedule, const struct seat *seat)
{
    struct destination *destination;

    if (seat->at && is_next_for(schedule, seat, seat->at))
        return seat->at;
    TAILQ_FOREACH(destination, &schedule->ready, ready)
    if (is_next_for(schedule, seat, destination))
        return destination;
    return NULL;
}

static struct job *give_out(struct schedule *schedule, struct seat *seat,
                            struct destination *destination)
{
    struct job *job = destination->first;
    size_t bytes = bytes_needed(job);

    destination->first = job->next;
    if (!destination->first)
        destination->last = &destination->first;
    destination->waiting--;
    job->next = NULL;
    put_in_line(schedule, destination); /* behind the others, or out */
    if (destination->is_told_busy &&
        destination->waiting <= waiting_max(schedule, destination) / 4) {
        destination->is_told_busy = false;
        schedule->terms.has_room(schedule->terms.self);
    }
    if (bytes > 0) {
        job->letter->bytes_counted = bytes;
        schedule->bytes += bytes;
    }
    if (seat->at != destination) {
        leave(seat);
        seat->at = destination;
        destination->sessions++;
    }
    if (!works(schedule, destination)) {
        schedule->unproven++;
        seat->is_unproven = true;
    }
    return job;
}

/* True when called; false when nothing came for so long. */
static bool wait_idle(struct schedule *schedule, struct seat *seat, int64_t ms)
{
    struct deadline until = deadline_in_ms(ms);
    struct timespec at = {.tv_sec = (time_t)(until.monotonic_ns / 1000000000),
                          .tv_nsec = (long)(until.monotonic_ns % 1000000000)};

    seat->is_called = false;
    seat->is_idle = true;
    seat->next = schedule->idle;
    schedule->idle = seat;
    while (!seat->is_called && !schedule->is_stopping)
        if (pthread_cond_timedwait(&seat->condition, &schedule->lock, &at) == ETIMEDOUT)
            break;
    take_from_idle(schedule, seat);
    return seat->is_called;
}

enum schedule_news schedule_next(struct schedule *schedule, struct seat *seat, bool has_session,
                                 struct job **job)
{
    enum schedule_news news = NEWS_END;

    pthread_mutex_lock(&schedule->lock);
    seat->has_session = has_session;
    while (!schedule->is_stopping) {
        struct destination *destination = choose(schedule, seat);

        if (destination) {
            *job = give_out(schedule, seat, destination);
            news = NEWS_JOB;
            break;
        }
        if (!wait_idle(schedule, seat,
                       has_session ? schedule->terms.limits->idle_session_ms : WORKER_IDLE_MS)) {
            news = has_session && !schedule->is_stopping ? NEWS_IDLE : NEWS_END;
            break;
        }
    }
    if (news != NEWS_JOB)
        leave(seat);
    pthread_mutex_unlock(&schedule->lock);
    return news;
}

void schedule_done(struct schedule *schedule, struct seat *seat, bool has_session)
{
    pthread_mutex_lock(&schedule->lock);
    if (seat->is_unproven)
        schedule->unproven--;
    seat->is_unproven = false;
    if (!has_session)
        leave(seat);
    pthread_mutex_unlock(&schedule->lock);
}

bool schedule_mark_up(struct schedule *schedule, struct destination *destination)
{
    size_t places = schedule->terms.limits->sessions_per_destination;
    bool tells;

    pthread_mutex_lock(&schedule->lock);
    places -= destination->sessions < places ? destination->sessions : places;
    tells = destination->failures > 0;
    if (!works(schedule, destination) && destination->first) {
        /* It answers: what waits for it may go with more hands. */
        destination->works_until_ns = now_ns(schedule) + (int64_t)WORKED_LATELY_MS * 1000000;
        for (size_t i = destination->waiting; i > 0 && places > 0; i--, places--)
            call_somebody(schedule, destination);
    }
    destination->works_until_ns = now_ns(schedule) + (int64_t)WORKED_LATELY_MS * 1000000;
    destination->put_off_until_ms = 0;
    destination->failures = 0;
    destination->knows_failures = true;
    pthread_mutex_unlock(&schedule->lock);
    return tells;
}

struct job *schedule_mark_full(struct schedule *schedule, struct destination *destination)
{
    struct job *jobs = NULL;

    pthread_mutex_lock(&schedule->lock);
    destination->full_until_ns = now_ns(schedule) + (int64_t)HOST_BUSY_MS * 1000000;
    if (destination->sessions <= 1) /* the one that was turned away */
        jobs = take_all(schedule, destination);
    pthread_mutex_unlock(&schedule->lock);
    return jobs;
}

struct job *schedule_mark_down(struct schedule *schedule, struct destination *destination,
                               int64_t until_ms, uint32_t failures)
{
    struct job *jobs;

    pthread_mutex_lock(&schedule->lock);
    destination->works_until_ns = 0;
    destination->put_off_until_ms = until_ms;
    destination->failures = failures;
    destination->knows_failures = true;
    jobs = take_all(schedule, destination);
    pthread_mutex_unlock(&schedule->lock);
    return jobs;
}

bool schedule_knows_failures(struct schedule *schedule, struct destination *destination,
                             uint32_t *failures)
{
    bool knows;

    pthread_mutex_lock(&schedule->lock);
    knows = destination->knows_failures;
    *failures = destination->failures;
    pthread_mutex_unlock(&schedule->lock);
    return knows;
}

void schedule_learn_failures(struct schedule *schedule, struct destination *destination,
                             uint32_t failures)
{
    pthread_mutex_lock(&schedule->lock);
    if (!destination->knows_failures) {
        destination->knows_failures = true;
        destination->failures = failures;
    }
    pthread_mutex_unlock(&schedule->lock);
}
