/* Rows as the contract's structs, copied into an arena. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "connection.h"
#include "store/store.h"

/* How many columns MESSAGE_COLUMNS and DELIVERY_COLUMNS of statements.c are. */
enum { ROW_MESSAGE_COLUMNS = 14, ROW_DELIVERY_COLUMNS = 17 };

/* Each reads its columns from `first` on; false when the arena is full. */
MUST_USE bool row_message(struct query *query, int first, struct arena *arena,
                          struct store_message *message);
/* `id`: which message it is a delivery of. */
MUST_USE bool row_delivery(struct query *query, int first, struct arena *arena, struct id *id,
                           struct store_delivery *delivery);
/* The one row of the tree. ERROR_INTERNAL where it is gone, or no tree. */
MUST_USE bool row_tree(struct connection *connection, struct store_tree *tree, struct error *why);
MUST_USE bool row_event(struct query *query, struct arena *arena, struct store_journal_row *row);

/* ERROR_TEMPORARY 4.3.1: what was asked for does not fit. Gives false. */
bool row_no_memory(struct error *why);

/* The bytes of an id; empty where it is none, which SQLite stores as NULL. */
static inline struct span row_id_bytes(const struct id *id)
{
    return id_is_none(*id) ? span_make("", 0) : span_make(id->bytes, sizeof id->bytes);
}
