/* Encoded words (RFC 2047) as header.c writes them. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/span.h"

#include <stddef.h>

enum {
    ENCODED_WORD_MAX = 75,   /* RFC 2047 section 2 */
    ENCODED_WORD_LEAST = 24, /* room in which any one character fits */
};

/* Writes one word of at most `room` bytes (ENCODED_WORD_LEAST to ENCODED_WORD_MAX) that holds whole
 * characters from the start of `text`; *used is how much of it. Gives the word's length. */
size_t encoded_word_print(struct span text, size_t room, char word[static ENCODED_WORD_MAX],
                          size_t *used);
