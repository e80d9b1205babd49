/* Delivery status notifications (RFC 3464) that hold no subject and no text of the message. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "base/id.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dsn_recipient {
    struct span address;     /* as the envelope had it */
    const char *status;      /* RFC 3463, made 5.x.x by the caller */
    struct span reason;      /* ours: a sentence for the sender */
    struct span remote_host; /* may be empty */
    struct span peer_reply;  /* as it came; written escaped and folded; may be empty */
    int64_t last_attempt_ms; /* 0: none was made */
};
struct dsn_facts {
    struct id message;     /* the message that failed */
    struct id report;      /* the report's own id: its Message-ID */
    struct span host_name; /* ours */
    struct span sender;    /* who gets the report */
    int64_t arrived_at_ms, now_ms;
    const struct dsn_recipient *recipients; /* all Action: failed */
    size_t recipient_count;
};
/* A complete message: From MAILER-DAEMON, To, Date, Message-ID, Subject of ours, Auto-Submitted:
 * auto-replied, MIME-Version, multipart/report with the human part, message/delivery-status, and
 * text/rfc822-headers that hold nothing of the original but our Received-like id and its date.
 * 7-bit, CRLF line ends, no line over 998 bytes.
 *
 * Appends to `out`. Fails with ERROR_INTERNAL when there is no sender (a bounce never bounces),
 * when memory or out's limit is met, or when sender or host name hold what no header may; `out`
 * then holds part of a report. There is at least one recipient. */
MUST_USE bool dsn_write(const struct dsn_facts *facts, struct buffer *out, struct error *why);
