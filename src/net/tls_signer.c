/* A private key that is not here: it has its public half, and asks the signer for each signature.
 */
/* SPDX-License-Identifier: ISC */
#include "tls_signer.h"

#include "base/memory.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <pthread.h>

/* OpenSSL 3.0 calls a foreign key's function only through these types. What shall replace them is a
 * provider of our own, which is much more code for the same call. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EC_KEY_METHOD *ec_method;
static RSA_METHOD *rsa_method;
static int ec_slot = -1, rsa_slot = -1;

static int sign_with_ec(int type, const unsigned char *digest, int digest_len,
                        unsigned char *signature, unsigned *signature_len, const BIGNUM *inverse,
                        const BIGNUM *r, EC_KEY *key)
{
    const struct tls_signer *signer = EC_KEY_get_ex_data(key, ec_slot);
    uint8_t made[TLS_SIGNATURE_MAX];
    size_t len = sizeof made;

    (void)type, (void)inverse, (void)r;
    if (!signer || digest_len < 0 ||
        !signer->sign(signer->self, span_make(digest, (size_t)digest_len), made, &len))
        return 0;
    if (len == 0 || len > (size_t)ECDSA_size(key))
        return 0; /* the caller made room for no more */
    memcpy(signature, made, len);
    *signature_len = (unsigned)len;
    return 1;
}

/* With RSA-PSS `from` is the padded block already; the older padding is added here. */
static int sign_with_rsa(int from_len, const unsigned char *from, unsigned char *to, RSA *key,
                         int padding)
{
    const struct tls_signer *signer = RSA_get_ex_data(key, rsa_slot);
    uint8_t block[TLS_SIGNATURE_MAX], made[TLS_SIGNATURE_MAX];
    size_t len = sizeof made;
    int size = RSA_size(key);

    if (!signer || size > (int)sizeof block || from_len < 0)
        return -1;
    if (padding == RSA_NO_PADDING && from_len == size)
        memcpy(block, from, (size_t)size);
    else if (padding != RSA_PKCS1_PADDING ||
             RSA_padding_add_PKCS1_type_1(block, size, from, from_len) != 1)
        return -1;
    if (!signer->sign(signer->self, span_make(block, (size_t)size), made, &len) ||
        len != (size_t)size)
        return -1;
    memcpy(to, made, len);
    return size;
}

static void release_signer(void *parent, void *signer, CRYPTO_EX_DATA *data, int slot, long number,
                           void *argument)
{
    (void)parent, (void)data, (void)slot, (void)number, (void)argument;
    memory_release(signer);
}

static void make_methods(void)
{
    ec_method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
    rsa_method = RSA_meth_dup(RSA_PKCS1_OpenSSL());
    ec_slot = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, release_signer);
    rsa_slot = RSA_get_ex_new_index(0, NULL, NULL, NULL, release_signer);
    if (ec_method)
        EC_KEY_METHOD_set_sign(ec_method, sign_with_ec, NULL, NULL);
    if (rsa_method)
        RSA_meth_set_priv_enc(rsa_method, sign_with_rsa);
}

static bool become_ec(EVP_PKEY *key, EVP_PKEY *public_key, struct tls_signer *signer)
{
    EC_KEY *shared = EVP_PKEY_get1_EC_KEY(public_key);
    EC_KEY *own = shared ? EC_KEY_dup(shared) : NULL;

    EC_KEY_free(shared);
    if (own && ec_method && EC_KEY_set_method(own, ec_method) == 1 &&
        EVP_PKEY_assign_EC_KEY(key, own) == 1)
        return EC_KEY_set_ex_data(own, ec_slot, signer) == 1;
    EC_KEY_free(own);
    return false;
}

static bool become_rsa(EVP_PKEY *key, EVP_PKEY *public_key, struct tls_signer *signer)
{
    RSA *shared = EVP_PKEY_get1_RSA(public_key);
    RSA *own = shared ? RSAPublicKey_dup(shared) : NULL;

    RSA_free(shared);
    if (own && rsa_method && RSA_set_method(own, rsa_method) == 1 &&
        EVP_PKEY_assign_RSA(key, own) == 1)
        return RSA_set_ex_data(own, rsa_slot, signer) == 1;
    RSA_free(own);
    return false;
}

EVP_PKEY *signer_key_new(EVP_PKEY *public_key, const struct tls_signer *signer)
{
    struct tls_signer *copy = memory_allocate(sizeof *copy);
    EVP_PKEY *key = EVP_PKEY_new();
    int kind = EVP_PKEY_get_base_id(public_key);

    pthread_once(&once, make_methods);
    if (copy && key) {
        *copy = *signer;
        if ((kind == EVP_PKEY_EC && become_ec(key, public_key, copy)) ||
            (kind == EVP_PKEY_RSA && become_rsa(key, public_key, copy)))
            return key;
    }
    memory_release(copy); /* the key took it over only where it was set */
    EVP_PKEY_free(key);
    ERR_clear_error();
    return NULL;
}
