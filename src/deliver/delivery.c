/* Changes a delivery's state: the journal leaf and the move in one batch, or not at all. */
/* SPDX-License-Identifier: ISC */
#include "delivery.h"

#include "deliver/limits.h"
#include "job.h"
#include "recording.h"
#include "room.h"

#include <assert.h>
#include <string.h>

enum { FIELDS_MAX = 20 };

/* The arrows of the drawing in delivery.h. */
static const bool ways[DELIVERY_STATE_COUNT][DELIVERY_STATE_COUNT] = {
    [DELIVERY_WAITING] = {[DELIVERY_WAITING] = true,
                          [DELIVERY_HELD] = true,
                          [DELIVERY_DELIVERED] = true,
                          [DELIVERY_RETURNED] = true},
    [DELIVERY_HELD] = {[DELIVERY_RETURNED] = true, [DELIVERY_HELD] = true},
};

struct fields {
    struct event_field list[FIELDS_MAX];
    size_t count;
};

static void add_text(struct fields *fields, enum event_field_id id, struct span text)
{
    assert(fields->count < FIELDS_MAX);
    if (text.data && text.len > 0)
        fields->list[fields->count++] = EVENT_TEXT(id, text);
}

static void add_number(struct fields *fields, enum event_field_id id, int64_t number)
{
    assert(fields->count < FIELDS_MAX);
    fields->list[fields->count++] = EVENT_NUMBER(id, number);
}

static void tell_session(struct fields *fields, const struct session_record *by)
{
    if (!by)
        return;
    add_text(fields, FIELD_HOST, by->host);
    add_text(fields, FIELD_ADDRESS, span_of(by->address));
    if (by->mechanism)
        add_text(fields, FIELD_MECHANISM, span_of(by->mechanism));
    if (by->level)
        add_text(fields, FIELD_LEVEL, span_of(by->level));
    if (!by->has_proof)
        return;
    add_text(fields, FIELD_TLS_VERSION, span_of(by->proof.version));
    add_text(fields, FIELD_TLS_CIPHER, span_of(by->proof.cipher));
    if (by->proof.has_certificate)
        add_text(fields, FIELD_CERTIFICATE,
                 span_make(by->proof.fingerprint, sizeof by->proof.fingerprint));
}

/* The peer's words go into the journal sealed, or not at all. */
static struct span seal_reply(const struct job *job, const struct verdict *verdict,
                              struct arena *arena)
{
    scoped_buffer sealed;

    buffer_init(&sealed, PEER_REPLY_KEPT_MAX + SEAL_TEXT_OVERHEAD);
    if (!verdict->reply.data || verdict->reply.len == 0 || !job->letter->has_record_key)
        return (struct span){0};
    if (!text_seal(&job->letter->keys.record, job->letter->id, TEXT_PEER_REPLY, verdict->reply,
                   job->letter->deliver->terms.entropy, &sealed))
        return (struct span){0};
    return arena_copy(arena, buffer_span(&sealed));
}

static void tell_verdict(struct fields *fields, const struct job *job,
                         const struct verdict *verdict, struct arena *arena)
{
    if (!verdict)
        return;
    add_text(fields, FIELD_OUTCOME, span_of(outcome_name(verdict->outcome)));
    add_text(fields, FIELD_STATUS, span_of(verdict->status));
    add_text(fields, FIELD_REASON, span_of(verdict->reason));
    add_text(fields, FIELD_PEER_REPLY, seal_reply(job, verdict, arena));
    if (verdict->may_be_duplicate)
        add_number(fields, FIELD_POSSIBLE_DUPLICATE, 1);
}

static bool write_leaf(struct job *job, const struct delivery *delivery, const struct turn *turn,
                       uint32_t attempts, struct arena *arena, struct store_leaf *leaf)
{
    const struct deliver_terms *terms = &job->letter->deliver->terms;
    struct fields fields = {.count = 0};
    char report[ID_TEXT_SIZE];

    add_number(&fields, FIELD_STATE, turn->state);
    add_number(&fields, FIELD_RUNG, turn->rung);
    if (delivery->rung < delivery->ladder.count)
        add_text(&fields, FIELD_WAY, span_of(way_name(delivery->ladder.rungs[delivery->rung].way)));
    if (turn->is_attempt)
        tell_session(&fields, delivery->by);
    tell_verdict(&fields, job, turn->verdict, arena);
    if (turn->is_attempt)
        add_number(&fields, FIELD_ATTEMPT, attempts);
    if (turn->event == EVENT_DELIVERY_DEFERRED)
        add_number(&fields, FIELD_NEXT_ATTEMPT, turn->due_at_ms);
    if (turn->report) {
        id_print(*turn->report, report);
        add_text(&fields, FIELD_REPORT, span_of(report));
    }
    return event_leaf(turn->event, job->letter->id, delivery->number, job->letter->organisation,
                      clock_wall_ms(terms->clock), fields.list, fields.count, arena, leaf);
}

