/* The tables of the store, version 1: made once, checked at each opening. */
/* SPDX-License-Identifier: ISC */
#include "schema.h"

#include "connection.h"
#include "store/limits.h"

#include <stdint.h>

/* "Ltlk": says in the file's header whose database it is (see file(1)). */
enum { APPLICATION_ID = 0x4c746c6b };

/* Times are milliseconds since 1970. `state` is enum delivery_state: below 2 is open.
 * STRICT: a value of another type than its column's is refused, whoever writes it.
 * Bulky rows have a hidden row number, because SQLite packs whole rows into the inner pages of a
 * table without one: a million of them would make a tree of many levels. */
static const char tables[] =
    /* Who sends. The counters are kept in the transaction that changes what they count. */
    "CREATE TABLE organisation("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " waiting INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0,"
    " delivered INTEGER NOT NULL DEFAULT 0, returned INTEGER NOT NULL DEFAULT 0,"
    " deleted INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0,"
    " messages INTEGER NOT NULL DEFAULT 0) STRICT;"

    /* Where mail goes: a domain or a route. next_due is NULL where nothing waits unleased, else the
     * later of the earliest due_at of its deliveries and the end of its put-off. */
    "CREATE TABLE destination("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " put_off_until INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,"
    " next_due INTEGER, waiting INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0)"
    " STRICT;"
    "CREATE INDEX destination_due ON destination(next_due) WHERE waiting + held > 0;"

    /* The first chunk of the body stands here, last, for most have no other. At the last
     * delivery's end wrapped_content and the chunks go. */
    "CREATE TABLE message("
    " id BLOB NOT NULL UNIQUE, organisation INTEGER NOT NULL, accepted_at INTEGER NOT NULL,"
    " size INTEGER NOT NULL, has_8bit INTEGER NOT NULL, is_sender_known INTEGER NOT NULL,"
    " is_inward INTEGER NOT NULL, is_report INTEGER NOT NULL, wrapped_content BLOB,"
    " wrapped_record BLOB, content_day INTEGER NOT NULL, record_day INTEGER NOT NULL,"
    " sender BLOB, facts BLOB, chunks INTEGER NOT NULL, first_chunk BLOB) STRICT;"

    "CREATE TABLE body("
    " message BLOB NOT NULL, number INTEGER NOT NULL, organisation INTEGER NOT NULL,"
    " bytes BLOB NOT NULL, UNIQUE(message, number)) STRICT;"

    "CREATE TABLE delivery("
    " message BLOB NOT NULL, number INTEGER NOT NULL, organisation INTEGER NOT NULL,"
    " destination INTEGER NOT NULL, state INTEGER NOT NULL, recipient BLOB, ladder TEXT,"
    " rule TEXT, is_rule_of_gateway INTEGER NOT NULL, policy_digest BLOB NOT NULL,"
    " tag BLOB NOT NULL, rung INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " rung_since INTEGER NOT NULL, due_at INTEGER NOT NULL, ends_at INTEGER NOT NULL,"
    " lease INTEGER NOT NULL, last_reason TEXT, begun_at INTEGER NOT NULL DEFAULT 0,"
    " UNIQUE(message, number)) STRICT;"
    /* All are partial: what has ended stays in the table, but weighs on no claim and no list. What
     * is leased, as all fresh mail is, stands in no index by which it could be claimed. */
    "CREATE INDEX delivery_due ON delivery(destination, due_at) WHERE state = 0 AND lease = 0;"
    "CREATE INDEX delivery_patience ON delivery(ends_at) WHERE state < 2 AND lease = 0;"
    "CREATE INDEX delivery_leased ON delivery(due_at) WHERE lease <> 0;"
    "CREATE INDEX delivery_open ON delivery(message, number, destination) WHERE state < 2;"

    /* The journal: a row is leaf `sequence` of the tree. Salt and detail are NULL once purged. */
    "CREATE TABLE event("
    " sequence INTEGER PRIMARY KEY, kind INTEGER NOT NULL, at INTEGER NOT NULL, message BLOB,"
    " delivery INTEGER NOT NULL, organisation INTEGER NOT NULL, detail BLOB, salt BLOB,"
    " hash BLOB NOT NULL) STRICT;"
    "CREATE INDEX event_of_message ON event(message, delivery) WHERE message IS NOT NULL;"
    "CREATE TABLE tree("
    " id INTEGER PRIMARY KEY CHECK(id = 1), epoch INTEGER NOT NULL, size INTEGER NOT NULL,"
    " peaks BLOB NOT NULL) STRICT;"
    "INSERT INTO tree VALUES(1, 0, 0, x'');"
    "CREATE TABLE checkpoint("
    " epoch INTEGER NOT NULL, size INTEGER NOT NULL, bytes BLOB NOT NULL,"
    " PRIMARY KEY(epoch, size)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE policy(digest BLOB PRIMARY KEY NOT NULL, text TEXT NOT NULL) STRICT;";

