/* The one reader of UTF-8: bytes from outside are characters only where it says so. */
/* SPDX-License-Identifier: ISC */
#include "base/utf8.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

size_t utf8_first(struct span text, uint32_t *point)
{
    /* The second byte's bounds shut out long forms, surrogates, and what is above U+10FFFF. */
    static const struct {
        unsigned char first, last, second_least, second_most, len;
    } forms[] = {
        {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    const unsigned char *bytes = (const unsigned char *)text.data;
    size_t form = 0;
    uint32_t read;

    while (text.len > 0 && form < COUNT_OF(forms) && bytes[0] > forms[form].last)
        form++;
    if (text.len == 0 || form == COUNT_OF(forms) || bytes[0] < forms[form].first ||
        text.len < forms[form].len)
        return 0;
    read = bytes[0];
    if (forms[form].len > 1) {
        if (bytes[1] < forms[form].second_least || bytes[1] > forms[form].second_most)
            return 0;
        read &= 0x7Fu >> forms[form].len;
    }
    for (size_t i = 1; i < forms[form].len; i++) {
        if (!is_continuation(bytes[i]))
            return 0;
        read = read << 6 | (bytes[i] & 0x3F);
    }
    *point = read;
    return forms[form].len;
}

size_t utf8_visible(struct span text)
{
    static const uint32_t hidden[][2] = {
        {0x0000, 0x001F}, {0x007F, 0x009F}, {0x061C, 0x061C}, {0x200B, 0x200F},
        {0x2028, 0x202E}, {0x2060, 0x206F}, {0xFEFF, 0xFEFF},
    };
    uint32_t point = 0;
    size_t len = utf8_first(text, &point);

    for (size_t i = 0; i < COUNT_OF(hidden); i++)
        if (point >= hidden[i][0] && point <= hidden[i][1])
            return 0;
    return len;
}

bool utf8_is_valid(struct span text, size_t *bad_at)
{
    size_t at = 0, len;
    uint32_t point;

    for (; at < text.len; at += len)
        if ((len = utf8_first(span_from(text, at), &point)) == 0) {
            *bad_at = at;
            return false;
        }
    return true;
}

struct span utf8_until(struct span text, size_t len)
{
    if (text.len <= len)
        return text;
    for (size_t back = 0; back < 3 && len > 0 && is_continuation((unsigned char)text.data[len]);
         back++)
        len--;
    return span_until(text, len);
}
