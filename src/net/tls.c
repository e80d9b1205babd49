/* The TLS contexts: what both sides may speak, whom they believe, and what a session proved. */
/* SPDX-License-Identifier: ISC */
#include "base/memory.h"
#include "net/limits.h"
#include "tls_certificate.h"
#include "tls_session.h"
#include "tls_signer.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>

/* NIST SP 800-52r2 section 3.3.1: ephemeral keys, AES in Galois mode, no SHA-1. Suites without
 * ephemeral keys, CBC and CCM are left out by choice: no mail server of this decade needs them. */
static const char suites_13[] = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256";
static const char suites_12[] = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
static const char groups[] = "P-256:P-384:P-521";
static const char signatures[] =
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:"
    "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

enum {
    SECURITY_LEVEL = 2,      /* 112 bits: RSA of 2048 bits and up, no SHA-1 in a verified chain */
    CHAIN_DEPTH_MAX = 10,    /* real chains have four certificates */
    TICKET_LIFETIME_S = 7200 /* a stolen ticket key opens no more than this */
};

struct tls_server {
    atomic_uint references;
    SSL_CTX *context;
};

struct tls_client {
    SSL_CTX *context;
};

/* Looks at the peer's chain. Where names are not demanded any chain may pass, and the verdict is
 * kept for the proof; but a key too weak to be worth its encryption never passes. */
static int verify_peer(X509_STORE_CTX *chain, void *unused)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = SSL_get_app_data(ssl);
    const X509 *leaf = X509_STORE_CTX_get0_cert(chain);
    const struct tls_check *check = session->check;
    bool is_verified;

    (void)unused;
    if (!key_is_strong(X509_get0_pubkey(leaf))) {
        ERR_clear_error(); /* a key that cannot be read is told there too */
        X509_STORE_CTX_set_error(chain, X509_V_ERR_EE_KEY_TOO_SMALL);
        return 0;
    }
    is_verified = X509_verify_cert(chain) == 1;
    if (!is_verified && X509_STORE_CTX_get_error(chain) == X509_V_OK)
        X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSPECIFIED); /* never an OK that was not said */
    if (!check || !check->demands_certificate) {
        ERR_clear_error(); /* what did not verify is told by the chain's error, and is no failure */
        return 1;
    }
    if (!is_verified)
        return 0;
    for (size_t i = 0; i < check->name_count; i++)
        if (certificate_has_name(leaf, check->names[i])) {
            memcpy(session->verified_name, check->names[i].data, check->names[i].len);
            session->verified_name[check->names[i].len] = '\0';
            return 1;
        }
    X509_STORE_CTX_set_error(chain, X509_V_ERR_HOSTNAME_MISMATCH);
    return 0;
}

/* What both sides have in common. */
static SSL_CTX *context_new(const SSL_METHOD *method, struct error *why)
{
    SSL_CTX *context = SSL_CTX_new(method);

    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(context, suites_13) != 1 ||
        SSL_CTX_set_cipher_list(context, suites_12) != 1 ||
        SSL_CTX_set1_groups_list(context, groups) != 1 ||
        SSL_CTX_set1_sigalgs_list(context, signatures) != 1 ||
        SSL_CTX_set1_client_sigalgs_list(context, signatures) != 1) {
        SSL_CTX_free(context);
        error_set(why, ERROR_INTERNAL, "4.3.0", "making a TLS context: %s", library_reason());
        return NULL;
    }
    SSL_CTX_set_security_level(context, SECURITY_LEVEL);
    /* What was read is wiped in the library's buffers too, as in the stream's own. */
    SSL_CTX_set_options(context,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1); /* a record's head and body by one system call */
    SSL_CTX_set_max_cert_list(context, TLS_CHAIN_BYTES_MAX);
    SSL_CTX_set_verify_depth(context, CHAIN_DEPTH_MAX);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets need no memory */
    SSL_CTX_set_cert_verify_callback(context, verify_peer, NULL);
    return context;
}

