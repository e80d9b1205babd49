/* What the keeper answers to each request: the record in hand must prove itself, byte by byte. */
/* SPDX-License-Identifier: ISC */
#include "keeper_protocol.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* One keeper in memory, and one message with two deliveries. */
enum { TODAY = 20000, CONTENT_DAY = TODAY + 14, RECORD_DAY = TODAY + 2192 };
static struct clock_by_hand hand;
static struct clock the_clock;
static struct keeper_terms terms;
static struct keeper_state keeper;
static struct keeper_request request;
static struct keeper_reply reply;
static struct key_pair pair;
static const struct id message = {{1, 2, 3}};
#define ORGANISATION SPAN_LITERAL("clinic")
#define LADDER SPAN_LITERAL("{ tls verify for 4 hours, return }")

static bool sign_like_a_key(void *key, struct span input, uint8_t *signature, size_t *len)
{
    if (strcmp(key, "key 1") != 0 || input.len == 0)
        return false;
    memset(signature, 's', input.len);
    *len = input.len;
    return true;
}
static const struct keeper_signer signers[] = {{sign_like_a_key, "key 0"},
                                               {sign_like_a_key, "key 1"}};

static enum keeper_status ask_as(enum keeper_peer peer, enum keeper_op op, size_t len)
{
    size_t size;

    request.head.version = KEEPER_PROTOCOL_VERSION;
    request.head.op = op;
    request.head.number++;
    memset(&reply, 0xaa, sizeof reply);
    size = keeper_answer(&keeper, peer, &request, len, &reply);
    assert_int_equal(reply.head.number, request.head.number);
    assert_int_equal(reply.head.op, op);
    if (reply.head.status == KEEPER_DONE) {
        assert_int_equal(size, keeper_operations[op].reply_size);
    } else {
        assert_int_equal(size, sizeof reply.head); /* a refusal carries nothing */
        for (size_t i = 0; i < sizeof reply.as; i++)
            assert_int_equal(((const uint8_t *)&reply.as)[i], 0);
    }
    for (size_t i = 0; i < sizeof keeper.plain; i++)
        assert_int_equal(((const uint8_t *)&keeper.plain)[i], 0); /* nor does the keeper keep any */
    return (enum keeper_status)reply.head.status;
}

static enum keeper_status ask(enum keeper_op op)
{
    static const enum keeper_peer peers[] = {
        [KEEPER_OP_PAIRS] = KEEPER_PEER_RECEIVE,
        [KEEPER_OP_UNWRAP] = KEEPER_PEER_DELIVER,
        [KEEPER_OP_BIND_AGAIN] = KEEPER_PEER_CONTROL,
        [KEEPER_OP_OPEN_TEXT] = KEEPER_PEER_CONTROL,
        [KEEPER_OP_SIGN_TLS] = KEEPER_PEER_RECEIVE,
        [KEEPER_OP_SIGN_CHECKPOINT] = KEEPER_PEER_CONTROL,
        [KEEPER_OP_LAST_CHECKPOINT] = KEEPER_PEER_CONTROL,
        [KEEPER_OP_UNWRAP_RECORD] = KEEPER_PEER_DELIVER,
        [KEEPER_OP_DESTROYED] = KEEPER_PEER_CONTROL,
    };

    return ask_as(peers[op], op, keeper_operations[op].request_size);
}

static void put_name(struct keeper_name *name, struct span text)
{
    memset(name, 0, sizeof *name);
    name->len = (uint32_t)text.len;
    memcpy(name->bytes, text.data, text.len);
}

static void request_pairs(struct span organisation, int32_t content_day, int32_t record_day)
{
    memset(&request, 0, sizeof request);
    put_name(&request.as.pairs.organisation, organisation);
    request.as.pairs.content_day = content_day;
    request.as.pairs.record_day = record_day;
}

static void put_sealed(const char *what, struct span plain, char *out, uint32_t *len)
{
    scoped_buffer sealed;

    buffer_init(&sealed, SEAL_TEXT_MAX + SEAL_TEXT_OVERHEAD);
    assert_true(text_seal(&pair.keys.record, message, what, plain, &entropy_of_system, &sealed));
    memcpy(out, sealed.data, sealed.len);
    *len = (uint32_t)sealed.len;
}

/* A delivery as `receive` writes it. */
static void put_delivery(struct keeper_wire_delivery *out, uint32_t number, struct span recipient,
                         struct span ladder)
{
    struct binding binding = {.message = message,
                              .delivery = number,
                              .organisation = ORGANISATION,
                              .recipient = recipient,
                              .ladder = ladder,
                              .policy_digest = {9, 9}};

