/* A held delivery is decided again: the policy in force over the stored facts, and a new tag by the
 * keeper that binds the new ladder. */
/* SPDX-License-Identifier: ISC */
#include "control.h"

#include "base/memory.h"
#include "keys/sealing.h"
#include "message/address.h"
#include "policy/ladder.h"
#include "policy/policy.h"

enum { PASSED_OVER_MAX = 64, DAY_MS = 24 * 3600 * 1000 };

/* One sealed text of the message, as the keeper opens it; it lives in the answer's arena. */
static bool open_text(struct answer *answer, const struct store_message *message,
                      const struct wrapped_keys *keys, const char *what, struct span sealed,
                      struct span *plain, struct error *why)
{
    scoped_buffer text;

    buffer_init_secret(&text, SEAL_TEXT_MAX);
    if (!keeper_open_text(answer->control->common.keeper, message->id, message->organisation, keys,
                          what, sealed, answer->uid, &text, why))
        return false;
    *plain = arena_copy(answer->arena, buffer_span(&text));
    return plain->data || error_set(why, ERROR_TEMPORARY, "", "no memory for a text");
}

/* The facts were stored once a message: those of this delivery have its recipient in them. */
static bool read_facts(struct answer *answer, const struct subject *subject,
                       const struct wrapped_keys *keys, struct facts *facts, struct error *why)
{
    struct span bytes, recipient;

    return open_text(answer, &subject->message, keys, TEXT_FACTS, subject->message.facts, &bytes,
                     why) &&
           open_text(answer, &subject->message, keys, TEXT_RECIPIENT, subject->delivery.recipient,
                     &recipient, why) &&
           facts_parse(bytes, answer->policy, facts, why) &&
           address_parse(recipient, answer->arena, &facts->to, why);
}

/* Every rule that a release of this delivery has named. */
static size_t passed_over_before(struct answer *answer, const struct subject *subject,
                                 struct span *rules, size_t room)
{
    size_t found = 0;

    for (size_t i = 0; i < subject->row_count && found < room; i++) {
        const struct store_journal_row *row = &subject->rows[i];
        const struct event_field *rule;
        struct event_field *fields;
        struct error ignored;
        size_t count;

        if (row->leaf.kind != EVENT_DELIVERY_RELEASED || row->is_purged ||
            row->leaf.delivery != subject->delivery.number ||
            !event_parse(row->leaf.detail, answer->arena, &fields, &count, &ignored))
            continue;
        rule = event_field_find(fields, count, FIELD_RULE);
        if (rule)
            rules[found++] = rule->text;
    }
    return found;
}

/* Its five days begin again: what a hold took of them was not the recipient's doing. */
static void stand_on(struct act *act, const struct ladder *ladder, int64_t now_ms)
{
    struct step step = ladder_begin(ladder, now_ms);

    act->move.begun_at_ms = act->move.rung_since_ms = act->move.due_at_ms = now_ms;
    act->move.rung = (uint32_t)step.rung;
    act->move.state = step.kind == STEP_HOLD ? DELIVERY_HELD : DELIVERY_WAITING;
    act->move.ends_at_ms = step.kind == STEP_RETURN /* the deliverer writes the report */
                               ? now_ms + (int64_t)LADDER_LIFE_DAYS * DAY_MS
                               : step.rung_ends_at_ms;
    if (step.kind == STEP_HOLD)
        act->move.due_at_ms = act->move.ends_at_ms;
}

/* The keeper makes a tag for the act's ladder and policy, and wraps the content again where it must
 * live longer than its class. */
static bool bind(struct answer *answer, struct act *act, const struct subject *subject,
                 const struct wrapped_keys *keys, int64_t life_ms, struct error *why)
{
    struct keeper_delivery delivery = {
        .wrapped = *keys,
        .binding = {.message = subject->message.id,
                    .delivery = subject->delivery.number,
                    .organisation = subject->message.organisation,
                    .ladder = subject->delivery.ladder},
        .sealed_recipient = subject->delivery.recipient,
        .is_held = true,
    };
    int32_t wanted = content_class_day(answer->now_ms, life_ms);
    struct wrapped_keys again;
    struct span wrapped;

    memcpy(delivery.binding.policy_digest, subject->delivery.policy_digest, POLICY_DIGEST_SIZE);
    memcpy(delivery.tag, subject->delivery.tag, BINDING_TAG_BYTES);
    if (wanted < keys->content_day)
        wanted = keys->content_day;
    if (!keeper_bind_again(answer->control->common.keeper, &delivery, act->move.ladder,
                           act->move.policy_digest, wanted, answer->uid, act->move.tag, &again,
                           why))
        return false;
    wrapped = arena_copy(answer->arena, span_make(again.content, sizeof again.content));
    if (!wrapped.data)
        return error_set(why, ERROR_TEMPORARY, "", "no memory for a key");
    act->move.wrapped_content = wrapped;
    act->move.content_day = again.content_day;
    return true;
}

