/* Contract of every engine: what is committed is there, all of it and in order, or none of it. */
/* SPDX-License-Identifier: ISC */
#include "store_lab.h"

/* ---- accepting ---- */

static void an_accepted_message_is_read_back_as_it_was(void **state)
{
    struct lab *lab = *state;
    struct draft draft;

    draft_make(lab, &draft, "a.example");
    draft.deliveries[0].last_reason = SPAN_LITERAL("fresh");
    draft.deliveries[0].rung = 2;
    draft.deliveries[0].attempts = 3;
    draft.change.accept.message.is_report = true;
    lab_commit(lab, &draft.change, 1);
    lab_reopen(lab);

    struct store_message message = lab_message(lab, draft_id(&draft));
    assert_true(id_equal(message.id, draft_id(&draft)));
    assert_span(message.organisation, "clinic");
    assert_int_equal(message.accepted_at_ms, LAB_START);
    assert_int_equal(message.size, 11);
    assert_true(message.has_8bit && message.is_sender_known && message.is_report);
    assert_false(message.is_inward);
    assert_span(message.wrapped_content, "wrapped content key");
    assert_span(message.wrapped_record, "wrapped record key");
    assert_int_equal(message.content_day, 19675);
    assert_int_equal(message.record_day, 20000);
    assert_span(message.sender, "a sealed sender");
    assert_span(message.facts, "sealed facts");

    struct store_delivery delivery = lab_delivery(lab, draft_id(&draft), 1);
    assert_int_equal(delivery.number, 1);
    assert_int_equal(delivery.state, DELIVERY_WAITING);
    assert_span(delivery.destination, "a.example");
    assert_span(delivery.recipient, "a sealed recipient");
    assert_span(delivery.ladder, "tls verify, then return");
    assert_span(delivery.rule, "outwards");
    assert_true(delivery.is_rule_of_gateway);
    assert_memory_equal(delivery.policy_digest, draft.deliveries[0].policy_digest, 32);
    assert_memory_equal(delivery.tag, draft.deliveries[0].tag, 32);
    assert_int_equal(delivery.rung, 2);
    assert_int_equal(delivery.attempts, 3);
    assert_int_equal(delivery.rung_since_ms, LAB_START);
    assert_int_equal(delivery.due_at_ms, LAB_START);
    assert_int_equal(delivery.ends_at_ms, LAB_START + 4 * LAB_HOUR);
    assert_int_equal(delivery.lease, 0);
    assert_span(delivery.last_reason, "fresh");
}

