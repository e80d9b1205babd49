/* Text from outside: it may hold NUL, is never assumed to end in one, and is sliced without a copy.
 */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/scoped.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *data;
    size_t len;
};

static inline struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}
static inline struct span span_make(const void *data, size_t len)
{
    return (struct span){(const char *)data, len};
}
#define SPAN_LITERAL(text) ((struct span){text, sizeof(text) - 1})

/* For "%.*s": the length is cut at 1,000 bytes, which no name or message of ours needs. */
#define SPAN_ARGS(s) ((int)((s).len > 1000 ? 1000 : (s).len)), (s).data

bool span_equal(struct span a, struct span b);
/* ASCII letters only; the locale plays no part. */
bool span_equal_caseless(struct span a, struct span b);
bool span_starts_with(struct span s, struct span prefix);
bool span_starts_with_caseless(struct span s, struct span prefix);
bool span_ends_with_caseless(struct span s, struct span suffix);
/* The part from `from` on; empty when `from` lies beyond the end. */
struct span span_from(struct span s, size_t from);
/* At most `len` bytes from the start. */
struct span span_until(struct span s, size_t len);
/* Without blanks and tabs at both ends. */
struct span span_trim(struct span s);
/* Index of the first `byte`, or s.len where there is none. */
size_t span_index(struct span s, char byte);
/* Splits at the first `separator`: *head before it, *rest after it; false (head = all, rest empty)
 * where there is none. */
bool span_split(struct span s, char separator, struct span *head, struct span *rest);
/* Decimal digits only, at least one, no sign; false on anything else or above `max`. */
MUST_USE bool span_number(struct span s, unsigned long long max, unsigned long long *value);

/* ASCII classes without a locale. */
static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool ascii_is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}
static inline bool ascii_is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}
static inline bool ascii_is_letter(char c)
{
    return ascii_is_upper(c) || ascii_is_lower(c);
}
static inline char ascii_lower(char c)
{
    return ascii_is_upper(c) ? (char)(c + 32) : c;
}
