/* Contract of every engine: the journal has no gap, its tree is that of its rows, and it says so
 * after each restart. */
/* SPDX-License-Identifier: ISC */
#include "store_lab.h"

static struct store_change leaf_change(const struct store_leaf *leaf)
{
    return (struct store_change){.kind = STORE_LEAF, .leaves = leaf, .leaf_count = 1};
}

static void a_message_has_its_rows_oldest_first(void **state)
{
    struct lab *lab = *state;
    struct store_journal_row *rows;
    struct error why;
    size_t count;

    lab_accept(lab, "a.example");
    struct id id = lab_accept(lab, "b.example");
    lab_accept(lab, "c.example");
    struct store_leaf late = {.kind = 5, .message = id, .delivery = 0, .at_ms = LAB_START + 1};
    struct store_change change = leaf_change(&late);
    lab_commit(lab, &change, 1);
    assert_true(store_find_journal(lab->store, id, lab->arena, &rows, &count, &why));
    assert_int_equal(count, 3);
    assert_int_equal(rows[0].sequence, 2);
    assert_int_equal(rows[0].leaf.kind, 1);
    assert_span(rows[0].leaf.detail, "accepted");
    assert_int_equal(rows[1].sequence, 3);
    assert_int_equal(rows[1].leaf.delivery, 1);
    assert_int_equal(rows[2].sequence, 6);
    assert_span(rows[2].leaf.organisation, ""); /* the gateway's own */
    assert_span(rows[2].leaf.detail, "");
    assert_false(rows[0].is_purged || rows[1].is_purged || rows[2].is_purged);
    lab_verify_tree(lab);
}

static void the_tree_goes_on_after_a_restart(void **state)
{
    struct lab *lab = *state;

    for (size_t i = 0; i < 20; i++) {
        lab_accept(lab, "a.example");
        lab_reopen(lab);
    }
    assert_int_equal(lab_counts(lab).leaves, 40);
    lab_verify_tree(lab);
}

static bool stop_at_third(void *self, const struct store_journal_row *row)
{
    size_t *visited = self;

    (void)row;
    return ++*visited < 3;
}

static void a_visitor_may_stop_and_begin_anywhere(void **state)
{
    struct lab *lab = *state;
    struct error why;
    size_t visited = 0;

    for (size_t i = 0; i < 5; i++)
        lab_accept(lab, "a.example");
    assert_true(store_each_leaf(lab->store, 0, stop_at_third, &visited, &why));
    assert_int_equal(visited, 3);
    visited = 0;
    assert_true(store_each_leaf(lab->store, 8, stop_at_third, &visited, &why));
    assert_int_equal(visited, 2);
    visited = 0;
    assert_true(store_each_leaf(lab->store, 10, stop_at_third, &visited, &why));
    assert_int_equal(visited, 0);
}

struct calling {
    struct lab *lab;
    size_t visited;
};

static bool call_the_store(void *self, const struct store_journal_row *row)
{
    struct calling *calling = self;

    (void)row;
    if (calling->visited++ < 10)
        lab_accept(calling->lab, "a.example");
    return true;
}

static void a_visitor_may_call_the_store(void **state)
{
    struct lab *lab = *state;
    struct calling calling = {.lab = lab};
    struct error why;

    for (size_t i = 0; i < STORE_PAGE_ROWS; i++)
        lab_accept(lab, "a.example");
    assert_true(store_each_leaf(lab->store, 0, call_the_store, &calling, &why));
    assert_int_equal(calling.visited, 2 * STORE_PAGE_ROWS + 20);
}

