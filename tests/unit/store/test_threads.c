/* Contract of every engine: many threads commit, post, claim and look at once, and all of it
 * counts. */
/* SPDX-License-Identifier: ISC */
#include "store_lab.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 8, EACH = 60 };

struct crowd {
    struct lab *lab;
    _Atomic size_t refused, ended;
};

static void *accept_many(void *self)
{
    struct crowd *crowd = self;

    for (size_t i = 0; i < EACH; i++) {
        struct draft draft;
        struct error why;
        draft_make(crowd->lab, &draft, i % 2 ? "a.example" : "b.example");
        struct store_change changes[2] = {
            draft.change, lab_move(draft_id(&draft), 9, 0, DELIVERY_WAITING, DELIVERY_HELD)};
        /* Every tenth batch fails, half done. */
        if (!store_commit(crowd->lab->store, &(struct store_batch){changes, i % 10 == 0 ? 2 : 1},
                          &why))
            crowd->refused++;
    }
    return NULL;
}

static void note_end(struct store_posting *posting, const struct error *why)
{
    (void)posting;
    (void)why;
}

static void *claim_and_end(void *self)
{
    struct crowd *crowd = self;
    struct store_claim claim = {.now_ms = LAB_START,
                                .lease_until_ms = LAB_START + LAB_HOUR,
                                .lease = LAB_LEASE,
                                .limit = 10,
                                .limit_per_destination = 10};

    while (crowd->ended < THREADS * EACH * 9 / 10) {
        scoped(arena) arena = arena_new("claims", MIB(1));
        static struct store_posting postings[THREADS * EACH];
        static struct store_change moves[THREADS * EACH];
        struct store_claimed *claimed;
        struct error why;
        size_t count;
        if (!store_claim(crowd->lab->store, &claim, arena, &claimed, &count, &why))
            return "a claim failed";
        for (size_t i = 0; i < count; i++) {
            size_t at = crowd->ended++;
            moves[at] =
                lab_move(claimed[i].message.id, 1, LAB_LEASE, DELIVERY_WAITING, DELIVERY_DELIVERED);
            postings[at] = (struct store_posting){.batch = {&moves[at], 1}, .done = note_end};
            store_post(crowd->lab->store, &postings[at]);
        }
    }
    return NULL;
}

static void *look_around(void *self)
{
    struct crowd *crowd = self;

    while (crowd->ended < THREADS * EACH * 9 / 10) {
        scoped(arena) arena = arena_new("looks", MIB(8));
        struct store_counts counts;
        struct store_queued *queued;
        struct error why;
        size_t count;
        if (!store_count(crowd->lab->store, &counts, &why) ||
            !store_list_queue(crowd->lab->store, SPAN_LITERAL(""), (struct id){0}, 0, 50, arena,
                              &queued, &count, &why))
            return "a look failed";
        if (counts.waiting + counts.delivered != counts.messages ||
            counts.leaves != 2 * counts.messages)
            return "a look saw half a change";
    }
    return NULL;
}

static void a_crowd_loses_nothing(void **state)
{
    struct lab *lab = *state;
    struct crowd crowd = {.lab = lab};
    pthread_t threads[THREADS + 3];
    void *complaint;

    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, accept_many, &crowd);
    pthread_create(&threads[THREADS], NULL, claim_and_end, &crowd);
    pthread_create(&threads[THREADS + 1], NULL, look_around, &crowd);
    pthread_create(&threads[THREADS + 2], NULL, look_around, &crowd);
    for (size_t i = 0; i < THREADS + 3; i++) {
        pthread_join(threads[i], &complaint);
        if (complaint)
            fail_msg("%s", (const char *)complaint);
    }
    lab_reopen(lab);
    assert_int_equal(crowd.refused, THREADS * EACH / 10);
    struct store_counts counts = lab_counts(lab);
    assert_int_equal(counts.messages, THREADS * EACH * 9 / 10);
    assert_int_equal(counts.delivered, counts.messages);
    assert_int_equal(counts.waiting, 0);
    lab_verify_tree(lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_crowd_loses_nothing, lab_set_up, lab_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
