/* Makes letters and jobs, and trusts no row that the journal does not confirm. */
/* SPDX-License-Identifier: ISC */
#include "intake.h"

#include "attempt.h"
#include "base/log.h"
#include "deliver/limits.h"

#include <string.h>

static void tell_no_memory(struct id message)
{
    char id[ID_TEXT_SIZE];

    id_print(message, id);
    log_fact(LOG_LEVEL_ALARM, "memory is out: a message waits for the end of its lease",
             {"message", span_of(id)});
}

static void hand_out(struct deliver *deliver, struct job *job, bool is_due_by_store)
{
    switch (schedule_add(deliver->schedule, job, is_due_by_store)) {
    case SCHEDULE_ADDED:
        break;
    case SCHEDULE_PUT_OFF:
        jobs_put_back(job, 0); /* due as its destination is */
        break;
    case SCHEDULE_FULL:
        jobs_put_back(job, STORE_LOOK_MS);
        break;
    }
}

static void refuse(struct delivery *delivery, enum outcome outcome, const char *reason)
{
    verdict_set(&delivery->verdict, outcome, "4.3.0", "%s", reason);
    delivery->is_refused = true;
}

/* A ladder that cannot be climbed refuses the delivery: it is held. */
static void read_ladder(struct job *job, struct delivery *delivery)
{
    struct error why;

    if (!delivery->ladder_text.data) {
        refuse(delivery, OUTCOME_TEMPORARY, "memory is out");
    } else if (!ladder_parse(delivery->ladder_text, job->arena, &delivery->ladder, &why)) {
        refuse(delivery, OUTCOME_INTERNAL, "the ladder cannot be read");
        delivery->ladder.count = 0;
    } else if (delivery->rung >= delivery->ladder.count) {
        refuse(delivery, OUTCOME_INTERNAL, "the rung is not on the ladder");
    }
}

/* ---- fresh ---- */

static void fill_fresh(struct job *job, struct delivery *delivery,
                       const struct fresh_message *fresh, const struct fresh_delivery *from)
{
    struct error why;

    *delivery = (struct delivery){.number = from->number,
                                  .state = DELIVERY_WAITING,
                                  .row_state = DELIVERY_WAITING,
                                  .lease = fresh->lease,
                                  .recipient = arena_copy(job->arena, from->recipient),
                                  .ladder_text = arena_copy(job->arena, from->ladder),
                                  .last_reason = {"", 0},
                                  .is_checked = true,
                                  .begun_at_ms = fresh->accepted_at_ms,
                                  .rung_since_ms = fresh->accepted_at_ms};
    memcpy(delivery->policy_digest, fresh->policy_digest, POLICY_DIGEST_SIZE);
    read_ladder(job, delivery);
    if (delivery->is_refused)
        return;
    delivery->ends_at_ms =
        ladder_rung_end(&delivery->ladder, 0, delivery->rung_since_ms, fresh->accepted_at_ms);
    if (!job->letter->has_sender)
        refuse(delivery, OUTCOME_INTERNAL, "the sender cannot be read");
    else if (!delivery->recipient.data)
        refuse(delivery, OUTCOME_TEMPORARY, "memory is out");
    else if (!address_parse(delivery->recipient, job->arena, &delivery->address, &why))
        refuse(delivery, OUTCOME_INTERNAL, "the recipient cannot be read");
}

static void take_fresh_destination(struct letter *letter, const struct fresh_message *fresh,
                                   size_t first, bool *taken)
{
    struct span destination = fresh->deliveries[first].destination;
    size_t count = 0;
    struct job *job;

    for (size_t i = first; i < fresh->delivery_count; i++)
        count += span_equal(fresh->deliveries[i].destination, destination);
    job = job_new(letter, JOB_ATTEMPT, destination, count);
    if (!job)
        tell_no_memory(letter->id);
    count = 0;
    for (size_t i = first; i < fresh->delivery_count; i++) {
        if (!span_equal(fresh->deliveries[i].destination, destination))
            continue;
        taken[i] = true;
        if (job)
            fill_fresh(job, &job->deliveries[count++], fresh, &fresh->deliveries[i]);
    }
    if (job) {
        job->next = letter->fresh_jobs;
        letter->fresh_jobs = job;
    }
}

