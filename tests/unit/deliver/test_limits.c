/* Limits by name. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "deliver/deliver.h"

static void each_limit_has_a_default_and_a_name(void **state)
{
    static const char *const names[] = {
        "workers_max",
        "sessions_per_host",
        "sessions_per_destination",
        "first_sessions",
        "messages_per_session",
        "recipients_per_message",
        "bytes_in_hand_max",
        "connect_timeout_ms",
        "greeting_timeout_ms",
        "command_timeout_ms",
        "data_timeout_ms",
        "final_timeout_ms",
        "handshake_timeout_ms",
        "idle_session_ms",
        "retry_first_ms",
        "retry_longest_ms",
        "lease_ms",
        "dead_host_ms",
    };
    struct deliver_limits limits, before;

    (void)state;
    deliver_limits_default(&limits);
    for (size_t i = 0; i < COUNT(names); i++) {
        before = limits;
        assert_true(deliver_limits_set(&limits, span_of(names[i]), 7));
        assert_memory_not_equal(&before, &limits, sizeof limits);
    }
}

static void nonsense_sets_nothing(void **state)
{
    struct deliver_limits limits;

    (void)state;
    deliver_limits_default(&limits);
    assert_false(deliver_limits_set(&limits, SPAN_LITERAL("workers"), 7));
    assert_false(deliver_limits_set(&limits, SPAN_LITERAL("workers_max"), 0));
    assert_false(deliver_limits_set(&limits, SPAN_LITERAL("workers_max"), -1));
    assert_false(deliver_limits_set(&limits, SPAN_LITERAL("workers_max"), 1LL << 40));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_has_a_default_and_a_name),
        cmocka_unit_test(nonsense_sets_nothing),
    };

    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
