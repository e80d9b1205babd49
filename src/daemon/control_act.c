/* What an administrator may do to deliveries: each act is one row's move with the leaf that tells
 * of it, refused with a sentence where the row is in another state. */
/* SPDX-License-Identifier: ISC */
#include "control.h"

#include "base/memory.h"
#include "policy/ladder.h"

#include <inttypes.h>

enum { LADDER_ARENA_MAX = 64 << 10, DAY_MS = 24 * 3600 * 1000 };

/* ---- one act ---- */

void act_begin(struct act *act, const struct subject *subject)
{
    const struct store_delivery *now = &subject->delivery;

    *act = (struct act){
        .move = {.message = subject->message.id,
                 .delivery = now->number,
                 .expected_state = now->state,
                 .expected_rung_since_ms = now->rung_since_ms,
                 .state = now->state,
                 .rung = now->rung,
                 .attempts = now->attempts,
                 .rung_since_ms = now->rung_since_ms,
                 .due_at_ms = now->due_at_ms,
                 .ends_at_ms = now->ends_at_ms,
                 .last_reason = now->last_reason},
    };
}

bool act_tell(struct answer *answer, struct act *act, const struct subject *subject,
              enum event_kind kind, const struct event_field *fields, size_t count,
              struct error *why)
{
    struct event_field *all = arena_take_array(answer->arena, count + 4, sizeof *all);
    struct span reason = answer->request->text;

    if (!all || act->leaf_count == ACT_LEAVES_MAX)
        return error_set(why, ERROR_TEMPORARY, "", "no memory for an event");
    all[0] = EVENT_NUMBER(FIELD_STATE, act->move.state);
    all[1] = EVENT_NUMBER(FIELD_RUNG, act->move.rung);
    all[2] = EVENT_NUMBER(FIELD_UID, answer->uid);
    /* Said once, with the first leaf. */
    all[3] = EVENT_TEXT(FIELD_REASON,
                        act->leaf_count == 0 && reason.len > 0 ? reason : ((struct span){NULL, 0}));
    if (count > 0)
        memcpy(all + 4, fields, count * sizeof *fields);
    if (!event_leaf(kind, subject->message.id, subject->delivery.number,
                    subject->message.organisation, answer->now_ms, all, count + 4, answer->arena,
                    &act->leaves[act->leaf_count]))
        return error_set(why, ERROR_TEMPORARY, "", "no memory for an event");
    act->leaf_count++;
    return true;
}

/* What an administrator wants tried is tried, though its destination be put off after failures.
 * These are not forgotten: the next one waits as long as it would have. */
static bool end_put_off(struct answer *answer, struct span destination, struct store_change *change,
                        struct error *why)
{
    *change = (struct store_change){
        .kind = STORE_PUT_OFF,
        .put_off = {.destination = destination, .due_at_ms = answer->now_ms},
    };
    return store_destination_failures(answer->control->common.store, destination,
                                      &change->put_off.failures, why);
}

static bool commit(struct answer *answer, const struct subject *subject, const struct act *act,
                   struct error *why)
{
    struct common *common = &answer->control->common;
    struct store_change changes[2] = {{.kind = STORE_MOVE,
                                       .move = act->move,
                                       .leaves = act->leaves,
                                       .leaf_count = act->leaf_count}};
    struct store_batch batch = {.changes = changes, .count = 1};

    if (act->move.state == DELIVERY_WAITING) {
        if (!end_put_off(answer, subject->delivery.destination, &changes[1], why))
            return false;
        batch.count++;
    }
    if (!store_commit(common->store, &batch, why)) {
        if (why->kind == ERROR_INTERNAL)
            return error_set(why, ERROR_TEMPORARY, "",
                             "it changed meanwhile: look again, and try again");
        return false;
    }
    doorbell_ring(common->shared, DOORBELL_QUEUE);
    return true;
}

static const char *const ended_as[DELIVERY_STATE_COUNT] = {
    [DELIVERY_WAITING] = "it waits for its next attempt",
    [DELIVERY_HELD] = "it is held",
    [DELIVERY_DELIVERED] = "it was delivered",
    [DELIVERY_RETURNED] = "it was returned to the sender",
    [DELIVERY_DELETED] = "it was deleted",
    [DELIVERY_DROPPED] = "it was dropped",
};

static bool refuse(struct error *why, const struct subject *subject, const char *wanted)
{
    return error_set(why, ERROR_REJECTED, "", "%s, and %s", wanted,
                     ended_as[subject->delivery.state]);
}

static bool is_under_way(const struct subject *subject, struct error *why)
{
    if (subject->delivery.lease == 0)
        return false;
    (void)error_set(why, ERROR_TEMPORARY, "",
                    "an attempt is under way just now: try again in a moment");
    return true;
}

