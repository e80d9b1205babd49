/* Looking at text from outside without copying it and without asking the locale. */
/* SPDX-License-Identifier: ISC */
#include "base/span.h"

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool span_equal_caseless(struct span a, struct span b)
{
    return a.len == b.len && span_starts_with_caseless(a, b);
}

bool span_starts_with(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_equal(span_until(s, prefix.len), prefix);
}

bool span_starts_with_caseless(struct span s, struct span prefix)
{
    if (s.len < prefix.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++)
        if (ascii_lower(s.data[i]) != ascii_lower(prefix.data[i]))
            return false;
    return true;
}

bool span_ends_with_caseless(struct span s, struct span suffix)
{
    return s.len >= suffix.len &&
           span_starts_with_caseless(span_from(s, s.len - suffix.len), suffix);
}

struct span span_from(struct span s, size_t from)
{
    if (from > s.len)
        from = s.len;
    /* An empty span may have no data, and NULL + 0 is not defined in C. */
    return from == 0 ? s : (struct span){s.data + from, s.len - from};
}

struct span span_until(struct span s, size_t len)
{
    return (struct span){s.data, len < s.len ? len : s.len};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
    size_t start = 0, end = s.len;

    while (start < end && is_blank(s.data[start]))
        start++;
    while (end > start && is_blank(s.data[end - 1]))
        end--;
    return span_from(span_until(s, end), start);
}

size_t span_index(struct span s, char byte)
{
    const char *found = s.len > 0 ? memchr(s.data, byte, s.len) : NULL;

    return found ? (size_t)(found - s.data) : s.len;
}

bool span_split(struct span s, char separator, struct span *head, struct span *rest)
{
    size_t at = span_index(s, separator);

    *head = span_until(s, at);
    *rest = span_from(s, at < s.len ? at + 1 : at);
    return at < s.len;
}

bool span_number(struct span s, unsigned long long max, unsigned long long *value)
{
    unsigned long long number = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_is_digit(s.data[i]) || __builtin_mul_overflow(number, 10ULL, &number) ||
            __builtin_add_overflow(number, (unsigned long long)(s.data[i] - '0'), &number))
            return false;
    }
    if (number > max)
        return false;
    *value = number;
    return true;
}
