/* The closed list of edits: what is added and left out, and that nothing else changes. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "message/content.h"
#include "message/edits.h"
#include "message/header.h"

#define RECEIVED_START "Received: from client.example ([192.0.2.1]) by mx.clinic.example with ESMTP"

static const struct received_facts plain_facts = {
    .helo = SPAN_LITERAL("client.example"),
    .client_ip = SPAN_LITERAL("192.0.2.1"),
    .host_name = SPAN_LITERAL("mx.clinic.example"),
    .protocol = SPAN_LITERAL("ESMTP"),
    .message = {{1}},
    .received_at_ms = 1795610676000,
};
#define ID "01000000000000000000000000"
#define DATE "Wed, 25 Nov 2026 12:44:36 +0000"
#define RECEIVED RECEIVED_START "\r\n id " ID "; " DATE "\r\n"
#define DATE_FIELD "Date: " DATE "\r\n"
#define ID_FIELD "Message-ID: <" ID "@mx.clinic.example>\r\n"

static void append_pieces(struct buffer *out, const struct pieces *pieces)
{
    size_t size = 0;

    for (size_t i = 0; i < pieces->count; i++) {
        assert_true(pieces->spans[i].len > 0);
        buffer_append(out, pieces->spans[i]);
        size += pieces->spans[i].len;
    }
    assert_int_equal(size, pieces->size);
}

static void assert_edited(struct span original, bool is_submission,
                          const struct received_facts *facts, const char *expected)
{
    scoped(arena) arena = arena_new("test", KIB(64));
    scoped_buffer out;
    struct pieces pieces;
    struct error why;

    buffer_init(&out, MIB(1));
    assert_true(message_edit(original, is_submission, facts, arena, &pieces, &why));
    append_pieces(&out, &pieces);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.data, expected, out.len);
}

/* What stands below Received. `submitted` NULL: the same as `passed`. */
static const struct edit_case {
    const char *name, *original, *passed, *submitted;
} edits[] = {
    {"S06: bytes stay as they are",
     "From: Q. Public (MD) <q@partner.example>\r\nTo: \"a\" <A@Clinic.Example> , "
     "b@clinic.example\r\n"
     "Date: x\r\nMessage-ID: y\r\nCC:x@clinic.example\r\nX-Empty:\r\nX-Tab:\t a  "
     "\r\n\r\nhi\r\n\r\n\r\n\r\n",
     "From: Q. Public (MD) <q@partner.example>\r\nTo: \"a\" <A@Clinic.Example> , "
     "b@clinic.example\r\n"
     "Date: x\r\nMessage-ID: y\r\nCC:x@clinic.example\r\nX-Empty:\r\nX-Tab:\t a  "
     "\r\n\r\nhi\r\n\r\n\r\n\r\n",
     NULL},
    {"S30: Date and Message-ID are added on submission only",
     "From: nurse@clinic.example\r\nSubject: x\r\n\r\nhi\r\n",
     "From: nurse@clinic.example\r\nSubject: x\r\n\r\nhi\r\n",
     DATE_FIELD ID_FIELD "From: nurse@clinic.example\r\nSubject: x\r\n\r\nhi\r\n"},
    {"S30: where one is there, only the other", "date : then\r\n\r\nhi\r\n",
     "date : then\r\n\r\nhi\r\n", ID_FIELD "date : then\r\n\r\nhi\r\n"},
    {"S30: and the other way round", "MESSAGE-ID:\r\n <a@b>\r\n\r\n",
     "MESSAGE-ID:\r\n <a@b>\r\n\r\n", DATE_FIELD "MESSAGE-ID:\r\n <a@b>\r\n\r\n"},
    {"a Date in the body is none", "From: a\r\n\r\nDate: x\r\nMessage-ID: y\r\n",
     "From: a\r\n\r\nDate: x\r\nMessage-ID: y\r\n",
     DATE_FIELD ID_FIELD "From: a\r\n\r\nDate: x\r\nMessage-ID: y\r\n"},
    {"Bcc is left out on submission only",
     "Date: x\r\nMessage-ID: y\r\nBcc: a@x.example\r\nTo: b\r\n\r\nBcc: text\r\n",
     "Date: x\r\nMessage-ID: y\r\nBcc: a@x.example\r\nTo: b\r\n\r\nBcc: text\r\n",
     "Date: x\r\nMessage-ID: y\r\nTo: b\r\n\r\nBcc: text\r\n"},
    {"so is every one, folded, in any case, with blanks before the colon",
     "bcc: a,\r\n b,\r\n\tc\r\nDate: x\r\nBCC : d\r\nBCC:\r\nMessage-ID: y\r\nResent-Bcc: "
     "e\r\n\r\n",
     "bcc: a,\r\n b,\r\n\tc\r\nDate: x\r\nBCC : d\r\nBCC:\r\nMessage-ID: y\r\nResent-Bcc: "
     "e\r\n\r\n",
     "Date: x\r\nMessage-ID: y\r\n\r\n"},
    {"what only looks like Bcc stays",
     "Date: x\r\nMessage-ID: y\r\nX-Bcc: a\r\nBcc-X: b\r\nTo: c\r\n Bcc: d\r\n",
     "Date: x\r\nMessage-ID: y\r\nX-Bcc: a\r\nBcc-X: b\r\nTo: c\r\n Bcc: d\r\n", NULL},
    {"Bcc as the last bytes", "Date: x\r\nMessage-ID: y\r\nBcc: a",
     "Date: x\r\nMessage-ID: y\r\nBcc: a", "Date: x\r\nMessage-ID: y\r\n"},
    {"nothing but Bcc", "Bcc: a\r\n\r\nhi\r\n", "Bcc: a\r\n\r\nhi\r\n",
     DATE_FIELD ID_FIELD "\r\nhi\r\n"},
    {"S05: an empty message gets an empty line", "", "\r\n", DATE_FIELD ID_FIELD "\r\n"},
    {"S05: a header without a body gets none", "Subject: only a header\r\n",
     "Subject: only a header\r\n", DATE_FIELD ID_FIELD "Subject: only a header\r\n"},
    {"a body alone has its empty line", "\r\nhi\r\n", "\r\nhi\r\n",
     DATE_FIELD ID_FIELD "\r\nhi\r\n"},
    {"text without a header stays text", "Dear Ann\r\nBcc: b\r\n", "\r\nDear Ann\r\nBcc: b\r\n",
     DATE_FIELD ID_FIELD "\r\nDear Ann\r\nBcc: b\r\n"},
    {"text that begins with a blank does not lengthen our field", " hi\r\n", "\r\n hi\r\n",
     DATE_FIELD ID_FIELD "\r\n hi\r\n"},
    {"text after the header stays text", "To: a\r\nDear Ann\r\nSubject: b\r\n",
     "To: a\r\n\r\nDear Ann\r\nSubject: b\r\n",
     DATE_FIELD ID_FIELD "To: a\r\n\r\nDear Ann\r\nSubject: b\r\n"},
    {"a bare LF does not hide a field in another", "Date: x\r\nMessage-ID: y\nBcc: a\r\n\r\n",
     "Date: x\r\nMessage-ID: y\nBcc: a\r\n\r\n", NULL},
};

