/* UTF-8 is read as RFC 3629 has it, and no other way. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/utf8.h"

static const struct first_case {
    const char *name, *text;
    size_t len; /* 0: begins with no character */
    uint32_t point;
    bool is_visible;
} firsts[] = {
    {"ASCII", "ab", 1, 'a', true},
    {"a blank", " ", 1, ' ', true},
    {"a control", "\n", 1, '\n', false},
    {"DEL", "\x7f", 1, 0x7F, false},
    {"two bytes", "\xC3\xA4x", 2, 0xE4, true},
    {"the least of two", "\xC2\x80", 2, 0x80, false},
    {"a control of C1", "\xC2\x9B", 2, 0x9B, false},
    {"a blank that does not break", "\xC2\xA0", 2, 0xA0, true},
    {"the most of two", "\xDF\xBF", 2, 0x7FF, true},
    {"the least of three", "\xE0\xA0\x80", 3, 0x800, true},
    {"the euro", "\xE2\x82\xAC", 3, 0x20AC, true},
    {"a mark that turns the direction", "\xE2\x80\xAE", 3, 0x202E, false},
    {"the Arabic letter mark", "\xD8\x9C", 2, 0x61C, false},
    {"a blank without width", "\xE2\x80\x8B", 3, 0x200B, false},
    {"a line separator", "\xE2\x80\xA8", 3, 0x2028, false},
    {"a byte order mark", "\xEF\xBB\xBF", 3, 0xFEFF, false},
    {"the last before the surrogates", "\xED\x9F\xBF", 3, 0xD7FF, true},
    {"the first after the surrogates", "\xEE\x80\x80", 3, 0xE000, true},
    {"the least of four", "\xF0\x90\x80\x80", 4, 0x10000, true},
    {"the last of all", "\xF4\x8F\xBF\xBF", 4, 0x10FFFF, true},
    {"nothing", "", 0, 0, false},
    {"a continuation alone", "\x80", 0, 0, false},
    {"two bytes where one is enough", "\xC0\xAF", 0, 0, false},
    {"two bytes where one is enough, the last", "\xC1\xBF", 0, 0, false},
    {"three bytes where two are enough", "\xE0\x9F\xBF", 0, 0, false},
    {"four bytes where three are enough", "\xF0\x8F\xBF\xBF", 0, 0, false},
    {"a surrogate", "\xED\xA0\x80", 0, 0, false},
    {"above Unicode", "\xF4\x90\x80\x80", 0, 0, false},
    {"a byte that is never there", "\xF5\x80\x80\x80", 0, 0, false},
    {"the last byte of all", "\xFF", 0, 0, false},
    {"another character instead of the second", "\xC3(", 0, 0, false},
    {"another character instead of the third", "\xE2\x82(", 0, 0, false},
    {"another character instead of the fourth", "\xF0\x90\x80(", 0, 0, false},
};

static void the_first_character_is_read(void **state)
{
    const struct first_case *c = *state;
    struct span text = span_of(c->text);
    uint32_t point = 7;

    assert_int_equal(utf8_first(text, &point), c->len);
    assert_int_equal(point, c->len > 0 ? c->point : 7);
    assert_int_equal(utf8_visible(text), c->is_visible ? c->len : 0);
    for (size_t cut = 0; cut < c->len; cut++)
        assert_int_equal(utf8_first(span_until(text, cut), &point), 0);
}

static const struct text_case {
    const char *name, *text;
    size_t bad_at; /* SIZE_MAX: valid */
} texts[] = {
    {"nothing", "", SIZE_MAX},
    {"ASCII and more", "f\xC3\xBCr \xE2\x82\xAC", SIZE_MAX},
    {"a character that is cut", "ab\xE2\x82", 2},
    {"a bad byte in the middle", "a\xC3\xA4\xFF\xC3\xA4", 3},
};

static void a_text_is_valid_throughout_or_says_where_not(void **state)
{
    const struct text_case *c = *state;
    size_t bad_at = SIZE_MAX;

    assert_int_equal(utf8_is_valid(span_of(c->text), &bad_at), c->bad_at == SIZE_MAX);
    assert_int_equal(bad_at, c->bad_at);
}

static const struct cut_case {
    const char *name, *text;
    size_t len, left;
} cuts[] = {
    {"what is short stays whole", "ab", 2, 2},
    {"between letters", "abc", 2, 2},
    {"in front of a character", "a\xE2\x82\xAC", 1, 1},
    {"after its first byte", "a\xE2\x82\xAC", 2, 1},
    {"after its second", "a\xE2\x82\xAC", 3, 1},
    {"behind it", "a\xE2\x82\xAC!", 4, 4},
    {"four bytes", "\xF0\x90\x80\x80", 3, 0},
    {"to nothing", "abc", 0, 0},
    {"bytes that are no characters", "\x80\x80\x80\x80\x80\x80", 5, 2},
};

static void a_text_is_cut_between_characters(void **state)
{
    const struct cut_case *c = *state;

    assert_int_equal(utf8_until(span_of(c->text), c->len).len, c->left);
}

int main(void)
{
    return run_table("characters", firsts, the_first_character_is_read) +
           run_table("texts", texts, a_text_is_valid_throughout_or_says_where_not) +
           run_table("cuts", cuts, a_text_is_cut_between_characters);
}
