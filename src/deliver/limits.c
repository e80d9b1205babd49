/* The limits that a caller may cut, with their defaults. */
/* SPDX-License-Identifier: ISC */
#include "base/memory.h"
#include "deliver/deliver.h"

#include <limits.h>

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

bool deliver_limits_set(struct deliver_limits *limits, struct span name, long long value)
{
    const struct {
        const char *name;
        unsigned *as_unsigned;
        size_t *as_size;
        int *as_int;
        int64_t *as_int64;
    } rows[] = {
        {"workers_max", .as_unsigned = &limits->workers_max},
        {"sessions_per_host", .as_unsigned = &limits->sessions_per_host},
        {"sessions_per_destination", .as_unsigned = &limits->sessions_per_destination},
        {"first_sessions", .as_unsigned = &limits->first_sessions},
        {"messages_per_session", .as_unsigned = &limits->messages_per_session},
        {"recipients_per_message", .as_unsigned = &limits->recipients_per_message},
        {"bytes_in_hand_max", .as_size = &limits->bytes_in_hand_max},
        {"connect_timeout_ms", .as_int = &limits->connect_timeout_ms},
        {"greeting_timeout_ms", .as_int = &limits->greeting_timeout_ms},
        {"command_timeout_ms", .as_int = &limits->command_timeout_ms},
        {"data_timeout_ms", .as_int = &limits->data_timeout_ms},
        {"final_timeout_ms", .as_int = &limits->final_timeout_ms},
        {"handshake_timeout_ms", .as_int = &limits->handshake_timeout_ms},
        {"idle_session_ms", .as_int = &limits->idle_session_ms},
        {"retry_first_ms", .as_int64 = &limits->retry_first_ms},
        {"retry_longest_ms", .as_int64 = &limits->retry_longest_ms},
        {"lease_ms", .as_int64 = &limits->lease_ms},
        {"dead_host_ms", .as_int64 = &limits->dead_host_ms},
    };

    if (value < 1 || value > INT_MAX) /* none of them can be nothing */
        return false;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!span_equal(name, span_of(rows[i].name)))
            continue;
        if (rows[i].as_unsigned)
            *rows[i].as_unsigned = (unsigned)value;
        if (rows[i].as_size)
            *rows[i].as_size = (size_t)value;
        if (rows[i].as_int)
            *rows[i].as_int = (int)value;
        if (rows[i].as_int64)
            *rows[i].as_int64 = value;
        return true;
    }
    return false;
}
