/* The journal as it is read: leaves in order, checkpoints, policies; and the few writes of its own.
 */
/* SPDX-License-Identifier: ISC */
#include "store_private.h"

#include "base/memory.h"
#include "rows.h"

enum { PAGE_BYTES = STORE_PAGE_ROWS * (STORE_LEAF_DETAIL_MAX + 1024) };

/* ---- what is written ---- */

struct epoch_job {
    uint64_t epoch;
    const struct store_leaf *leaf;
};

static bool apply_epoch(struct ledger *ledger, void *self, struct error *why)
{
    const struct epoch_job *job = self;

    if (job->epoch <= ledger->epoch)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "the journal is in epoch %llu already",
                         (unsigned long long)ledger->epoch);
    if (!ledger_append(ledger, job->leaf, why))
        return false;
    ledger->epoch = job->epoch;
    return true;
}

bool store_epoch_begin(struct store *store, uint64_t epoch, const struct store_leaf *leaf,
                       struct error *why)
{
    struct epoch_job job = {.epoch = epoch, .leaf = leaf};
    struct writer *writer;

    return store_writer(store, &writer, why) && writer_do(writer, apply_epoch, &job, 1, why);
}

static bool apply_checkpoint(struct ledger *ledger, void *self, struct error *why)
{
    const struct store_checkpoint *checkpoint = self;
    struct query query;

    query_begin(&query, &ledger->connection, SQL_ADD_CHECKPOINT);
    query_int(&query, (int64_t)checkpoint->epoch);
    query_int(&query, (int64_t)checkpoint->size);
    query_bytes(&query, checkpoint->bytes);
    return query_run(&query, why);
}

bool store_put_checkpoint(struct store *store, const struct store_checkpoint *checkpoint,
                          struct error *why)
{
    struct store_checkpoint same = *checkpoint;
    struct writer *writer;

    return store_writer(store, &writer, why) && writer_do(writer, apply_checkpoint, &same, 1, why);
}

struct policy_job {
    const uint8_t *digest;
    struct span text;
};

static bool apply_policy(struct ledger *ledger, void *self, struct error *why)
{
    const struct policy_job *job = self;
    struct query query;

    query_begin(&query, &ledger->connection, SQL_ADD_POLICY);
    query_bytes(&query, span_make(job->digest, 32));
    query_text(&query, job->text);
    return query_run(&query, why);
}

bool store_put_policy(struct store *store, const uint8_t digest[static 32], struct span text,
                      struct error *why)
{
    struct policy_job job = {.digest = digest, .text = text};
    struct writer *writer;

    return store_writer(store, &writer, why) && writer_do(writer, apply_policy, &job, 1, why);
}

/* ---- what is read ---- */

bool store_find_policy(struct store *store, const uint8_t digest[static 32], struct arena *arena,
                       bool *found, struct span *text, struct error *why)
{
    struct connection *connection;
    struct span copy = {0};
    struct query query;

    if (!store_reader_take(store, &connection, why))
        return false;
    query_begin(&query, connection, SQL_FIND_POLICY);
    query_bytes(&query, span_make(digest, 32));
    bool is_there = query_row(&query);
    if (is_there)
        copy = arena_copy(arena, query_get_bytes(&query, 0));
    bool is_done = query_end(&query, why);
    store_reader_give(store, connection);
    if (!is_done)
        return false;
    if (is_there && !copy.data)
        return row_no_memory(why);
    *found = is_there;
    if (is_there)
        *text = copy;
    return true;
}

bool store_tree_read(struct store *store, struct store_tree *tree, struct error *why)
{
    struct connection *connection;

    if (!store_reader_take(store, &connection, why))
        return false;
    bool is_done = row_tree(connection, tree, why);
    store_reader_give(store, connection);
    return is_done;
}

/* Reads the rows from `from` on into the arena, as many as fit; at least one where there is one. */
static bool read_page(struct store *store, int64_t from, struct arena *arena,
                      struct store_journal_row *rows, size_t *count, struct error *why)
{
    struct connection *connection;
    bool is_fitting = true;
    struct query query;

    *count = 0;
    if (!store_reader_take(store, &connection, why))
        return false;
    query_begin(&query, connection, SQL_EVENTS_FROM);
    query_int(&query, from);
    query_int(&query, STORE_PAGE_ROWS);
    while (*count < STORE_PAGE_ROWS && query_row(&query)) {
        is_fitting = row_event(&query, arena, &rows[*count]);
        if (!is_fitting)
            break;
        (*count)++;
    }
    bool is_done = query_end(&query, why);
    store_reader_give(store, connection);
    if (!is_done)
        return false;
    return *count > 0 || is_fitting || row_no_memory(why);
}

/* Pages by page, so that no read transaction is open while somebody visits: he may take his time,
 * and may call the store. */
bool store_each_leaf(struct store *store, uint64_t from_sequence,
                     bool (*visit)(void *self, const struct store_journal_row *row), void *self,
                     struct error *why)
{
    scoped(arena) arena = arena_new("journal rows", PAGE_BYTES);
    int64_t from = from_sequence > 0 ? (int64_t)from_sequence : INT64_MIN;
    struct store_journal_row *rows;
    size_t count;

    if (!arena)
        return row_no_memory(why);
    if (from_sequence > INT64_MAX)
        return true;
    do {
        arena_reset(arena);
        rows = arena_take_array(arena, STORE_PAGE_ROWS, sizeof *rows);
        if (!rows)
            return row_no_memory(why);
        if (!read_page(store, from, arena, rows, &count, why))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (!visit(self, &rows[i]) || rows[i].sequence == INT64_MAX)
                return true;
            from = (int64_t)rows[i].sequence + 1;
        }
    } while (count > 0);
    return true;
}

/* The checkpoint after (epoch, size); false in *found when there is none. */
static bool next_checkpoint(struct store *store, int64_t epoch, int64_t size, struct arena *arena,
                            bool *found, struct store_checkpoint *checkpoint, struct error *why)
{
    struct connection *connection;
    struct query query;

    if (!store_reader_take(store, &connection, why))
        return false;
    query_begin(&query, connection, SQL_CHECKPOINTS_FROM);
    query_int(&query, epoch);
    query_int(&query, size);
    query_int(&query, 1);
    *found = query_row(&query);
    if (*found) {
        checkpoint->epoch = (uint64_t)query_get_int(&query, 0);
        checkpoint->size = (uint64_t)query_get_int(&query, 1);
        checkpoint->bytes = arena_copy(arena, query_get_bytes(&query, 2));
    }
    bool is_done = query_end(&query, why);
    store_reader_give(store, connection);
    if (!is_done)
        return false;
    return !*found || checkpoint->bytes.data || row_no_memory(why);
}

bool store_each_checkpoint(struct store *store,
                           bool (*visit)(void *self, const struct store_checkpoint *checkpoint),
                           void *self, struct error *why)
{
    scoped(arena) arena = arena_new("a checkpoint", MIB(1));
    struct store_checkpoint checkpoint;
    int64_t epoch = -1, size = -1;
    bool is_found = true;

    if (!arena)
        return row_no_memory(why);
    while (is_found) {
        arena_reset(arena);
        if (!next_checkpoint(store, epoch, size, arena, &is_found, &checkpoint, why))
            return false;
        if (is_found && !visit(self, &checkpoint))
            return true;
        epoch = is_found ? (int64_t)checkpoint.epoch : epoch;
        size = is_found ? (int64_t)checkpoint.size : size;
    }
    return true;
}
