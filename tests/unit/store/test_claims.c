/* Contract of every engine: what is due is handed to one at a time, and nothing that waits is
 * forgotten. */
/* SPDX-License-Identifier: ISC */
#include "store_lab.h"

enum { MINUTE = 60000 };

static size_t claim_as(struct lab *lab, const struct store_claim *claim,
                       struct store_claimed **claimed)
{
    struct error why;
    size_t count;

    if (!store_claim(lab->store, claim, lab->arena, claimed, &count, &why))
        fail_msg("%s", why.text);
    return count;
}

/* A message with one delivery of these times. */
static struct id accept_due(struct lab *lab, const char *destination, int64_t due_at_ms,
                            int64_t ends_at_ms)
{
    struct draft draft;

    draft_make(lab, &draft, destination);
    draft.deliveries[0].due_at_ms = due_at_ms;
    draft.deliveries[0].ends_at_ms = ends_at_ms;
    lab_commit(lab, &draft.change, 1);
    return draft_id(&draft);
}

static void what_is_due_is_claimed_once(void **state)
{
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    struct store_claimed *claimed;

    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 1);
    assert_true(id_equal(claimed->message.id, id));
    assert_span(claimed->message.wrapped_content, "wrapped content key");
    assert_span(claimed->message.facts, "sealed facts");
    assert_int_equal(claimed->delivery.number, 1);
    assert_span(claimed->delivery.destination, "a.example");
    assert_span(claimed->delivery.recipient, "a sealed recipient");
    assert_int_equal(claimed->delivery.lease, LAB_LEASE);
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 0);
    assert_int_equal(lab_delivery(lab, id, 1).lease, LAB_LEASE);
    assert_int_equal(lab_delivery(lab, id, 1).due_at_ms, LAB_START + LAB_HOUR);
}

static void what_is_not_yet_due_is_left(void **state)
{
    struct lab *lab = *state;
    struct store_claimed *claimed;

    assert_int_equal(lab_next_due(lab), INT64_MAX);
    accept_due(lab, "a.example", LAB_START + MINUTE, LAB_START + LAB_HOUR);
    assert_int_equal(lab_claim(lab, LAB_START + MINUTE - 1, &claimed), 0);
    assert_int_equal(lab_next_due(lab), LAB_START + MINUTE);
    assert_int_equal(lab_claim(lab, LAB_START + MINUTE, &claimed), 1);
}

static void a_claim_comes_with_the_newest_leaf(void **state)
{
    struct lab *lab = *state;
    struct store_claimed *claimed;
    struct draft draft;

    draft_make(lab, &draft, "a.example");
    draft_add_delivery(&draft, "a.example");
    lab_commit(lab, &draft.change, 1);
    struct store_leaf newest = {.kind = 9,
                                .message = draft_id(&draft),
                                .delivery = 1,
                                .organisation = SPAN_LITERAL("clinic"),
                                .at_ms = LAB_START + 5,
                                .detail = SPAN_LITERAL("newest")};
    struct store_change leaf = {.kind = STORE_LEAF, .leaves = &newest, .leaf_count = 1};
    lab_commit(lab, &leaf, 1);
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 2);
    assert_true(claimed[0].is_leaf_whole);
    assert_int_equal(claimed[0].last_leaf.kind, 9);
    assert_int_equal(claimed[0].last_leaf.at_ms, LAB_START + 5);
    assert_true(id_equal(claimed[0].last_leaf.message, draft_id(&draft)));
    assert_span(claimed[0].last_leaf.organisation, "clinic");
    assert_span(claimed[0].last_leaf.detail, "newest");
    assert_false(claimed[1].is_leaf_whole); /* no leaf is its own */
    assert_int_equal(claimed[1].last_leaf.kind, 0);
}

static void deliveries_of_one_message_come_together(void **state)
{
    static const char *const destinations[] = {"a.example", "b.example", "c.example"};
    struct lab *lab = *state;
    struct store_claimed *claimed;

    for (size_t i = 0; i < 5; i++) {
        struct draft draft;
        draft_make(lab, &draft, destinations[i % 3]);
        draft_add_delivery(&draft, destinations[(i + 1) % 3]);
        draft_add_delivery(&draft, destinations[(i + 2) % 3]);
        for (size_t j = 0; j < 3; j++)
            draft.deliveries[j].due_at_ms = LAB_START - (int64_t)((i * 7 + j * 5) % 11);
        lab_commit(lab, &draft.change, 1);
    }
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 15);
    for (size_t i = 0; i < 15; i++) {
        assert_true(id_equal(claimed[i].message.id, claimed[i / 3 * 3].message.id));
        assert_int_equal(claimed[i].delivery.number, i % 3 + 1);
    }
}

