/* One transaction on a session: an envelope, the bytes, and a verdict for each recipient. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/span.h"
#include "session.h"
#include "verdict.h"

#include <stdbool.h>
#include <stddef.h>

struct recipient {
    struct span address; /* canonical text */
    struct verdict verdict;
    bool has_verdict; /* false after a transaction: it is for the next one */
};
struct envelope {
    struct span sender; /* canonical text; empty: the null sender */
    struct span body;
    bool has_8bit;
};
struct transaction_terms {
    const struct deliver_limits *limits;
    struct arena *arena; /* for the peer's words */
    /* Asked just before the last byte may leave; false: we are stopping, send no more. Told again,
     * with is_past false, when the reply has been read. */
    bool (*past_final)(void *self, bool is_past);
    void *self;
};
enum transaction_end {
    TRANSACTION_ANSWERED, /* recipients without a verdict want another transaction, at once */
    TRANSACTION_AGAIN,    /* the session has served its time: a new one may take the same envelope
                             at once; no verdict was written, nothing went past the final dot */
    TRANSACTION_STOPPED,  /* past_final() said no; no verdict was written */
};
/* `recipients`: at most limits->recipients_per_message, without verdicts. */
enum transaction_end transaction_run(struct session *session, const struct envelope *envelope,
                                     struct recipient *const *recipients, size_t count,
                                     const struct transaction_terms *terms);
