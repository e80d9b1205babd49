/* What certificates say: read from PEM, named, measured. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "base/span.h"
#include "net/tls.h"

#include <openssl/x509.h>
#include <stdbool.h>

/* All certificates of a PEM text, in order; never empty. Freed with sk_X509_pop_free(…, X509_free).
 * NULL, with ERROR_IMPOSSIBLE, where there is none or one cannot be read. */
STACK_OF(X509) * certificates_parse(struct span pem, struct error *why);
void certificate_fingerprint(const X509 *certificate, uint8_t fingerprint[TLS_FINGERPRINT_BYTES]);

/* RSA of 2048 bits and up, or one of the curves of NIST SP 800-186 with 256 bits and up. */
bool key_is_strong(const EVP_PKEY *key);
/* Is this DNS name (or IP address text) among the subject's alternative names? The common name is
 * not looked at (RFC 9525 section 2); a wildcard stands for one whole label. */
bool certificate_has_name(const X509 *certificate, struct span name);

/* The first reason in OpenSSL's error queue, which is cleared. Static storage. */
const char *library_reason(void);
