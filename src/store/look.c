/* Looking into the queue: on connections for reading, so that nobody who writes is waited for. */
/* SPDX-License-Identifier: ISC */
#include "store_private.h"

#include "base/memory.h"
#include "claim.h"
#include "rows.h"

#include <assert.h>

/* An array in the arena of rows whose number is not known before. */
struct growing {
    struct arena *arena;
    void *rows;
    size_t count, capacity, size;
};

/* The place of the next row; NULL when the arena is full. Old copies stay in the arena until it
 * ends: doubling keeps them below the final size. */
static void *next_row(struct growing *growing)
{
    if (growing->count == growing->capacity) {
        size_t capacity = growing->capacity ? 2 * growing->capacity : 8;
        void *rows = arena_take_array(growing->arena, capacity, growing->size);
        if (!rows)
            return NULL;
        if (growing->count > 0)
            memcpy(rows, growing->rows, growing->count * growing->size);
        growing->rows = rows;
        growing->capacity = capacity;
    }
    return (char *)growing->rows + growing->count++ * growing->size;
}

/* Ends a query whose rows were to be copied. */
static bool end_copying(struct query *query, bool is_fitting, struct error *why)
{
    if (!query_end(query, why))
        return false;
    return is_fitting || row_no_memory(why);
}

/* ---- one message ---- */

static bool find_message(struct connection *connection, struct id id, struct arena *arena,
                         bool *found, struct store_message *message, struct error *why)
{
    bool is_fitting = true;
    struct query query;

    query_begin(&query, connection, SQL_FIND_MESSAGE);
    query_bytes(&query, row_id_bytes(&id));
    *found = query_row(&query);
    if (*found)
        is_fitting = row_message(&query, 0, arena, message);
    return end_copying(&query, is_fitting, why);
}

static bool find_deliveries(struct connection *connection, struct id id, struct growing *deliveries,
                            struct error *why)
{
    bool is_fitting = true;
    struct query query;

    query_begin(&query, connection, SQL_FIND_DELIVERIES);
    query_bytes(&query, row_id_bytes(&id));
    while (is_fitting && query_row(&query)) {
        struct store_delivery *delivery = next_row(deliveries);
        is_fitting = delivery && row_delivery(&query, 0, deliveries->arena, &id, delivery);
    }
    return end_copying(&query, is_fitting, why);
}

bool store_find_message(struct store *store, struct id id, struct arena *arena, bool *found,
                        struct store_message *message, struct store_delivery **deliveries,
                        size_t *delivery_count, struct error *why)
{
    struct growing rows = {.arena = arena, .size = sizeof **deliveries};
    struct connection *connection;
    struct store_message read;
    bool is_there = false;

    if (!store_reader_take(store, &connection, why))
        return false;
    bool is_done = store_reader_begin(connection, why);
    if (is_done) {
        is_done = find_message(connection, id, arena, &is_there, &read, why) &&
                  (!is_there || find_deliveries(connection, id, &rows, why));
        store_reader_end(connection);
    }
    store_reader_give(store, connection);
    if (!is_done)
        return false;
    *found = is_there;
    if (is_there) {
        *message = read;
        *deliveries = rows.rows;
        *delivery_count = rows.count;
    }
    return true;
}

bool store_find_journal(struct store *store, struct id message, struct arena *arena,
                        struct store_journal_row **rows, size_t *count, struct error *why)
{
    struct growing found = {.arena = arena, .size = sizeof **rows};
    struct connection *connection;
    bool is_fitting = true;
    struct query query;

    if (!store_reader_take(store, &connection, why))
        return false;
    query_begin(&query, connection, SQL_EVENTS_OF_MESSAGE);
    query_bytes(&query, row_id_bytes(&message));
    while (is_fitting && query_row(&query)) {
        struct store_journal_row *row = next_row(&found);
        is_fitting = row && row_event(&query, arena, row);
    }
    bool is_done = end_copying(&query, is_fitting, why);
    store_reader_give(store, connection);
    if (!is_done)
        return false;
    *rows = found.rows;
    *count = found.count;
    return true;
}