    memset(out, 0, sizeof *out);
    out->wrapped = pair.wrapped;
    out->message = message;
    out->delivery = number;
    put_name(&out->organisation, ORGANISATION);
    out->policy_digest[0] = out->policy_digest[1] = 9;
    put_sealed(TEXT_RECIPIENT, recipient, out->sealed_recipient, &out->recipient_len);
    out->ladder_len = (uint32_t)ladder.len;
    memcpy(out->ladder, ladder.data, ladder.len);
    binding_tag(&pair.keys.content, &binding, out->tag);
}

static void request_unwrap(struct span ladder)
{
    memset(&request, 0, sizeof request);
    put_delivery(&request.as.unwrap, 1, SPAN_LITERAL("ann@x.example"), ladder);
}

static int begin(void **state)
{
    static const struct keeper_master master = {KEEPER_MASTER_RAW,
                                                SPAN_LITERAL("0123456789abcdef0123456789abcdef")};
    struct error why;

    (void)state;
    hand = (struct clock_by_hand){.wall_ms = (int64_t)TODAY * 86400000 + 1000,
                                  .monotonic_ns = 5000000000};
    the_clock = clock_by_hand(&hand);
    terms = (struct keeper_terms){.signers = signers,
                                  .signer_count = 2,
                                  .clock = &the_clock,
                                  .entropy = &entropy_of_system,
                                  .peers = {-1, -1, -1},
                                  .stop = -1};
    if (!keeper_file_new_in_memory(&master, &entropy_of_system, &terms.file, &why) ||
        !keeper_state_init(&keeper, &terms))
        return -1;
    request_pairs(ORGANISATION, CONTENT_DAY, RECORD_DAY);
    if (ask(KEEPER_OP_PAIRS) != KEEPER_DONE)
        return -1;
    pair = reply.as.pairs[KEEPER_PAIRS_MAX - 1];
    return 0;
}

static int end(void **state)
{
    (void)state;
    keeper_state_clear(&keeper);
    keeper_file_free(terms.file);
    return 0;
}

static void pairs_differ_and_name_their_days(void **state)
{
    (void)state;
    request_pairs(ORGANISATION, CONTENT_DAY, RECORD_DAY);
    assert_int_equal(ask(KEEPER_OP_PAIRS), KEEPER_DONE);
    for (size_t i = 0; i < KEEPER_PAIRS_MAX; i++) {
        const struct key_pair *one = &reply.as.pairs[i];

        assert_int_equal(one->wrapped.content_day, CONTENT_DAY);
        assert_int_equal(one->wrapped.record_day, RECORD_DAY);
        assert_memory_not_equal(&one->keys.content, &one->keys.record, KEY_BYTES);
        if (i > 0)
            assert_memory_not_equal(&one->keys, &one[-1].keys, sizeof one->keys);
    }
    assert_int_equal(terms.file->table.class_count, 2); /* made once, used twice */
}

static const struct day_case {
    const char *name;
    int32_t content_day, record_day;
    enum keeper_status status;
} days[] = {
    {"today is a day", TODAY, TODAY, KEEPER_DONE},
    {"yesterday is none", TODAY - 1, RECORD_DAY, KEEPER_WRONG_DAY},
    {"nor for the record", CONTENT_DAY, TODAY - 1, KEEPER_WRONG_DAY},
    {"the longest life and a day", TODAY + RECORD_CLASS_DAYS + 1, RECORD_DAY, KEEPER_DONE},
    {"a day longer", TODAY + RECORD_CLASS_DAYS + 2, RECORD_DAY, KEEPER_WRONG_DAY},
    {"the last of all days", CONTENT_DAY, INT32_MAX, KEEPER_WRONG_DAY},
    {"the first of all days", INT32_MIN, RECORD_DAY, KEEPER_WRONG_DAY},
};

static void a_class_ends_on_a_day_that_can_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        request_pairs(ORGANISATION, days[i].content_day, days[i].record_day);
        if (ask(KEEPER_OP_PAIRS) != days[i].status)
            fail_msg("%s", days[i].name);
    }
}

static void what_receive_bound_deliver_may_open(void **state)
{
    (void)state;
    request_unwrap(LADDER);
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_DONE);
    assert_memory_equal(&reply.as.keys, &pair.keys, sizeof pair.keys);
    assert_int_equal(terms.file->table.unwraps, 1);
}