/* ---- the acts ---- */

static bool hold(struct answer *answer, struct act *act, const struct subject *subject,
                 struct error *why)
{
    if (subject->delivery.state != DELIVERY_WAITING)
        return refuse(why, subject, "only a delivery that waits can be held");
    if (is_under_way(subject, why))
        return false;
    act->move.state = DELIVERY_HELD;
    act->move.ends_at_ms = answer->now_ms + (int64_t)HOLD_DEFAULT_DAYS * DAY_MS;
    act->move.due_at_ms = act->move.ends_at_ms;
    act->move.last_reason = SPAN_LITERAL("held by an administrator");
    act->said = "held for 7 days, then returned to the sender";
    return act_keep_content(answer, act, subject, (int64_t)HOLD_DEFAULT_DAYS * DAY_MS, why) &&
           act_tell(answer, act, subject, EVENT_DELIVERY_HELD_BY_HAND, NULL, 0, why);
}

static bool retry(struct answer *answer, struct act *act, const struct subject *subject,
                  struct error *why)
{
    if (subject->delivery.state != DELIVERY_WAITING)
        return refuse(why, subject, "only a delivery that waits can be tried");
    if (is_under_way(subject, why))
        return false;
    act->move.due_at_ms = answer->now_ms;
    act->said = "tried now";
    return act_tell(answer, act, subject, EVENT_DELIVERY_RETRIED, NULL, 0, why);
}

static bool delete (struct answer *answer, struct act *act, const struct subject *subject,
                    struct error *why)
{
    if (subject->delivery.state != DELIVERY_WAITING && subject->delivery.state != DELIVERY_HELD)
        return refuse(why, subject, "only a delivery that waits or is held can be deleted");
    if (is_under_way(subject, why))
        return false;
    act->move.state = DELIVERY_DELETED;
    act->move.last_reason = SPAN_LITERAL("deleted by an administrator");
    act->said = "deleted: nobody is told";
    return act_tell(answer, act, subject, EVENT_DELIVERY_DELETED, NULL, 0, why);
}

/* What put the delivery where it is: its newest leaf that tells a state. NULL: none can be read. */
static const struct store_journal_row *holding_row(const struct subject *subject,
                                                   struct arena *arena, struct event_field **fields,
                                                   size_t *count)
{
    for (size_t i = subject->row_count; i-- > 0;) {
        const struct store_journal_row *row = &subject->rows[i];
        struct error ignored;

        if (row->leaf.delivery == subject->delivery.number && !row->is_purged &&
            event_parse(row->leaf.detail, arena, fields, count, &ignored) &&
            event_field_find(*fields, *count, FIELD_STATE))
            return row;
    }
    return NULL;
}

/* Its time begins again: what the hold took of it was not the recipient's doing. */
static bool begin_rung(struct answer *answer, struct act *act, const struct subject *subject,
                       const struct ladder *ladder, size_t rung, struct error *why)
{
    act->move.state = DELIVERY_WAITING;
    act->move.rung = (uint32_t)rung;
    act->move.begun_at_ms = act->move.rung_since_ms = act->move.due_at_ms = answer->now_ms;
    act->move.ends_at_ms = ladder_rung_end(ladder, rung, answer->now_ms, answer->now_ms);
    act->move.last_reason = SPAN_LITERAL("released by an administrator");
    return act_keep_content(answer, act, subject, ladder_longest_ms(ladder), why) &&
           act_tell(answer, act, subject, EVENT_DELIVERY_RELEASED, NULL, 0, why);
}

/* Back to where it was when a hand held it: same ladder, same rung. */
static bool release_by_hand(struct answer *answer, struct act *act, const struct subject *subject,
                            const struct ladder *ladder, struct error *why)
{
    act->said = "released: tried now";
    return begin_rung(answer, act, subject, ladder, subject->delivery.rung, why);
}

/* The ladder's own hold: it begins again. */
static bool release_rung(struct answer *answer, struct act *act, const struct subject *subject,
                         const struct ladder *ladder, struct error *why)
{
    struct step step = ladder_begin(ladder, answer->now_ms);

    if (step.kind != STEP_CLIMB)
        return error_set(why, ERROR_REJECTED, "",
                         "its ladder has no way but the hold: change the policy, then have it "
                         "decided anew (letterlock queue decide)");
    act->said = "released: its ladder begins again";
    return begin_rung(answer, act, subject, ladder, step.rung, why);
}

static bool release_from(struct answer *answer, struct act *act, const struct subject *subject,
                         const struct store_journal_row *row, const struct event_field *outcome,
                         struct error *why)
{
    struct ladder ladder;

