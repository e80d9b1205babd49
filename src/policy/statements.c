/* The statements of the language in one table, and those that every organisation may make: domains,
 * lists, ladders, permits, rules. */
/* SPDX-License-Identifier: ISC */
#include "parser.h"

const struct statement statements[] = {
    {"hostname", parse_hostname, 0, false},
    {"state", parse_state, 0, false},
    {"certificate", parse_certificate, 0, false},
    {"roots", parse_roots, 0, false},
    {"trust", parse_trust_anchor, 0, false},
    {"resolver", parse_resolver, 0, false},
    {"laboratory", parse_laboratory, 0, false},
    {"master", parse_master_key, 0, false},
    {"administrator", parse_administrator, 0, false},
    {"largest", parse_largest_message, 0, false},
    {"listen", parse_listen, 0, false},
    {"organisation", parse_organisation, 0, false},
    {"domains", parse_domains, STATEMENT_IN_ORGANISATION, false},
    {"route", parse_route, STATEMENT_IN_ORGANISATION, false},
    {"list", parse_list, STATEMENT_IN_ORGANISATION, false},
    {"ladder", parse_ladder, STATEMENT_IN_ORGANISATION, false},
    {"permit", parse_permit, STATEMENT_IN_ORGANISATION, false},
    {"refuse", parse_rule, STATEMENT_IN_ORGANISATION, false},
    {"hold", parse_rule, STATEMENT_IN_ORGANISATION | STATEMENT_BEGINS_RUNG, false},
    {"send", parse_rule, STATEMENT_IN_ORGANISATION, false},
    {"include", NULL, STATEMENT_IN_ORGANISATION, true},
    {"account", NULL, STATEMENT_IN_ORGANISATION, true},
    {"notice", NULL, STATEMENT_IN_ORGANISATION, true},
    {"escalate", NULL, STATEMENT_IN_ORGANISATION, true},
    {"portal", NULL, STATEMENT_BEGINS_RUNG, true},
    {"store", NULL, 0, true},
    {"observe", NULL, 0, true},
    {"always", NULL, 0, true},
};
const size_t statement_count = sizeof statements / sizeof statements[0];

/* ---- domains ---- */

bool parse_domains(struct parser *p)
{
    struct organisation *section = p->section;

    advance(p);
    do {
        const size_t count = section->domain_count;
        const struct place place = p->token.place;
        struct span domain;

        if (!expect_domain(p, "a domain of the organisation", &domain))
            return false;
        section->domains = array_grow(p->arena, section->domains, count, sizeof domain);
        section->domain_places = array_grow(p->arena, section->domain_places, count, sizeof place);
        if (!section->domains || !section->domain_places) {
            section->domain_count = 0;
            return fail_memory(p);
        }
        section->domains[count] = domain;
        section->domain_places[count] = place;
        section->domain_count++;
    } while (take_mark(p, ','));
    return true;
}

/* ---- list ---- */

static bool parse_entries(struct parser *p, struct list *list)
{
    advance(p); /* over the brace */
    while (!is_mark(p, '}')) {
        if (list->count > 0 && !expect_mark(p, ',', "`,` or `}`"))
            return false;
        const struct place place = p->token.place;
        struct span text;

        if (!expect_string(p, "an entry of the list", &text))
            return false;
        list->texts = array_grow(p->arena, list->texts, list->count, sizeof text);
        list->places = array_grow(p->arena, list->places, list->count, sizeof place);
        if (!list->texts || !list->places) {
            list->count = 0;
            return fail_memory(p);
        }
        list->texts[list->count] = text;
        list->places[list->count++] = place;
    }
    advance(p);
    return list_complete(list, p->arena) || fail_memory(p);
}

/* Only the name: the file is read when the whole policy has been understood. */
static bool parse_list_source(struct parser *p, struct list *list)
{
    static const char *const later[] = {"ldap:", "table:"};

    list->file_place = p->token.place;
    if (!expect_string(p, "the list's file", &list->file))
        return false;
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (span_starts_with(list->file, span_of(later[i])))
            return complain(p->book, POLICY_ERROR, list->file_place,
                            "`%s` is a word of the language that this build does not carry out yet",
                            later[i]);
    return !is_word(p, "at") || fail_expected(p, "the next statement");
}

bool parse_list(struct parser *p)
{
    struct list *list = arena_take(p->arena, sizeof *list);

    if (!list)
        return fail_memory(p);
    advance(p);
    list->place = p->token.place;
    if (!expect_name(p, "the list's name", &list->name))
        return false;
    if (is_mark(p, '{')) {
        if (!parse_entries(p, list))
            return false;
    } else if (!take_word(p, "from")) {
        return fail_expected(p, "`{` or `from`");
    } else if (!parse_list_source(p, list)) {
        return false;
    }
    CHAIN_APPEND(p->section->list_end, list);
    return true;
}

/* ---- ladder ---- */

bool parse_ladder(struct parser *p)
{
    struct named_ladder *named = arena_take(p->arena, sizeof *named);
    struct span name;

    if (!named)
        return fail_memory(p);
    advance(p);
    named->place = p->token.place;
    if (!expect_name(p, "the ladder's name", &name) || !expect_rungs(p, &named->ladder))
        return false;
    named->ladder.name = name;
    CHAIN_APPEND(p->section->ladder_end, named);
    return true;
}

