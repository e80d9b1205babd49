/* What must be known of a message's bytes before it is taken, gathered in one pass as they arrive. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "base/span.h"
#include "message/limits.h"

#include <stdbool.h>
#include <stddef.h>

/* Feed bytes as they come (dot-stuffing already undone); then content_end(). */
struct content {
    size_t size;          /* bytes so far */
    size_t line_length;   /* of the line being read */
    size_t longest_line;
    size_t header_size;   /* bytes up to and with the empty line, once it was seen */
    size_t header_fields;
    unsigned hops;        /* Received fields */
    unsigned own_hops;    /* Received fields "by" our own host name */
    bool has_8bit;        /* any byte over 127 */
    bool has_nul;
    bool in_body;
    bool after_cr;
    bool is_broken;       /* why_broken says in which way */
    struct error why_broken;
    struct span own_name; /* given at the start; may be empty */
    char field_start[16]; /* the first bytes of the line being read, for counting Received */
    size_t field_start_len;
    char by[300];         /* the Received field being read, for finding our own name in it */
    size_t by_len;
    bool in_received;
};

void content_begin(struct content *content, struct span own_name);
/* Never fails at once: a bare CR or LF, a line over MESSAGE_LINE_MAX, a header over its limits set
 * is_broken, so that the rest can be drained and answered once. */
void content_feed(struct content *content, struct span bytes);
/* After the last byte. False with ERROR_REJECTED 5.6.0 (5.3.4 for the header limit, 5.4.6 for
 * too many hops) when it may not be taken. */
MUST_USE bool content_end(struct content *content, struct error *why);