/* A body of one chunk stands with its message, the further ones of others in rows of their own. */
bool store_read_body(struct store *store, struct id message, uint32_t number, struct buffer *out,
                     bool *is_last, struct error *why)
{
    struct connection *connection;
    bool is_copied = true;
    int64_t chunks = 0;
    struct query query;

    if (!store_reader_take(store, &connection, why))
        return false;
    query_begin(&query, connection, number == 0 ? SQL_READ_FIRST_CHUNK : SQL_READ_CHUNK);
    query_bytes(&query, row_id_bytes(&message));
    if (number > 0)
        query_int(&query, number);
    if (query_row(&query)) {
        chunks = query_get_int(&query, 0);
        if (number < chunks)
            is_copied = buffer_append(out, query_get_bytes(&query, 1));
    }
    bool is_done = query_end(&query, why);
    store_reader_give(store, connection);
    if (!is_done)
        return false;
    if (number >= chunks)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "the body is not in the store");
    if (!is_copied)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "the body does not fit into memory");
    *is_last = number + 1 == chunks;
    return true;
}

/* ---- the queue ---- */

static bool read_queue(struct query *query, size_t limit, struct growing *rows, struct error *why)
{
    bool is_fitting = true;
    struct id id;

    while (is_fitting && rows->count < limit && query_row(query)) {
        struct store_queued *queued = next_row(rows);
        is_fitting = queued && row_message(query, 0, rows->arena, &queued->message) &&
                     row_delivery(query, ROW_MESSAGE_COLUMNS, rows->arena, &id, &queued->delivery);
        if (is_fitting)
            queued->message.id = id; /* also where the message's own row is gone */
    }
    return end_copying(query, is_fitting, why);
}

static bool find_destination(struct connection *connection, struct span name, int64_t *row,
                             struct error *why)
{
    struct query query;

    *row = 0;
    query_begin(&query, connection, SQL_FIND_DESTINATION);
    query_text(&query, name);
    if (query_row(&query))
        *row = query_get_int(&query, 0);
    return query_end(&query, why);
}

static bool list_queue(struct connection *connection, struct span destination, struct id after,
                       uint32_t after_delivery, size_t limit, struct growing *rows,
                       struct error *why)
{
    bool is_of_one = destination.len > 0;
    int64_t row = 0;
    struct query query;

    if (is_of_one && !find_destination(connection, destination, &row, why))
        return false;
    if (is_of_one && row == 0)
        return true;
    query_begin(&query, connection, is_of_one ? SQL_LIST_QUEUE_OF_DESTINATION : SQL_LIST_QUEUE);
    /* Here no name is the beginning of all, not NULL, which is neither less nor greater. */
    query_bytes(&query, span_make(after.bytes, sizeof after.bytes));
    query_int(&query, after_delivery);
    query_int(&query, limit > INT32_MAX ? INT32_MAX : (int64_t)limit);
    if (is_of_one)
        query_int(&query, row);
    return read_queue(&query, limit, rows, why);
}

bool store_list_queue(struct store *store, struct span destination, struct id after,
                      uint32_t after_delivery, size_t limit, struct arena *arena,
                      struct store_queued **out, size_t *count, struct error *why)
{
    struct growing rows = {.arena = arena, .size = sizeof **out};
    struct connection *connection;

    if (!store_reader_take(store, &connection, why))
        return false;
    bool is_done = list_queue(connection, destination, after, after_delivery, limit, &rows, why);
    store_reader_give(store, connection);
    if (!is_done)
        return false;
    *out = rows.rows;
    *count = rows.count;
    return true;
}

