/* Contract of every engine: lists are in order and whole, and the counters are what a recount
 * gives. */
/* SPDX-License-Identifier: ISC */
#include "store_lab.h"

static size_t list(struct lab *lab, const char *destination, struct id after, uint32_t delivery,
                   size_t limit, struct store_queued **queued)
{
    struct error why;
    size_t count;

    if (!store_list_queue(lab->store, span_of(destination), after, delivery, limit, lab->arena,
                          queued, &count, &why))
        fail_msg("%s", why.text);
    return count;
}

static void the_queue_is_listed_page_by_page_in_order(void **state)
{
    enum { MESSAGES = 10, PAGE = 4 };
    struct lab *lab = *state;
    struct store_queued *queued;
    struct id after = {0};
    uint32_t after_delivery = 0;
    size_t total = 0, count;

    /* Two deliveries each; every third message has ended, every fourth is held. */
    for (size_t i = 0; i < MESSAGES; i++) {
        struct draft draft;
        draft_make(lab, &draft, "a.example");
        draft_add_delivery(&draft, "b.example");
        if (i % 3 == 0)
            draft.deliveries[0].state = draft.deliveries[1].state = DELIVERY_DELIVERED;
        else if (i % 4 == 0)
            draft.deliveries[0].state = DELIVERY_HELD;
        lab_commit(lab, &draft.change, 1);
        clock_by_hand_move(&lab->hand, i % 2 ? 5 : -3); /* ids not in the order of commits */
    }
    while ((count = list(lab, "", after, after_delivery, PAGE, &queued)) > 0) {
        for (size_t i = 0; i < count; i++) {
            int order = memcmp(queued[i].message.id.bytes, after.bytes, ID_BYTES);
            assert_true(order > 0 || (order == 0 && queued[i].delivery.number > after_delivery));
            assert_span(queued[i].message.organisation, "clinic");
            assert_in_range(queued[i].delivery.state, DELIVERY_WAITING, DELIVERY_HELD);
            after = queued[i].message.id;
            after_delivery = queued[i].delivery.number;
        }
        total += count;
    }
    assert_int_equal(total, 2 * 6);
}

static void the_queue_of_one_destination_is_its_own(void **state)
{
    struct lab *lab = *state;
    struct store_queued *queued;

    for (size_t i = 0; i < 3; i++) {
        lab_accept(lab, "a.example");
        lab_accept(lab, "b.example");
    }
    assert_int_equal(list(lab, "b.example", (struct id){0}, 0, 2, &queued), 2);
    struct id after = queued[1].message.id;
    assert_int_equal(list(lab, "b.example", after, 1, 2, &queued), 1);
    assert_span(queued[0].delivery.destination, "b.example");
    assert_int_equal(list(lab, "nowhere.example", (struct id){0}, 0, 2, &queued), 0);
    assert_int_equal(list(lab, "a.example", (struct id){0}, 0, 0, &queued), 0);
}

static void destinations_are_listed_the_fullest_first(void **state)
{
    struct lab *lab = *state;
    struct store_destination *destinations;
    struct store_change off = lab_put_off("c.example", LAB_START + LAB_HOUR, 2);
    struct draft held, leased;
    struct error why;
    size_t count;

    lab_accept(lab, "a.example");
    for (size_t i = 0; i < 3; i++)
        lab_accept(lab, "c.example");
    lab_commit(lab, &off, 1);
    draft_make(lab, &held, "b.example");
    draft_add_delivery(&held, "b.example");
    held.deliveries[0].state = held.deliveries[1].state = DELIVERY_HELD;
    lab_commit(lab, &held.change, 1);
    draft_make(lab, &leased, "ended.example");
    leased.deliveries[0].state = DELIVERY_RETURNED;
    lab_commit(lab, &leased.change, 1);

    assert_true(store_list_destinations(lab->store, 10, lab->arena, &destinations, &count, &why));
    assert_int_equal(count, 3);
    assert_span(destinations[0].name, "c.example");
    assert_int_equal(destinations[0].waiting, 3);
    assert_int_equal(destinations[0].held, 0);
    assert_int_equal(destinations[0].next_due_ms, LAB_START + LAB_HOUR);
    assert_int_equal(destinations[0].failures, 2);
    assert_span(destinations[1].name, "b.example");
    assert_int_equal(destinations[1].waiting, 0);
    assert_int_equal(destinations[1].held, 2);
    assert_int_equal(destinations[1].next_due_ms, INT64_MAX);
    assert_span(destinations[2].name, "a.example");
    assert_int_equal(destinations[2].next_due_ms, LAB_START);
    assert_true(store_list_destinations(lab->store, 1, lab->arena, &destinations, &count, &why));
    assert_int_equal(count, 1);
}

static void the_latest_messages_are_listed_newest_first(void **state)
{
    enum { MESSAGES = 12 };
    struct lab *lab = *state;
    struct id accepted[MESSAGES], *latest;
    struct error why;
    size_t count;

    assert_true(store_list_latest(lab->store, 5, lab->arena, &latest, &count, &why));
    assert_int_equal(count, 0);
    for (size_t i = 0; i < MESSAGES; i++) {
        accepted[i] = lab_accept(lab, "a.example");
        clock_by_hand_move(&lab->hand, 1);
    }
    assert_true(store_list_latest(lab->store, 10, lab->arena, &latest, &count, &why));
    assert_int_equal(count, 10);
    for (size_t i = 0; i < count; i++)
        assert_true(id_equal(latest[i], accepted[MESSAGES - 1 - i]));
}

