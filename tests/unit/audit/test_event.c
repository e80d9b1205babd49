/* The catalogue of events: each is printed, kept and read back, and the documentation knows it. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "audit/event.h"
#include "base/descriptor.h"
#include "base/memory.h"

static const struct id message = {{1, 2, 3}};

static struct store_leaf leaf_of(const struct event_field *fields, size_t count,
                                 struct arena *arena)
{
    struct store_leaf leaf = {0};

    assert_true(event_leaf(EVENT_DELIVERY_DEFERRED, message, 2, SPAN_LITERAL("clinic"), 77, fields,
                           count, arena, &leaf));
    return leaf;
}

static void what_is_told_is_read_back(void **state)
{
    const struct event_field fields[] = {
        EVENT_NUMBER(FIELD_STATE, DELIVERY_WAITING),  EVENT_TEXT(FIELD_HOST, SPAN_LITERAL("mx")),
        EVENT_TEXT(FIELD_REASON, SPAN_LITERAL("")),   EVENT_NUMBER(FIELD_NEXT_ATTEMPT, UINT64_MAX),
        EVENT_TEXT(FIELD_ROOT, SPAN_LITERAL("a\0b")),
    };
    scoped(arena) arena = arena_new("test", KIB(64));
    struct store_leaf leaf = leaf_of(fields, COUNT(fields), arena);
    struct event_field *read;
    struct error why;
    size_t count;

    (void)state;
    assert_int_equal(leaf.kind, EVENT_DELIVERY_DEFERRED);
    assert_int_equal(leaf.delivery, 2);
    assert_int_equal(leaf.at_ms, 77);
    assert_true(id_equal(leaf.message, message));
    assert_true(event_parse(leaf.detail, arena, &read, &count, &why));
    assert_int_equal(count, COUNT(fields));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(read[i].id, fields[i].id);
        assert_int_equal(read[i].number, fields[i].number);
        assert_true(span_equal(read[i].text, fields[i].text));
    }
    assert_null(event_field_find(read, count, FIELD_LADDER));
    assert_non_null(event_field_find(read, count, FIELD_REASON)); /* empty is not absent */
}

static void an_absent_text_is_left_out(void **state)
{
    const struct event_field fields[] = {EVENT_TEXT(FIELD_HOST, ((struct span){0}))};
    scoped(arena) arena = arena_new("test", KIB(64));
    struct store_leaf leaf = leaf_of(fields, 1, arena);

    (void)state;
    assert_int_equal(leaf.detail.len, 1);
}

static void a_cut_detail_is_refused_at_every_byte_but_between_fields(void **state)
{
    const struct event_field fields[] = {EVENT_NUMBER(FIELD_STATE, 1),
                                         EVENT_TEXT(FIELD_HOST, SPAN_LITERAL("mx"))};
    scoped(arena) arena = arena_new("test", KIB(64));
    struct store_leaf leaf = leaf_of(fields, 2, arena);

    (void)state;
    for (size_t len = 0; len < leaf.detail.len; len++) {
        struct event_field *read = NULL;
        size_t count = 99;
        struct error why;
        bool is_between = len == 1 || len == 1 + 2 + 1 + 8;

        assert_int_equal(event_parse(span_until(leaf.detail, len), arena, &read, &count, &why),
                         is_between);
        if (!is_between) {
            assert_null(read);
            assert_int_equal(count, 99);
            assert_int_equal(why.kind, ERROR_INTERNAL);
        }
    }
}

static const struct detail_case {
    const char *name;
    struct span detail;
    bool is_read;
} details[] = {
    {"another version is refused", SPAN_LITERAL("\2"), false},
    {"an unknown field's number is kept", SPAN_LITERAL("\1\xff\0\0\0\0\0\0\0\0\0\5"), true},
    {"an unknown field's text is kept", SPAN_LITERAL("\1\xff\0\1\0\0\0\1x"), true},
    {"an unknown form is refused", SPAN_LITERAL("\1\xff\0\2\0\0\0\1x"), false},
    {"a text for a number is refused", SPAN_LITERAL("\1\0\1\1\0\0\0\1x"), false},
    {"a number for a text is refused", SPAN_LITERAL("\1\0\7\0\0\0\0\0\0\0\0\5"), false},
    {"a length beyond the end is refused", SPAN_LITERAL("\1\0\7\1\xff\xff\xff\xffx"), false},
};

static void a_detail_is_read_or_refused(void **state)
{
    const struct detail_case *c = *state;
    scoped(arena) arena = arena_new("test", KIB(64));
    struct event_field *read;
    struct error why;
    size_t count;

    assert_int_equal(event_parse(c->detail, arena, &read, &count, &why), c->is_read);
}

