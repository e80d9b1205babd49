/* The limits that all sessions share, and the counters that keep them. */
/* SPDX-License-Identifier: ISC */
#include "service.h"

#include "base/memory.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

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

/* Where each limit stands; one of the three is set in a row. */
static const struct limit_place {
    const char *name;
    size_t unsigned_at, int_at, size_at;
    enum { IS_UNSIGNED, IS_INT, IS_SIZE } kind;
} limit_places[] = {
#define UNSIGNED_LIMIT(name)                                                                       \
    {                                                                                              \
#name, offsetof(struct receive_limits, name), 0, 0, IS_UNSIGNED                            \
    }
#define INT_LIMIT(name)                                                                            \
    {                                                                                              \
#name, 0, offsetof(struct receive_limits, name), 0, IS_INT                                 \
    }
#define SIZE_LIMIT(name)                                                                           \
    {                                                                                              \
#name, 0, 0, offsetof(struct receive_limits, name), IS_SIZE                                \
    }
    UNSIGNED_LIMIT(sessions_max),     UNSIGNED_LIMIT(sessions_per_address),
    UNSIGNED_LIMIT(active_max),       UNSIGNED_LIMIT(idle_threads_min),
    UNSIGNED_LIMIT(idle_threads_max), SIZE_LIMIT(bytes_in_flight_max),
    UNSIGNED_LIMIT(recipients_max),   UNSIGNED_LIMIT(errors_max),
    UNSIGNED_LIMIT(commands_max),     UNSIGNED_LIMIT(messages_max),
    INT_LIMIT(command_timeout_ms),    INT_LIMIT(data_timeout_ms),
    INT_LIMIT(data_total_ms),         INT_LIMIT(handshake_timeout_ms),
    INT_LIMIT(session_total_ms),      UNSIGNED_LIMIT(refusals_a_minute),
};

bool receive_limits_set(struct receive_limits *limits, struct span name, long long value)
{
    for (size_t i = 0; i < sizeof limit_places / sizeof limit_places[0]; i++) {
        const struct limit_place *place = &limit_places[i];
        char *base = (char *)limits;

        if (!span_equal(name, span_of(place->name)))
            continue;
        if (value < 0 || value > INT_MAX)
            return false;
        switch (place->kind) {
        case IS_UNSIGNED:
            memcpy(base + place->unsigned_at, &(unsigned){(unsigned)value}, sizeof(unsigned));
            break;
        case IS_INT:
            memcpy(base + place->int_at, &(int){(int)value}, sizeof(int));
            break;
        case IS_SIZE:
            memcpy(base + place->size_at, &(size_t){(size_t)value}, sizeof(size_t));
            break;
        }
        return true;
    }
    return false;
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