bool store_list_latest(struct store *store, size_t limit, struct arena *arena, struct id **out,
                       size_t *count, struct error *why)
{
    struct growing rows = {.arena = arena, .size = sizeof **out};
    struct connection *connection;
    struct id beyond_all;
    bool is_fitting = true;
    struct query query;

    memset(beyond_all.bytes, 0xff, sizeof beyond_all.bytes);
    if (!store_reader_take(store, &connection, why))
        return false;
    query_begin(&query, connection, SQL_LIST_LATEST);
    query_bytes(&query, span_make(beyond_all.bytes, sizeof beyond_all.bytes));
    query_int(&query, limit > INT32_MAX ? INT32_MAX : (int64_t)limit);
    while (is_fitting && query_row(&query)) {
        struct id *id = next_row(&rows);
        is_fitting = id != NULL;
        if (id)
            query_get_exactly(&query, 0, id->bytes, sizeof id->bytes);
    }
    bool is_done = end_copying(&query, is_fitting, why);
    store_reader_give(store, connection);
    if (!is_done)
        return false;
    *out = rows.rows;
    *count = rows.count;
    return true;
}

static bool read_destination(struct query *query, struct growing *rows)
{
    struct store_destination *destination = next_row(rows);

    if (!destination)
        return false;
    *destination = (struct store_destination){
        .name = arena_copy(rows->arena, query_get_bytes(query, 0)),
        .waiting = (uint64_t)query_get_int(query, 1),
        .held = (uint64_t)query_get_int(query, 2),
        .next_due_ms = query_is_null(query, 3) ? INT64_MAX : query_get_int(query, 3),
        .failures = (uint32_t)query_get_int(query, 4),
    };
    return destination->name.data != NULL;
}

bool store_list_destinations(struct store *store, size_t limit, struct arena *arena,
                             struct store_destination **out, size_t *count, struct error *why)
{
    struct growing rows = {.arena = arena, .size = sizeof **out};
    struct connection *connection;
    bool is_fitting = true;
    struct query query;

    if (!store_reader_take(store, &connection, why))
        return false;
    query_begin(&query, connection, SQL_LIST_DESTINATIONS);
    query_int(&query, limit > INT32_MAX ? INT32_MAX : (int64_t)limit);
    while (is_fitting && query_row(&query))
        is_fitting = read_destination(&query, &rows);
    bool is_done = end_copying(&query, is_fitting, why);
    store_reader_give(store, connection);
    if (!is_done)
        return false;
    *out = rows.rows;
    *count = rows.count;
    return true;
}

bool store_next_due(struct store *store, const struct span *skip, size_t skip_count,
                    int64_t *due_at_ms, struct error *why)
{
    struct connection *connection;

    if (!store_reader_take(store, &connection, why))
        return false;
    bool is_done = claim_next_due(connection, skip, skip_count, due_at_ms, why);
    store_reader_give(store, connection);
    return is_done;
}

bool store_destination_failures(struct store *store, struct span destination, uint32_t *failures,
                                struct error *why)
{
    struct connection *connection;
    uint32_t read = 0;
    struct query query;

    if (!store_reader_take(store, &connection, why))
        return false;
    query_begin(&query, connection, SQL_DESTINATION_FAILURES);
    query_text(&query, destination);
    if (query_row(&query))
        read = (uint32_t)query_get_int(&query, 0);
    bool is_done = query_end(&query, why);
    store_reader_give(store, connection);
    if (is_done)
        *failures = read;
    return is_done;
}

static bool read_counts(struct connection *connection, struct store_counts *counts,
                        struct error *why)
{
    uint64_t *const places[] = {&counts->waiting,  &counts->held,    &counts->delivered,
                                &counts->returned, &counts->deleted, &counts->dropped,
                                &counts->messages};
    struct query query;

    query_begin(&query, connection, SQL_SUM_COUNTS);
    if (query_row(&query)) {
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
            *places[i] = (uint64_t)query_get_int(&query, (int)i);
    }
    if (!query_end(&query, why))
        return false;
    query_begin(&query, connection, SQL_READ_TREE);
    if (query_row(&query))
        counts->leaves = (uint64_t)query_get_int(&query, 1);
    return query_end(&query, why);
}

bool store_count(struct store *store, struct store_counts *counts, struct error *why)
{
    struct connection *connection;
    struct store_counts read = {0};

    if (!store_reader_take(store, &connection, why))
        return false;
    bool is_done = store_reader_begin(connection, why);
    if (is_done) {
        is_done = read_counts(connection, &read, why);
        store_reader_end(connection);
    }
    store_reader_give(store, connection);
    if (is_done)
        *counts = read;
    return is_done;
}
