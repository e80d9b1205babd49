/* The end of data: decided, sealed, committed, and only then acknowledged. */
/* SPDX-License-Identifier: ISC */
#include "acceptance.h"

#include "base/log.h"
#include "base/memory.h"

/* The fields that we put on top are the same for all groups: the first group's name stands in
 * them, and the acknowledgement names them all. */
static bool edit(struct acceptance *acceptance, struct error *why)
{
    struct session *session = acceptance->session;
    const struct transaction *transaction = &session->transaction;
    enum listener_kind kind = session->listener->how->kind;
    struct received_facts facts = {
        .helo = span_make(session->helo, session->helo_len),
        .client_ip = span_of(session->address_text),
        .host_name = policy_settings(acceptance->policy)->hostname,
        .protocol = session->is_extended ? SPAN_LITERAL("ESMTP") : SPAN_LITERAL("SMTP"),
        .message = acceptance->groups[0].id,
        .received_at_ms = acceptance->now_ms,
        .only_recipient =
            transaction->recipient_count == 1 ? &acceptance->decided[0].address : NULL,
    };
    char tls[64];

    if (stream_is_tls(session->stream)) {
        const struct tls_proof *proof = stream_proof(session->stream);

        snprintf(tls, sizeof tls, "%.15s %.40s", proof->version, proof->cipher);
        facts.tls = span_of(tls);
        facts.protocol = SPAN_LITERAL("ESMTPS");
    }
    return message_edit(buffer_span(&session->body),
                        kind == LISTENER_SUBMISSION || kind == LISTENER_SUBMISSIONS, &facts,
                        acceptance->arena, &acceptance->pieces, why);
}

static bool pack(struct acceptance *acceptance, struct error *why)
{
    const struct receive_terms *terms = &acceptance->session->receive->terms;

    for (size_t i = 0; i < acceptance->group_count; i++)
        acceptance->groups[i].id = id_make(terms->clock, terms->entropy);
    if (!edit(acceptance, why))
        return false;
    for (size_t i = 0; i < acceptance->group_count; i++)
        if (!group_pack(acceptance, &acceptance->groups[i], why))
            return false;
    return true;
}

static bool commit(struct acceptance *acceptance, struct error *why)
{
    struct store_change *changes =
        arena_take_array(acceptance->arena, acceptance->group_count, sizeof *changes);
    struct store_batch batch = {.changes = changes, .count = acceptance->group_count};

    if (!changes)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory for a commit");
    for (size_t i = 0; i < acceptance->group_count; i++)
        changes[i] = acceptance->groups[i].change;
    if (store_commit(acceptance->session->receive->terms.store, &batch, why))
        return true;
    why->status = "4.3.0"; /* full, broken or slow: to a client it is all one */
    return false;
}

static void log_group(const struct acceptance *acceptance, const struct group *group)
{
    const struct session *session = acceptance->session;
    char id[ID_TEXT_SIZE], size[24], recipients[24];

    id_print(group->id, id);
    snprintf(size, sizeof size, "%zu", acceptance->pieces.size);
    snprintf(recipients, sizeof recipients, "%zu", group->count);
    log_fact(LOG_LEVEL_INFO, "message accepted", {"message", span_of(id)},
             {"organisation", group->organisation_name},
             {"listener", span_of(listener_word(session))},
             {"client", span_of(session->address_text)}, {"size", span_of(size)},
             {"recipients", span_of(recipients)});
}

static void acknowledge(struct acceptance *acceptance)
{
    char ids[RECEIVE_GROUPS_MAX * ID_TEXT_SIZE];
    size_t len = 0;

    for (size_t i = 0; i < acceptance->group_count; i++) {
        if (i > 0)
            ids[len++] = ' ';
        id_print(acceptance->groups[i].id, ids + len);
        len += ID_TEXT_SIZE - 1;
    }
    say(acceptance->session, 250, "2.0.0", "Ok: %s is in safe keeping", ids);
}

/* Our own trouble is never the message's: the sender may try again. */
static void say_not_now(struct session *session, const struct error *why)
{
    bool is_full = why->kind == ERROR_TEMPORARY && strcmp(why->status, "4.3.1") == 0;

    log_error(LOG_LEVEL_WARNING, "message not taken", why);
    if (is_full)
        say(session, 452, "4.3.1", "No room for the message just now, try again shortly");
    else
        say(session, 451, "4.3.0", "The message could not be kept just now, try again shortly");
}

/* One reply speaks for all recipients, so it names the first one's rule. */
static void say_refused(struct acceptance *acceptance)
{
    struct span rule = acceptance->decided[0].decision.rule;
    char reason[ERROR_TEXT_SIZE];

    snprintf(reason, sizeof reason, "refused by the rule \"%.*s\"",
             SPAN_ARGS(span_until(rule, 200)));
    tell_refused(acceptance->session, EVENT_MESSAGE_REFUSED, "5.7.1", reason);
    say(acceptance->session, 550, "5.7.1", "The message is %s", reason);
}

void accept_message(struct session *session)
{
    struct acceptance acceptance = {
        .session = session,
        .policy = session->transaction.policy,
        .arena = session->arena,
        .now_ms = clock_wall_ms(session->receive->terms.clock),
    };
    struct error why;

    if (!acceptance_decide(&acceptance, &why)) {
        say_not_now(session, &why);
    } else if (acceptance.refused == acceptance.count) {
        say_refused(&acceptance);
    } else if (!pack(&acceptance, &why) || !commit(&acceptance, &why)) {
        tell_refused(session, EVENT_MESSAGE_REFUSED, "4.3.0", "could not be kept");
        say_not_now(session, &why);
    } else {
        acknowledge(&acceptance);
        session->errors = 0; /* who brings mail may err now and then */
        for (size_t i = 0; i < acceptance.group_count; i++) {
            group_hand_over(&acceptance, &acceptance.groups[i]);
            log_group(&acceptance, &acceptance.groups[i]);
        }
    }
    for (size_t i = 0; i < acceptance.group_count; i++)
        group_clear(&acceptance, &acceptance.groups[i]);
}
