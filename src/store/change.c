/* Accepting messages and moving their deliveries: each change with its journal leaves. */
/* SPDX-License-Identifier: ISC */
#include "change.h"

#include "base/memory.h"
#include "rows.h"

static bool refuse(struct error *why, const char *what)
{
    return error_set(why, ERROR_INTERNAL, "4.3.0", "the store refuses %s", what);
}

static bool is_open(enum delivery_state state)
{
    return state == DELIVERY_WAITING || state == DELIVERY_HELD;
}

/* The consumer of fresh mail is told by the hand-over; all else that is due at once by the
 * doorbell. */
static void note_due(struct ledger *ledger, enum delivery_state state, uint64_t lease,
                     int64_t due_at_ms)
{
    if (state == DELIVERY_WAITING && lease == 0 && due_at_ms <= clock_wall_ms(ledger->clock))
        ledger->is_queue_due = true;
}

/* ---- a message ---- */

static bool is_sound_accept(const struct store_change *change, struct error *why)
{
    size_t total = 0;

    for (size_t i = 0; i < change->accept.body_count; i++) {
        if (!size_add(total, change->accept.body[i].len, &total) || total > STORE_BODY_MAX)
            return refuse(why, "a body over its limit");
    }
    if (change->accept.delivery_count > STORE_RECIPIENTS_MAX)
        return refuse(why, "a message with too many deliveries");
    for (size_t i = 0; i < change->accept.delivery_count; i++) {
        if (change->accept.deliveries[i].last_reason.len > STORE_REASON_MAX)
            return refuse(why, "a reason over its limit");
    }
    return !id_is_none(change->accept.message.id) || refuse(why, "a message without a name");
}

static bool add_message(struct ledger *ledger, const struct store_change *change,
                        int64_t organisation, bool is_kept, struct error *why)
{
    const struct store_message *message = &change->accept.message;
    size_t chunks = is_kept ? change->accept.body_count : 0;
    struct query query;

    query_begin(&query, &ledger->connection, SQL_ADD_MESSAGE);
    query_bytes(&query, row_id_bytes(&message->id));
    query_int(&query, organisation);
    query_int(&query, message->accepted_at_ms);
    query_int(&query, (int64_t)message->size);
    query_int(&query, message->has_8bit);
    query_int(&query, message->is_sender_known);
    query_int(&query, message->is_inward);
    query_int(&query, message->is_report);
    query_bytes(&query, is_kept ? message->wrapped_content : span_make("", 0));
    query_bytes(&query, message->wrapped_record);
    query_int(&query, message->content_day);
    query_int(&query, message->record_day);
    query_bytes(&query, message->sender);
    query_bytes(&query, message->facts);
    query_int(&query, (int64_t)chunks);
    query_bytes(&query, chunks > 0 ? change->accept.body[0] : span_make("", 0));
    if (!query_run(&query, why))
        return false;

    for (size_t i = 1; i < chunks; i++) {
        query_begin(&query, &ledger->connection, SQL_ADD_CHUNK);
        query_bytes(&query, row_id_bytes(&message->id));
        query_int(&query, (int64_t)i);
        query_int(&query, organisation);
        query_bytes(&query, change->accept.body[i]);
        if (!query_run(&query, why))
            return false;
    }
    return true;
}

