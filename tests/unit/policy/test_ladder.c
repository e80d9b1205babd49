/* Ladders: what follows each outcome on each rung, and how a ladder is stored. */
/* SPDX-License-Identifier: ISC */
#include "policy_house.h"

enum { HOUR = 3600 * 1000, DAY = 24 * HOUR };

/* ---- ladder_next: every outcome, rung and state of patience ---- */

/* One ladder for all rows: rung 0 has its own patience, rung 1 lives as long as the delivery. */
static const struct rung to_hold[] = {
    {.way = WAY_TLS_SECURE, .patience_ms = 4 * HOUR},
    {.way = WAY_TLS_SECURE},
    {.way = WAY_HOLD, .patience_ms = 2 * DAY},
};
static const struct rung to_return[] = {
    {.way = WAY_TLS_SECURE, .patience_ms = 4 * HOUR},
    {.way = WAY_TLS_SECURE},
    {.way = WAY_RETURN},
};
static const struct rung bare[] = {
    {.way = WAY_TLS_SECURE, .patience_ms = 4 * HOUR},
    {.way = WAY_TLS_SECURE},
};
static const struct ladder ends_in_hold = {.rungs = to_hold, .count = 3};
static const struct ladder ends_in_return = {.rungs = to_return, .count = 3};
static const struct ladder ends_bare = {.rungs = bare, .count = 2};

static const int64_t accepted = 1000000;

