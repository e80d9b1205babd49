/* The one door to the heap gives zeroed memory, and fails when it is told to. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/memory.h"
#include "base/secret.h"

static void memory_is_zeroed(void **state)
{
    char *block = memory_allocate(100);

    (void)state;
    assert_non_null(block);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(block[i], 0);
    memory_release(block);
}

static void nothing_may_be_asked_for(void **state)
{
    void *block = memory_allocate(0);

    (void)state;
    assert_non_null(block);
    memory_release(block);
    memory_release(NULL);
}

static void an_overflowing_array_is_refused(void **state)
{
    (void)state;
    assert_null(memory_allocate_array(SIZE_MAX / 2, 3));
}

static void resizing_keeps_the_old_and_zeroes_the_new(void **state)
{
    char *block = memory_allocate(4);

    (void)state;
    memcpy(block, "abcd", 4);
    block = memory_resize(block, 4, 5000);
    assert_memory_equal(block, "abcd", 4);
    for (size_t i = 4; i < 5000; i++)
        assert_int_equal(block[i], 0);
    block = memory_resize(block, 5000, 2);
    assert_memory_equal(block, "ab", 2);
    memory_release(block);
}

static void only_the_named_allocation_fails(void **state)
{
    void *first, *third;

    (void)state;
    memory_fail_after(2);
    first = memory_allocate(1);
    assert_non_null(first);
    assert_null(memory_resize(first, 1, 2));
    third = memory_allocate(1);
    assert_non_null(third);
    memory_fail_after(1);
    memory_fail_after(0);
    first = memory_resize(first, 1, 2);
    assert_non_null(first);
    memory_release(first);
    memory_release(third);
}

static void sizes_do_not_wrap(void **state)
{
    size_t result = 7;

    (void)state;
    assert_false(size_add(SIZE_MAX, 1, &result));
    assert_false(size_multiply(SIZE_MAX, 2, &result));
    assert_true(size_add(2, 3, &result));
    assert_int_equal(result, 5);
    assert_true(size_multiply(2, 3, &result));
    assert_int_equal(result, 6);
}

static void secrets_are_equal_only_byte_for_byte(void **state)
{
    (void)state;
    assert_true(secret_equal("", "", 0));
    assert_true(secret_equal("abc", "abc", 3));
    assert_false(secret_equal("abc", "abd", 3));
    assert_false(secret_equal("\x80"
                              "bc",
                              "\0bc", 3));
}

static void a_wiped_secret_is_zero(void **state)
{
    char secret[] = "hush";

    (void)state;
    secret_wipe(secret, sizeof secret);
    assert_memory_equal(secret, "\0\0\0\0\0", 5);
    secret_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed),
        cmocka_unit_test(nothing_may_be_asked_for),
        cmocka_unit_test(an_overflowing_array_is_refused),
        cmocka_unit_test(resizing_keeps_the_old_and_zeroes_the_new),
        cmocka_unit_test(only_the_named_allocation_fails),
        cmocka_unit_test(sizes_do_not_wrap),
        cmocka_unit_test(secrets_are_equal_only_byte_for_byte),
        cmocka_unit_test(a_wiped_secret_is_zero),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
