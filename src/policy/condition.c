/* Conditions: how they are read, and whether they hold. */
/* SPDX-License-Identifier: ISC */
#include "parser.h"

#include "message/header.h"

/* Every fact that a rule can ask: its words, how its argument is read, and when it holds. */
static bool parse_pattern(struct parser *p, struct condition *fact);
static bool parse_identity(struct parser *p, struct condition *fact);
static bool parse_words(struct parser *p, struct condition *fact);
static bool parse_size(struct parser *p, struct condition *fact);
static bool parse_count(struct parser *p, struct condition *fact);
static bool is_from(const struct condition *fact, const struct facts *facts);
static bool is_to(const struct condition *fact, const struct facts *facts);
static bool is_through(const struct condition *fact, const struct facts *facts);
static bool has_subject(const struct condition *fact, const struct facts *facts);
static bool is_larger(const struct condition *fact, const struct facts *facts);
static bool has_more_recipients(const struct condition *fact, const struct facts *facts);

static const struct {
    const char *word;
    const char *second; /* NULL: one word */
    const char *words;
    bool (*parse)(struct parser *p, struct condition *fact);
    bool (*holds)(const struct condition *fact, const struct facts *facts);
} fact_rows[] = {
    [FACT_FROM] = {"from", NULL, "from", parse_pattern, is_from},
    [FACT_TO] = {"to", NULL, "to", parse_pattern, is_to},
    [FACT_THROUGH] = {"through", NULL, "through", parse_identity, is_through},
    [FACT_SUBJECT] = {"subject", "has", "subject has", parse_words, has_subject},
    [FACT_SIZE] = {"size", "over", "size over", parse_size, is_larger},
    [FACT_RECIPIENTS] = {"recipients", "over", "recipients over", parse_count, has_more_recipients},
};
_Static_assert(sizeof fact_rows / sizeof fact_rows[0] == FACT_COUNT, "a fact without a row");

const char *fact_words(enum fact_kind fact)
{
    return fact_rows[fact].words;
}

/* ---- reading ---- */

static bool parse_pattern(struct parser *p, struct condition *fact)
{
    return expect_value(p, "a domain or an address", &fact->value);
}

static bool parse_words(struct parser *p, struct condition *fact)
{
    return expect_value(p, "a word", &fact->value);
}

static bool parse_identity(struct parser *p, struct condition *fact)
{
    const struct place place = p->token.place;

    if (!expect_string(p, "a network, an address or a certificate's name", &fact->text))
        return false;
    fact->has_network = network_parse(fact->text, &fact->network);
    return fact->has_network || certificate_name_is_valid(fact->text) ||
           complain(p->book, POLICY_ERROR, place,
                    "expected a network such as \"10.0.0.0/8\", an IP address, or the name or "
                    "\"sha256:…\" of a certificate");
}

static bool parse_size(struct parser *p, struct condition *fact)
{
    return expect_size(p, &fact->number);
}

static bool parse_count(struct parser *p, struct condition *fact)
{
    unsigned long long number;

    if (!expect_number(p, "a number of recipients", UINT32_MAX, &number))
        return false;
    fact->number = number;
    return true;
}

static struct condition *condition_new(struct parser *p, enum condition_kind kind)
{
    struct condition *condition = arena_take(p->arena, sizeof *condition);

    if (condition) {
        condition->kind = kind;
        condition->place = p->token.place;
    } else {
        fail_memory(p);
    }
    return condition;
}

static bool expect_fact(struct parser *p, struct condition **condition)
{
    struct choice rows[FACT_COUNT];
    struct condition *fact = condition_new(p, CONDITION_FACT);
    int kind;

    if (!fact)
        return false;
    for (size_t i = 0; i < FACT_COUNT; i++)
        rows[i] = (struct choice){fact_rows[i].word, (int)i, false};
    if (!CHOOSE(p, rows, "a fact such as `from`, `to`, `through`, `subject has`, `size over`",
                &kind))
        return false;
    fact->fact = (enum fact_kind)kind;
    if (fact_rows[kind].second && !expect_word(p, fact_rows[kind].second))
        return false;
    *condition = fact;
    return fact_rows[kind].parse(p, fact);
}

