/* What follows a verdict: the ladder says where to, the journal learns it, the store keeps it. */
/* SPDX-License-Identifier: ISC */
#include "attempt.h"

#include "base/log.h"
#include "deliver/limits.h"
#include "report.h"

#include <assert.h>

static struct deliver *room(const struct aftermath *a)
{
    return a->job->letter->deliver;
}

static int64_t wall_ms(const struct aftermath *a)
{
    return clock_wall_ms(room(a)->terms.clock);
}

/* Times in the store are of the queue's clock, which may run ahead of the wall's. */
static int64_t queue_ms(const struct aftermath *a)
{
    return queue_clock_ms(room(a)->queue_clock);
}

static int64_t in_queue_time(const struct aftermath *a, int64_t at_ms)
{
    return at_ms + queue_clock_ahead_ms(room(a)->queue_clock);
}

/* The rows' leases run out, and they are tried again: nothing is lost, but somebody should know. */
static void tell_no_memory(const struct aftermath *a)
{
    char id[ID_TEXT_SIZE];

    id_print(a->job->letter->id, id);
    log_fact(LOG_LEVEL_ALARM, "memory is out: a delivery's outcome is not recorded",
             {"message", span_of(id)});
}

static bool renew_recording(struct aftermath *a)
{
    if (!a->recording)
        a->recording = recording_new(room(a));
    return a->recording != NULL;
}

bool aftermath_begin(struct aftermath *a, struct job *job)
{
    *a = (struct aftermath){.job = job};
    a->returning = arena_take_array(job->arena, job->count, sizeof(struct delivery *));
    return a->returning && renew_recording(a);
}

void aftermath_post(struct aftermath *a)
{
    if (a->recording)
        recording_post(a->recording);
    a->recording = NULL;
}

static void enter(struct aftermath *a, struct delivery *delivery, const struct turn *turn)
{
    bool stays_in_hand = turn->event == EVENT_DELIVERY_CLIMBED && turn->is_attempt;

    if (!renew_recording(a) ||
        !delivery_enter(a->job, delivery, turn, stays_in_hand ? NULL : a->recording)) {
        tell_no_memory(a);
        delivery->is_over = true;
    }
}

/* A minute, doubled by each attempt up to an hour, a fifth more or less, so that what failed
 * together does not come back together. */
static int64_t back_off_ms(const struct aftermath *a, uint32_t failures)
{
    const struct deliver_limits *limits = &room(a)->terms.limits;
    int64_t wait_ms = limits->retry_first_ms;
    uint32_t spread;

    for (uint32_t i = 1; i < failures && wait_ms < limits->retry_longest_ms; i++)
        wait_ms *= 2;
    if (wait_ms > limits->retry_longest_ms)
        wait_ms = limits->retry_longest_ms;
    spread = entropy_below(room(a)->terms.entropy, 401);
    return wait_ms - wait_ms / 5 + wait_ms * (int64_t)spread / 1000;
}

static void wait_on_rung(struct aftermath *a, struct delivery *delivery, int64_t ends_at_ms)
{
    struct turn turn = {.event = EVENT_DELIVERY_DEFERRED,
                        .state = DELIVERY_WAITING,
                        .rung = delivery->rung,
                        .rung_since_ms = delivery->rung_since_ms,
                        .due_at_ms = queue_ms(a) + back_off_ms(a, delivery->attempts + 1),
                        .ends_at_ms = in_queue_time(a, ends_at_ms),
                        .verdict = &delivery->verdict,
                        .is_attempt = true};

    enter(a, delivery, &turn);
}

/* `is_attempt`: the climb is part of an attempt that goes on with the next rung at once; else it is
 * recorded, and the next rung is due. */
static void climb(struct aftermath *a, struct delivery *delivery, const struct step *step,
                  bool is_attempt)
{
    struct turn turn = {.event = EVENT_DELIVERY_CLIMBED,
                        .state = DELIVERY_WAITING,
                        .rung = (uint32_t)step->rung,
                        .rung_since_ms = wall_ms(a),
                        .due_at_ms = queue_ms(a),
                        .ends_at_ms = in_queue_time(a, step->rung_ends_at_ms),
                        .verdict = &delivery->verdict,
                        .is_attempt = is_attempt};

    enter(a, delivery, &turn);
    delivery->has_verdict = false;
}

static void hold(struct aftermath *a, struct delivery *delivery, const struct step *step)
{
    struct turn turn = {.event = EVENT_DELIVERY_HELD,
                        .state = DELIVERY_HELD,
                        .rung = (uint32_t)step->rung,
                        .rung_since_ms = wall_ms(a),
                        .due_at_ms = in_queue_time(a, step->rung_ends_at_ms),
                        .ends_at_ms = in_queue_time(a, step->rung_ends_at_ms),
                        .verdict = &delivery->verdict,
                        .is_attempt = a->job->kind == JOB_ATTEMPT && !step->is_internal &&
                                      !delivery->is_refused};
    char id[ID_TEXT_SIZE];

    if (step->is_internal) {
        id_print(a->job->letter->id, id);
        log_fact(LOG_LEVEL_ALARM, "a delivery is held for a fault of our own",
                 {"message", span_of(id)}, {"reason", span_of(delivery->verdict.reason)});
    }
    enter(a, delivery, &turn);
}

