/* One request of a sibling, answered: what it may ask, what the record in hand must prove first. */
/* SPDX-License-Identifier: ISC */
#include "base/secret.h"
#include "keeper_protocol.h"

#include <assert.h>

bool keeper_state_init(struct keeper_state *state, const struct keeper_terms *terms)
{
    *state = (struct keeper_state){.terms = terms, .gcm = gcm_new()};
    return state->gcm != NULL;
}

void keeper_state_clear(struct keeper_state *state)
{
    EVP_CIPHER_CTX_free(state->gcm);
    secret_wipe(state, sizeof *state);
}

/* ---- what requests have in common ---- */

static bool is_name(const struct keeper_name *name)
{
    return name->len <= sizeof name->bytes; /* none: the gateway's own */
}

static struct span name_span(const struct keeper_name *name)
{
    return span_make(name->bytes, name->len);
}

/* A class may end between today and the longest life of a record, and a day for clocks that differ.
 */
static bool is_class_day(const struct keeper_state *state, int32_t day)
{
    int32_t today = clock_day(clock_wall_ms(state->terms->clock));

    return day >= today && (int64_t)day <= (int64_t)today + RECORD_CLASS_DAYS + 1;
}

static enum keeper_status unwrap_one(struct keeper_state *state, struct span organisation,
                                     enum keeper_class_kind kind,
                                     const struct wrapped_keys *wrapped, struct key *key)
{
    bool is_content = kind == KEEPER_CLASS_CONTENT;
    struct keeper_class_name name = {organisation, kind,
                                     is_content ? wrapped->content_day : wrapped->record_day};

    if (!keeper_file_class_key(state->terms->file, &name, &state->plain.under))
        return KEEPER_NO_CLASS;
    return key_unwrap(&state->terms->file->wrapper, &state->plain.under,
                      is_content ? wrapped->content : wrapped->record, key)
               ? KEEPER_DONE
               : KEEPER_NO_KEY;
}

static bool is_well_formed(const struct keeper_wire_delivery *delivery)
{
    return is_name(&delivery->organisation) && delivery->is_held <= 1 &&
           delivery->recipient_len <= sizeof delivery->sealed_recipient &&
           delivery->ladder_len <= sizeof delivery->ladder;
}

static struct binding binding_of(const struct keeper_state *state,
                                 const struct keeper_wire_delivery *delivery)
{
    struct binding binding = {.message = delivery->message,
                              .delivery = delivery->delivery,
                              .organisation = name_span(&delivery->organisation),
                              .recipient =
                                  span_make(state->plain.recipient, state->plain.recipient_len),
                              .ladder = span_make(delivery->ladder, delivery->ladder_len)};

    memcpy(binding.policy_digest, delivery->policy_digest, sizeof binding.policy_digest);
    return binding;
}

/* Opens both keys and the recipient into state->plain, if the tag fits what the record says. */
static enum keeper_status prove(struct keeper_state *state,
                                const struct keeper_wire_delivery *delivery)
{
    struct span organisation = name_span(&delivery->organisation);
    struct message_keys *keys = &state->plain.keys;
    uint8_t tag[BINDING_TAG_BYTES];
    struct binding binding;
    enum keeper_status status =
        unwrap_one(state, organisation, KEEPER_CLASS_CONTENT, &delivery->wrapped, &keys->content);

    if (status == KEEPER_DONE)
        status =
            unwrap_one(state, organisation, KEEPER_CLASS_RECORD, &delivery->wrapped, &keys->record);
    if (status != KEEPER_DONE)
        return status;
    if (!text_open_into(state->gcm, &keys->record, delivery->message, TEXT_RECIPIENT,
                        span_make(delivery->sealed_recipient, delivery->recipient_len),
                        state->plain.recipient, &state->plain.recipient_len))
        return KEEPER_NO_TEXT;
    binding = binding_of(state, delivery);
    binding_tag(&keys->content, &binding, tag);
    return secret_equal(tag, delivery->tag, sizeof tag) ? KEEPER_DONE : KEEPER_WRONG_TAG;
}

/* ---- the operations ---- */

/* Fresh keys of one class, into state->plain. False: the class is not there. */
static bool make_keys(struct keeper_state *state, const struct keeper_class_name *class)
{
    if (!keeper_file_class_key(state->terms->file, class, &state->plain.under))
        return false;
    entropy_fill(state->terms->entropy, state->plain.fresh, sizeof state->plain.fresh);
    key_wrap_all(&state->terms->file->wrapper, &state->plain.under, state->plain.fresh,
                 KEEPER_PAIRS_MAX, state->plain.wrapped);
    return true;
}

