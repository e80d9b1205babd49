/* One delivery in hand, and the one door through which its state changes. */
/* SPDX-License-Identifier: ISC */
#pragma once

/* The states, and the ways between them:
 *
 *      retry, climb
 *         +--+
 *         |  v      delivered
 *   ---> WAITING -----------------> DELIVERED
 *           |  \    returned
 *           |   +-----------------> RETURNED   (with its report, where the sender is known)
 *     held  |                          ^
 *           v      the hold is over    |
 *         HELD ------------------------+
 *         |  ^
 *         +--+ its row and the journal disagree
 *
 * True in each: WAITING: `rung` is a way, `due` a time, and while it is in hand its row carries our
 * lease. HELD: until `ends`; only time or an administrator ends it. The ends: nothing leaves them.
 */

#include "audit/event.h"
#include "keys/sealing.h"
#include "policy/ladder.h"
#include "session.h"
#include "smtp_client.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct job;
struct recording;

/* What the journal tells of the session that brought a verdict; lives in the job's arena. */
struct session_record {
    struct span host;
    char address[ADDRESS_TEXT_SIZE];
    const char *mechanism, *level;
    bool has_proof;
    struct tls_proof proof;
};
struct leaf_link {
    struct store_leaf leaf;
    struct leaf_link *next;
};
struct delivery {
    uint32_t number;
    enum delivery_state state; /* now; the row still has */
    enum delivery_state row_state;
    uint64_t lease;
    struct span sealed_recipient;
    struct span recipient; /* plain, once opened */
    struct address address;
    struct span ladder_text;
    struct ladder ladder;
    uint8_t policy_digest[POLICY_DIGEST_SIZE];
    uint8_t tag[BINDING_TAG_BYTES];
    bool is_checked; /* the tag fits */
    uint32_t rung, attempts;
    int64_t begun_at_ms; /* its ladder: at acceptance, or again by an administrator */
    int64_t rung_since_ms, ends_at_ms;
    struct span last_reason;                /* as the row has it */
    struct leaf_link *leaves, **leaves_end; /* not yet written: climbs */

    struct recipient to; /* in an attempt */
    bool is_over;        /* nothing is left to do with it in this job */
    bool is_returning;   /* it waits for the report */
    bool is_refused;     /* `verdict` stands before any attempt */
    struct verdict verdict;
    bool has_verdict;
    const struct session_record *by; /* NULL: no host was reached */
};

/* How a delivery goes on. */
struct turn {
    enum event_kind event;
    enum delivery_state state;
    uint32_t rung;
    int64_t rung_since_ms, due_at_ms, ends_at_ms; /* queue time, as the store compares it */
    const struct verdict *verdict;                /* NULL: none (a put back) */
    bool is_attempt;                              /* it counts as one */
    const struct id *report;                      /* the DSN that is stored with it */
};
/* Writes the journal leaf, and the move with it into the recording; a climb that goes on at once
 * has no recording yet: its leaf waits for the next move. Asserts that the way is drawn above.
 * False: memory is out; the delivery is as it was. */
MUST_USE bool delivery_enter(struct job *job, struct delivery *delivery, const struct turn *turn,
                             struct recording *recording);
/* Back into the store as it is, due at `due_at_ms`: no attempt was made, nothing is journalled but
 * the climbs so far. */
MUST_USE bool delivery_put_back(struct job *job, struct delivery *delivery, int64_t due_at_ms,
                                struct recording *recording);