static void limits_and_skipped_destinations_are_kept_to(void **state)
{
    static const struct span busy[] = {SPAN_LITERAL("a.example"), SPAN_LITERAL("z.example")};
    struct lab *lab = *state;
    struct store_claimed *claimed;
    struct store_claim claim = {.now_ms = LAB_START,
                                .lease_until_ms = LAB_START + LAB_HOUR,
                                .lease = 1,
                                .limit = 5,
                                .limit_per_destination = 2,
                                .skip = busy,
                                .skip_count = 2};

    for (size_t i = 0; i < 4; i++) {
        lab_accept(lab, "a.example");
        lab_accept(lab, "b.example");
        lab_accept(lab, "c.example");
        lab_accept(lab, "d.example");
    }
    assert_int_equal(claim_as(lab, &claim, &claimed), 5);
    size_t of_b = 0;
    for (size_t i = 0; i < 5; i++) {
        assert_false(span_equal(claimed[i].delivery.destination, busy[0]));
        of_b += span_equal(claimed[i].delivery.destination, SPAN_LITERAL("b.example"));
    }
    assert_in_range(of_b, 1, 2);
    claim.skip_count = 0;
    claim.limit = 100;
    assert_int_equal(claim_as(lab, &claim, &claimed), 8); /* two of each, though some were left */
}

static void a_claim_out_of_bounds_is_refused(void **state)
{
    struct lab *lab = *state;
    struct store_claim claims[] = {
        {.lease = 0, .lease_until_ms = 1, .limit = 1},
        {.lease = 1, .lease_until_ms = 0, .limit = 1},
        {.lease = 1, .lease_until_ms = 1, .limit = STORE_CLAIM_MAX + 1},
    };

    for (size_t i = 0; i < COUNT(claims); i++) {
        struct store_claimed *claimed;
        struct error why;
        size_t count;
        assert_false(store_claim(lab->store, &claims[i], lab->arena, &claimed, &count, &why));
        assert_int_equal(why.kind, ERROR_INTERNAL);
    }
}

static void a_small_arena_gets_fewer_and_the_rest_stays_due(void **state)
{
    enum { MESSAGES = 40 };
    struct lab *lab = *state;
    struct store_claim claim = {.now_ms = LAB_START,
                                .lease_until_ms = LAB_START + LAB_HOUR,
                                .lease = 1,
                                .limit = MESSAGES,
                                .limit_per_destination = MESSAGES};
    size_t total = 0;

    for (size_t i = 0; i < MESSAGES; i++)
        lab_accept(lab, "a.example");
    for (size_t round = 0; total < MESSAGES; round++) {
        scoped(arena) arena = arena_new("small", MESSAGES * sizeof(struct store_claimed) + KIB(3));
        struct store_claimed *claimed;
        struct error why;
        size_t count;
        assert_true(store_claim(lab->store, &claim, arena, &claimed, &count, &why));
        assert_in_range(count, 1, MESSAGES - 1);
        total += count;
        assert_in_range(round, 0, MESSAGES);
    }
    assert_int_equal(total, MESSAGES);
    scoped(arena) none = arena_new("too small", MESSAGES * sizeof(struct store_claimed) + 8);
    struct store_claimed *claimed;
    struct error why;
    size_t count;
    lab_accept(lab, "a.example");
    assert_false(store_claim(lab->store, &claim, none, &claimed, &count, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 1);
}

/* ---- destinations that are put off ---- */

static void a_destination_that_is_put_off_hides_its_deliveries(void **state)
{
    struct lab *lab = *state;
    struct store_claimed *claimed;
    struct store_change off = lab_put_off("a.example", LAB_START + 10 * MINUTE, 3);
    struct error why;
    uint32_t failures;

    lab_accept(lab, "a.example");
    lab_commit(lab, &off, 1);
    lab_accept(lab, "a.example"); /* also what comes later */
    lab_accept(lab, "b.example");
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 1);
    assert_span(claimed->delivery.destination, "b.example");
    assert_int_equal(lab_next_due(lab), LAB_START + 10 * MINUTE);
    assert_true(store_destination_failures(lab->store, SPAN_LITERAL("a.example"), &failures, &why));
    assert_int_equal(failures, 3);
    assert_int_equal(lab_claim(lab, LAB_START + 10 * MINUTE - 1, &claimed), 0);
    assert_int_equal(lab_claim(lab, LAB_START + 10 * MINUTE, &claimed), 2);
}

