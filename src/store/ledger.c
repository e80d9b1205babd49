/* One transaction of the writer: counters gathered in memory, leaves appended to the tree, all
 * written once before the commit. */
/* SPDX-License-Identifier: ISC */
#include "ledger.h"

#include "base/secret.h"
#include "rows.h"

bool ledger_init(struct ledger *ledger, const struct clock *clock, const struct entropy *entropy)
{
    uint64_t seeds[2];

    *ledger = (struct ledger){.clock = clock, .entropy = entropy, .salts_used = LEDGER_SALTS};
    buffer_init(&ledger->scratch, STORE_LEAF_CANONICAL_MAX);
    entropy_fill(entropy, seeds, sizeof seeds);
    bool are_names_ready = names_init(&ledger->organisations, seeds[0]);
    return names_init(&ledger->destinations, seeds[1]) && are_names_ready;
}

void ledger_clear(struct ledger *ledger)
{
    connection_close(&ledger->connection);
    names_clear(&ledger->organisations);
    names_clear(&ledger->destinations);
    tallies_clear(&ledger->of_organisations);
    tallies_clear(&ledger->of_destinations);
    buffer_clear(&ledger->scratch);
    secret_wipe(ledger->salts, sizeof ledger->salts);
}

static bool no_memory(struct error *why)
{
    return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
}

/* Other processes write too: what the tree is, the database knows. */
static bool read_tree(struct ledger *ledger, struct error *why)
{
    struct store_tree read;

    if (!row_tree(&ledger->connection, &read, why))
        return false;
    ledger->epoch = read.epoch;
    ledger->tree = read.tree;
    return true;
}

bool ledger_begin(struct ledger *ledger, struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, SQL_BEGIN_WRITE);
    if (!query_run(&query, why) || !read_tree(ledger, why))
        return false;
    ledger->size_before = ledger->tree.size;
    ledger->is_tree_changed = ledger->is_queue_due = false;
    return true;
}

void ledger_rollback(struct ledger *ledger)
{
    struct query query;
    struct error ignored; /* a transaction that cannot be undone ends with its connection */

    tallies_empty(&ledger->of_organisations);
    tallies_empty(&ledger->of_destinations);
    /* Rows that it had made are gone. */
    names_forget(&ledger->organisations);
    names_forget(&ledger->destinations);
    if (!ledger->connection.database || sqlite3_get_autocommit(ledger->connection.database))
        return;
    query_begin(&query, &ledger->connection, SQL_ROLLBACK);
    if (!query_run(&query, &ignored))
        ledger->connection.is_broken = true;
}

static bool write_tree(struct ledger *ledger, struct error *why)
{
    size_t peaks = (size_t)__builtin_popcountll(ledger->tree.size);
    struct query query;

    if (!ledger->is_tree_changed)
        return true;
    query_begin(&query, &ledger->connection, SQL_WRITE_TREE);
    query_int(&query, (int64_t)ledger->epoch);
    query_int(&query, (int64_t)ledger->tree.size);
    query_bytes(&query, span_make(ledger->tree.peaks, peaks * MERKLE_HASH_BYTES));
    return query_run(&query, why);
}

bool ledger_commit(struct ledger *ledger, struct error *why)
{
    struct query query;

    if (!ledger_settle(ledger, why) || !write_tree(ledger, why))
        return false;
    query_begin(&query, &ledger->connection, SQL_COMMIT);
    return query_run(&query, why);
}

static bool write_tally(struct ledger *ledger, enum sql sql, const struct tally *tally,
                        size_t counts, struct error *why)
{
    struct query query;

    query_begin(&query, &ledger->connection, sql);
    query_int(&query, tally->row);
    for (size_t i = 0; i < counts; i++)
        query_int(&query, tally->counts[i]);
    return query_run(&query, why);
}

static bool write_tallies(struct ledger *ledger, enum sql sql, struct tallies *tallies,
                          size_t counts, struct error *why)
{
    for (size_t i = 0; i < tallies->capacity && tallies->used > 0; i++) {
        if (tallies->slots[i].row != 0 &&
            !write_tally(ledger, sql, &tallies->slots[i], counts, why))
            return false;
    }
    tallies_empty(tallies);
    return true;
}

