/* A failure carries what to do next, a status and a text of bounded length. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/error.h"

#include <errno.h>

static void an_error_is_filled(void **state)
{
    struct error why;

    (void)state;
    assert_false(error_set(&why, ERROR_TEMPORARY, "4.4.1", "port %d", 25));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_string_equal(why.status, "4.4.1");
    assert_string_equal(why.text, "port 25");
}

static void the_systems_reason_is_added(void **state)
{
    struct error why;

    (void)state;
    assert_false(error_system(&why, ENOENT, "opening %s", "x"));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_string_equal(why.status, "4.3.0");
    assert_string_equal(why.text, "opening x: No such file or directory");
    error_system(&why, 99999, "odd");
    assert_string_equal(why.text, "odd: system error 99999");
}

static void context_comes_before_the_text(void **state)
{
    struct error why;

    (void)state;
    error_set(&why, ERROR_REJECTED, "5.7.1", "no");
    assert_false(error_within(&why, "in the reply"));
    assert_int_equal(why.kind, ERROR_REJECTED);
    assert_string_equal(why.status, "5.7.1");
    assert_string_equal(why.text, "in the reply: no");
}

static void an_error_may_quote_itself(void **state)
{
    struct error why;

    (void)state;
    error_set(&why, ERROR_INTERNAL, "", "inner");
    error_set(&why, ERROR_INTERNAL, "", "outer (%s)", why.text);
    assert_string_equal(why.text, "outer (inner)");
}

static void a_long_text_is_cut(void **state)
{
    struct error why;

    (void)state;
    error_set(&why, ERROR_INTERNAL, "", "%500d", 1);
    assert_int_equal(strlen(why.text), ERROR_TEXT_SIZE - 1);
    for (int i = 0; i < 3; i++)
        error_within(&why, "once more");
    assert_int_equal(strlen(why.text), ERROR_TEXT_SIZE - 1);
    error_system(&why, ENOENT, "%500d", 1);
    assert_int_equal(strlen(why.text), ERROR_TEXT_SIZE - 1);
}

static void every_kind_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(error_kind_name(ERROR_NONE), "none");
    assert_string_equal(error_kind_name(ERROR_TEMPORARY), "temporary");
    assert_string_equal(error_kind_name(ERROR_IMPOSSIBLE), "impossible");
    assert_string_equal(error_kind_name(ERROR_REJECTED), "rejected");
    assert_string_equal(error_kind_name(ERROR_INTERNAL), "internal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_is_filled),
        cmocka_unit_test(the_systems_reason_is_added),
        cmocka_unit_test(context_comes_before_the_text),
        cmocka_unit_test(an_error_may_quote_itself),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(every_kind_has_a_name),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