static void a_destination_that_is_up_again_is_due_at_once(void **state)
{
    struct lab *lab = *state;
    struct store_claimed *claimed;
    struct store_change changes[] = {lab_put_off("a.example", LAB_START + LAB_HOUR, 3),
                                     lab_up("a.example")};
    struct error why;
    uint32_t failures;

    lab_accept(lab, "a.example");
    lab_commit(lab, &changes[0], 1);
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 0);
    lab_commit(lab, &changes[1], 1);
    assert_true(store_destination_failures(lab->store, SPAN_LITERAL("a.example"), &failures, &why));
    assert_int_equal(failures, 0);
    assert_true(
        store_destination_failures(lab->store, SPAN_LITERAL("no.example"), &failures, &why));
    assert_int_equal(failures, 0);
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 1);
}

/* ---- patience ---- */

static void whose_patience_is_over_is_claimed_though_put_off(void **state)
{
    struct lab *lab = *state;
    struct store_claimed *claimed;
    struct store_change off = lab_put_off("a.example", LAB_START + 9 * LAB_HOUR, 3);

    struct id id = accept_due(lab, "a.example", LAB_START + 2 * LAB_HOUR, LAB_START + MINUTE);
    lab_commit(lab, &off, 1);
    assert_int_equal(lab_next_due(lab), LAB_START + MINUTE);
    assert_int_equal(lab_claim(lab, LAB_START + MINUTE - 1, &claimed), 0);
    assert_int_equal(lab_claim(lab, LAB_START + MINUTE, &claimed), 1);
    assert_true(id_equal(claimed->message.id, id));
    assert_int_equal(lab_claim(lab, LAB_START + MINUTE, &claimed), 0);
}

static void a_hold_ends(void **state)
{
    struct lab *lab = *state;
    struct store_claimed *claimed;
    struct draft draft;

    draft_make(lab, &draft, "a.example");
    draft.deliveries[0].state = DELIVERY_HELD;
    draft.deliveries[0].ends_at_ms = LAB_START + MINUTE;
    lab_commit(lab, &draft.change, 1);
    assert_int_equal(lab_next_due(lab), LAB_START + MINUTE);
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 0); /* held is not due */
    assert_int_equal(lab_claim(lab, LAB_START + MINUTE, &claimed), 1);
    assert_int_equal(claimed->delivery.state, DELIVERY_HELD);
    assert_int_equal(claimed->delivery.lease, LAB_LEASE);
    assert_int_equal(lab_claim(lab, LAB_START + MINUTE, &claimed), 0);
    struct store_change move =
        lab_move(draft_id(&draft), 1, LAB_LEASE, DELIVERY_HELD, DELIVERY_RETURNED);
    lab_commit(lab, &move, 1);
    assert_int_equal(lab_next_due(lab), INT64_MAX);
}

static void a_living_lease_outlasts_patience(void **state)
{
    struct lab *lab = *state;
    struct store_claimed *claimed;
    struct draft draft;

    draft_make(lab, &draft, "a.example");
    draft.deliveries[0].lease = 5;
    draft.deliveries[0].due_at_ms = LAB_START + 10 * MINUTE; /* the lease's end */
    draft.deliveries[0].ends_at_ms = LAB_START + MINUTE;
    lab_commit(lab, &draft.change, 1);
    assert_int_equal(lab_next_due(lab), LAB_START + 10 * MINUTE);
    assert_int_equal(lab_claim(lab, LAB_START + 2 * MINUTE, &claimed), 0);
    assert_int_equal(lab_claim(lab, LAB_START + 10 * MINUTE, &claimed), 1);
}

/* ---- leases ---- */

static void a_lease_that_ran_out_frees_its_delivery(void **state)
{
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    struct store_claimed *claimed;

    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 1);
    assert_int_equal(lab_next_due(lab), LAB_START + LAB_HOUR);
    assert_int_equal(lab_claim(lab, LAB_START + LAB_HOUR - 1, &claimed), 0);
    struct store_claim claim = {.now_ms = LAB_START + LAB_HOUR,
                                .lease_until_ms = LAB_START + 2 * LAB_HOUR,
                                .lease = LAB_LEASE + 1,
                                .limit = 10,
                                .limit_per_destination = 10};
    assert_int_equal(claim_as(lab, &claim, &claimed), 1);
    /* Its first owner comes too late. */
    struct store_change late = lab_move(id, 1, LAB_LEASE, DELIVERY_WAITING, DELIVERY_DELIVERED);
    assert_int_equal(lab_refused(lab, &late, 1).kind, ERROR_INTERNAL);
    struct store_change move = lab_move(id, 1, LAB_LEASE + 1, DELIVERY_WAITING, DELIVERY_DELIVERED);
    lab_commit(lab, &move, 1);
}