/* Each byte of what the tag covers, of the wrapped keys, of the tag itself, and each length. */
static void a_delivery_with_any_byte_changed_is_refused(void **state)
{
    struct keeper_wire_delivery *delivery = &request.as.unwrap;
    uint8_t *bytes = (uint8_t *)delivery;

    (void)state;
    request_unwrap(LADDER);
    for (size_t i = 0; i < sizeof *delivery; i++) {
        size_t name = offsetof(struct keeper_wire_delivery, organisation.bytes);
        size_t recipient = offsetof(struct keeper_wire_delivery, sealed_recipient);
        size_t ladder = offsetof(struct keeper_wire_delivery, ladder);
        bool is_unused = (i >= name + delivery->organisation.len && i < name + 128) ||
                         (i >= recipient + delivery->recipient_len && i < ladder) ||
                         i >= ladder + delivery->ladder_len;

        bytes[i] ^= 1;
        assert_int_equal(ask(KEEPER_OP_UNWRAP) == KEEPER_DONE, is_unused);
        bytes[i] ^= 1;
    }
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_DONE);
}

static void swapped_recipients_are_refused(void **state)
{
    struct keeper_wire_delivery ann, bob;

    (void)state;
    memset(&request, 0, sizeof request);
    put_delivery(&ann, 1, SPAN_LITERAL("ann@x.example"), LADDER);
    put_delivery(&bob, 2, SPAN_LITERAL("bob@x.example"), LADDER);
    request.as.unwrap = ann;
    memcpy(request.as.unwrap.sealed_recipient, bob.sealed_recipient, bob.recipient_len);
    request.as.unwrap.recipient_len = bob.recipient_len;
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_WRONG_TAG);
    request.as.unwrap = ann;
    memcpy(request.as.unwrap.tag, bob.tag, sizeof bob.tag);
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_WRONG_TAG);
    request.as.unwrap.delivery = 2;
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_WRONG_TAG);
}

static void a_sender_is_not_taken_for_a_recipient(void **state)
{
    (void)state;
    request_unwrap(LADDER);
    put_sealed(TEXT_SENDER, SPAN_LITERAL("ann@x.example"), request.as.unwrap.sealed_recipient,
               &request.as.unwrap.recipient_len);
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_NO_TEXT);
}

static void another_organisation_opens_nothing(void **state)
{
    (void)state;
    request_pairs(SPAN_LITERAL("praxis"), CONTENT_DAY, RECORD_DAY);
    assert_int_equal(ask(KEEPER_OP_PAIRS), KEEPER_DONE);
    request_unwrap(LADDER);
    put_name(&request.as.unwrap.organisation, SPAN_LITERAL("praxis"));
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_NO_KEY);
    put_name(&request.as.unwrap.organisation, SPAN_LITERAL("nobody"));
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_NO_CLASS);
    assert_int_equal(terms.file->table.organisation_count, 2); /* none was made by asking */
}

static void what_is_held_or_returned_is_not_opened_for_delivery(void **state)
{
    (void)state;
    request_unwrap(LADDER);
    request.as.unwrap.is_held = 1;
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_IS_HELD);
    request_unwrap(SPAN_LITERAL("{ hold for 7 days }"));
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_IS_HELD);
    request_unwrap(SPAN_LITERAL("{ return }"));
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_IS_HELD);
    request_unwrap(SPAN_LITERAL("{ tls verify, hold }"));
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_DONE);
}

static void of_what_is_held_or_returned_the_record_alone_is_opened(void **state)
{
    static const char *const ladders[] = {"{ hold for 7 days }", "{ return }",
                                          "{ tls verify, hold }"};

    (void)state;
    for (size_t i = 0; i < sizeof ladders / sizeof ladders[0]; i++) {
        request_unwrap(span_of(ladders[i]));
        request.as.unwrap.is_held = 1;
        assert_int_equal(ask(KEEPER_OP_UNWRAP_RECORD), KEEPER_DONE);
        assert_memory_equal(&reply.as.record, &pair.keys.record, sizeof reply.as.record);
        request.as.unwrap.tag[0] ^= 1; /* and it is as exact as for both */
        assert_int_equal(ask(KEEPER_OP_UNWRAP_RECORD), KEEPER_WRONG_TAG);
    }
    assert_int_equal(terms.file->table.unwraps, 3);
}

static void an_expired_class_opens_nothing(void **state)
{
    size_t destroyed;
    struct error why;

    (void)state;
    assert_true(keeper_file_expire(terms.file, CONTENT_DAY + 1, &destroyed, &why));
    assert_int_equal(destroyed, 1);
    request_unwrap(LADDER);
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_NO_CLASS);
}

