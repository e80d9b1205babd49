/* What is remembered of hosts, and how it is bounded. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "deliver/limits.h"
#include "hosts.h"

#include <stdio.h>

static const struct span host = SPAN_LITERAL("mx.example");

static void a_host_has_so_many_sessions_and_no_more(void **state)
{
    scoped(hosts) hosts = hosts_new();

    (void)state;
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 2, 0), HOSTS_WELCOME);
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 2, 0), HOSTS_WELCOME);
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 2, 0), HOSTS_BUSY);
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.2", 2, 0), HOSTS_WELCOME);
    hosts_leave(hosts, host, "192.0.2.1", false);
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 2, 0), HOSTS_WELCOME);
}

static void a_dead_host_is_passed_over_for_a_while(void **state)
{
    scoped(hosts) hosts = hosts_new();

    (void)state;
    hosts_mark_dead(hosts, host, "192.0.2.1", 1000);
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 2, 999), HOSTS_DEAD);
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.2", 2, 999), HOSTS_WELCOME);
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 2, 1000), HOSTS_WELCOME);
}

static void a_host_with_sessions_is_not_dead(void **state)
{
    scoped(hosts) hosts = hosts_new();

    (void)state;
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 2, 0), HOSTS_WELCOME);
    assert_true(hosts_mark_dead(hosts, host, "192.0.2.1", 10)); /* that one does not stand yet */
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 2, 10), HOSTS_WELCOME);
    hosts_mark_open(hosts, host, "192.0.2.1");
    hosts_leave(hosts, host, "192.0.2.1", false);
    assert_false(hosts_mark_dead(hosts, host, "192.0.2.1", 1000));
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 2, 10), HOSTS_WELCOME);
    hosts_leave(hosts, host, "192.0.2.1", false);
    hosts_leave(hosts, host, "192.0.2.1", true);
    assert_true(hosts_mark_dead(hosts, host, "192.0.2.1", 1000));
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 2, 10), HOSTS_DEAD);
}

static void fill_with_dead(struct hosts *hosts, int64_t until_ns)
{
    char address[32];

    for (unsigned i = 0; i < HOSTS_MAX; i++) {
        snprintf(address, sizeof address, "198.18.%u.%u", i / 256, i % 256);
        hosts_mark_dead(hosts, host, address, until_ns);
    }
}

static void a_table_full_of_the_dead_has_room_for_the_living(void **state)
{
    scoped(hosts) hosts = hosts_new();

    (void)state;
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 1, 0), HOSTS_WELCOME);
    fill_with_dead(hosts, 1000);
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.2", 1, 0), HOSTS_WELCOME);
    assert_int_equal(hosts_enter(hosts, host, "192.0.2.1", 1, 0), HOSTS_BUSY); /* still counted */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_has_so_many_sessions_and_no_more),
        cmocka_unit_test(a_dead_host_is_passed_over_for_a_while),
        cmocka_unit_test(a_host_with_sessions_is_not_dead),
        cmocka_unit_test(a_table_full_of_the_dead_has_room_for_the_living),
    };

    return cmocka_run_group_tests_name("hosts", tests, NULL, NULL);
}
