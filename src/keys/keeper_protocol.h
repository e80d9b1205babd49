/* What siblings and the keeper say to each other: fixed structs of one machine, one request and one
 * reply a packet, each checked for version, length and role before anything else.
 *
 * Requests change nothing that a second one would change again, so that a client may repeat one
 * whose answer is lost; the reply carries the request's number, so that a late one is known. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "keeper_file.h"

enum { KEEPER_PROTOCOL_VERSION = 1 };

enum keeper_op {
    KEEPER_OP_PAIRS,
    KEEPER_OP_UNWRAP,
    KEEPER_OP_BIND_AGAIN,
    KEEPER_OP_OPEN_TEXT,
    KEEPER_OP_SIGN_TLS,
    KEEPER_OP_SIGN_CHECKPOINT,
    KEEPER_OP_LAST_CHECKPOINT,
    KEEPER_OP_UNWRAP_RECORD,
    KEEPER_OP_DESTROYED,
    KEEPER_OP_COUNT,
};

/* How a request ended; keeper_status_set() has the words. */
enum keeper_status {
    KEEPER_DONE,
    KEEPER_BUSY,      /* over the limit of a minute */
    KEEPER_NO_DISK,   /* its file could not be written, or memory is out */
    KEEPER_MALFORMED, /* version, length, or a value that no client of ours sends */
    KEEPER_WRONG_ROLE,
    KEEPER_WRONG_DAY,
    KEEPER_NO_CLASS,
    KEEPER_NO_KEY,
    KEEPER_NO_TEXT,
    KEEPER_WRONG_TAG,
    KEEPER_IS_HELD,
    KEEPER_NO_SIGNER,
    KEEPER_OLD_TREE,
    KEEPER_STATUS_COUNT,
};

struct keeper_head {
    uint32_t version, op;
    uint64_t number; /* the reply has the request's */
    uint32_t status; /* replies only */
    uint32_t unused;
};

struct keeper_name {
    uint32_t len;
    char bytes[KEEPER_ORGANISATION_NAME_MAX];
};
struct keeper_wire_delivery {
    struct wrapped_keys wrapped;
    struct id message;
    uint32_t delivery;
    uint32_t is_held;
    struct keeper_name organisation;
    uint8_t policy_digest[POLICY_DIGEST_SIZE];
    uint8_t tag[BINDING_TAG_BYTES];
    uint32_t recipient_len, ladder_len;
    char sealed_recipient[KEEPER_RECIPIENT_MAX];
    char ladder[KEEPER_LADDER_MAX];
};

struct keeper_request {
    struct keeper_head head;
    union {
        struct {
            int32_t content_day, record_day;
            struct keeper_name organisation;
        } pairs;
        struct keeper_wire_delivery unwrap; /* of both keys, or of the record's alone */
        struct {
            struct keeper_wire_delivery delivery;
            uint32_t uid;
            int32_t new_content_day;
            uint8_t new_policy_digest[POLICY_DIGEST_SIZE];
            uint32_t new_ladder_len;
            char new_ladder[KEEPER_LADDER_MAX];
        } bind_again;
        struct {
            struct wrapped_keys wrapped;
            struct id message;
            uint32_t uid;
            uint32_t what; /* the place in keeper_texts */
            struct keeper_name organisation;
            uint32_t sealed_len;
            char sealed[SEAL_TEXT_MAX + SEAL_TEXT_OVERHEAD];
        } open_text;
        struct {
            uint32_t signer, input_len;
            uint8_t input[KEEPER_TLS_INPUT_MAX];
        } sign_tls;
        struct checkpoint sign_checkpoint;
        struct {
            uint64_t told;
        } destroyed;
    } as;
};

struct keeper_reply {
    struct keeper_head head;
    union {
        struct key_pair pairs[KEEPER_PAIRS_MAX];
        struct message_keys keys;
        struct key record;
        struct {
            uint8_t tag[BINDING_TAG_BYTES];
            struct wrapped_keys wrapped;
        } bound;
        struct {
            uint32_t len;
            uint8_t bytes[SEAL_TEXT_MAX];
        } text;
        struct {
            uint32_t len;
            uint8_t bytes[KEEPER_SIGNATURE_MAX];
        } signature;
        struct {
            struct checkpoint checkpoint;
            uint8_t key[CHECKPOINT_KEY_BYTES];
        } checkpoint;
        struct {
            uint64_t count, told;
        } destroyed;
    } as;
};

/* Nothing between the fields: a hole would carry what lay there before to a sibling. */
_Static_assert(sizeof(struct keeper_head) == 24, "a hole in the head");
_Static_assert(sizeof(struct wrapped_keys) == 88, "a hole in the wrapped keys");
_Static_assert(sizeof(struct key_pair) == 64 + 88, "a hole in a pair");
_Static_assert(sizeof(struct checkpoint) ==
                   6 * 8 - 8 + TREE_HASH_BYTES + CHECKPOINT_SIGNATURE_BYTES,
               "a hole in a checkpoint");

/* The texts that an administrator may have opened. */
enum { KEEPER_TEXT_COUNT = 4 };
extern const char *const keeper_texts[KEEPER_TEXT_COUNT];

/* Which peers may ask it, and the exact sizes of both packets (a refusal is a head alone). */
struct keeper_operation {
    const char *name;
    unsigned peers; /* bits of enum keeper_peer */
    size_t request_size, reply_size;
};
extern const struct keeper_operation keeper_operations[KEEPER_OP_COUNT];
const char *keeper_peer_name(enum keeper_peer peer);

/* The reason of a refusal, fit for logs; NULL for a number that is none. */
const char *keeper_status_text(uint32_t status);
/* Fills *why with it. Gives false. */
bool keeper_status_set(struct error *why, uint32_t status);

/* A count of what happened in the last minute, by seconds. */
enum { RATE_SECONDS = 61 }; /* so that the second under way never shortens the minute */
struct rate {
    int64_t second; /* of the newest cell */
    uint32_t cells[RATE_SECONDS];
    uint32_t sum;
};
/* Counts one more, if there are fewer than `limit`. */
bool rate_allows(struct rate *rate, uint32_t limit, int64_t monotonic_ns);

/* Everything that outlives one request, and the plain keys of the one under way. */
struct keeper_state {
    const struct keeper_terms *terms;
    EVP_CIPHER_CTX *gcm;
    struct rate unwraps;
    struct {
        struct key under;
        struct message_keys keys;
        uint8_t recipient[KEEPER_RECIPIENT_MAX];
        size_t recipient_len;
        struct key fresh[KEEPER_PAIRS_MAX];
        uint8_t wrapped[KEEPER_PAIRS_MAX][WRAPPED_KEY_BYTES];
    } plain; /* wiped after each request */
};
bool keeper_state_init(struct keeper_state *state, const struct keeper_terms *terms);
void keeper_state_clear(struct keeper_state *state);

/* Answers one packet of `peer` with *reply, whose size it gives; 0: it is nothing that an answer
 * could be addressed to. `request` may have any length. The caller wipes both. */
size_t keeper_answer(struct keeper_state *state, enum keeper_peer peer,
                     const struct keeper_request *request, size_t request_len,
                     struct keeper_reply *reply);

/* The bytes that a checkpoint's signature covers. */
enum { CHECKPOINT_CANONICAL_BYTES = 24 + 5 * 8 + TREE_HASH_BYTES };
void checkpoint_canonical(const struct checkpoint *checkpoint,
                          uint8_t out[static CHECKPOINT_CANONICAL_BYTES]);