static void no_more_is_opened_in_a_minute_than_the_limit(void **state)
{
    (void)state;
    request_unwrap(LADDER);
    request.as.unwrap.is_held = 1; /* attempts count too, and this one is quick */
    for (unsigned i = 0; i < KEEPER_UNWRAPS_A_MINUTE; i++)
        if (ask(KEEPER_OP_UNWRAP) != KEEPER_IS_HELD)
            fail();
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_BUSY);
    clock_by_hand_move(&hand, 59999);
    request_unwrap(LADDER);
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_BUSY);
    clock_by_hand_move(&hand, 2000);
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_DONE);
}

static void request_bind_again(struct span new_ladder, int32_t new_content_day)
{
    memset(&request, 0, sizeof request);
    put_delivery(&request.as.bind_again.delivery, 1, SPAN_LITERAL("ann@x.example"),
                 SPAN_LITERAL("{ hold }"));
    request.as.bind_again.delivery.is_held = 1;
    request.as.bind_again.uid = 1000;
    request.as.bind_again.new_content_day = new_content_day;
    request.as.bind_again.new_policy_digest[5] = 5;
    request.as.bind_again.new_ladder_len = (uint32_t)new_ladder.len;
    memcpy(request.as.bind_again.new_ladder, new_ladder.data, new_ladder.len);
}

static void a_held_delivery_bound_to_another_ladder_opens_under_it_alone(void **state)
{
    static const int32_t new_days[] = {0, CONTENT_DAY, CONTENT_DAY + 7};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct keeper_wire_delivery bound;

        request_bind_again(LADDER, new_days[i]);
        bound = request.as.bind_again.delivery;
        assert_int_equal(ask(KEEPER_OP_BIND_AGAIN), KEEPER_DONE);
        memcpy(bound.tag, reply.as.bound.tag, sizeof bound.tag);
        bound.wrapped = reply.as.bound.wrapped;
        bound.is_held = 0;
        assert_int_equal(bound.wrapped.content_day,
                         new_days[i] > CONTENT_DAY ? new_days[i] : CONTENT_DAY);
        assert_int_equal(memcmp(&bound.wrapped, &pair.wrapped, sizeof bound.wrapped) == 0,
                         new_days[i] <= CONTENT_DAY);

        request.as.unwrap = bound; /* still with the ladder and digest of old */
        assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_IS_HELD);
        memcpy(bound.ladder, LADDER.data, LADDER.len);
        bound.ladder_len = (uint32_t)LADDER.len;
        request.as.unwrap = bound;
        assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_WRONG_TAG);
        memset(bound.policy_digest, 0, sizeof bound.policy_digest);
        bound.policy_digest[5] = 5;
        request.as.unwrap = bound;
        assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_DONE);
        assert_memory_equal(&reply.as.keys, &pair.keys, sizeof pair.keys);
    }
}

static void a_delivery_that_proves_nothing_is_not_bound_again(void **state)
{
    (void)state;
    request_bind_again(LADDER, 0);
    request.as.bind_again.delivery.tag[31] ^= 0x80;
    assert_int_equal(ask(KEEPER_OP_BIND_AGAIN), KEEPER_WRONG_TAG);
    request_bind_again(LADDER, TODAY + RECORD_CLASS_DAYS + 2);
    assert_int_equal(ask(KEEPER_OP_BIND_AGAIN), KEEPER_WRONG_DAY);
    request_bind_again(LADDER, 0);
    request.as.bind_again.new_ladder_len = KEEPER_LADDER_MAX + 1;
    assert_int_equal(ask(KEEPER_OP_BIND_AGAIN), KEEPER_MALFORMED);
}

static void request_text(uint32_t what, struct span plain)
{
    memset(&request, 0, sizeof request);
    request.as.open_text.wrapped = pair.wrapped;
    request.as.open_text.message = message;
    request.as.open_text.uid = 1000;
    request.as.open_text.what = what;
    put_name(&request.as.open_text.organisation, ORGANISATION);
    put_sealed(keeper_texts[what], plain, request.as.open_text.sealed,
               &request.as.open_text.sealed_len);
}

static void a_text_is_opened_as_what_it_is_and_counted(void **state)
{
    static char longest[SEAL_TEXT_MAX];

    (void)state;
    for (uint32_t what = 0; what < KEEPER_TEXT_COUNT; what++) {
        request_text(what, span_make(longest, sizeof longest));
        assert_int_equal(ask(KEEPER_OP_OPEN_TEXT), KEEPER_DONE);
        assert_int_equal(reply.as.text.len, sizeof longest);
        assert_memory_equal(reply.as.text.bytes, longest, sizeof longest);
        request.as.open_text.what = (what + 1) % KEEPER_TEXT_COUNT;
        assert_int_equal(ask(KEEPER_OP_OPEN_TEXT), KEEPER_NO_TEXT);
    }
    assert_int_equal(terms.file->table.texts, KEEPER_TEXT_COUNT);
}

