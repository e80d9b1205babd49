/* Writes a DSN, decides its way, seals it and stores it as any other message. */
/* SPDX-License-Identifier: ISC */
#include "report.h"

#include "base/log.h"
#include "base/secret.h"
#include "deliver/limits.h"
#include "message/dsn.h"
#include "message/limits.h"
#include "policy/policy.h"
#include "room.h"
#include "store/limits.h"

#include <string.h>

/* Address, reason and reply stand in it twice at most, each no longer than a reply may be. */
_Static_assert((STORE_RECIPIENTS_MAX + 1) * 8 * DSN_REPLY_MAX <= REPORT_BYTES_MAX,
               "a report has no room for all recipients");

struct report {
    struct job *job;
    struct recording *recording;
    struct arena *arena; /* the recording's */
    struct id id;
    int64_t now_ms;
    const struct policy *policy;
    struct address sender; /* who gets it */
    const struct route *route;
    struct key_pair pair;
    struct store_change *change;
};

bool report_is_due(const struct letter *letter)
{
    return letter->is_sender_known && !letter->is_report && letter->has_sender &&
           letter->sender.len > 0;
}

/* What was refused has a status of class 5, whatever the peer's own said (RFC 3464 section 2.3.4).
 */
static const char *failed_status(const struct verdict *verdict, struct arena *arena)
{
    char *status;

    if (strlen(verdict->status) < 5)
        return "5.0.0";
    status = arena_string(arena, span_of(verdict->status));
    if (!status)
        return "5.0.0";
    /* Where only time ran out, the last 4.x.x says more than "expired" would. */
    if (verdict->outcome != OUTCOME_TEMPORARY)
        status[0] = '5';
    return status;
}

static bool write_text(const struct report *r, struct delivery *const *failed, size_t count,
                       struct buffer *text, struct error *why)
{
    struct dsn_recipient *recipients = arena_take_array(r->arena, count, sizeof *recipients);
    const struct letter *letter = r->job->letter;
    struct dsn_facts facts = {.message = letter->id,
                              .report = r->id,
                              .host_name = policy_settings(r->policy)->hostname,
                              .sender = letter->sender,
                              .arrived_at_ms = letter->accepted_at_ms,
                              .now_ms = r->now_ms,
                              .recipients = recipients,
                              .recipient_count = count};

    if (!recipients)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
    for (size_t i = 0; i < count; i++) {
        const struct delivery *delivery = failed[i];

        recipients[i] = (struct dsn_recipient){
            .address = delivery->recipient,
            .status = failed_status(&delivery->verdict, r->arena),
            .reason = span_of(delivery->verdict.reason),
            .remote_host = delivery->by ? delivery->by->host : (struct span){"", 0},
            .peer_reply =
                delivery->verdict.reply.data ? delivery->verdict.reply : (struct span){"", 0},
            .last_attempt_ms = delivery->by ? r->now_ms : 0,
        };
    }
    return dsn_write(&facts, text, why);
}

static struct span seal(const struct report *r, const char *what, struct span plain)
{
    scoped_buffer sealed;

    buffer_init(&sealed, SEAL_TEXT_MAX + SEAL_TEXT_OVERHEAD);
    if (!text_seal(&r->pair.keys.record, r->id, what, plain, r->job->letter->deliver->terms.entropy,
                   &sealed))
        return (struct span){0};
    return arena_copy(r->arena, buffer_span(&sealed));
}