/* Puts our certificate, its chain and the absent key into the context. */
static bool use_certificate(SSL_CTX *context, struct span pem, const struct tls_signer *signer,
                            struct error *why)
{
    STACK_OF(X509) *certificates = certificates_parse(pem, why);
    X509 *leaf = certificates ? sk_X509_shift(certificates) : NULL;
    EVP_PKEY *public_key = leaf ? X509_get0_pubkey(leaf) : NULL, *key = NULL;
    bool is_used = false;

    if (!leaf)
        return false;
    if (!key_is_strong(public_key) || EVP_PKEY_get_size(public_key) > TLS_SIGNATURE_MAX)
        error_set(
            why, ERROR_IMPOSSIBLE, "",
            "the certificate's key is neither RSA of 2048 to 4096 bits nor on P-256, P-384 or "
            "P-521");
    else if (!(key = signer_key_new(public_key, signer)))
        error_set(why, ERROR_IMPOSSIBLE, "", "the certificate's kind of key cannot sign here");
    else if (SSL_CTX_use_cert_and_key(context, leaf, key, certificates, 1) != 1)
        error_set(why, ERROR_IMPOSSIBLE, "", "the certificate is of no use: %s", library_reason());
    else
        is_used = true;
    EVP_PKEY_free(key);
    X509_free(leaf);
    sk_X509_pop_free(certificates, X509_free);
    ERR_clear_error();
    return is_used;
}

static bool trust_roots(SSL_CTX *context, struct span pem, struct error *why)
{
    STACK_OF(X509) *roots = certificates_parse(pem, why);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    bool all = roots != NULL;

    for (int i = 0; all && i < sk_X509_num(roots); i++)
        all = X509_STORE_add_cert(store, sk_X509_value(roots, i)) == 1;
    if (roots && !all)
        error_set(why, ERROR_INTERNAL, "4.3.0", "keeping the roots: %s", library_reason());
    sk_X509_pop_free(roots, X509_free);
    return all;
}

static bool server_context(const struct tls_server_terms *terms, SSL_CTX **out, struct error *why)
{
    SSL_CTX *context = context_new(TLS_server_method(), why);
    unsigned char name[SSL_MAX_SID_CTX_LENGTH];

    if (!context)
        return false;
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* One ticket, sealed with this context's own random key: it names a session with the peer's
     * certificate and its verdict inside, and opens in no other context and after no restart. */
    if (SSL_CTX_set_num_tickets(context, terms->forbids_resumption ? 0 : 1) != 1 ||
        RAND_bytes(name, sizeof name) != 1 ||
        SSL_CTX_set_session_id_context(context, name, sizeof name) != 1) {
        SSL_CTX_free(context);
        return error_set(why, ERROR_INTERNAL, "4.3.0", "TLS tickets: %s", library_reason());
    }
    if (terms->forbids_resumption)
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_timeout(context, TICKET_LIFETIME_S);
    if (terms->asks_client_certificate)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (!use_certificate(context, terms->certificate_pem, &terms->signer, why) ||
        (terms->client_roots_pem.len > 0 && !trust_roots(context, terms->client_roots_pem, why))) {
        SSL_CTX_free(context);
        return false;
    }
    *out = context;
    return true;
}

bool tls_server_new(const struct tls_server_terms *terms, struct tls_server **out,
                    struct error *why)
{
    struct tls_server *server = memory_allocate(sizeof *server);

    if (!server)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory for a TLS context");
    if (!server_context(terms, &server->context, why)) {
        memory_release(server);
        return false;
    }
    atomic_init(&server->references, 1);
    *out = server;
    return true;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
    atomic_fetch_add_explicit(&server->references, 1, memory_order_relaxed);
    return server;
}

