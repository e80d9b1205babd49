/* The queue runner: takes what is due, climbs its ladder, and writes down how it ended. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/clock.h"
#include "base/entropy.h"
#include "base/error.h"
#include "base/scoped.h"
#include "keys/keeper.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "policy/slot.h"
#include "store/handover.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All in one place, so that tests can cut them; the defaults are deliver_limits_default(). */
struct deliver_limits {
    unsigned workers_max;       /* threads, each with one session */
    unsigned sessions_per_host; /* MX host (name and address) */
    unsigned sessions_per_destination;
    unsigned first_sessions;       /* to a destination that has not worked lately */
    unsigned messages_per_session; /* then QUIT and a new one */
    unsigned
        recipients_per_message; /* RCPTs in one transaction: 100 (RFC 5321 section 4.5.3.1.8) */
    size_t bytes_in_hand_max;   /* of all messages in memory */
    int connect_timeout_ms;     /* 30 s an address */
    int greeting_timeout_ms;    /* 5 minutes by RFC; ours is shorter for dead hosts */
    int command_timeout_ms;
    int data_timeout_ms;  /* each block written, and the 354 */
    int final_timeout_ms; /* after the final dot: 10 minutes */
    int handshake_timeout_ms;
    int idle_session_ms;      /* a kept session without work is closed by QUIT */
    int64_t retry_first_ms;   /* a minute */
    int64_t retry_longest_ms; /* an hour */
    int64_t lease_ms;
    int64_t dead_host_ms; /* a host or address that failed is passed over so long */
};
void deliver_limits_default(struct deliver_limits *limits);
bool deliver_limits_set(struct deliver_limits *limits, struct span name, long long value);

struct deliver_terms {
    struct policy_slot *policy;
    struct store *store;
    struct store_shared *shared;
    struct handover *handover; /* the consuming side */
    struct keeper *keeper;
    struct resolver *resolver;
    struct tls_client *tls;
    const struct clock *clock;
    const struct entropy *entropy;
    struct deliver_limits limits;
};
struct deliver;
MUST_USE bool deliver_start(const struct deliver_terms *terms, struct deliver **out,
                            struct error *why);
/* Takes no more; lets transactions that are past their final dot end until the deadline. */
void deliver_stop(struct deliver *deliver, struct deadline grace);
void deliver_free(struct deliver *deliver);
SCOPED_FREE(deliver)
