/* Header fields: where they begin and end, and how ours are written. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/memory.h"
#include "message/header.h"
#include "message/limits.h"

#define TEN_A "aaaaaaaaaa"
#define SEVENTY_A TEN_A TEN_A TEN_A TEN_A TEN_A TEN_A TEN_A

static void assert_span(struct span got, const char *expected)
{
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.data, expected, got.len);
}

/* `fields` is what is found, as NAME=VALUE| for each. */
static const struct section_case {
    const char *name, *message, *fields;
    size_t end;
} sections[] = {
    {"fields end at the empty line", "A: 1\r\nB: 2\r\n\r\nC: 3\r\n", "A= 1|B= 2|", 12},
    {"a field may be folded", "A: 1\r\n 2\r\n\t3\r\nB:\r\n\r\n", "A= 1\r\n 2\r\n\t3|B=|", 18},
    {"a blank line inside a field is part of it", "A: 1\r\n \r\n 2\r\n\r\n", "A= 1\r\n \r\n 2|",
     13},
    {"nothing has no fields", "", "", 0},
    {"a body alone has none", "\r\nA: 1\r\n", "", 0},
    {"S05: a header alone needs no empty line", "Subject: only a header\r\n",
     "Subject= only a header|", 24},
    {"the last line end may be missing", "A: 1\r\nB: 2", "A= 1|B= 2|", 10},
    {"a CR at the very end is text", "A: 1\r", "A= 1\r|", 5},
    {"a bare LF ends no line", "A: 1\nBcc: 2\r\n\r\n", "A= 1\nBcc: 2|", 13},
    {"a bare CR ends no line", "A: 1\rBcc: 2\r\n\r\n", "A= 1\rBcc: 2|", 13},
    {"CR CR LF ends one", "A: 1\r\r\nB: 2\r\n", "A= 1\r|B= 2|", 13},
    {"LF CR ends none", "A: 1\n\rB: 2\r\n", "A= 1\n\rB: 2|", 12},
    {"a line without a colon ends the section", "A: 1\r\nbroken\r\nB: 2\r\n", "A= 1|", 6},
    {"so does a name with a blank inside", "A: 1\r\nB C: 2\r\nD: 3\r\n", "A= 1|", 6},
    {"so does an mbox line", "From ann Thu Jan  1 00:00:00 1970\r\nA: 1\r\n", "", 0},
    {"so does a name of no bytes", ": 1\r\nA: 1\r\n", "", 0},
    {"so does an 8-bit name", "A: 1\r\n\xc3\xbc: 2\r\n", "A= 1|", 6},
    {"so does a control in a name", "A: 1\r\nB\x01: 2\r\n", "A= 1|", 6},
    {"blanks before the colon are an old custom", "Bcc \t: x\r\n\r\n", "Bcc= x|", 10},
    {"a blank at the start is no field", " A: 1\r\nB: 2\r\n", "", 0},
    {"a name may be cut off", "A: 1\r\nSubj", "A= 1|", 6},
    {"a colon may stand in a value", "A: b:c\r\n\r\n", "A= b:c|", 8},
    {"a name may hold odd things", "X-!\"#()/[]: 1\r\n", "X-!\"#()/[]= 1|", 15},
    {"S06: what stands there is not touched", "CC:x@clinic.example\r\nX-Empty:\r\nX-Tab:\t a  \r\n",
     "CC=x@clinic.example|X-Empty=|X-Tab=\t a  |", 44},
};

static void section_is_read(void **state)
{
    const struct section_case *c = *state;
    struct span message = span_of(c->message);
    struct header_field field;
    size_t position = 0, before = 0;
    scoped_buffer found;

    buffer_init(&found, KIB(1));
    while (header_next(message, &position, &field)) {
        assert_ptr_equal(field.whole.data, message.data + before);
        assert_int_equal(field.whole.len, position - before);
        before = position;
        buffer_append(&found, field.name);
        buffer_append_byte(&found, '=');
        buffer_append(&found, field.value);
        buffer_append_byte(&found, '|');
    }
    assert_span(buffer_span(&found), c->fields);
    assert_int_equal(position, c->end);
    assert_false(header_next(message, &position, &field));
    assert_int_equal(position, c->end);
}

static const struct find_case {
    const char *name, *wanted;
    size_t n;
    const char *value;
} finds[] = {
    {"the first of a name", "received", 0, " one"},
    {"the second", "RECEIVED", 1, " two"},
    {"the third, behind a blank before its colon", "Received", 2, " three"},
    {"there is no fourth", "Received", 3, NULL},
    {"what stands in the body is not found", "Subject", 0, NULL},
    {"a name's beginning is not the name", "Receive", 0, NULL},
    {"a name is not its beginning", "Received-SPF", 0, NULL},
    {"no name is no field", "", 0, NULL},
};

