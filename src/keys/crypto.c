/* libcrypto behind our own words: fetched once, nothing allocated where a message waits for it. */
/* SPDX-License-Identifier: ISC */

/* SHA256_Init and its like are deprecated in favour of contexts on the heap. HMAC is made here once
 * a recipient, may not fail, and must leave no key behind: it stays on the stack. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto.h"

#include "base/secret.h"

#include <assert.h>
#include <openssl/err.h>
#include <pthread.h>

/* ---- HMAC and subkeys ---- */

enum { HMAC_BLOCK_BYTES = 64 };

void hmac_begin(struct hmac *hmac, const uint8_t *key, size_t key_len)
{
    uint8_t inner[HMAC_BLOCK_BYTES], outer[HMAC_BLOCK_BYTES];

    assert(key_len <= HMAC_BLOCK_BYTES);
    memset(inner, 0x36, sizeof inner);
    memset(outer, 0x5c, sizeof outer);
    for (size_t i = 0; i < key_len; i++) {
        inner[i] ^= key[i];
        outer[i] ^= key[i];
    }
    SHA256_Init(&hmac->inner);
    SHA256_Update(&hmac->inner, inner, sizeof inner);
    SHA256_Init(&hmac->outer);
    SHA256_Update(&hmac->outer, outer, sizeof outer);
    secret_wipe(inner, sizeof inner);
    secret_wipe(outer, sizeof outer);
}

void hmac_add(struct hmac *hmac, const void *bytes, size_t len)
{
    SHA256_Update(&hmac->inner, bytes, len);
}

void hmac_add_u32(struct hmac *hmac, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                        (uint8_t)value};

    hmac_add(hmac, bytes, sizeof bytes);
}

void hmac_add_span(struct hmac *hmac, struct span text)
{
    assert(text.len <= UINT32_MAX);
    hmac_add_u32(hmac, (uint32_t)text.len);
    hmac_add(hmac, text.data, text.len);
}

void hmac_end(struct hmac *hmac, uint8_t mac[static SHA256_DIGEST_LENGTH])
{
    uint8_t inner[SHA256_DIGEST_LENGTH];

    SHA256_Final(inner, &hmac->inner);
    SHA256_Update(&hmac->outer, inner, sizeof inner);
    SHA256_Final(mac, &hmac->outer);
    secret_wipe(inner, sizeof inner);
    secret_wipe(hmac, sizeof *hmac);
}

void subkey(const struct key *key, const char *label, struct key *out)
{
    static const uint8_t first_block = 1;
    struct hmac hmac;

    hmac_begin(&hmac, key->bytes, sizeof key->bytes);
    hmac_add(&hmac, label, strlen(label));
    hmac_add(&hmac, &first_block, 1);
    hmac_end(&hmac, out->bytes);
}

/* ---- the ciphers, fetched once a process: a fetch takes a lock that all threads share ---- */

static EVP_CIPHER *cipher_gcm, *cipher_ecb;
static pthread_once_t ciphers_fetched = PTHREAD_ONCE_INIT;

static void fetch_ciphers(void)
{
    cipher_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    cipher_ecb = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
    assert(cipher_gcm && cipher_ecb);
}

static EVP_CIPHER_CTX *context_new(bool seals, EVP_CIPHER *const *cipher)
{
    EVP_CIPHER_CTX *context;

    pthread_once(&ciphers_fetched, fetch_ciphers);
    context = EVP_CIPHER_CTX_new();
    if (!context)
        return NULL;
    if (EVP_CipherInit_ex2(context, *cipher, NULL, NULL, seals, NULL) != 1 ||
        EVP_CIPHER_CTX_set_padding(context, 0) != 1) {
        ERR_clear_error();
        EVP_CIPHER_CTX_free(context);
        return NULL;
    }
    return context;
}

/* A step that only a mistake of ours could make fail. */
static void must(int result)
{
    assert(result == 1);
}

EVP_CIPHER_CTX *gcm_new(void)
{
    return context_new(true, &cipher_gcm);
}

static void gcm_begin(EVP_CIPHER_CTX *gcm, bool seals, const struct key *key,
                      const struct gcm_input *input)
{
    int len;

    must(EVP_CipherInit_ex2(gcm, NULL, key ? key->bytes : NULL, input->nonce, seals, NULL));
    must(EVP_CipherUpdate(gcm, NULL, &len, input->message.bytes, ID_BYTES));
    if (input->what)
        must(EVP_CipherUpdate(gcm, NULL, &len, (const uint8_t *)input->what,
                              (int)strlen(input->what)));
}