static bool is_in_hand(void *self, struct id message, uint32_t delivery)
{
    const struct id *held = self;

    return delivery == 1 && id_equal(message, *held);
}

static void a_renewed_lease_lasts_longer(void **state)
{
    struct lab *lab = *state;
    struct store_claimed *claimed;
    struct error why;

    lab_accept(lab, "a.example");
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 1);
    struct id held = claimed->message.id;
    struct store_renewal renewal = {
        .lease = LAB_LEASE, .until_ms = LAB_START + 3 * LAB_HOUR, .hand = {is_in_hand, &held}};

    assert_true(store_leases_renew(lab->store, &renewal, &why));
    renewal.lease = 12345;
    renewal.until_ms = LAB_START + 9 * LAB_HOUR;
    assert_true(store_leases_renew(lab->store, &renewal, &why));
    assert_int_equal(lab_next_due(lab), LAB_START + 3 * LAB_HOUR);
    assert_int_equal(lab_claim(lab, LAB_START + 3 * LAB_HOUR - 1, &claimed), 0);
    assert_int_equal(lab_claim(lab, LAB_START + 3 * LAB_HOUR, &claimed), 1);
}

static void a_lease_of_what_nobody_has_in_hand_is_not_renewed(void **state)
{
    struct lab *lab = *state;
    struct store_claimed *claimed;
    struct draft held, lost;
    struct error why;

    draft_make(lab, &held, "a.example");
    draft_make(lab, &lost, "a.example");
    held.deliveries[0].lease = lost.deliveries[0].lease = LAB_LEASE;
    held.deliveries[0].due_at_ms = lost.deliveries[0].due_at_ms = LAB_START + LAB_HOUR;
    struct store_change changes[] = {held.change, lost.change};
    lab_commit(lab, changes, 2);
    struct id id = draft_id(&held);
    const struct store_renewal renewal = {
        .lease = LAB_LEASE, .until_ms = LAB_START + 3 * LAB_HOUR, .hand = {is_in_hand, &id}};
    assert_true(store_leases_renew(lab->store, &renewal, &why));
    assert_int_equal(lab_claim(lab, LAB_START + 2 * LAB_HOUR, &claimed), 1);
    assert_true(id_equal(claimed->message.id, draft_id(&lost)));
}

static void what_is_in_hand_stays_leased_when_the_clock_leaps(void **state)
{
    struct lab *lab = *state;
    struct store_claimed *claimed;
    struct draft held, lost;

    draft_make(lab, &held, "a.example");
    draft_make(lab, &lost, "a.example");
    held.deliveries[0].lease = lost.deliveries[0].lease = LAB_LEASE;
    held.deliveries[0].due_at_ms = lost.deliveries[0].due_at_ms = LAB_START + LAB_HOUR;
    struct store_change changes[] = {held.change, lost.change};
    lab_commit(lab, changes, 2);
    struct id id = draft_id(&held);
    struct store_claim claim = {.now_ms = LAB_START + 9 * LAB_HOUR,
                                .lease_until_ms = LAB_START + 10 * LAB_HOUR,
                                .lease = LAB_LEASE,
                                .limit = 10,
                                .limit_per_destination = 10,
                                .hand = {is_in_hand, &id}};
    assert_int_equal(claim_as(lab, &claim, &claimed), 1);
    assert_true(id_equal(claimed->message.id, draft_id(&lost)));
    struct store_change move = lab_move(id, 1, LAB_LEASE, DELIVERY_WAITING, DELIVERY_DELIVERED);
    lab_commit(lab, &move, 1);
}