static enum keeper_status make_pairs(struct keeper_state *state,
                                     const struct keeper_request *request,
                                     struct keeper_reply *reply)
{
    struct span organisation = name_span(&request->as.pairs.organisation);
    struct keeper_class_name names[KEEPER_CLASS_KIND_COUNT] = {
        {organisation, KEEPER_CLASS_CONTENT, request->as.pairs.content_day},
        {organisation, KEEPER_CLASS_RECORD, request->as.pairs.record_day}};
    struct key_pair *pairs = reply->as.pairs;
    struct error why;

    if (!is_name(&request->as.pairs.organisation))
        return KEEPER_MALFORMED;
    if (!is_class_day(state, names[0].day) || !is_class_day(state, names[1].day))
        return KEEPER_WRONG_DAY;
    if (!keeper_file_ensure(state->terms->file, names, KEEPER_CLASS_KIND_COUNT,
                            state->terms->entropy, &why))
        return KEEPER_NO_DISK;
    if (!make_keys(state, &names[0]))
        return KEEPER_NO_CLASS;
    for (size_t i = 0; i < KEEPER_PAIRS_MAX; i++) {
        pairs[i].keys.content = state->plain.fresh[i];
        pairs[i].wrapped.content_day = names[0].day;
        memcpy(pairs[i].wrapped.content, state->plain.wrapped[i], WRAPPED_KEY_BYTES);
    }
    if (!make_keys(state, &names[1]))
        return KEEPER_NO_CLASS;
    for (size_t i = 0; i < KEEPER_PAIRS_MAX; i++) {
        pairs[i].keys.record = state->plain.fresh[i];
        pairs[i].wrapped.record_day = names[1].day;
        memcpy(pairs[i].wrapped.record, state->plain.wrapped[i], WRAPPED_KEY_BYTES);
    }
    return KEEPER_DONE;
}

/* A ladder whose first rung sends nothing: nobody who delivers needs to open what stands on it. */
static bool sends_nothing(struct span ladder)
{
    return span_starts_with(ladder, SPAN_LITERAL("{ hold")) ||
           span_starts_with(ladder, SPAN_LITERAL("{ return"));
}

/* Opens what `deliver` asks for into state->plain, and counts it. */
static enum keeper_status unwrap_for_deliver(struct keeper_state *state,
                                             const struct keeper_wire_delivery *delivery,
                                             bool needs_content)
{
    struct span ladder = span_make(delivery->ladder, delivery->ladder_len);
    enum keeper_status status;

    /* Counted before it is looked at: whoever tries tags is as limited as a thief with true ones.
     */
    if (!rate_allows(&state->unwraps, KEEPER_UNWRAPS_A_MINUTE,
                     clock_monotonic_ns(state->terms->clock)))
        return KEEPER_BUSY;
    if (needs_content && (delivery->is_held == 1 || sends_nothing(ladder)))
        return KEEPER_IS_HELD;
    status = prove(state, delivery);
    if (status == KEEPER_DONE)
        state->terms->file->table.unwraps++;
    return status;
}

static enum keeper_status unwrap(struct keeper_state *state, const struct keeper_request *request,
                                 struct keeper_reply *reply)
{
    enum keeper_status status;

    if (!is_well_formed(&request->as.unwrap))
        return KEEPER_MALFORMED;
    status = unwrap_for_deliver(state, &request->as.unwrap, true);
    if (status == KEEPER_DONE)
        reply->as.keys = state->plain.keys;
    return status;
}

/* What is held, and what a rule refuses, ends with a report: that needs its people, not its text.
 */
static enum keeper_status unwrap_record(struct keeper_state *state,
                                        const struct keeper_request *request,
                                        struct keeper_reply *reply)
{
    enum keeper_status status;

    if (!is_well_formed(&request->as.unwrap))
        return KEEPER_MALFORMED;
    status = unwrap_for_deliver(state, &request->as.unwrap, false);
    if (status == KEEPER_DONE)
        reply->as.record = state->plain.keys.record;
    return status;
}

