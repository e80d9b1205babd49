/* A journey as it is told. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "audit/event.h"
#include "audit/trace.h"
#include "base/memory.h"
#include "keys/sealing.h"

enum { NOON = 43200000 };

static bool open_plainly(void *self, const struct store_message *message, const char *what,
                         struct span sealed, struct buffer *out)
{
    (void)message;
    if (self)
        assert_non_null(what);
    return buffer_append(out, sealed);
}

static void hash_anew(struct store_journal_row *row)
{
    scoped_buffer bytes;

    buffer_init(&bytes, STORE_LEAF_CANONICAL_MAX);
    store_leaf_canonical(row->sequence, &row->leaf, &bytes);
    row->hash = merkle_leaf(row->salt, buffer_span(&bytes));
}

static struct store_journal_row row_of(enum event_kind kind, uint32_t delivery, int64_t at_ms,
                                       const struct event_field *fields, size_t count,
                                       struct arena *arena)
{
    struct store_journal_row row = {0};

    assert_true(event_leaf(kind, (struct id){{1}}, delivery, SPAN_LITERAL(""), at_ms, fields, count,
                           arena, &row.leaf));
    hash_anew(&row);
    return row;
}
#define ROW(kind, delivery, at_ms, ...)                                                            \
    row_of(kind, delivery, at_ms, (const struct event_field[]){__VA_ARGS__},                       \
           COUNT(((const struct event_field[]){__VA_ARGS__})), arena)

static const struct store_message message = {
    .id = {{1}},
    .organisation = {"Lakeside Clinic", 15},
    .size = 4312,
    .sender = {"ann@lakeside.example", 20},
};

static void a_journey_is_told(void **state)
{
    static const char story[] =
        "Message 01000000000000000000000000, 4312 bytes\n"
        "  from      ann@lakeside.example, of \"Lakeside Clinic\"\n"
        "  1970-01-01\n"
        "  12:00:00  Taken by the listener submission from 127.0.0.1: 4312 bytes for 1 "
        "recipient.\n"
        "\n"
        "Delivery 1, to bob@x.example\n"
        "  1970-01-01\n"
        "  12:00:00  The rule \"everything\" decides: the ways, in order, are { tls verify, return "
        "}.\n"
        "  12:00:02  Attempt 1 by tls verify, at mx1.x.example (192.0.2.7), over TLSv1.3 with\n"
        "            TLS_AES_256_GCM_SHA384, its certificate verified: not now; the other side "
        "asked to\n"
        "            come back (4.2.1). It said: busy\\x1b[31m. Next attempt at 1970-01-01 "
        "12:01:02 UTC.\n"
        "  1970-01-02\n"
        "  12:00:00  An attempt now was asked for by user 1000; the phone rang.\n"
        "  now       waits for attempt 2 at 1970-01-02 12:05:00 UTC, in 5 minutes.\n";
    scoped(arena) arena = arena_new("test", KIB(64));
    const struct store_journal_row rows[] = {
        ROW(EVENT_MESSAGE_ACCEPTED, 0, NOON, EVENT_TEXT(FIELD_LISTENER, SPAN_LITERAL("submission")),
            EVENT_TEXT(FIELD_ADDRESS, SPAN_LITERAL("127.0.0.1")), EVENT_NUMBER(FIELD_SIZE, 4312),
            EVENT_NUMBER(FIELD_RECIPIENTS, 1)),
        ROW(EVENT_DELIVERY_DECIDED, 1, NOON, EVENT_NUMBER(FIELD_STATE, DELIVERY_WAITING),
            EVENT_TEXT(FIELD_RULE, SPAN_LITERAL("everything")),
            EVENT_TEXT(FIELD_LADDER, SPAN_LITERAL("{ tls verify, return }"))),
        ROW(EVENT_DELIVERY_DEFERRED, 1, NOON + 2000, EVENT_NUMBER(FIELD_ATTEMPT, 1),
            EVENT_TEXT(FIELD_WAY, SPAN_LITERAL("tls verify")),
            EVENT_TEXT(FIELD_HOST, SPAN_LITERAL("mx1.x.example")),
            EVENT_TEXT(FIELD_ADDRESS, SPAN_LITERAL("192.0.2.7")),
            EVENT_TEXT(FIELD_TLS_VERSION, SPAN_LITERAL("TLSv1.3")),
            EVENT_TEXT(FIELD_TLS_CIPHER, SPAN_LITERAL("TLS_AES_256_GCM_SHA384")),
            EVENT_TEXT(FIELD_MECHANISM, SPAN_LITERAL("pkix")),
            EVENT_TEXT(FIELD_STATUS, SPAN_LITERAL("4.2.1")),
            EVENT_TEXT(FIELD_REASON, SPAN_LITERAL("the other side asked to come back")),
            EVENT_TEXT(FIELD_PEER_REPLY, SPAN_LITERAL("busy\33[31m")),
            EVENT_NUMBER(FIELD_NEXT_ATTEMPT, NOON + 62000)),
        ROW(EVENT_DELIVERY_RETRIED, 1, NOON + 86400000, EVENT_NUMBER(FIELD_UID, 1000),
            EVENT_TEXT(FIELD_REASON, SPAN_LITERAL("the phone rang"))),
    };
    const struct store_delivery delivery = {.number = 1,
                                            .state = DELIVERY_WAITING,
                                            .recipient = SPAN_LITERAL("bob@x.example"),
                                            .attempts = 1,
                                            .due_at_ms = NOON + 86400000 + 300000};
    const struct trace_opener opener = {.open = open_plainly};
    scoped_buffer out;
    struct error why;

    (void)state;
    buffer_init(&out, KIB(64));
    assert_true(trace_write(&message, &delivery, 1, rows, COUNT(rows), &opener, NOON + 86400000,
                            &out, &why));
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, story);
}

static void what_may_not_be_opened_is_called_sealed(void **state)
{
    const struct store_delivery delivery = {.number = 1, .recipient = SPAN_LITERAL("bob@x")};
    scoped_buffer out;
    struct error why;

    (void)state;
    buffer_init(&out, KIB(64));
    assert_true(trace_write(&message, &delivery, 1, NULL, 0, NULL, 0, &out, &why));
    buffer_append_byte(&out, '\0');
    assert_null(strstr(out.data, "ann"));
    assert_null(strstr(out.data, "bob"));
    assert_non_null(strstr(out.data, "Delivery 1, to (sealed)"));
}

static void what_cannot_be_read_is_said(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(64));
    struct store_journal_row rows[] = {
        ROW(EVENT_DELIVERY_DECIDED, 0, NOON, EVENT_NUMBER(FIELD_STATE, 0)),
        ROW(EVENT_DELIVERY_DECIDED, 0, NOON, EVENT_NUMBER(FIELD_STATE, 0)),
        ROW(EVENT_DELIVERY_DECIDED, 0, NOON, EVENT_NUMBER(FIELD_STATE, 0))};
    scoped_buffer out;
    struct error why;

    (void)state;
    rows[0].leaf.detail = SPAN_LITERAL("?");
    rows[1].leaf.kind = 999;
    rows[2].is_purged = true;
    hash_anew(&rows[0]);
    hash_anew(&rows[1]);
    buffer_init(&out, KIB(64));
    assert_true(trace_write(&message, NULL, 0, rows, 3, NULL, 0, &out, &why));
    buffer_append_byte(&out, '\0');
    assert_non_null(strstr(out.data, "cannot be read"));
    assert_non_null(strstr(out.data, "an event of kind 999"));
    assert_non_null(strstr(out.data, "purged"));
    assert_null(strstr(out.data, "changed"));
}

static void what_a_changed_row_says_is_not_told_as_true(void **state)
{
    const struct store_delivery delivery = {.number = 1, .state = DELIVERY_DELIVERED};
    scoped(arena) arena = arena_new("test", KIB(64));
    struct store_journal_row rows[] = {
        ROW(EVENT_DELIVERY_HELD, 1, NOON, EVENT_NUMBER(FIELD_STATE, DELIVERY_HELD)),
        ROW(EVENT_DELIVERY_DELIVERED, 1, NOON, EVENT_NUMBER(FIELD_STATE, DELIVERY_DELIVERED))};
    scoped_buffer out;
    struct error why;

    (void)state;
    rows[1].leaf.at_ms++;
    buffer_init(&out, KIB(64));
    assert_true(trace_write(&message, &delivery, 1, rows, 2, NULL, 0, &out, &why));
    buffer_append_byte(&out, '\0');
    assert_non_null(strstr(out.data, "12:00:00  Without an attempt: held.\n"));
    assert_non_null(strstr(out.data, "12:00:00  (this row was changed: verify the journal) "));
    assert_non_null(strstr(out.data, "its record does not agree with the journal"));
}

static void a_story_beyond_its_limit_fails(void **state)
{
    scoped_buffer out;
    struct error why;

    (void)state;
    buffer_init(&out, 10);
    assert_false(trace_write(&message, NULL, 0, NULL, 0, NULL, 0, &out, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_journey_is_told),
        cmocka_unit_test(what_may_not_be_opened_is_called_sealed),
        cmocka_unit_test(what_cannot_be_read_is_said),
        cmocka_unit_test(what_a_changed_row_says_is_not_told_as_true),
        cmocka_unit_test(a_story_beyond_its_limit_fails),
    };

    return cmocka_run_group_tests_name("traces", tests, NULL, NULL);
}