bool ledger_settle(struct ledger *ledger, struct error *why)
{
    return write_tallies(ledger, SQL_COUNT_ORGANISATION, &ledger->of_organisations, TALLY_COUNTS,
                         why) &&
           write_tallies(ledger, SQL_COUNT_DESTINATION, &ledger->of_destinations, DELIVERY_HELD + 1,
                         why);
}

static bool find_or_add(struct ledger *ledger, struct names *names, enum sql find, enum sql add,
                        struct span name, int64_t *row, struct error *why)
{
    struct query query;
    int64_t found = names_find(names, name);

    if (found == 0) {
        query_begin(&query, &ledger->connection, find);
        query_text(&query, name);
        if (query_row(&query))
            found = query_get_int(&query, 0);
        if (!query_end(&query, why))
            return false;
        if (found == 0) {
            query_begin(&query, &ledger->connection, add);
            query_text(&query, name);
            if (!query_run(&query, why))
                return false;
            found = sqlite3_last_insert_rowid(ledger->connection.database);
        }
        names_add(names, name, found);
    }
    *row = found;
    return true;
}

bool ledger_organisation(struct ledger *ledger, struct span name, int64_t *row, struct error *why)
{
    return find_or_add(ledger, &ledger->organisations, SQL_FIND_ORGANISATION, SQL_ADD_ORGANISATION,
                       name, row, why);
}

bool ledger_destination(struct ledger *ledger, struct span name, int64_t *row, struct error *why)
{
    return find_or_add(ledger, &ledger->destinations, SQL_FIND_DESTINATION, SQL_ADD_DESTINATION,
                       name, row, why);
}

bool ledger_count(struct ledger *ledger, int64_t organisation, int64_t destination,
                  enum delivery_state state, int64_t change, struct error *why)
{
    struct tally *sender = tally_of(&ledger->of_organisations, organisation);
    struct tally *target = tally_of(&ledger->of_destinations, destination);

    if (!sender || !target)
        return no_memory(why);
    sender->counts[state] += change;
    target->counts[state] += change;
    return true;
}

bool ledger_touch(struct ledger *ledger, int64_t destination, struct error *why)
{
    return tally_of(&ledger->of_destinations, destination) != NULL || no_memory(why);
}

bool ledger_touch_returned(struct ledger *ledger, struct query *query, struct error *why)
{
    bool is_touched = true;

    while (is_touched && query_row(query))
        is_touched = ledger_touch(ledger, query_get_int(query, 0), why);
    return query_end(query, why) && is_touched;
}

static const uint8_t *next_salt(struct ledger *ledger)
{
    if (ledger->salts_used == LEDGER_SALTS) {
        entropy_fill(ledger->entropy, ledger->salts, sizeof ledger->salts);
        ledger->salts_used = 0;
    }
    return ledger->salts[ledger->salts_used++];
}

bool ledger_append(struct ledger *ledger, const struct store_leaf *leaf, struct error *why)
{
    int64_t organisation;
    struct query query;

    if (leaf->detail.len > STORE_LEAF_DETAIL_MAX)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "a journal leaf of %zu bytes",
                         leaf->detail.len);
    if (!ledger_organisation(ledger, leaf->organisation, &organisation, why))
        return false;
    buffer_truncate(&ledger->scratch, 0);
    store_leaf_canonical(ledger->tree.size, leaf, &ledger->scratch);
    if (ledger->scratch.failed) {
        buffer_clear(&ledger->scratch);
        return no_memory(why);
    }
    const uint8_t *salt = next_salt(ledger);
    struct merkle_hash hash = merkle_leaf(salt, buffer_span(&ledger->scratch));

    query_begin(&query, &ledger->connection, SQL_ADD_EVENT);
    query_int(&query, (int64_t)ledger->tree.size);
    query_int(&query, leaf->kind);
    query_int(&query, leaf->at_ms);
    query_bytes(&query, row_id_bytes(&leaf->message));
    query_int(&query, leaf->delivery);
    query_int(&query, organisation);
    query_bytes(&query, leaf->detail);
    query_bytes(&query, span_make(salt, MERKLE_SALT_BYTES));
    query_bytes(&query, span_make(hash.bytes, sizeof hash.bytes));
    if (!query_run(&query, why))
        return false;
    merkle_append(&ledger->tree, &hash);
    ledger->is_tree_changed = true;
    return true;
}