static bool expect_term(struct parser *p, struct condition **condition)
{
    struct condition * not ;

    if (is_word(p, "not")) {
        if (!(not = condition_new(p, CONDITION_NOT)))
            return false;
        advance(p);
        if (is_word(p, "not"))
            return fail(p, "`not not` says nothing; leave both out");
        *condition = not ;
        return expect_term(p, &not ->first);
    }
    if (!is_mark(p, '('))
        return expect_fact(p, condition);
    if (p->depth >= POLICY_DEPTH_MAX)
        return fail(p, "parentheses stand within each other more than %d deep", POLICY_DEPTH_MAX);
    p->depth++;
    advance(p);
    if (!expect_condition(p, condition) || !expect_mark(p, ')', "`and`, `or` or `)`"))
        return false;
    p->depth--;
    return true;
}

bool expect_condition(struct parser *p, struct condition **condition)
{
    struct condition *joint, *first, **end;
    bool is_and;

    if (!expect_term(p, &first))
        return false;
    if (!is_word(p, "and") && !is_word(p, "or")) {
        *condition = first;
        return true;
    }
    is_and = is_word(p, "and");
    joint = condition_new(p, is_and ? CONDITION_AND : CONDITION_OR);
    if (!joint)
        return false;
    joint->first = first;
    end = &first->next;
    while (take_word(p, is_and ? "and" : "or")) {
        if (!expect_term(p, end))
            return false;
        end = &(*end)->next;
    }
    if (is_word(p, is_and ? "or" : "and"))
        return fail(p, "`and` and `or` side by side can be read in two ways; put one of them into "
                       "parentheses");
    *condition = joint;
    return true;
}

/* ---- asking ---- */

static bool is_from(const struct condition *fact, const struct facts *facts)
{
    return list_has_address(fact->value.list, &facts->from);
}

static bool is_to(const struct condition *fact, const struct facts *facts)
{
    return list_has_address(fact->value.list, &facts->to);
}

/* The rule is in policy.h, at `through`. */
static bool is_through(const struct condition *fact, const struct facts *facts)
{
    struct span host, identity, kind, name;
    struct network address;

    span_split(facts->through, ' ', &host, &identity);
    if (span_split(identity, ' ', &kind, &name) && span_equal_caseless(name, fact->text))
        return true;
    if (span_equal_caseless(host, fact->text))
        return true;
    return fact->has_network && network_parse(host, &address) &&
           network_covers(&fact->network, &address);
}

static bool has_any(struct span subject, const struct list *words)
{
    for (size_t i = 0; i < words->count; i++)
        if (text_has(subject, words->texts[i]))
            return true;
    return false;
}

static bool has_subject(const struct condition *fact, const struct facts *facts)
{
    const struct list *words = fact->value.list;
    const size_t number = words->words_number;

    if (!facts->notes)
        return has_any(facts->subject, words);
    if (facts->notes->of_words[number] == NOTE_NONE)
        facts->notes->of_words[number] = has_any(facts->subject, words) ? NOTE_FOUND : NOTE_ABSENT;
    return facts->notes->of_words[number] == NOTE_FOUND;
}

static bool is_larger(const struct condition *fact, const struct facts *facts)
{
    return facts->size > fact->number;
}

static bool has_more_recipients(const struct condition *fact, const struct facts *facts)
{
    return facts->recipients > fact->number;
}

bool condition_holds(const struct condition *condition, const struct facts *facts)
{
    switch (condition->kind) {
    case CONDITION_FACT:
        return fact_rows[condition->fact].holds(condition, facts);
    case CONDITION_NOT:
        return !condition_holds(condition->first, facts);
    case CONDITION_AND:
        for (const struct condition *part = condition->first; part; part = part->next)
            if (!condition_holds(part, facts))
                return false;
        return true;
    case CONDITION_OR:
        for (const struct condition *part = condition->first; part; part = part->next)
            if (condition_holds(part, facts))
                return true;
        return false;
    }
    return false;
}
