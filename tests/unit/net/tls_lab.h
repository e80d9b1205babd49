/* Keys and certificates made for a test, good ones and bad ones. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/span.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* What one certificate shall be; zero means the ordinary. */
struct lab_wish {
    unsigned rsa_bits;       /* 0: an EC key */
    const char *curve;       /* NULL: P-256 */
    const char *names;       /* as "DNS:a,DNS:b"; NULL: none */
    const char *common_name; /* NULL: a name of the laboratory's */
    const char *usage;       /* extended key usage; NULL: any */
    bool is_authority;
    bool is_expired;
    const struct lab_certificate *issuer; /* NULL: self-signed */
};

struct lab_certificate {
    EVP_PKEY *key;
    X509 *certificate;
    char *pem, *key_pem;
};

static inline char *lab_text(BIO *bio)
{
    char *data, *text;
    long len = BIO_get_mem_data(bio, &data);

    text = calloc(1, (size_t)len + 1);
    memcpy(text, data, (size_t)len);
    BIO_free(bio);
    return text;
}

static inline void lab_extend(X509 *certificate, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    if (!extension)
        abort();
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static inline struct lab_certificate lab_make(struct lab_wish wish)
{
    static long serial = 1;
    struct lab_certificate made = {.certificate = X509_new()};
    X509 *issuer = wish.issuer ? wish.issuer->certificate : made.certificate;
    char common_name[32];
    BIO *out;

    made.key = wish.rsa_bits > 0 ? EVP_RSA_gen(wish.rsa_bits)
                                 : EVP_EC_gen(wish.curve ? wish.curve : "P-256");
    X509_set_version(made.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial);
    snprintf(common_name, sizeof common_name, "laboratory %ld", serial++);
    if (wish.common_name)
        snprintf(common_name, sizeof common_name, "%s", wish.common_name);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)common_name, -1, -1, 0);
    X509_set_issuer_name(made.certificate, X509_get_subject_name(issuer));
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), -7200);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), wish.is_expired ? -3600 : 86400);
    X509_set_pubkey(made.certificate, made.key);
    if (wish.is_authority)
        lab_extend(made.certificate, issuer, NID_basic_constraints, "critical,CA:TRUE");
    if (wish.names)
        lab_extend(made.certificate, issuer, NID_subject_alt_name, wish.names);
    if (wish.usage)
        lab_extend(made.certificate, issuer, NID_ext_key_usage, wish.usage);
    X509_sign(made.certificate, wish.issuer ? wish.issuer->key : made.key, EVP_sha256());
    out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(out, made.certificate);
    made.pem = lab_text(out);
    out = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(out, made.key, NULL, NULL, 0, NULL, NULL);
    made.key_pem = lab_text(out);
    return made;
}

static inline void lab_forget(struct lab_certificate *made)
{
    EVP_PKEY_free(made->key);
    X509_free(made->certificate);
    free(made->pem);
    free(made->key_pem);
    *made = (struct lab_certificate){NULL};
}