/* More names than the writer remembers, and more than its tables hold at first. */
static void many_destinations_are_told_apart(void **state)
{
    enum { MANY = STORE_NAMES_MAX + 400, AT_ONCE = 300 };
    static struct draft drafts[AT_ONCE];
    static struct store_change changes[AT_ONCE];
    static char names[AT_ONCE][32];
    struct lab *lab = *state;
    struct store_queued *queued;

    for (size_t done = 0; done < MANY; done += AT_ONCE) {
        for (size_t i = 0; i < AT_ONCE; i++) {
            snprintf(names[i], sizeof names[i], "d%zu.example", done + i);
            draft_make(lab, &drafts[i], names[i]);
            draft_add_delivery(&drafts[i], "all.example");
            changes[i] = drafts[i].change;
            changes[i].accept.deliveries = drafts[i].deliveries;
        }
        lab_commit(lab, changes, AT_ONCE);
        assert_int_equal(list(lab, names[AT_ONCE / 2], (struct id){0}, 0, 9, &queued), 1);
        assert_true(id_equal(queued->message.id, draft_id(&drafts[AT_ONCE / 2])));
    }
    assert_int_equal(list(lab, "d7.example", (struct id){0}, 0, 9, &queued), 1);
    assert_int_equal(lab_counts(lab).waiting, 2 * lab_counts(lab).messages);
}

static void what_does_not_fit_into_the_arena_is_said(void **state)
{
    struct lab *lab = *state;
    struct id id = lab_accept(lab, "a.example");
    scoped(arena) tiny = arena_new("tiny", 40);
    struct store_message message;
    struct store_delivery *deliveries;
    struct store_destination *destinations;
    struct store_queued *queued;
    struct store_journal_row *rows;
    struct error why;
    bool found;
    size_t count;

    assert_false(
        store_find_message(lab->store, id, tiny, &found, &message, &deliveries, &count, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_false(store_list_queue(lab->store, SPAN_LITERAL(""), (struct id){0}, 0, 9, tiny, &queued,
                                  &count, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_false(store_list_destinations(lab->store, 9, tiny, &destinations, &count, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_false(store_find_journal(lab->store, id, tiny, &rows, &count, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
}

/* ---- counters ---- */

struct recount {
    uint64_t states[DELIVERY_STATE_COUNT];
};

/* A walk of random changes, of which each may be refused: then it must not be counted. */
static void the_counters_are_what_a_recount_gives(void **state)
{
    enum { STEPS = 400, MESSAGES = 40 };
    struct lab *lab = *state;
    struct entropy_by_seed seed = {.state = 7};
    struct entropy chance = entropy_by_seed(&seed);
    struct id ids[MESSAGES];
    struct recount recount = {{0}};
    struct error why;

    for (size_t i = 0; i < MESSAGES; i++) {
        struct draft draft;
        draft_make(lab, &draft, i % 2 ? "a.example" : "b.example");
        draft_add_delivery(&draft, "c.example");
        draft.change.accept.message.organisation =
            i % 3 ? SPAN_LITERAL("clinic") : SPAN_LITERAL("practice");
        draft.deliveries[1].state =
            (enum delivery_state)entropy_below(&chance, DELIVERY_STATE_COUNT);
        lab_commit(lab, &draft.change, 1);
        ids[i] = draft_id(&draft);
    }
    for (size_t i = 0; i < STEPS; i++) {
        struct store_change move =
            lab_move(ids[entropy_below(&chance, MESSAGES)], 1 + entropy_below(&chance, 2), 0,
                     (enum delivery_state)entropy_below(&chance, 3),
                     (enum delivery_state)entropy_below(&chance, i % 4 ? 2 : DELIVERY_STATE_COUNT));
        (void)!store_commit(lab->store, &(struct store_batch){&move, 1}, &why);
    }
    for (size_t i = 0; i < MESSAGES; i++) {
        recount.states[lab_delivery(lab, ids[i], 1).state]++;
        recount.states[lab_delivery(lab, ids[i], 2).state]++;
    }
    struct store_counts counts = lab_counts(lab);
    assert_int_equal(counts.waiting, recount.states[DELIVERY_WAITING]);
    assert_int_equal(counts.held, recount.states[DELIVERY_HELD]);
    assert_int_equal(counts.delivered, recount.states[DELIVERY_DELIVERED]);
    assert_int_equal(counts.returned, recount.states[DELIVERY_RETURNED]);
    assert_int_equal(counts.deleted, recount.states[DELIVERY_DELETED]);
    assert_int_equal(counts.dropped, recount.states[DELIVERY_DROPPED]);
    assert_int_equal(counts.messages, MESSAGES);
    assert_int_equal(counts.leaves, 2 * MESSAGES);

    struct store_destination *destinations;
    uint64_t waiting = 0, held = 0;
    size_t count;
    assert_true(store_list_destinations(lab->store, 9, lab->arena, &destinations, &count, &why));
    for (size_t i = 0; i < count; i++) {
        waiting += destinations[i].waiting;
        held += destinations[i].held;
    }
    assert_int_equal(waiting, counts.waiting);
    assert_int_equal(held, counts.held);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, lab_set_up, lab_tear_down)
    const struct CMUnitTest tests[] = {
        ROW(the_queue_is_listed_page_by_page_in_order),
        ROW(the_queue_of_one_destination_is_its_own),
        ROW(destinations_are_listed_the_fullest_first),
        ROW(the_latest_messages_are_listed_newest_first),
        ROW(many_destinations_are_told_apart),
        ROW(what_does_not_fit_into_the_arena_is_said),
        ROW(the_counters_are_what_a_recount_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
