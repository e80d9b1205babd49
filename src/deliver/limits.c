/* The limits that a caller may cut, with their defaults. */
/* SPDX-License-Identifier: ISC */
#include "base/limit.h"
#include "base/memory.h"
#include "deliver/deliver.h"

static const struct deliver_limits defaults = {
    .workers_max = 200,
    .sessions_per_host = 50,
    .sessions_per_destination = 20,
    .first_sessions = 4,
    .messages_per_session = 500,
    .recipients_per_message = 100,
    .bytes_in_hand_max = MIB(128),
    .connect_timeout_ms = 30 * 1000,
    .greeting_timeout_ms = 60 * 1000,
    .command_timeout_ms = 5 * 60 * 1000,
    .data_timeout_ms = 3 * 60 * 1000,
    .final_timeout_ms = 10 * 60 * 1000,
    .handshake_timeout_ms = 60 * 1000,
    .idle_session_ms = 5 * 1000,
    .retry_first_ms = 60 * 1000,
    .retry_longest_ms = 60 * 60 * 1000,
    .lease_ms = 120 * 1000,
    .dead_host_ms = 5 * 60 * 1000,
};

void deliver_limits_default(struct deliver_limits *limits)
{
    *limits = defaults;
}

static const struct limit_place limit_places[] = {
    LIMIT_PLACE(struct deliver_limits, workers_max),
    LIMIT_PLACE(struct deliver_limits, sessions_per_host),
    LIMIT_PLACE(struct deliver_limits, sessions_per_destination),
    LIMIT_PLACE(struct deliver_limits, first_sessions),
    LIMIT_PLACE(struct deliver_limits, messages_per_session),
    LIMIT_PLACE(struct deliver_limits, recipients_per_message),
    LIMIT_PLACE(struct deliver_limits, bytes_in_hand_max),
    LIMIT_PLACE(struct deliver_limits, connect_timeout_ms),
    LIMIT_PLACE(struct deliver_limits, greeting_timeout_ms),
    LIMIT_PLACE(struct deliver_limits, command_timeout_ms),
    LIMIT_PLACE(struct deliver_limits, data_timeout_ms),
    LIMIT_PLACE(struct deliver_limits, final_timeout_ms),
    LIMIT_PLACE(struct deliver_limits, handshake_timeout_ms),
    LIMIT_PLACE(struct deliver_limits, idle_session_ms),
    LIMIT_PLACE(struct deliver_limits, retry_first_ms),
    LIMIT_PLACE(struct deliver_limits, retry_longest_ms),
    LIMIT_PLACE(struct deliver_limits, lease_ms),
    LIMIT_PLACE(struct deliver_limits, dead_host_ms),
};

bool deliver_limits_set(struct deliver_limits *limits, struct span name, long long value)
{
    /* None of them can be nothing. */
    return limit_set(limits, limit_places, sizeof limit_places / sizeof limit_places[0], name,
                     value, 1);
}