static enum keeper_status bind_again(struct keeper_state *state,
                                     const struct keeper_request *request,
                                     struct keeper_reply *reply)
{
    const struct keeper_wire_delivery *delivery = &request->as.bind_again.delivery;
    struct keeper_file *file = state->terms->file;
    struct keeper_class_name later = {name_span(&delivery->organisation), KEEPER_CLASS_CONTENT,
                                      request->as.bind_again.new_content_day};
    struct binding binding;
    struct error why;
    enum keeper_status status;

    if (!is_well_formed(delivery) ||
        request->as.bind_again.new_ladder_len > sizeof request->as.bind_again.new_ladder)
        return KEEPER_MALFORMED;
    status = prove(state, delivery);
    if (status != KEEPER_DONE)
        return status;
    reply->as.bound.wrapped = delivery->wrapped;
    if (later.day > delivery->wrapped.content_day) {
        if (!is_class_day(state, later.day))
            return KEEPER_WRONG_DAY;
        if (!keeper_file_ensure(file, &later, 1, state->terms->entropy, &why))
            return KEEPER_NO_DISK;
        if (!keeper_file_class_key(file, &later, &state->plain.under))
            return KEEPER_NO_CLASS;
        key_wrap(&file->wrapper, &state->plain.under, &state->plain.keys.content,
                 reply->as.bound.wrapped.content);
        reply->as.bound.wrapped.content_day = later.day;
    }
    binding = binding_of(state, delivery);
    binding.ladder =
        span_make(request->as.bind_again.new_ladder, request->as.bind_again.new_ladder_len);
    memcpy(binding.policy_digest, request->as.bind_again.new_policy_digest,
           sizeof binding.policy_digest);
    binding_tag(&state->plain.keys.content, &binding, reply->as.bound.tag);
    return KEEPER_DONE;
}

static enum keeper_status open_text(struct keeper_state *state,
                                    const struct keeper_request *request,
                                    struct keeper_reply *reply)
{
    struct span sealed = span_make(request->as.open_text.sealed, request->as.open_text.sealed_len);
    enum keeper_status status;
    size_t len;

    if (!is_name(&request->as.open_text.organisation) ||
        request->as.open_text.what >= KEEPER_TEXT_COUNT ||
        sealed.len > sizeof request->as.open_text.sealed)
        return KEEPER_MALFORMED;
    status = unwrap_one(state, name_span(&request->as.open_text.organisation), KEEPER_CLASS_RECORD,
                        &request->as.open_text.wrapped, &state->plain.keys.record);
    if (status != KEEPER_DONE)
        return status;
    if (!text_open_into(state->gcm, &state->plain.keys.record, request->as.open_text.message,
                        keeper_texts[request->as.open_text.what], sealed, reply->as.text.bytes,
                        &len))
        return KEEPER_NO_TEXT;
    reply->as.text.len = (uint32_t)len;
    state->terms->file->table.texts++;
    return KEEPER_DONE;
}

static enum keeper_status sign_tls(struct keeper_state *state, const struct keeper_request *request,
                                   struct keeper_reply *reply)
{
    const struct keeper_terms *terms = state->terms;
    struct span input = span_make(request->as.sign_tls.input, request->as.sign_tls.input_len);
    size_t len = sizeof reply->as.signature.bytes;

    if (input.len > sizeof request->as.sign_tls.input)
        return KEEPER_MALFORMED;
    if (request->as.sign_tls.signer >= terms->signer_count ||
        !terms->signers[request->as.sign_tls.signer].sign(
            terms->signers[request->as.sign_tls.signer].key, input, reply->as.signature.bytes,
            &len))
        return KEEPER_NO_SIGNER;
    assert(len <= sizeof reply->as.signature.bytes);
    reply->as.signature.len = (uint32_t)len;
    return KEEPER_DONE;
}

/* A journal only grows. Another root at the same size is another journal. An older epoch would be a
 * way back to what a newer one has named as a gap. */
static bool may_follow(const struct checkpoint *last, const struct checkpoint *next)
{
    if (next->epoch != last->epoch)
        return next->epoch > last->epoch;
    return next->size > last->size ||
           (next->size == last->size && memcmp(next->root, last->root, sizeof next->root) == 0);
}

static enum keeper_status sign_checkpoint(struct keeper_state *state,
                                          const struct keeper_request *request,
                                          struct keeper_reply *reply)
{
    struct keeper_file *file = state->terms->file;
    struct keeper_table before = file->table;
    struct checkpoint next = request->as.sign_checkpoint;
    uint8_t text[CHECKPOINT_CANONICAL_BYTES];
    struct error why;