void tls_server_free(struct tls_server *server)
{
    if (!server || atomic_fetch_sub_explicit(&server->references, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(server->context);
    memory_release(server);
}

bool tls_client_new(struct span roots_pem, struct span certificate_pem,
                    const struct tls_signer *signer, struct tls_client **out, struct error *why)
{
    struct tls_client *client;
    SSL_CTX *context = context_new(TLS_client_method(), why);

    if (!context)
        return false;
    /* No session is taken up again: each connection proves its certificate anew. */
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (!trust_roots(context, roots_pem, why) ||
        (certificate_pem.len > 0 && !use_certificate(context, certificate_pem, signer, why))) {
        SSL_CTX_free(context);
        return false;
    }
    if (!(client = memory_allocate(sizeof *client))) {
        SSL_CTX_free(context);
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory for a TLS context");
    }
    client->context = context;
    *out = client;
    return true;
}

void tls_client_free(struct tls_client *client)
{
    if (!client)
        return;
    SSL_CTX_free(client->context);
    memory_release(client);
}

static SSL *begin(SSL_CTX *context, struct tls_session *session, struct error *why)
{
    SSL *ssl = SSL_new(context);

    if (!ssl) {
        error_set(why, ERROR_INTERNAL, "4.3.0", "a TLS session: %s", library_reason());
        return NULL;
    }
    SSL_set_app_data(ssl, session);
    return ssl;
}

SSL *tls_server_begin(struct tls_server *server, struct tls_session *session, struct error *why)
{
    SSL *ssl = begin(server->context, session, why);

    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}

/* Names the server wanted, as RFC 6066 section 3 allows: a DNS name without a final dot. */
static bool ask_for_name(SSL *ssl, struct span name)
{
    char text[TLS_NAME_SIZE];
    ASN1_OCTET_STRING *address;

    if (name.len > 0 && name.data[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len >= sizeof text || span_index(name, '\0') < name.len)
        return true;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    if ((address = a2i_IPADDRESS(text)) != NULL) {
        ASN1_OCTET_STRING_free(address);
        return true;
    }
    ERR_clear_error();
    return SSL_set_tlsext_host_name(ssl, text) == 1;
}

SSL *tls_client_begin(struct tls_client *client, const struct tls_check *check,
                      struct tls_session *session, struct error *why)
{
    SSL *ssl = begin(client->context, session, why);

    if (!ssl)
        return NULL;
    session->check = check;
    if (!ask_for_name(ssl, check->server_name)) {
        SSL_free(ssl);
        error_set(why, ERROR_INTERNAL, "4.3.0", "the server's name: %s", library_reason());
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

static void copy_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text ? text : "");
}

void tls_prove(const SSL *ssl, const struct tls_session *session, struct tls_proof *proof)
{
    const X509 *leaf = SSL_get0_peer_certificate(ssl);
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    int group = (int)SSL_get_negotiated_group((SSL *)ssl);
    long verdict = SSL_get_verify_result(ssl);

    *proof = (struct tls_proof){.has_certificate = leaf != NULL};
    copy_text(proof->version, sizeof proof->version, SSL_get_version(ssl));
    copy_text(proof->cipher, sizeof proof->cipher,
              cipher ? SSL_CIPHER_standard_name(cipher) : NULL);
    copy_text(proof->group, sizeof proof->group, EC_curve_nid2nist(group));
    ERR_clear_error();
    if (!leaf)
        return; /* the verdict on a chain that was not shown is OK to the library */
    certificate_fingerprint(leaf, proof->fingerprint);
    /* A session that was taken up again brings the verdict of its first handshake; what has
     * expired meanwhile is looked at again. */
    if (verdict == X509_V_OK && X509_cmp_current_time(X509_get0_notAfter(leaf)) <= 0)
        verdict = X509_V_ERR_CERT_HAS_EXPIRED;
    proof->is_chain_verified = verdict == X509_V_OK;
    if (!proof->is_chain_verified)
        copy_text(proof->chain_problem, sizeof proof->chain_problem,
                  X509_verify_cert_error_string(verdict));
    copy_text(proof->verified_name, sizeof proof->verified_name, session->verified_name);
}