static void an_epoch_begins_once_and_names_the_gap(void **state)
{
    struct lab *lab = *state;
    struct store_leaf gap = {.kind = 8, .at_ms = LAB_START, .detail = SPAN_LITERAL("a gap")};
    struct store_tree tree;
    struct error why;

    lab_accept(lab, "a.example");
    assert_true(store_epoch_begin(lab->store, 3, &gap, &why));
    assert_false(store_epoch_begin(lab->store, 3, &gap, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_false(store_epoch_begin(lab->store, 2, &gap, &why));
    lab_reopen(lab);
    assert_true(store_tree_read(lab->store, &tree, &why));
    assert_int_equal(tree.epoch, 3);
    assert_int_equal(tree.tree.size, 3);
    lab_verify_tree(lab);
}

struct seen {
    size_t count;
    uint64_t epochs[8], sizes[8];
    char texts[8][16];
};

static bool note_checkpoint(void *self, const struct store_checkpoint *checkpoint)
{
    struct seen *seen = self;

    seen->epochs[seen->count] = checkpoint->epoch;
    seen->sizes[seen->count] = checkpoint->size;
    snprintf(seen->texts[seen->count], 16, "%.*s", SPAN_ARGS(checkpoint->bytes));
    seen->count++;
    return seen->count < 4;
}

static void checkpoints_come_back_in_order(void **state)
{
    static const struct store_checkpoint checkpoints[] = {{1, 5, SPAN_LITERAL("one five")},
                                                          {0, 7, SPAN_LITERAL("zero seven")},
                                                          {0, 0, SPAN_LITERAL("empty")},
                                                          {1, 5, SPAN_LITERAL("one five anew")},
                                                          {1, 3, SPAN_LITERAL("one three")}};
    struct lab *lab = *state;
    struct seen seen = {0};
    struct error why;

    for (size_t i = 0; i < COUNT(checkpoints); i++)
        assert_true(store_put_checkpoint(lab->store, &checkpoints[i], &why));
    lab_reopen(lab);
    assert_true(store_each_checkpoint(lab->store, note_checkpoint, &seen, &why));
    assert_int_equal(seen.count, 4);
    assert_string_equal(seen.texts[0], "empty");
    assert_string_equal(seen.texts[1], "zero seven");
    assert_string_equal(seen.texts[2], "one three");
    assert_string_equal(seen.texts[3], "one five anew");
}

static void a_policy_is_found_by_its_digest(void **state)
{
    static const uint8_t one[32] = {1}, other[32] = {2};
    struct lab *lab = *state;
    struct span text;
    struct error why;
    bool found;

    assert_true(store_put_policy(lab->store, one, SPAN_LITERAL("send tls"), &why));
    assert_true(store_put_policy(lab->store, one, SPAN_LITERAL("send tls"), &why));
    assert_true(store_find_policy(lab->store, one, lab->arena, &found, &text, &why));
    assert_true(found);
    assert_span(text, "send tls");
    assert_true(store_find_policy(lab->store, other, lab->arena, &found, &text, &why));
    assert_false(found);
}

static void the_canonical_bytes_are_these(void **state)
{
    struct store_leaf leaf = {.kind = 0x0102,
                              .message = {{0xaa}},
                              .delivery = 3,
                              .organisation = SPAN_LITERAL("cl"),
                              .at_ms = 4,
                              .detail = SPAN_LITERAL("d")};
    char hex[2 * 64 + 1];
    scoped_buffer bytes;

    (void)state;
    buffer_init(&bytes, KIB(1));
    store_leaf_canonical(5, &leaf, &bytes);
    assert_in_range(bytes.len, 1, 64);
    for (size_t i = 0; i < bytes.len; i++)
        snprintf(hex + 2 * i, 3, "%02x", (uint8_t)bytes.data[i]);
    /* A change here makes every journal that exists unverifiable. */
    assert_string_equal(hex, "01"
                             "0000000000000005"
                             "0102"
                             "aa000000000000000000000000000000"
                             "00000003"
                             "00000002636c"
                             "0000000000000004"
                             "0000000164");
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, lab_set_up, lab_tear_down)
    const struct CMUnitTest tests[] = {
        ROW(a_message_has_its_rows_oldest_first),    ROW(the_tree_goes_on_after_a_restart),
        ROW(a_visitor_may_stop_and_begin_anywhere),  ROW(a_visitor_may_call_the_store),
        ROW(an_epoch_begins_once_and_names_the_gap), ROW(checkpoints_come_back_in_order),
        ROW(a_policy_is_found_by_its_digest),        ROW(the_canonical_bytes_are_these),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
