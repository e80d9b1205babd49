/* A message's name: the moment of its birth and chance, in 26 characters that people can spell. */
/* SPDX-License-Identifier: ISC */
#include "base/id.h"

enum { TIME_BYTES = 6, DIGITS = ID_TEXT_SIZE - 1, DIGIT_BITS = 5 };

/* Crockford's base 32: no i, l, o, u. */
static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

struct id id_make(const struct clock *clock, const struct entropy *entropy)
{
    int64_t now = clock_wall_ms(clock);
    uint64_t ms = now > 0 ? (uint64_t)now : 0;
    struct id id;

    for (size_t i = TIME_BYTES; i-- > 0; ms >>= 8)
        id.bytes[i] = (uint8_t)ms;
    entropy_fill(entropy, id.bytes + TIME_BYTES, ID_BYTES - TIME_BYTES);
    return id;
}

void id_print(struct id id, char out[ID_TEXT_SIZE])
{
    /* 26 digits hold 130 bits: two zero bits stand before the 128. */
    unsigned bits = 2, window = 0;
    size_t digit = 0;

    for (size_t i = 0; i < ID_BYTES; i++) {
        window = window << 8 | id.bytes[i];
        for (bits += 8; bits >= DIGIT_BITS; bits -= DIGIT_BITS)
            out[digit++] = alphabet[window >> (bits - DIGIT_BITS) & 31];
    }
    out[digit] = '\0';
}

bool id_parse(struct span text, struct id *id)
{
    struct id parsed;
    unsigned bits = 0, window = 0;
    size_t byte = 0;

    /* A first digit above 7 would need more than 128 bits. */
    if (text.len != DIGITS || text.data[0] < '0' || text.data[0] > '7')
        return false;
    for (size_t i = 0; i < DIGITS; i++) {
        char c = ascii_lower(text.data[i]);
        const char *digit = c != '\0' ? strchr(alphabet, c) : NULL;

        if (!digit)
            return false;
        window = window << DIGIT_BITS | (unsigned)(digit - alphabet);
        bits += i == 0 ? DIGIT_BITS - 2 : DIGIT_BITS;
        if (bits >= 8) {
            bits -= 8;
            parsed.bytes[byte++] = (uint8_t)(window >> bits);
        }
    }
    *id = parsed;
    return true;
}

bool id_equal(struct id a, struct id b)
{
    return memcmp(a.bytes, b.bytes, ID_BYTES) == 0;
}

bool id_is_none(struct id id)
{
    return id_equal(id, (struct id){{0}});
}
