/* Decisions: facts in, one outcome out. */
/* SPDX-License-Identifier: ISC */
#include "policy_house.h"

static const char policy_text[] =
    "domains \"clinic.example\"\n"
    "list partners from \"partners.txt\"\n"
    "list marks from \"words.txt\"\n"
    "route \"clinic.example\" to lmtp \"127.0.0.1 port 24\"\n"
    "ladder safe { tls verify for 4 hours, hold }\n"
    "refuse \"too large\" when size over 10 MB\n"
    "refuse \"no such place\" when to \"Nobody@nowhere.example\"\n"
    "hold \"campaign\" when recipients over 100 and not from \"news@clinic.example\" for 2 days\n"
    "hold \"watched\" when to \".watched.example\" or to \"Postmaster@Desk.example\"\n"
    "hold \"from the lab\" when through \"10.9.0.0/16\" or through \"lab.clinic.example\"\n"
    "send \"partners\" when to partners by { tls secure named \"mx.partner.example\", return }\n"
    "send \"asked for\" when subject has marks by safe\n"
    "send \"bounces to the world\" when not from \"clinic.example\" by { tls verify, return }\n"
    "send \"by office\" when through \"10.0.0.7\" by safe\n"
    "send \"small to a friend\" when to \"friend.example\" and (size over 1 KB or recipients over "
    "1) "
    "by safe\n"
    "organisation \"Lakeside\" { domains \"lakeside.example\"\n"
    "refuse \"only here\" when subject has \"spam\"\n"
    "send \"everything\" by safe }\n";
/* An organisation whose last `send` has a condition is an error; "no rule" is asked where nobody
 * has a domain. */
static const char last_send[] = "send \"everything else\" by { tls encrypt, return }\n";