    if (!ladder_parse(subject->delivery.ladder, answer->arena, &ladder, why) ||
        subject->delivery.rung >= ladder.count)
        return error_set(why, ERROR_INTERNAL, "",
                         "its ladder cannot be read: have it decided anew (letterlock queue "
                         "decide)");
    if (row->leaf.kind == EVENT_DELIVERY_HELD_BY_HAND)
        return release_by_hand(answer, act, subject, &ladder, why);
    if (row->leaf.kind == EVENT_DELIVERY_DECIDED) {
        if (span_equal(subject->delivery.rule, SPAN_LITERAL("no rule")))
            return error_set(why, ERROR_REJECTED, "",
                             "no rule of the policy said what to do with it, so there is nothing "
                             "to release: change the policy, then have it decided anew (letterlock "
                             "queue decide)");
        return act_decide_again(answer, act, subject, subject->delivery.rule, why);
    }
    if (ladder.rungs[subject->delivery.rung].way != WAY_HOLD ||
        (outcome && span_equal(outcome->text, SPAN_LITERAL("internal"))))
        return error_set(why, ERROR_REJECTED, "",
                         "the gateway's own fault holds it: have it decided anew (letterlock queue "
                         "decide) once the fault is gone");
    return release_rung(answer, act, subject, &ladder, why);
}

static bool release(struct answer *answer, struct act *act, const struct subject *subject,
                    struct error *why)
{
    const struct store_journal_row *row;
    struct event_field *fields;
    size_t count;

    if (subject->delivery.state != DELIVERY_HELD)
        return refuse(why, subject, "only a held delivery can be released");
    if (is_under_way(subject, why))
        return false;
    row = holding_row(subject, answer->arena, &fields, &count);
    if (!row)
        return error_set(why, ERROR_INTERNAL, "",
                         "its journal cannot be read: letterlock audit verify tells more");
    return release_from(answer, act, subject, row, event_field_find(fields, count, FIELD_OUTCOME),
                        why);
}

static bool decide(struct answer *answer, struct act *act, const struct subject *subject,
                   struct error *why)
{
    if (subject->delivery.state != DELIVERY_HELD)
        return refuse(why, subject, "only a held delivery can be decided anew");
    if (is_under_way(subject, why))
        return false;
    return act_decide_again(answer, act, subject, (struct span){"", 0}, why);
}

/* ---- on one delivery, or on each of a message ---- */

typedef bool act_function(struct answer *answer, struct act *act, const struct subject *subject,
                          struct error *why);

static bool do_one(struct answer *answer, const struct subject *subject, act_function *prepare,
                   struct error *why)
{
    struct act act;
    char id[ID_TEXT_SIZE];

    act_begin(&act, subject);
    if (!prepare(answer, &act, subject, why) || !commit(answer, subject, &act, why))
        return false;
    id_print(subject->message.id, id);
    answer_say(answer, "%s/%" PRIu32 "  %s\n", id, subject->delivery.number, act.said);
    return true;
}

/* A refusal of one does not stop the others; where nothing was done at all, it is the answer. */
static bool do_to_all(struct answer *answer, act_function *prepare, struct error *why)
{
    const struct control_request *request = answer->request;
    struct store *store = answer->control->common.store;
    struct store_delivery *deliveries;
    struct store_journal_row *rows;
    struct subject subject;
    size_t count, done = 0, asked = 0;
    bool found;

    if (!store_find_message(store, request->message, answer->arena, &found, &subject.message,
                            &deliveries, &count, why))
        return false;
    if (!found)
        return error_set(why, ERROR_REJECTED, "", "there is no such message");
    if (!store_find_journal(store, request->message, answer->arena, &rows, &subject.row_count, why))
        return false;
    subject.rows = rows;
    for (size_t i = 0; i < count; i++) {
        if (request->delivery != 0 && deliveries[i].number != request->delivery)
            continue;
        asked++;
        subject.delivery = deliveries[i];
        if (do_one(answer, &subject, prepare, why))
            done++;
        else if (request->delivery == 0)
            answer_say(answer, "delivery %" PRIu32 ": %s\n", deliveries[i].number, why->text);
    }
    if (asked == 0)
        return error_set(why, ERROR_REJECTED, "", "the message has no delivery %" PRIu32,
                         request->delivery);
    if (done == 0 && request->delivery == 0)
        return error_set(why, ERROR_REJECTED, "", "nothing was done");
    return done > 0;
}

bool control_hold(struct answer *answer, struct error *why)
{
    return do_to_all(answer, hold, why);
}

bool control_release(struct answer *answer, struct error *why)
{
    return do_to_all(answer, release, why);
}

bool control_retry(struct answer *answer, struct error *why)
{
    return do_to_all(answer, retry, why);
}

bool control_delete(struct answer *answer, struct error *why)
{
    return do_to_all(answer, delete, why);
}

bool control_decide(struct answer *answer, struct error *why)
{
    return do_to_all(answer, decide, why);
}
