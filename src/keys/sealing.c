/* What one message's keys seal: its content in chunks, its texts, and the tag of each delivery. */
/* SPDX-License-Identifier: ISC */
#include "keys/sealing.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/secret.h"
#include "crypto.h"

#include <assert.h>

_Static_assert(SEAL_CHUNK_OVERHEAD == (int)GCM_TAG_BYTES, "a chunk is its bytes and a tag");
_Static_assert(SEAL_TEXT_OVERHEAD == (int)GCM_NONCE_BYTES + (int)GCM_TAG_BYTES,
               "a text has its nonce too");
_Static_assert(BINDING_TAG_BYTES == SHA256_DIGEST_LENGTH, "a tag is one HMAC-SHA-256");

int32_t content_class_day(int64_t now_ms, int64_t life_ms)
{
    const int64_t day_ms = (int64_t)24 * 3600 * 1000;
    const int64_t longest_ms = RECORD_CLASS_DAYS * day_ms, least_ms = CONTENT_CLASS_DAYS * day_ms;
    int64_t ms = longest_ms;

    if (life_ms < longest_ms - CONTENT_MARGIN_DAYS * day_ms)
        ms = life_ms + CONTENT_MARGIN_DAYS * day_ms;
    return clock_day(now_ms + (ms > least_ms ? ms : least_ms));
}

struct content_cipher {
    EVP_CIPHER_CTX *gcm; /* holds the schedule: later calls give a nonce only */
    struct id message;
};

struct content_cipher *content_cipher_new(const struct key *content, struct id message)
{
    struct content_cipher *cipher = memory_allocate(sizeof *cipher);
    struct key under;

    if (!cipher)
        return NULL;
    cipher->message = message;
    cipher->gcm = gcm_new();
    subkey(content, LABEL_CONTENT, &under);
    if (!cipher->gcm || EVP_CipherInit_ex2(cipher->gcm, NULL, under.bytes, NULL, true, NULL) != 1) {
        content_cipher_free(cipher);
        cipher = NULL;
    }
    secret_wipe(&under, sizeof under);
    return cipher;
}

void content_cipher_free(struct content_cipher *cipher)
{
    if (!cipher)
        return;
    EVP_CIPHER_CTX_free(cipher->gcm);
    memory_release(cipher);
}

/* The nonce tells the chunk's place. It comes once only under a key, which is one message's. */
static void chunk_nonce(uint32_t number, bool is_last, uint8_t nonce[static GCM_NONCE_BYTES])
{
    memset(nonce, 0, GCM_NONCE_BYTES);
    nonce[0] = is_last;
    for (size_t i = 0; i < 4; i++)
        nonce[GCM_NONCE_BYTES - 1 - i] = (uint8_t)(number >> (8 * i));
}

bool content_seal(struct content_cipher *cipher, uint32_t number, bool is_last,
                  const struct span *pieces, size_t piece_count, struct buffer *out)
{
    uint8_t nonce[GCM_NONCE_BYTES];
    struct gcm_input input = {.nonce = nonce, .message = cipher->message};
    size_t len = 0;
    char *end;

    for (size_t i = 0; i < piece_count; i++) {
        assert(pieces[i].len <= SEAL_CHUNK_BYTES - len);
        len += pieces[i].len;
    }
    assert(is_last || len == SEAL_CHUNK_BYTES);
    end = buffer_reserve(out, len + SEAL_CHUNK_OVERHEAD);
    if (!end)
        return false;
    chunk_nonce(number, is_last, nonce);
    gcm_seal(cipher->gcm, NULL, &input, pieces, piece_count, (uint8_t *)end);
    out->len += len + SEAL_CHUNK_OVERHEAD;
    return true;
}

bool content_open(struct content_cipher *cipher, uint32_t number, bool is_last, struct span sealed,
                  struct buffer *out, struct error *why)
{
    static const size_t full = SEAL_CHUNK_BYTES + SEAL_CHUNK_OVERHEAD;
    uint8_t nonce[GCM_NONCE_BYTES];
    struct gcm_input input = {.nonce = nonce, .message = cipher->message};
    char *end;