void intake_fresh(struct letter *letter, const struct fresh_message *fresh)
{
    bool *taken = arena_take_array(letter->arena, fresh->delivery_count, sizeof *taken);
    struct job *jobs;
    struct error why;

    letter->id = fresh->id;
    letter->organisation = arena_copy(letter->arena, fresh->organisation);
    letter->accepted_at_ms = fresh->accepted_at_ms;
    letter->size = fresh->body.len;
    letter->is_sender_known = fresh->is_sender_known;
    memcpy(letter->keys.content.bytes, fresh->keys, KEY_BYTES);
    memcpy(letter->keys.record.bytes, fresh->keys + KEY_BYTES, KEY_BYTES);
    letter->has_content_key = letter->has_record_key = true;
    letter->sender = fresh->sender;
    letter->has_sender = letter_has_sound_sender(letter, &why);
    letter->body = fresh->body;
    letter->has_8bit = fresh->has_8bit;
    letter->body_state = BODY_OPEN;
    schedule_take_letter(letter->deliver->schedule, letter);
    if (!taken || !letter->organisation.data) {
        tell_no_memory(letter->id);
    } else {
        for (size_t i = 0; i < fresh->delivery_count; i++)
            if (!taken[i])
                take_fresh_destination(letter, fresh, i, taken);
    }
    /* All are made before the first is handed out: the last one to end wipes the letter. */
    jobs = letter->fresh_jobs;
    letter->fresh_jobs = NULL;
    if (!jobs)
        schedule_return_letter(letter->deliver->schedule, letter);
    while (jobs) {
        struct job *next = jobs->next;

        hand_out(letter->deliver, jobs, false);
        jobs = next;
    }
    letter_unref(letter);
}

/* ---- claimed ---- */

static bool fill_letter(struct letter *letter, const struct store_message *message)
{
    bool is_whole = message->wrapped_content.len == WRAPPED_KEY_BYTES &&
                    message->wrapped_record.len == WRAPPED_KEY_BYTES;

    letter->id = message->id;
    letter->organisation = arena_copy(letter->arena, message->organisation);
    letter->accepted_at_ms = message->accepted_at_ms;
    letter->size = message->size <= LETTER_BODY_MAX ? message->size : LETTER_BODY_MAX;
    letter->is_sender_known = message->is_sender_known;
    letter->is_report = message->is_report;
    letter->sealed_sender = arena_copy(letter->arena, message->sender);
    letter->wrapped.content_day = message->content_day;
    letter->wrapped.record_day = message->record_day;
    if (is_whole) {
        memcpy(letter->wrapped.content, message->wrapped_content.data, WRAPPED_KEY_BYTES);
        memcpy(letter->wrapped.record, message->wrapped_record.data, WRAPPED_KEY_BYTES);
    }
    return is_whole && letter->organisation.data && letter->sealed_sender.data;
}

static void fill_claimed(struct job *job, struct delivery *delivery,
                         const struct store_delivery *from)
{
    *delivery = (struct delivery){
        .number = from->number,
        .state = from->state,
        .row_state = from->state,
        .lease = from->lease,
        .sealed_recipient = arena_copy(job->arena, from->recipient),
        .ladder_text = arena_copy(job->arena, from->ladder),
        .rung = from->rung,
        .attempts = from->attempts,
        .begun_at_ms = from->begun_at_ms != 0 ? from->begun_at_ms : job->letter->accepted_at_ms,
        .rung_since_ms = from->rung_since_ms,
        .ends_at_ms = from->ends_at_ms,
        .last_reason = arena_copy(job->arena, from->last_reason)};
    memcpy(delivery->policy_digest, from->policy_digest, POLICY_DIGEST_SIZE);
    memcpy(delivery->tag, from->tag, BINDING_TAG_BYTES);
    read_ladder(job, delivery);
    if (!delivery->sealed_recipient.data || !delivery->last_reason.data)
        refuse(delivery, OUTCOME_TEMPORARY, "memory is out");
}

