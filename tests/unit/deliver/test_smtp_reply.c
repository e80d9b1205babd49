/* Replies: what is read, what counts, and what is no reply at all. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "smtp_reply.h"

static const struct reply_case {
    const char *name, *wire;
    enum reply_progress progress;
    unsigned code;
    const char *status;
} replies[] = {
    {"one line is a reply", "250 ok\r\n", REPLY_WHOLE, 250, ""},
    {"a code alone is a reply", "250\r\n", REPLY_WHOLE, 250, ""},
    {"a status is read", "550 5.1.1 nobody\r\n", REPLY_WHOLE, 550, "5.1.1"},
    {"a status alone is read", "550 5.1.1\r\n", REPLY_WHOLE, 550, "5.1.1"},
    {"the basic code decides the class", "550 4.2.1 odd\r\n", REPLY_WHOLE, 550, "5.2.1"},
    {"the other way too", "450 5.1.1 odd\r\n", REPLY_WHOLE, 450, "4.1.1"},
    {"a number that is no status is text", "552 1 mailbox not found\r\n", REPLY_WHOLE, 552, ""},
    {"an address that begins like one is text", "550 5.1.1.1 x\r\n", REPLY_WHOLE, 550, ""},
    {"a status of four digits is none", "550 5.1.1000 x\r\n", REPLY_WHOLE, 550, ""},
    {"a status of class 3 is none", "550 3.1.1 x\r\n", REPLY_WHOLE, 550, ""},
    {"lines make one reply", "250-mx\r\n250-SIZE\r\n250 OK\r\n", REPLY_WHOLE, 250, ""},
    {"an empty last line is fine", "220-a\r\n220\r\n", REPLY_WHOLE, 220, ""},
    {"the worse code counts", "220-a\r\n521 5.7.1 no\r\n", REPLY_WHOLE, 521, "5.7.1"},
    {"the worse code counts wherever it is", "521-5.7.1 no\r\n220 a\r\n", REPLY_WHOLE, 521,
     "5.7.1"},
    {"the status of a later line counts", "550-no\r\n550 5.7.1 no\r\n", REPLY_WHOLE, 550, "5.7.1"},
    {"a bare CR inside is text", "550 5.1.1 a\rb\r\n", REPLY_WHOLE, 550, "5.1.1"},
    {"nothing is no reply yet", "", REPLY_MORE, 0, ""},
    {"half a line is no reply yet", "250 o", REPLY_MORE, 0, ""},
    {"lines without a last one are no reply yet", "250-PIPELINING\r\n", REPLY_MORE, 250, ""},
    {"a bare LF ends no line", "250 ok\n", REPLY_BROKEN, 0, ""},
    {"two digits are none", "25\r\n", REPLY_BROKEN, 0, ""},
    {"a code over 599 is none", "999 x\r\n", REPLY_BROKEN, 0, ""},
    {"a code under 200 is none", "120 x\r\n", REPLY_BROKEN, 0, ""},
    {"a fourth digit is none", "2500 x\r\n", REPLY_BROKEN, 0, ""},
    {"a tab is no separator", "250\tx\r\n", REPLY_BROKEN, 0, ""},
    {"words are none", "SIZE\r\n", REPLY_BROKEN, 0, ""},
    {"HTTP is none", "HTTP/1.1 200 OK\r\n", REPLY_BROKEN, 0, ""},
    {"an empty line is none", "\r\n", REPLY_BROKEN, 0, ""},
};

static void reply_is_parsed(void **state)
{
    const struct reply_case *c = *state;
    struct smtp_reply reply;
    size_t used;

    assert_int_equal(smtp_reply_parse(span_of(c->wire), &reply, &used), c->progress);
    if (c->progress == REPLY_BROKEN)
        return;
    assert_int_equal(reply.code, c->code);
    assert_string_equal(reply.status, c->status);
    if (c->progress == REPLY_WHOLE)
        assert_int_equal(used, strlen(c->wire));
}

static void a_reply_cut_anywhere_wants_more(void **state)
{
    static const char wire[] = "250-mx.example\r\n250-SIZE 1000\r\n250 5.1.1 end\r\n";
    struct smtp_reply reply;
    size_t used;

    (void)state;
    for (size_t len = 0; len + 1 < sizeof wire; len++)
        assert_int_equal(smtp_reply_parse((struct span){wire, len}, &reply, &used), REPLY_MORE);
}

static void a_second_reply_is_not_taken(void **state)
{
    struct smtp_reply reply;
    size_t used;

    (void)state;
    assert_int_equal(smtp_reply_parse(SPAN_LITERAL("220 hi\r\n521 blocked\r\n"), &reply, &used),
                     REPLY_WHOLE);
    assert_int_equal(reply.code, 220);
    assert_int_equal(used, 8);
}

static void endless_replies_are_broken(void **state)
{
    static char wire[2 * SMTP_REPLY_BYTES_MAX];
    struct smtp_reply reply;
    size_t used, len = 0;

    (void)state;
    for (; len + 8 < sizeof wire; len += 8) /* many short lines */
        memcpy(wire + len, "250-ab\r\n", 8);
    assert_int_equal(smtp_reply_parse((struct span){wire, len}, &reply, &used), REPLY_BROKEN);
    memset(wire, 'x', sizeof wire); /* one long line */
    memcpy(wire, "250 ", 4);
    memcpy(wire + sizeof wire - 2, "\r\n", 2);
    assert_int_equal(smtp_reply_parse((struct span){wire, sizeof wire}, &reply, &used),
                     REPLY_BROKEN);
}

static void lines_are_given_without_their_codes(void **state)
{
    struct smtp_reply reply;
    struct span text;
    size_t used, position = 0;

    (void)state;
    assert_int_equal(
        smtp_reply_parse(SPAN_LITERAL("250-mx\r\n250-SIZE 9\r\n250\r\n"), &reply, &used),
        REPLY_WHOLE);
    assert_true(smtp_reply_next(&reply, &position, &text));
    assert_true(span_equal(text, SPAN_LITERAL("mx")));
    assert_true(smtp_reply_next(&reply, &position, &text));
    assert_true(span_equal(text, SPAN_LITERAL("SIZE 9")));
    assert_true(smtp_reply_next(&reply, &position, &text));
    assert_int_equal(text.len, 0);
    assert_false(smtp_reply_next(&reply, &position, &text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_cut_anywhere_wants_more),
        cmocka_unit_test(a_second_reply_is_not_taken),
        cmocka_unit_test(endless_replies_are_broken),
        cmocka_unit_test(lines_are_given_without_their_codes),
    };
    int failures = run_table("replies", replies, reply_is_parsed);

    return failures + cmocka_run_group_tests_name("whole replies", tests, NULL, NULL);
}
