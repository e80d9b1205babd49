/* The SMTP server: MX, submission and relay listeners, and the acceptance of a message. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/clock.h"
#include "base/entropy.h"
#include "base/error.h"
#include "base/scoped.h"
#include "keys/keeper.h"
#include "net/tls.h"
#include "policy/slot.h"
#include "store/handover.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All in one place, so that tests can cut them; the defaults are receive_limits_default(). */
struct receive_limits {
    unsigned sessions_max;         /* in all; beyond: 421 4.3.2 and close */
    unsigned sessions_per_address; /* 421 4.7.0 */
    unsigned active_max; /* sessions inside a transaction at once; beyond: 452 4.3.1 to MAIL */
    unsigned idle_threads_min, idle_threads_max; /* blocked in accept(), per listener */
    size_t bytes_in_flight_max;                  /* of all messages; beyond: 452 4.3.1 */
    unsigned recipients_max;                     /* 452 4.5.3 */
    unsigned errors_max;        /* wrong ones since a message was taken: 421 4.7.0 */
    unsigned commands_max;      /* per connection, then 421 4.7.0 */
    unsigned messages_max;      /* per connection, then 421 4.7.0 */
    unsigned refusals_a_minute; /* leaves about them, of all: strangers fill no disk */
    int command_timeout_ms;     /* RFC 5321 section 4.5.3.2.7: 5 minutes */
    int data_timeout_ms;        /* between two pieces of data: 3 minutes */
    int data_total_ms;          /* for one message in all */
    int handshake_timeout_ms;   /* 60 s at most */
    int session_total_ms;       /* then 421 4.4.2, but never inside a message */
};
void receive_limits_default(struct receive_limits *limits);
/* For tests (meson option test_hooks): sets one by its name; false: no such limit. */
bool receive_limits_set(struct receive_limits *limits, struct span name, long long value);

struct receive_listener {
    int fd;                     /* bound and listening; stays the caller's */
    const struct listener *how; /* lives as long as the policy it came from */
    struct tls_server *tls;     /* NULL: no STARTTLS there */
};
struct receive_terms {
    const struct receive_listener *listeners;
    size_t listener_count;
    struct policy_slot *policy;
    struct store *store;
    struct store_shared *shared;
    struct handover *handover; /* the producing side */
    struct keeper *keeper;
    const struct clock *clock;
    const struct entropy *entropy;
    struct receive_limits limits;
};
struct receive;
/* Starts the threads that accept. They are woken from accept() by SIGURG, whose handler becomes one
 * that does nothing. The system's limit of open files may lower sessions_max, so that the store and
 * the siblings keep some. What `terms` points to must outlive receive_free(); listeners are copied.
 * Fails with ERROR_INTERNAL where the system has no memory, threads or descriptors. */
MUST_USE bool receive_start(const struct receive_terms *terms, struct receive **out,
                            struct error *why);
/* No new sessions; idle ones get 421 4.3.2; those inside a message may finish until the deadline,
 * then 421 4.3.2 too. What got its 250 is committed. Returns when all threads have ended. */
void receive_stop(struct receive *receive, struct deadline grace);
void receive_free(struct receive *receive);
SCOPED_FREE(receive)
