/* From the envelope and the text to facts, from facts to decisions, and from these to deliveries.
 */
/* SPDX-License-Identifier: ISC */
#include "acceptance.h"

#include "message/header.h"

#include <assert.h>

enum { DAY_MS = 24 * 3600 * 1000 };

static bool out_of_memory(struct error *why)
{
    return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory for a message's decisions");
}

static bool find_facts(struct acceptance *acceptance)
{
    struct session *session = acceptance->session;
    struct transaction *transaction = &session->transaction;

    acceptance->facts = (struct facts){
        .from = transaction->sender,
        .subject = header_subject(buffer_span(&session->body), acceptance->arena),
        .notes = subject_notes_new(acceptance->policy, acceptance->arena),
        .through = span_of(session->through),
        .size = transaction->content.size,
        .recipients = (unsigned)transaction->recipient_count,
    };
    acceptance->sender = address_print(&transaction->sender, acceptance->arena);
    return acceptance->sender.data && acceptance->facts.subject.data && acceptance->facts.notes;
}

static bool begin_delivery(struct acceptance *acceptance, struct decided *decided)
{
    struct rung own;
    struct ladder ladder = decision_ladder(&decided->decision, &own);
    struct step step = ladder_begin(&ladder, acceptance->now_ms);

    decided->ladder = ladder_print(&ladder, acceptance->arena);
    decided->destination = policy_destination(decided->recipient->route,
                                              &decided->recipient->address, acceptance->arena);
    decided->address = address_print(&decided->recipient->address, acceptance->arena);
    decided->content_day = content_class_day(acceptance->now_ms, ladder_longest_ms(&ladder));
    decided->rung = (uint32_t)step.rung;
    decided->state = DELIVERY_WAITING;
    decided->ends_at_ms = step.rung_ends_at_ms;
    assert(step.kind != STEP_END && step.kind != STEP_RETRY); /* it has but begun */
    switch (step.kind) {
    case STEP_CLIMB:
    case STEP_END:
    case STEP_RETRY:
        break;
    case STEP_HOLD:
        decided->state = DELIVERY_HELD;
        break;
    case STEP_RETURN: /* the deliverer writes the report: one, so they go nowhere together */
        decided->destination = (struct span){"", 0};
        decided->ends_at_ms = acceptance->now_ms + (int64_t)LADDER_LIFE_DAYS * DAY_MS;
        break;
    }
    return decided->ladder.data && decided->destination.data && decided->address.data;
}

static void join_group(struct acceptance *acceptance, struct decided *decided)
{
    const struct recipient *recipient = decided->recipient;
    struct group *group = acceptance->groups, *end = group + acceptance->group_count;

    while (group < end && (group->organisation != recipient->organisation ||
                           group->is_inward != recipient->is_inward))
        group++;
    if (group == end) {
        assert(acceptance->group_count < RECEIVE_GROUPS_MAX); /* RCPT has seen to that */
        acceptance->group_count++;
        group->organisation = recipient->organisation;
        group->is_inward = recipient->is_inward;
        group->organisation_name =
            policy_organisation_name(acceptance->policy, recipient->organisation);
    }
    decided->group = (size_t)(group - acceptance->groups);
    group->count++;
    group->waiting += decided->state == DELIVERY_WAITING;
    if (decided->content_day > group->content_day)
        group->content_day = decided->content_day;
}

bool acceptance_decide(struct acceptance *acceptance, struct error *why)
{
    const struct transaction *transaction = &acceptance->session->transaction;

    acceptance->count = transaction->recipient_count;
    acceptance->decided =
        arena_take_array(acceptance->arena, acceptance->count, sizeof *acceptance->decided);
    if (!acceptance->decided || !find_facts(acceptance))
        return out_of_memory(why);
    for (size_t i = 0; i < acceptance->count; i++) {
        struct decided *decided = &acceptance->decided[i];
        struct facts facts = acceptance->facts;

        decided->recipient = &transaction->recipients[i];
        facts.to = decided->recipient->address;
        facts.organisation = decided->recipient->organisation;
        facts.is_inward = decided->recipient->is_inward;
        policy_decide(acceptance->policy, &facts, NULL, 0, &decided->decision);
        acceptance->refused += decided->decision.kind == DECISION_REFUSE;
        if (!begin_delivery(acceptance, decided))
            return out_of_memory(why);
        join_group(acceptance, decided);
    }
    return true;
}
