/* TLS on a stream: what is proven, what is refused, and that clear bytes never pass for sealed. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "net/stream.h"
#include "tls_lab.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static struct deadline soon(void)
{
    return deadline_in_ms(20000);
}

/* --- the laboratory's certificates, made once --- */

#define LABEL_50 "a2345678901234567890123456789012345678901234567890"
#define LONGEST LABEL_50 LABEL_50 LABEL_50 LABEL_50 LABEL_50 ".test" /* 255 characters */

static struct lab_certificate good_root, other_root, intermediate;
static struct lab_certificate mx, mx_rsa, mx_384, mx_weak, mx_chained, mx_self, mx_expired;
static struct lab_certificate mx_wild, mx_partial, mx_long, mx_address, mx_nameless, mx_for_clients;
static struct lab_certificate mx_untrusted, relay, relay_untrusted, relay_expired, relay_weak;

static int make_laboratory(void **state)
{
    const struct lab_certificate *root = &good_root;

    (void)state;
    good_root = lab_make((struct lab_wish){.is_authority = true});
    other_root = lab_make((struct lab_wish){.is_authority = true});
    intermediate = lab_make((struct lab_wish){.is_authority = true, .issuer = root});
    mx = lab_make((struct lab_wish){.names = "DNS:mx.example,DNS:mx2.example", .issuer = root});
    mx_rsa =
        lab_make((struct lab_wish){.rsa_bits = 2048, .names = "DNS:mx.example", .issuer = root});
    mx_384 =
        lab_make((struct lab_wish){.curve = "P-384", .names = "DNS:mx.example", .issuer = root});
    mx_weak =
        lab_make((struct lab_wish){.rsa_bits = 1024, .names = "DNS:mx.example", .issuer = root});
    mx_chained = lab_make((struct lab_wish){.names = "DNS:mx.example", .issuer = &intermediate});
    mx_self = lab_make((struct lab_wish){.names = "DNS:mx.example"});
    mx_expired =
        lab_make((struct lab_wish){.names = "DNS:mx.example", .is_expired = true, .issuer = root});
    mx_wild = lab_make((struct lab_wish){.names = "DNS:*.mail.example", .issuer = root});
    mx_partial = lab_make((struct lab_wish){.names = "DNS:m*.mail.example", .issuer = root});
    mx_long = lab_make((struct lab_wish){.names = "DNS:" LONGEST, .issuer = root});
    mx_address = lab_make((struct lab_wish){.names = "IP:192.0.2.7", .issuer = root});
    mx_nameless = lab_make((struct lab_wish){.common_name = "mx.example", .issuer = root});
    mx_for_clients = lab_make(
        (struct lab_wish){.names = "DNS:mx.example", .usage = "clientAuth", .issuer = root});
    mx_untrusted = lab_make((struct lab_wish){.names = "DNS:mx.example", .issuer = &other_root});
    relay = lab_make((struct lab_wish){.names = "DNS:relay.example", .issuer = root});
    relay_untrusted =
        lab_make((struct lab_wish){.names = "DNS:relay.example", .issuer = &other_root});
    relay_expired = lab_make(
        (struct lab_wish){.names = "DNS:relay.example", .is_expired = true, .issuer = root});
    relay_weak =
        lab_make((struct lab_wish){.rsa_bits = 1024, .names = "DNS:relay.example", .issuer = root});
    return 0;
}

static int forget_laboratory(void **state)
{
    struct lab_certificate *all[] = {&good_root,    &other_root, &intermediate,    &mx,
                                     &mx_rsa,       &mx_384,     &mx_weak,         &mx_chained,
                                     &mx_self,      &mx_expired, &mx_wild,         &mx_partial,
                                     &mx_long,      &mx_address, &mx_nameless,     &mx_for_clients,
                                     &mx_untrusted, &relay,      &relay_untrusted, &relay_expired,
                                     &relay_weak};

    (void)state;
    for (size_t i = 0; i < COUNT(all); i++)
        lab_forget(all[i]);
    return 0;
}

/* --- our side: a signer that counts, a server that echoes a line --- */

struct counting_signer {
    struct tls_key *key;
    atomic_uint calls;
    bool fails;
};

static bool sign_and_count(void *self, struct span input, uint8_t *signature, size_t *len)
{
    struct counting_signer *signer = self;

    atomic_fetch_add(&signer->calls, 1);
    return !signer->fails && tls_key_sign(signer->key, input, signature, len);
}

struct host {
    struct counting_signer signer;
    struct tls_server *server;
};

static void host_open(struct host *host, const struct lab_certificate *certificate, bool asks,
                      const char *roots)
{
    struct tls_server_terms terms = {.certificate_pem = span_of(certificate->pem),
                                     .signer = {sign_and_count, &host->signer},
                                     .asks_client_certificate = asks,
                                     .client_roots_pem = span_of(roots ? roots : "")};
    struct error why;

    *host = (struct host){.server = NULL};
    assert_true(tls_key_parse(span_of(certificate->key_pem), &host->signer.key, &why));
    assert_true(tls_server_new(&terms, &host->server, &why));
}

