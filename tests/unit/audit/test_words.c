/* Words for a terminal hold nothing that it would obey. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "audit/words.h"
#include "base/memory.h"

static void assert_text(struct buffer *out, const char *text)
{
    buffer_append_byte(out, '\0');
    assert_string_equal(out->data, text);
}

static const struct safe_case {
    const char *name, *text, *ours, *strangers;
} safes[] = {
    {"ASCII", "a rule", "a rule", "a rule"},
    {"letters", "f\xC3\xBCr", "f\xC3\xBCr", "f\\xc3\\xbcr"},
    {"an escape sequence", "\33[31m", "\\x1b[31m", "\\x1b[31m"},
    {"the same in one character", "\xC2\x9B", "\\xc2\\x9b", "\\xc2\\x9b"},
    {"and in one byte", "\x9B", "\\x9b", "\\x9b"},
    {"writing that is turned round", "\xE2\x80\xAEx", "\\xe2\\x80\\xaex", "\\xe2\\x80\\xaex"},
    {"a character that is cut", "a\xE2\x82", "a\\xe2\\x82", "a\\xe2\\x82"},
};

static void nothing_is_obeyed(void **state)
{
    const struct safe_case *c = *state;
    scoped_buffer ours, strangers;

    buffer_init(&ours, KIB(4));
    buffer_init(&strangers, KIB(4));
    words_safe(&ours, span_of(c->text), false);
    words_safe(&strangers, span_of(c->text), true);
    assert_text(&ours, c->ours);
    assert_text(&strangers, c->strangers);
}

static const struct duration_case {
    const char *name;
    int64_t ms;
    const char *words;
} durations[] = {
    {"nothing", 0, "0 seconds"},
    {"a second", 1499, "1 second"},
    {"just below a minute", 59000, "59 seconds"},
    {"a minute", 60000, "1 minute"},
    {"rounded", 90 * 60000, "2 hours"},
    {"days", 3 * 86400000, "3 days"},
};

static void a_duration_is_as_exact_as_a_person_is(void **state)
{
    const struct duration_case *c = *state;
    scoped_buffer out;

    buffer_init(&out, KIB(4));
    words_duration(&out, c->ms);
    assert_text(&out, c->words);
}

static void one_is_one_and_more_are_many(void **state)
{
    scoped_buffer out;

    (void)state;
    buffer_init(&out, KIB(4));
    words_count(&out, 1, "byte", "bytes");
    buffer_append(&out, SPAN_LITERAL(", "));
    words_count(&out, 0, "byte", "bytes");
    buffer_append(&out, SPAN_LITERAL(", "));
    words_time(&out, 0);
    assert_text(&out, "1 byte, 0 bytes, 1970-01-01 00:00:00 UTC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_one_and_more_are_many),
    };

    return run_table("texts", safes, nothing_is_obeyed) +
           run_table("durations", durations, a_duration_is_as_exact_as_a_person_is) +
           cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
