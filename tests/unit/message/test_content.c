/* What is learnt of a message as it arrives, whatever the pieces it comes in. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "message/content.h"
#include "message/header.h"

#define OURS "Received: from a.example ([192.0.2.1]) by mx.clinic.example with ESMTP id 1; now\r\n"
#define OTHERS                                                                                     \
    "Received: from mx.clinic.example (mx.clinic.example [192.0.2.1])\r\n by b.example; now\r\n"

/* `status` NULL: may be taken. */
static const struct content_case {
    const char *name;
    struct span message;
    const char *status;
    size_t header_size, longest_line;
    unsigned hops, own_hops;
    bool has_8bit;
} contents[] = {
    {"a message", SPAN_LITERAL("A: 1\r\nB: 2\r\n\r\nbody\r\n"), NULL, 14, 4, 0, 0, false},
    {"S05: an empty message is one", SPAN_LITERAL(""), NULL, 0, 0, 0, 0, false},
    {"S05: a header alone is one", SPAN_LITERAL("Subject: only a header\r\n"), NULL, 24, 22, 0, 0,
     false},
    {"a body alone is one", SPAN_LITERAL("\r\nbody\r\n"), NULL, 2, 4, 0, 0, false},
    {"text without a header is body", SPAN_LITERAL("Dear Ann\r\nReceived: x\r\n\r\n"), NULL, 0, 11,
     0, 0, false},
    {"a blank at the start begins the body", SPAN_LITERAL(" A: 1\r\nB: 2\r\n"), NULL, 0, 5, 0, 0,
     false},
    {"a line that is no field ends the header",
     SPAN_LITERAL("A: 1\r\nbroken\r\nReceived: x\r\n\r\n"), NULL, 6, 11, 0, 0, false},
    {"a name that is cut off ends it too", SPAN_LITERAL("A: 1\r\nSubj"), NULL, 6, 4, 0, 0, false},
    {"an 8-bit name ends it", SPAN_LITERAL("A: 1\r\n\xc3\xbc: 2\r\n"), NULL, 6, 5, 0, 0, true},
    {"a last line without its end", SPAN_LITERAL("A: 1\r\n\r\nbody"), NULL, 8, 4, 0, 0, false},
    {"a byte over 127 in the body",
     SPAN_LITERAL("A: 1\r\n\r\n0123456789abcdef0123456789abcdef\xe9\r\n"), NULL, 8, 33, 0, 0, true},
    {"a byte over 127 in the first of many",
     SPAN_LITERAL("A: \x80 123456789abcdef0123456789abcdef\r\n"), NULL, 38, 36, 0, 0, true},
    {"Received is counted in any case, folded, with blanks before the colon",
     SPAN_LITERAL(
         "Received: a\r\nRECEIVED : b\r\n c\r\nreceived:\r\nX-Received: d\r\nReceived-SPF: e\r\n"
         "Receive: f\r\n\r\nReceived: g\r\n"),
     NULL, 88, 15, 3, 0, false},
    {"S58: our own are told from others'", SPAN_LITERAL(OURS OTHERS OURS "\r\n"), NULL,
     2 * (sizeof OURS - 1) + sizeof OTHERS - 1 + 2, sizeof OURS - 3, 3, 2, false},
    {"our own at the end of a header without a body", SPAN_LITERAL(OURS), NULL, sizeof OURS - 1,
     sizeof OURS - 3, 1, 1, false},
    {"our own before a line that is no field", SPAN_LITERAL(OURS "broken\r\n"), NULL,
     sizeof OURS - 1, sizeof OURS - 3, 1, 1, false},
    {"our own in another case, folded, without blanks around",
     SPAN_LITERAL(
         "Received: from x (by mx.clinic.example)\r\n BY\r\n MX.Clinic.Example;now\r\n\r\n"),
     NULL, 72, 39, 1, 1, false},
    {"our name in a comment is not ours",
     SPAN_LITERAL("Received: (a (\\) by mx.clinic.example) b) x\r\n\r\n"), NULL, 47, 43, 1, 0,
     false},
    {"a client that calls itself by",
     SPAN_LITERAL("Received: from by by mx.clinic.example; x\r\n\r\n"), NULL, 45, 41, 1, 1, false},
    {"a client that calls itself as we do",
     SPAN_LITERAL("Received: from mx.clinic.example by b\r\n\r\n"), NULL, 41, 37, 1, 0, false},
    {"a comment without an end", SPAN_LITERAL("Received: from (((\\\r\n\r\n"), NULL, 23, 19, 1, 0,
     false},
    {"S03: a NUL in the body", SPAN_LITERAL("A: 1\r\n\r\nab\0cd\r\n"), "5.6.0"},
    {"a NUL in the header", SPAN_LITERAL("A: \0\r\n\r\n"), "5.6.0"},
    {"a bare LF", SPAN_LITERAL("A: 1\r\n\r\nab\ncd\r\n"), "5.6.0"},
    {"a bare LF at the start", SPAN_LITERAL("\nA: 1\r\n"), "5.6.0"},
    {"a bare LF after CRLF", SPAN_LITERAL("A: 1\r\n\n\r\n"), "5.6.0"},
    {"S01: a bare CR", SPAN_LITERAL("a\r.\r\nNOOP\r\n"), "5.6.0"},
    {"S01: CR CR LF", SPAN_LITERAL("a\r\r\n.\r\r\nNOOP\r\n"), "5.6.0"},
    {"S01: LF CR", SPAN_LITERAL("a\n\r.\r\nNOOP\r\n"), "5.6.0"},
    {"S01: a dot and a CR", SPAN_LITERAL("a\r\n.\rNOOP\r\n"), "5.6.0"},
    {"a CR at the very end", SPAN_LITERAL("A: 1\r\n\r\nbody\r"), "5.6.0"},
    {"a CR alone", SPAN_LITERAL("\r"), "5.6.0"},
};