struct expected {
    enum step_kind kind;
    size_t rung;
    int64_t ends_after; /* since acceptance */
    bool is_internal;
};
/* `hours`: since acceptance and since the rung began, both. */
static const struct next_case {
    const char *name;
    const struct ladder *ladder;
    size_t rung;
    enum outcome outcome;
    int64_t hours;
    struct expected expected;
} next_rows[] = {
    /* Delivered ends, wherever. */
    {"delivered on the first rung",
     &ends_in_hold,
     0,
     OUTCOME_DELIVERED,
     1,
     {STEP_END, 0, 0, false}},
    {"delivered on the last way",
     &ends_in_return,
     1,
     OUTCOME_DELIVERED,
     1,
     {STEP_END, 1, 0, false}},
    {"delivered after all patience",
     &ends_bare,
     1,
     OUTCOME_DELIVERED,
     500,
     {STEP_END, 1, 0, false}},
    /* Rejected returns at once and never climbs. */
    {"rejected on the first rung",
     &ends_in_hold,
     0,
     OUTCOME_REJECTED,
     1,
     {STEP_RETURN, 0, 0, false}},
    {"rejected before a hold", &ends_in_hold, 1, OUTCOME_REJECTED, 1, {STEP_RETURN, 1, 0, false}},
    {"rejected after patience", &ends_in_hold, 0, OUTCOME_REJECTED, 5, {STEP_RETURN, 0, 0, false}},
    {"rejected on the last rung", &ends_bare, 1, OUTCOME_REJECTED, 1, {STEP_RETURN, 1, 0, false}},
    /* Internal holds where it stands. */
    {"internal on the first rung",
     &ends_in_hold,
     0,
     OUTCOME_INTERNAL,
     1,
     {STEP_HOLD, 0, HOUR + 7LL * DAY, true}},
    {"internal on the last rung",
     &ends_bare,
     1,
     OUTCOME_INTERNAL,
     500,
     {STEP_HOLD, 1, 500LL * HOUR + 7LL * DAY, true}},
    /* Temporary stays while there is patience. */
    {"temporary within patience",
     &ends_in_hold,
     0,
     OUTCOME_TEMPORARY,
     3,
     {STEP_RETRY, 0, 4LL * HOUR, false}},
    {"temporary when patience is over",
     &ends_in_hold,
     0,
     OUTCOME_TEMPORARY,
     4,
     {STEP_CLIMB, 1, 5LL * DAY, false}},
    {"temporary without a for lasts five days",
     &ends_in_hold,
     1,
     OUTCOME_TEMPORARY,
     119,
     {STEP_RETRY, 1, 5LL * DAY, false}},
    {"temporary after five days, before a hold",
     &ends_in_hold,
     1,
     OUTCOME_TEMPORARY,
     120,
     {STEP_HOLD, 2, 7LL * DAY, false}},
    {"temporary after five days, before a return",
     &ends_in_return,
     1,
     OUTCOME_TEMPORARY,
     120,
     {STEP_RETURN, 2, 0, false}},
    {"temporary after five days, before nothing",
     &ends_bare,
     1,
     OUTCOME_TEMPORARY,
     120,
     {STEP_RETURN, 2, 0, false}},
    /* Impossible climbs at once. */
    {"impossible on the first rung",
     &ends_in_hold,
     0,
     OUTCOME_IMPOSSIBLE,
     0,
     {STEP_CLIMB, 1, 5LL * DAY, false}},
    {"impossible before a hold",
     &ends_in_hold,
     1,
     OUTCOME_IMPOSSIBLE,
     1,
     {STEP_HOLD, 2, HOUR + 2LL * DAY, false}},
    {"impossible before a return",
     &ends_in_return,
     1,
     OUTCOME_IMPOSSIBLE,
     1,
     {STEP_RETURN, 2, 0, false}},
    {"impossible before nothing", &ends_bare, 1, OUTCOME_IMPOSSIBLE, 1, {STEP_RETURN, 2, 0, false}},
    /* Impossible for now waits where only giving up is left. */
    {"impossible for now climbs to a way",
     &ends_in_return,
     0,
     OUTCOME_IMPOSSIBLE_FOR_NOW,
     0,
     {STEP_CLIMB, 1, 5LL * DAY, false}},
    {"impossible for now goes to a hold",
     &ends_in_hold,
     1,
     OUTCOME_IMPOSSIBLE_FOR_NOW,
     1,
     {STEP_HOLD, 2, HOUR + 2LL * DAY, false}},
    {"impossible for now waits before a return",
     &ends_in_return,
     1,
     OUTCOME_IMPOSSIBLE_FOR_NOW,
     1,
     {STEP_RETRY, 1, 5LL * DAY, false}},
    {"impossible for now waits before nothing",
     &ends_bare,
     1,
     OUTCOME_IMPOSSIBLE_FOR_NOW,
     119,
     {STEP_RETRY, 1, 5LL * DAY, false}},
    {"impossible for now returns after patience",
     &ends_in_return,
     1,
     OUTCOME_IMPOSSIBLE_FOR_NOW,
     120,
     {STEP_RETURN, 2, 0, false}},
    /* A hold stays until its end, then returns. */
    {"a hold stays", &ends_in_hold, 2, OUTCOME_TEMPORARY, 47, {STEP_HOLD, 2, 2LL * DAY, false}},
    {"a hold ends in a return",
     &ends_in_hold,
     2,
     OUTCOME_TEMPORARY,
     48,
     {STEP_RETURN, 3, 0, false}},
    {"a return is one", &ends_in_return, 2, OUTCOME_TEMPORARY, 0, {STEP_RETURN, 3, 0, false}},
};

static void next_step_is_the_table_s(void **state)
{
    const struct next_case *c = *state;
    const int64_t now = accepted + c->hours * HOUR;
    const struct step step = ladder_next(c->ladder, c->rung, c->outcome, accepted, accepted, now);

    assert_int_equal(step.kind, c->expected.kind);
    assert_int_equal(step.rung, c->expected.rung);
    assert_int_equal(step.is_internal, c->expected.is_internal);
    if (c->expected.ends_after != 0)
        assert_int_equal(step.rung_ends_at_ms, accepted + c->expected.ends_after);
    else
        assert_int_equal(step.rung_ends_at_ms, 0);
}

