/* Sealing and opening under the keys of one message, and the tag that binds a delivery. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/buffer.h"
#include "base/entropy.h"
#include "base/error.h"
#include "base/id.h"
#include "base/span.h"
#include "keys/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_BYTES = 32, WRAPPED_KEY_BYTES = 40, BINDING_TAG_BYTES = 32, POLICY_DIGEST_SIZE = 32 };

struct key {
    uint8_t bytes[KEY_BYTES];
};
/* Two keys a message: the content's is erased when its last delivery ends, the record's lives as
 * long as the journal, so that `trace` can still say to whom. */
struct message_keys {
    struct key content;
    struct key record;
};
/* As they are stored: AES key wrap (RFC 3394) under two expiry classes of the organisation. */
struct wrapped_keys {
    uint8_t content[WRAPPED_KEY_BYTES];
    uint8_t record[WRAPPED_KEY_BYTES];
    int32_t content_day, record_day; /* days since 1970 on which the class ends */
};
/* The day on which the content of a delivery may end that lives so long from now: no delivery may
 * outlive its content's class, and no class the longest one. */
int32_t content_class_day(int64_t now_ms, int64_t life_ms);
struct key_pair {
    struct message_keys keys;
    struct wrapped_keys wrapped;
};

/* The content in chunks of SEAL_CHUNK_BYTES: AES-256-GCM under a subkey, the nonce is the chunk's
 * number and whether it is the last, the message's id is authenticated beside it. Whoever cuts,
 * swaps or appends chunks is found. One sealer or opener is used by one thread. */
enum { SEAL_CHUNK_OVERHEAD = 16 };
struct content_cipher; /* holds the schedule of the content subkey; wiped when freed */
struct content_cipher *content_cipher_new(const struct key *content, struct id message);
void content_cipher_free(struct content_cipher *cipher);
SCOPED_FREE(content_cipher)
/* Appends the sealed chunk (plain.len + SEAL_CHUNK_OVERHEAD bytes). Only the last may be shorter
 * than SEAL_CHUNK_BYTES. `plain` in several pieces: they are sealed as one. False: out of memory.
 */
MUST_USE bool content_seal(struct content_cipher *cipher, uint32_t number, bool is_last,
                           const struct span *pieces, size_t piece_count, struct buffer *out);
/* ERROR_INTERNAL "the content does not open" when a byte, the number, the id or is_last is not what
 * was sealed. */
MUST_USE bool content_open(struct content_cipher *cipher, uint32_t number, bool is_last,
                           struct span sealed, struct buffer *out, struct error *why);

/* One text (an address, a subject, a peer's reply) under the record key. `what` (static) is
 * authenticated beside it, so that a reply cannot be shown as an address. */
enum { SEAL_TEXT_OVERHEAD = 12 + 16 };
MUST_USE bool text_seal(const struct key *record, struct id message, const char *what,
                        struct span plain, const struct entropy *entropy, struct buffer *out);
MUST_USE bool text_open(const struct key *record, struct id message, const char *what,
                        struct span sealed, struct buffer *out, struct error *why);
/* The `what`s. */
#define TEXT_SENDER "sender"
#define TEXT_RECIPIENT "recipient"
#define TEXT_FACTS "facts"
#define TEXT_PEER_REPLY "peer reply"

/* What a delivery's tag covers. Whoever writes into the database can neither redirect a message
 * nor weaken its ladder. */
struct binding {
    struct id message;
    uint32_t delivery;        /* its number within the message, from 1 */
    struct span organisation; /* name; empty: the gateway itself */
    struct span recipient;    /* plain, address_print() */
    struct span ladder;       /* ladder_print() */
    uint8_t policy_digest[POLICY_DIGEST_SIZE];
};
/* HMAC-SHA-256 under a subkey of the content key. */
void binding_tag(const struct key *content, const struct binding *binding,
                 uint8_t tag[BINDING_TAG_BYTES]);
