/* The limits that sessions share are set by name and kept by counting. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "service.h"

static void limits_have_sound_defaults(void **state)
{
    struct receive_limits limits;

    (void)state;
    receive_limits_default(&limits);
    assert_true(limits.command_timeout_ms >= 300000); /* RFC 5321 section 4.5.3.2.7 */
    assert_true(limits.data_timeout_ms >= 180000);
    assert_true(limits.handshake_timeout_ms <= 60000);
    assert_true(limits.recipients_max >= 100);
    assert_true(limits.idle_threads_min == 4 && limits.idle_threads_max == 32);
}

static void limits_are_set_by_name(void **state)
{
    static const char *const names[] = {
        "sessions_max",     "sessions_per_address", "active_max",         "idle_threads_min",
        "idle_threads_max", "bytes_in_flight_max",  "recipients_max",     "errors_max",
        "commands_max",     "messages_max",         "command_timeout_ms", "data_timeout_ms",
        "data_total_ms",    "handshake_timeout_ms", "session_total_ms",
    };
    struct receive_limits limits, before;

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        receive_limits_default(&limits);
        before = limits;
        assert_true(receive_limits_set(&limits, span_of(names[i]), 7));
        assert_memory_not_equal(&limits, &before, sizeof limits);
    }
    assert_int_equal(limits.session_total_ms, 7);
    receive_limits_default(&limits);
    assert_true(receive_limits_set(&limits, SPAN_LITERAL("bytes_in_flight_max"), 1000));
    assert_int_equal(limits.bytes_in_flight_max, 1000);
    assert_true(receive_limits_set(&limits, SPAN_LITERAL("errors_max"), 3));
    assert_int_equal(limits.errors_max, 3);
}

static void unknown_limits_and_nonsense_are_refused(void **state)
{
    struct receive_limits limits;

    (void)state;
    receive_limits_default(&limits);
    assert_false(receive_limits_set(&limits, SPAN_LITERAL("sessions"), 7));
    assert_false(receive_limits_set(&limits, SPAN_LITERAL(""), 7));
    assert_false(receive_limits_set(&limits, SPAN_LITERAL("errors_max"), -1));
    assert_false(receive_limits_set(&limits, SPAN_LITERAL("errors_max"), 1LL << 40));
    assert_int_equal(limits.errors_max, 20);
}

static void bytes_are_never_taken_beyond_the_limit(void **state)
{
    static struct receive receive;

    (void)state;
    receive.terms.limits.bytes_in_flight_max = 100;
    assert_true(service_take_bytes(&receive, 60));
    assert_false(service_take_bytes(&receive, 41));
    assert_false(service_has_bytes(&receive, 41));
    assert_true(service_has_bytes(&receive, 40));
    assert_true(service_take_bytes(&receive, 40));
    assert_false(service_take_bytes(&receive, 1));
    assert_true(service_take_bytes(&receive, 0));
    assert_false(service_take_bytes(&receive, SIZE_MAX));
    assert_false(service_has_bytes(&receive, SIZE_MAX));
    service_give_bytes(&receive, 100);
    assert_true(service_take_bytes(&receive, 100));
}

static void transactions_are_counted(void **state)
{
    static struct receive receive;

    (void)state;
    receive.terms.limits.active_max = 2;
    assert_true(service_enter_transaction(&receive));
    assert_true(service_enter_transaction(&receive));
    assert_false(service_enter_transaction(&receive));
    service_leave_transaction(&receive);
    assert_true(service_enter_transaction(&receive));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_have_sound_defaults),
        cmocka_unit_test(limits_are_set_by_name),
        cmocka_unit_test(unknown_limits_and_nonsense_are_refused),
        cmocka_unit_test(bytes_are_never_taken_beyond_the_limit),
        cmocka_unit_test(transactions_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
