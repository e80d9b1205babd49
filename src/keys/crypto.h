/* The primitives of this room: each algorithm fetched once, contexts made once, sizes in
 * signatures.
 *
 * A context that cannot be initialised or a cipher that libcrypto does not have is our own promise
 * broken, so these functions assert; what they answer is about the bytes they were handed. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/entropy.h"
#include "keys/sealing.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

/* Each subkey has a label of its own, so that no key ever does two things. */
#define LABEL_CONTENT "letterlock content v1"
#define LABEL_TEXT "letterlock text v1"
#define LABEL_BINDING "letterlock binding v1"
#define LABEL_FILE "letterlock keeper file v1"
#define LABEL_WRAP "letterlock wrap v1"

enum { GCM_NONCE_BYTES = 12, GCM_TAG_BYTES = 16, SCRYPT_SALT_BYTES = 32 };

/* HMAC-SHA-256 (RFC 2104) on the stack: it allocates nothing, so it cannot fail. */
struct hmac {
    SHA256_CTX inner, outer;
};
void hmac_begin(struct hmac *hmac, const uint8_t *key, size_t key_len);
void hmac_add(struct hmac *hmac, const void *bytes, size_t len);
void hmac_add_u32(struct hmac *hmac, uint32_t value);    /* big-endian */
void hmac_add_span(struct hmac *hmac, struct span text); /* u32 length, then the bytes */
void hmac_end(struct hmac *hmac, uint8_t mac[static SHA256_DIGEST_LENGTH]); /* wipes */

/* HKDF-Expand (RFC 5869 section 2.3) of one block. Our keys are uniform, so there is no Extract. */
void subkey(const struct key *key, const char *label, struct key *out);

/* AES-256-GCM with a context that keeps its memory from one message to the next. Give a key, or
 * NULL for the one it has. */
EVP_CIPHER_CTX *gcm_new(void); /* NULL when memory is out; freed, and wiped, by the library's own */
struct gcm_input {
    const uint8_t *nonce; /* GCM_NONCE_BYTES */
    struct id message;    /* authenticated beside it, and so is */
    const char *what;     /* this; NULL: nothing */
};
/* Writes the plain length, then the tag. */
void gcm_seal(EVP_CIPHER_CTX *gcm, const struct key *key, const struct gcm_input *input,
              const struct span *pieces, size_t piece_count, uint8_t *out);
/* `sealed` ends with the tag. Nothing readable is left in `out` when it does not open. */
bool gcm_open(EVP_CIPHER_CTX *gcm, const struct key *key, const struct gcm_input *input,
              struct span sealed, uint8_t *out);
/* What text_seal() wrote, into `out`, which holds as many bytes as `sealed`, or SEAL_TEXT_MAX. */
bool text_open_into(EVP_CIPHER_CTX *gcm, const struct key *record, struct id message,
                    const char *what, struct span sealed, uint8_t *out, size_t *len);

/* AES-256 key wrap (RFC 3394), many keys in step: libcrypto's own takes one key at a time and does
 * without the processor's AES (measured: 3 us a key, this one 0.2). One thread at a time. */
enum { WRAP_BLOCK_BYTES = 16 };
struct wrapper {
    EVP_CIPHER_CTX *encrypt, *decrypt;
    uint8_t blocks[KEEPER_PAIRS_MAX][WRAP_BLOCK_BYTES];
};
bool wrapper_init(struct wrapper *wrapper); /* false when memory is out */
void wrapper_clear(struct wrapper *wrapper);
/* At most KEEPER_PAIRS_MAX keys. */
void key_wrap_all(struct wrapper *wrapper, const struct key *under, const struct key *plain,
                  size_t count, uint8_t (*wrapped)[WRAPPED_KEY_BYTES]);
void key_wrap(struct wrapper *wrapper, const struct key *under, const struct key *plain,
              uint8_t wrapped[static WRAPPED_KEY_BYTES]);
bool key_unwrap(struct wrapper *wrapper, const struct key *under,
                const uint8_t wrapped[static WRAPPED_KEY_BYTES], struct key *plain);

/* scrypt (RFC 7914), r = 8, p = 1. False when memory is out. */
bool scrypt_key(struct span passphrase, struct span salt, unsigned log2_n, struct key *out);

/* Ed25519 (RFC 8032). False when memory is out. */
bool ed25519_public(const struct key *secret, uint8_t key[static 32]);
bool ed25519_sign(const struct key *secret, struct span text, uint8_t signature[static 64]);
bool ed25519_verify(const uint8_t key[static 32], struct span text,
                    const uint8_t signature[static 64]);