static void a_text_opens_after_its_content_has_expired(void **state)
{
    size_t destroyed;
    struct error why;

    (void)state;
    request_text(0, SPAN_LITERAL("ann@clinic.example"));
    assert_true(keeper_file_expire(terms.file, CONTENT_DAY + 1, &destroyed, &why));
    memset(request.as.open_text.wrapped.content, 0, WRAPPED_KEY_BYTES); /* erased in the store */
    assert_int_equal(ask(KEEPER_OP_OPEN_TEXT), KEEPER_DONE);
    assert_true(keeper_file_expire(terms.file, RECORD_DAY + 1, &destroyed, &why));
    assert_int_equal(ask(KEEPER_OP_OPEN_TEXT), KEEPER_NO_CLASS);
}

static void a_text_with_any_byte_changed_is_refused(void **state)
{
    (void)state;
    request_text(0, SPAN_LITERAL("ann@clinic.example"));
    for (size_t i = 0; i < request.as.open_text.sealed_len; i++) {
        request.as.open_text.sealed[i] ^= 1;
        assert_int_equal(ask(KEEPER_OP_OPEN_TEXT), KEEPER_NO_TEXT);
        request.as.open_text.sealed[i] ^= 1;
    }
    for (size_t i = 0; i < WRAPPED_KEY_BYTES; i++) {
        request.as.open_text.wrapped.record[i] ^= 1;
        assert_int_equal(ask(KEEPER_OP_OPEN_TEXT), KEEPER_NO_KEY);
        request.as.open_text.wrapped.record[i] ^= 1;
    }
    request.as.open_text.sealed_len = SEAL_TEXT_OVERHEAD - 1;
    assert_int_equal(ask(KEEPER_OP_OPEN_TEXT), KEEPER_NO_TEXT);
    request.as.open_text.sealed_len = UINT32_MAX;
    assert_int_equal(ask(KEEPER_OP_OPEN_TEXT), KEEPER_MALFORMED);
    request.as.open_text.sealed_len = 40;
    request.as.open_text.what = KEEPER_TEXT_COUNT;
    assert_int_equal(ask(KEEPER_OP_OPEN_TEXT), KEEPER_MALFORMED);
}

static void a_handshake_is_signed_with_the_key_of_its_number(void **state)
{
    (void)state;
    memset(&request, 0, sizeof request);
    request.as.sign_tls.signer = 1;
    request.as.sign_tls.input_len = KEEPER_TLS_INPUT_MAX;
    assert_int_equal(ask(KEEPER_OP_SIGN_TLS), KEEPER_DONE);
    assert_int_equal(reply.as.signature.len, KEEPER_TLS_INPUT_MAX);
    assert_int_equal(reply.as.signature.bytes[511], 's');
    request.as.sign_tls.input_len = 0;
    assert_int_equal(ask(KEEPER_OP_SIGN_TLS), KEEPER_NO_SIGNER);
    request.as.sign_tls.input_len = KEEPER_TLS_INPUT_MAX + 1;
    assert_int_equal(ask(KEEPER_OP_SIGN_TLS), KEEPER_MALFORMED);
    request.as.sign_tls.input_len = 1;
    request.as.sign_tls.signer = 2;
    assert_int_equal(ask(KEEPER_OP_SIGN_TLS), KEEPER_NO_SIGNER);
}

static enum keeper_status ask_checkpoint(uint64_t epoch, uint64_t size, uint8_t root)
{
    memset(&request, 0, sizeof request);
    request.as.sign_checkpoint =
        (struct checkpoint){.epoch = epoch, .size = size, .root = {root}, .at_ms = 77};
    return ask(KEEPER_OP_SIGN_CHECKPOINT);
}