static void host_close(struct host *host)
{
    tls_server_free(host->server);
    tls_key_free(host->signer.key);
}

/* What the server's thread saw. */
struct visit {
    struct tls_server *server;
    int fd;
    bool is_started, has_line, has_name, has_other_name;
    char line[64];
    struct tls_proof proof;
    struct error why;
    pthread_t thread;
};

static void *serve(void *argument)
{
    struct visit *visit = argument;
    scoped(stream) stream = stream_new(visit->fd);
    struct span line;

    visit->is_started = stream_start_tls_server(stream, visit->server, soon(), &visit->why);
    if (!visit->is_started)
        return NULL;
    visit->proof = *stream_proof(stream);
    visit->has_name = stream_peer_has_name(stream, SPAN_LITERAL("relay.example"));
    visit->has_other_name = stream_peer_has_name(stream, SPAN_LITERAL("other.example"));
    if (stream_read_line(stream, soon(), &line, &visit->why)) {
        visit->has_line = true;
        snprintf(visit->line, sizeof visit->line, "%.*s", SPAN_ARGS(line));
        (void)!(stream_write(stream, SPAN_LITERAL("echo\r\n"), soon(), &visit->why) &&
                stream_flush(stream, soon(), &visit->why));
    }
    return NULL;
}

/* Starts a server's thread on one end of a connection and gives the other end. */
static int visit_begin(struct visit *visit, struct tls_server *server)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    *visit = (struct visit){.server = server, .fd = ends[0]};
    pthread_create(&visit->thread, NULL, serve, visit);
    return ends[1];
}

static void visit_end(struct visit *visit)
{
    pthread_join(visit->thread, NULL);
}

static struct tls_client *client_with(const struct lab_certificate *root)
{
    struct tls_client *client = NULL;
    struct error why;

    assert_true(tls_client_new(span_of(root->pem), (struct span){NULL, 0}, NULL, &client, &why));
    return client;
}

/* --- the other side by OpenSSL alone, which may misbehave --- */

struct stranger {
    int least, most;     /* versions; 0: any */
    const char *ciphers; /* of TLS 1.2 and below; NULL: all */
    const struct lab_certificate *certificate, *chain;
    SSL_SESSION *session; /* to take up again */
    const char *name;     /* what its SNI shall be */
};

static int tickets_seen;
static SSL_SESSION *last_ticket;

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    tickets_seen++;
    SSL_SESSION_free(last_ticket);
    last_ticket = session;
    return 1;
}

static SSL *stranger_new(const struct stranger *wish, bool is_server, int fd)
{
    SSL_CTX *context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    SSL *ssl;

    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, wish->least);
    SSL_CTX_set_max_proto_version(context, wish->most);
    SSL_CTX_set_cipher_list(context, wish->ciphers ? wish->ciphers : "ALL:@SECLEVEL=0");
    SSL_CTX_set_dh_auto(context, 1);
    if (wish->certificate)
        SSL_CTX_use_cert_and_key(context, wish->certificate->certificate, wish->certificate->key,
                                 NULL, 1);
    if (wish->chain)
        SSL_CTX_add1_chain_cert(context, wish->chain->certificate);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_ticket);
    ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(ssl, fd);
    if (wish->session)
        SSL_set_session(ssl, wish->session);
    return ssl;
}

struct stranger_server {
    struct stranger wish;
    int fd;
    bool is_started;
    pthread_t thread;
    char sni[256];
};

static void *stranger_serves(void *argument)
{
    struct stranger_server *server = argument;
    SSL *ssl = stranger_new(&server->wish, true, server->fd);
    const char *name;
    char byte;

    server->is_started = SSL_accept(ssl) == 1;
    name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(server->sni, sizeof server->sni, "%s", name ? name : "");
    if (server->is_started)
        SSL_read(ssl, &byte, 1);
    SSL_free(ssl);
    close(server->fd);
    ERR_clear_error();
    return NULL;
}

static int stranger_begin(struct stranger_server *server, struct stranger wish)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    *server = (struct stranger_server){.wish = wish, .fd = ends[0]};
    pthread_create(&server->thread, NULL, stranger_serves, server);
    return ends[1];
}

/* --- what a client demands --- */

