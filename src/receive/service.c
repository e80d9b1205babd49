/* The limits that all sessions share, and the counters that keep them. */
/* SPDX-License-Identifier: ISC */
#include "service.h"

#include "base/limit.h"
#include "base/memory.h"

#include <assert.h>

void receive_limits_default(struct receive_limits *limits)
{
    *limits = (struct receive_limits){
        .sessions_max = 2000,
        .sessions_per_address = 100,
        .active_max = 500,
        .idle_threads_min = 4,
        .idle_threads_max = 32,
        .bytes_in_flight_max = MIB(256),
        .recipients_max = 1000,
        .errors_max = 20,
        .commands_max = 100000,
        .messages_max = 10000,
        .refusals_a_minute = 1000,
        .command_timeout_ms = 300000,
        .data_timeout_ms = 180000,
        .data_total_ms = 1800000,
        .handshake_timeout_ms = 30000,
        .session_total_ms = 14400000,
    };
}

static const struct limit_place limit_places[] = {
    LIMIT_PLACE(struct receive_limits, sessions_max),
    LIMIT_PLACE(struct receive_limits, sessions_per_address),
    LIMIT_PLACE(struct receive_limits, active_max),
    LIMIT_PLACE(struct receive_limits, idle_threads_min),
    LIMIT_PLACE(struct receive_limits, idle_threads_max),
    LIMIT_PLACE(struct receive_limits, bytes_in_flight_max),
    LIMIT_PLACE(struct receive_limits, recipients_max),
    LIMIT_PLACE(struct receive_limits, errors_max),
    LIMIT_PLACE(struct receive_limits, commands_max),
    LIMIT_PLACE(struct receive_limits, messages_max),
    LIMIT_PLACE(struct receive_limits, command_timeout_ms),
    LIMIT_PLACE(struct receive_limits, data_timeout_ms),
    LIMIT_PLACE(struct receive_limits, data_total_ms),
    LIMIT_PLACE(struct receive_limits, handshake_timeout_ms),
    LIMIT_PLACE(struct receive_limits, session_total_ms),
    LIMIT_PLACE(struct receive_limits, refusals_a_minute),
};

bool receive_limits_set(struct receive_limits *limits, struct span name, long long value)
{
    return limit_set(limits, limit_places, sizeof limit_places / sizeof limit_places[0], name,
                     value, 0);
}

bool service_take_bytes(struct receive *receive, size_t bytes)
{
    size_t limit = receive->terms.limits.bytes_in_flight_max;
    size_t before = atomic_load_explicit(&receive->bytes_in_flight, memory_order_relaxed);

    do {
        if (bytes > limit || before > limit - bytes)
            return false;
    } while (!atomic_compare_exchange_weak(&receive->bytes_in_flight, &before, before + bytes));
    return true;
}

void service_give_bytes(struct receive *receive, size_t bytes)
{
    size_t before = atomic_fetch_sub(&receive->bytes_in_flight, bytes);

    assert(before >= bytes);
}

bool service_has_bytes(struct receive *receive, size_t bytes)
{
    size_t limit = receive->terms.limits.bytes_in_flight_max;
    size_t now = atomic_load_explicit(&receive->bytes_in_flight, memory_order_relaxed);

    return bytes <= limit && now <= limit - bytes;
}

bool service_enter_transaction(struct receive *receive)
{
    if (atomic_fetch_add(&receive->transactions, 1) < receive->terms.limits.active_max)
        return true;
    atomic_fetch_sub(&receive->transactions, 1);
    return false;
}

void service_leave_transaction(struct receive *receive)
{
    unsigned before = atomic_fetch_sub(&receive->transactions, 1);

    assert(before > 0);
}