static void the_tree_may_only_grow(void **state)
{
    (void)state;
    assert_int_equal(ask_checkpoint(1, 10, 1), KEEPER_DONE);
    assert_int_equal(ask_checkpoint(1, 10, 1), KEEPER_DONE); /* asked twice: the same answer */
    assert_int_equal(ask_checkpoint(1, 10, 2), KEEPER_OLD_TREE);
    assert_int_equal(ask_checkpoint(1, 9, 1), KEEPER_OLD_TREE);
    assert_int_equal(ask_checkpoint(1, 11, 3), KEEPER_DONE);
    assert_int_equal(ask_checkpoint(2, 5, 1), KEEPER_DONE); /* a new epoch names the gap itself */
    assert_int_equal(ask_checkpoint(1, 12, 3), KEEPER_OLD_TREE);
    memset(&request, 0, sizeof request);
    assert_int_equal(ask(KEEPER_OP_LAST_CHECKPOINT), KEEPER_DONE);
    assert_int_equal(reply.as.checkpoint.checkpoint.epoch, 2);
    assert_int_equal(reply.as.checkpoint.checkpoint.size, 5);
}

/* The same keeper with a file on a disk that stops taking writes. */
static void what_cannot_be_written_is_not_answered(void **state)
{
    static const struct keeper_master master = {KEEPER_MASTER_RAW,
                                                SPAN_LITERAL("0123456789abcdef0123456789abcdef")};
    struct keeper_file *in_memory = terms.file;
    char directory[] = "/tmp/test_keeper_answer.XXXXXX", path[64], kept[64], lock[64];
    struct error why;

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/keeper", directory);
    snprintf(kept, sizeof kept, "%s/kept", directory);
    snprintf(lock, sizeof lock, "%s/keeper.lock", directory);
    assert_true(keeper_file_open(path, &master, true, &entropy_of_system, &terms.file, &why));
    assert_int_equal(ask_checkpoint(1, 10, 1), KEEPER_DONE);
    assert_int_equal(rename(path, kept), 0);
    assert_int_equal(mkdir(path, 0700), 0); /* a file cannot take its place */
    assert_int_equal(ask_checkpoint(1, 11, 1), KEEPER_NO_DISK);
    request_pairs(ORGANISATION, CONTENT_DAY, RECORD_DAY);
    assert_int_equal(ask(KEEPER_OP_PAIRS), KEEPER_NO_DISK);
    memset(&request, 0, sizeof request);
    assert_int_equal(ask(KEEPER_OP_LAST_CHECKPOINT), KEEPER_DONE);
    assert_int_equal(reply.as.checkpoint.checkpoint.size, 10);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(ask_checkpoint(1, 11, 1), KEEPER_DONE); /* asked again when there is room */
    keeper_file_free(terms.file);
    terms.file = in_memory;
    unlink(path);
    unlink(kept);
    unlink(lock);
    assert_int_equal(rmdir(directory), 0);
}

static void no_checkpoint_is_one_of_size_zero(void **state)
{
    uint8_t key[CHECKPOINT_KEY_BYTES];

    (void)state;
    memset(&request, 0, sizeof request);
    assert_int_equal(ask(KEEPER_OP_LAST_CHECKPOINT), KEEPER_DONE);
    assert_int_equal(reply.as.checkpoint.checkpoint.size, 0);
    keeper_file_checkpoint_key(terms.file, key);
    assert_memory_equal(reply.as.checkpoint.key, key, sizeof key);
}

static void a_checkpoint_verifies_and_none_of_its_bytes_can_change(void **state)
{
    struct checkpoint checkpoint;
    uint8_t *bytes = (uint8_t *)&checkpoint, key[CHECKPOINT_KEY_BYTES];

    (void)state;
    request_unwrap(LADDER);
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_DONE);
    assert_int_equal(ask_checkpoint(1, 10, 1), KEEPER_DONE);
    checkpoint = reply.as.checkpoint.checkpoint;
    memcpy(key, reply.as.checkpoint.key, sizeof key);
    assert_int_equal(checkpoint.unwraps, 1);
    assert_int_equal(checkpoint.at_ms, 77);
    assert_true(checkpoint_verify(&checkpoint, key));
    for (size_t i = 0; i < sizeof checkpoint; i++) {
        bytes[i] ^= 1;
        assert_false(checkpoint_verify(&checkpoint, key));
        bytes[i] ^= 1;
    }
    key[0] ^= 1;
    assert_false(checkpoint_verify(&checkpoint, key));
}

static enum keeper_status count_destroyed(uint64_t told)
{
    memset(&request, 0, sizeof request);
    request.as.destroyed.told = told;
    return ask(KEEPER_OP_DESTROYED);
}