static const struct check_case {
    const char *name;
    const struct lab_certificate *certificate, *chain;
    const char *wanted[3]; /* the names, any of which will do */
    const char *verified;  /* NULL: refused */
    const char *problem;   /* part of the reason */
} checks[] = {
    {"the wanted name", &mx, NULL, {"mx.example"}, "mx.example", NULL},
    {"the second wanted name", &mx, NULL, {"no.example", "mx2.example"}, "mx2.example", NULL},
    {"a name in capital letters", &mx, NULL, {"MX.Example"}, "MX.Example", NULL},
    {"a name with a final dot", &mx, NULL, {"mx.example."}, "mx.example.", NULL},
    {"RSA", &mx_rsa, NULL, {"mx.example"}, "mx.example", NULL},
    {"P-384", &mx_384, NULL, {"mx.example"}, "mx.example", NULL},
    {"an intermediate that is shown", &mx_chained, &intermediate, {"mx.example"}, "mx.example"},
    {"an intermediate that is not shown", &mx_chained, NULL, {"mx.example"}, NULL, "issuer"},
    {"another name", &mx, NULL, {"mx.other.example"}, NULL, "hostname mismatch"},
    {"no name at all", &mx, NULL, {NULL}, NULL, "hostname mismatch"},
    {"an empty name", &mx, NULL, {""}, NULL, "hostname mismatch"},
    {"a dot", &mx, NULL, {"."}, NULL, "hostname mismatch"},
    {"a name that begins with a dot", &mx, NULL, {".example"}, NULL, "hostname mismatch"},
    {"a parent's name", &mx, NULL, {"example"}, NULL, "hostname mismatch"},
    {"a wildcard for one label", &mx_wild, NULL, {"mx.mail.example"}, "mx.mail.example", NULL},
    {"a wildcard for two labels", &mx_wild, NULL, {"a.mx.mail.example"}, NULL, "hostname mismatch"},
    {"a wildcard for none", &mx_wild, NULL, {"mail.example"}, NULL, "hostname mismatch"},
    {"half a wildcard", &mx_partial, NULL, {"mx.mail.example"}, NULL, "hostname mismatch"},
    {"the longest name", &mx_long, NULL, {LONGEST}, LONGEST, NULL},
    {"a longer name, by its final dot", &mx_long, NULL, {LONGEST "."}, NULL, "hostname mismatch"},
    {"a common name only", &mx_nameless, NULL, {"mx.example"}, NULL, "hostname mismatch"},
    {"an address", &mx_address, NULL, {"192.0.2.7"}, "192.0.2.7", NULL},
    {"another address", &mx_address, NULL, {"192.0.2.8"}, NULL, "hostname mismatch"},
    {"a foreign root", &mx_untrusted, &other_root, {"mx.example"}, NULL, "certificate"},
    {"self-signed", &mx_self, NULL, {"mx.example"}, NULL, "self-signed"},
    {"expired", &mx_expired, NULL, {"mx.example"}, NULL, "expired"},
    {"made for clients", &mx_for_clients, NULL, {"mx.example"}, NULL, "purpose"},
};

static void a_demanded_certificate_is_checked(void **state)
{
    const struct check_case *c = *state;
    scoped(tls_client) client = client_with(&good_root);
    struct stranger_server server;
    struct span names[COUNT(c->wanted)];
    struct tls_check check = {
        .server_name = SPAN_LITERAL("mx.example"), .demands_certificate = true, .names = names};
    struct error why = {0};
    struct stream *stream = stream_new(stranger_begin(
        &server, (struct stranger){.certificate = c->certificate, .chain = c->chain}));

    while (check.name_count < COUNT(c->wanted) && c->wanted[check.name_count]) {
        names[check.name_count] = span_of(c->wanted[check.name_count]);
        check.name_count++;
    }
    assert_int_equal(stream_start_tls_client(stream, client, &check, soon(), &why),
                     c->verified != NULL);
    if (c->verified) {
        assert_true(stream_proof(stream)->is_chain_verified);
        assert_string_equal(stream_proof(stream)->verified_name, c->verified);
        assert_string_equal(stream_proof(stream)->chain_problem, "");
    } else {
        assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
        assert_string_equal(why.status, "4.7.5");
        assert_non_null(strstr(why.text, c->problem));
        assert_true(stream_is_over(stream));
    }
    stream_free(stream);
    pthread_join(server.thread, NULL);
    assert_string_equal(server.sni, "mx.example");
}

static void where_none_is_demanded_any_passes_and_the_proof_tells(void **state)
{
    const struct check_case *c = *state;
    scoped(tls_client) client = client_with(&good_root);
    struct stranger_server server;
    struct tls_check check = {.server_name = SPAN_LITERAL("192.0.2.7")};
    struct error why = {0};
    uint8_t wanted[TLS_FINGERPRINT_BYTES];
    struct stream *stream = stream_new(stranger_begin(
        &server, (struct stranger){.certificate = c->certificate, .chain = c->chain}));
    bool verifies = c->verified || strcmp(c->problem, "hostname mismatch") == 0;

    assert_true(stream_start_tls_client(stream, client, &check, soon(), &why));
    assert_int_equal(stream_proof(stream)->is_chain_verified, verifies);
    assert_int_equal(stream_proof(stream)->chain_problem[0] == '\0', verifies);
    assert_string_equal(stream_proof(stream)->verified_name, "");
    assert_true(stream_proof(stream)->has_certificate);
    assert_true(tls_fingerprint(span_of(c->certificate->pem), wanted, &why));
    assert_memory_equal(stream_proof(stream)->fingerprint, wanted, sizeof wanted);
    stream_free(stream);
    pthread_join(server.thread, NULL);
    assert_string_equal(server.sni, ""); /* an address is never sent */
}