    if (sealed.len < SEAL_CHUNK_OVERHEAD || sealed.len > full || (!is_last && sealed.len < full))
        return error_set(why, ERROR_INTERNAL, "4.3.0", "the content does not open: a chunk's size");
    end = buffer_reserve(out, sealed.len - SEAL_CHUNK_OVERHEAD);
    if (!end)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory to open the content");
    chunk_nonce(number, is_last, nonce);
    if (!gcm_open(cipher->gcm, NULL, &input, sealed, (uint8_t *)end))
        return error_set(why, ERROR_INTERNAL, "4.3.0", "the content does not open");
    out->len += sealed.len - SEAL_CHUNK_OVERHEAD;
    return true;
}

static void free_context(EVP_CIPHER_CTX **context)
{
    EVP_CIPHER_CTX_free(*context);
}
/* Half a microsecond dearer than a context kept for each thread, which would keep a key as well. */
#define scoped_context __attribute__((cleanup(free_context))) EVP_CIPHER_CTX

bool text_seal(const struct key *record, struct id message, const char *what, struct span plain,
               const struct entropy *entropy, struct buffer *out)
{
    scoped_context *gcm = NULL;
    struct gcm_input input = {.message = message, .what = what};
    struct key under;
    char *end;

    if (plain.len > SEAL_TEXT_MAX)
        return false;
    gcm = gcm_new();
    end = gcm ? buffer_reserve(out, plain.len + SEAL_TEXT_OVERHEAD) : NULL;
    if (!end)
        return false;
    entropy_fill(entropy, end, GCM_NONCE_BYTES);
    input.nonce = (const uint8_t *)end;
    subkey(record, LABEL_TEXT, &under);
    gcm_seal(gcm, &under, &input, &plain, 1, (uint8_t *)end + GCM_NONCE_BYTES);
    secret_wipe(&under, sizeof under);
    out->len += plain.len + SEAL_TEXT_OVERHEAD;
    return true;
}

bool text_open_into(EVP_CIPHER_CTX *gcm, const struct key *record, struct id message,
                    const char *what, struct span sealed, uint8_t *out, size_t *len)
{
    struct gcm_input input = {
        .nonce = (const uint8_t *)sealed.data, .message = message, .what = what};
    struct key under;
    bool opened;

    if (sealed.len < SEAL_TEXT_OVERHEAD || sealed.len > SEAL_TEXT_MAX + SEAL_TEXT_OVERHEAD)
        return false;
    subkey(record, LABEL_TEXT, &under);
    opened = gcm_open(gcm, &under, &input, span_from(sealed, GCM_NONCE_BYTES), out);
    secret_wipe(&under, sizeof under);
    if (opened)
        *len = sealed.len - SEAL_TEXT_OVERHEAD;
    return opened;
}

bool text_open(const struct key *record, struct id message, const char *what, struct span sealed,
               struct buffer *out, struct error *why)
{
    scoped_context *gcm = gcm_new();
    size_t room = sealed.len > SEAL_TEXT_OVERHEAD ? sealed.len - SEAL_TEXT_OVERHEAD : 0;
    char *end = NULL;
    size_t len;

    if (sealed.len > SEAL_TEXT_MAX + SEAL_TEXT_OVERHEAD)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "a sealed text is too long");
    if (gcm)
        end = buffer_reserve(out, room);
    if (!end)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory to open a text");
    if (!text_open_into(gcm, record, message, what, sealed, (uint8_t *)end, &len))
        return error_set(why, ERROR_INTERNAL, "4.3.0", "a sealed text does not open");
    out->len += len;
    return true;
}

void binding_tag(const struct key *content, const struct binding *binding,
                 uint8_t tag[BINDING_TAG_BYTES])
{
    struct key under;
    struct hmac hmac;

    subkey(content, LABEL_BINDING, &under);
    hmac_begin(&hmac, under.bytes, sizeof under.bytes);
    hmac_add(&hmac, binding->message.bytes, ID_BYTES);
    hmac_add_u32(&hmac, binding->delivery);
    hmac_add_span(&hmac, binding->organisation);
    hmac_add_span(&hmac, binding->recipient);
    hmac_add_span(&hmac, binding->ladder);
    hmac_add(&hmac, binding->policy_digest, POLICY_DIGEST_SIZE);
    hmac_end(&hmac, tag);
    secret_wipe(&under, sizeof under);
}