static void field_is_found(void **state)
{
    static const struct span message = SPAN_LITERAL(
        "Received: one\r\nX: y\r\nReceived: two\r\nrEceived : three\r\n\r\nSubject: b\r\n");
    const struct find_case *c = *state;
    struct header_field field = {.value = SPAN_LITERAL("untouched")};

    assert_int_equal(header_find(message, span_of(c->wanted), c->n, &field), c->value != NULL);
    assert_span(field.value, c->value ? c->value : "untouched");
}

static const struct has_case {
    const char *name, *text, *word;
    bool has;
} haves[] = {
    {"at the start", "[secure] lab", "[secure]", true},
    {"at the end", "lab [secure]", "[secure]", true},
    {"in another case", "Lab [SeCuRe] x", "[sEcUrE]", true},
    {"the whole", "a", "A", true},
    {"not there", "[secur] e]", "[secure]", false},
    {"longer than the text", "ab", "abc", false},
    {"the empty word", "", "", true},
    {"in an empty text", "", "a", false},
    {"after a beginning of itself", "aaab", "aab", true},
    {"8-bit letters keep their case", "\xc3\x84", "\xc3\xa4", false},
};

static void word_is_sought(void **state)
{
    const struct has_case *c = *state;

    assert_int_equal(text_has(span_of(c->text), span_of(c->word)), c->has);
}

/* `written` NULL: the buffer fails. */
static const struct write_case {
    const char *name, *field, *value, *written;
} writes[] = {
    {"a short field", "Subject", "Results", "Subject: Results\r\n"},
    {"an empty value", "X-Empty", "", "X-Empty:\r\n"},
    {"blanks at the ends go", "X", "  a  b ", "X: a  b\r\n"},
    {"a fold before column 78", "X", SEVENTY_A " bbbb bbbb", "X: " SEVENTY_A " bbbb\r\n bbbb\r\n"},
    {"exactly 78 columns", "X", SEVENTY_A " bbbb", "X: " SEVENTY_A " bbbb\r\n"},
    {"79 columns fold", "X", SEVENTY_A " bbbbb", "X: " SEVENTY_A "\r\n bbbbb\r\n"},
    {"no fold right after the name", "X-Long", SEVENTY_A TEN_A, "X-Long: " SEVENTY_A TEN_A "\r\n"},
    {"more blanks move to the next line", "X", SEVENTY_A "   bbbbbb",
     "X: " SEVENTY_A "\r\n   bbbbbb\r\n"},
    {"what is not ASCII becomes an encoded word", "Subject",
     "Gr\xc3\xbc\xc3\x9f"
     "e aus Bern",
     "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus Bern\r\n"},
    {"neighbours share a word", "Subject", "a \xc3\xa4 \xc3\xb6 b",
     "Subject: a =?utf-8?q?=C3=A4_=C3=B6?= b\r\n"},
    {"a broken byte is encoded as it is", "X", "\xff", "X: =?utf-8?q?=FF?=\r\n"},
    {"CR is refused", "X", "a\rb", NULL},
    {"LF is refused", "X", "a\nb", NULL},
    {"CRLF and a field are refused", "X", "a\r\nBcc: b", NULL},
    {"a fold of the caller's is refused", "X", "a\r\n b", NULL},
    {"a tab is refused", "X", "a\tb", NULL},
    {"DEL is refused", "X", "a\x7f", NULL},
    {"no name is refused", "", "a", NULL},
    {"a colon in a name is refused", "X:", "a", NULL},
    {"a blank in a name is refused", "X Y", "a", NULL},
    {"CRLF in a name is refused", "X\r\nY", "a", NULL},
    {"an 8-bit name is refused", "\xc3\xbc", "a", NULL},
};

static void field_is_written(void **state)
{
    const struct write_case *c = *state;
    scoped_buffer out;

    buffer_init(&out, KIB(4));
    header_write(&out, span_of(c->field), span_of(c->value));
    assert_int_equal(out.failed, c->written == NULL);
    if (c->written)
        assert_span(buffer_span(&out), c->written);
}

static void a_nul_is_refused(void **state)
{
    scoped_buffer out;

    (void)state;
    buffer_init(&out, KIB(4));
    header_write(&out, SPAN_LITERAL("X"), SPAN_LITERAL("a\0b"));
    assert_true(out.failed);
}

static void a_line_over_998_bytes_is_refused(void **state)
{
    char value[HEADER_LINE_MAX];
    scoped_buffer out;

    (void)state;
    memset(value, 'a', sizeof value);
    buffer_init(&out, KIB(4));
    header_write(&out, SPAN_LITERAL("X"), span_make(value, HEADER_LINE_MAX - 3));
    assert_false(out.failed);
    header_write(&out, SPAN_LITERAL("X"), span_make(value, HEADER_LINE_MAX - 2));
    assert_true(out.failed);
}

static void a_field_over_the_buffers_limit_fails(void **state)
{
    scoped_buffer out;

    (void)state;
    buffer_init(&out, 8);
    header_write(&out, SPAN_LITERAL("Subject"), SPAN_LITERAL("Results"));
    assert_true(out.failed);
}