/* --- what no client of ours accepts, demanded or not --- */

static const struct bad_server_case {
    const char *name;
    struct stranger wish;
} bad_servers[] = {
    {"a server of TLS 1.1", {.most = TLS1_1_VERSION, .certificate = &mx}},
    {"a server of TLS 1.0", {.most = TLS1_VERSION, .certificate = &mx_rsa}},
    {"an RSA key of 1024 bits in TLS 1.3", {.certificate = &mx_weak}},
    {"an RSA key of 1024 bits in TLS 1.2", {.most = TLS1_2_VERSION, .certificate = &mx_weak}},
    {"CBC only",
     {.most = TLS1_2_VERSION,
      .ciphers = "ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0",
      .certificate = &mx}},
    {"DHE only",
     {.most = TLS1_2_VERSION,
      .ciphers = "DHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0",
      .certificate = &mx_rsa}},
    {"key transport by RSA only",
     {.most = TLS1_2_VERSION, .ciphers = "AES256-GCM-SHA384:@SECLEVEL=0", .certificate = &mx_rsa}},
    {"ChaCha20 only",
     {.most = TLS1_2_VERSION,
      .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305:@SECLEVEL=0",
      .certificate = &mx}},
    {"no certificate at all", {.most = TLS1_2_VERSION, .ciphers = "AECDH-AES256-SHA:@SECLEVEL=0"}},
};

static void such_a_server_is_impossible(void **state)
{
    const struct bad_server_case *c = *state;
    scoped(tls_client) client = client_with(&good_root);
    struct stranger_server server;
    struct tls_check check = {.server_name = {NULL, 0}};
    struct error why = {0};
    struct stream *stream = stream_new(stranger_begin(&server, c->wish));

    assert_false(stream_start_tls_client(stream, client, &check, soon(), &why));
    assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    assert_string_equal(why.status, "4.7.5");
    stream_free(stream);
    pthread_join(server.thread, NULL);
    assert_false(server.is_started);
}

/* --- our server, and clients of all kinds --- */

