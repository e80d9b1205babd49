/* The owner's side of a handshake's signature: the private key, in the one process that may hold
 * it. */
/* SPDX-License-Identifier: ISC */
#include "base/memory.h"
#include "tls_certificate.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

struct tls_key {
    EVP_PKEY *key;
};

/* A key behind a passphrase is refused; without this the library would ask on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *self)
{
    (void)out, (void)size, (void)writing, (void)self;
    return -1;
}

static bool is_usable(const EVP_PKEY *key)
{
    return key_is_strong(key) && EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA_PSS &&
           EVP_PKEY_get_size(key) <= TLS_SIGNATURE_MAX;
}

bool tls_key_parse(struct span pem, struct tls_key **out, struct error *why)
{
    BIO *text = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data ? pem.data : "", (int)pem.len) : NULL;
    EVP_PKEY *key = text ? PEM_read_bio_PrivateKey(text, NULL, no_passphrase, NULL) : NULL;
    struct tls_key *made;

    BIO_free(text);
    if (!key)
        return error_set(why, ERROR_IMPOSSIBLE, "", "no private key that can be read: %s",
                         library_reason());
    if (!is_usable(key)) {
        EVP_PKEY_free(key);
        return error_set(why, ERROR_IMPOSSIBLE, "",
                         "the private key is neither RSA of 2048 to 4096 bits nor on P-256, P-384 "
                         "or P-521");
    }
    if (!(made = memory_allocate(sizeof *made))) {
        EVP_PKEY_free(key);
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory for a private key");
    }
    made->key = key;
    *out = made;
    return true;
}

void tls_key_free(struct tls_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->key); /* wipes the private numbers */
    memory_release(key);
}

bool tls_key_sign(void *key, struct span input, uint8_t *signature, size_t *signature_len)
{
    EVP_PKEY *private = ((struct tls_key *)key)->key;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, private, NULL);
    bool is_rsa = EVP_PKEY_get_base_id(private) == EVP_PKEY_RSA;
    size_t len = TLS_SIGNATURE_MAX;
    bool is_signed;

    is_signed =
        context && EVP_PKEY_sign_init(context) == 1 &&
        (!is_rsa || EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING) == 1) &&
        EVP_PKEY_sign(context, signature, &len, (const unsigned char *)input.data, input.len) == 1;
    EVP_PKEY_CTX_free(context);
    if (!is_signed) {
        ERR_clear_error();
        return false;
    }
    *signature_len = len;
    return true;
}

bool tls_key_fits(const struct tls_key *key, struct span certificate_pem)
{
    struct error why;
    STACK_OF(X509) *certificates = certificates_parse(certificate_pem, &why);
    bool fits = certificates &&
                EVP_PKEY_eq(X509_get0_pubkey(sk_X509_value(certificates, 0)), key->key) == 1;

    sk_X509_pop_free(certificates, X509_free);
    ERR_clear_error();
    return fits;
}