/* What is long and not ASCII: many words, none over 75 bytes, no line over 78, all read back. */
static void a_long_text_is_written_in_words_and_read_back(void **state)
{
    static const struct span unit = SPAN_LITERAL("\xe6\xbc\xa2\xf0\x9f\x94\x92 \xc3\xa4=?_ ");
    scoped(arena) arena = arena_new("test", KIB(64));
    scoped_buffer value, out;
    struct header_field field;
    struct span rest, line;
    size_t position = 0;

    (void)state;
    buffer_init(&value, KIB(4));
    buffer_init(&out, KIB(16));
    for (size_t i = 0; i < 60; i++)
        buffer_append(&value, unit);
    buffer_append_byte(&value, '.');
    header_write(&out, SPAN_LITERAL("Subject"), buffer_span(&value));
    assert_false(out.failed);
    for (rest = buffer_span(&out); rest.len > 0;) {
        span_split(rest, '\n', &line, &rest);
        assert_true(line.len - 1 <= HEADER_FOLD_COLUMN);
    }
    assert_true(header_next(buffer_span(&out), &position, &field));
    assert_int_equal(position, out.len);
    assert_true(span_equal(header_text(field.value, arena), buffer_span(&value)));
}

static void three_million_continuation_lines_are_one_field(void **state)
{
    static const struct span start = SPAN_LITERAL("X: a\r\n"), line = SPAN_LITERAL(" b\r\n");
    scoped_buffer message;
    struct header_field field;
    size_t position = 0;

    (void)state;
    buffer_init(&message, MIB(16));
    buffer_append(&message, start);
    for (size_t i = 0; i < 3000000; i++)
        buffer_append(&message, line);
    assert_true(header_next(buffer_span(&message), &position, &field));
    assert_int_equal(position, start.len + 3000000 * line.len);
    assert_false(header_next(buffer_span(&message), &position, &field));
}

static const struct subject_case {
    const char *name, *message, *subject;
} subjects[] = {
    {"none is empty", "From: a@b.example\r\n\r\nSubject: c\r\n", ""},
    {"one is decoded", "subject: =?utf-8?q?caf=C3=A9?=\r\n\r\n", "caf\xC3\xA9"},
    {"a second is seen too", "Subject: a\r\nX: b\r\nSUBJECT: [secure]\r\n\r\n", "a [secure]"},
    {"an empty one hides nothing", "Subject:\r\nSubject: b\r\n\r\n", " b"},
    {"empty ones before it hide nothing",
     "Subject:\r\nSubject:\r\nSubject:\r\nSubject:\r\nSubject:\r\nSubject:\r\nSubject:\r\n"
     "Subject:\r\nSubject: 9\r\n\r\n",
     "        9"},
};
static void subject_is_found(void **state)
{
    const struct subject_case *c = *state;
    scoped(arena) arena = arena_new("test", KIB(64));
    scoped(arena) none = arena_new("test", 1);

    assert_true(span_equal(header_subject(span_of(c->message), arena), span_of(c->subject)));
    assert_true(*c->subject == '\0' || !header_subject(span_of(c->message), none).data);
}

static void a_nul_hides_no_other_subject(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(64));
    struct span subject = header_subject(
        SPAN_LITERAL("Subject: =?utf-8?q?a=00b?=\r\nSubject: [secure]\r\n\r\n"), arena);

    (void)state;
    assert_true(span_equal(subject, SPAN_LITERAL("a\0b [secure]")));
}

static void a_long_subject_is_cut_between_characters(void **state)
{
    static const struct span filler = SPAN_LITERAL("0123456789 ABCDE"); /* 16 bytes */
    scoped(arena) arena = arena_new("test", MIB(1));
    struct span subject;
    scoped_buffer message;

    (void)state;
    buffer_init(&message, KIB(64));
    buffer_append(&message, SPAN_LITERAL("Subject: "));
    for (size_t i = 0; i + 1 < HEADER_TEXT_MAX / filler.len; i++)
        buffer_append(&message, filler);
    buffer_append(&message, SPAN_LITERAL("[secure]\r\nSubject: abcde\xE2\x82\xAC.\r\n\r\n"));
    assert_false(message.failed);
    subject = header_subject(buffer_span(&message), arena);
    assert_true(text_has(subject, SPAN_LITERAL("[secure] abcde")));
    assert_int_equal(subject.len, HEADER_TEXT_MAX - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nul_hides_no_other_subject),
        cmocka_unit_test(a_long_subject_is_cut_between_characters),
        cmocka_unit_test(a_nul_is_refused),
        cmocka_unit_test(a_line_over_998_bytes_is_refused),
        cmocka_unit_test(a_field_over_the_buffers_limit_fails),
        cmocka_unit_test(a_long_text_is_written_in_words_and_read_back),
        cmocka_unit_test(three_million_continuation_lines_are_one_field),
    };

    return run_table("sections", sections, section_is_read) +
           run_table("finding", finds, field_is_found) +
           run_table("words in texts", haves, word_is_sought) +
           run_table("subjects", subjects, subject_is_found) +
           run_table("writing", writes, field_is_written) +
           cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