static void message_is_edited(void **state)
{
    const struct edit_case *c = *state;
    scoped_buffer expected;

    buffer_init(&expected, KIB(4));
    buffer_append_format(&expected, "%s%s", RECEIVED, c->passed);
    assert_edited(span_of(c->original), false, &plain_facts, expected.data);
    buffer_truncate(&expected, 0);
    buffer_append_format(&expected, "%s%s", RECEIVED, c->submitted ? c->submitted : c->passed);
    assert_edited(span_of(c->original), true, &plain_facts, expected.data);
}

static const struct received_case {
    const char *name, *helo, *ip, *protocol, *tls, *recipient, *written;
} receiveds[] = {
    {"TLS and one recipient", "client.example", "192.0.2.1", "ESMTPS",
     "TLSv1.3 TLS_AES_256_GCM_SHA384", "a@partner.example",
     "Received: from client.example ([192.0.2.1]) by mx.clinic.example\r\n"
     " with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384) id " ID "\r\n"
     " for <a@partner.example>; " DATE "\r\n"},
    {"S79: several recipients are not named", "client.example", "192.0.2.1", "ESMTP", "", NULL,
     RECEIVED},
    {"IPv6", "c.example", "2001:db8::1", "ESMTP", "", NULL,
     "Received: from c.example ([IPv6:2001:db8::1]) by mx.clinic.example with ESMTP\r\n id " ID
     "; " DATE "\r\n"},
    {"a client named by its address", "[192.0.2.1]", "192.0.2.1", "ESMTP", "", NULL,
     "Received: from [192.0.2.1] ([192.0.2.1]) by mx.clinic.example with ESMTP\r\n id " ID "; " DATE
     "\r\n"},
    {"S74: an imperfect name stands as it is", "my_pc-..local", "192.0.2.1", "ESMTP", "", NULL,
     "Received: from my_pc-..local ([192.0.2.1]) by mx.clinic.example with ESMTP\r\n id " ID
     "; " DATE "\r\n"},
    {"a name cannot leave its comment", "a\\)by(mx", "192.0.2.1", "ESMTP", "", NULL,
     "Received: from [192.0.2.1] (helo a\\\\\\)by\\(mx) by mx.clinic.example with ESMTP\r\n id " ID
     "; " DATE "\r\n"},
    {"nor bring lines", "a\r\nBcc: b\xff\t", "192.0.2.1", "ESMTP", "", NULL,
     "Received: from [192.0.2.1] (helo a??Bcc: b?"
     "?) by mx.clinic.example with ESMTP\r\n id " ID "; " DATE "\r\n"},
    {"nor other clauses", "a;b", "192.0.2.1", "ESMTP", "", NULL,
     "Received: from [192.0.2.1] (helo a;b) by mx.clinic.example with ESMTP\r\n id " ID "; " DATE
     "\r\n"},
    {"a colon is no part of a name", "a:b", "192.0.2.1", "ESMTP", "", NULL,
     "Received: from [192.0.2.1] (helo a:b) by mx.clinic.example with ESMTP\r\n id " ID "; " DATE
     "\r\n"},
    {"half a literal is none", "[192.0.2.1", "192.0.2.1", "ESMTP", "", NULL,
     "Received: from [192.0.2.1] (helo [192.0.2.1) by mx.clinic.example with ESMTP\r\n id " ID
     "; " DATE "\r\n"},
    {"no name at all", "", "192.0.2.1", "SMTP", "", NULL,
     "Received: from [192.0.2.1] (helo ) by mx.clinic.example with SMTP\r\n id " ID "; " DATE
     "\r\n"},
    {"a recipient in quotes", "c.example", "192.0.2.1", "ESMTP", "", "\"a b\"@x.example",
     "Received: from c.example ([192.0.2.1]) by mx.clinic.example with ESMTP\r\n id " ID
     " for <\"a b\"@x.example>;\r\n " DATE "\r\n"},
};

