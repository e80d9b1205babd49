/* Leases: who works on which deliveries, until when. Jobs of the writer. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "ledger.h"

struct claim_job {
    const struct store_claim *claim;
    struct arena *arena;
    struct store_claimed *claimed; /* claim->limit of them */
    size_t count;
};
/* self is a struct claim_job. */
MUST_USE bool claim_apply(struct ledger *ledger, void *self, struct error *why);

/* self is a struct store_renewal. */
MUST_USE bool claim_apply_renewal(struct ledger *ledger, void *self, struct error *why);

struct lease_job {
    uint64_t lease;
    int64_t at_ms;
};
/* self is a struct lease_job. */
MUST_USE bool claim_apply_end(struct ledger *ledger, void *self, struct error *why);

/* A look, by any connection. */
MUST_USE bool claim_next_due(struct connection *connection, const struct span *skip,
                             size_t skip_count, int64_t *due_at_ms, struct error *why);
