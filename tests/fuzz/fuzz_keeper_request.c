/* fuzz-deps: base keys */
/* Whatever a sibling sends, the keeper answers it with an exact size, a refusal carries nothing, no
 * plain key stays behind, and a delivery opens only as it was bound. */
/* SPDX-License-Identifier: ISC */
#include "keeper_protocol.h"

#include <assert.h>
#include <stdlib.h>

/* The first byte says who asks, the second how: with these bytes, or with a request that is right
 * but for the edits that follow, three bytes each: where (16 bits) and what to flip there. */
enum { ASKS_RAW, ASKS_UNWRAP, ASKS_BIND_AGAIN, ASKS_OPEN_TEXT, ASKS_PAIRS, ASKS_COUNT };
enum { TODAY = 20000 };

static struct keeper_request request;
static struct keeper_reply reply;
static const struct id message = {{1, 2, 3}};

static bool sign_nothing(void *key, struct span input, uint8_t *signature, size_t *len)
{
    (void)key;
    (void)input;
    signature[0] = 1;
    *len = 1;
    return true;
}

static void put_name(struct keeper_name *name)
{
    name->len = 6;
    memcpy(name->bytes, "clinic", 6);
}

static uint32_t put_text(const struct key_pair *pair, struct entropy *entropy, char *out)
{
    scoped_buffer sealed;
    uint32_t len;

    buffer_init(&sealed, 100);
    if (!text_seal(&pair->keys.record, message, TEXT_RECIPIENT, SPAN_LITERAL("ann@x.example"),
                   entropy, &sealed))
        abort();
    len = (uint32_t)sealed.len;
    memcpy(out, sealed.data, len);
    buffer_clear(&sealed);
    return len;
}

static void put_delivery(const struct key_pair *pair, struct entropy *entropy,
                         struct keeper_wire_delivery *out)
{
    struct span ladder = SPAN_LITERAL("{ tls verify, return }");
    struct binding binding = {.message = message,
                              .delivery = 1,
                              .organisation = SPAN_LITERAL("clinic"),
                              .recipient = SPAN_LITERAL("ann@x.example"),
                              .ladder = ladder};

    out->wrapped = pair->wrapped;
    out->message = message;
    out->delivery = 1;
    put_name(&out->organisation);
    out->recipient_len = put_text(pair, entropy, out->sealed_recipient);
    out->ladder_len = (uint32_t)ladder.len;
    memcpy(out->ladder, ladder.data, ladder.len);
    binding_tag(&pair->keys.content, &binding, out->tag);
}

static size_t ask(struct keeper_state *keeper, enum keeper_peer peer, size_t len)
{
    size_t size;

    memset(&reply, 0xaa, sizeof reply);
    size = keeper_answer(keeper, peer, &request, len, &reply);
    for (size_t i = 0; i < sizeof keeper->plain; i++)
        assert(((const uint8_t *)&keeper->plain)[i] == 0);
    if (size == 0)
        return 0;
    assert(reply.head.number == request.head.number);
    if (reply.head.status == KEEPER_DONE) {
        assert(keeper_operations[reply.head.op].peers & 1u << peer);
        assert(size == keeper_operations[reply.head.op].reply_size);
        return size;
    }
    assert(size == sizeof reply.head && keeper_status_text(reply.head.status));
    for (size_t i = 0; i < sizeof reply.as; i++)
        assert(((const uint8_t *)&reply.as)[i] == 0);
    return size;
}

static struct key_pair take_pair(struct keeper_state *keeper)
{
    memset(&request, 0, sizeof request);
    request.head = (struct keeper_head){.version = KEEPER_PROTOCOL_VERSION, .op = KEEPER_OP_PAIRS};
    request.as.pairs.content_day = TODAY + 14;
    request.as.pairs.record_day = TODAY + 100;
    put_name(&request.as.pairs.organisation);
    ask(keeper, KEEPER_PEER_RECEIVE, keeper_operations[KEEPER_OP_PAIRS].request_size);
    assert(reply.head.status == KEEPER_DONE);
    return reply.as.pairs[0];
}

