/* Rows as the contract's structs: the only place that knows the order of columns. */
/* SPDX-License-Identifier: ISC */
#include "rows.h"

#include "base/wire.h"

/* Notes in *is_full that a copy could not be made, so that one look at the end is enough. */
static struct span copy(struct query *query, int column, struct arena *arena, bool *is_full)
{
    struct span text = arena_copy(arena, query_get_bytes(query, column));
    if (!text.data)
        *is_full = true;
    return text;
}

bool row_no_memory(struct error *why)
{
    return error_set(why, ERROR_TEMPORARY, "4.3.1", "the rows do not fit into memory");
}

bool row_message(struct query *query, int first, struct arena *arena, struct store_message *message)
{
    bool is_full = false;
    struct store_message read = {
        .organisation = copy(query, first + 1, arena, &is_full),
        .accepted_at_ms = query_get_int(query, first + 2),
        .size = (uint64_t)query_get_int(query, first + 3),
        .has_8bit = query_get_int(query, first + 4) != 0,
        .is_sender_known = query_get_int(query, first + 5) != 0,
        .is_inward = query_get_int(query, first + 6) != 0,
        .is_report = query_get_int(query, first + 7) != 0,
        .wrapped_content = copy(query, first + 8, arena, &is_full),
        .wrapped_record = copy(query, first + 9, arena, &is_full),
        .content_day = (int32_t)query_get_int(query, first + 10),
        .record_day = (int32_t)query_get_int(query, first + 11),
        .sender = copy(query, first + 12, arena, &is_full),
        .facts = copy(query, first + 13, arena, &is_full),
    };
    query_get_exactly(query, first, read.id.bytes, sizeof read.id.bytes);
    if (!is_full)
        *message = read;
    return !is_full;
}

/* A number that is no state can stand only in a row that was tampered with: such a row is held,
 * whatever the caller then makes of it. */
static enum delivery_state state_of(int64_t number)
{
    return number >= 0 && number < DELIVERY_STATE_COUNT ? (enum delivery_state)number
                                                        : DELIVERY_HELD;
}

/* Such a row too: it must not pass for another delivery. No delivery has the number 0. */
static uint32_t number_of(int64_t number)
{
    return number >= 1 && number <= UINT32_MAX ? (uint32_t)number : 0;
}

bool row_delivery(struct query *query, int first, struct arena *arena, struct id *id,
                  struct store_delivery *delivery)
{
    bool is_full = false;
    struct store_delivery read = {
        .number = number_of(query_get_int(query, first + 1)),
        .state = state_of(query_get_int(query, first + 2)),
        .destination = copy(query, first + 3, arena, &is_full),
        .recipient = copy(query, first + 4, arena, &is_full),
        .ladder = copy(query, first + 5, arena, &is_full),
        .rule = copy(query, first + 6, arena, &is_full),
        .is_rule_of_gateway = query_get_int(query, first + 7) != 0,
        .rung = (uint32_t)query_get_int(query, first + 10),
        .attempts = (uint32_t)query_get_int(query, first + 11),
        .rung_since_ms = query_get_int(query, first + 12),
        .due_at_ms = query_get_int(query, first + 13),
        .ends_at_ms = query_get_int(query, first + 14),
        .lease = (uint64_t)query_get_int(query, first + 15),
        .last_reason = copy(query, first + 16, arena, &is_full),
        .begun_at_ms = query_get_int(query, first + 17),
    };
    query_get_exactly(query, first + 8, read.policy_digest, sizeof read.policy_digest);
    query_get_exactly(query, first + 9, read.tag, sizeof read.tag);
    if (is_full)
        return false;
    query_get_exactly(query, first, id->bytes, sizeof id->bytes);
    *delivery = read;
    return true;
}

