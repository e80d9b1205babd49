/* The tables of the keeper's protocol: who may ask what, how long it is, and how a refusal reads.
 */
/* SPDX-License-Identifier: ISC */
#include "keeper_protocol.h"

#define RECEIVE (1u << KEEPER_PEER_RECEIVE)
#define DELIVER (1u << KEEPER_PEER_DELIVER)
#define CONTROL (1u << KEEPER_PEER_CONTROL)
#define REQUEST_SIZE(member)                                                                       \
    (offsetof(struct keeper_request, as) + sizeof((struct keeper_request *)0)->as.member)
#define REPLY_SIZE(member)                                                                         \
    (offsetof(struct keeper_reply, as) + sizeof((struct keeper_reply *)0)->as.member)

const struct keeper_operation keeper_operations[] = {
    [KEEPER_OP_PAIRS] = {.name = "pairs",
                         .peers = RECEIVE | DELIVER,
                         .request_size = REQUEST_SIZE(pairs),
                         .reply_size = REPLY_SIZE(pairs)},
    [KEEPER_OP_UNWRAP] = {.name = "unwrap",
                          .peers = DELIVER,
                          .request_size = REQUEST_SIZE(unwrap),
                          .reply_size = REPLY_SIZE(keys)},
    [KEEPER_OP_BIND_AGAIN] = {.name = "bind again",
                              .peers = CONTROL,
                              .request_size = REQUEST_SIZE(bind_again),
                              .reply_size = REPLY_SIZE(bound)},
    [KEEPER_OP_OPEN_TEXT] = {.name = "open a text",
                             .peers = CONTROL,
                             .request_size = REQUEST_SIZE(open_text),
                             .reply_size = REPLY_SIZE(text)},
    [KEEPER_OP_SIGN_TLS] = {.name = "sign a handshake",
                            .peers = RECEIVE | DELIVER,
                            .request_size = REQUEST_SIZE(sign_tls),
                            .reply_size = REPLY_SIZE(signature)},
    [KEEPER_OP_SIGN_CHECKPOINT] = {.name = "sign a checkpoint",
                                   .peers = CONTROL,
                                   .request_size = REQUEST_SIZE(sign_checkpoint),
                                   .reply_size = REPLY_SIZE(checkpoint)},
    [KEEPER_OP_LAST_CHECKPOINT] = {.name = "last checkpoint",
                                   .peers = CONTROL,
                                   .request_size = sizeof(struct keeper_head),
                                   .reply_size = REPLY_SIZE(checkpoint)},
    [KEEPER_OP_UNWRAP_RECORD] = {.name = "unwrap the record's key",
                                 .peers = DELIVER,
                                 .request_size = REQUEST_SIZE(unwrap),
                                 .reply_size = REPLY_SIZE(record)},
    [KEEPER_OP_DESTROYED] = {.name = "count destroyed classes",
                             .peers = CONTROL,
                             .request_size = REQUEST_SIZE(destroyed),
                             .reply_size = REPLY_SIZE(destroyed)},
};
_Static_assert(sizeof keeper_operations / sizeof keeper_operations[0] == KEEPER_OP_COUNT,
               "an operation without a row");

const char *const keeper_texts[] = {TEXT_SENDER, TEXT_RECIPIENT, TEXT_FACTS, TEXT_PEER_REPLY};

const char *keeper_peer_name(enum keeper_peer peer)
{
    static const char *const names[] = {
        [KEEPER_PEER_RECEIVE] = "receive",
        [KEEPER_PEER_DELIVER] = "deliver",
        [KEEPER_PEER_CONTROL] = "control",
    };
    _Static_assert(sizeof names / sizeof names[0] == KEEPER_PEER_COUNT, "a peer without a name");

    return names[peer];
}

static const struct {
    const char *text;
    enum error_kind kind;
} statuses[] = {
    [KEEPER_DONE] = {"done", ERROR_NONE},
    [KEEPER_BUSY] = {"the keeper opens no more in this minute", ERROR_TEMPORARY},
    [KEEPER_NO_DISK] = {"the keeper cannot write its file, or has no memory", ERROR_TEMPORARY},
    [KEEPER_MALFORMED] = {"the keeper does not understand the request", ERROR_INTERNAL},
    [KEEPER_WRONG_ROLE] = {"the keeper does not do this for this role", ERROR_INTERNAL},
    [KEEPER_WRONG_DAY] = {"no class may end on this day", ERROR_INTERNAL},
    [KEEPER_NO_CLASS] = {"the class has expired, or the organisation is unknown", ERROR_INTERNAL},
    [KEEPER_NO_KEY] = {"the wrapped key does not open", ERROR_INTERNAL},
    [KEEPER_NO_TEXT] = {"the sealed text does not open", ERROR_INTERNAL},
    [KEEPER_WRONG_TAG] = {"the tag does not fit the delivery", ERROR_INTERNAL},
    [KEEPER_IS_HELD] = {"a delivery that is held or returned is not opened", ERROR_INTERNAL},
    [KEEPER_NO_SIGNER] = {"the keeper has no such private key, or it does not sign",
                          ERROR_INTERNAL},
    [KEEPER_OLD_TREE] = {"the journal is smaller than, or not the one, last signed",
                         ERROR_INTERNAL},
};
_Static_assert(sizeof statuses / sizeof statuses[0] == KEEPER_STATUS_COUNT,
               "a status without a row");

const char *keeper_status_text(uint32_t status)
{
    return status < KEEPER_STATUS_COUNT ? statuses[status].text : NULL;
}

bool keeper_status_set(struct error *why, uint32_t status)
{
    if (status >= KEEPER_STATUS_COUNT || status == KEEPER_DONE)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "the keeper's answer has no meaning");
    return error_set(why, statuses[status].kind, "4.3.0", "%s", statuses[status].text);
}

bool rate_allows(struct rate *rate, uint32_t limit, int64_t monotonic_ns)
{
    int64_t second = monotonic_ns / 1000000000;

    for (; rate->second < second; rate->second++) {
        uint32_t *oldest = &rate->cells[(rate->second + 1) % RATE_SECONDS];

        if (rate->sum == 0) {
            rate->second = second;
            break;
        }
        rate->sum -= *oldest;
        *oldest = 0;
    }
    if (rate->sum >= limit)
        return false;
    rate->cells[rate->second % RATE_SECONDS]++;
    rate->sum++;
    return true;
}