static const struct decide_case {
    const char *name, *from, *to, *through, *subject;
    uint64_t size;
    unsigned recipients;
    size_t organisation;
    bool is_inward;
    enum decision_kind kind;
    const char *rule, *ladder;
} decisions[] = {
    {"size at the limit is not over it", "n@clinic.example", "x@y.example", "10.0.0.1", "",
     10 << 20, 1, 0, false, DECISION_SEND, "everything else", "{ tls encrypt, return }"},
    {"size over the limit", "n@clinic.example", "x@y.example", "10.0.0.1", "", (10 << 20) + 1, 1, 0,
     false, DECISION_REFUSE, "too large", NULL},
    {"refuse comes before send", "n@clinic.example", "a@partner.example", "10.0.0.1", "", 11 << 20,
     1, 0, false, DECISION_REFUSE, "too large", NULL},
    {"an address exactly", "n@clinic.example", "Nobody@nowhere.example", "10.0.0.1", "", 1, 1, 0,
     false, DECISION_REFUSE, "no such place", NULL},
    {"a local part's case counts", "n@clinic.example", "nobody@nowhere.example", "10.0.0.1", "", 1,
     1, 0, false, DECISION_SEND, "everything else", NULL},
    {"many recipients", "n@clinic.example", "x@y.example", "10.0.0.1", "", 1, 101, 0, false,
     DECISION_HOLD, "campaign", NULL},
    {"many recipients from the news", "news@clinic.example", "x@y.example", "10.0.0.1", "", 1, 101,
     0, false, DECISION_SEND, "everything else", NULL},
    {"below a domain", "n@clinic.example", "x@a.b.watched.example", "10.0.0.1", "", 1, 1, 0, false,
     DECISION_HOLD, "watched", NULL},
    {"the domain itself is not below it", "n@clinic.example", "x@watched.example", "10.0.0.1", "",
     1, 1, 0, false, DECISION_SEND, "everything else", NULL},
    {"a name that ends alike is not below it", "n@clinic.example", "x@unwatched.example",
     "10.0.0.1", "", 1, 1, 0, false, DECISION_SEND, "everything else", NULL},
    {"through a network", "n@clinic.example", "x@y.example", "10.9.1.1 network 10.0.0.0/8", "", 1,
     1, 0, false, DECISION_HOLD, "from the lab", NULL},
    {"through a network, IPv4 in IPv6", "n@clinic.example", "x@y.example", "::ffff:10.9.1.1", "", 1,
     1, 0, false, DECISION_HOLD, "from the lab", NULL},
    {"just outside the network", "n@clinic.example", "x@y.example", "10.10.0.0 network 10.0.0.0/8",
     "", 1, 1, 0, false, DECISION_SEND, "everything else", NULL},
    {"a client without an address", "n@clinic.example", "x@y.example", "", "", 1, 1, 0, false,
     DECISION_SEND, "everything else", NULL},
    {"through a certificate", "n@clinic.example", "x@y.example",
     "192.0.2.1 certificate LAB.clinic.example", "", 1, 1, 0, false, DECISION_HOLD, "from the lab",
     NULL},
    {"through a certificate of another name", "n@clinic.example", "x@y.example",
     "192.0.2.1 certificate slab.clinic.example", "", 1, 1, 0, false, DECISION_SEND,
     "everything else", NULL},
    {"through an address", "n@clinic.example", "x@y.example", "10.0.0.7 network 10.0.0.0/8", "", 1,
     1, 0, false, DECISION_SEND, "by office", "{ tls verify for 4 hours, hold for 7 days }"},
    {"a domain of a list", "n@clinic.example", "a@partner.example", "10.0.0.1", "", 1, 1, 0, false,
     DECISION_SEND, "partners", "{ tls secure named \"mx.partner.example\", return }"},
    {"a domain that only ends like one of a list", "n@clinic.example", "a@evilpartner.example",
     "10.0.0.1", "", 1, 1, 0, false, DECISION_SEND, "everything else", NULL},
    {"postmaster in any case", "n@clinic.example", "POSTmaster@desk.example", "10.0.0.1", "", 1, 1,
     0, false, DECISION_HOLD, "watched", NULL},
    {"a letter of a word is not the word", "n@clinic.example", "x@y.example", "10.0.0.1",
     "vitamin c", 1, 1, 0, false, DECISION_SEND, "everything else", NULL},
    {"a domain below one of a list", "n@clinic.example", "a@x.group.example", "10.0.0.1", "", 1, 1,
     0, false, DECISION_SEND, "partners", NULL},
    {"an address of a list", "n@clinic.example", "Mary@solo.example", "10.0.0.1", "", 1, 1, 0,
     false, DECISION_SEND, "partners", NULL},
    {"another address of that domain", "n@clinic.example", "Joe@solo.example", "10.0.0.1", "", 1, 1,
     0, false, DECISION_SEND, "everything else", NULL},
    {"a word of the subject, case ignored", "n@clinic.example", "x@y.example", "10.0.0.1",
     "Re: [SECURE] results", 1, 1, 0, false, DECISION_SEND, "asked for", NULL},
    {"a word with a hash", "n@clinic.example", "x@y.example", "10.0.0.1", "our c# course", 1, 1, 0,
     false, DECISION_SEND, "asked for", NULL},
    {"what is a comment in the file is no word", "n@clinic.example", "x@y.example", "10.0.0.1",
     "#hash", 1, 1, 0, false, DECISION_SEND, "everything else", NULL},
    {"the null sender is from nowhere", "", "x@y.example", "10.0.0.1", "", 1, 1, 0, false,
     DECISION_SEND, "bounces to the world", NULL},
    {"and with or: first", "n@clinic.example", "x@friend.example", "10.0.0.1", "", 2000, 1, 0,
     false, DECISION_SEND, "small to a friend", NULL},
    {"and with or: second", "n@clinic.example", "x@friend.example", "10.0.0.1", "", 1, 2, 0, false,
     DECISION_SEND, "small to a friend", NULL},
    {"and with or: neither", "n@clinic.example", "x@friend.example", "10.0.0.1", "", 1, 1, 0, false,
     DECISION_SEND, "everything else", NULL},
    {"inwards: sent by the route", "x@y.example", "n@clinic.example", "192.0.2.1", "", 1, 1, 0,
     true, DECISION_SEND, "inwards", "{ route, return }"},
    {"inwards: refuse is asked", "x@y.example", "n@clinic.example", "192.0.2.1", "", 11 << 20, 1, 0,
     true, DECISION_REFUSE, "too large", NULL},
    {"inwards: hold is asked", "x@y.example", "n@clinic.example", "192.0.2.1", "", 1, 101, 0, true,
     DECISION_HOLD, "campaign", NULL},
    {"an organisation has its own rules", "n@lakeside.example", "x@y.example", "10.0.0.1", "",
     11 << 20, 1, 1, false, DECISION_SEND, "everything",
     "{ tls verify for 4 hours, hold for 7 days }"},
    {"an organisation's own refusal", "n@lakeside.example", "x@y.example", "10.0.0.1", "no spam", 1,
     1, 1, false, DECISION_REFUSE, "only here", NULL},
    {"which are not the gateway's", "n@clinic.example", "x@y.example", "10.0.0.1", "no spam", 1, 1,
     0, false, DECISION_SEND, "everything else", NULL},
};