static const struct client_case {
    const char *name;
    const struct lab_certificate *host;
    struct stranger wish;
    const char *version, *cipher; /* NULL: refused */
} clients[] = {
    {"TLS 1.3, P-256", &mx, {0}, "TLSv1.3", "TLS_AES_256_GCM_SHA384"},
    {"TLS 1.3, P-384", &mx_384, {0}, "TLSv1.3", "TLS_AES_256_GCM_SHA384"},
    {"TLS 1.3, RSA", &mx_rsa, {0}, "TLSv1.3", "TLS_AES_256_GCM_SHA384"},
    {"TLS 1.2, P-256",
     &mx,
     {.most = TLS1_2_VERSION},
     "TLSv1.2",
     "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    {"TLS 1.2, P-384, shorter AES",
     &mx_384,
     {.most = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"},
     "TLSv1.2",
     "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    {"TLS 1.2, RSA",
     &mx_rsa,
     {.most = TLS1_2_VERSION},
     "TLSv1.2",
     "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
    {"TLS 1.2, RSA, shorter AES",
     &mx_rsa,
     {.most = TLS1_2_VERSION, .ciphers = "ECDHE-RSA-AES128-GCM-SHA256"},
     "TLSv1.2",
     "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
    {"TLS 1.1", &mx_rsa, {.most = TLS1_1_VERSION}, NULL, NULL},
    {"TLS 1.2 with CBC only",
     &mx_rsa,
     {.most = TLS1_2_VERSION, .ciphers = "ECDHE-RSA-AES256-SHA384"},
     NULL,
     NULL},
    {"TLS 1.2 with key transport only",
     &mx_rsa,
     {.most = TLS1_2_VERSION, .ciphers = "AES256-GCM-SHA384"},
     NULL,
     NULL},
};

/* Says a line and reads the echo; true when it came. */
static bool stranger_talks(SSL *ssl)
{
    char got[16];

    return SSL_write(ssl, "hello\r\n", 7) == 7 && SSL_read(ssl, got, sizeof got) == 6;
}

static void a_handshake_costs_one_signature(void **state)
{
    const struct client_case *c = *state;
    struct host host;
    struct visit visit;
    SSL *ssl;
    int fd;

    host_open(&host, c->host, false, NULL);
    fd = visit_begin(&visit, host.server);
    ssl = stranger_new(&c->wish, false, fd);
    assert_int_equal(SSL_connect(ssl) == 1 && stranger_talks(ssl), c->version != NULL);
    SSL_free(ssl);
    close(fd);
    visit_end(&visit);
    assert_int_equal(visit.is_started, c->version != NULL);
    if (c->version) {
        assert_int_equal(atomic_load(&host.signer.calls), 1);
        assert_string_equal(visit.line, "hello");
        assert_string_equal(visit.proof.version, c->version);
        assert_string_equal(visit.proof.cipher, c->cipher);
        assert_string_equal(visit.proof.group, "P-256");
        assert_false(visit.proof.has_certificate);
        assert_false(visit.proof.is_chain_verified);
    } else {
        assert_int_equal(atomic_load(&host.signer.calls), 0);
        assert_int_equal(visit.why.kind, ERROR_TEMPORARY);
        assert_string_equal(visit.why.status, "4.7.0");
    }
    host_close(&host);
    ERR_clear_error();
}

static void a_signer_that_fails_ends_the_handshake(void **state)
{
    const struct lab_certificate *kinds[] = {&mx, &mx_rsa};

    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct host host;
            struct visit visit;
            SSL *ssl;
            int fd;

            host_open(&host, kinds[i], false, NULL);
            host.signer.fails = true;
            fd = visit_begin(&visit, host.server);
            ssl = stranger_new(&(struct stranger){.most = version}, false, fd);
            assert_int_not_equal(SSL_connect(ssl), 1);
            SSL_free(ssl);
            close(fd);
            visit_end(&visit);
            assert_false(visit.is_started);
            assert_string_equal(visit.why.status, "4.7.0");
            host_close(&host);
        }
}

/* --- client certificates --- */

static const struct trust_case {
    const char *name;
    const struct lab_certificate *certificate; /* NULL: none */
    bool has_roots, is_started, is_verified;
} trusts[] = {
    {"a certificate under a root of ours", &relay, true, true, true},
    {"none", NULL, true, true, false},
    {"one under a foreign root", &relay_untrusted, true, true, false},
    {"one that has expired", &relay_expired, true, true, false},
    {"one while we have no roots", &relay, false, true, false},
    {"one with a weak key", &relay_weak, true, false, false},
};

static void a_client_certificate_is_asked_and_judged(void **state)
{
    const struct trust_case *c = *state;

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct host host;
        struct stranger wish = {.most = version, .certificate = c->certificate};
        struct visit visit;
        uint8_t wanted[TLS_FINGERPRINT_BYTES] = {0};
        struct error why;
        SSL *ssl;
        int fd;

        host_open(&host, &mx, true, c->has_roots ? good_root.pem : NULL);
        fd = visit_begin(&visit, host.server);
        ssl = stranger_new(&wish, false, fd);
        assert_int_equal(SSL_connect(ssl) == 1 && stranger_talks(ssl), c->is_started);
        SSL_free(ssl);
        close(fd);
        visit_end(&visit);
        assert_int_equal(visit.is_started, c->is_started);
        if (c->certificate)
            assert_true(tls_fingerprint(span_of(c->certificate->pem), wanted, &why));
        if (c->is_started) {
            assert_int_equal(visit.proof.has_certificate, c->certificate != NULL);
            assert_memory_equal(visit.proof.fingerprint, wanted, sizeof wanted);
        }
        assert_int_equal(visit.proof.is_chain_verified, c->is_verified);
        assert_int_equal(visit.has_name, c->is_verified);
        assert_false(visit.has_other_name);
        host_close(&host);
        ERR_clear_error();
    }
}

/* --- tickets --- */

/* One visit of a client that takes *session up, and keeps the new one in last_ticket. */
static struct visit come_again(struct host *host, int version, SSL_SESSION *session,
                               const struct lab_certificate *certificate, bool *was_resumed)
{
    struct stranger wish = {.most = version, .session = session, .certificate = certificate};
    struct visit visit;
    int fd = visit_begin(&visit, host->server);
    SSL *ssl = stranger_new(&wish, false, fd);

    tickets_seen = 0;
    assert_true(SSL_connect(ssl) == 1 && stranger_talks(ssl));
    *was_resumed = SSL_session_reused(ssl);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
    visit_end(&visit);
    return visit;
}

static void a_resumed_session_keeps_what_was_proven(void **state)
{
    const struct trust_case *c = *state;

    if (!c->is_started)
        return;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct host host;
        SSL_SESSION *session;
        struct visit first, second;
        bool was_resumed;

        host_open(&host, &mx, true, c->has_roots ? good_root.pem : NULL);
        first = come_again(&host, version, NULL, c->certificate, &was_resumed);
        assert_false(was_resumed);
        assert_int_equal(tickets_seen, 1);
        session = last_ticket;
        last_ticket = NULL;
        /* The second time it shows no certificate, and could show another one: what counts is what
         * the first handshake proved. */
        second = come_again(&host, version, session, NULL, &was_resumed);
        assert_true(was_resumed);
        assert_int_equal(atomic_load(&host.signer.calls), 1);
        assert_int_equal(second.proof.has_certificate, first.proof.has_certificate);
        assert_int_equal(second.proof.is_chain_verified, first.proof.is_chain_verified);
        assert_memory_equal(second.proof.fingerprint, first.proof.fingerprint,
                            TLS_FINGERPRINT_BYTES);
        assert_int_equal(second.has_name, first.has_name);
        assert_false(second.has_other_name);
        SSL_SESSION_free(session);
        host_close(&host);
    }
}