/* The table of the language, told once more as laws over every ladder of up to three rungs. */
static void laws_hold_for_each_ladder_outcome_and_moment(void **state)
{
    (void)state;
    static const int64_t moments[] = {
        0, HOUR, 4 * HOUR - 1, 4 * HOUR, DAY, 5LL * DAY - 1, 5LL * DAY, 7LL * DAY, 30LL * DAY};
    for (int ways = 0; ways < WAY_COUNT * WAY_COUNT * WAY_COUNT; ways++) {
        const struct rung rungs[] = {
            {.way = (enum way)(ways % WAY_COUNT), .patience_ms = 4 * HOUR},
            {.way = (enum way)(ways / WAY_COUNT % WAY_COUNT)},
            {.way = (enum way)(ways / WAY_COUNT / WAY_COUNT), .patience_ms = DAY},
        };
        const struct ladder ladder = {.rungs = rungs, .count = 3};

        for (size_t rung = 0; rung < 3; rung++)
            for (int o = 0; o < OUTCOME_COUNT; o++)
                for (size_t m = 0; m < COUNT(moments); m++) {
                    const enum outcome outcome = (enum outcome)o;
                    const int64_t now = accepted + moments[m];
                    const struct step s =
                        ladder_next(&ladder, rung, outcome, accepted, accepted, now);
                    const int64_t ends = ladder_rung_end(&ladder, rung, accepted, accepted);

                    assert_int_equal(s.kind == STEP_END, outcome == OUTCOME_DELIVERED);
                    assert_int_equal(s.is_internal, outcome == OUTCOME_INTERNAL);
                    if (outcome == OUTCOME_REJECTED)
                        assert_int_equal(s.kind, STEP_RETURN);
                    if (s.kind == STEP_RETRY) {
                        assert_int_equal(s.rung, rung);
                        assert_true(now < ends && s.rung_ends_at_ms == ends);
                        assert_true(outcome == OUTCOME_TEMPORARY ||
                                    (outcome == OUTCOME_IMPOSSIBLE_FOR_NOW &&
                                     (rung == 2 || rungs[rung + 1].way == WAY_RETURN)));
                    }
                    if (s.kind == STEP_CLIMB) {
                        assert_int_equal(s.rung, rung + 1);
                        assert_true(rungs[s.rung].way != WAY_HOLD &&
                                    rungs[s.rung].way != WAY_RETURN);
                        assert_true(outcome != OUTCOME_TEMPORARY || now >= ends);
                        assert_int_equal(s.rung_ends_at_ms,
                                         ladder_rung_end(&ladder, s.rung, now, accepted));
                    }
                    if (s.kind == STEP_HOLD && !s.is_internal)
                        assert_int_equal(rungs[s.rung].way, WAY_HOLD);
                    /* `for` may end sooner than five days, never later. */
                    if (rungs[rung].way != WAY_HOLD && rungs[rung].way != WAY_RETURN)
                        assert_true(ends <= accepted + 5LL * DAY);
                }
    }
}

static void delivery_begins_on_the_first_rung(void **state)
{
    (void)state;
    static const struct rung hold[] = {{.way = WAY_HOLD}};
    static const struct rung back[] = {{.way = WAY_RETURN}};
    const struct ladder holds = {.rungs = hold, .count = 1}, returns = {.rungs = back, .count = 1};
    struct step step = ladder_begin(&ends_in_hold, accepted);

    assert_int_equal(step.kind, STEP_CLIMB);
    assert_int_equal(step.rung, 0);
    assert_int_equal(step.rung_ends_at_ms, accepted + 4 * HOUR);
    step = ladder_begin(&holds, accepted);
    assert_int_equal(step.kind, STEP_HOLD);
    assert_int_equal(step.rung_ends_at_ms, accepted + 7LL * DAY);
    assert_int_equal(ladder_begin(&returns, accepted).kind, STEP_RETURN);
}

static void patience_never_outlives_the_delivery(void **state)
{
    (void)state;
    const int64_t late = accepted + 5LL * DAY - HOUR;

    assert_int_equal(ladder_rung_end(&ends_in_hold, 0, late, accepted), accepted + 5LL * DAY);
    assert_int_equal(ladder_rung_end(&ends_in_hold, 2, late, accepted), late + 2LL * DAY);
    assert_int_equal(ladder_rung_end(&ends_in_return, 2, late, accepted), late);
}