void gcm_seal(EVP_CIPHER_CTX *gcm, const struct key *key, const struct gcm_input *input,
              const struct span *pieces, size_t piece_count, uint8_t *out)
{
    int len;

    gcm_begin(gcm, true, key, input);
    for (size_t i = 0; i < piece_count; i++) {
        if (pieces[i].len == 0)
            continue;
        assert(pieces[i].len <= SEAL_CHUNK_BYTES);
        must(EVP_CipherUpdate(gcm, out, &len, (const uint8_t *)pieces[i].data, (int)pieces[i].len));
        out += len;
    }
    must(EVP_CipherFinal_ex(gcm, out, &len));
    must(EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_BYTES, out));
}

bool gcm_open(EVP_CIPHER_CTX *gcm, const struct key *key, const struct gcm_input *input,
              struct span sealed, uint8_t *out)
{
    uint8_t tag[GCM_TAG_BYTES];
    size_t plain_len;
    int len = 0;

    assert(sealed.len >= GCM_TAG_BYTES && sealed.len <= SEAL_CHUNK_BYTES + GCM_TAG_BYTES);
    plain_len = sealed.len - GCM_TAG_BYTES;
    memcpy(tag, sealed.data + plain_len, sizeof tag);
    gcm_begin(gcm, false, key, input);
    if (plain_len > 0)
        must(EVP_CipherUpdate(gcm, out, &len, (const uint8_t *)sealed.data, (int)plain_len));
    must(EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_BYTES, tag));
    if (EVP_CipherFinal_ex(gcm, out + len, &len) == 1)
        return true;
    ERR_clear_error();
    secret_wipe(out, plain_len);
    return false;
}

/* ---- key wrap ---- */

/* RFC 3394 section 2.2: a register A of 64 bits, which begins as section 2.2.3.1 says and in the
 * end tells whether all is right, walks six times over the key's four registers R. */
enum { REGISTER_BYTES = 8, REGISTERS = KEY_BYTES / REGISTER_BYTES, WALKS = 6 };
static const uint8_t first_a[REGISTER_BYTES] = {0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6};

bool wrapper_init(struct wrapper *wrapper)
{
    *wrapper = (struct wrapper){.encrypt = context_new(true, &cipher_ecb),
                                .decrypt = context_new(false, &cipher_ecb)};
    if (wrapper->encrypt && wrapper->decrypt)
        return true;
    wrapper_clear(wrapper);
    return false;
}

void wrapper_clear(struct wrapper *wrapper)
{
    EVP_CIPHER_CTX_free(wrapper->encrypt);
    EVP_CIPHER_CTX_free(wrapper->decrypt);
    secret_wipe(wrapper, sizeof *wrapper);
}

/* `step` counts from 1 over all walks. A stands first in `wrapped`, then R[1] to R[4]. */
static void wrap_step(struct wrapper *wrapper, unsigned step, size_t count,
                      uint8_t (*wrapped)[WRAPPED_KEY_BYTES])
{
    size_t at = REGISTER_BYTES * ((step - 1) % REGISTERS + 1);
    int len;

    for (size_t i = 0; i < count; i++) {
        memcpy(wrapper->blocks[i], wrapped[i], REGISTER_BYTES);
        memcpy(wrapper->blocks[i] + REGISTER_BYTES, wrapped[i] + at, REGISTER_BYTES);
    }
    must(EVP_CipherUpdate(wrapper->encrypt, wrapper->blocks[0], &len, wrapper->blocks[0],
                          (int)(count * WRAP_BLOCK_BYTES)));
    for (size_t i = 0; i < count; i++) {
        memcpy(wrapped[i], wrapper->blocks[i], REGISTER_BYTES);
        wrapped[i][REGISTER_BYTES - 1] ^= (uint8_t)step;
        memcpy(wrapped[i] + at, wrapper->blocks[i] + REGISTER_BYTES, REGISTER_BYTES);
    }
}