static void received_is_written(void **state)
{
    const struct received_case *c = *state;
    struct span recipient = c->recipient ? span_of(c->recipient) : (struct span){NULL, 0};
    struct received_facts facts = plain_facts;
    scoped_buffer expected;

    facts.helo = span_of(c->helo);
    facts.client_ip = span_of(c->ip);
    facts.protocol = span_of(c->protocol);
    facts.tls = span_of(c->tls);
    facts.only_recipient = c->recipient ? &recipient : NULL;
    buffer_init(&expected, KIB(4));
    buffer_append_format(&expected, "%s\r\nhi\r\n", c->written);
    assert_edited(SPAN_LITERAL("\r\nhi\r\n"), false, &facts, expected.data);
}

/* S04: what is too long for RFC 5322 is not folded by us. */
static void long_references_keep_their_bytes(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(64));
    scoped_buffer original, out;
    struct pieces pieces;
    struct error why;

    (void)state;
    buffer_init(&original, KIB(4));
    buffer_init(&out, KIB(8));
    buffer_append(&original, SPAN_LITERAL("Date: x\r\nMessage-ID: y\r\nReferences:"));
    for (size_t i = 0; i < 11; i++)
        buffer_append_format(&original, " <%090zu@a.example>", i);
    buffer_append(&original, SPAN_LITERAL("\r\n\r\nhi\r\n"));
    for (int is_submission = 0; is_submission <= 1; is_submission++) {
        buffer_truncate(&out, 0);
        assert_true(message_edit(buffer_span(&original), is_submission, &plain_facts, arena,
                                 &pieces, &why));
        append_pieces(&out, &pieces);
        assert_int_equal(pieces.count, 2);
        assert_true(
            span_equal(span_from(buffer_span(&out), pieces.spans[0].len), buffer_span(&original)));
    }
}

