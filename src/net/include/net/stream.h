/* A connection, plain or TLS, whose every wait ends at a deadline. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/scoped.h"
#include "base/span.h"
#include "net/limits.h"
#include "net/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* One thread uses it at a time; stream_shut() alone may come from another. */
struct stream;

/* Owns a connected socket from now on, also on failure (then it is closed): NULL when memory is
 * out. Sets TCP_NODELAY and the time that a read may sleep. */
struct stream *stream_new(int fd);
/* Closes; sends a close_notify where there is room for it. What was not flushed is lost. */
void stream_free(struct stream *stream);
SCOPED_FREE(stream)

/* Connects (TCP or unix socket). `source` may be NULL. Every failure is ERROR_TEMPORARY 4.4.1. */
MUST_USE bool stream_connect(const struct sockaddr *to, socklen_t to_len,
                             const struct sockaddr *source, socklen_t source_len,
                             struct deadline until, struct stream **out, struct error *why);

/* Reads one line, ending in CRLF and nothing else (RFC 5321 section 2.3.8), into *line without
 * the CRLF. The bytes belong to the stream and stay valid until its next read.
 *
 * Fails with ERROR_TEMPORARY when the deadline passes (4.4.2, stream_timed_out() is then true) or
 * the peer closes (4.4.2), and with ERROR_IMPOSSIBLE on a bare CR or LF (5.5.2) or over
 * STREAM_LINE_MAX bytes (5.5.2, stream_line_was_long() is then true and the rest of the line is
 * still unread: see stream_skip_line()). */
MUST_USE bool stream_read_line(struct stream *stream, struct deadline until, struct span *line,
                               struct error *why);
/* Drops bytes up to and with the next CRLF, at most `limit` of them. */
MUST_USE bool stream_skip_line(struct stream *stream, size_t limit, struct deadline until,
                               struct error *why);

/* At least one byte, without copying: *bytes lies in the stream until stream_consume() or the next
 * read. *bytes is empty at the end of the stream (and only then). */
MUST_USE bool stream_peek(struct stream *stream, struct deadline until, struct span *bytes,
                          struct error *why);
/* Takes len bytes of what was peeked. */
void stream_consume(struct stream *stream, size_t len);

/* Buffered; goes out when the buffer is full, and at stream_flush(). The deadline holds for both.
 * Failures are ERROR_TEMPORARY 4.4.2, after which the stream is over: part may have been written.
 * Large spans are written without a copy. */
MUST_USE bool stream_write(struct stream *stream, struct span bytes, struct deadline until,
                           struct error *why);
MUST_USE bool stream_flush(struct stream *stream, struct deadline until, struct error *why);

/* Bytes that have arrived and were not read: in our buffer, in the TLS layer or in the socket.
 * Never waits. */
size_t stream_unread(struct stream *stream);
/* Throws away what is unread in our own buffer (not what the socket still holds). */
void stream_discard_unread(struct stream *stream);

/* Server: handshake now. Client: handshake with SNI and check as `terms` ask. Anything unread in
 * our buffer is the caller's to have dealt with: it must be empty (asserted).
 * Server failures: ERROR_TEMPORARY 4.7.0. Client failures: ERROR_TEMPORARY 4.4.2 when the peer
 * closed or the deadline passed, ERROR_IMPOSSIBLE 4.7.5 for a handshake that failed (protocol,
 * suite, certificate, name), with the library's reason in the text. */
MUST_USE bool stream_start_tls_server(struct stream *stream, struct tls_server *server,
                                      struct deadline until, struct error *why);
MUST_USE bool stream_start_tls_client(struct stream *stream, struct tls_client *client,
                                      const struct tls_check *check, struct deadline until,
                                      struct error *why);
bool stream_is_tls(const struct stream *stream);
/* What the handshake proved; only after a start_tls that succeeded. Lives as long as the stream. */
const struct tls_proof *stream_proof(const struct stream *stream);

bool stream_timed_out(const struct stream *stream);
bool stream_line_was_long(const struct stream *stream);
/* The peer closed (EOF or close_notify) or the stream failed: there is nothing more to read. */
bool stream_is_over(const struct stream *stream);
int stream_descriptor(const struct stream *stream);
/* From any thread: makes every wait of the stream end at once. */
void stream_shut(struct stream *stream);

/* "192.0.2.7" or "2001:db8::1" of a socket address; "unix" for a unix socket. */
enum { ADDRESS_TEXT_SIZE = 46 };
void address_text(const struct sockaddr *address, char out[ADDRESS_TEXT_SIZE]);