static struct policy *load_both(struct arena *arena)
{
    struct span whole;
    /* The gateway's last `send` goes before the organisation's section. */
    const char *section = strstr(policy_text, "organisation");

    whole = arena_format(arena, "%.*s%s%s", (int)(section - policy_text), policy_text, last_send,
                         section);
    return must_load(arena_string(arena, whole), arena);
}

static struct facts facts_of(const struct decide_case *c)
{
    return (struct facts){
        .organisation = c->organisation,
        .from = address_of(c->from),
        .to = address_of(c->to),
        .through = span_of(c->through),
        .subject = span_of(c->subject),
        .size = c->size,
        .recipients = c->recipients,
        .is_inward = c->is_inward,
    };
}

struct heard {
    struct rule_told first, last;
    size_t count, matched;
};
static void hear(void *self, const struct rule_told *told)
{
    struct heard *heard = self;

    if (heard->count++ == 0)
        heard->first = *told;
    heard->last = *told;
    heard->matched += told->matched;
    assert_true(told->because.len > 0);
}

static void first_match_of_the_first_stage_wins(void **state)
{
    const struct decide_case *c = *state;
    scoped(arena) arena = arena_new("test", MIB(4));
    scoped(policy) policy = load_both(arena);
    const struct facts facts = facts_of(c);
    struct decision decision, explained;
    struct heard heard = {0};

    policy_decide(policy, &facts, NULL, 0, &decision);
    assert_span(decision.rule, c->rule);
    assert_int_equal(decision.kind, c->kind);
    assert_int_equal(decision.is_gateway_rule,
                     c->organisation == 0 && !span_equal(decision.rule, SPAN_LITERAL("inwards")));
    if (c->ladder)
        assert_span(ladder_print(&decision.ladder, arena), c->ladder);

    policy_explain(policy, &facts, arena, hear, &heard, &explained);
    assert_true(span_equal(explained.rule, decision.rule));
    assert_true(span_equal(heard.last.rule, decision.rule));
    assert_int_equal(heard.last.line, decision.line);
    assert_int_equal(heard.matched, 1);
}

static void a_subject_that_was_searched_is_not_searched_again(void **state)
{
    const struct decide_case *c = *state;
    scoped(arena) arena = arena_new("test", MIB(4));
    scoped(policy) policy = load_both(arena);
    struct facts facts = facts_of(c);
    struct decision decision;

    facts.notes = subject_notes_new(policy, arena);
    assert_non_null(facts.notes);
    policy_decide(policy, &facts, NULL, 0, &decision);
    assert_span(decision.rule, c->rule);
    facts.subject = SPAN_LITERAL("[secure] spam"); /* nobody looks there any more */
    if (!span_equal(span_of(c->rule), SPAN_LITERAL("everything else")))
        return; /* a rule may have won before one that asks for words */
    policy_decide(policy, &facts, NULL, 0, &decision);
    assert_span(decision.rule, c->rule);
}

