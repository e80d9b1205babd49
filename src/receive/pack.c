/* One stored message: its keys, its sealed body and texts, a row and a leaf for each delivery. */
/* SPDX-License-Identifier: ISC */
#include "acceptance.h"

#include "base/memory.h"
#include "base/secret.h"
#include "keys/limits.h"
#include "message/limits.h"

#include <assert.h>

static bool out_of_memory(struct error *why)
{
    return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory to seal a message");
}

/* The next at most SEAL_CHUNK_BYTES of the pieces, as slices; how many of them. */
struct slicer {
    const struct pieces *pieces;
    size_t at;    /* the piece */
    size_t begun; /* bytes of it that are behind us */
};

static size_t next_slices(struct slicer *slicer, struct span *slices)
{
    size_t count = 0, room = SEAL_CHUNK_BYTES;

    while (room > 0 && slicer->at < slicer->pieces->count) {
        struct span rest = span_from(slicer->pieces->spans[slicer->at], slicer->begun);
        struct span slice = span_until(rest, room);

        slices[count++] = slice;
        room -= slice.len;
        slicer->begun += slice.len;
        if (slice.len == rest.len) {
            slicer->at++;
            slicer->begun = 0;
        }
    }
    return count;
}

/* Seals the body; its chunks are slices of group->sealed. */
static bool seal_body(struct acceptance *acceptance, struct group *group, struct error *why)
{
    const struct pieces *pieces = &acceptance->pieces;
    size_t chunks = pieces->size / SEAL_CHUNK_BYTES + (pieces->size % SEAL_CHUNK_BYTES != 0);
    size_t size = pieces->size + chunks * SEAL_CHUNK_OVERHEAD;
    struct span *bodies = arena_take_array(acceptance->arena, chunks, sizeof *bodies);
    struct span *slices = arena_take_array(acceptance->arena, pieces->count, sizeof *slices);
    scoped(content_cipher) cipher = content_cipher_new(&group->pair.keys.content, group->id);
    struct slicer slicer = {.pieces = pieces};

    assert(chunks > 0); /* our Received field at least */
    if (!bodies || !slices || !cipher || !service_take_bytes(acceptance->session->receive, size))
        return out_of_memory(why);
    group->bytes_taken = size;
    buffer_init(&group->sealed, size);
    if (!buffer_reserve(&group->sealed, size)) /* whole, so that the slices stay where they are */
        return out_of_memory(why);
    for (size_t i = 0; i < chunks; i++) {
        size_t count = next_slices(&slicer, slices), from = group->sealed.len;

        if (!content_seal(cipher, (uint32_t)i, i + 1 == chunks, slices, count, &group->sealed))
            return out_of_memory(why);
        bodies[i] = span_from(buffer_span(&group->sealed), from);
    }
    group->change.accept.body = bodies;
    group->change.accept.body_count = chunks;
    return true;
}

/* One text sealed under the record key; .data is NULL when it could not be. */
static struct span seal_text(const struct acceptance *acceptance, const struct group *group,
                             const char *what, struct span plain)
{
    scoped_buffer sealed;

    buffer_init(&sealed, SEAL_TEXT_MAX + SEAL_TEXT_OVERHEAD);
    if (!text_seal(&group->pair.keys.record, group->id, what, plain,
                   acceptance->session->receive->terms.entropy, &sealed))
        return (struct span){NULL, 0};
    return arena_copy(acceptance->arena, buffer_span(&sealed));
}

/* Addresses and what stands between the parts, with room to spare. */
_Static_assert(HEADER_TEXT_MAX + POLICY_THROUGH_MAX + POLICY_ORGANISATION_MAX + 4096 <=
                   SEAL_TEXT_MAX,
               "the facts of a message must fit, or it is not taken");

/* The facts are stored once: of the recipient the first one's stand for all, and a later decision
 * puts in that of its delivery. */
static struct span seal_facts(const struct acceptance *acceptance, const struct group *group,
                              const struct decided *first)
{
    struct facts facts = acceptance->facts;
    scoped_buffer plain;

    facts.organisation = group->organisation;
    facts.is_inward = group->is_inward;
    facts.to = first->recipient->address;
    buffer_init_secret(&plain, SEAL_TEXT_MAX);
    facts_print(&facts, group->organisation_name, &plain);
    if (plain.failed)
        return (struct span){NULL, 0};
    return seal_text(acceptance, group, TEXT_FACTS, buffer_span(&plain));
}