static bool seal_body(const struct report *r, struct span text)
{
    scoped(content_cipher) cipher = content_cipher_new(&r->pair.keys.content, r->id);
    size_t count = text.len / SEAL_CHUNK_BYTES + 1;
    struct span *chunks = arena_take_array(r->arena, count, sizeof *chunks);

    if (!cipher || !chunks)
        return false;
    if (count > 1 && text.len % SEAL_CHUNK_BYTES == 0)
        count--; /* the last chunk is never empty */
    for (size_t i = 0; i < count; i++) {
        struct span plain = span_until(span_from(text, i * SEAL_CHUNK_BYTES), SEAL_CHUNK_BYTES);
        scoped_buffer sealed;

        buffer_init(&sealed, SEAL_CHUNK_BYTES + SEAL_CHUNK_OVERHEAD);
        if (!content_seal(cipher, (uint32_t)i, i + 1 == count, &plain, 1, &sealed))
            return false;
        chunks[i] = arena_copy(r->arena, buffer_span(&sealed));
        if (!chunks[i].data)
            return false;
    }
    r->change->accept.body = chunks;
    r->change->accept.body_count = count;
    return true;
}

/* Inwards where the sender is ours and has a route, else by a verified name, else not at all. */
static struct span ladder_text(const struct report *r)
{
    const struct rung rungs[] = {{.way = r->route ? WAY_ROUTE : WAY_TLS_VERIFY},
                                 {.way = WAY_RETURN}};
    const struct ladder ladder = {.rungs = rungs, .count = 2};

    return ladder_print(&ladder, r->arena);
}

static struct span seal_facts(const struct report *r, size_t size)
{
    scoped_buffer plain;
    struct facts facts = {.to = r->sender,
                          .through = SPAN_LITERAL(""),
                          .subject = SPAN_LITERAL(""),
                          .size = size,
                          .recipients = 1,
                          .is_inward = r->route != NULL};

    if (!policy_organisation_of_name(r->policy, r->job->letter->organisation, &facts.organisation))
        facts.organisation = 0;
    buffer_init_secret(&plain, SEAL_TEXT_MAX);
    facts_print(&facts, r->job->letter->organisation, &plain);
    return plain.failed ? (struct span){0} : seal(r, TEXT_FACTS, buffer_span(&plain));
}

static bool fill_message(const struct report *r, size_t size)
{
    const struct wrapped_keys *wrapped = &r->pair.wrapped;
    struct store_message *message = &r->change->accept.message;

    *message = (struct store_message){
        .id = r->id,
        .organisation = arena_copy(r->arena, r->job->letter->organisation),
        .accepted_at_ms = r->now_ms,
        .size = size,
        .is_report = true,
        .is_inward = r->route != NULL,
        .wrapped_content = arena_copy(r->arena, span_make(wrapped->content, WRAPPED_KEY_BYTES)),
        .wrapped_record = arena_copy(r->arena, span_make(wrapped->record, WRAPPED_KEY_BYTES)),
        .content_day = wrapped->content_day,
        .record_day = wrapped->record_day,
        .sender = seal(r, TEXT_SENDER, (struct span){"", 0}),
        .facts = seal_facts(r, size),
    };
    return message->organisation.data && message->wrapped_content.data &&
           message->wrapped_record.data && message->sender.data && message->facts.data;
}

static bool fill_delivery(const struct report *r, const struct ladder *ladder,
                          struct store_delivery *delivery)
{
    struct step step = ladder_begin(ladder, r->now_ms);
    struct binding binding = {.message = r->id,
                              .delivery = 1,
                              .organisation = r->job->letter->organisation,
                              .recipient = r->job->letter->sender,
                              .ladder = delivery->ladder};

    delivery->number = 1;
    delivery->state = DELIVERY_WAITING;
    delivery->destination = policy_destination(r->route, &r->sender, r->arena);
    delivery->recipient = seal(r, TEXT_RECIPIENT, r->job->letter->sender);
    delivery->rule = SPAN_LITERAL("report");
    delivery->is_rule_of_gateway = true;
    delivery->rung = (uint32_t)step.rung;
    delivery->rung_since_ms = delivery->due_at_ms = r->now_ms;
    delivery->ends_at_ms = step.rung_ends_at_ms;
    memcpy(delivery->policy_digest, policy_digest(r->policy), sizeof delivery->policy_digest);
    memcpy(binding.policy_digest, delivery->policy_digest, sizeof binding.policy_digest);
    binding_tag(&r->pair.keys.content, &binding, delivery->tag);
    return delivery->destination.data && delivery->recipient.data;
}