static void a_body_is_read_back_chunk_by_chunk(void **state)
{
    struct lab *lab = *state;
    struct draft draft;
    struct error why;

    draft_make(lab, &draft, "a.example");
    draft.body[0] = SPAN_LITERAL("first");
    draft.body[1] = SPAN_LITERAL("second");
    draft.body[2] = SPAN_LITERAL("third");
    draft.change.accept.body_count = 3;
    lab_commit(lab, &draft.change, 1);
    for (uint32_t i = 0; i < 3; i++) {
        scoped_buffer chunk;
        bool is_last;
        buffer_init(&chunk, KIB(1));
        assert_true(store_read_body(lab->store, draft_id(&draft), i, &chunk, &is_last, &why));
        assert_true(span_equal(buffer_span(&chunk), draft.body[i]));
        assert_int_equal(is_last, i == 2);
    }
    scoped_buffer beyond, small;
    bool is_last;
    buffer_init(&beyond, KIB(1));
    assert_false(store_read_body(lab->store, draft_id(&draft), 3, &beyond, &is_last, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    buffer_init(&small, 3);
    assert_false(store_read_body(lab->store, draft_id(&draft), 0, &small, &is_last, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
}

static void what_is_unknown_is_not_found(void **state)
{
    struct lab *lab = *state;
    struct id id = id_make(&lab->clock, &entropy_of_system);
    struct store_journal_row *rows;
    scoped_buffer body;
    struct error why;
    bool is_last;
    size_t count;

    buffer_init(&body, KIB(1));
    assert_false(lab_has_message(lab, id));
    assert_false(store_read_body(lab->store, id, 0, &body, &is_last, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_true(store_find_journal(lab->store, id, lab->arena, &rows, &count, &why));
    assert_int_equal(count, 0);
    struct store_change move = lab_move(id, 1, 0, DELIVERY_WAITING, DELIVERY_DELIVERED);
    assert_int_equal(lab_refused(lab, &move, 1).kind, ERROR_INTERNAL);
}

static void an_id_is_taken_once(void **state)
{
    struct lab *lab = *state;
    struct draft draft;

    draft_make(lab, &draft, "a.example");
    lab_commit(lab, &draft.change, 1);
    assert_int_equal(lab_refused(lab, &draft.change, 1).kind, ERROR_INTERNAL);
    assert_int_equal(lab_counts(lab).messages, 1);
    lab_verify_tree(lab);
}

static void of_a_batch_all_is_done_or_nothing(void **state)
{
    struct lab *lab = *state;
    struct draft one, two;

    draft_make(lab, &one, "a.example");
    draft_make(lab, &two, "b.example");
    struct store_change changes[] = {
        one.change, two.change,
        lab_move(draft_id(&one), 1, 999, DELIVERY_WAITING, DELIVERY_DELIVERED)};

    assert_int_equal(lab_refused(lab, changes, 3).kind, ERROR_INTERNAL);
    assert_false(lab_has_message(lab, draft_id(&one)));
    assert_false(lab_has_message(lab, draft_id(&two)));
    struct store_counts counts = lab_counts(lab);
    assert_int_equal(counts.waiting + counts.messages + counts.leaves, 0);

    lab_commit(lab, changes, 2);
    assert_true(lab_has_message(lab, draft_id(&one)));
    assert_true(lab_has_message(lab, draft_id(&two)));
    lab_verify_tree(lab);
}

static void what_is_over_a_limit_is_refused(void **state)
{
    static char long_text[STORE_LEAF_DETAIL_MAX + 1];
    struct lab *lab = *state;
    struct draft draft;

    draft_make(lab, &draft, "a.example");
    draft.leaves[1].detail = span_make(long_text, sizeof long_text);
    assert_int_equal(lab_refused(lab, &draft.change, 1).kind, ERROR_INTERNAL);
    draft_make(lab, &draft, "a.example");
    draft.deliveries[0].last_reason = span_make(long_text, STORE_REASON_MAX + 1);
    assert_int_equal(lab_refused(lab, &draft.change, 1).kind, ERROR_INTERNAL);
    draft_make(lab, &draft, "a.example");
    draft.change.accept.delivery_count = STORE_RECIPIENTS_MAX + 1;
    assert_int_equal(lab_refused(lab, &draft.change, 1).kind, ERROR_INTERNAL);
    draft_make(lab, &draft, "a.example");
    draft.body[0].len = (size_t)STORE_BODY_MAX + 1; /* refused before it is read */
    assert_int_equal(lab_refused(lab, &draft.change, 1).kind, ERROR_INTERNAL);
    draft_make(lab, &draft, "a.example");
    draft.change.accept.message.id = (struct id){0};
    assert_int_equal(lab_refused(lab, &draft.change, 1).kind, ERROR_INTERNAL);
    assert_int_equal(lab_counts(lab).messages, 0);
}

/* ---- moving ---- */

static const struct move_case {
    const char *name;
    uint64_t lease, expected_lease;
    enum delivery_state state, expected_state;
    bool is_done;
} moves[] = {
    {"an unleased delivery is moved by whoever expects no lease", 0, 0, DELIVERY_WAITING,
     DELIVERY_WAITING, true},
    {"a leased delivery is moved by its owner", 7, 7, DELIVERY_WAITING, DELIVERY_WAITING, true},
    {"a leased delivery is not moved by another", 7, 8, DELIVERY_WAITING, DELIVERY_WAITING, false},
    {"a leased delivery is not moved by an administrator", 7, 0, DELIVERY_WAITING, DELIVERY_WAITING,
     false},
    {"an owner whose lease has ended moves nothing", 0, 7, DELIVERY_WAITING, DELIVERY_WAITING,
     false},
    {"a held delivery is moved as a held one", 0, 0, DELIVERY_HELD, DELIVERY_HELD, true},
    {"a held delivery is not moved as a waiting one", 0, 0, DELIVERY_HELD, DELIVERY_WAITING, false},
    {"a delivery that has ended is not moved", 0, 0, DELIVERY_DELIVERED, DELIVERY_DELIVERED, false},
    {"the lease of a large number is the same number", UINT64_MAX, UINT64_MAX, DELIVERY_WAITING,
     DELIVERY_WAITING, true},
};

static void moves_are_made_as_expected_or_not_at_all(void **state)
{
    struct lab *lab = *state;

    for (size_t i = 0; i < COUNT(moves); i++) {
        const struct move_case *c = &moves[i];
        struct draft draft;
        draft_make(lab, &draft, "a.example");
        draft.deliveries[0].lease = c->lease;
        draft.deliveries[0].state = c->state;
        lab_commit(lab, &draft.change, 1);
        struct store_change move =
            lab_move(draft_id(&draft), 1, c->expected_lease, c->expected_state, DELIVERY_RETURNED);
        struct error why;
        bool is_done = store_commit(lab->store, &(struct store_batch){&move, 1}, &why);
        if (is_done != c->is_done)
            fail_msg("%s", c->name);
        struct store_delivery delivery = lab_delivery(lab, draft_id(&draft), 1);
        assert_int_equal(delivery.state, is_done ? DELIVERY_RETURNED : c->state);
        if (is_done)
            assert_int_equal(delivery.lease, 0);
        else
            assert_int_equal(why.kind, ERROR_INTERNAL);
    }
    lab_verify_tree(lab);
}

static void a_move_changes_what_it_names(void **state)
{
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    struct store_change move = lab_move(id, 1, 0, DELIVERY_WAITING, DELIVERY_HELD);

    move.move.rung = 1;
    move.move.attempts = 4;
    lab_commit(lab, &move, 1);
    struct store_delivery delivery = lab_delivery(lab, id, 1);
    assert_int_equal(delivery.state, DELIVERY_HELD);
    assert_int_equal(delivery.rung, 1);
    assert_int_equal(delivery.attempts, 4);
    assert_int_equal(delivery.due_at_ms, LAB_START + LAB_HOUR);
    assert_span(delivery.last_reason, "because");
    assert_span(delivery.ladder, "tls verify, then return"); /* ladder.data NULL: unchanged */
    assert_span(lab_message(lab, id).wrapped_content, "wrapped content key");
}

static void a_new_binding_replaces_the_old_one(void **state)
{
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    struct store_change move = lab_move(id, 1, 0, DELIVERY_WAITING, DELIVERY_WAITING);

    move.move.ladder = SPAN_LITERAL("tls secure, then hold");
    move.move.rule = SPAN_LITERAL("by hand");
    move.move.tag[0] = 99;
    move.move.policy_digest[31] = 98;
    move.move.wrapped_content = SPAN_LITERAL("wrapped anew");
    move.move.content_day = 20001;
    lab_commit(lab, &move, 1);
    struct store_delivery delivery = lab_delivery(lab, id, 1);
    assert_span(delivery.ladder, "tls secure, then hold");
    assert_span(delivery.rule, "by hand");
    assert_false(delivery.is_rule_of_gateway);
    assert_memory_equal(delivery.tag, move.move.tag, 32);
    assert_memory_equal(delivery.policy_digest, move.move.policy_digest, 32);
    assert_span(lab_message(lab, id).wrapped_content, "wrapped anew");
    assert_int_equal(lab_message(lab, id).content_day, 20001);
}

static void a_move_that_looked_before_a_climb_does_nothing(void **state)
{
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    struct store_change move = lab_move(id, 1, 0, DELIVERY_WAITING, DELIVERY_WAITING);
    const struct store_batch batch = {.changes = &move, .count = 1};
    struct error why;

    move.move.rung_since_ms = LAB_START + 5;
    lab_commit(lab, &move, 1);
    move.move.expected_rung_since_ms = LAB_START + 4;
    assert_false(store_commit(lab->store, &batch, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    move.move.expected_rung_since_ms = LAB_START + 5;
    lab_commit(lab, &move, 1);
}

static void content_ends_on_its_deliveries_latest_day(void **state)
{
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    struct store_change later = lab_move(id, 1, 0, DELIVERY_WAITING, DELIVERY_WAITING);
    struct store_change earlier = later;

    later.move.wrapped_content = SPAN_LITERAL("for the longer hold");
    later.move.content_day = 20001;
    earlier.move.wrapped_content = SPAN_LITERAL("for the shorter one");
    earlier.move.content_day = 20000;
    lab_commit(lab, &later, 1);
    lab_commit(lab, &earlier, 1);
    assert_span(lab_message(lab, id).wrapped_content, "for the longer hold");
    assert_int_equal(lab_message(lab, id).content_day, 20001);
}

static void a_ladder_that_begins_again_says_since_when(void **state)
{
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    struct store_change move = lab_move(id, 1, 0, DELIVERY_WAITING, DELIVERY_WAITING);

    assert_int_equal(lab_delivery(lab, id, 1).begun_at_ms, 0);
    move.move.begun_at_ms = LAB_START + 7;
    lab_commit(lab, &move, 1);
    assert_int_equal(lab_delivery(lab, id, 1).begun_at_ms, LAB_START + 7);
    move.move.begun_at_ms = 0; /* any other move leaves it */
    lab_commit(lab, &move, 1);
    assert_int_equal(lab_delivery(lab, id, 1).begun_at_ms, LAB_START + 7);
}

static void the_content_goes_with_the_last_delivery(void **state)
{
    static const enum delivery_state ends[] = {DELIVERY_DELIVERED, DELIVERY_RETURNED,
                                               DELIVERY_DELETED};
    struct lab *lab = *state;
    struct draft draft;
    struct error why;
    bool is_last;

    draft_make(lab, &draft, "a.example");
    draft_add_delivery(&draft, "b.example");
    draft_add_delivery(&draft, "c.example");
    draft.body[1] = SPAN_LITERAL("more");
    draft.change.accept.body_count = 2;
    lab_commit(lab, &draft.change, 1);
    for (uint32_t i = 0; i < 3; i++) {
        scoped_buffer body;
        buffer_init(&body, KIB(1));
        assert_true(store_read_body(lab->store, draft_id(&draft), 1, &body, &is_last, &why));
        assert_span(lab_message(lab, draft_id(&draft)).wrapped_content, "wrapped content key");
        struct store_change move = lab_move(draft_id(&draft), i + 1, 0, DELIVERY_WAITING, ends[i]);
        lab_commit(lab, &move, 1);
    }
    struct store_message message = lab_message(lab, draft_id(&draft));
    assert_span(message.wrapped_content, "");
    assert_span(message.wrapped_record, "wrapped record key");
    for (uint32_t i = 0; i < 2; i++) {
        scoped_buffer body;
        buffer_init(&body, KIB(1));
        assert_false(store_read_body(lab->store, draft_id(&draft), i, &body, &is_last, &why));
        assert_int_equal(why.kind, ERROR_INTERNAL);
    }
}

static void a_message_whose_deliveries_ended_at_once_keeps_no_content(void **state)
{
    struct lab *lab = *state;
    struct draft draft;

    draft_make(lab, &draft, "a.example");
    draft.deliveries[0].state = DELIVERY_DROPPED;
    lab_commit(lab, &draft.change, 1);
    assert_span(lab_message(lab, draft_id(&draft)).wrapped_content, "");
    assert_int_equal(lab_counts(lab).dropped, 1);
    assert_int_equal(lab_counts(lab).waiting, 0);
}

/* ---- posting ---- */

struct posted {
    struct store_posting posting; /* first */
    struct store_change change;
    struct store_leaf leaf;
    size_t number, *done;
    bool has_failed;
};

static void note_order(struct store_posting *posting, const struct error *why)
{
    struct posted *posted = (struct posted *)posting;

    posted->has_failed = why != NULL;
    assert_int_equal(*posted->done, posted->number);
    (*posted->done)++;
}

static bool check_order(void *self, const struct store_journal_row *row)
{
    size_t *next = self;

    assert_int_equal(row->leaf.kind, (uint16_t)(*next)++);
    return true;
}

static void what_is_posted_is_written_in_order(void **state)
{
    enum { MANY = STORE_POSTED_MAX + 500 };
    struct lab *lab = *state;
    struct posted *posted = calloc(MANY, sizeof *posted);
    size_t done = 0, next = 0;
    struct error why;

    for (size_t i = 0; i < MANY; i++) {
        posted[i] = (struct posted){
            .posting = {.batch = {&posted[i].change, 1}, .done = note_order},
            .change = {.kind = STORE_LEAF, .leaves = &posted[i].leaf, .leaf_count = 1},
            .leaf = {.kind = (uint16_t)i, .at_ms = LAB_START},
            .number = i,
            .done = &done,
        };
        store_post(lab->store, &posted[i].posting);
    }
    lab_reopen(lab); /* closing waits for what was posted */
    assert_int_equal(done, MANY);
    assert_true(store_each_leaf(lab->store, 0, check_order, &next, &why));
    assert_int_equal(next, MANY);
    lab_verify_tree(lab);
    free(posted);
}

static void a_posting_that_fails_fails_alone(void **state)
{
    enum { MANY = 60 };
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    struct posted posted[MANY];
    size_t done = 0;

    for (size_t i = 0; i < MANY; i++) {
        /* Every third fails; half of those after it has changed something. */
        posted[i] = (struct posted){
            .posting = {.batch = {&posted[i].change, 1}, .done = note_order},
            .change = i % 3 == 0 ? lab_move(id, 5, 0, DELIVERY_WAITING, DELIVERY_HELD)
                                 : (struct store_change){.kind = STORE_LEAF},
            .leaf = {.kind = (uint16_t)i},
            .number = i,
            .done = &done,
        };
        posted[i].change.leaves = &posted[i].leaf;
        posted[i].change.leaf_count = 1;
    }
    struct store_change half_done[2] = {lab_up("new.example"), posted[6].change};
    posted[6].posting.batch = (struct store_batch){half_done, 2};
    for (size_t i = 0; i < MANY; i++)
        store_post(lab->store, &posted[i].posting);
    lab_reopen(lab);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(posted[i].has_failed, i % 3 == 0);
    assert_int_equal(lab_counts(lab).leaves, 2 + 40);
    lab_verify_tree(lab);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, lab_set_up, lab_tear_down)
    const struct CMUnitTest tests[] = {
        ROW(an_accepted_message_is_read_back_as_it_was),
        ROW(a_body_is_read_back_chunk_by_chunk),
        ROW(what_is_unknown_is_not_found),
        ROW(an_id_is_taken_once),
        ROW(of_a_batch_all_is_done_or_nothing),
        ROW(what_is_over_a_limit_is_refused),
        ROW(moves_are_made_as_expected_or_not_at_all),
        ROW(a_move_changes_what_it_names),
        ROW(a_new_binding_replaces_the_old_one),
        ROW(a_move_that_looked_before_a_climb_does_nothing),
        ROW(content_ends_on_its_deliveries_latest_day),
        ROW(a_ladder_that_begins_again_says_since_when),
        ROW(the_content_goes_with_the_last_delivery),
        ROW(a_message_whose_deliveries_ended_at_once_keeps_no_content),
        ROW(what_is_posted_is_written_in_order),
        ROW(a_posting_that_fails_fails_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