static const struct span own_name = SPAN_LITERAL("mx.clinic.example");

static void assert_content(const struct content_case *c, struct content *content)
{
    struct error why = {0};

    assert_int_equal(content_end(content, &why), c->status == NULL);
    assert_int_equal(content->size, c->message.len);
    assert_int_equal(content->has_nul, memchr(c->message.data, 0, c->message.len) != NULL);
    if (c->status) {
        assert_int_equal(why.kind, ERROR_REJECTED);
        assert_string_equal(why.status, c->status);
        return;
    }
    assert_int_equal(why.kind, ERROR_NONE);
    assert_int_equal(content->header_size, c->header_size);
    assert_int_equal(content->longest_line, c->longest_line);
    assert_int_equal(content->hops, c->hops);
    assert_int_equal(content->own_hops, c->own_hops);
    assert_int_equal(content->has_8bit, c->has_8bit);
}

static void content_is_learnt(void **state)
{
    const struct content_case *c = *state;
    struct content content;

    content_begin(&content, own_name);
    content_feed(&content, c->message);
    assert_content(c, &content);
}

static void content_is_learnt_from_any_two_pieces(void **state)
{
    const struct content_case *c = *state;

    for (size_t cut = 0; cut <= c->message.len; cut++) {
        struct content content;

        content_begin(&content, own_name);
        content_feed(&content, span_until(c->message, cut));
        content_feed(&content, span_from(c->message, cut));
        assert_content(c, &content);
    }
}

static void content_is_learnt_byte_by_byte(void **state)
{
    const struct content_case *c = *state;
    struct content content;

    content_begin(&content, own_name);
    for (size_t i = 0; i < c->message.len; i++)
        content_feed(&content, span_until(span_from(c->message, i), 1));
    assert_content(c, &content);
}

/* Repeated `times` between `start` and `end`. */
static const struct limit_case {
    const char *name, *start, *unit, *end, *status;
    size_t times;
} limits[] = {
    {"S04: a line at the limit", "A:", "x", "\r\n\r\n", NULL, MESSAGE_LINE_MAX - 2},
    {"a line over it", "A:", "x", "\r\n\r\n", "5.6.0", MESSAGE_LINE_MAX - 1},
    {"a body line at the limit", "\r\n", "x", "\r\n", NULL, MESSAGE_LINE_MAX},
    {"a body line over it", "\r\n", "x", "\r\n", "5.6.0", MESSAGE_LINE_MAX + 1},
    {"a last line over it without its end", "\r\n", "x", "", "5.6.0", MESSAGE_LINE_MAX + 1},
    {"S31: one field of two million tabs", "A:", "\t", "\r\n\r\n", "5.6.0", 2000000},
    {"S31: millions of continuation lines", "X: a\r\n", " b\r\n", "\r\n", "5.3.4", 3000000},
    {"fields at their limit", "", "A:\r\n", "\r\n", NULL, MESSAGE_HEADER_FIELDS_MAX},
    {"fields over it", "", "A:\r\n", "\r\n", "5.3.4", MESSAGE_HEADER_FIELDS_MAX + 1},
    {"body lines that look like fields do not count", "\r\n", "A:\r\n", "", NULL, 100000},
    {"S58: hops at their limit", "", "Received: x\r\n", "\r\n", NULL, MESSAGE_HOPS_MAX},
    {"S58: hops over it", "", "Received: x\r\n", "\r\n", "5.4.6", MESSAGE_HOPS_MAX + 1},
    {"S58: own hops at their limit", "", OURS, "\r\n", NULL, MESSAGE_OWN_HOPS_MAX},
    {"S58: own hops over it", "", OURS, "\r\n", "5.4.6", MESSAGE_OWN_HOPS_MAX + 1},
    {"a big body without a header", "", "no field\r\n", "", NULL, 100000},
};

