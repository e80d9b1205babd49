/* Header fields: finding them in a message's own bytes, and the one writer for all of ours. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

struct header_field {
    struct span name;
    struct span value; /* after the colon, folding and all, without the final CRLF */
    struct span whole; /* name, colon, value and the final CRLF */
};

/* Goes through the fields in order: start with *position 0; false at the end of the header section.
 * A line that is no field ends the section. Linear in all. */
bool header_next(struct span message, size_t *position, struct header_field *field);
/* The n-th (from 0) field of this name, case ignored. */
bool header_find(struct span message, struct span name, size_t n, struct header_field *field);
/* The value unfolded, encoded words (RFC 2047: UTF-8, US-ASCII, ISO-8859-1, -15, windows-1252;
 * other charsets stay as they are) decoded to UTF-8, cut at HEADER_TEXT_MAX. */
struct span header_text(struct span value, struct arena *arena);
/* Does `text` hold `word`, ASCII letters' case ignored? */
bool text_has(struct span text, struct span word);

/* Appends `name: value` CRLF, folded at blanks before 78 columns where it can be. The buffer fails
 * when name or value hold CR, LF, NUL or other controls, or when name is no field name; what is
 * not ASCII in the value is encoded as RFC 2047 words. */
void header_write(struct buffer *out, struct span name, struct span value);