static bool pack_message(struct acceptance *acceptance, struct group *group,
                         const struct decided *first, struct error *why)
{
    const struct session *session = acceptance->session;
    const struct wrapped_keys *wrapped = &group->pair.wrapped;
    struct store_message *message = &group->change.accept.message;

    *message = (struct store_message){
        .id = group->id,
        .organisation = group->organisation_name,
        .accepted_at_ms = acceptance->now_ms,
        .size = acceptance->pieces.size,
        .has_8bit = session->transaction.content.has_8bit,
        .is_sender_known = session->is_trusted && !address_is_null(&session->transaction.sender),
        .is_inward = group->is_inward,
        .wrapped_content = span_make(wrapped->content, sizeof wrapped->content),
        .wrapped_record = span_make(wrapped->record, sizeof wrapped->record),
        .content_day = wrapped->content_day,
        .record_day = wrapped->record_day,
        .sender = seal_text(acceptance, group, TEXT_SENDER, acceptance->sender),
        .facts = seal_facts(acceptance, group, first),
    };
    return (message->sender.data && message->facts.data) || out_of_memory(why);
}

static bool pack_delivery(const struct acceptance *acceptance, const struct group *group,
                          const struct decided *decided, uint32_t number,
                          struct store_delivery *delivery)
{
    struct binding binding = {
        .message = group->id,
        .delivery = number,
        .organisation = group->organisation_name,
        .recipient = decided->address,
        .ladder = decided->ladder,
    };
    const bool is_leased = group->lease != 0 && decided->state == DELIVERY_WAITING;

    memcpy(binding.policy_digest, policy_digest(acceptance->policy), POLICY_DIGEST_SIZE);
    *delivery = (struct store_delivery){
        .number = number,
        .state = decided->state,
        .destination = decided->destination,
        .recipient = seal_text(acceptance, group, TEXT_RECIPIENT, decided->address),
        .ladder = decided->ladder,
        .rule = decided->decision.rule,
        .is_rule_of_gateway = decided->decision.is_gateway_rule,
        .rung = decided->rung,
        .rung_since_ms = acceptance->now_ms,
        .due_at_ms = acceptance->now_ms + (is_leased ? RECEIVE_LEASE_MS : 0),
        .ends_at_ms = decided->ends_at_ms,
        .lease = is_leased ? group->lease : 0,
    };
    if (decided->state == DELIVERY_HELD)
        delivery->due_at_ms = decided->ends_at_ms;
    memcpy(delivery->policy_digest, binding.policy_digest, sizeof delivery->policy_digest);
    binding_tag(&group->pair.keys.content, &binding, delivery->tag);
    return delivery->recipient.data;
}

static bool write_accepted(const struct acceptance *acceptance, const struct group *group,
                           struct store_leaf *leaf)
{
    const struct session *session = acceptance->session;
    const struct tls_proof *tls =
        stream_is_tls(session->stream) ? stream_proof(session->stream) : NULL;
    const char *fault = session->transaction.fault;
    const struct span none = {NULL, 0};
    const struct event_field fields[] = {
        EVENT_TEXT(FIELD_LISTENER, span_of(listener_word(session))),
        EVENT_TEXT(FIELD_ADDRESS, span_of(session->address_text)),
        EVENT_TEXT(FIELD_THROUGH, session->is_trusted ? span_of(session->through) : none),
        EVENT_TEXT(FIELD_TLS_VERSION, tls ? span_of(tls->version) : none),
        EVENT_TEXT(FIELD_TLS_CIPHER, tls ? span_of(tls->cipher) : none),
        EVENT_TEXT(FIELD_CERTIFICATE, tls && tls->has_certificate
                                          ? span_make(tls->fingerprint, sizeof tls->fingerprint)
                                          : none),
        EVENT_NUMBER(FIELD_SIZE, acceptance->pieces.size),
        EVENT_NUMBER(FIELD_RECIPIENTS, group->count),
        EVENT_TEXT(FIELD_CLIENT_FAULT, fault ? span_of(fault) : none),
    };

    return event_leaf(EVENT_MESSAGE_ACCEPTED, group->id, 0, group->organisation_name,
                      acceptance->now_ms, fields, sizeof fields / sizeof fields[0],
                      acceptance->arena, leaf);
}

static bool write_decided(const struct acceptance *acceptance, const struct group *group,
                          const struct store_delivery *delivery, struct store_leaf *leaf)
{
    const struct event_field fields[] = {
        EVENT_NUMBER(FIELD_STATE, delivery->state),
        EVENT_NUMBER(FIELD_RUNG, delivery->rung),
        EVENT_TEXT(FIELD_RULE, delivery->rule),
        EVENT_TEXT(FIELD_LADDER, delivery->ladder),
        EVENT_TEXT(FIELD_POLICY_DIGEST,
                   span_make(delivery->policy_digest, sizeof delivery->policy_digest)),
    };

    return event_leaf(EVENT_DELIVERY_DECIDED, group->id, delivery->number, group->organisation_name,
                      acceptance->now_ms, fields, sizeof fields / sizeof fields[0],
                      acceptance->arena, leaf);
}

