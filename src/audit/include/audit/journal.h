/* The journal as evidence: checkpoints that the keeper signs, and the check of every row. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "keys/keeper.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { JOURNAL_CHECKPOINT_MS = 60000 };

/* At the start: is this the journal that the keeper last signed? Where rows are missing or other
 * ones, begins a new epoch whose first leaf names the gap (and *gap tells it); else *gap is empty.
 */
MUST_USE bool journal_compare(struct store *store, struct keeper *keeper, const struct clock *clock,
                              struct buffer *gap, struct error *why);
/* One checkpoint now, if there are leaves since the last one. ERROR_INTERNAL, and nothing is
 * signed, where the rows do not make the tree, or do not begin with what was signed last and no
 * leaf of journal_compare() says so. Any thread. */
MUST_USE bool journal_checkpoint(struct store *store, struct keeper *keeper,
                                 const struct clock *clock, struct error *why);
/* Journals how many classes of keys the keeper has destroyed since it was last told here, if any
 * (EVENT_KEYS_EXPIRED). One thread. A crash before the next checkpoint may have it told twice. */
MUST_USE bool journal_tell_expiry(struct store *store, struct keeper *keeper,
                                  const struct clock *clock, struct error *why);
/* Tells of expiry and makes a checkpoint, every JOURNAL_CHECKPOINT_MS and on DOORBELL_CHECKPOINT
 * until *stop; logs failures. For a thread.
 */
void journal_keep(struct store *store, struct store_shared *shared, struct keeper *keeper,
                  const struct clock *clock, const atomic_bool *stop);

struct journal_verdict {
    uint64_t leaves, checkpoints;
    bool holds;
    uint64_t bad_sequence; /* the first row that is bad or missing, where !holds */
    char problem[240];
};
/* Every row's hash against its bytes, the order without gaps, every checkpoint's root and signature
 * against the tree so far, the tree's head against the rows. `anchor` (may be NULL): a checkpoint
 * kept elsewhere (the keeper's own) that must be among them. */
MUST_USE bool journal_verify(struct store *store, const uint8_t key[CHECKPOINT_KEY_BYTES],
                             const struct checkpoint *anchor, struct journal_verdict *verdict,
                             struct error *why);