static void deliver_it(struct aftermath *a, struct delivery *delivery)
{
    struct turn turn = {.event = EVENT_DELIVERY_DELIVERED,
                        .state = DELIVERY_DELIVERED,
                        .rung = delivery->rung,
                        .rung_since_ms = delivery->rung_since_ms,
                        .due_at_ms = queue_ms(a),
                        .ends_at_ms = delivery->ends_at_ms,
                        .verdict = &delivery->verdict,
                        .is_attempt = true};

    enter(a, delivery, &turn);
}

static void will_return(struct aftermath *a, struct delivery *delivery)
{
    assert(a->returning_count < a->job->count);
    a->returning[a->returning_count++] = delivery;
    delivery->is_returning = true;
}

static struct step step_of(const struct aftermath *a, const struct delivery *delivery,
                           enum outcome outcome)
{
    if (delivery->rung < delivery->ladder.count)
        return ladder_next(&delivery->ladder, delivery->rung, outcome, delivery->rung_since_ms,
                           delivery->begun_at_ms, wall_ms(a));
    /* A ladder that cannot be read, or a rung that is not on it. */
    return (struct step){.kind = STEP_HOLD,
                         .rung = delivery->rung,
                         .is_internal = true,
                         .rung_ends_at_ms =
                             wall_ms(a) + (int64_t)HOLD_DEFAULT_DAYS * 24 * 60 * 60 * 1000};
}

void aftermath_follow(struct aftermath *a, struct delivery *delivery)
{
    struct step step = step_of(a, delivery, delivery->verdict.outcome);

    switch (step.kind) {
    case STEP_END:
        deliver_it(a, delivery);
        break;
    case STEP_RETRY:
        wait_on_rung(a, delivery, step.rung_ends_at_ms);
        break;
    case STEP_CLIMB:
        climb(a, delivery, &step, true);
        break;
    case STEP_HOLD:
        hold(a, delivery, &step);
        break;
    case STEP_RETURN:
        will_return(a, delivery);
        break;
    }
}

void aftermath_expire(struct aftermath *a, struct delivery *delivery)
{
    struct span reason = SPAN_LITERAL("no attempt succeeded");
    struct step step;

    if (delivery->state == DELIVERY_HELD) {
        verdict_set(&delivery->verdict, OUTCOME_TEMPORARY, "4.4.7",
                    "it was held, and nobody released it in time");
        will_return(a, delivery);
        return;
    }
    step = step_of(a, delivery, OUTCOME_TEMPORARY);
    if (delivery->last_reason.len > 0)
        reason = span_until(delivery->last_reason, 180);
    verdict_set(&delivery->verdict, OUTCOME_TEMPORARY, "4.4.7", "not delivered in time: %.*s",
                SPAN_ARGS(reason));
    switch (step.kind) {
    case STEP_RETRY: /* its time is not over after all: the row's was wrong */
        delivery->ends_at_ms = in_queue_time(a, step.rung_ends_at_ms);
        aftermath_put_back(a, delivery, 0);
        break;
    case STEP_CLIMB:
        climb(a, delivery, &step, false);
        break;
    case STEP_HOLD:
        hold(a, delivery, &step);
        break;
    case STEP_RETURN:
        will_return(a, delivery);
        break;
    case STEP_END:
        assert(false && "the end of what was not delivered");
    }
}

void aftermath_put_back(struct aftermath *a, struct delivery *delivery, int64_t in_ms)
{
    int64_t now_ms = queue_ms(a);

    if (delivery->ends_at_ms <= now_ms + in_ms) /* else it would be claimed again at once */
        delivery->ends_at_ms = now_ms + (in_ms > 0 ? in_ms : OWN_FAULT_MS);
    if (!renew_recording(a) || !delivery_put_back(a->job, delivery, now_ms + in_ms, a->recording)) {
        tell_no_memory(a);
        delivery->is_over = true;
    }
}

/* ---- the destination as a whole ---- */

static struct store_change *add_destination(struct aftermath *a, enum store_change_kind kind)
{
    struct span name = {0};
    struct store_change *change = NULL;

    if (renew_recording(a))
        name = arena_copy(a->recording->arena, a->job->destination_name);
    if (name.data)
        change = recording_add(a->recording);
    if (!change)
        return NULL;
    *change = (struct store_change){.kind = kind};
    change->put_off.destination = name;
    return change;
}

