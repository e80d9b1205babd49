/* Replies of SMTP and LMTP servers (RFC 5321 section 4.2), read strictly and never trusted. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/span.h"
#include "deliver/limits.h"
#include "net/stream.h"

#include <stdbool.h>
#include <stddef.h>

enum { STATUS_SIZE = 12 };

struct smtp_reply {
    unsigned code;            /* 200 … 599; where lines differ, the worst one */
    char status[STATUS_SIZE]; /* RFC 3463, its class made the code's; empty where there is none */
    unsigned lines;
    size_t len;
    char text[SMTP_REPLY_BYTES_MAX]; /* what came, with CRLFs, without the last one */
};
enum reply_progress {
    REPLY_MORE,   /* another line must follow */
    REPLY_WHOLE,  /* code, status and text stand */
    REPLY_BROKEN, /* no reply at all; text holds what came */
};

void smtp_reply_begin(struct smtp_reply *reply);
/* Takes one line with its line end, which must be CRLF. */
enum reply_progress smtp_reply_line(struct smtp_reply *reply, struct span line);
/* All of it from memory; *used is where it ends. */
enum reply_progress smtp_reply_parse(struct span wire, struct smtp_reply *reply, size_t *used);
/* One whole reply. ERROR_TEMPORARY 4.4.2 when the line is lost or the deadline passes, 4.5.0 when
 * what came cannot be read: then only close. The reply's text holds what came, in all cases. */
MUST_USE bool smtp_reply_read(struct stream *stream, struct deadline until,
                              struct smtp_reply *reply, struct error *why);
/* The text of the lines in turn, without code and separator; start with *position 0. */
bool smtp_reply_next(const struct smtp_reply *reply, size_t *position, struct span *text);
static inline struct span smtp_reply_span(const struct smtp_reply *reply)
{
    return (struct span){reply->text, reply->len};
}