static void destroyed_classes_are_counted_and_what_was_told_is_remembered(void **state)
{
    static const struct {
        uint64_t asked, told; /* told: as the answer says */
    } steps[] = {{0, 0}, {1, 1}, {0, 1}, {2, 2}, {1, 2}, {2, 2}};
    size_t destroyed;
    struct error why;

    (void)state;
    assert_int_equal(count_destroyed(0), KEEPER_DONE);
    assert_int_equal(reply.as.destroyed.count, 0);
    assert_int_equal(count_destroyed(1), KEEPER_MALFORMED); /* there were none */
    assert_true(keeper_file_expire(terms.file, RECORD_DAY + 1, &destroyed, &why));
    assert_int_equal(destroyed, 2);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_int_equal(count_destroyed(steps[i].asked), KEEPER_DONE);
        assert_int_equal(reply.as.destroyed.count, 2);
        assert_int_equal(reply.as.destroyed.told, steps[i].told);
    }
    assert_int_equal(count_destroyed(3), KEEPER_MALFORMED);
}

static void each_role_may_ask_what_it_needs_and_nothing_else(void **state)
{
    static const bool may[KEEPER_OP_COUNT][KEEPER_PEER_COUNT] = {
        /*                              receive, deliver, control */
        [KEEPER_OP_PAIRS] = {true, true, false},
        [KEEPER_OP_UNWRAP] = {false, true, false},
        [KEEPER_OP_BIND_AGAIN] = {false, false, true},
        [KEEPER_OP_OPEN_TEXT] = {false, false, true},
        [KEEPER_OP_SIGN_TLS] = {true, true, false},
        [KEEPER_OP_SIGN_CHECKPOINT] = {false, false, true},
        [KEEPER_OP_LAST_CHECKPOINT] = {false, false, true},
        [KEEPER_OP_UNWRAP_RECORD] = {false, true, false},
        [KEEPER_OP_DESTROYED] = {false, false, true},
    };

    (void)state;
    for (unsigned op = 0; op < KEEPER_OP_COUNT; op++)
        for (unsigned peer = 0; peer < KEEPER_PEER_COUNT; peer++) {
            memset(&request, 0, sizeof request);
            assert_int_equal(ask_as((enum keeper_peer)peer, (enum keeper_op)op,
                                    keeper_operations[op].request_size) != KEEPER_WRONG_ROLE,
                             may[op][peer]);
        }
}

static void a_request_of_any_other_length_or_version_is_refused(void **state)
{
    (void)state;
    for (unsigned op = 0; op < KEEPER_OP_COUNT; op++) {
        size_t size = keeper_operations[op].request_size;
        enum keeper_peer peer = KEEPER_PEER_RECEIVE;

        while (!(keeper_operations[op].peers & 1u << peer))
            peer++;
        memset(&request, 0, sizeof request);
        for (size_t len = sizeof request.head; len < size; len += 7)
            assert_int_equal(ask_as(peer, (enum keeper_op)op, len), KEEPER_MALFORMED);
        assert_int_equal(ask_as(peer, (enum keeper_op)op, size + 1), KEEPER_MALFORMED);
    }
    for (size_t len = 0; len < sizeof request.head; len++)
        assert_int_equal(keeper_answer(&keeper, KEEPER_PEER_RECEIVE, &request, len, &reply), 0);
    request_pairs(ORGANISATION, CONTENT_DAY, RECORD_DAY);
    request.head = (struct keeper_head){.version = 2, .op = KEEPER_OP_PAIRS, .number = 5};
    assert_int_equal(keeper_answer(&keeper, KEEPER_PEER_RECEIVE, &request,
                                   keeper_operations[KEEPER_OP_PAIRS].request_size, &reply),
                     sizeof reply.head);
    assert_int_equal(reply.head.status, KEEPER_MALFORMED);
    request.head = (struct keeper_head){.version = 1, .op = KEEPER_OP_COUNT, .number = 5};
    assert_int_equal(keeper_answer(&keeper, KEEPER_PEER_RECEIVE, &request,
                                   keeper_operations[KEEPER_OP_PAIRS].request_size, &reply),
                     sizeof reply.head);
}

static void the_gateways_own_organisation_has_the_empty_name(void **state)
{
    scoped_buffer out;
    struct keeper_table table;
    struct error why;

    (void)state;
    buffer_init(&out, MIB(1));
    request_pairs(SPAN_LITERAL(""), CONTENT_DAY, RECORD_DAY);
    assert_int_equal(ask(KEEPER_OP_PAIRS), KEEPER_DONE);
    assert_int_equal(terms.file->table.organisation_count, 2);
    assert_true(keeper_table_print(&terms.file->table, INT32_MIN, &out));
    assert_true(keeper_table_parse(buffer_span(&out), &table, &why));
    assert_int_equal(keeper_organisation_index(&table, SPAN_LITERAL("")), 1);
    keeper_table_clear(&table);
    request_unwrap(LADDER); /* the clinic's */
    request.as.unwrap.organisation.len = 0;
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_NO_KEY);
}

