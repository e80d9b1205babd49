/* What `letterlock` says to the control role over the unix socket: one request a connection, and an
 * answer in frames of text. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "base/id.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CONTROL_VERSION = 1,
    CONTROL_TEXT_MAX = 1024,
    CONTROL_REQUEST_MAX = 1100, /* bytes after the length */
    CONTROL_FRAME_MAX = 16384,  /* bytes of text in one frame of an answer */
};

enum control_op {
    CONTROL_STATUS = 1,
    CONTROL_QUEUE, /* .text: a destination, or empty */
    CONTROL_DESTINATIONS,
    CONTROL_TRACE,
    CONTROL_HOLD, /* .text: the administrator's reason, from here on */
    CONTROL_RELEASE,
    CONTROL_RETRY,
    CONTROL_DELETE,
    CONTROL_DECIDE,
    CONTROL_CHECKPOINT,
    CONTROL_DELIVERIES, /* .text: how many of the newest messages; with "json" behind it, for tools
                         */
    CONTROL_ANCHOR,     /* two lines: the checkpoint key and the keeper's last checkpoint, in hex */
    CONTROL_OP_END
};
struct control_request {
    enum control_op op;
    struct id message;
    uint32_t delivery; /* 0: all of the message's */
    struct span text;  /* UTF-8, no controls */
};
/* The bytes on the wire: u32 length, then version, op, message, delivery, text. */
void control_request_print(const struct control_request *request, struct buffer *out);
/* What follows the length; the text lies in `bytes`. ERROR_REJECTED: another version, an unknown
 * operation, a length that does not fit, a control character. */
MUST_USE bool control_request_parse(struct span bytes, struct control_request *request,
                                    struct error *why);

/* An answer is frames of u32 length, u8 kind, text; the last is an end of either kind. */
enum control_frame {
    CONTROL_FRAME_TEXT = 1,
    CONTROL_FRAME_DONE,   /* no text */
    CONTROL_FRAME_FAILED, /* the text says why */
};
void control_frame_print(enum control_frame kind, struct span text, struct buffer *out);
/* Reading and writing whole pieces on a blocking socket, until the deadline. */
MUST_USE bool control_read(int fd, void *out, size_t len, int64_t timeout_ms);
MUST_USE bool control_write(int fd, struct span bytes, int64_t timeout_ms);
