/* UTF-8 as RFC 3629 has it: the shortest form, no surrogates, nothing above U+10FFFF. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/span.h"

#include <stdint.h>

/* Bytes of the character that the text begins with, which is then *point; 0 where it begins with
 * none, or is empty. */
size_t utf8_first(struct span text, uint32_t *point);
/* The same, but 0 too for what does not show as itself: a terminal would obey controls, line
 * separators, and marks that turn the direction of writing. */
size_t utf8_visible(struct span text);
/* Is it UTF-8 throughout? Else *bad_at is the index of the first byte that begins no character. */
bool utf8_is_valid(struct span text, size_t *bad_at);
/* At most `len` bytes from the start, cut in front of a character, not inside one. */
struct span utf8_until(struct span text, size_t len);
