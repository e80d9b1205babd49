/* What must be known of a message's bytes before it is taken, gathered in one pass as they come. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "base/span.h"
#include "message/limits.h"

#include <stdbool.h>
#include <stddef.h>

/* Where in a message the next byte stands. */
enum content_place {
    CONTENT_LINE_START,
    CONTENT_NAME,
    CONTENT_NAME_END, /* blanks between a field's name and its colon */
    CONTENT_VALUE,
    CONTENT_BODY,
};

enum { CONTENT_NAME_SIZE = 16 }; /* longer than any field's name that is looked for */

/* Feed bytes as they come (dot-stuffing already undone); then content_end(). How the bytes are cut
 * into pieces makes no difference. After the fields above the line nobody but content.c looks. */
struct content {
    size_t size;         /* bytes so far */
    size_t longest_line; /* CRLF not counted */
    /* Bytes up to and with the empty line, or up to a line that is no field, once that was seen; at
     * the end all bytes, where it never was. */
    size_t header_size;
    unsigned hops;     /* Received fields */
    unsigned own_hops; /* Received fields "by" our own host name */
    bool has_8bit;     /* any byte over 127 */
    bool has_nul;
    bool is_broken;   /* why_broken says in which way */
    bool is_too_wide; /* and this, that it is a line over MESSAGE_LINE_MAX */
    struct error why_broken;
    /* The line. */
    struct span own_name; /* given at the start; may be empty */
    size_t line_length;
    size_t line_start; /* of the line being read, in the message */
    size_t header_fields;
    enum content_place place;
    bool after_cr;
    bool in_received;
    char name[CONTENT_NAME_SIZE]; /* the start of the field's name being read */
    size_t name_len;              /* of the whole name, also where only its start is kept */
    char received[MESSAGE_RECEIVED_MAX];
    size_t received_len;
};

/* `own_name` stays the caller's and must live as long as the content is fed. */
void content_begin(struct content *content, struct span own_name);
/* Never fails at once: a bare CR or LF, a line over MESSAGE_LINE_MAX, a header over its limits set
 * is_broken, so that the rest can be drained and answered once. From then on only size, has_8bit
 * and has_nul go on. */
void content_feed(struct content *content, struct span bytes);
/* After the last byte, once. False with ERROR_REJECTED 5.6.0 (5.3.4 for the header limits, 5.4.6
 * for too many hops) when it may not be taken: also for a NUL, which no SMTP message may hold and
 * which cuts it short in other people's programs. */
MUST_USE bool content_end(struct content *content, struct error *why);