    if (before.has_checkpoint && !may_follow(&before.last, &next))
        return KEEPER_OLD_TREE;
    next.unwraps = before.unwraps;
    next.texts = before.texts;
    checkpoint_canonical(&next, text);
    if (!keeper_file_sign(file, span_make(text, sizeof text), next.signature))
        return KEEPER_NO_DISK;
    file->table.has_checkpoint = true;
    file->table.last = next;
    /* On the disk before it is out of the house: a crash must not let a smaller tree follow it. */
    if (!keeper_file_save(file, &why)) {
        file->table = before;
        return KEEPER_NO_DISK;
    }
    reply->as.checkpoint.checkpoint = next;
    keeper_file_checkpoint_key(file, reply->as.checkpoint.key);
    return KEEPER_DONE;
}

static enum keeper_status last_checkpoint(struct keeper_state *state,
                                          const struct keeper_request *request,
                                          struct keeper_reply *reply)
{
    const struct keeper_file *file = state->terms->file;

    (void)request;
    if (file->table.has_checkpoint)
        reply->as.checkpoint.checkpoint = file->table.last;
    keeper_file_checkpoint_key(file, reply->as.checkpoint.key);
    return KEEPER_DONE;
}

/* What was told is on the disk with the next checkpoint: a crash before it tells it twice, and
 * never not at all. */
static enum keeper_status count_destroyed(struct keeper_state *state,
                                          const struct keeper_request *request,
                                          struct keeper_reply *reply)
{
    struct keeper_table *table = &state->terms->file->table;
    uint64_t told = request->as.destroyed.told;

    if (told > table->destroyed)
        return KEEPER_MALFORMED;
    if (told > table->destroyed_told)
        table->destroyed_told = told;
    reply->as.destroyed.count = table->destroyed;
    reply->as.destroyed.told = table->destroyed_told;
    return KEEPER_DONE;
}

static enum keeper_status (*const answers[])(struct keeper_state *, const struct keeper_request *,
                                             struct keeper_reply *) = {
    [KEEPER_OP_PAIRS] = make_pairs,
    [KEEPER_OP_UNWRAP] = unwrap,
    [KEEPER_OP_BIND_AGAIN] = bind_again,
    [KEEPER_OP_OPEN_TEXT] = open_text,
    [KEEPER_OP_SIGN_TLS] = sign_tls,
    [KEEPER_OP_SIGN_CHECKPOINT] = sign_checkpoint,
    [KEEPER_OP_LAST_CHECKPOINT] = last_checkpoint,
    [KEEPER_OP_UNWRAP_RECORD] = unwrap_record,
    [KEEPER_OP_DESTROYED] = count_destroyed,
};
_Static_assert(sizeof answers / sizeof answers[0] == KEEPER_OP_COUNT, "an operation unanswered");

/* Version, operation, role and length; only then a value is read. */
static enum keeper_status admit(enum keeper_peer peer, const struct keeper_request *request,
                                size_t request_len)
{
    if (request->head.version != KEEPER_PROTOCOL_VERSION || request->head.op >= KEEPER_OP_COUNT)
        return KEEPER_MALFORMED;
    if (!(keeper_operations[request->head.op].peers & 1u << peer))
        return KEEPER_WRONG_ROLE;
    return request_len == keeper_operations[request->head.op].request_size ? KEEPER_DONE
                                                                           : KEEPER_MALFORMED;
}

size_t keeper_answer(struct keeper_state *state, enum keeper_peer peer,
                     const struct keeper_request *request, size_t request_len,
                     struct keeper_reply *reply)
{
    enum keeper_status status;

    if (request_len < sizeof request->head)
        return 0;
    memset(reply, 0, sizeof *reply); /* what is not written tells nothing */
    status = admit(peer, request, request_len);
    if (status == KEEPER_DONE)
        status = answers[request->head.op](state, request, reply);
    secret_wipe(&state->plain, sizeof state->plain);
    reply->head = (struct keeper_head){.version = KEEPER_PROTOCOL_VERSION,
                                       .op = request->head.op,
                                       .number = request->head.number,
                                       .status = status};
    if (status == KEEPER_DONE)
        return keeper_operations[request->head.op].reply_size;
    secret_wipe(&reply->as, sizeof reply->as);
    return sizeof reply->head;
}
