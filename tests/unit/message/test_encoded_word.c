/* Header texts as rules see them: unfolded and decoded, so that a word is found however it came. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/memory.h"
#include "message/header.h"
#include "message/limits.h"

#define UNKNOWN "\xef\xbf\xbd"

static const struct text_case {
    const char *name, *value, *text;
} texts[] = {
    {"plain text", " Results of Monday", "Results of Monday"},
    {"nothing", "", ""},
    {"blanks only", " \t ", ""},
    {"a fold", " one\r\n two\r\n\tthree", "one two\tthree"},
    {"a fold inside a word of ours", " [sec\r\n ure]", "[sec ure]"},
    {"raw UTF-8",
     " Gr\xc3\xbc\xc3\x9f"
     "e",
     "Gr\xc3\xbc\xc3\x9f"
     "e"},
    {"raw bytes that are not UTF-8",
     " Gr\xfc\xdf"
     "e",
     "Gr" UNKNOWN UNKNOWN "e"},
    {"Q", "=?utf-8?Q?=5Bsecure=5D_a?=", "[secure] a"},
    {"q in lower-case hex", "=?utf-8?q?=5bsecure=5d?=", "[secure]"},
    {"B", "=?utf-8?B?W3NlY3VyZV0gYQ==?=", "[secure] a"},
    {"b without its padding", "=?utf-8?b?W3NlY3VyZV0gYQ?=", "[secure] a"},
    {"B with a fold inside", "=?utf-8?B?W3Nl\r\n Y3VyZV0gYQ==?=", "[secure] a"},
    {"Q with a blank inside", "=?utf-8?Q?=5Bsecure=5D a?=", "[secure] a"},
    {"Q with a question mark inside", "=?utf-8?Q?ok?_=5Bsecure=5D?=", "ok? [secure]"},
    {"an empty word",
     "a =?utf-8?Q?"
     "?= b",
     "a  b"},
    {"the charset's case does not count", "=?UtF-8?q?=C3=BC?=", "\xc3\xbc"},
    {"a language behind the charset",
     "=?us-ascii*en?Q?Keith?= =?utf-8*de-CH?q?=C3=BC?=", "Keith\xc3\xbc"},
    {"ISO-8859-1", "=?iso-8859-1?q?Gr=FC=DFe?=",
     "Gr\xc3\xbc\xc3\x9f"
     "e"},
    {"ISO-8859-15 has the euro",
     "=?ISO-8859-15?q?=A4_=BC=BD=BE_=E9?=", "\xe2\x82\xac \xc5\x92\xc5\x93\xc5\xb8 \xc3\xa9"},
    {"windows-1252 has it elsewhere", "=?windows-1252?q?=80_=93a=94_=81?=",
     "\xe2\x82\xac \xe2\x80\x9c"
     "a\xe2\x80\x9d " UNKNOWN},
    {"US-ASCII with a byte over 127", "=?us-ascii?q?a=FCb?=", "a" UNKNOWN "b"},
    {"an unknown charset keeps its ASCII", "=?koi8-r?B?8iBbc2VjdXJlXQ==?=", UNKNOWN " [secure]"},
    {"UTF-16 stays as it is", "=?utf-16?B?AGE=?=", "=?utf-16?B?AGE=?="},
    {"blanks between words go", "=?utf-8?q?a?=  \r\n\t =?utf-8?q?b?=", "ab"},
    {"blanks between words of two charsets go",
     "=?utf-8?q?=5Bsec?= =?iso-8859-1?b?dXJlXQ==?=", "[secure]"},
    {"words without a blank between", "=?utf-8?q?=5Bsec?==?utf-8?q?ure=5D?=", "[secure]"},
    {"blanks between word and text stay", "a =?utf-8?q?b?=  c =?utf-8?q?d?=", "a b  c d"},
    {"text right beside a word", "Re:=?utf-8?q?_=5Bsecure=5D?=x", "Re: [secure]x"},
    {"a character cut between two words",
     "=?utf-8?q?Gr=C3?= =?utf-8?q?=BC=C3?=\r\n =?UTF-8?b?nw==?=", "Gr\xc3\xbc\xc3\x9f"},
    {"a character cut between Q and B", "=?utf-8?q?=F0=9F?= =?utf-8?b?lJI=?=", "\xf0\x9f\x94\x92"},
    {"two charsets share no character", "=?utf-8?q?=C3?= =?iso-8859-1?q?=BC?=", UNKNOWN "\xc2\xbc"},
    {"text between ends a character", "=?utf-8?q?=C3?= x =?utf-8?q?=BC?=", UNKNOWN " x " UNKNOWN},
    {"overlong and surrogate UTF-8", "=?utf-8?q?=C0=AF_=ED=A0=80_=F4=90=80=80?=",
     UNKNOWN UNKNOWN " " UNKNOWN UNKNOWN UNKNOWN " " UNKNOWN UNKNOWN UNKNOWN UNKNOWN},
    {"UTF-8 that breaks off before an ASCII letter",
     "=?utf-8?q?=E2=82x=E2=82?=", UNKNOWN UNKNOWN "x" UNKNOWN UNKNOWN},
    {"bad hex stays", "=?utf-8?q?a=5Gb?=", "=?utf-8?q?a=5Gb?="},
    {"hex that is cut stays", "=?utf-8?q?a=5?=", "=?utf-8?q?a=5?="},
    {"bad base64 stays", "=?utf-8?b?a!b?=", "=?utf-8?b?a!b?="},
    {"an unknown encoding stays", "=?utf-8?x?abc?=", "=?utf-8?x?abc?="},
    {"no charset stays", "=??q?abc?=", "=??q?abc?="},
    {"no end stays", "=?utf-8?q?abc", "=?utf-8?q?abc"},
    {"half an end stays", "=?utf-8?q?abc?", "=?utf-8?q?abc?"},
    {"a start alone stays", "a =? b", "a =? b"},
    {"blanks beside a broken word stay",
     "=?utf-8?q?a?= =?utf-8?b?!?= =?utf-8?q?c?=", "a =?utf-8?b?!?= c"},
    {"a word begins inside a broken one",
     "=?utf-8?q?x=?utf-8?q?=5Bsecure=5D?=", "=?utf-8?q?x[secure]"},
    {"a start before a word", "=?=?utf-8?q?a?=", "=?a"},
    {"a word in quotes", "\"=?utf-8?q?a?=\" <a@x.example>", "\"a\" <a@x.example>"},
};

static void text_is_read(void **state)
{
    const struct text_case *c = *state;
    scoped(arena) arena = arena_new("test", KIB(64));
    struct span text = header_text(span_of(c->value), arena);

    assert_non_null(text.data);
    assert_int_equal(text.len, strlen(c->text));
    assert_memory_equal(text.data, c->text, text.len);
}

static void a_word_cut_anywhere_is_left_as_it_is(void **state)
{
    static const struct span word = SPAN_LITERAL("=?utf-8*en?b?W3NlY3VyZV0=?=");
    scoped(arena) arena = arena_new("test", KIB(64));

    (void)state;
    for (size_t len = 0; len < word.len; len++)
        assert_true(span_equal(header_text(span_until(word, len), arena), span_until(word, len)));
}

static void a_long_text_is_cut_at_a_character(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(128));
    scoped_buffer value;
    struct span text;

    (void)state;
    buffer_init(&value, KIB(64));
    for (size_t i = 0; i < 10000; i++)
        buffer_append(&value, SPAN_LITERAL("\xe2\x82\xac"));
    text = header_text(buffer_span(&value), arena);
    assert_int_equal(text.len, HEADER_TEXT_MAX / 3 * 3);
}

static void a_huge_value_is_read_in_part(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(128));
    scoped_buffer value;
    struct span text;

    (void)state;
    buffer_init(&value, MIB(1));
    for (size_t i = 0; i < 100000; i++)
        buffer_append(&value, SPAN_LITERAL("\t"));
    buffer_append(&value, SPAN_LITERAL("end"));
    text = header_text(buffer_span(&value), arena);
    assert_non_null(text.data);
    assert_int_equal(text.len, 0);
}

static void a_full_arena_gives_null(void **state)
{
    (void)state;
    for (size_t limit = 0; limit <= 48; limit += 16) {
        scoped(arena) arena = arena_new("test", limit);

        assert_null(header_text(SPAN_LITERAL("sixteen bytes ok"), arena).data);
    }
}

static void broken_words_without_end_cost_linear_time(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(256));
    scoped_buffer value;

    (void)state;
    buffer_init(&value, KIB(64));
    while (value.len + 8 < KIB(64))
        buffer_append(&value, SPAN_LITERAL("=?a?b?!"));
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(header_text(buffer_span(&value), arena).len, HEADER_TEXT_MAX);
        arena_reset(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_cut_anywhere_is_left_as_it_is),
        cmocka_unit_test(a_long_text_is_cut_at_a_character),
        cmocka_unit_test(a_huge_value_is_read_in_part),
        cmocka_unit_test(a_full_arena_gives_null),
        cmocka_unit_test(broken_words_without_end_cost_linear_time),
    };

    return run_table("texts", texts, text_is_read) +
           cmocka_run_group_tests_name("header texts", tests, NULL, NULL);
}
