/* Dates by our own arithmetic, deadlines, and a clock that a test moves. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/clock.h"

#include <stdio.h>

static const struct date_case {
    const char *name;
    int64_t wall_ms;
    const char *iso, *rfc5322;
} dates[] = {
    {"the epoch was a Thursday", 0, "1970-01-01T00:00:00Z", "Thu, 1 Jan 1970 00:00:00 +0000"},
    {"milliseconds are cut", 999, "1970-01-01T00:00:00Z", "Thu, 1 Jan 1970 00:00:00 +0000"},
    {"2000 was a leap year", 951782400000, "2000-02-29T00:00:00Z",
     "Tue, 29 Feb 2000 00:00:00 +0000"},
    {"2100 is none", 4107542399000, "2100-02-28T23:59:59Z", "Sun, 28 Feb 2100 23:59:59 +0000"},
    {"so March follows", 4107542400000, "2100-03-01T00:00:00Z", "Mon, 1 Mar 2100 00:00:00 +0000"},
    {"an afternoon in November", 1795610676000, "2026-11-25T12:44:36Z",
     "Wed, 25 Nov 2026 12:44:36 +0000"},
    {"the last second", 253402300799999, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 +0000"},
    {"later is the last second", INT64_MAX, "9999-12-31T23:59:59Z",
     "Fri, 31 Dec 9999 23:59:59 +0000"},
    {"earlier is the epoch", -1, "1970-01-01T00:00:00Z", "Thu, 1 Jan 1970 00:00:00 +0000"},
};

static void a_date_is_printed(void **state)
{
    const struct date_case *c = *state;
    char iso[CLOCK_ISO_SIZE], rfc5322[CLOCK_RFC5322_SIZE];

    clock_print_iso(c->wall_ms, iso);
    clock_print_rfc5322(c->wall_ms, rfc5322);
    assert_string_equal(iso, c->iso);
    assert_string_equal(rfc5322, c->rfc5322);
}

static const struct civil_case {
    const char *name;
    int year, month, day;
    bool is_date;
    int64_t wall_ms;
} civil_dates[] = {
    {"the epoch", 1970, 1, 1, true, 0},
    {"the day before", 1969, 12, 31, true, -86400000},
    {"a leap day", 2024, 2, 29, true, 1709164800000},
    {"no leap day in 2023", 2023, 2, 29, false, 0},
    {"no leap day in 1900", 1900, 2, 29, false, 0},
    {"a leap day in 2000", 2000, 2, 29, true, 951782400000},
    {"no thirteenth month", 2024, 13, 1, false, 0},
    {"no month zero", 2024, 0, 1, false, 0},
    {"no day zero", 2024, 1, 0, false, 0},
    {"no 31 April", 2024, 4, 31, false, 0},
    {"no year zero", 0, 1, 1, false, 0},
    {"no year ten thousand", 10000, 1, 1, false, 0},
};

static void a_civil_date_has_a_midnight(void **state)
{
    const struct civil_case *c = *state;
    int64_t wall_ms = 0;

    assert_int_equal(clock_from_date(c->year, c->month, c->day, &wall_ms), c->is_date);
    assert_int_equal(wall_ms, c->wall_ms);
}

static void the_days_from_1970_to_2500_follow_each_other(void **state)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int32_t expected = 0;

    (void)state;
    for (int year = 1970; year < 2500; year++)
        for (int month = 1; month <= 12; month++) {
            bool leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

            for (int day = 1; day <= lengths[month - 1] + leap; day++, expected++) {
                char iso[CLOCK_ISO_SIZE], wanted[64];
                int64_t wall_ms = -1;

                assert_true(clock_from_date(year, month, day, &wall_ms));
                assert_int_equal(clock_day(wall_ms), expected);
                assert_int_equal(clock_day(wall_ms + 86399999), expected);
                clock_print_iso(wall_ms, iso);
                snprintf(wanted, sizeof wanted, "%04d-%02d-%02dT00:00:00Z", year, month, day);
                assert_string_equal(iso, wanted);
            }
        }
    assert_int_equal(clock_day(-1), -1);
    assert_int_equal(clock_day(INT64_MAX), INT32_MAX);
    assert_int_equal(clock_day(INT64_MIN), INT32_MIN);
}

static void a_clock_by_hand_moves_when_told(void **state)
{
    struct clock_by_hand hand = {.wall_ms = 1000, .monotonic_ns = 5};
    struct clock clock = clock_by_hand(&hand);

    (void)state;
    assert_int_equal(clock_wall_ms(&clock), 1000);
    clock_by_hand_move(&hand, 432000000);
    assert_int_equal(clock_wall_ms(&clock), 432001000);
    assert_int_equal(clock_monotonic_ns(&clock), 432000000000005);
}

static void the_systems_clocks_tell_the_time(void **state)
{
    int64_t before = clock_monotonic_ns(&clock_of_system);

    (void)state;
    assert_true(clock_wall_ms(&clock_of_system) > 1600000000000);
    assert_true(clock_monotonic_ns(&clock_of_system) >= before);
}

static void deadlines_are_over_or_not(void **state)
{
    struct deadline past = deadline_in_ms(-1), now = deadline_in_ms(0);
    struct deadline soon = deadline_in_ms(60000), never = deadline_in_ms(INT64_MAX);

    (void)state;
    assert_true(deadline_is_over(past));
    assert_true(deadline_is_over(now));
    assert_int_equal(deadline_left_ms(past), 0);
    assert_false(deadline_is_over(soon));
    assert_in_range(deadline_left_ms(soon), 30000, 60000);
    assert_int_equal(deadline_left_ms(never), 86400000);
    assert_int_equal(deadline_left_ms(deadline_in_ms(INT64_MIN)), 0);
    assert_int_equal(deadline_earlier(soon, never).monotonic_ns, soon.monotonic_ns);
    assert_int_equal(deadline_earlier(never, past).monotonic_ns, past.monotonic_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_days_from_1970_to_2500_follow_each_other),
        cmocka_unit_test(a_clock_by_hand_moves_when_told),
        cmocka_unit_test(the_systems_clocks_tell_the_time),
        cmocka_unit_test(deadlines_are_over_or_not),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL) +
           run_table("dates", dates, a_date_is_printed) +
           run_table("civil dates", civil_dates, a_civil_date_has_a_midnight);
}
