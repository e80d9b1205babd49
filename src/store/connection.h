/* One connection to the database with its prepared statements, and how they are asked. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/span.h"
#include "statements.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

enum connection_mode { CONNECTION_WRITER, CONNECTION_READER, CONNECTION_READ_ONLY };

/* One thread at a time. */
struct connection {
    sqlite3 *database;                           /* NULL: closed */
    sqlite3_stmt *prepared[SQL_STATEMENT_COUNT]; /* each at its first use, then kept */
    /* The engine itself failed (disk, memory, damage): the transaction is to be given up and the
     * connection opened anew. A refused row is not such a failure. */
    bool is_broken;
};

/* The writer's mode creates the file and the tables where there are none. */
MUST_USE bool connection_open(struct connection *connection, const char *path,
                              enum connection_mode mode, struct error *why);
void connection_close(struct connection *connection);

/* Fills *why from SQLite's code: ERROR_TEMPORARY 4.3.1 where the disk or memory failed,
 * ERROR_INTERNAL otherwise. Gives false. */
bool connection_error(struct error *why, int outcome, const char *doing);

/* One run of a statement: query_begin, then every parameter in order, then query_run, or query_row
 * until it gives false and query_end. Failures stick until the end. */
struct query {
    struct connection *connection;
    sqlite3_stmt *statement;
    int bound;
    int outcome;
};
void query_begin(struct query *query, struct connection *connection, enum sql sql);
void query_int(struct query *query, int64_t value);
/* The bytes must live until the query ends. An empty span is NULL. */
void query_bytes(struct query *query, struct span bytes);
void query_text(struct query *query, struct span text); /* never NULL */
bool query_row(struct query *query);
/* False when anything failed. SQLITE_CONSTRAINT is an ERROR_INTERNAL. */
MUST_USE bool query_end(struct query *query, struct error *why);
MUST_USE bool query_run(struct query *query, struct error *why);

/* Columns of the present row. */
int64_t query_get_int(struct query *query, int column);
bool query_is_null(struct query *query, int column);
/* Valid until the next row. */
struct span query_get_bytes(struct query *query, int column);
/* Exactly len bytes, or zeros where the column holds another number of them. */
void query_get_exactly(struct query *query, int column, void *out, size_t len);