static void notes_need_memory(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(4));
    scoped(arena) none = arena_new("test", 1);
    scoped(policy) policy = load_both(arena);

    (void)state;
    assert_null(subject_notes_new(policy, none));
}

static void what_nothing_matches_is_held(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    scoped(policy) policy = must_load("send \"x\" when size over 1 MB by { tls verify }", arena);
    const struct facts facts = {.from = address_of("a@b.example"), .to = address_of("c@d.example")};
    struct decision decision;
    struct heard heard = {0};

    policy_explain(policy, &facts, arena, hear, &heard, &decision);
    assert_int_equal(decision.kind, DECISION_HOLD);
    assert_span(decision.rule, "no rule");
    assert_int_equal(decision.line, 0);
    assert_int_equal(decision.hold_ms, 7LL * 24 * 3600 * 1000);
    assert_int_equal(heard.count, 2);
    assert_span(heard.last.because, "no rule matched");
}

static void released_hold_is_passed_over(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    scoped(policy) policy =
        must_load("refuse \"one\" when size over 9 MB\nhold \"first\" for 2 days\n"
                  "hold \"second\" when recipients over 1\n"
                  "send \"first way\" by { tls verify }",
                  arena);
    struct facts facts = {
        .from = address_of("a@b.example"), .to = address_of("c@d.example"), .recipients = 2};
    const struct span passed[] = {SPAN_LITERAL("first"), SPAN_LITERAL("second"),
                                  SPAN_LITERAL("one")};
    struct decision decision;

    policy_decide(policy, &facts, NULL, 0, &decision);
    assert_span(decision.rule, "first");
    assert_int_equal(decision.hold_ms, 2LL * 24 * 3600 * 1000);
    policy_decide(policy, &facts, passed, 1, &decision);
    assert_span(decision.rule, "second");
    policy_decide(policy, &facts, passed, 2, &decision);
    assert_span(decision.rule, "first way");
    facts.size = 10 << 20; /* only holds are lifted */
    policy_decide(policy, &facts, passed, 3, &decision);
    assert_int_equal(decision.kind, DECISION_REFUSE);
}

static const struct because_case {
    const char *name, *when, *because;
    bool matched;
} becauses[] = {
    {"the part of an `and` that fails", "to \"d.example\" and size over 1 MB and recipients over 5",
     "`size over 1 MB` does not hold", false},
    {"an `and` that holds", "to \"d.example\" and from \"b.example\"",
     "`to \"d.example\" and from \"b.example\"` holds", true},
    {"the part of an `or` that holds", "size over 1 MB or to \"d.example\"",
     "`to \"d.example\"` holds", true},
    {"a `not`", "not to \"d.example\"", "`not to \"d.example\"` does not hold", false},
};

static void the_fact_that_decided_is_named(void **state)
{
    const struct because_case *c = *state;
    scoped(arena) arena = arena_new("test", MIB(4));
    struct span text = arena_format(arena, "refuse \"x\" when %s", c->when);
    scoped(policy) policy = must_load(arena_string(arena, text), arena);
    const struct facts facts = {.from = address_of("a@b.example"), .to = address_of("c@d.example")};
    struct decision decision;
    struct heard heard = {0};

    policy_explain(policy, &facts, arena, hear, &heard, &decision);
    assert_int_equal(decision.kind == DECISION_REFUSE, c->matched);
    assert_int_equal(heard.first.matched, c->matched);
    assert_span(heard.first.because, c->because);
}

