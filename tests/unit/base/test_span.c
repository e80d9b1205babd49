/* Spans are compared, cut and read as numbers, whatever bytes they hold. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/span.h"

#include <limits.h>

static const struct span none = {NULL, 0};

static void spans_are_compared(void **state)
{
    (void)state;
    assert_true(span_equal(none, SPAN_LITERAL("")));
    assert_true(span_equal(SPAN_LITERAL("a\0b"), SPAN_LITERAL("a\0b")));
    assert_false(span_equal(SPAN_LITERAL("a\0b"), SPAN_LITERAL("a\0c")));
    assert_false(span_equal(SPAN_LITERAL("a"), SPAN_LITERAL("A")));
    assert_true(span_equal_caseless(SPAN_LITERAL("StartTLS"), SPAN_LITERAL("STARTTLS")));
    assert_false(span_equal_caseless(SPAN_LITERAL("abc"), SPAN_LITERAL("ab")));
    assert_false(span_equal_caseless(SPAN_LITERAL("@"), SPAN_LITERAL("`")));
    assert_false(span_equal_caseless(SPAN_LITERAL("\xc4"), SPAN_LITERAL("\xe4")));
}

static void prefixes_and_suffixes_are_found(void **state)
{
    (void)state;
    assert_true(span_starts_with(SPAN_LITERAL("MAIL FROM"), SPAN_LITERAL("MAIL")));
    assert_false(span_starts_with(SPAN_LITERAL("mail"), SPAN_LITERAL("MAIL")));
    assert_false(span_starts_with(SPAN_LITERAL("MAI"), SPAN_LITERAL("MAIL")));
    assert_true(span_starts_with(none, none));
    assert_true(span_starts_with_caseless(SPAN_LITERAL("mail"), SPAN_LITERAL("MAIL")));
    assert_true(span_ends_with_caseless(SPAN_LITERAL("a.Example"), SPAN_LITERAL(".eXAMPLE")));
    assert_false(span_ends_with_caseless(SPAN_LITERAL("ple"), SPAN_LITERAL("example")));
}

static void spans_are_cut(void **state)
{
    struct span head, rest, s = SPAN_LITERAL("key=value=more");

    (void)state;
    assert_true(span_equal(span_from(s, 4), span_of("value=more")));
    assert_int_equal(span_from(s, 100).len, 0);
    assert_int_equal(span_from(none, 3).len, 0);
    assert_true(span_equal(span_until(s, 3), span_of("key")));
    assert_int_equal(span_until(s, 100).len, s.len);
    assert_true(span_equal(span_trim(SPAN_LITERAL(" \t a b\t ")), span_of("a b")));
    assert_int_equal(span_trim(SPAN_LITERAL(" \t ")).len, 0);
    assert_int_equal(span_trim(none).len, 0);
    assert_int_equal(span_index(s, '='), 3);
    assert_int_equal(span_index(s, '#'), s.len);
    assert_int_equal(span_index(none, 'x'), 0);
    assert_true(span_split(s, '=', &head, &rest));
    assert_true(span_equal(head, span_of("key")));
    assert_true(span_equal(rest, span_of("value=more")));
    assert_false(span_split(rest, '#', &head, &rest));
    assert_true(span_equal(head, span_of("value=more")));
    assert_int_equal(rest.len, 0);
    assert_true(span_split(SPAN_LITERAL("x="), '=', &head, &rest));
    assert_int_equal(rest.len, 0);
}

static const struct number_case {
    const char *name, *text;
    unsigned long long max, value;
    bool is_number;
} numbers[] = {
    {"zero", "0", 10, 0, true},
    {"leading zeros", "0007", 10, 7, true},
    {"the largest allowed", "65535", 65535, 65535, true},
    {"one above", "65536", 65535, 0, false},
    {"the largest there is", "18446744073709551615", ULLONG_MAX, ULLONG_MAX, true},
    {"one more overflows", "18446744073709551616", ULLONG_MAX, 0, false},
    {"ten times as much", "184467440737095516150", ULLONG_MAX, 0, false},
    {"nothing", "", 10, 0, false},
    {"a sign", "+1", 10, 0, false},
    {"a minus", "-1", 10, 0, false},
    {"a blank", " 1", 10, 0, false},
    {"a letter after", "1a", 10, 0, false},
};

static void a_number_is_read(void **state)
{
    const struct number_case *c = *state;
    unsigned long long value = 0;

    assert_int_equal(span_number(span_of(c->text), c->max, &value), c->is_number);
    assert_true(value == c->value);
}

static void letters_are_ascii_only(void **state)
{
    (void)state;
    for (int i = CHAR_MIN; i <= CHAR_MAX; i++) {
        char c = (char)i;

        assert_int_equal(ascii_is_digit(c), i >= '0' && i <= '9');
        assert_int_equal(ascii_is_letter(c), (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z'));
        assert_int_equal(ascii_lower(c), i >= 'A' && i <= 'Z' ? i + 32 : i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_compared),
        cmocka_unit_test(prefixes_and_suffixes_are_found),
        cmocka_unit_test(spans_are_cut),
        cmocka_unit_test(letters_are_ascii_only),
    };
    return cmocka_run_group_tests_name("span", tests, NULL, NULL) +
           run_table("numbers", numbers, a_number_is_read);
}
