/* From a reply to the outcome of a rung, and from many hosts to one verdict. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/memory.h"
#include "verdict.h"

static const struct verdict_case {
    const char *name, *wire;
    enum smtp_step step;
    enum outcome outcome;
    const char *status;
} cases[] = {
    {"250 after the dot is delivered", "250 2.0.0 ok\r\n", SMTP_STEP_FINAL, OUTCOME_DELIVERED,
     "2.0.0"},
    {"251 after the dot is delivered", "251 ok\r\n", SMTP_STEP_FINAL, OUTCOME_DELIVERED, "2.0.0"},
    {"250 to DATA took nothing", "250 ok\r\n", SMTP_STEP_DATA, OUTCOME_TEMPORARY, "4.5.0"},
    {"354 after the dot took nothing", "354 go\r\n", SMTP_STEP_FINAL, OUTCOME_TEMPORARY, "4.5.0"},
    {"4yz is temporary", "451 4.3.0 later\r\n", SMTP_STEP_FINAL, OUTCOME_TEMPORARY, "4.3.0"},
    {"4yz without a status has one", "451 later\r\n", SMTP_STEP_FINAL, OUTCOME_TEMPORARY, "4.0.0"},
    {"550 is rejected", "550 no\r\n", SMTP_STEP_FINAL, OUTCOME_REJECTED, "5.0.0"},
    {"552 5.3.4 is too large", "552 5.3.4 big\r\n", SMTP_STEP_MAIL, OUTCOME_IMPOSSIBLE, "5.3.4"},
    {"552 5.2.3 is too large", "552 5.2.3 big\r\n", SMTP_STEP_FINAL, OUTCOME_IMPOSSIBLE, "5.2.3"},
    {"552 without a status is too large", "552 big\r\n", SMTP_STEP_FINAL, OUTCOME_IMPOSSIBLE,
     "5.0.0"},
    {"552 5.2.2 is a full mailbox", "552 5.2.2 full\r\n", SMTP_STEP_FINAL, OUTCOME_REJECTED,
     "5.2.2"},
    {"5.7.30 is impossible", "550 5.7.30 REQUIRETLS\r\n", SMTP_STEP_MAIL, OUTCOME_IMPOSSIBLE,
     "5.7.30"},
};

static void reply_is_judged(void **state)
{
    const struct verdict_case *c = *state;
    scoped(arena) arena = arena_new("test", KIB(64));
    struct smtp_reply reply;
    struct verdict verdict;
    size_t used;

    assert_int_equal(smtp_reply_parse(span_of(c->wire), &reply, &used), REPLY_WHOLE);
    verdict_of_reply(&verdict, &reply, c->step, arena);
    assert_int_equal(verdict.outcome, c->outcome);
    assert_string_equal(verdict.status, c->status);
    assert_int_equal(verdict.reply.len, strlen(c->wire) - 2);
}

static const struct rcpt_case {
    const char *name, *wire;
    size_t taken_before;
    enum outcome outcome;
    bool is_too_many;
} rcpts[] = {
    {"452 4.5.3 is for the next transaction", "452 4.5.3 x\r\n", 0, OUTCOME_TEMPORARY, true},
    {"552 5.5.3 is for the next transaction", "552 5.5.3 x\r\n", 5, OUTCOME_TEMPORARY, true},
    {"552 alone behind others too", "552 x\r\n", 5, OUTCOME_TEMPORARY, true},
    {"552 alone at the first is too large", "552 x\r\n", 0, OUTCOME_IMPOSSIBLE, false},
    {"452 alone at the first is temporary", "452 x\r\n", 0, OUTCOME_TEMPORARY, false},
    {"452 4.2.2 is temporary", "452 4.2.2 x\r\n", 5, OUTCOME_TEMPORARY, false},
    {"550 is rejected", "550 5.1.1 x\r\n", 5, OUTCOME_REJECTED, false},
};

static void rcpt_is_judged(void **state)
{
    const struct rcpt_case *c = *state;
    scoped(arena) arena = arena_new("test", KIB(64));
    struct smtp_reply reply;
    struct verdict verdict;
    size_t used;

    assert_int_equal(smtp_reply_parse(span_of(c->wire), &reply, &used), REPLY_WHOLE);
    verdict_of_rcpt(&verdict, &reply, c->taken_before, arena);
    assert_int_equal(verdict.outcome, c->outcome);
    assert_int_equal(verdict.is_too_many, c->is_too_many);
}

static const struct join_case {
    const char *name;
    enum outcome said[3], outcome;
} joins[] = {
    {"rejected decides",
     {OUTCOME_TEMPORARY, OUTCOME_REJECTED, OUTCOME_IMPOSSIBLE},
     OUTCOME_REJECTED},
    {"delivered decides",
     {OUTCOME_IMPOSSIBLE_FOR_NOW, OUTCOME_TEMPORARY, OUTCOME_DELIVERED},
     OUTCOME_DELIVERED},
    {"temporary comes before impossible",
     {OUTCOME_IMPOSSIBLE, OUTCOME_IMPOSSIBLE_FOR_NOW, OUTCOME_TEMPORARY},
     OUTCOME_TEMPORARY},
    {"what time heals comes before what it does not",
     {OUTCOME_IMPOSSIBLE, OUTCOME_IMPOSSIBLE_FOR_NOW, OUTCOME_IMPOSSIBLE},
     OUTCOME_IMPOSSIBLE_FOR_NOW},
};

static void hosts_make_one_verdict(void **state)
{
    const struct join_case *c = *state;
    struct verdict so_far, next;
    bool has_one = false;

    for (size_t i = 0; i < COUNT(c->said); i++) {
        verdict_set(&next, c->said[i], "4.0.0", "host %zu", i);
        next.may_be_duplicate = i == 0;
        verdict_join(&so_far, &has_one, &next);
    }
    assert_int_equal(so_far.outcome, c->outcome);
    assert_true(so_far.may_be_duplicate);
}

static const struct error_case {
    const char *name;
    enum error_kind kind;
    enum outcome outcome;
} errors[] = {
    {"temporary stays temporary", ERROR_TEMPORARY, OUTCOME_TEMPORARY},
    {"impossible is as the caller says", ERROR_IMPOSSIBLE, OUTCOME_IMPOSSIBLE_FOR_NOW},
    {"rejected stays rejected", ERROR_REJECTED, OUTCOME_REJECTED},
    {"internal stays internal", ERROR_INTERNAL, OUTCOME_INTERNAL},
};

static void error_is_judged(void **state)
{
    const struct error_case *c = *state;
    struct verdict verdict;
    struct error why;

    error_set(&why, c->kind, "4.7.5", "text");
    assert_false(verdict_of_error(&verdict, &why, OUTCOME_IMPOSSIBLE_FOR_NOW));
    assert_int_equal(verdict.outcome, c->outcome);
    verdict_within(&verdict, "where");
    assert_string_equal(verdict.reason, "where: text");
}

int main(void)
{
    return run_table("replies", cases, reply_is_judged) + run_table("RCPT", rcpts, rcpt_is_judged) +
           run_table("hosts", joins, hosts_make_one_verdict) +
           run_table("errors", errors, error_is_judged);
}