bool row_tree(struct connection *connection, struct store_tree *tree, struct error *why)
{
    struct store_tree read = {0};
    bool is_whole = false;
    struct query query;

    query_begin(&query, connection, SQL_READ_TREE);
    if (query_row(&query)) {
        struct span peaks = query_get_bytes(&query, 2);
        read.epoch = (uint64_t)query_get_int(&query, 0);
        read.tree.size = (uint64_t)query_get_int(&query, 1);
        is_whole = peaks.len == (size_t)__builtin_popcountll(read.tree.size) * MERKLE_HASH_BYTES;
        if (is_whole)
            memcpy(read.tree.peaks, peaks.data, peaks.len);
    }
    if (!query_end(&query, why))
        return false;
    if (!is_whole)
        return error_set(why, ERROR_INTERNAL, "4.3.0",
                         "the store is damaged: the journal has no tree");
    *tree = read;
    return true;
}

enum { ORGANISATION_MAX = 1024 }; /* of any name in the policy, with room to spare */

/* We write NULL for what is empty, and for nothing else. */
static bool is_null_or_some(struct query *query, int column)
{
    return query_is_null(query, column) == (query_get_bytes(query, column).len == 0);
}

/* Could we have written the row so? What does not fit into the leaf's fields would be cut to other
 * values on its way there, and a row without its organisation would be the gateway's. */
static bool is_event_of_ours(struct query *query)
{
    int64_t kind = query_get_int(query, 1), delivery = query_get_int(query, 4);
    struct id message;

    query_get_exactly(query, 3, message.bytes, sizeof message.bytes);
    return kind >= 0 && kind <= UINT16_MAX && delivery >= 0 && delivery <= UINT32_MAX &&
           query_is_null(query, 3) == id_is_none(message) && !query_is_null(query, 5) &&
           query_get_bytes(query, 5).len <= ORGANISATION_MAX && is_null_or_some(query, 6) &&
           query_get_bytes(query, 6).len <= STORE_LEAF_DETAIL_MAX;
}

bool row_event(struct query *query, struct arena *arena, struct store_journal_row *row)
{
    bool is_full = false, is_ours = is_event_of_ours(query);
    struct store_journal_row read = {
        .sequence = (uint64_t)query_get_int(query, 0),
        .leaf =
            {
                .kind = (uint16_t)query_get_int(query, 1),
                .at_ms = query_get_int(query, 2),
                .delivery = (uint32_t)query_get_int(query, 4),
                .organisation = is_ours ? copy(query, 5, arena, &is_full) : (struct span){"", 0},
                .detail = is_ours ? copy(query, 6, arena, &is_full) : (struct span){"", 0},
            },
        .is_purged = query_is_null(query, 7),
    };
    query_get_exactly(query, 3, read.leaf.message.bytes, sizeof read.leaf.message.bytes);
    query_get_exactly(query, 7, read.salt, sizeof read.salt);
    if (is_ours) /* else zeros, which are the hash of nothing */
        query_get_exactly(query, 8, read.hash.bytes, sizeof read.hash.bytes);
    if (!is_full)
        *row = read;
    return !is_full;
}

enum { LEAF_VERSION = 1 };

void store_leaf_canonical(uint64_t sequence, const struct store_leaf *leaf, struct buffer *out)
{
    wire_put_u8(out, LEAF_VERSION);
    wire_put_u64(out, sequence);
    wire_put_u16(out, leaf->kind);
    wire_put_bytes(out, leaf->message.bytes, sizeof leaf->message.bytes);
    wire_put_u32(out, leaf->delivery);
    wire_put_span(out, leaf->organisation);
    wire_put_u64(out, (uint64_t)leaf->at_ms);
    wire_put_span(out, leaf->detail);
}

bool store_row_is_whole(const struct store_journal_row *row, struct buffer *scratch)
{
    buffer_truncate(scratch, 0);
    store_leaf_canonical(row->sequence, &row->leaf, scratch);
    if (scratch->failed) { /* longer than any row of ours: the buffer serves the next one again */
        buffer_clear(scratch);
        return false;
    }
    if (row->is_purged)
        return false;
    struct merkle_hash hash = merkle_leaf(row->salt, buffer_span(scratch));
    return memcmp(hash.bytes, row->hash.bytes, sizeof hash.bytes) == 0;
}