/* Room for it between us and the deliverer? Then its rows are born leased to him. */
static void reserve_handover(const struct acceptance *acceptance, struct group *group)
{
    struct handover *handover = acceptance->session->receive->terms.handover;
    uint64_t lease = handover && group->waiting > 0 ? handover_lease(handover) : 0;

    if (lease != 0 && handover_reserve(handover, acceptance->pieces.size, &group->reserved))
        group->lease = lease;
}

static bool pack_deliveries(struct acceptance *acceptance, struct group *group, struct error *why)
{
    size_t group_number = (size_t)(group - acceptance->groups), at = 0, fresh = 0;
    struct store_leaf *leaves =
        arena_take_array(acceptance->arena, group->count + 1, sizeof *leaves);

    group->deliveries =
        arena_take_array(acceptance->arena, group->count, sizeof *group->deliveries);
    group->fresh = arena_take_array(acceptance->arena, group->waiting, sizeof *group->fresh);
    if (!leaves || !group->deliveries || (group->waiting > 0 && !group->fresh) ||
        !write_accepted(acceptance, group, &leaves[0]))
        return out_of_memory(why);
    for (size_t i = 0; i < acceptance->count; i++) {
        const struct decided *decided = &acceptance->decided[i];
        struct store_delivery *delivery = &group->deliveries[at];

        if (decided->group != group_number)
            continue;
        at++;
        if (!pack_delivery(acceptance, group, decided, (uint32_t)at, delivery) ||
            !write_decided(acceptance, group, delivery, &leaves[at]))
            return out_of_memory(why);
        if (delivery->state == DELIVERY_WAITING)
            group->fresh[fresh++] = (struct fresh_delivery){
                .number = delivery->number,
                .recipient = decided->address,
                .destination = decided->destination,
                .ladder = decided->ladder,
            };
    }
    group->change.accept.deliveries = group->deliveries;
    group->change.accept.delivery_count = at;
    group->change.leaves = leaves;
    group->change.leaf_count = at + 1;
    return true;
}

static const struct decided *first_of(const struct acceptance *acceptance,
                                      const struct group *group)
{
    size_t i = 0;

    while (&acceptance->groups[acceptance->decided[i].group] != group)
        i++; /* a group has at least one */
    return &acceptance->decided[i];
}

bool group_pack(struct acceptance *acceptance, struct group *group, struct error *why)
{
    group->change.kind = STORE_ACCEPT;
    if (!keeper_take_pair(acceptance->session->receive->terms.keeper, group->organisation_name,
                          group->content_day, clock_day(acceptance->now_ms) + RECORD_CLASS_DAYS,
                          &group->pair, why))
        return false;
    reserve_handover(acceptance, group);
    return seal_body(acceptance, group, why) &&
           pack_message(acceptance, group, first_of(acceptance, group), why) &&
           pack_deliveries(acceptance, group, why);
}

void group_hand_over(const struct acceptance *acceptance, struct group *group)
{
    const struct receive_terms *terms = &acceptance->session->receive->terms;
    const struct store_message *message = &group->change.accept.message;
    struct fresh_message fresh;

    if (group->lease == 0) {
        if (group->waiting > 0 && terms->shared)
            doorbell_ring(terms->shared, DOORBELL_QUEUE);
        return;
    }
    fresh = (struct fresh_message){
        .id = group->id,
        .lease = group->lease,
        .organisation = group->organisation_name,
        .accepted_at_ms = acceptance->now_ms,
        .has_8bit = message->has_8bit,
        .is_sender_known = message->is_sender_known,
        .sender = acceptance->sender,
        .deliveries = group->fresh,
        .delivery_count = group->waiting,
    };
    _Static_assert(sizeof fresh.keys == 2 * (size_t)KEY_BYTES,
                   "the content's key and the record's");
    memcpy(fresh.keys, group->pair.keys.content.bytes, KEY_BYTES);
    memcpy(fresh.keys + KEY_BYTES, group->pair.keys.record.bytes, KEY_BYTES);
    memcpy(fresh.policy_digest, policy_digest(acceptance->policy), sizeof fresh.policy_digest);
    handover_publish(terms->handover, group->reserved, &fresh, acceptance->pieces.spans,
                     acceptance->pieces.count, terms->shared);
    group->lease = 0; /* it is the deliverer's now */
    secret_wipe(&fresh, sizeof fresh);
}

void group_clear(const struct acceptance *acceptance, struct group *group)
{
    struct receive *receive = acceptance->session->receive;

    if (group->lease != 0)
        handover_give_back(receive->terms.handover, group->reserved);
    group->lease = 0;
    secret_wipe(&group->pair, sizeof group->pair);
    buffer_clear(&group->sealed);
    service_give_bytes(receive, group->bytes_taken);
    group->bytes_taken = 0;
}