static void damaged_clock_ends_no_later_than_time(void **state)
{
    (void)state;
    assert_int_equal(ladder_rung_end(&ends_in_hold, 2, INT64_MAX - 5, 0), INT64_MAX);
    assert_int_equal(ladder_rung_end(&ends_in_hold, 1, 0, INT64_MAX - 5), INT64_MAX);
}

/* ---- texts ---- */

static const struct text_case {
    const char *name, *text;
    bool is_valid;
} texts[] = {
    {"a ladder with everything",
     "{ cleartext for 1 hour, tls encrypt for 90 seconds, tls verify named \"a.example\" or "
     "\"b.example\" for 4 hours, tls secure, hold for 2 days }",
     true},
    {"the way inwards", "{ route, return }", true},
    {"no end is added", "{ tls secure }", true},
    {"the empty text", "", false},
    {"no rung", "{ }", false},
    {"something behind the end", "{ return } x", false},
    {"a hold that is not last", "{ hold, return }", false},
    {"a later word", "{ smime, return }", false},
    {"a name that is none", "{ tls verify named \"a b\", return }", false},
    {"bytes that are no text", "{ tls verify named \"\xFF\", return }", false},
};

static void stored_ladder_is_read_back(void **state)
{
    const struct text_case *c = *state;
    scoped(arena) arena = arena_new("test", KIB(64));
    struct ladder ladder = {0};
    struct error why = {0};

    assert_int_equal(ladder_parse(span_of(c->text), arena, &ladder, &why), c->is_valid);
    if (c->is_valid) {
        assert_span(ladder_print(&ladder, arena), c->text);
        assert_int_equal(ladder.name.len, 0);
        /* Cut anywhere, it is no ladder any more. */
        for (size_t i = 0; i < strlen(c->text); i++)
            assert_false(ladder_parse(span_make(c->text, i), arena, &ladder, &why));
    } else {
        assert_int_equal(ladder.count, 0);
        assert_int_equal(why.kind, ERROR_INTERNAL);
        assert_string_equal(why.status, "4.3.0");
    }
}

static void ladder_needs_memory(void **state)
{
    (void)state;
    scoped(arena) tiny = arena_new("test", 16);
    struct ladder ladder;
    struct error why;

    assert_false(ladder_parse(SPAN_LITERAL("{ tls verify, return }"), tiny, &ladder, &why));
    assert_null(ladder_print(&ends_in_hold, tiny).data);
    for (unsigned n = 1; n < 4; n++) {
        memory_fail_after(n);
        scoped(arena) fresh = arena_new("test", KIB(64));
        if (fresh && ladder_parse(SPAN_LITERAL("{ tls verify, return }"), fresh, &ladder, &why))
            (void)ladder_print(&ladder, fresh);
    }
    memory_fail_after(0);
}

static void names_are_told(void **state)
{
    (void)state;
    for (int way = 0; way < WAY_COUNT; way++) {
        assert_true(strlen(way_name((enum way)way)) > 0);
        assert_true(strlen(way_readers((enum way)way)) > 0);
    }
    for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++)
        assert_true(strlen(outcome_name((enum outcome)outcome)) > 0);
    assert_string_equal(way_name(WAY_TLS_SECURE), "tls secure");
    assert_string_equal(way_readers(WAY_TLS_SECURE), "the recipient's provider");
    assert_string_equal(outcome_name(OUTCOME_IMPOSSIBLE), "impossible");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(laws_hold_for_each_ladder_outcome_and_moment),
        cmocka_unit_test(delivery_begins_on_the_first_rung),
        cmocka_unit_test(patience_never_outlives_the_delivery),
        cmocka_unit_test(damaged_clock_ends_no_later_than_time),
        cmocka_unit_test(ladder_needs_memory),
        cmocka_unit_test(names_are_told),
    };
    return run_table("what follows an outcome", next_rows, next_step_is_the_table_s) +
           run_table("stored ladders", texts, stored_ladder_is_read_back) +
           cmocka_run_group_tests_name("ladders", tests, NULL, NULL);
}
