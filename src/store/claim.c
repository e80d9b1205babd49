/* Claiming: due deliveries are found by index alone, copied out and leased, in one transaction. */
/* SPDX-License-Identifier: ISC */
#include "claim.h"

#include "base/memory.h"
#include "rows.h"

#include <stdlib.h>

static bool is_among(struct span name, const struct span *skip, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(name, skip[i]))
            return true;
    }
    return false;
}

static bool is_full(const struct claim_job *job)
{
    return job->count == job->claim->limit;
}

/* A delivery whose message is gone comes with the message's id alone: its owner holds it. */
static bool read_message(struct ledger *ledger, struct claim_job *job, bool *is_fitting,
                         struct error *why)
{
    struct store_claimed *claimed = &job->claimed[job->count];
    struct query query;

    query_begin(&query, &ledger->connection, SQL_FIND_MESSAGE);
    query_bytes(&query, row_id_bytes(&claimed->message.id));
    if (query_row(&query))
        *is_fitting = row_message(&query, 0, job->arena, &claimed->message);
    return query_end(&query, why);
}

static bool read_last_leaf(struct ledger *ledger, struct claim_job *job, bool *is_fitting,
                           struct error *why)
{
    struct store_claimed *claimed = &job->claimed[job->count];
    struct store_journal_row row;
    struct query query;

    query_begin(&query, &ledger->connection, SQL_LAST_EVENT);
    query_bytes(&query, row_id_bytes(&claimed->message.id));
    query_int(&query, claimed->delivery.number);
    if (query_row(&query)) {
        *is_fitting = row_event(&query, job->arena, &row);
        if (*is_fitting) {
            claimed->last_leaf = row.leaf;
            claimed->is_leaf_whole =
                row.sequence < ledger->tree.size && store_row_is_whole(&row, &ledger->scratch);
        }
    }
    return query_end(&query, why);
}

/* Takes what the query finds into the job, without a lease yet. An arena that is full ends the
 * claim early: what fitted is handed out, the rest stays due. */
static bool take_rows(struct ledger *ledger, struct claim_job *job, struct query *query,
                      bool *is_arena_full, struct error *why)
{
    bool is_fitting = true, is_done = true;

    while (is_done && is_fitting && !is_full(job) && query_row(query)) {
        struct store_claimed *claimed = &job->claimed[job->count];
        *claimed = (struct store_claimed){0};
        is_fitting = row_delivery(query, 0, job->arena, &claimed->message.id, &claimed->delivery);
        is_done = !is_fitting || read_message(ledger, job, &is_fitting, why);
        is_done = is_done && (!is_fitting || read_last_leaf(ledger, job, &is_fitting, why));
        job->count += is_done && is_fitting;
    }
    *is_arena_full = !is_fitting;
    return query_end(query, why) && is_done;
}

static bool lease_rows(struct ledger *ledger, struct claim_job *job, size_t from, struct error *why)
{
    struct query query;

    for (size_t i = from; i < job->count; i++) {
        struct store_claimed *claimed = &job->claimed[i];
        query_begin(&query, &ledger->connection, SQL_LEASE_DELIVERY);
        query_bytes(&query, row_id_bytes(&claimed->message.id));
        query_int(&query, claimed->delivery.number);
        query_int(&query, (int64_t)job->claim->lease);
        query_int(&query, job->claim->lease_until_ms);
        if (!ledger_touch_returned(ledger, &query, why))
            return false;
        claimed->delivery.lease = job->claim->lease;
        claimed->delivery.due_at_ms = job->claim->lease_until_ms;
    }
    return true;
}

static bool claim_impatient(struct ledger *ledger, struct claim_job *job, bool *is_arena_full,
                            struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, SQL_IMPATIENT_DELIVERIES);
    query_int(&query, job->claim->now_ms);
    query_int(&query, (int64_t)job->claim->limit);
    return take_rows(ledger, job, &query, is_arena_full, why) && lease_rows(ledger, job, 0, why);
}

static bool claim_of_destination(struct ledger *ledger, struct claim_job *job, int64_t destination,
                                 bool *is_arena_full, struct error *why)
{
    size_t limit = job->claim->limit - job->count, from = job->count;
    struct query query;

    if (limit > job->claim->limit_per_destination)
        limit = job->claim->limit_per_destination;
    query_begin(&query, &ledger->connection, SQL_DUE_DELIVERIES);
    query_int(&query, destination);
    query_int(&query, job->claim->now_ms);
    query_int(&query, (int64_t)limit);
    return take_rows(ledger, job, &query, is_arena_full, why) && lease_rows(ledger, job, from, why);
}

/* The destination rows are not changed before the tallies are settled, so that walking them by
 * next_due goes on undisturbed. */
static bool claim_due(struct ledger *ledger, struct claim_job *job, bool *is_arena_full,
                      struct error *why)
{
    const struct store_claim *claim = job->claim;
    bool is_done = true;
    struct query query;

    query_begin(&query, &ledger->connection, SQL_DUE_DESTINATIONS);
    query_int(&query, claim->now_ms);
    while (is_done && !is_full(job) && !*is_arena_full && query_row(&query)) {
        if (!is_among(query_get_bytes(&query, 1), claim->skip, claim->skip_count))
            is_done =
                claim_of_destination(ledger, job, query_get_int(&query, 0), is_arena_full, why);
    }
    return query_end(&query, why) && is_done;
}