/* What a claimed delivery is for. */
enum errand { ERRAND_NONE, ERRAND_HOLD, ERRAND_EXPIRE, ERRAND_ATTEMPT };

static enum errand errand_of(struct deliver *deliver, const struct store_claimed *claimed,
                             int64_t now_ms)
{
    if (schedule_holds(deliver->schedule, claimed->message.id, claimed->delivery.number))
        return ERRAND_NONE; /* it is in hand, however its lease looks */
    if (!claimed->is_leaf_whole || !event_agrees(claimed))
        return ERRAND_HOLD;
    if (claimed->delivery.state == DELIVERY_HELD || claimed->delivery.ends_at_ms <= now_ms)
        return ERRAND_EXPIRE;
    return ERRAND_ATTEMPT;
}

/* One job of those deliveries whose errand and destination are the first one's. */
static struct job *make_job(struct letter *letter, const struct store_claimed *claimed,
                            enum errand *errands, size_t first, size_t count)
{
    enum errand errand = errands[first];
    bool is_by_destination = errand == ERRAND_ATTEMPT;
    struct span destination =
        is_by_destination ? claimed[first].delivery.destination : (struct span){"", 0};
    size_t size = 0, at = 0;
    struct job *job;

    for (size_t i = first; i < count; i++)
        size += errands[i] == errand &&
                (!is_by_destination || span_equal(claimed[i].delivery.destination, destination));
    job = job_new(letter, is_by_destination ? JOB_ATTEMPT : JOB_EXPIRED, destination, size);
    for (size_t i = first; i < count; i++) {
        if (errands[i] != errand ||
            (is_by_destination && !span_equal(claimed[i].delivery.destination, destination)))
            continue;
        errands[i] = ERRAND_NONE;
        if (job)
            fill_claimed(job, &job->deliveries[at++], &claimed[i].delivery);
    }
    if (!job)
        tell_no_memory(claimed[first].message.id);
    return job;
}

/* Held, each with an alarm: somebody may have been at the database. */
static void hold_all(struct job *job, const char *reason)
{
    struct aftermath aftermath;

    if (!aftermath_begin(&aftermath, job)) {
        jobs_put_back(job, OWN_FAULT_MS);
        return;
    }
    for (size_t i = 0; i < job->count; i++) {
        verdict_set(&job->deliveries[i].verdict, OUTCOME_INTERNAL, "4.3.0", "%s", reason);
        job->deliveries[i].is_refused = true;
        aftermath_follow(&aftermath, &job->deliveries[i]);
    }
    aftermath_end(&aftermath);
    job_drop_secrets(job);
    job_unref(job);
}

void intake_claimed(struct deliver *deliver, const struct store_claimed *claimed, size_t count)
{
    int64_t now_ms = queue_clock_ms(deliver->queue_clock);
    struct letter *letter = letter_new(deliver);
    enum errand *errands = letter ? arena_take_array(letter->arena, count, sizeof *errands) : NULL;
    struct job *jobs = NULL;
    bool is_whole;

    if (!errands) {
        tell_no_memory(claimed[0].message.id);
        if (letter)
            letter_unref(letter);
        return;
    }
    is_whole = fill_letter(letter, &claimed[0].message);
    for (size_t i = 0; i < count; i++)
        errands[i] = errand_of(deliver, &claimed[i], now_ms);
    for (size_t i = 0; i < count; i++) {
        bool is_held = errands[i] == ERRAND_HOLD;
        struct job *job;

        if (errands[i] == ERRAND_NONE)
            continue;
        job = make_job(letter, claimed, errands, i, count);
        if (job && is_held)
            job->why_untrusted = "the record does not agree with the journal";
        else if (job && !is_whole)
            job->why_untrusted = "the message's keys are gone";
        if (job) {
            job->next = jobs;
            jobs = job;
        }
    }
    while (jobs) {
        struct job *next = jobs->next;

        if (jobs->why_untrusted)
            hold_all(jobs, jobs->why_untrusted);
        else
            hand_out(deliver, jobs, true);
        jobs = next;
    }
    letter_unref(letter);
}
