/* Deciding: facts in, one outcome out. Pure and total: no clock, no network, no global. */
/* SPDX-License-Identifier: ISC */
#include "model.h"

#include "base/memory.h"

#include <assert.h>

static const int64_t hold_default_ms = (int64_t)HOLD_DEFAULT_DAYS * 24 * 3600 * 1000;

/* Where the asking goes, for policy_explain(). */
struct listener_to_rules {
    void (*tell)(void *self, const struct rule_told *told);
    void *self;
    struct arena *arena;
};

/* ---- because ---- */

/* The part of a condition that decided it: of an `and` that fails the first part that fails, of an
 * `or` that holds the first that holds, else the whole. */
static const struct condition *decider(const struct condition *condition, const struct facts *facts)
{
    const bool holds = condition_holds(condition, facts);
    const bool is_by_one =
        holds ? condition->kind == CONDITION_OR : condition->kind == CONDITION_AND;

    if (!is_by_one)
        return condition;
    for (const struct condition *part = condition->first; part; part = part->next)
        if (condition_holds(part, facts) == holds)
            return decider(part, facts);
    return condition;
}

static struct span because(const struct condition *when, const struct facts *facts, bool matched,
                           struct arena *arena)
{
    scoped_buffer text;

    buffer_init(&text, KIB(16));
    if (!when)
        return SPAN_LITERAL("it has no condition");
    buffer_append_byte(&text, '`');
    print_condition(decider(when, facts), &text);
    buffer_append(&text, matched ? SPAN_LITERAL("` holds") : SPAN_LITERAL("` does not hold"));
    const struct span copy = arena_copy(arena, buffer_span(&text));
    return text.failed || !copy.data ? SPAN_LITERAL("of a condition too long to show") : copy;
}

static void tell_rule(const struct listener_to_rules *to, const struct rule *rule,
                      const struct facts *facts, bool matched)
{
    if (!to)
        return;
    to->tell(to->self, &(struct rule_told){
                           .rule = rule->name,
                           .line = rule->place.line,
                           .stage = stage_name(rule->stage),
                           .matched = matched,
                           .because = because(rule->when, facts, matched, to->arena),
                       });
}

static void tell_built_in(const struct listener_to_rules *to, const struct decision *decision,
                          enum stage stage, const char *why)
{
    if (to)
        to->tell(to->self, &(struct rule_told){
                               .rule = decision->rule,
                               .stage = stage_name(stage),
                               .matched = true,
                               .because = span_of(why),
                           });
}

/* ---- asking ---- */

static bool is_among(struct span name, const struct span *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal(name, names[i]))
            return true;
    return false;
}

static struct decision decision_of(const struct rule *rule, size_t organisation)
{
    static const enum decision_kind kinds[] = {
        [STAGE_REFUSE] = DECISION_REFUSE,
        [STAGE_HOLD] = DECISION_HOLD,
        [STAGE_SEND] = DECISION_SEND,
    };
    _Static_assert(sizeof kinds / sizeof kinds[0] == STAGE_COUNT, "a stage without a decision");

    return (struct decision){
        .kind = kinds[rule->stage],
        .rule = rule->name,
        .line = rule->place.line,
        .is_gateway_rule = organisation == 0,
        .ladder = rule->ladder,
        .hold_ms = rule->hold_ms,
    };
}

static struct decision inwards(void)
{
    static const struct rung rungs[] = {{.way = WAY_ROUTE}, {.way = WAY_RETURN}};

    return (struct decision){
        .kind = DECISION_SEND,
        .rule = SPAN_LITERAL("inwards"),
        .ladder = {.rungs = rungs, .count = sizeof rungs / sizeof rungs[0]},
    };
}

static void decide(const struct policy *policy, const struct facts *facts,
                   const struct span *passed_over, size_t passed_over_count,
                   const struct listener_to_rules *to, struct decision *decision)
{
    assert(facts->organisation < policy->organisation_count);
    assert(!facts->notes || facts->notes->policy == policy);
    const struct organisation *organisation = policy->organisations[facts->organisation];
    const enum stage last = facts->is_inward ? STAGE_HOLD : STAGE_SEND;

    for (enum stage stage = STAGE_REFUSE; stage <= last; stage++)
        for (const struct rule *rule = organisation->rules[stage]; rule; rule = rule->next) {
            if (stage == STAGE_HOLD && is_among(rule->name, passed_over, passed_over_count))
                continue;
            const bool matched = !rule->when || condition_holds(rule->when, facts);
            tell_rule(to, rule, facts, matched);
            if (matched) {
                *decision = decision_of(rule, facts->organisation);
                return;
            }
        }
    if (facts->is_inward) {
        *decision = inwards();
        tell_built_in(to, decision, STAGE_SEND, "the recipient is ours and has a route");
        return;
    }
    *decision = (struct decision){
        .kind = DECISION_HOLD,
        .rule = SPAN_LITERAL("no rule"),
        .hold_ms = hold_default_ms,
    };
    tell_built_in(to, decision, STAGE_HOLD, "no rule matched");
}