static void limit_holds(void **state)
{
    const struct limit_case *c = *state;
    struct span unit = span_of(c->unit);
    struct content content;
    struct error why = {0};

    content_begin(&content, own_name);
    content_feed(&content, span_of(c->start));
    for (size_t i = 0; i < c->times; i++)
        content_feed(&content, unit);
    content_feed(&content, span_of(c->end));
    assert_int_equal(content_end(&content, &why), c->status == NULL);
    assert_int_equal(content.size, strlen(c->start) + c->times * unit.len + strlen(c->end));
    if (c->status)
        assert_string_equal(why.status, c->status);
}

static void a_header_may_have_its_limits_bytes_and_not_one_more(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        scoped_buffer message;
        struct content content;
        struct error why = {0};

        buffer_init(&message, MIB(1));
        buffer_append(&message, SPAN_LITERAL("A:\r\n"));
        while (message.len + 4 <= MESSAGE_HEADER_MAX - 2)
            buffer_append(&message, SPAN_LITERAL(" b\r\n"));
        while (message.len < MESSAGE_HEADER_MAX - 2 + over) {
            message.len -= 2;
            buffer_append(&message, SPAN_LITERAL("c\r\n"));
        }
        buffer_append(&message, SPAN_LITERAL("\r\n"));
        content_begin(&content, own_name);
        content_feed(&content, buffer_span(&message));
        assert_int_equal(content_end(&content, &why), over == 0);
        if (over)
            assert_string_equal(why.status, "5.3.4");
    }
}

static void what_is_broken_is_drained(void **state)
{
    struct content content;
    struct error why;

    (void)state;
    content_begin(&content, own_name);
    content_feed(&content, SPAN_LITERAL("a\nb"));
    assert_true(content.is_broken);
    content_feed(&content, SPAN_LITERAL("\xff\r"));
    assert_int_equal(content.size, 5);
    assert_true(content.has_8bit);
    assert_false(content_end(&content, &why));
    assert_string_equal(why.text, content.why_broken.text);
}

static void a_line_too_long_is_told_from_other_faults(void **state)
{
    static char wide[MESSAGE_LINE_MAX + 1];
    static const struct span line = {wide, sizeof wide};
    struct content content;

    (void)state;
    memset(wide, 'x', sizeof wide);
    content_begin(&content, own_name);
    content_feed(&content, line);
    assert_true(content.is_broken && content.is_too_wide);
    content_begin(&content, own_name);
    content_feed(&content, SPAN_LITERAL("a\nb"));
    content_feed(&content, line);
    assert_true(content.is_broken && !content.is_too_wide);
}

static void a_used_content_begins_anew(void **state)
{
    struct content content;
    struct error why;

    (void)state;
    content_begin(&content, own_name);
    content_feed(&content, SPAN_LITERAL(OURS "\xff\0\n\r"));
    assert_false(content_end(&content, &why));
    content_begin(&content, SPAN_LITERAL(""));
    content_feed(&content, SPAN_LITERAL(OURS "\r\n"));
    assert_true(content_end(&content, &why));
    assert_int_equal(content.hops, 1);
    assert_int_equal(content.own_hops, 0);
    assert_false(content.has_8bit || content.has_nul || content.is_broken);
}

static void header_and_content_agree_where_the_header_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(contents); i++) {
        struct span message = contents[i].message;
        struct header_field field;
        size_t end = 0;

        if (contents[i].status)
            continue;
        while (header_next(message, &end, &field))
            ;
        end += span_starts_with(span_from(message, end), SPAN_LITERAL("\r\n")) ? 2 : 0;
        assert_int_equal(end, contents[i].header_size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_may_have_its_limits_bytes_and_not_one_more),
        cmocka_unit_test(what_is_broken_is_drained),
        cmocka_unit_test(a_line_too_long_is_told_from_other_faults),
        cmocka_unit_test(a_used_content_begins_anew),
        cmocka_unit_test(header_and_content_agree_where_the_header_ends),
    };

    return run_table("contents", contents, content_is_learnt) +
           run_table("contents in two pieces", contents, content_is_learnt_from_any_two_pieces) +
           run_table("contents in bytes", contents, content_is_learnt_byte_by_byte) +
           run_table("limits", limits, limit_holds) +
           cmocka_run_group_tests_name("content", tests, NULL, NULL);
}
