/* TLS 1.2 and 1.3 only, with suites and groups of NIST SP 800-52r2, on every socket. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "base/scoped.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_FINGERPRINT_BYTES = 32, TLS_NAME_SIZE = 256, TLS_CIPHER_SIZE = 64 };

/* Signs what a handshake must have signed with a private key that lives elsewhere (the keeper).
 * For EC keys `input` is the digest, and the output a DER ECDSA signature. For RSA keys `input` is
 * the padded block of the modulus' size and the output the raw RSA operation on it. The output
 * has room for TLS_SIGNATURE_MAX bytes. False: no signature. */
struct tls_signer {
    bool (*sign)(void *self, struct span input, uint8_t *signature, size_t *signature_len);
    void *self;
};
enum { TLS_SIGNATURE_MAX = 512 };

/* One listener's side. Shared by all its sessions; thread-safe; reference counted. */
struct tls_server;
struct tls_server_terms {
    struct span certificate_pem; /* leaf first, then intermediates */
    struct tls_signer signer;
    bool asks_client_certificate; /* asked, never required: who has none is simply not trusted */
    struct span client_roots_pem; /* who may vouch for client names; empty: fingerprints only */
    bool forbids_resumption;      /* no tickets: each session is a full handshake */
};
/* ERROR_IMPOSSIBLE with a text for the administrator when the certificate is of no use. */
MUST_USE bool tls_server_new(const struct tls_server_terms *terms, struct tls_server **out,
                             struct error *why);
struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_free(struct tls_server *server); /* drops one reference */
SCOPED_FREE(tls_server)

/* The sending side: roots and the shared context. Thread-safe; reference counted. */
struct tls_client;
/* roots_pem: the certificates that `verify` trusts; must hold at least one. `certificate_pem` and
 * `signer` (may be empty/NULL) are our client certificate. */
MUST_USE bool tls_client_new(struct span roots_pem, struct span certificate_pem,
                             const struct tls_signer *signer, struct tls_client **out,
                             struct error *why);
void tls_client_free(struct tls_client *client);
SCOPED_FREE(tls_client)

/* What one outbound handshake must show. */
struct tls_check {
    struct span server_name;  /* SNI; empty: none (an IP address is never sent) */
    bool demands_certificate; /* chain to a root, dates, and one of `names` */
    const struct span *names; /* DNS names (or IP address texts), any one of which must fit */
    size_t name_count;
};

/* What a session proved. Plain value. */
struct tls_proof {
    char version[16];                           /* "TLSv1.3" */
    char cipher[TLS_CIPHER_SIZE];               /* "TLS_AES_256_GCM_SHA384" */
    char group[32];                             /* "P-256"; empty when unknown */
    bool has_certificate;                       /* the peer showed one */
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES]; /* SHA-256 of the peer's leaf, DER */
    bool is_chain_verified;            /* the chain leads to a root we trust and all dates hold */
    char verified_name[TLS_NAME_SIZE]; /* the demanded name that fitted; empty: none was demanded */
    char chain_problem[64];            /* the library's reason where the chain does not verify */
};

/* Does the peer's (verified) certificate carry this DNS name? For trusting client certificates.
 * To be asked on the stream while it lives: see stream.h. */
struct stream;
bool stream_peer_has_name(const struct stream *stream, struct span dns_name);

/* Private keys in the process that owns them (the keeper, tools, tests): opaque here. */
struct tls_key;
MUST_USE bool tls_key_parse(struct span pem, struct tls_key **out, struct error *why);
void tls_key_free(struct tls_key *key);
SCOPED_FREE(tls_key)
/* The same contract as tls_signer.sign, with this key. */
bool tls_key_sign(void *key, struct span input, uint8_t *signature, size_t *signature_len);
/* Is this the private key of the first certificate in the PEM? */
bool tls_key_fits(const struct tls_key *key, struct span certificate_pem);
/* SHA-256 of the first certificate, DER. */
MUST_USE bool tls_fingerprint(struct span certificate_pem,
                              uint8_t fingerprint[TLS_FINGERPRINT_BYTES], struct error *why);
