/* The queue's time when somebody sets the clock. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "queue_clock.h"

enum { HOUR_MS = 3600000 };

static void a_clock_set_back_is_not_followed(void **state)
{
    struct clock_by_hand hand = {.wall_ms = 1000 * (int64_t)HOUR_MS, .monotonic_ns = 5};
    const struct clock clock = clock_by_hand(&hand);
    struct queue_clock *queue = queue_clock_new(&clock);
    int64_t start = queue_clock_ms(queue), by_ms;

    (void)state;
    assert_false(queue_clock_was_set(queue, &by_ms));
    clock_by_hand_move(&hand, 1000);
    assert_int_equal(queue_clock_ms(queue), start + 1000);
    assert_int_equal(queue_clock_ahead_ms(queue), 0);
    hand.wall_ms -= HOUR_MS;
    assert_int_equal(queue_clock_ms(queue), start + 1000);
    assert_int_equal(queue_clock_ahead_ms(queue), HOUR_MS);
    clock_by_hand_move(&hand, 60000);
    assert_int_equal(queue_clock_ms(queue), start + 61000);
    assert_true(queue_clock_was_set(queue, &by_ms));
    assert_int_equal(by_ms, -HOUR_MS);
    assert_false(queue_clock_was_set(queue, &by_ms)); /* it is told once */
    hand.wall_ms += HOUR_MS;                          /* and set right again */
    assert_int_equal(queue_clock_ms(queue), start + 61000);
    assert_int_equal(queue_clock_ahead_ms(queue), 0);
    queue_clock_free(queue);
}

static void a_clock_set_forward_is_followed(void **state)
{
    struct clock_by_hand hand = {.wall_ms = 1000 * (int64_t)HOUR_MS, .monotonic_ns = 5};
    const struct clock clock = clock_by_hand(&hand);
    struct queue_clock *queue = queue_clock_new(&clock);
    int64_t start = queue_clock_ms(queue);

    (void)state;
    hand.wall_ms += HOUR_MS;
    assert_int_equal(queue_clock_ms(queue), start + HOUR_MS);
    assert_int_equal(queue_clock_ahead_ms(queue), 0);
    queue_clock_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_set_back_is_not_followed),
        cmocka_unit_test(a_clock_set_forward_is_followed),
    };

    return cmocka_run_group_tests_name("queue clock", tests, NULL, NULL);
}