static const char *say_decision(struct answer *answer, const struct decision *decision,
                                const struct act *act)
{
    static const char *const verbs[] = {[DECISION_SEND] = "sends it",
                                        [DECISION_HOLD] = "holds it",
                                        [DECISION_REFUSE] = "refuses it"};
    struct span said = arena_format(
        answer->arena, "the rule \"%.*s\" %s%s%.*s", SPAN_ARGS(decision->rule),
        verbs[decision->kind], decision->kind == DECISION_SEND ? " by " : "",
        SPAN_ARGS(decision->kind == DECISION_SEND ? act->move.ladder : ((struct span){"", 0})));
    const char *text = said.data ? arena_string(answer->arena, said) : NULL;

    return text ? text : "decided anew";
}

static bool keys_of(const struct store_message *message, struct wrapped_keys *keys,
                    struct error *why)
{
    if (message->wrapped_content.len != WRAPPED_KEY_BYTES ||
        message->wrapped_record.len != WRAPPED_KEY_BYTES)
        return error_set(why, ERROR_INTERNAL, "", "its keys are erased or damaged");
    keys->content_day = message->content_day;
    keys->record_day = message->record_day;
    memcpy(keys->content, message->wrapped_content.data, WRAPPED_KEY_BYTES);
    memcpy(keys->record, message->wrapped_record.data, WRAPPED_KEY_BYTES);
    return true;
}

bool act_keep_content(struct answer *answer, struct act *act, const struct subject *subject,
                      int64_t life_ms, struct error *why)
{
    struct wrapped_keys keys;

    if (content_class_day(answer->now_ms, life_ms) <= subject->message.content_day)
        return true;
    act->move.ladder = subject->delivery.ladder;
    act->move.rule = subject->delivery.rule;
    act->move.is_rule_of_gateway = subject->delivery.is_rule_of_gateway;
    memcpy(act->move.policy_digest, subject->delivery.policy_digest, POLICY_DIGEST_SIZE);
    return keys_of(&subject->message, &keys, why) &&
           bind(answer, act, subject, &keys, life_ms, why);
}

static bool tell_decision(struct answer *answer, struct act *act, const struct subject *subject,
                          struct span released, struct error *why)
{
    const struct event_field passed[] = {EVENT_TEXT(FIELD_RULE, released)};
    const struct event_field decided[] = {
        EVENT_TEXT(FIELD_RULE, act->move.rule),
        EVENT_TEXT(FIELD_LADDER, act->move.ladder),
        EVENT_TEXT(FIELD_POLICY_DIGEST,
                   span_make(act->move.policy_digest, sizeof act->move.policy_digest)),
    };

    return (released.len == 0 ||
            act_tell(answer, act, subject, EVENT_DELIVERY_RELEASED, passed, 1, why)) &&
           act_tell(answer, act, subject, EVENT_DELIVERY_DECIDED, decided,
                    sizeof decided / sizeof decided[0], why);
}

bool act_decide_again(struct answer *answer, struct act *act, const struct subject *subject,
                      struct span rule, struct error *why)
{
    struct span passed_over[PASSED_OVER_MAX + 1];
    size_t count = passed_over_before(answer, subject, passed_over, PASSED_OVER_MAX);
    struct wrapped_keys keys;
    struct decision decision;
    struct ladder ladder;
    struct facts facts;
    struct rung own;

    if (!keys_of(&subject->message, &keys, why) || !read_facts(answer, subject, &keys, &facts, why))
        return false;
    if (rule.len > 0)
        passed_over[count++] = rule;
    policy_decide(answer->policy, &facts, passed_over, count, &decision);
    ladder = decision_ladder(&decision, &own);
    act->move.ladder = ladder_print(&ladder, answer->arena);
    act->move.rule = arena_copy(answer->arena, decision.rule);
    act->move.is_rule_of_gateway = decision.is_gateway_rule;
    memcpy(act->move.policy_digest, policy_digest(answer->policy), POLICY_DIGEST_SIZE);
    if (!act->move.ladder.data || !act->move.rule.data)
        return error_set(why, ERROR_TEMPORARY, "", "no memory for the decision");
    stand_on(act, &ladder, answer->now_ms);
    /* A `send` whose ladder begins with a hold: what was released would be where it is. */
    if (rule.len > 0 && act->move.state == DELIVERY_HELD && decision.kind == DECISION_SEND)
        return error_set(why, ERROR_REJECTED, "",
                         "its ladder has no way but the hold: change the policy, then have it "
                         "decided anew (letterlock queue decide)");
    act->move.last_reason = SPAN_LITERAL("decided anew for an administrator");
    act->said = say_decision(answer, &decision, act);
    return bind(answer, act, subject, &keys, ladder_longest_ms(&ladder), why) &&
           tell_decision(answer, act, subject, rule, why);
}
