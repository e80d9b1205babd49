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

/* Goes through the fields in order: start with *position 0; false at the end of the header section,
 * where *position then stays. Only CRLF ends a line, and a line that is no field ends the section.
 * Blanks before the colon (obsolete syntax) belong to neither name nor value. The last field of a
 * message without a body may lack its CRLF. Linear in all. */
bool header_next(struct span message, size_t *position, struct header_field *field);
/* The n-th (from 0) field of this name, case ignored. */
bool header_find(struct span message, struct span name, size_t n, struct header_field *field);
/* The value for rules and people: unfolded, trimmed, encoded words (RFC 2047) decoded, always valid
 * UTF-8, cut at HEADER_TEXT_MAX bytes. It lives in the arena; .data is NULL when that is full.
 *
 * Generous, since what a sender writes can only strengthen: words may be longer than allowed, stand
 * without blanks around them, hold question marks and blanks, and break off in the middle of a
 * character that the next word of the same charset ends. UTF-8, US-ASCII, ISO-8859-1 and -15 and
 * windows-1252 are known; of other supersets of ASCII the ASCII is kept and each other byte becomes
 * U+FFFD, as does what is not UTF-8 outside words. Broken words and UTF-16 stay as they are. */
struct span header_text(struct span value, struct arena *arena);
/* What rules see of a message's subject: all its Subject fields as header_text() gives them, one
 * behind the other, so that a rule that looks for a word finds it in any; cut at HEADER_TEXT_MAX
 * bytes together. It lives in the arena; .data is NULL when that is full. */
struct span header_subject(struct span message, struct arena *arena);
/* Does `text` hold `word`, ASCII letters' case ignored? Every text holds the empty word. */
bool text_has(struct span text, struct span word);

/* Appends `name: value` CRLF, folded at blanks before 78 columns where it can be. The buffer fails
 * when name or value hold CR, LF, NUL or other controls, when name is no field name, or when a line
 * would pass 998 bytes; what is not ASCII in the value is encoded as RFC 2047 words. Blanks at the
 * value's ends are dropped; else header_text() gives it back. */
void header_write(struct buffer *out, struct span name, struct span value);
/* The same for a value of several parts, which one blank joins: folded between them first. What is
 * not ASCII stands in one part at most. */
void header_write_parts(struct buffer *out, struct span name, const struct span *parts,
                        size_t count);
