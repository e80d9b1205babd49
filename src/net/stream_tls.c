/* A stream's TLS half: the socket as OpenSSL sees it, the handshake, records in and out. */
/* SPDX-License-Identifier: ISC */
#include "stream_private.h"
#include "tls_certificate.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <sys/socket.h>

/* OpenSSL's own socket BIO writes with write(), so that a peer that has gone raises SIGPIPE. */
static int socket_write(BIO *bio, const char *data, int len)
{
    const struct stream *stream = BIO_get_data(bio);
    ssize_t put;

    BIO_clear_retry_flags(bio);
    do
        put = send(stream->fd, data, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (put < 0 && errno == EINTR);
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        BIO_set_retry_write(bio);
    return (int)put;
}

static int socket_read(BIO *bio, char *out, int size)
{
    ssize_t got;

    BIO_clear_retry_flags(bio);
    got = stream_receive(BIO_get_data(bio), out, (size_t)size);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        BIO_set_retry_read(bio);
    if (got == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return (int)got;
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP:
        return 1;
    case BIO_CTRL_EOF:
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default:
        return 0;
    }
}

static BIO_METHOD *socket_method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");

    if (!method || BIO_meth_set_write(method, socket_write) != 1 ||
        BIO_meth_set_read(method, socket_read) != 1 ||
        BIO_meth_set_ctrl(method, socket_control) != 1)
        return;
    socket_method = method;
}

static bool attach_socket(struct stream *stream)
{
    BIO *bio;

    pthread_once(&once, make_method);
    if (!socket_method || !(bio = BIO_new(socket_method)))
        return false;
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(stream->tls, bio, bio);
    return true;
}

/* What a call of OpenSSL that did not succeed came to; its error queue is empty afterwards. */
static enum step step_of(struct stream *stream, bool is_writing, struct error *why)
{
    int saved = errno;
    const char *reason;

    switch (SSL_get_error(stream->tls, 0)) {
    case SSL_ERROR_WANT_READ:
        return STEP_WAIT_READ;
    case SSL_ERROR_WANT_WRITE:
        return STEP_WAIT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        stream->has_ended = true;
        return STEP_END;
    case SSL_ERROR_SYSCALL:
        reason = saved != 0 ? strerrordesc_np(saved) : "the peer closed";
        ERR_clear_error();
        stream->takes_no_more = is_writing; /* TLS itself is whole */
        stream->has_failed = !is_writing;
        break;
    default:
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            stream->has_ended = true; /* cut off, perhaps by a stranger: no end but a failure */
        reason = library_reason();
        stream->has_failed = true;
    }
    error_set(why, ERROR_TEMPORARY, "4.4.2", "TLS connection lost: %s",
              reason ? reason : "system error");
    return STEP_FAILED;
}

enum step stream_tls_read(struct stream *stream, char *out, size_t size, size_t *len,
                          struct error *why)
{
    errno = 0;
    if (SSL_read_ex(stream->tls, out, size, len) == 1)
        return STEP_DONE;
    return step_of(stream, false, why);
}

enum step stream_tls_write(struct stream *stream, struct span bytes, size_t *len, struct error *why)
{
    errno = 0;
    if (SSL_write_ex(stream->tls, bytes.data, bytes.len, len) == 1)
        return STEP_DONE;
    return step_of(stream, true, why);
}

void stream_tls_end(struct stream *stream)
{
    if (!stream->tls)
        return;
    if (!stream->has_failed && !stream->takes_no_more && SSL_is_init_finished(stream->tls))
        SSL_shutdown(stream->tls);
    ERR_clear_error();
    SSL_free(stream->tls);
    stream->tls = NULL;
}

/* Why a handshake did not succeed: the verdict on the certificate says more than the alert. */
static const char *handshake_reason(const struct stream *stream)
{
    long verdict = SSL_get_verify_result(stream->tls);
    const char *reason = library_reason();

    return verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : reason;
}

/* The handshake to its end. On failure *is_cut tells a peer that went away or was too slow from one
 * whose TLS will not do. */
static bool shake_hands(struct stream *stream, struct deadline until, bool *is_cut,
                        struct error *why)
{
    for (;;) {
        int result, kind, saved;

        errno = 0;
        result = SSL_do_handshake(stream->tls);
        saved = errno;
        if (result == 1)
            return true;
        kind = SSL_get_error(stream->tls, result);
        if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
            *is_cut = true;
            if (!stream_wait(stream, kind == SSL_ERROR_WANT_READ ? STEP_WAIT_READ : STEP_WAIT_WRITE,
                             until, why))
                return false;
            continue;
        }
        *is_cut = kind == SSL_ERROR_SYSCALL || kind == SSL_ERROR_ZERO_RETURN ||
                  ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
        stream->has_failed = true;
        if (!*is_cut)
            return error_set(why, ERROR_IMPOSSIBLE, "4.7.5", "TLS handshake: %s",
                             handshake_reason(stream));
        ERR_clear_error();
        return error_set(why, ERROR_TEMPORARY, "4.4.2", "in the TLS handshake: %s",
                         saved != 0 ? strerrordesc_np(saved) : "the peer closed");
    }
}

static bool start(struct stream *stream, struct deadline until, bool *is_cut, struct error *why)
{
    bool is_done;

    *is_cut = false;
    if (!attach_socket(stream)) {
        ERR_clear_error();
        stream->has_failed = true;
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory for a TLS session");
    }
    stream->patience = until;
    is_done = shake_hands(stream, until, is_cut, why);
    stream->patience = deadline_past;
    if (!is_done) {
        stream->has_failed = true;
        return false;
    }
    tls_prove(stream->tls, &stream->session, &stream->proof);
    return true;
}

/* Clear bytes that came before the handshake may be anybody's (RFC 3207 section 6): whoever starts
 * TLS has dealt with them, and has sent what it had to say. */
static void assert_ready(const struct stream *stream)
{
    assert(!stream->tls && stream->start == stream->end && stream->output_len == 0);
}

bool stream_start_tls_server(struct stream *stream, struct tls_server *server,
                             struct deadline until, struct error *why)
{
    bool is_cut;

    assert_ready(stream);
    if (!(stream->tls = tls_server_begin(server, &stream->session, why))) {
        stream->has_failed = true; /* whoever asked for TLS must not go on in clear */
        return false;
    }
    if (start(stream, until, &is_cut, why))
        return true;
    if (why->kind != ERROR_INTERNAL) {
        why->kind = ERROR_TEMPORARY;
        why->status = "4.7.0";
    }
    return false;
}

bool stream_start_tls_client(struct stream *stream, struct tls_client *client,
                             const struct tls_check *check, struct deadline until,
                             struct error *why)
{
    bool is_cut, is_started;

    assert_ready(stream);
    if (!(stream->tls = tls_client_begin(client, check, &stream->session, why))) {
        stream->has_failed = true;
        return false;
    }
    is_started = start(stream, until, &is_cut, why);
    stream->session.check = NULL; /* the caller's, and needed no longer */
    return is_started;
}

bool stream_is_tls(const struct stream *stream)
{
    return stream->tls != NULL;
}

const struct tls_proof *stream_proof(const struct stream *stream)
{
    return &stream->proof;
}

bool stream_peer_has_name(const struct stream *stream, struct span dns_name)
{
    const X509 *leaf = stream->tls ? SSL_get0_peer_certificate(stream->tls) : NULL;

    return leaf && stream->proof.is_chain_verified && certificate_has_name(leaf, dns_name);
}