static bool add_delivery(struct ledger *ledger, const struct id *message, int64_t organisation,
                         const struct store_delivery *delivery, struct error *why)
{
    int64_t destination;
    struct query query;

    if (!ledger_destination(ledger, delivery->destination, &destination, why))
        return false;
    query_begin(&query, &ledger->connection, SQL_ADD_DELIVERY);
    query_bytes(&query, row_id_bytes(message));
    query_int(&query, delivery->number);
    query_int(&query, organisation);
    query_int(&query, destination);
    query_int(&query, delivery->state);
    query_bytes(&query, delivery->recipient);
    query_text(&query, delivery->ladder);
    query_text(&query, delivery->rule);
    query_int(&query, delivery->is_rule_of_gateway);
    query_bytes(&query, span_make(delivery->policy_digest, sizeof delivery->policy_digest));
    query_bytes(&query, span_make(delivery->tag, sizeof delivery->tag));
    query_int(&query, delivery->rung);
    query_int(&query, delivery->attempts);
    query_int(&query, delivery->rung_since_ms);
    query_int(&query, delivery->due_at_ms);
    query_int(&query, delivery->ends_at_ms);
    query_int(&query, is_open(delivery->state) ? (int64_t)delivery->lease : 0);
    query_text(&query, delivery->last_reason);
    if (!query_run(&query, why))
        return false;
    note_due(ledger, delivery->state, delivery->lease, delivery->due_at_ms);
    return ledger_count(ledger, organisation, destination, delivery->state, 1, why);
}

static bool accept_message(struct ledger *ledger, const struct store_change *change,
                           struct error *why)
{
    const struct store_delivery *deliveries = change->accept.deliveries;
    size_t count = change->accept.delivery_count;
    int64_t organisation;
    bool is_kept = false; /* where every delivery has ended already, nothing is left to send */

    for (size_t i = 0; i < count; i++)
        is_kept = is_kept || is_open(deliveries[i].state);
    if (!is_sound_accept(change, why) ||
        !ledger_organisation(ledger, change->accept.message.organisation, &organisation, why) ||
        !add_message(ledger, change, organisation, is_kept, why))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!add_delivery(ledger, &change->accept.message.id, organisation, &deliveries[i], why))
            return false;
    }
    struct tally *sender = tally_of(&ledger->of_organisations, organisation);
    if (!sender)
        return row_no_memory(why);
    sender->counts[TALLY_MESSAGES]++;
    return true;
}

/* ---- a move ---- */

static bool find_place(struct ledger *ledger, const struct store_move *move, int64_t *destination,
                       int64_t *organisation, struct error *why)
{
    struct query query;
    bool is_found;

    query_begin(&query, &ledger->connection, SQL_PLACE_OF_DELIVERY);
    query_bytes(&query, row_id_bytes(&move->message));
    query_int(&query, move->delivery);
    is_found = query_row(&query);
    if (is_found) {
        *destination = query_get_int(&query, 0);
        *organisation = query_get_int(&query, 1);
    }
    if (!query_end(&query, why))
        return false;
    return is_found || error_set(why, ERROR_INTERNAL, "4.3.0", "there is no such delivery");
}

/* What is expected stands in the UPDATE itself: nobody comes between looking and changing. */
static bool change_state(struct ledger *ledger, const struct store_move *move, struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, SQL_MOVE_DELIVERY);
    query_bytes(&query, row_id_bytes(&move->message));
    query_int(&query, move->delivery);
    query_int(&query, (int64_t)move->expected_lease);
    query_int(&query, move->expected_state);
    query_int(&query, move->state);
    query_int(&query, move->rung);
    query_int(&query, move->attempts);
    query_int(&query, move->rung_since_ms);
    query_int(&query, move->due_at_ms);
    query_int(&query, move->ends_at_ms);
    query_text(&query, move->last_reason);
    query_int(&query, move->expected_rung_since_ms);
    if (!query_run(&query, why))
        return false;
    if (sqlite3_changes(ledger->connection.database) != 1)
        return error_set(why, ERROR_INTERNAL, "4.3.0",
                         "the delivery is no longer in the expected state or lease");
    return true;
}

static bool bind_anew(struct ledger *ledger, const struct store_move *move, struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, SQL_BIND_DELIVERY);
    query_bytes(&query, row_id_bytes(&move->message));
    query_int(&query, move->delivery);
    query_text(&query, move->ladder);
    query_text(&query, move->rule);
    query_int(&query, move->is_rule_of_gateway);
    query_bytes(&query, span_make(move->tag, sizeof move->tag));
    query_bytes(&query, span_make(move->policy_digest, sizeof move->policy_digest));
    return query_run(&query, why);
}