static int by_message(const void *a, const void *b)
{
    const struct store_claimed *left = a, *right = b;
    int order = memcmp(left->message.id.bytes, right->message.id.bytes, ID_BYTES);

    if (order != 0)
        return order;
    return (left->delivery.number > right->delivery.number) -
           (left->delivery.number < right->delivery.number);
}

static bool renew_lease(struct ledger *ledger, const struct id *message, uint32_t delivery,
                        int64_t until_ms, struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, SQL_RENEW_LEASE);
    query_bytes(&query, row_id_bytes(message));
    query_int(&query, delivery);
    query_int(&query, until_ms);
    return query_run(&query, why);
}

static bool free_row(struct ledger *ledger, const struct id *message, uint32_t delivery,
                     int64_t due_at_ms, struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, SQL_LEASE_DELIVERY);
    query_bytes(&query, row_id_bytes(message));
    query_int(&query, delivery);
    query_int(&query, 0);
    query_int(&query, due_at_ms);
    return ledger_touch_returned(ledger, &query, why);
}

/* An owner's leases that end before `before_ms`: what is in hand is renewed, the rest is freed or
 * left. Either change takes a row out of the part of the index that is walked. */
static bool walk_own(struct ledger *ledger, uint64_t lease, int64_t before_ms, int64_t until_ms,
                     struct store_hand hand, bool frees, struct error *why)
{
    bool is_done = true;
    struct query query;

    query_begin(&query, &ledger->connection, SQL_LEASED_DELIVERIES);
    query_int(&query, (int64_t)lease);
    query_int(&query, before_ms);
    while (is_done && query_row(&query)) {
        uint32_t delivery = (uint32_t)query_get_int(&query, 1);
        struct id message;

        query_get_exactly(&query, 0, message.bytes, ID_BYTES);
        if (hand.has && hand.has(hand.self, message, delivery))
            is_done = renew_lease(ledger, &message, delivery, until_ms, why);
        else if (frees)
            is_done = free_row(ledger, &message, delivery, before_ms - 1, why);
    }
    return query_end(&query, why) && is_done;
}

/* Who held them may be dead, or stuck: they are due again, for anybody. */
static bool expire_leases(struct ledger *ledger, const struct store_claim *claim, struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, SQL_EXPIRE_LEASES);
    query_int(&query, claim->now_ms);
    query_int(&query, (int64_t)claim->lease);
    return ledger_touch_returned(ledger, &query, why) &&
           walk_own(ledger, claim->lease, claim->now_ms + 1, claim->lease_until_ms, claim->hand,
                    true, why);
}

bool claim_apply(struct ledger *ledger, void *self, struct error *why)
{
    struct claim_job *job = self;
    bool is_arena_full = false;

    job->count = 0; /* the group may be run anew */
    if (!expire_leases(ledger, job->claim, why) || !ledger_settle(ledger, why) ||
        !claim_impatient(ledger, job, &is_arena_full, why) ||
        (!is_arena_full && !claim_due(ledger, job, &is_arena_full, why)))
        return false;
    if (job->count == 0)
        return !is_arena_full || row_no_memory(why);
    qsort(job->claimed, job->count, sizeof *job->claimed, by_message);
    return true;
}

bool claim_apply_renewal(struct ledger *ledger, void *self, struct error *why)
{
    const struct store_renewal *renewal = self;

    return walk_own(ledger, renewal->lease, renewal->until_ms, renewal->until_ms, renewal->hand,
                    false, why);
}

bool claim_apply_end(struct ledger *ledger, void *self, struct error *why)
{
    const struct lease_job *job = self;
    struct query query;

    ledger->is_queue_due = true;
    query_begin(&query, &ledger->connection, SQL_END_LEASES);
    query_int(&query, (int64_t)job->lease);
    query_int(&query, job->at_ms);
    return ledger_touch_returned(ledger, &query, why);
}

/* The first row's number; *earliest stays where it is earlier, or where there is none. */
static bool find_first(struct connection *connection, enum sql sql, int64_t *earliest,
                       struct error *why)
{
    struct query query;

    query_begin(&query, connection, sql);
    if (query_row(&query) && query_get_int(&query, 0) < *earliest)
        *earliest = query_get_int(&query, 0);
    return query_end(&query, why);
}

bool claim_next_due(struct connection *connection, const struct span *skip, size_t skip_count,
                    int64_t *due_at_ms, struct error *why)
{
    int64_t earliest = INT64_MAX;
    bool is_found = false;
    struct query query;

    query_begin(&query, connection, SQL_NEXT_DESTINATIONS);
    while (!is_found && query_row(&query)) {
        is_found = !is_among(query_get_bytes(&query, 0), skip, skip_count);
        if (is_found)
            earliest = query_get_int(&query, 1);
    }
    if (!query_end(&query, why) || !find_first(connection, SQL_FIRST_PATIENCE, &earliest, why) ||
        !find_first(connection, SQL_FIRST_LEASE_END, &earliest, why))
        return false;
    *due_at_ms = earliest;
    return true;
}