static void too_long_a_text_makes_no_leaf(void **state)
{
    static char text[STORE_LEAF_DETAIL_MAX];
    const struct event_field field = EVENT_TEXT(FIELD_REASON, span_make(text, sizeof text));
    scoped(arena) arena = arena_new("test", KIB(64));
    struct store_leaf leaf = {.kind = 9};

    (void)state;
    assert_false(
        event_leaf(EVENT_DELIVERY_HELD, message, 1, SPAN_LITERAL(""), 0, &field, 1, arena, &leaf));
    assert_int_equal(leaf.kind, 9);
}

static void a_full_arena_makes_no_leaf(void **state)
{
    const struct event_field field = EVENT_TEXT(FIELD_REASON, SPAN_LITERAL("why"));
    scoped(arena) arena = arena_new("test", 1);
    struct store_leaf leaf;

    (void)state;
    assert_false(
        event_leaf(EVENT_DELIVERY_HELD, message, 1, SPAN_LITERAL(""), 0, &field, 1, arena, &leaf));
}

static struct store_claimed claimed(uint64_t state, uint64_t rung, struct arena *arena)
{
    const struct event_field fields[] = {EVENT_NUMBER(FIELD_STATE, state),
                                         EVENT_NUMBER(FIELD_RUNG, rung)};

    return (struct store_claimed){
        .message = {.id = message},
        .delivery = {.number = 2, .state = DELIVERY_WAITING, .rung = 1},
        .last_leaf = leaf_of(fields, 2, arena),
        .is_leaf_whole = true,
    };
}

static void a_row_agrees_with_its_leaf_or_not(void **state)
{
    scoped(arena) arena = arena_new("test", KIB(64));
    struct store_claimed row = claimed(DELIVERY_WAITING, 1, arena);

    (void)state;
    assert_true(event_agrees(&row));
    row.is_leaf_whole = false;
    assert_false(event_agrees(&row));
    row.is_leaf_whole = true;
    row.delivery.state = DELIVERY_HELD;
    assert_false(event_agrees(&row));
    row = claimed(DELIVERY_WAITING, 0, arena);
    assert_false(event_agrees(&row));
    row = claimed(DELIVERY_WAITING, 1, arena);
    row.delivery.number = 3; /* another delivery's leaf */
    assert_false(event_agrees(&row));
    row = claimed(DELIVERY_WAITING, 1, arena);
    row.message.id.bytes[0] ^= 1;
    assert_false(event_agrees(&row));
    row = claimed(DELIVERY_WAITING, 1, arena);
    row.last_leaf.detail = span_until(row.last_leaf.detail, 12); /* the state alone */
    assert_false(event_agrees(&row));
    row.last_leaf.detail = span_until(row.last_leaf.detail, 5);
    assert_false(event_agrees(&row));
}

static void each_kind_and_field_has_its_words(void **state)
{
    (void)state;
    assert_string_equal(event_kind_name(EVENT_MESSAGE_ACCEPTED), "message accepted");
    assert_null(event_kind_name(0));
    assert_null(event_kind_name(9));
    assert_null(event_kind_name(65535));
    assert_null(event_kind_meaning(65535));
    assert_non_null(event_kind_meaning(EVENT_TEXT_OPENED));
    assert_string_equal(event_field_name(FIELD_PEER_REPLY), "peer reply");
    assert_null(event_field_name((enum event_field_id)0));
    assert_null(event_field_name((enum event_field_id)999));
    assert_false(event_field_is_number((enum event_field_id)999));
    for (enum event_field_id id = FIELD_STATE; id <= FIELD_CLIENT_FAULT; id++)
        assert_non_null(event_field_name(id));
}

static void the_documentation_holds_the_catalogue(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(1));
    scoped_buffer catalogue;
    struct span page;
    struct error why;

    (void)state;
    buffer_init(&catalogue, MIB(1));
    event_catalogue_print(&catalogue);
    assert_false(catalogue.failed);
    assert_true(file_read(JOURNAL_PAGE, KIB(512), arena, &page, &why));
    if (!memmem(page.data, page.len, catalogue.data, catalogue.len))
        fail_msg("docs/journal.md does not hold the catalogue as it is: letterlock journal "
                 "catalogue prints it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_is_read_back),
        cmocka_unit_test(an_absent_text_is_left_out),
        cmocka_unit_test(a_cut_detail_is_refused_at_every_byte_but_between_fields),
        cmocka_unit_test(too_long_a_text_makes_no_leaf),
        cmocka_unit_test(a_full_arena_makes_no_leaf),
        cmocka_unit_test(a_row_agrees_with_its_leaf_or_not),
        cmocka_unit_test(each_kind_and_field_has_its_words),
        cmocka_unit_test(the_documentation_holds_the_catalogue),
    };

    return run_table("details", details, a_detail_is_read_or_refused) +
           cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