struct version {
    int64_t application, schema, tables;
};

static int read_pragma(sqlite3 *database, const char *text, int64_t *value)
{
    sqlite3_stmt *statement;
    int outcome = sqlite3_prepare_v2(database, text, -1, &statement, NULL);
    if (outcome != SQLITE_OK)
        return outcome;
    outcome = sqlite3_step(statement);
    if (outcome == SQLITE_ROW)
        *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return outcome == SQLITE_ROW ? SQLITE_OK : outcome;
}

static int read_version(sqlite3 *database, struct version *version)
{
    int outcome = read_pragma(database, "PRAGMA application_id", &version->application);
    if (outcome == SQLITE_OK)
        outcome = read_pragma(database, "PRAGMA user_version", &version->schema);
    if (outcome == SQLITE_OK)
        outcome = read_pragma(database, "SELECT count(*) FROM sqlite_schema", &version->tables);
    return outcome;
}

static bool is_empty(const struct version *version)
{
    return version->application == 0 && version->schema == 0 && version->tables == 0;
}

static bool is_ours(const struct version *version, struct error *why)
{
    if (version->application != APPLICATION_ID)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "the database is not a Letterlock store");
    if (version->schema != STORE_SCHEMA_VERSION)
        return error_set(why, ERROR_INTERNAL, "4.3.0",
                         "the store has schema version %lld, this program knows version %d",
                         (long long)version->schema, STORE_SCHEMA_VERSION);
    return true;
}

bool schema_check(sqlite3 *database, struct error *why)
{
    struct version version = {0};
    int outcome = read_version(database, &version);
    if (outcome != SQLITE_OK)
        return connection_error(why, outcome, "reading the store's version");
    return is_ours(&version, why);
}

/* In a transaction: two roles may start at once, and only one finds it empty. */
bool schema_create(sqlite3 *database, struct error *why)
{
    struct version version = {0};
    int outcome = read_version(database, &version);
    if (outcome == SQLITE_OK && !is_empty(&version))
        return is_ours(&version, why);

    if (outcome == SQLITE_OK)
        outcome = sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (outcome == SQLITE_OK)
        outcome = read_version(database, &version);
    if (outcome == SQLITE_OK && is_empty(&version)) {
        outcome = sqlite3_exec(database, tables, NULL, NULL, NULL);
        char *pragmas = sqlite3_mprintf("PRAGMA application_id = %d; PRAGMA user_version = %d",
                                        APPLICATION_ID, STORE_SCHEMA_VERSION);
        if (outcome == SQLITE_OK)
            outcome = pragmas ? sqlite3_exec(database, pragmas, NULL, NULL, NULL) : SQLITE_NOMEM;
        sqlite3_free(pragmas);
    }
    if (outcome == SQLITE_OK)
        outcome = sqlite3_exec(database, "COMMIT", NULL, NULL, NULL);
    if (outcome != SQLITE_OK) {
        if (!sqlite3_get_autocommit(database))
            sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
        return connection_error(why, outcome, "making the store's tables");
    }
    return schema_check(database, why);
}