void key_wrap_all(struct wrapper *wrapper, const struct key *under, const struct key *plain,
                  size_t count, uint8_t (*wrapped)[WRAPPED_KEY_BYTES])
{
    assert(count <= KEEPER_PAIRS_MAX);
    for (size_t i = 0; i < count; i++) {
        memcpy(wrapped[i], first_a, sizeof first_a);
        memcpy(wrapped[i] + REGISTER_BYTES, plain[i].bytes, KEY_BYTES);
    }
    must(EVP_CipherInit_ex2(wrapper->encrypt, NULL, under->bytes, NULL, true, NULL));
    for (unsigned step = 1; step <= WALKS * REGISTERS; step++)
        wrap_step(wrapper, step, count, wrapped);
    secret_wipe(wrapper->blocks, count * WRAP_BLOCK_BYTES);
}

void key_wrap(struct wrapper *wrapper, const struct key *under, const struct key *plain,
              uint8_t wrapped[static WRAPPED_KEY_BYTES])
{
    key_wrap_all(wrapper, under, plain, 1, (uint8_t(*)[WRAPPED_KEY_BYTES])wrapped);
}

bool key_unwrap(struct wrapper *wrapper, const struct key *under,
                const uint8_t wrapped[static WRAPPED_KEY_BYTES], struct key *plain)
{
    uint8_t *block = wrapper->blocks[0], registers[WRAPPED_KEY_BYTES];
    bool opened;
    int len;

    memcpy(registers, wrapped, sizeof registers);
    must(EVP_CipherInit_ex2(wrapper->decrypt, NULL, under->bytes, NULL, false, NULL));
    for (unsigned step = WALKS * REGISTERS; step >= 1; step--) {
        size_t at = REGISTER_BYTES * ((step - 1) % REGISTERS + 1);

        memcpy(block, registers, REGISTER_BYTES);
        block[REGISTER_BYTES - 1] ^= (uint8_t)step;
        memcpy(block + REGISTER_BYTES, registers + at, REGISTER_BYTES);
        must(EVP_CipherUpdate(wrapper->decrypt, block, &len, block, WRAP_BLOCK_BYTES));
        memcpy(registers, block, REGISTER_BYTES);
        memcpy(registers + at, block + REGISTER_BYTES, REGISTER_BYTES);
    }
    opened = secret_equal(registers, first_a, sizeof first_a);
    if (opened)
        memcpy(plain->bytes, registers + REGISTER_BYTES, KEY_BYTES);
    secret_wipe(registers, sizeof registers);
    secret_wipe(block, WRAP_BLOCK_BYTES);
    return opened;
}

/* ---- passphrases and signatures: rare, so these may allocate ---- */

bool scrypt_key(struct span passphrase, struct span salt, unsigned log2_n, struct key *out)
{
    enum { R = 8, P = 1 };
    uint64_t n = (uint64_t)1 << log2_n;
    uint64_t memory_max = 128 * R * (n + P + 2) + 4096;
    bool made = EVP_PBE_scrypt(passphrase.data, passphrase.len, (const uint8_t *)salt.data,
                               salt.len, n, R, P, memory_max, out->bytes, sizeof out->bytes) == 1;

    if (!made)
        ERR_clear_error();
    return made;
}

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void free_digest(EVP_MD_CTX **digest)
{
    EVP_MD_CTX_free(*digest);
    ERR_clear_error();
}
#define scoped_pkey __attribute__((cleanup(free_key))) EVP_PKEY
#define scoped_digest __attribute__((cleanup(free_digest))) EVP_MD_CTX

bool ed25519_public(const struct key *secret, uint8_t key[static 32])
{
    scoped_pkey *pkey =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret->bytes, KEY_BYTES);
    size_t len = 32;

    return pkey && EVP_PKEY_get_raw_public_key(pkey, key, &len) == 1 && len == 32;
}

bool ed25519_sign(const struct key *secret, struct span text, uint8_t signature[static 64])
{
    scoped_pkey *pkey =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret->bytes, KEY_BYTES);
    scoped_digest *digest = EVP_MD_CTX_new();
    size_t len = 64;

    return pkey && digest && EVP_DigestSignInit(digest, NULL, NULL, NULL, pkey) == 1 &&
           EVP_DigestSign(digest, signature, &len, (const uint8_t *)text.data, text.len) == 1 &&
           len == 64;
}

bool ed25519_verify(const uint8_t key[static 32], struct span text,
                    const uint8_t signature[static 64])
{
    scoped_pkey *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, 32);
    scoped_digest *digest = EVP_MD_CTX_new();

    return pkey && digest && EVP_DigestVerifyInit(digest, NULL, NULL, NULL, pkey) == 1 &&
           EVP_DigestVerify(digest, signature, 64, (const uint8_t *)text.data, text.len) == 1;
}