static bool begin_again(struct ledger *ledger, const struct store_move *move, struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, SQL_BEGIN_DELIVERY_AGAIN);
    query_bytes(&query, row_id_bytes(&move->message));
    query_int(&query, move->delivery);
    query_int(&query, move->begun_at_ms);
    return query_run(&query, why);
}

static bool rewrap(struct ledger *ledger, const struct store_move *move, struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, SQL_REWRAP_MESSAGE);
    query_bytes(&query, row_id_bytes(&move->message));
    query_bytes(&query, move->wrapped_content);
    query_int(&query, move->content_day);
    return query_run(&query, why);
}

static bool run_on_message(struct ledger *ledger, enum sql sql, const struct id *message,
                           struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, sql);
    query_bytes(&query, row_id_bytes(message));
    return query_run(&query, why);
}

/* With the last delivery the key goes, and the body with it. */
static bool erase_if_ended(struct ledger *ledger, const struct id *message, struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, SQL_IS_MESSAGE_OPEN);
    query_bytes(&query, row_id_bytes(message));
    bool is_message_open = query_row(&query);
    if (!query_end(&query, why))
        return false;
    return is_message_open || (run_on_message(ledger, SQL_ERASE_CHUNKS, message, why) &&
                               run_on_message(ledger, SQL_ERASE_MESSAGE, message, why));
}

static bool move_delivery(struct ledger *ledger, const struct store_move *move, struct error *why)
{
    int64_t destination = 0, organisation = 0;

    if (move->last_reason.len > STORE_REASON_MAX)
        return refuse(why, "a reason over its limit");
    if (!is_open(move->expected_state))
        return refuse(why, "a move out of an end");
    if (!find_place(ledger, move, &destination, &organisation, why) ||
        !change_state(ledger, move, why) ||
        !ledger_count(ledger, organisation, destination, move->expected_state, -1, why) ||
        !ledger_count(ledger, organisation, destination, move->state, 1, why))
        return false;
    if ((move->ladder.data && !bind_anew(ledger, move, why)) ||
        (move->begun_at_ms != 0 && !begin_again(ledger, move, why)))
        return false;
    if (!is_open(move->state))
        return erase_if_ended(ledger, &move->message, why);
    note_due(ledger, move->state, 0, move->due_at_ms);
    return !move->wrapped_content.data || rewrap(ledger, move, why);
}

/* ---- a destination ---- */

static bool put_off(struct ledger *ledger, struct span name, int64_t until_ms, uint32_t failures,
                    struct error *why)
{
    int64_t destination;
    struct query query;

    if (!ledger_destination(ledger, name, &destination, why))
        return false;
    query_begin(&query, &ledger->connection, SQL_PUT_DESTINATION_OFF);
    query_int(&query, destination);
    query_int(&query, until_ms);
    query_int(&query, failures);
    return query_run(&query, why) && ledger_touch(ledger, destination, why);
}

static bool apply_change(struct ledger *ledger, const struct store_change *change,
                         struct error *why)
{
    switch (change->kind) {
    case STORE_ACCEPT:
        return accept_message(ledger, change, why);
    case STORE_MOVE:
        return move_delivery(ledger, &change->move, why);
    case STORE_LEAF:
        return true;
    case STORE_PUT_OFF:
        return put_off(ledger, change->put_off.destination, change->put_off.due_at_ms,
                       change->put_off.failures, why);
    case STORE_DESTINATION_UP:
        ledger->is_queue_due = true;
        return put_off(ledger, change->put_off.destination, 0, 0, why);
    }
    return refuse(why, "a change of an unknown kind");
}

bool change_apply_batch(struct ledger *ledger, void *self, struct error *why)
{
    const struct store_batch *batch = self;

    for (size_t i = 0; i < batch->count; i++) {
        const struct store_change *change = &batch->changes[i];
        if (!apply_change(ledger, change, why))
            return false;
        for (size_t j = 0; j < change->leaf_count; j++) {
            if (!ledger_append(ledger, &change->leaves[j], why))
                return false;
        }
    }
    return true;
}
