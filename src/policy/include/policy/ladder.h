/* Ladders: the ways a delivery may take, in order, and the one table of what follows an outcome. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"
#include "policy/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum way {
    WAY_TLS_ENCRYPT, /* TLS with anybody */
    WAY_TLS_VERIFY,  /* certificate verified for the MX host's name */
    WAY_TLS_SECURE,  /* for a name that does not come from unsigned DNS */
    WAY_ROUTE,     /* inwards, by the `route` of the recipient's domain (never written in a file) */
    WAY_CLEARTEXT, /* needs a permit */
    WAY_HOLD,
    WAY_RETURN,
    WAY_COUNT
};

struct rung {
    enum way way;
    const struct span *names; /* `named "a" or "b"`: lower case; may be none */
    size_t name_count;
    int64_t patience_ms; /* `for`; 0: what is left of the five days since acceptance */
};

struct ladder {
    struct span name; /* empty for one written in a rule */
    const struct rung *rungs;
    size_t count;
};

enum { LADDER_LIFE_DAYS = 5, HOLD_DEFAULT_DAYS = 7 };

/* The canonical text `{ tls secure for 4 hours, return }`: what is stored with a delivery and bound
 * by its tag. .data is NULL when the arena is full. Printing and parsing are inverses. */
struct span ladder_print(const struct ladder *ladder, struct arena *arena);
MUST_USE bool ladder_parse(struct span text, struct arena *arena, struct ladder *ladder,
                           struct error *why);
const char *way_name(enum way way); /* "tls encrypt", "route", … */
/* Who could read the letter on this rung, in words: "the recipient's provider", "nobody". */
const char *way_readers(enum way way);

/* How a rung ended. */
enum outcome {
    OUTCOME_DELIVERED,
    OUTCOME_TEMPORARY,
    OUTCOME_IMPOSSIBLE,         /* time cannot heal it: no names, too large, no 8BITMIME … */
    OUTCOME_IMPOSSIBLE_FOR_NOW, /* impossible, but time can heal the cause: STARTTLS, handshake,
                                   certificate, name, policy */
    OUTCOME_REJECTED,
    OUTCOME_INTERNAL,
    OUTCOME_COUNT
};
const char *outcome_name(enum outcome outcome); /* "delivered", "impossible", … */

enum step_kind {
    STEP_END,    /* delivered */
    STEP_RETRY,  /* the same rung, later */
    STEP_CLIMB,  /* to rung `rung`, now */
    STEP_HOLD,   /* stays here; with an administrator told when `is_internal` */
    STEP_RETURN, /* failed: a report to the sender */
};
struct step {
    enum step_kind kind;
    size_t rung; /* STEP_CLIMB: the rung to try. STEP_HOLD by a `hold` rung: its index */
    bool is_internal;
    int64_t rung_ends_at_ms; /* STEP_CLIMB, STEP_RETRY, STEP_HOLD: when its patience is over */
};
/* How long a delivery that begins on it may live: the five days, and what its holds add. */
int64_t ladder_longest_ms(const struct ladder *ladder);
/* When a delivery stands on `rung` since `since_ms`: the moment its patience is over. Here and
 * below `accepted_at_ms` is when its ladder began: at acceptance, or again by an administrator. */
int64_t ladder_rung_end(const struct ladder *ladder, size_t rung, int64_t since_ms,
                        int64_t accepted_at_ms);
/* The table of policy.md, "Outcomes of a rung", and the only place that knows it. Pure. A climb
 * passes straight to the step of `hold` and `return` rungs (STEP_HOLD, STEP_RETURN). `now_ms` at
 * or past the rung's end means that its patience is over. */
struct step ladder_next(const struct ladder *ladder, size_t rung, enum outcome outcome,
                        int64_t rung_since_ms, int64_t accepted_at_ms, int64_t now_ms);
/* The step that a fresh delivery starts with: STEP_CLIMB to rung 0, or hold or return at once. */
struct step ladder_begin(const struct ladder *ladder, int64_t accepted_at_ms);