static void a_foreign_ticket_leads_to_a_full_handshake(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct host open;
        struct host asking;
        struct visit visit;
        SSL_SESSION *session;
        bool was_resumed;

        host_open(&open, &mx, false, NULL);
        host_open(&asking, &mx, true, good_root.pem);
        come_again(&open, version, NULL, NULL, &was_resumed);
        session = last_ticket;
        last_ticket = NULL;
        visit = come_again(&asking, version, session, &relay, &was_resumed);
        assert_false(was_resumed);
        assert_true(visit.proof.is_chain_verified);
        assert_int_equal(atomic_load(&asking.signer.calls), 1);
        SSL_SESSION_free(session);
        host_close(&open);
        host_close(&asking);
    }
    SSL_SESSION_free(last_ticket);
    last_ticket = NULL;
}

static void tickets_can_be_forbidden(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct host host;
        struct tls_server_terms terms = {.certificate_pem = span_of(mx.pem),
                                         .signer = {sign_and_count, &host.signer},
                                         .forbids_resumption = true};
        struct error why;
        bool was_resumed;

        host_open(&host, &mx, false, NULL);
        tls_server_free(host.server);
        assert_true(tls_server_new(&terms, &host.server, &why));
        SSL_SESSION_free(last_ticket);
        last_ticket = NULL;
        come_again(&host, version, NULL, NULL, &was_resumed);
        /* In TLS 1.2 there is a session without a ticket; the server does not know it again. */
        come_again(&host, version, last_ticket, NULL, &was_resumed);
        assert_false(was_resumed);
        assert_int_equal(atomic_load(&host.signer.calls), 2);
        host_close(&host);
    }
    SSL_SESSION_free(last_ticket);
    last_ticket = NULL;
}

/* --- both sides ours --- */

