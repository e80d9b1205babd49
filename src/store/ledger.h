/* One transaction of the writer: what a group of changes does to rows, counters and the journal. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "connection.h"
#include "store/store.h"
#include "tally.h"

#include <stdbool.h>
#include <stdint.h>

enum { LEDGER_SALTS = 256 };

/* The writer thread's own. Between ledger_begin() and ledger_commit() or ledger_rollback() the tree
 * and the tallies are ahead of the database. */
struct ledger {
    struct connection connection;
    const struct clock *clock;
    const struct entropy *entropy;
    struct names organisations, destinations;
    struct tallies of_organisations, of_destinations; /* not yet in the database */
    uint64_t epoch;
    struct merkle_tree tree;
    uint64_t size_before; /* of the tree, at the beginning of the group */
    bool is_tree_changed;
    bool is_queue_due; /* a delivery became due that nobody has leased: the doorbell is to ring */
    struct buffer scratch;
    uint8_t salts[LEDGER_SALTS][MERKLE_SALT_BYTES]; /* drawn together: one system call for many */
    size_t salts_used;
};
MUST_USE bool ledger_init(struct ledger *ledger, const struct clock *clock,
                          const struct entropy *entropy);
void ledger_clear(struct ledger *ledger);

MUST_USE bool ledger_begin(struct ledger *ledger, struct error *why);
/* True: it is on the disk. False: still open, roll it back. */
MUST_USE bool ledger_commit(struct ledger *ledger, struct error *why);
void ledger_rollback(struct ledger *ledger);
/* Writes the tallies of destinations and organisations, so that the rows say what is true by now.
 */
MUST_USE bool ledger_settle(struct ledger *ledger, struct error *why);

/* The row of a name, made where there is none. */
MUST_USE bool ledger_organisation(struct ledger *ledger, struct span name, int64_t *row,
                                  struct error *why);
MUST_USE bool ledger_destination(struct ledger *ledger, struct span name, int64_t *row,
                                 struct error *why);
/* Adds to the counters of both (0: of none). */
MUST_USE bool ledger_count(struct ledger *ledger, int64_t organisation, int64_t destination,
                           enum delivery_state state, int64_t change, struct error *why);
/* Its next_due is to be found anew. */
MUST_USE bool ledger_touch(struct ledger *ledger, int64_t destination, struct error *why);
/* To a query of an UPDATE that returns destinations: runs it and touches them. */
MUST_USE bool ledger_touch_returned(struct ledger *ledger, struct query *query, struct error *why);
MUST_USE bool ledger_append(struct ledger *ledger, const struct store_leaf *leaf,
                            struct error *why);