static void routes_lead_inwards(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    scoped(policy) policy =
        must_load("domains \"clinic.example\", \"other.example\"\nsend \"all\" by { tls verify }\n"
                  "route \".example\" to lmtp \"192.0.2.1 port 24\"\n"
                  "organisation \"A\" { domains \"a.example\" send \"all\" by { tls verify }\n"
                  "route \"x@a.example\" to lmtp \"unix:/run/x\" }",
                  arena);
    const struct address ours = address_of("n@clinic.example"), x = address_of("x@a.example"),
                         y = address_of("y@a.example"), other = address_of("n@elsewhere.example"),
                         none = address_of("");
    size_t organisation = 7;

    assert_span(policy_route(policy, &ours)->host, "192.0.2.1");
    assert_int_equal(policy_route(policy, &ours)->port, 24);
    assert_true(policy_route(policy, &x)->is_unix);
    assert_span(policy_route(policy, &x)->host, "/run/x");
    assert_span(policy_route(policy, &x)->domains[0], "x@a.example");
    assert_false(policy_route(policy, &y)->is_unix); /* the gateway's, behind its own */
    assert_null(policy_route(policy, &other));
    assert_null(policy_route(policy, &none));

    assert_true(policy_organisation_of_domain(policy, SPAN_LITERAL("A.Example"), &organisation));
    assert_int_equal(organisation, 1);
    assert_false(policy_organisation_of_domain(policy, SPAN_LITERAL("x.a.example"), &organisation));
    assert_true(policy_organisation_of_name(policy, SPAN_LITERAL("A"), &organisation));
    assert_false(policy_organisation_of_name(policy, SPAN_LITERAL("B"), &organisation));
    assert_int_equal(policy_organisation_count(policy), 2);
    assert_span(policy_organisation_name(policy, 0), "");
    assert_span(policy_organisation_name(policy, 1), "A");
}

static void permit_holds_until_its_day_ends(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    scoped(policy) policy = must_load("permit cleartext to \"old.example\" until 2026-11-30\n"
                                      "permit cleartext until 2026-11-26\n"
                                      "organisation \"A\" { permit cleartext to \".example\" }\n"
                                      "organisation \"B\" { }",
                                      arena);
    const struct address old = address_of("a@old.example"), new = address_of("a@new.example"),
                         far = address_of("a@far.test");
    const int64_t day = 24 * 3600 * 1000, first = now_ms + 2 * day, second = now_ms + 6 * day;

    assert_true(policy_permits_cleartext(policy, 0, &new, first - 1));
    assert_false(policy_permits_cleartext(policy, 0, &new, first));
    assert_true(policy_permits_cleartext(policy, 0, &old, first));
    assert_true(policy_permits_cleartext(policy, 0, &old, second - 1));
    assert_false(policy_permits_cleartext(policy, 0, &old, second));
    /* Of an organisation both permits are needed. */
    assert_true(policy_permits_cleartext(policy, 1, &old, first));
    assert_false(policy_permits_cleartext(policy, 1, &far, now_ms));
    assert_false(policy_permits_cleartext(policy, 2, &old, now_ms));
    /* Inwards only with a `to`. */
    assert_true(policy_permits_plain_route(policy, 0, &old, now_ms));
    assert_false(policy_permits_plain_route(policy, 0, &new, now_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nothing_matches_is_held),
        cmocka_unit_test(released_hold_is_passed_over),
        cmocka_unit_test(routes_lead_inwards),
        cmocka_unit_test(notes_need_memory),
        cmocka_unit_test(permit_holds_until_its_day_ends),
    };
    return run_table("decisions", decisions, first_match_of_the_first_stage_wins) +
           run_table("notes", decisions, a_subject_that_was_searched_is_not_searched_again) +
           run_table("because", becauses, the_fact_that_decided_is_named) +
           cmocka_run_group_tests_name("deciding", tests, NULL, NULL);
}