static void a_name_that_is_too_long_is_refused(void **state)
{
    static const uint32_t lens[] = {KEEPER_ORGANISATION_NAME_MAX + 1, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        request_pairs(ORGANISATION, CONTENT_DAY, RECORD_DAY);
        request.as.pairs.organisation.len = lens[i];
        assert_int_equal(ask(KEEPER_OP_PAIRS), KEEPER_MALFORMED);
        request_unwrap(LADDER);
        request.as.unwrap.organisation.len = lens[i];
        assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_MALFORMED);
        request_text(0, SPAN_LITERAL("x"));
        request.as.open_text.organisation.len = lens[i];
        assert_int_equal(ask(KEEPER_OP_OPEN_TEXT), KEEPER_MALFORMED);
    }
}

static void there_is_an_end_to_organisations(void **state)
{
    unsigned made = 1;

    (void)state;
    for (;; made++) {
        char name[16];

        snprintf(name, sizeof name, "o%u", made);
        request_pairs(span_of(name), CONTENT_DAY, RECORD_DAY);
        if (ask(KEEPER_OP_PAIRS) != KEEPER_DONE)
            break;
    }
    assert_int_equal(made, KEEPER_ORGANISATIONS_MAX);
    assert_int_equal(reply.head.status, KEEPER_NO_DISK); /* temporary: it waits for the keeper */
    request_unwrap(LADDER);
    assert_int_equal(ask(KEEPER_OP_UNWRAP), KEEPER_DONE); /* the others go on */
}

static void every_status_has_a_text(void **state)
{
    struct error why;

    (void)state;
    for (uint32_t i = 0; i < KEEPER_STATUS_COUNT; i++)
        assert_non_null(keeper_status_text(i));
    assert_null(keeper_status_text(KEEPER_STATUS_COUNT));
    assert_false(keeper_status_set(&why, KEEPER_STATUS_COUNT));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_false(keeper_status_set(&why, KEEPER_BUSY));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_string_equal(why.status, "4.3.0");
}

#define WITH_KEEPER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_KEEPER(pairs_differ_and_name_their_days),
        WITH_KEEPER(a_class_ends_on_a_day_that_can_be),
        WITH_KEEPER(what_receive_bound_deliver_may_open),
        WITH_KEEPER(a_delivery_with_any_byte_changed_is_refused),
        WITH_KEEPER(swapped_recipients_are_refused),
        WITH_KEEPER(a_sender_is_not_taken_for_a_recipient),
        WITH_KEEPER(another_organisation_opens_nothing),
        WITH_KEEPER(what_is_held_or_returned_is_not_opened_for_delivery),
        WITH_KEEPER(of_what_is_held_or_returned_the_record_alone_is_opened),
        WITH_KEEPER(an_expired_class_opens_nothing),
        WITH_KEEPER(destroyed_classes_are_counted_and_what_was_told_is_remembered),
        WITH_KEEPER(no_more_is_opened_in_a_minute_than_the_limit),
        WITH_KEEPER(a_held_delivery_bound_to_another_ladder_opens_under_it_alone),
        WITH_KEEPER(a_delivery_that_proves_nothing_is_not_bound_again),
        WITH_KEEPER(a_text_is_opened_as_what_it_is_and_counted),
        WITH_KEEPER(a_text_opens_after_its_content_has_expired),
        WITH_KEEPER(a_text_with_any_byte_changed_is_refused),
        WITH_KEEPER(a_handshake_is_signed_with_the_key_of_its_number),
        WITH_KEEPER(the_tree_may_only_grow),
        WITH_KEEPER(what_cannot_be_written_is_not_answered),
        WITH_KEEPER(no_checkpoint_is_one_of_size_zero),
        WITH_KEEPER(a_checkpoint_verifies_and_none_of_its_bytes_can_change),
        WITH_KEEPER(each_role_may_ask_what_it_needs_and_nothing_else),
        WITH_KEEPER(a_request_of_any_other_length_or_version_is_refused),
        WITH_KEEPER(the_gateways_own_organisation_has_the_empty_name),
        WITH_KEEPER(a_name_that_is_too_long_is_refused),
        WITH_KEEPER(there_is_an_end_to_organisations),
        cmocka_unit_test(every_status_has_a_text),
    };

    return cmocka_run_group_tests_name("the keeper's answers", tests, NULL, NULL);
}
