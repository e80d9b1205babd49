/* A stream's inside, shared by its plain half (stream.c) and its TLS half (stream_tls.c). */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "net/stream.h"
#include "tls_session.h"

#include <openssl/ssl.h>

/* Invariants:
 * 1. Unread bytes are input[start … end); start <= scanned <= end, and the bytes before `scanned`
 *    hold no CR and no LF.
 * 2. Once tls is set, no byte is read from or written to the socket but through it, also after it
 *    ended: what comes in clear after a close_notify is never seen.
 * 3. has_ended or has_failed end the reading for good; nothing resets them. */
struct stream {
    int fd;
    struct deadline patience; /* a read may sleep in the kernel where this is far away */
    bool has_ended;           /* EOF, or a close_notify */
    bool has_failed;          /* the socket or TLS broke */
    bool takes_no_more;       /* writing failed: what the peer said before can still be read */
    bool timed_out;
    bool line_was_long;

    char *input; /* STREAM_READ_BUFFER bytes while anything was read, else NULL */
    size_t start, scanned, end;
    char *output; /* STREAM_WRITE_BUFFER bytes once something was written */
    size_t output_len;

    SSL *tls;
    struct tls_session session;
    struct tls_proof proof;
};

static const struct deadline deadline_past = {INT64_MIN};

/* What one try to read or write came to. */
enum step {
    STEP_DONE,       /* *len bytes went through, at least one */
    STEP_WAIT_READ,  /* nothing now: wait until the socket can be read */
    STEP_WAIT_WRITE, /* nothing now: wait until the socket can be written */
    STEP_END,        /* the peer closed (has_ended is set) */
    STEP_FAILED,     /* broken (has_failed or takes_no_more is set, and *why) */
};

/* recv(), which sleeps for a while where the stream's patience allows it, and says EAGAIN then. */
ssize_t stream_receive(const struct stream *stream, char *out, size_t size);

/* Waits for one of the steps above: true when it is worth another try, and false (ERROR_TEMPORARY,
 * 4.4.2, timed_out) when the deadline passed. */
bool stream_wait(struct stream *stream, enum step step, struct deadline until, struct error *why);

enum step stream_tls_read(struct stream *stream, char *out, size_t size, size_t *len,
                          struct error *why);
enum step stream_tls_write(struct stream *stream, struct span bytes, size_t *len,
                           struct error *why);
/* Says goodbye where there is room for it, and frees the session. */
void stream_tls_end(struct stream *stream);