static void the_leases_of_the_dead_end_when_their_heir_starts(void **state)
{
    struct lab *lab = *state;
    struct store_claimed *claimed;
    struct draft mine, theirs;
    struct error why;

    draft_make(lab, &mine, "a.example");
    draft_make(lab, &theirs, "a.example");
    mine.deliveries[0].lease = LAB_LEASE;
    theirs.deliveries[0].lease = 3;
    mine.deliveries[0].due_at_ms = theirs.deliveries[0].due_at_ms = LAB_START + LAB_HOUR;
    struct store_change changes[] = {mine.change, theirs.change};
    lab_commit(lab, changes, 2);
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 0);
    assert_true(store_leases_end(lab->store, LAB_LEASE, LAB_START, &why));
    assert_int_equal(lab_claim(lab, LAB_START, &claimed), 1);
    assert_true(id_equal(claimed->message.id, draft_id(&theirs)));
}

static void what_is_skipped_is_not_what_is_next(void **state)
{
    static const struct span busy[] = {SPAN_LITERAL("a.example")};
    struct lab *lab = *state;
    struct error why;
    int64_t due;

    accept_due(lab, "a.example", LAB_START + MINUTE, LAB_START + LAB_HOUR);
    accept_due(lab, "b.example", LAB_START + 2 * MINUTE, LAB_START + LAB_HOUR);
    assert_int_equal(lab_next_due(lab), LAB_START + MINUTE);
    assert_true(store_next_due(lab->store, busy, 1, &due, &why));
    assert_int_equal(due, LAB_START + 2 * MINUTE);
}

/* ---- doorbells ---- */

static void the_bell_rings_for_what_somebody_made_due(void **state)
{
    struct lab *lab = *state;
    struct draft leased;
    uint32_t seen = doorbell_count(lab->shared, DOORBELL_QUEUE);

    draft_make(lab, &leased, "a.example");
    leased.deliveries[0].lease = 5;
    lab_commit(lab, &leased.change, 1);
    accept_due(lab, "a.example", LAB_START + LAB_HOUR, LAB_START + 2 * LAB_HOUR);
    lab_reopen(lab); /* the bell rings after the answer */
    assert_int_equal(doorbell_count(lab->shared, DOORBELL_QUEUE), seen);
    lab_accept(lab, "a.example");
    lab_reopen(lab);
    assert_int_equal(doorbell_count(lab->shared, DOORBELL_QUEUE), seen + 1);
    struct store_change up = lab_up("a.example");
    lab_commit(lab, &up, 1);
    lab_reopen(lab);
    assert_int_equal(doorbell_count(lab->shared, DOORBELL_QUEUE), seen + 2);
}

static void the_bell_for_checkpoints_rings_each_thousand_leaves(void **state)
{
    struct lab *lab = *state;
    struct store_leaf leaves[100] = {{0}};
    struct store_change change = {.kind = STORE_LEAF, .leaves = leaves, .leaf_count = 100};
    uint32_t seen = doorbell_count(lab->shared, DOORBELL_CHECKPOINT);

    for (size_t i = 1; i <= 2 * STORE_CHECKPOINT_LEAVES / 100; i++) {
        lab_commit(lab, &change, 1);
        lab_reopen(lab);
        assert_int_equal(doorbell_count(lab->shared, DOORBELL_CHECKPOINT),
                         seen + i * 100 / STORE_CHECKPOINT_LEAVES);
    }
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, lab_set_up, lab_tear_down)
    const struct CMUnitTest tests[] = {
        ROW(what_is_due_is_claimed_once),
        ROW(what_is_not_yet_due_is_left),
        ROW(a_claim_comes_with_the_newest_leaf),
        ROW(deliveries_of_one_message_come_together),
        ROW(limits_and_skipped_destinations_are_kept_to),
        ROW(a_claim_out_of_bounds_is_refused),
        ROW(a_small_arena_gets_fewer_and_the_rest_stays_due),
        ROW(a_destination_that_is_put_off_hides_its_deliveries),
        ROW(a_destination_that_is_up_again_is_due_at_once),
        ROW(whose_patience_is_over_is_claimed_though_put_off),
        ROW(a_hold_ends),
        ROW(a_living_lease_outlasts_patience),
        ROW(a_lease_that_ran_out_frees_its_delivery),
        ROW(a_renewed_lease_lasts_longer),
        ROW(a_lease_of_what_nobody_has_in_hand_is_not_renewed),
        ROW(what_is_in_hand_stays_leased_when_the_clock_leaps),
        ROW(the_leases_of_the_dead_end_when_their_heir_starts),
        ROW(what_is_skipped_is_not_what_is_next),
        ROW(the_bell_rings_for_what_somebody_made_due),
        ROW(the_bell_for_checkpoints_rings_each_thousand_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
