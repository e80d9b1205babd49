/* What certificates say: read from PEM, named, measured. */
/* SPDX-License-Identifier: ISC */
#include "tls_certificate.h"

#include <limits.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

const char *library_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return reason ? reason : "no reason known";
}

STACK_OF(X509) * certificates_parse(struct span pem, struct error *why)
{
    BIO *text = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data ? pem.data : "", (int)pem.len) : NULL;
    STACK_OF(X509) *found = sk_X509_new_null();
    unsigned long code;
    X509 *next = NULL;

    while (text && found && (next = PEM_read_bio_X509(text, NULL, NULL, NULL)) != NULL)
        if (sk_X509_push(found, next) <= 0)
            break; /* memory is out, and `next` is still ours */
    code = ERR_peek_last_error();
    BIO_free(text);
    /* The end of the text is told as an error: no further start line. */
    if (text && found && !next && sk_X509_num(found) > 0 && ERR_GET_LIB(code) == ERR_LIB_PEM &&
        ERR_GET_REASON(code) == PEM_R_NO_START_LINE) {
        ERR_clear_error();
        return found;
    }
    X509_free(next);
    sk_X509_pop_free(found, X509_free);
    error_set(why, ERROR_IMPOSSIBLE, "", "no certificate that can be read: %s", library_reason());
    return NULL;
}

void certificate_fingerprint(const X509 *certificate, uint8_t fingerprint[TLS_FINGERPRINT_BYTES])
{
    unsigned len = 0;

    if (X509_digest(certificate, EVP_sha256(), fingerprint, &len) != 1 ||
        len != TLS_FINGERPRINT_BYTES) {
        /* Out of memory. Zeros are the hash of nothing that is known, so nothing is trusted. */
        memset(fingerprint, 0, TLS_FINGERPRINT_BYTES);
        ERR_clear_error();
    }
}

bool tls_fingerprint(struct span certificate_pem, uint8_t fingerprint[TLS_FINGERPRINT_BYTES],
                     struct error *why)
{
    STACK_OF(X509) *certificates = certificates_parse(certificate_pem, why);

    if (!certificates)
        return false;
    certificate_fingerprint(sk_X509_value(certificates, 0), fingerprint);
    sk_X509_pop_free(certificates, X509_free);
    return true;
}

bool key_is_strong(const EVP_PKEY *key)
{
    char group[32];

    if (!key)
        return false;
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        return EVP_PKEY_get_bits(key) >= 2048;
    case EVP_PKEY_EC:
        return EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
               (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0 ||
                strcmp(group, "secp521r1") == 0);
    default:
        return false;
    }
}

bool certificate_has_name(const X509 *certificate, struct span name)
{
    const unsigned flags =
        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    char text[TLS_NAME_SIZE];
    ASN1_OCTET_STRING *address;
    bool is_address;

    if (name.len >= sizeof text) /* whoever keeps what fitted has no more room, dot and all */
        return false;
    if (name.len > 0 && name.data[name.len - 1] == '.')
        name.len--;
    /* To the library an empty name has the length of a C string, and one that begins with a dot
     * means all names below. */
    if (name.len == 0 || name.data[0] == '.' || span_index(name, '\0') < name.len)
        return false;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    address = a2i_IPADDRESS(text);
    is_address = address != NULL;
    ASN1_OCTET_STRING_free(address);
    ERR_clear_error();
    if (is_address)
        return X509_check_ip_asc((X509 *)certificate, text, flags) == 1;
    return X509_check_host((X509 *)certificate, text, name.len, flags, NULL) == 1;
}