void policy_decide(const struct policy *policy, const struct facts *facts,
                   const struct span *passed_over, size_t passed_over_count,
                   struct decision *decision)
{
    decide(policy, facts, passed_over, passed_over_count, NULL, decision);
}

struct ladder decision_ladder(const struct decision *decision, struct rung *own)
{
    switch (decision->kind) {
    case DECISION_SEND:
        return decision->ladder;
    case DECISION_HOLD:
        *own = (struct rung){.way = WAY_HOLD, .patience_ms = decision->hold_ms};
        break;
    case DECISION_REFUSE:
        *own = (struct rung){.way = WAY_RETURN};
        break;
    }
    return (struct ladder){.rungs = own, .count = 1};
}

void policy_explain(const struct policy *policy, const struct facts *facts, struct arena *arena,
                    void (*tell)(void *self, const struct rule_told *told), void *self,
                    struct decision *decision)
{
    const struct listener_to_rules to = {.tell = tell, .self = self, .arena = arena};

    decide(policy, facts, NULL, 0, &to, decision);
}

struct subject_notes *subject_notes_new(const struct policy *policy, struct arena *arena)
{
    struct subject_notes *notes = arena_take(arena, sizeof *notes);

    if (!notes)
        return NULL;
    notes->policy = policy;
    notes->of_words = arena_take_array(arena, policy->words_count, sizeof *notes->of_words);
    return notes->of_words ? notes : NULL;
}

/* ---- whose, where, and in the clear ---- */

bool policy_organisation_of_domain(const struct policy *policy, struct span domain,
                                   size_t *organisation)
{
    char lower[256];

    if (domain.len > sizeof lower)
        return false;
    for (size_t i = 0; i < domain.len; i++)
        lower[i] = ascii_lower(domain.data[i]);
    const size_t at = set_find_span(&policy->domain_set, span_make(lower, domain.len));
    if (at == SIZE_MAX)
        return false;
    *organisation = policy->domain_owners[at]->number;
    return true;
}

static const struct route *route_among(const struct organisation *section,
                                       const struct address *recipient)
{
    for (const struct route_row *row = section->routes; row; row = row->next)
        if (list_has_address(row->to.list, recipient))
            return &row->route;
    return NULL;
}

const struct route *policy_route(const struct policy *policy, const struct address *recipient)
{
    const struct route *route = NULL;
    size_t owner;

    if (!policy_organisation_of_domain(policy, recipient->domain, &owner))
        return NULL;
    if (owner != 0)
        route = route_among(policy->organisations[owner], recipient);
    return route ? route : route_among(policy->first, recipient);
}

struct span policy_destination(const struct route *route, const struct address *recipient,
                               struct arena *arena)
{
    if (!route)
        return arena_copy(arena, recipient->domain);
    if (route->is_unix)
        return arena_format(arena, "route:unix:%.*s", SPAN_ARGS(route->host));
    return arena_format(arena, "route:%.*s:%u", SPAN_ARGS(route->host), route->port);
}

static bool permits(const struct organisation *section, const struct address *recipient,
                    int64_t now_ms, bool only_with_to)
{
    for (const struct permit_row *row = section->permits; row; row = row->next) {
        if (row->permit.until_ms != 0 && now_ms >= row->permit.until_ms)
            continue;
        if (row->has_to ? list_has_address(row->to.list, recipient) : !only_with_to)
            return true;
    }
    return false;
}

/* An organisation's permit holds only within the gateway's own: both must say yes. */
static bool both_permit(const struct policy *policy, size_t organisation,
                        const struct address *recipient, int64_t now_ms, bool only_with_to)
{
    assert(organisation < policy->organisation_count);
    return permits(policy->first, recipient, now_ms, only_with_to) &&
           (organisation == 0 ||
            permits(policy->organisations[organisation], recipient, now_ms, only_with_to));
}

bool policy_permits_cleartext(const struct policy *policy, size_t organisation,
                              const struct address *recipient, int64_t now_ms)
{
    return both_permit(policy, organisation, recipient, now_ms, false);
}

bool policy_permits_plain_route(const struct policy *policy, size_t organisation,
                                const struct address *recipient, int64_t now_ms)
{
    return both_permit(policy, organisation, recipient, now_ms, true);
}