static bool fill_leaves(const struct report *r, const struct store_delivery *delivery, size_t size)
{
    struct store_leaf *leaves = arena_take_array(r->arena, 2, sizeof *leaves);
    struct span organisation = r->change->accept.message.organisation;
    const struct event_field accepted[] = {
        EVENT_TEXT(FIELD_LISTENER, SPAN_LITERAL("report")),
        EVENT_NUMBER(FIELD_SIZE, size),
        EVENT_NUMBER(FIELD_RECIPIENTS, 1),
    };
    const struct event_field decided[] = {
        EVENT_NUMBER(FIELD_STATE, delivery->state),
        EVENT_NUMBER(FIELD_RUNG, delivery->rung),
        EVENT_TEXT(FIELD_RULE, delivery->rule),
        EVENT_TEXT(FIELD_LADDER, delivery->ladder),
        EVENT_TEXT(FIELD_POLICY_DIGEST,
                   span_make(delivery->policy_digest, sizeof delivery->policy_digest)),
    };

    r->change->leaves = leaves;
    r->change->leaf_count = 2;
    return leaves &&
           event_leaf(EVENT_MESSAGE_ACCEPTED, r->id, 0, organisation, r->now_ms, accepted,
                      sizeof accepted / sizeof accepted[0], r->arena, &leaves[0]) &&
           event_leaf(EVENT_DELIVERY_DECIDED, r->id, 1, organisation, r->now_ms, decided,
                      sizeof decided / sizeof decided[0], r->arena, &leaves[1]);
}

static bool fill(struct report *r, struct span text)
{
    struct store_delivery *delivery = arena_take(r->arena, sizeof *delivery);
    struct ladder ladder;
    struct error why;

    r->change = recording_add(r->recording);
    if (!r->change || !delivery)
        return false;
    r->change->kind = STORE_ACCEPT;
    r->change->accept.deliveries = delivery;
    r->change->accept.delivery_count = 1;
    delivery->ladder = ladder_text(r);
    return delivery->ladder.data && ladder_parse(delivery->ladder, r->arena, &ladder, &why) &&
           seal_body(r, text) && fill_message(r, text.len) && fill_delivery(r, &ladder, delivery) &&
           fill_leaves(r, delivery, text.len);
}

static bool make(struct report *r, struct delivery *const *failed, size_t count, struct error *why)
{
    const struct deliver_terms *terms = &r->job->letter->deliver->terms;
    size_t changes_before = r->recording->count;
    scoped_buffer text;

    buffer_init_secret(&text, REPORT_BYTES_MAX);
    if (!address_parse(r->job->letter->sender, r->job->arena, &r->sender, why))
        return false;
    r->route = policy_route(r->policy, &r->sender);
    if (!write_text(r, failed, count, &text, why) ||
        !keeper_take_pair(terms->keeper, r->job->letter->organisation,
                          clock_day(r->now_ms) + CONTENT_CLASS_DAYS,
                          clock_day(r->now_ms) + RECORD_CLASS_DAYS, &r->pair, why))
        return false;
    if (fill(r, buffer_span(&text))) {
        r->recording->makes_work = true;
        return true;
    }
    r->recording->count = changes_before; /* the half of a report is none */
    return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out for a report");
}

bool report_add(struct job *job, struct delivery *const *failed, size_t count,
                struct recording *recording, struct id *id, struct error *why)
{
    const struct deliver_terms *terms = &job->letter->deliver->terms;
    scoped(policy) policy = policy_slot_get(terms->policy);
    struct report r = {.job = job,
                       .recording = recording,
                       .arena = recording->arena,
                       .id = id_make(terms->clock, terms->entropy),
                       .now_ms = clock_wall_ms(terms->clock),
                       .policy = policy};
    bool is_made = make(&r, failed, count, why);

    secret_wipe(&r.pair, sizeof r.pair);
    if (is_made)
        *id = r.id;
    return is_made;
}
