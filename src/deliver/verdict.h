/* How a try ended for one recipient or one host: outcome, status, our reason, the peer's words. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/scoped.h"
#include "base/span.h"
#include "policy/ladder.h"
#include "smtp_reply.h"

#include <stdbool.h>

struct verdict {
    enum outcome outcome;
    char status[STATUS_SIZE];     /* RFC 3463; 2, 4 or 5 as the outcome is */
    char reason[ERROR_TEXT_SIZE]; /* ours: safe for logs */
    struct span reply;            /* the peer's words; in the arena of the attempt */
    bool may_be_duplicate;        /* the line was lost after the final dot */
    bool is_too_many;             /* "later" for this recipient: the next transaction takes it */
};

/* What was said to; the table of replies differs a little by it. */
enum smtp_step {
    SMTP_STEP_GREETING,
    SMTP_STEP_EHLO,
    SMTP_STEP_STARTTLS,
    SMTP_STEP_MAIL,
    SMTP_STEP_RCPT,
    SMTP_STEP_DATA,
    SMTP_STEP_FINAL,
    SMTP_STEP_COUNT
};
const char *smtp_step_name(enum smtp_step step);

/* Writes it whole; false, so that a failing function can return it. */
bool verdict_set(struct verdict *verdict, enum outcome outcome, const char *status,
                 const char *format, ...) PRINTF_LIKE(4, 5);
/* Of an error: its kind is the outcome; what is impossible is taken as `impossible`. */
bool verdict_of_error(struct verdict *verdict, const struct error *why, enum outcome impossible);
/* Of a reply to MAIL, DATA, the final dot, or EHLO once the session is as demanded: the rows
 * "delivered" to "rejected" of policy.md. */
void verdict_of_reply(struct verdict *verdict, const struct smtp_reply *reply, enum smtp_step step,
                      struct arena *arena);
/* Of a reply to RCPT: where others were taken before, "too many" means later and not never (RFC
 * 5321 section 4.5.3.1.10). */
void verdict_of_rcpt(struct verdict *verdict, const struct smtp_reply *reply, size_t taken_before,
                     struct arena *arena);
/* The peer's words, cut to PEER_REPLY_KEPT_MAX; empty where the arena is full. */
void verdict_quote(struct verdict *verdict, const struct smtp_reply *reply, struct arena *arena);
/* Puts context before the reason. */
void verdict_within(struct verdict *verdict, const char *context);

/* Delivered and rejected need no other host. */
bool verdict_decides(const struct verdict *verdict);
/* Over the hosts of a rung: what decides; else the first temporary one; else the first impossible
 * one, where what time can heal comes before what it cannot. `other` came later; true when it is
 * the one that counts now. */
bool verdict_join(struct verdict *so_far, bool *has_one, const struct verdict *other);