/* The climbs so far, then `last` (may be NULL). */
static bool gather_leaves(const struct delivery *delivery, const struct store_leaf *last,
                          struct arena *arena, struct store_change *change)
{
    size_t count = last ? 1 : 0;
    struct store_leaf *leaves;

    for (const struct leaf_link *link = delivery->leaves; link; link = link->next)
        count++;
    leaves = arena_take_array(arena, count, sizeof *leaves);
    if (!leaves)
        return false;
    change->leaves = leaves;
    for (const struct leaf_link *link = delivery->leaves; link; link = link->next)
        leaves[change->leaf_count++] = link->leaf;
    if (last)
        leaves[change->leaf_count++] = *last;
    return true;
}

/* The move, from what the row has to where the turn leads. */
static bool write_move(struct job *job, struct delivery *delivery, const struct turn *turn,
                       uint32_t attempts, const struct store_leaf *leaf,
                       struct recording *recording)
{
    struct span reason = delivery->last_reason;
    struct store_change change = {.kind = STORE_MOVE}, *place;

    if (turn->verdict)
        reason = span_of(turn->verdict->reason);
    reason = arena_copy(recording->arena, reason);
    if (!reason.data || !gather_leaves(delivery, leaf, recording->arena, &change) ||
        !recording_hold(recording, job))
        return false;
    change.move = (struct store_move){
        .message = job->letter->id,
        .delivery = delivery->number,
        .expected_lease = delivery->lease,
        .expected_state = delivery->row_state,
        .state = turn->state,
        .rung = turn->rung,
        .attempts = attempts,
        .rung_since_ms = turn->rung_since_ms,
        .due_at_ms = turn->due_at_ms,
        .ends_at_ms = turn->ends_at_ms,
        .last_reason = reason,
    };
    place = recording_add(recording);
    if (!place)
        return false;
    *place = change;
    recording->makes_work = recording->makes_work || turn->state == DELIVERY_WAITING;
    return true;
}

static bool keep_climb(struct job *job, struct delivery *delivery, const struct store_leaf *leaf)
{
    struct leaf_link *link = arena_take(job->arena, sizeof *link);

    if (!link)
        return false;
    link->leaf = *leaf;
    if (!delivery->leaves_end)
        delivery->leaves_end = &delivery->leaves;
    *delivery->leaves_end = link;
    delivery->leaves_end = &link->next;
    return true;
}

bool delivery_enter(struct job *job, struct delivery *delivery, const struct turn *turn,
                    struct recording *recording)
{
    uint32_t attempts = delivery->attempts + (turn->is_attempt ? 1 : 0);
    struct store_leaf leaf;

    assert(ways[delivery->state][turn->state]);
    assert(!delivery->is_over);
    assert(recording || turn->event == EVENT_DELIVERY_CLIMBED);
    if (!write_leaf(job, delivery, turn, attempts, recording ? recording->arena : job->arena,
                    &leaf))
        return false;
    if (recording ? !write_move(job, delivery, turn, attempts, &leaf, recording)
                  : !keep_climb(job, delivery, &leaf))
        return false;
    delivery->state = turn->state;
    delivery->rung = turn->rung;
    delivery->rung_since_ms = turn->rung_since_ms;
    delivery->ends_at_ms = turn->ends_at_ms;
    delivery->attempts = attempts;
    delivery->is_over = recording != NULL;
    return true;
}

bool delivery_put_back(struct job *job, struct delivery *delivery, int64_t due_at_ms,
                       struct recording *recording)
{
    struct turn turn = {
        .state = delivery->state,
        .rung = delivery->rung,
        .rung_since_ms = delivery->rung_since_ms,
        .due_at_ms = due_at_ms,
        .ends_at_ms = delivery->ends_at_ms,
    };

    assert(!delivery->is_over);
    if (!write_move(job, delivery, &turn, delivery->attempts, NULL, recording))
        return false;
    delivery->is_over = true;
    return true;
}
