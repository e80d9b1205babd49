/* Numbers and spans in one spelling only, so that what is hashed here is hashed alike elsewhere. */
/* SPDX-License-Identifier: ISC */
#include "base/wire.h"

static void put_number(struct buffer *out, uint64_t value, size_t size)
{
    char bytes[8];

    for (size_t i = size; i-- > 0; value >>= 8)
        bytes[i] = (char)(unsigned char)value;
    buffer_append(out, span_make(bytes, size));
}

void wire_put_u8(struct buffer *out, uint8_t value)
{
    put_number(out, value, 1);
}

void wire_put_u16(struct buffer *out, uint16_t value)
{
    put_number(out, value, 2);
}

void wire_put_u32(struct buffer *out, uint32_t value)
{
    put_number(out, value, 4);
}

void wire_put_u64(struct buffer *out, uint64_t value)
{
    put_number(out, value, 8);
}

void wire_put_bytes(struct buffer *out, const void *bytes, size_t len)
{
    buffer_append(out, span_make(bytes, len));
}

void wire_put_span(struct buffer *out, struct span text)
{
    if (text.len > UINT32_MAX) {
        out->failed = true;
        return;
    }
    wire_put_u32(out, (uint32_t)text.len);
    buffer_append(out, text);
}

/* The next len bytes, or an empty span from the first failure on. */
static struct span take(struct wire_reader *in, size_t len)
{
    struct span taken = span_until(in->rest, len);

    if (in->failed || taken.len < len) {
        in->failed = true;
        return (struct span){"", 0};
    }
    in->rest = span_from(in->rest, len);
    return taken;
}

static uint64_t get_number(struct wire_reader *in, size_t size)
{
    struct span bytes = take(in, size);
    uint64_t value = 0;

    for (size_t i = 0; i < bytes.len; i++)
        value = value << 8 | (unsigned char)bytes.data[i];
    return value;
}

uint8_t wire_get_u8(struct wire_reader *in)
{
    return (uint8_t)get_number(in, 1);
}

uint16_t wire_get_u16(struct wire_reader *in)
{
    return (uint16_t)get_number(in, 2);
}

uint32_t wire_get_u32(struct wire_reader *in)
{
    return (uint32_t)get_number(in, 4);
}

uint64_t wire_get_u64(struct wire_reader *in)
{
    return get_number(in, 8);
}

void wire_get_bytes(struct wire_reader *in, void *out, size_t len)
{
    struct span bytes = take(in, len);

    if (bytes.len > 0)
        memcpy(out, bytes.data, bytes.len);
    else if (len > 0)
        memset(out, 0, len);
}

struct span wire_get_span(struct wire_reader *in, size_t limit)
{
    uint32_t len = wire_get_u32(in);

    if (len > limit)
        in->failed = true;
    return take(in, len);
}

bool wire_is_done(const struct wire_reader *in)
{
    return !in->failed && in->rest.len == 0;
}

static const char hex_digits[] = "0123456789abcdef";

void hex_print(const void *bytes, size_t len, char *out)
{
    const unsigned char *byte = bytes;

    for (size_t i = 0; i < len; i++) {
        *out++ = hex_digits[byte[i] >> 4];
        *out++ = hex_digits[byte[i] & 15];
    }
    *out = '\0';
}

static int hex_value(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_parse(struct span text, void *out, size_t len)
{
    unsigned char *byte = out;

    if (text.len % 2 != 0 || text.len / 2 != len)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (hex_value(text.data[i]) < 0)
            return false;
    for (size_t i = 0; i < len; i++)
        byte[i] =
            (unsigned char)(hex_value(text.data[2 * i]) << 4 | hex_value(text.data[2 * i + 1]));
    return true;
}