static void two_streams_talk_and_our_certificate_is_shown(void **state)
{
    struct host host;
    struct counting_signer signer = {.calls = 0};
    struct tls_client *client = NULL;
    const struct span name = SPAN_LITERAL("mx.example");
    struct tls_check check = {name, true, &name, 1};
    struct visit visit;
    struct stream *stream;
    struct span line;
    struct error why;

    (void)state;
    assert_true(tls_key_parse(span_of(relay.key_pem), &signer.key, &why));
    host_open(&host, &mx, true, good_root.pem);
    assert_true(tls_client_new(span_of(good_root.pem), span_of(relay.pem),
                               &(struct tls_signer){sign_and_count, &signer}, &client, &why));
    stream = stream_new(visit_begin(&visit, host.server));
    assert_false(stream_is_tls(stream));
    assert_true(stream_start_tls_client(stream, client, &check, soon(), &why));
    assert_true(stream_is_tls(stream));
    tls_client_free(client); /* the session keeps what it needs */
    tls_server_free(tls_server_ref(host.server));
    assert_true(stream_write(stream, SPAN_LITERAL("hello\r\n"), soon(), &why));
    assert_true(stream_flush(stream, soon(), &why));
    assert_true(stream_read_line(stream, soon(), &line, &why));
    assert_true(span_equal(line, span_of("echo")));
    assert_false(stream_read_line(stream, soon(), &line, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_true(stream_is_over(stream));
    stream_free(stream);
    visit_end(&visit);
    assert_true(visit.has_name);
    assert_int_equal(atomic_load(&host.signer.calls), 1);
    assert_int_equal(atomic_load(&signer.calls), 1);
    tls_key_free(signer.key);
    host_close(&host);
}

struct flood {
    struct visit visit;
    unsigned sum;
    size_t len;
};

static void *swallow(void *argument)
{
    struct flood *flood = argument;
    scoped(stream) stream = stream_new(flood->visit.fd);
    struct span bytes;

    if (!stream_start_tls_server(stream, flood->visit.server, soon(), &flood->visit.why))
        return NULL;
    while (stream_peek(stream, soon(), &bytes, &flood->visit.why) && bytes.len > 0) {
        size_t len = bytes.len > 1000 ? bytes.len - 7 : bytes.len;

        for (size_t i = 0; i < len; i++)
            flood->sum = flood->sum * 31 + (unsigned char)bytes.data[i];
        flood->len += len;
        stream_consume(stream, len);
    }
    return NULL;
}

static void much_goes_through_in_order(void **state)
{
    static char big[500000];
    static const size_t sizes[] = {1, 16384, 100, 16383, 400000, 0, 40000};
    struct host host;
    struct flood flood = {.sum = 0};
    scoped(tls_client) client = client_with(&good_root);
    struct tls_check check = {.demands_certificate = false};
    struct stream *stream;
    size_t total = 0;
    unsigned sum = 0;
    struct error why;
    int ends[2];

    (void)state;
    host_open(&host, &mx, false, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    flood.visit = (struct visit){.server = host.server, .fd = ends[0]};
    pthread_create(&flood.visit.thread, NULL, swallow, &flood);
    stream = stream_new(ends[1]);
    assert_true(stream_start_tls_client(stream, client, &check, soon(), &why));
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        assert_true(stream_write(stream, span_make(big + i, sizes[i]), soon(), &why));
        for (size_t j = 0; j < sizes[i]; j++)
            sum = sum * 31 + (unsigned char)big[i + j];
        total += sizes[i];
    }
    assert_true(stream_flush(stream, soon(), &why));
    stream_free(stream); /* with a close_notify, so the other side sees an end and no failure */
    visit_end(&flood.visit);
    assert_int_equal(flood.len, total);
    assert_int_equal(flood.sum, sum);
    host_close(&host);
}

/* --- how a session ends, or does not begin --- */

enum parting { PARTING_CLEAN, PARTING_CLEAR_BYTE, PARTING_CLEAR_FLOOD, PARTING_CUT };

static const struct parting_case {
    const char *name;
    enum parting parting;
    int version;
    bool is_end; /* else a failure */
} partings[] = {
    {"a close_notify is an end", PARTING_CLEAN, TLS1_3_VERSION, true},
    {"a clear byte after it is never read", PARTING_CLEAR_BYTE, TLS1_3_VERSION, true},
    {"nor are 4 KiB", PARTING_CLEAR_FLOOD, TLS1_3_VERSION, true},
    {"a close_notify is an end in TLS 1.2", PARTING_CLEAN, TLS1_2_VERSION, true},
    {"a clear byte after it is never read in TLS 1.2", PARTING_CLEAR_BYTE, TLS1_2_VERSION, true},
    {"nor are 4 KiB in TLS 1.2", PARTING_CLEAR_FLOOD, TLS1_2_VERSION, true},
    {"a cut is a failure", PARTING_CUT, TLS1_3_VERSION, false},
    {"a cut is a failure in TLS 1.2", PARTING_CUT, TLS1_2_VERSION, false},
};

struct leaving {
    int fd;
    const struct parting_case *how;
};

static void *leave(void *argument)
{
    const struct leaving *leaving = argument;
    SSL *ssl = stranger_new(&(struct stranger){.most = leaving->how->version}, false, leaving->fd);
    char clear[4096];

    memset(clear, 'A', sizeof clear);
    if (SSL_connect(ssl) == 1 && SSL_write(ssl, "BDAT 1000\r\n400 octets", 21) == 21) {
        if (leaving->how->parting != PARTING_CUT)
            SSL_shutdown(ssl);
        if (leaving->how->parting == PARTING_CLEAR_BYTE)
            send(leaving->fd, clear, 1, MSG_NOSIGNAL);
        if (leaving->how->parting == PARTING_CLEAR_FLOOD)
            send(leaving->fd, clear, sizeof clear, MSG_NOSIGNAL);
    }
    SSL_free(ssl);
    close(leaving->fd);
    return NULL;
}

static void clear_bytes_are_never_data(void **state)
{
    const struct parting_case *c = *state;
    struct host host;
    struct leaving leaving = {.how = c};
    struct stream *stream;
    struct span line, bytes;
    struct error why;
    pthread_t thread;
    int ends[2];
    bool is_read;

    host_open(&host, &mx, false, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    leaving.fd = ends[1];
    pthread_create(&thread, NULL, leave, &leaving);
    stream = stream_new(ends[0]);
    assert_true(stream_start_tls_server(stream, host.server, soon(), &why));
    pthread_join(thread, NULL); /* all has arrived now, the clear bytes too */
    assert_true(stream_read_line(stream, soon(), &line, &why));
    assert_true(stream_peek(stream, soon(), &bytes, &why));
    assert_true(span_equal(bytes, span_of("400 octets")));
    stream_consume(stream, bytes.len);
    for (int again = 0; again < 3; again++) {
        bytes = SPAN_LITERAL("untouched");
        is_read = stream_peek(stream, soon(), &bytes, &why);
        assert_int_equal(is_read, c->is_end);
        if (is_read)
            assert_int_equal(bytes.len, 0);
        else
            assert_true(span_equal(bytes, span_of("untouched")));
        assert_int_equal(stream_unread(stream), 0);
        assert_false(stream_read_line(stream, soon(), &line, &why));
        assert_int_equal(why.kind, ERROR_TEMPORARY);
        assert_true(stream_is_over(stream));
    }
    stream_free(stream);
    host_close(&host);
}

static const struct start_case {
    const char *name;
    struct span sent;
    bool closes, is_late;
    enum error_kind client_kind;
    const char *client_status;
} starts[] = {
    {"silence", {"", 0}, false, true, ERROR_TEMPORARY, "4.4.2"},
    {"an end", {"", 0}, true, false, ERROR_TEMPORARY, "4.4.2"},
    {"half a record, then silence", {"\x16\x03\x03\x00", 4}, false, true, ERROR_TEMPORARY, "4.4.2"},
    {"half a record, then an end", {"\x16\x03\x03\x00", 4}, true, false, ERROR_TEMPORARY, "4.4.2"},
    {"clear text", SPAN_LITERAL("220 mx.example ready\r\n"), false, false, ERROR_IMPOSSIBLE,
     "4.7.5"},
    {"an alert", {"\x15\x03\x03\x00\x02\x02\x28", 7}, false, false, ERROR_IMPOSSIBLE, "4.7.5"},
};

static void a_handshake_that_does_not_begin_is_told(void **state)
{
    const struct start_case *c = *state;
    struct host host;

    host_open(&host, &mx, false, NULL);
    for (int side = 0; side < 2; side++) {
        scoped(tls_client) client = client_with(&good_root);
        struct tls_check check = {.demands_certificate = false};
        struct deadline until = c->is_late ? deadline_in_ms(10) : soon();
        struct stream *stream;
        struct error why;
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        stream = stream_new(ends[0]);
        assert_int_equal(send(ends[1], c->sent.data, c->sent.len, 0), c->sent.len);
        if (c->closes)
            shutdown(ends[1], SHUT_WR);
        if (side == 0) {
            assert_false(stream_start_tls_client(stream, client, &check, until, &why));
            assert_int_equal(why.kind, c->client_kind);
            assert_string_equal(why.status, c->client_status);
        } else {
            assert_false(stream_start_tls_server(stream, host.server, until, &why));
            assert_int_equal(why.kind, ERROR_TEMPORARY);
            assert_string_equal(why.status, "4.7.0");
        }
        assert_int_equal(stream_timed_out(stream), c->is_late);
        stream_free(stream);
        close(ends[1]);
    }
    host_close(&host);
}

static void a_signal_is_not_raised_by_a_peer_that_has_gone(void **state)
{
    struct host host;
    scoped(tls_client) client = client_with(&good_root);
    struct tls_check check = {.demands_certificate = false};
    static char big[100000];
    struct visit visit;
    struct stream *stream;
    struct error why;

    (void)state;
    host_open(&host, &mx, false, NULL);
    stream = stream_new(visit_begin(&visit, host.server));
    assert_true(stream_start_tls_client(stream, client, &check, soon(), &why));
    assert_true(stream_write(stream, SPAN_LITERAL("bye\r\n"), soon(), &why));
    assert_true(stream_flush(stream, soon(), &why));
    visit_end(&visit); /* and closed */
    signal(SIGPIPE, SIG_DFL);
    assert_false(stream_write(stream, span_make(big, sizeof big), soon(), &why) &&
                 stream_flush(stream, soon(), &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_string_equal(why.status, "4.4.2");
    stream_free(stream);
    signal(SIGPIPE, SIG_IGN);
    host_close(&host);
}

static void contexts_refuse_what_is_of_no_use(void **state)
{
    struct tls_signer signer = {sign_and_count, NULL};
    struct tls_server_terms terms = {.certificate_pem = SPAN_LITERAL("no"), .signer = signer};
    struct tls_server *server = NULL;
    struct tls_client *client = NULL;
    struct error why;

    (void)state;
    assert_false(tls_server_new(&terms, &server, &why));
    assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    terms.certificate_pem = span_of(mx_weak.pem);
    assert_false(tls_server_new(&terms, &server, &why));
    assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    terms.certificate_pem = span_of(mx.pem);
    terms.client_roots_pem = SPAN_LITERAL("no");
    assert_false(tls_server_new(&terms, &server, &why));
    assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    assert_null(server);
    assert_false(
        tls_client_new((struct span){NULL, 0}, (struct span){NULL, 0}, NULL, &client, &why));
    assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    assert_false(
        tls_client_new(span_of(good_root.pem), SPAN_LITERAL("no"), &signer, &client, &why));
    assert_null(client);
    tls_server_free(NULL);
    tls_client_free(NULL);
    tls_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signer_that_fails_ends_the_handshake),
        cmocka_unit_test(a_foreign_ticket_leads_to_a_full_handshake),
        cmocka_unit_test(tickets_can_be_forbidden),
        cmocka_unit_test(two_streams_talk_and_our_certificate_is_shown),
        cmocka_unit_test(much_goes_through_in_order),
        cmocka_unit_test(a_signal_is_not_raised_by_a_peer_that_has_gone),
        cmocka_unit_test(contexts_refuse_what_is_of_no_use),
    };
    int failures;

    signal(SIGPIPE, SIG_IGN); /* for the strangers, who write as OpenSSL does */
    make_laboratory(NULL);
    failures =
        cmocka_run_group_tests_name("tls", tests, NULL, NULL) +
        run_table("checks", checks, a_demanded_certificate_is_checked) +
        run_table("no demand", checks, where_none_is_demanded_any_passes_and_the_proof_tells) +
        run_table("bad servers", bad_servers, such_a_server_is_impossible) +
        run_table("clients", clients, a_handshake_costs_one_signature) +
        run_table("client certificates", trusts, a_client_certificate_is_asked_and_judged) +
        run_table("tickets", trusts, a_resumed_session_keeps_what_was_proven) +
        run_table("partings", partings, clear_bytes_are_never_data) +
        run_table("starts", starts, a_handshake_that_does_not_begin_is_told);
    forget_laboratory(NULL);
    return failures;
}
