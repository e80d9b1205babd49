/* The names of messages: printed and parsed back, ordered by time. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/id.h"

static const struct text_case {
    const char *name, *text;
    bool is_id;
} texts[] = {
    {"all zero", "00000000000000000000000000", true},
    {"the largest", "7zzzzzzzzzzzzzzzzzzzzzzzzz", true},
    {"capital letters", "01HZ9ABCDEFGHJKMNPQRSTVWXY", true},
    {"more than 128 bits", "80000000000000000000000000", false},
    {"a letter first", "z0000000000000000000000000", false},
    {"no letter i", "0000000000000i000000000000", false},
    {"no letter L", "0000000000000L000000000000", false},
    {"no letter o", "0000000000000o000000000000", false},
    {"no letter u", "0000000000000u000000000000", false},
    {"no sign", "-0000000000000000000000000", false},
    {"too short", "0000000000000000000000000", false},
    {"too long", "000000000000000000000000000", false},
    {"nothing", "", false},
};

static void a_text_is_an_id_or_not(void **state)
{
    const struct text_case *c = *state;
    char printed[ID_TEXT_SIZE];
    struct id id = {{9}};

    assert_int_equal(id_parse(span_of(c->text), &id), c->is_id);
    if (!c->is_id) {
        assert_true(id_equal(id, (struct id){{9}}));
        return;
    }
    id_print(id, printed);
    assert_true(span_equal_caseless(span_of(printed), span_of(c->text)));
}

static void what_is_printed_is_parsed_back(void **state)
{
    struct entropy_by_seed seed = {7};
    struct entropy entropy = entropy_by_seed(&seed);

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        struct id id, back;
        char text[ID_TEXT_SIZE];

        entropy_fill(&entropy, id.bytes, sizeof id.bytes);
        id_print(id, text);
        assert_true(id_parse(span_of(text), &back));
        assert_true(id_equal(id, back));
    }
}

static void each_bit_of_the_bytes_counts(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 128; bit++) {
        struct id id = {{0}}, back;
        char text[ID_TEXT_SIZE];

        id.bytes[bit / 8] = (uint8_t)(1u << bit % 8);
        assert_false(id_is_none(id));
        id_print(id, text);
        assert_true(id_parse(span_of(text), &back));
        assert_true(id_equal(id, back));
    }
}

static void a_nul_inside_is_no_digit(void **state)
{
    struct id id;

    (void)state;
    assert_false(id_parse(SPAN_LITERAL("0000000000\0"
                                       "000000000000000"),
                          &id));
}

static void ids_are_ordered_by_time(void **state)
{
    struct clock_by_hand hand = {.wall_ms = 1795610676123};
    struct clock clock = clock_by_hand(&hand);
    struct id before = id_make(&clock, &entropy_of_system), after;
    char one[ID_TEXT_SIZE], two[ID_TEXT_SIZE];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        clock_by_hand_move(&hand, 1);
        after = id_make(&clock, &entropy_of_system);
        id_print(before, one);
        id_print(after, two);
        assert_true(strcmp(one, two) < 0);
        assert_true(memcmp(before.bytes, after.bytes, ID_BYTES) < 0);
        before = after;
    }
}

static void the_first_48_bits_are_milliseconds(void **state)
{
    struct clock_by_hand hand = {.wall_ms = 0x010203040506};
    struct clock clock = clock_by_hand(&hand);
    struct id id = id_make(&clock, &entropy_of_system);

    (void)state;
    assert_memory_equal(id.bytes, "\1\2\3\4\5\6", 6);
    hand.wall_ms = -5;
    id = id_make(&clock, &entropy_of_system);
    assert_memory_equal(id.bytes, "\0\0\0\0\0\0", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_is_parsed_back),
        cmocka_unit_test(each_bit_of_the_bytes_counts),
        cmocka_unit_test(a_nul_inside_is_no_digit),
        cmocka_unit_test(ids_are_ordered_by_time),
        cmocka_unit_test(the_first_48_bits_are_milliseconds),
    };
    return cmocka_run_group_tests_name("id", tests, NULL, NULL) +
           run_table("texts", texts, a_text_is_an_id_or_not);
}