/* What the store remembers of it from before our start is asked for once. */
static uint32_t failures_so_far(struct aftermath *a)
{
    struct deliver *deliver = room(a);
    struct destination *destination = a->job->destination;
    uint32_t failures = 0;
    struct error why;

    if (schedule_knows_failures(deliver->schedule, destination, &failures))
        return failures;
    if (!store_destination_failures(deliver->terms.store, a->job->destination_name, &failures,
                                    &why))
        return 0;
    schedule_learn_failures(deliver->schedule, destination, failures);
    return failures;
}

void aftermath_mark_up(struct aftermath *a)
{
    failures_so_far(a);
    if (schedule_mark_up(room(a)->schedule, a->job->destination))
        (void)add_destination(a, STORE_DESTINATION_UP); /* else its put-off just ends by time */
}

void aftermath_mark_down(struct aftermath *a)
{
    uint32_t failures = failures_so_far(a) + 1;
    int64_t until_ms = queue_ms(a) + back_off_ms(a, failures);
    struct job *waiting =
        schedule_mark_down(room(a)->schedule, a->job->destination, until_ms, failures);
    struct store_change *change = add_destination(a, STORE_PUT_OFF);

    if (change) {
        change->put_off.due_at_ms = until_ms;
        change->put_off.failures = failures;
    }
    aftermath_post(a); /* first the put-off, then what it is for */
    jobs_put_back(waiting, 0);
}

void jobs_put_back(struct job *jobs, int64_t due_in_ms)
{
    while (jobs) {
        struct job *next = jobs->next;
        struct aftermath a = {.job = jobs};

        for (size_t i = 0; i < jobs->count; i++)
            if (!jobs->deliveries[i].is_over)
                aftermath_put_back(&a, &jobs->deliveries[i], due_in_ms);
        aftermath_post(&a);
        job_drop_secrets(jobs);
        job_unref(jobs);
        jobs = next;
    }
}

/* ---- returns ---- */

static void return_it(struct aftermath *a, struct delivery *delivery, const struct id *report)
{
    struct verdict verdict = delivery->verdict;
    struct turn turn = {.event = EVENT_DELIVERY_RETURNED,
                        .state = DELIVERY_RETURNED,
                        .rung = delivery->rung,
                        .rung_since_ms = delivery->rung_since_ms,
                        .due_at_ms = queue_ms(a),
                        .ends_at_ms = delivery->ends_at_ms,
                        .verdict = &verdict,
                        .is_attempt = delivery->by != NULL,
                        .report = report};
    const struct letter *letter = a->job->letter;
    size_t len = strlen(verdict.reason);

    if (!report)
        snprintf(verdict.reason + len, sizeof verdict.reason - len, "; no report: %s",
                 letter->is_report          ? "it is one"
                 : !letter->is_sender_known ? "the sender is not known to us"
                 : !delivery->is_checked    ? "the record does not open"
                                            : "the message has the null sender");
    if (!report && (letter->is_report || (letter->is_sender_known && !delivery->is_checked)))
        log_plain(LOG_LEVEL_ALARM, "a failed delivery is told to nobody");
    enter(a, delivery, &turn);
}

/* Whom a record names that does not open is not known: no report may say it. */
static void return_untold(struct aftermath *a)
{
    size_t told = 0;

    for (size_t i = 0; i < a->returning_count; i++) {
        struct delivery *delivery = a->returning[i];

        if (delivery->is_checked) {
            a->returning[told++] = delivery;
            continue;
        }
        delivery->is_returning = false;
        return_it(a, delivery, NULL);
    }
    a->returning_count = told;
}

/* No report can be made, now or later: people must see to it. */
static void hold_unreported(struct aftermath *a, struct delivery *delivery, const struct error *why)
{
    struct step step = step_of(a, delivery, OUTCOME_INTERNAL);

    verdict_set(&delivery->verdict, OUTCOME_INTERNAL, "4.3.0", "a report cannot be made: %.180s",
                why->text);
    hold(a, delivery, &step);
}

/* Failure and report are recorded together or not at all. */
static void return_all(struct aftermath *a)
{
    struct id report;
    struct error why;
    bool is_due = report_is_due(a->job->letter), is_made = false;

    return_untold(a);
    why.kind = ERROR_TEMPORARY; /* where memory is out already */
    if (is_due && a->returning_count > 0 && renew_recording(a))
        is_made = report_add(a->job, a->returning, a->returning_count, a->recording, &report, &why);
    for (size_t i = 0; i < a->returning_count; i++) {
        struct delivery *delivery = a->returning[i];

        delivery->is_returning = false;
        if (!is_due || is_made)
            return_it(a, delivery, is_made ? &report : NULL);
        else if (why.kind == ERROR_TEMPORARY)
            aftermath_put_back(a, delivery, OWN_FAULT_MS);
        else
            hold_unreported(a, delivery, &why);
    }
    if (is_due && a->returning_count > 0 && !is_made)
        log_plain(LOG_LEVEL_WARNING, "a report cannot be made now; its deliveries wait");
    a->returning_count = 0;
}

void aftermath_end(struct aftermath *a)
{
    if (a->returning_count > 0)
        return_all(a);
    aftermath_post(a);
}