static void the_longest_names_fit_in_lines(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(64));
    char brackets[2000];
    struct received_facts facts = plain_facts;
    struct pieces pieces;
    struct error why;

    (void)state;
    memset(brackets, '(', sizeof brackets);
    facts.helo = span_make(brackets, sizeof brackets);
    assert_true(message_edit(SPAN_LITERAL(""), true, &facts, arena, &pieces, &why));
}

/* S58: whatever the client calls itself, our own field is found again. */
static void each_of_our_fields_is_counted_when_the_message_comes_back(void **state)
{
    static const char *const helos[] = {"client.example", "by", "(by", "\"", "a\\", "by;by"};
    char brackets[300];
    struct received_facts facts = plain_facts;

    (void)state;
    memset(brackets, '(', sizeof brackets);
    for (size_t i = 0; i <= COUNT(helos); i++) {
        scoped(arena) arena = arena_new("test", KIB(64));
        scoped_buffer message;
        struct content content;
        struct pieces pieces;
        struct error why;

        facts.helo = i < COUNT(helos) ? span_of(helos[i]) : span_make(brackets, sizeof brackets);
        buffer_init(&message, KIB(64));
        for (unsigned hops = 0; hops <= MESSAGE_OWN_HOPS_MAX + 1; hops++) {
            content_begin(&content, facts.host_name);
            content_feed(&content, buffer_span(&message));
            assert_int_equal(content_end(&content, &why), hops <= MESSAGE_OWN_HOPS_MAX);
            assert_int_equal(content.own_hops, hops);
            assert_true(message_edit(arena_copy(arena, buffer_span(&message)), false, &facts, arena,
                                     &pieces, &why));
            buffer_truncate(&message, 0);
            append_pieces(&message, &pieces);
        }
        assert_string_equal(why.status, "5.4.6");
    }
}

static void facts_that_no_header_may_hold_are_our_own_fault(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(64));
    struct span recipient = SPAN_LITERAL("a\r\nb@x.example");
    struct received_facts facts = plain_facts;
    struct pieces pieces = {.count = 77};
    struct error why;
    char name[900]; /* in a line it has room, in the name of a message it has not */

    (void)state;
    facts.only_recipient = &recipient;
    assert_false(message_edit(SPAN_LITERAL(""), true, &facts, arena, &pieces, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_int_equal(pieces.count, 77);
    facts = plain_facts;
    memset(name, 'a', sizeof name);
    facts.host_name = span_make(name, sizeof name);
    assert_false(message_edit(SPAN_LITERAL(""), true, &facts, arena, &pieces, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
}

static void no_memory_is_our_own_fault(void **state)
{
    struct pieces pieces = {.count = 77};
    struct error why;

    (void)state;
    for (size_t limit = 0; limit < 256; limit += 64) {
        scoped(arena) arena = arena_new("test", limit);

        why.kind = ERROR_NONE;
        assert_false(
            message_edit(SPAN_LITERAL("A: b\r\n"), true, &plain_facts, arena, &pieces, &why));
        assert_int_equal(why.kind, ERROR_INTERNAL);
        assert_string_equal(why.status, "4.3.0");
    }
    for (unsigned n = 1; n < 20; n++) {
        scoped(arena) arena = arena_new("test", KIB(64));
        bool edited;

        memory_fail_after(n);
        edited = message_edit(SPAN_LITERAL("A: b\r\n"), true, &plain_facts, arena, &pieces, &why);
        memory_fail_after(0);
        if (edited)
            return;
        assert_int_equal(why.kind, ERROR_INTERNAL);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_references_keep_their_bytes),
        cmocka_unit_test(the_longest_names_fit_in_lines),
        cmocka_unit_test(each_of_our_fields_is_counted_when_the_message_comes_back),
        cmocka_unit_test(facts_that_no_header_may_hold_are_our_own_fault),
        cmocka_unit_test(no_memory_is_our_own_fault),
    };

    return run_table("edits", edits, message_is_edited) +
           run_table("Received", receiveds, received_is_written) +
           cmocka_run_group_tests_name("edit", tests, NULL, NULL);
}