/* A right request in `request`; its length. */
static size_t put_right_request(unsigned how, const struct key_pair *pair, struct entropy *entropy)
{
    static const enum keeper_op ops[ASKS_COUNT] = {[ASKS_UNWRAP] = KEEPER_OP_UNWRAP,
                                                   [ASKS_BIND_AGAIN] = KEEPER_OP_BIND_AGAIN,
                                                   [ASKS_OPEN_TEXT] = KEEPER_OP_OPEN_TEXT,
                                                   [ASKS_PAIRS] = KEEPER_OP_PAIRS};

    if (how != ASKS_PAIRS)
        memset(&request, 0, sizeof request); /* else take_pair() has left it */
    request.head = (struct keeper_head){.version = KEEPER_PROTOCOL_VERSION, .op = ops[how]};
    if (how == ASKS_UNWRAP)
        put_delivery(pair, entropy, &request.as.unwrap);
    if (how == ASKS_BIND_AGAIN)
        put_delivery(pair, entropy, &request.as.bind_again.delivery);
    if (how == ASKS_OPEN_TEXT) {
        request.as.open_text.wrapped = pair->wrapped;
        request.as.open_text.message = message;
        request.as.open_text.what = 1;
        put_name(&request.as.open_text.organisation);
        request.as.open_text.sealed_len = put_text(pair, entropy, request.as.open_text.sealed);
    }
    return keeper_operations[ops[how]].request_size;
}

/* Is all that a tag covers as it was bound? What lies behind a text's end is nobody's. */
static bool is_as_bound(const struct keeper_wire_delivery *a, const struct keeper_wire_delivery *b)
{
    return memcmp(&a->wrapped, &b->wrapped, sizeof a->wrapped) == 0 &&
           id_equal(a->message, b->message) && a->delivery == b->delivery && a->is_held == 0 &&
           a->organisation.len == b->organisation.len &&
           memcmp(a->organisation.bytes, b->organisation.bytes, b->organisation.len) == 0 &&
           memcmp(a->policy_digest, b->policy_digest, sizeof a->policy_digest) == 0 &&
           memcmp(a->tag, b->tag, sizeof a->tag) == 0 && a->recipient_len == b->recipient_len &&
           memcmp(a->sealed_recipient, b->sealed_recipient, b->recipient_len) == 0 &&
           a->ladder_len == b->ladder_len && memcmp(a->ladder, b->ladder, b->ladder_len) == 0;
}

static void run(struct keeper_state *keeper, const uint8_t *data, size_t size,
                struct entropy *entropy)
{
    enum keeper_peer peer = (enum keeper_peer)(data[0] % KEEPER_PEER_COUNT);
    unsigned how = data[1] % ASKS_COUNT;
    struct key_pair pair = take_pair(keeper);
    struct keeper_request right;
    uint8_t *bytes = (uint8_t *)&request;
    size_t len = size - 2;

    if (how == ASKS_RAW) {
        memset(&request, 0, sizeof request);
        memcpy(&request, data + 2, len < sizeof request ? len : sizeof request);
        ask(keeper, peer, len);
        return;
    }
    len = put_right_request(how, &pair, entropy);
    right = request;
    for (size_t i = 2; i + 3 <= size; i += 3)
        bytes[(size_t)(data[i] << 8 | data[i + 1]) % len] ^= data[i + 2];
    ask(keeper, peer, len);
    if (reply.head.status == KEEPER_DONE && request.head.op == KEEPER_OP_UNWRAP)
        assert(how == ASKS_UNWRAP && is_as_bound(&request.as.unwrap, &right.as.unwrap));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct keeper_master master = {KEEPER_MASTER_RAW,
                                                SPAN_LITERAL("0123456789abcdef0123456789abcdef")};
    static const struct keeper_signer signer = {sign_nothing, NULL};
    struct clock_by_hand hand = {.wall_ms = (int64_t)TODAY * 86400000, .monotonic_ns = 1000000000};
    struct entropy_by_seed seed = {1};
    struct entropy entropy = entropy_by_seed(&seed);
    struct clock clock = clock_by_hand(&hand);
    struct keeper_terms terms = {
        .signers = &signer, .signer_count = 1, .clock = &clock, .entropy = &entropy};
    static struct keeper_state keeper;
    struct error why;

    if (size < 2)
        return 0;
    if (!keeper_file_new_in_memory(&master, &entropy, &terms.file, &why) ||
        !keeper_state_init(&keeper, &terms))
        abort();
    run(&keeper, data, size, &entropy);
    keeper_state_clear(&keeper);
    keeper_file_free(terms.file);
    return 0;
}