/* ---- permit ---- */

bool parse_permit(struct parser *p)
{
    static const struct choice kinds[] = {
        {"cleartext", 0, false},
        {"weaker", 1, true},
    };
    struct permit_row *row = arena_take(p->arena, sizeof *row);
    int kind;

    if (!row)
        return fail_memory(p);
    row->place = p->statement;
    advance(p);
    if (!CHOOSE(p, kinds, "`cleartext`", &kind))
        return false;
    if (is_word(p, "notices"))
        return fail_expected(p, "`to` or `until`");
    if (take_word(p, "to")) {
        row->has_to = true;
        if (!expect_value(p, "a domain or an address", &row->to))
            return false;
    }
    if (take_word(p, "until") && !expect_date(p, &row->permit.until_ms))
        return false;
    CHAIN_APPEND(p->section->permit_end, row);
    return true;
}

/* ---- rules ---- */

static const struct choice stages[] = {
    {"refuse", STAGE_REFUSE, false},
    {"hold", STAGE_HOLD, false},
    {"send", STAGE_SEND, false},
};
_Static_assert(sizeof stages / sizeof stages[0] == STAGE_COUNT, "a stage without a word");

const char *stage_name(enum stage stage)
{
    return stages[stage].word;
}

static bool expect_title(struct parser *p, const char *what, int most, struct span *title)
{
    if (p->token.kind == TOKEN_STRING && p->token.text.len > (size_t)most)
        return fail(p, "%s has at most %d bytes", what, most);
    return expect_string(p, what, title);
}

static bool parse_rule_ladder(struct parser *p, struct rule *rule)
{
    struct span name;

    if (!expect_word(p, "by"))
        return false;
    rule->ladder_place = p->token.place;
    if (is_mark(p, '{'))
        return expect_rungs(p, &rule->ladder);
    if (p->token.kind != TOKEN_WORD || word_is_keyword(p->token.text))
        return fail_expected(p, "the name of a ladder or `{`");
    if (!expect_name(p, "the name of a ladder", &name))
        return false;
    rule->ladder.name = name; /* its rungs are found after parsing */
    return true;
}

/* What stands behind the name and the condition. */
static bool parse_rule_end(struct parser *p, struct rule *rule)
{
    switch (rule->stage) {
    case STAGE_REFUSE:
        return true;
    case STAGE_HOLD:
        rule->hold_ms = (int64_t)HOLD_DEFAULT_DAYS * 24 * 3600 * 1000;
        return !take_word(p, "for") || expect_duration(p, &rule->hold_ms);
    case STAGE_SEND:
        /* `with` begins what a later build can do; said here rather than at a new statement. */
        return parse_rule_ladder(p, rule) &&
               (!is_word(p, "with") || fail_expected(p, "the next statement"));
    case STAGE_COUNT:
        break;
    }
    return false;
}

bool parse_rule(struct parser *p)
{
    struct rule *rule = arena_take(p->arena, sizeof *rule);
    struct organisation *section = p->section;
    struct condition *when;
    int stage;

    if (!rule)
        return fail_memory(p);
    rule->place = p->statement;
    if (!CHOOSE(p, stages, "a rule", &stage))
        return false;
    rule->stage = (enum stage)stage;
    if (rule->stage < section->latest)
        return complain(p->book, POLICY_ERROR, p->statement,
                        "rules are listed in the order in which they are asked: `refuse`, `hold`, "
                        "`send`; this `%s` stands after a `%s`",
                        stage_name(rule->stage), stage_name(section->latest));
    section->latest = rule->stage;
    if (++p->policy->rule_count > POLICY_RULES_MAX)
        return complain(p->book, POLICY_ERROR, p->statement, "there are more than %d rules",
                        POLICY_RULES_MAX);
    if (!expect_title(p, "the rule's name", POLICY_TITLE_MAX, &rule->name))
        return false;
    if (take_word(p, "when")) {
        if (!expect_condition(p, &when))
            return false;
        rule->when = when;
    }
    if (!parse_rule_end(p, rule))
        return false;
    section->rule_count++;
    CHAIN_APPEND(section->rule_end[rule->stage], rule);
    return true;
}

/* ---- organisation ---- */

bool parse_organisation(struct parser *p)
{
    struct organisation *organisation = organisation_new(p->policy);
    struct organisation *gateway = p->section;

    if (!organisation)
        return fail_memory(p);
    organisation->place = p->statement;
    advance(p);
    if (!expect_title(p, "the organisation's name", POLICY_ORGANISATION_MAX, &organisation->name) ||
        !expect_mark(p, '{', "`{`"))
        return false;
    p->section = organisation;
    parse_statements(p);
    p->section = gateway;
    if (!is_mark(p, '}'))
        return book_is_full(p->book) || complain(p->book, POLICY_ERROR, organisation->place,
                                                 "the section that begins here has no closing `}`");
    advance(p);
    return true;
}
