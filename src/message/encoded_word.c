/* Encoded words (RFC 2047): read with patience, for what a sender wrote into a subject must be
 * found however his program wrapped it, and written strictly. */
/* SPDX-License-Identifier: ISC */
#include "encoded_word.h"

#include "base/utf8.h"
#include "message/header.h"
#include "message/limits.h"

#include <assert.h>
#include <stdint.h>

enum {
    REPLACEMENT = 0xFFFD,  /* stands for bytes that are no character */
    CHARSET_NAME_MAX = 40, /* of the registry, with room for a language suffix */
    CHARACTER_MAX = 4,     /* bytes of a character in UTF-8 */
};
_Static_assert(ENCODED_WORD_LEAST >= sizeof("=?utf-8?q?"
                                            "?=") -
                                         1 + 3 * CHARACTER_MAX,
               "room for one character");

enum charset {
    CHARSET_UTF8,
    CHARSET_WINDOWS_1252,
    CHARSET_LATIN_9,
    CHARSET_LIKE_ASCII, /* unknown: bytes below 128 are ASCII, the others are not known */
    CHARSET_UNREADABLE, /* no superset of ASCII */
};

/* What calls itself ISO-8859-1 is windows-1252, as browsers hold it: nobody means the controls that
 * ISO-8859-1 has at the places of quotes and dashes. */
static const struct {
    const char *name;
    enum charset charset;
} charsets[] = {
    {"utf-8", CHARSET_UTF8},
    {"utf8", CHARSET_UTF8},
    {"us-ascii", CHARSET_UTF8},
    {"ascii", CHARSET_UTF8},
    {"iso-8859-1", CHARSET_WINDOWS_1252},
    {"iso8859-1", CHARSET_WINDOWS_1252},
    {"latin1", CHARSET_WINDOWS_1252},
    {"windows-1252", CHARSET_WINDOWS_1252},
    {"cp1252", CHARSET_WINDOWS_1252},
    {"iso-8859-15", CHARSET_LATIN_9},
    {"iso8859-15", CHARSET_LATIN_9},
    {"latin-9", CHARSET_LATIN_9},
};

/* Families whose names begin so. */
static const char *const unreadable_charsets[] = {"utf-16", "utf-32",    "utf16", "utf32",
                                                  "ucs-",   "iso-10646", "ebcdic"};

/* windows-1252 from 0x80 to 0x9F; 0 where it has nothing. */
static const uint16_t windows_1252[32] = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178,
};

/* Where ISO-8859-15 differs from ISO-8859-1. */
static const struct {
    unsigned char byte;
    uint16_t character;
} latin_9[] = {
    {0xA4, 0x20AC}, {0xA6, 0x0160}, {0xA8, 0x0161}, {0xB4, 0x017D},
    {0xB8, 0x017E}, {0xBC, 0x0152}, {0xBD, 0x0153}, {0xBE, 0x0178},
};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static enum charset charset_of(struct span name)
{
    struct span plain, language;

    span_split(name, '*', &plain, &language); /* RFC 2231 section 5 */
    for (size_t i = 0; i < COUNT_OF(charsets); i++)
        if (span_equal_caseless(plain, span_of(charsets[i].name)))
            return charsets[i].charset;
    for (size_t i = 0; i < COUNT_OF(unreadable_charsets); i++)
        if (span_starts_with_caseless(plain, span_of(unreadable_charsets[i])))
            return CHARSET_UNREADABLE;
    return CHARSET_LIKE_ASCII;
}

static uint32_t character_of_byte(enum charset charset, unsigned char byte)
{
    if (byte < 0x80)
        return byte;
    switch (charset) {
    case CHARSET_WINDOWS_1252:
        if (byte >= 0xA0)
            return byte;
        return windows_1252[byte - 0x80] ? windows_1252[byte - 0x80] : REPLACEMENT;
    case CHARSET_LATIN_9:
        for (size_t i = 0; i < COUNT_OF(latin_9); i++)
            if (latin_9[i].byte == byte)
                return latin_9[i].character;
        return byte;
    case CHARSET_UTF8:
    case CHARSET_LIKE_ASCII:
    case CHARSET_UNREADABLE:
        break;
    }
    return REPLACEMENT;
}

/* The text as it grows. Words of one charset that stand side by side gather their bytes in `run`
 * first, since programs cut them in the middle of a character. */
struct decoder {
    char *text;
    size_t len, limit;
    bool is_full; /* something did not fit: what follows is cut */
    char *run;
    size_t run_len;
    enum charset run_charset;
};

static void put_bytes(struct decoder *d, struct span bytes)
{
    if (d->is_full || bytes.len > d->limit - d->len) {
        d->is_full = true;
        return;
    }
    if (bytes.len > 0)
        memcpy(d->text + d->len, bytes.data, bytes.len);
    d->len += bytes.len;
}

/* Of the basic plane: what single bytes stand for lies there. */
static void put_character(struct decoder *d, uint32_t character)
{
    char bytes[3];
    size_t len = 0;

    if (character < 0x80) {
        bytes[len++] = (char)character;
    } else if (character < 0x800) {
        bytes[len++] = (char)(0xC0 | character >> 6);
        bytes[len++] = (char)(0x80 | (character & 0x3F));
    } else {
        bytes[len++] = (char)(0xE0 | character >> 12);
        bytes[len++] = (char)(0x80 | (character >> 6 & 0x3F));
        bytes[len++] = (char)(0x80 | (character & 0x3F));
    }
    put_bytes(d, span_make(bytes, len));
}

static void put_text(struct decoder *d, enum charset charset, struct span bytes)
{
    uint32_t character;
    size_t len;

    while (bytes.len > 0 && !d->is_full) {
        if (charset == CHARSET_UTF8 && (len = utf8_first(bytes, &character)) > 0) {
            put_bytes(d, span_until(bytes, len));
            bytes = span_from(bytes, len);
        } else {
            put_character(d, character_of_byte(charset, (unsigned char)bytes.data[0]));
            bytes = span_from(bytes, 1);
        }
    }
}

static void end_run(struct decoder *d)
{
    put_text(d, d->run_charset, span_make(d->run, d->run_len));
    d->run_len = 0;
}

static int hex_digit(char c)
{
    c = ascii_lower(c);
    if (ascii_is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 2047 section 4.2. Blanks, which may not stand in it, are taken as they are. */
static bool decode_q(struct span text, char *out, size_t *len)
{
    for (size_t i = 0; i < text.len; i++) {
        int high, low;

        if (text.data[i] != '=') {
            out[(*len)++] = text.data[i] == '_' ? ' ' : text.data[i];
            continue;
        }
        if (i + 2 >= text.len || (high = hex_digit(text.data[i + 1])) < 0 ||
            (low = hex_digit(text.data[i + 2])) < 0)
            return false;
        out[(*len)++] = (char)(high << 4 | low);
        i += 2;
    }
    return true;
}

static int base64_digit(char c)
{
    if (ascii_is_upper(c))
        return c - 'A';
    if (ascii_is_lower(c))
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648 section 4, with or without its padding; blanks of a fold inside the word do not count.
 */
static bool decode_b(struct span text, char *out, size_t *len)
{
    uint32_t bits = 0;
    unsigned count = 0;

    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.data[i]);

        if (text.data[i] == ' ' || text.data[i] == '\t' || text.data[i] == '=')
            continue;
        if (digit < 0)
            return false;
        bits = (bits << 6 | (uint32_t)digit) & 0xFFFFFF;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[(*len)++] = (char)(bits >> count);
        }
    }
    return true;
}

struct encoded_word {
    enum charset charset;
    struct span bytes; /* decoded, behind what is in the run */
    size_t len;        /* of the word as it stands */
};

/* Finds the end of a word's text: the first "?=". A question mark inside is forgiven; not so a
 * "=?", where another word begins, which also keeps the search linear. */
static bool find_end(struct span text, size_t *len)
{
    for (size_t i = span_index(text, '?'); i + 1 < text.len;
         i += 1 + span_index(span_from(text, i + 1), '?')) {
        if (text.data[i + 1] == '=') {
            *len = i;
            return true;
        }
        if (i > 0 && text.data[i - 1] == '=')
            return false;
    }
    return false;
}

/* Is there an encoded word at the start of the text, which begins with "=?"? Decodes it. */
static bool read_word(const struct decoder *d, struct span text, struct encoded_word *word)
{
    size_t name_len = span_index(span_until(span_from(text, 2), CHARSET_NAME_MAX), '?');
    size_t start = 2 + name_len + 3, len, decoded = 0; /* the text starts behind "?Q?" */
    char encoding, *out = d->run + d->run_len;

    if (name_len == 0 || start > text.len || text.data[start - 3] != '?' ||
        text.data[start - 1] != '?')
        return false;
    encoding = ascii_lower(text.data[start - 2]);
    word->charset = charset_of(span_until(span_from(text, 2), name_len));
    if (word->charset == CHARSET_UNREADABLE || (encoding != 'q' && encoding != 'b'))
        return false;
    text = span_from(text, start);
    if (!find_end(text, &len))
        return false;
    text = span_until(text, len);
    if (!(encoding == 'q' ? decode_q(text, out, &decoded) : decode_b(text, out, &decoded)))
        return false;
    word->bytes = span_make(out, decoded);
    word->len = start + len + 2;
    return true;
}

static void add_to_run(struct decoder *d, const struct encoded_word *word)
{
    if (word->charset != d->run_charset)
        end_run(d);
    d->run_charset = word->charset;
    memmove(d->run + d->run_len, word->bytes.data, word->bytes.len);
    d->run_len += word->bytes.len;
}

/* Index of the first "=?", or the text's length. */
static size_t find_word_start(struct span text)
{
    const char *found = text.len > 0 ? memmem(text.data, text.len, "=?", 2) : NULL;

    return found ? (size_t)(found - text.data) : text.len;
}

static void put_plain(struct decoder *d, struct span text)
{
    end_run(d);
    put_text(d, CHARSET_UTF8, text);
}

static void decode(struct decoder *d, struct span text)
{
    bool after_word = false;

    while (text.len > 0 && !d->is_full) {
        size_t start = find_word_start(text);
        struct span plain = span_until(text, start);
        struct encoded_word word;

        text = span_from(text, start);
        if (text.len > 0 && read_word(d, text, &word)) {
            /* Blanks between two words are there for folding only (RFC 2047 section 6.2). */
            if (!after_word || span_trim(plain).len > 0)
                put_plain(d, plain);
            add_to_run(d, &word);
            text = span_from(text, word.len);
            after_word = true;
        } else {
            put_plain(d, plain);
            put_plain(d, span_until(text, 2)); /* "=?" that begins no word, or nothing */
            text = span_from(text, 2);
            after_word = false;
        }
    }
    end_run(d);
}

/* Copies without the line ends: what begins the next line is a blank, and stays (RFC 5322 section
 * 2.2.3). */
static struct span unfold(struct span value, struct arena *arena)
{
    char *text = arena_take(arena, value.len);
    size_t len = 0;

    if (!text)
        return (struct span){NULL, 0};
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] != '\r' && value.data[i] != '\n')
            text[len++] = value.data[i];
    return span_trim(span_make(text, len));
}

struct span header_text(struct span value, struct arena *arena)
{
    struct span plain = unfold(span_until(value, HEADER_TEXT_SOURCE_MAX), arena);
    struct decoder d = {.run_charset = CHARSET_UTF8};

    if (!plain.data)
        return plain;
    /* A byte becomes three at most: one that is not known, U+FFFD. */
    d.limit = plain.len > HEADER_TEXT_MAX / 3 ? HEADER_TEXT_MAX : 3 * plain.len;
    if (!(d.text = arena_take(arena, d.limit)) || !(d.run = arena_take(arena, plain.len)))
        return (struct span){NULL, 0};
    decode(&d, plain);
    return span_make(d.text, d.len);
}

/* Fit for any place where a word may stand (RFC 2047 section 5, rule 3). */
static bool stands_for_itself(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || (c != '\0' && strchr("!*+-/", c) != NULL);
}

/* Writes a character's bytes in Q encoding and gives their number. */
static size_t print_q(struct span character, char out[static 3 * CHARACTER_MAX])
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = 0;

    for (size_t i = 0; i < character.len; i++) {
        unsigned char byte = (unsigned char)character.data[i];

        if (byte == ' ') {
            out[len++] = '_';
        } else if (stands_for_itself((char)byte)) {
            out[len++] = (char)byte;
        } else {
            out[len++] = '=';
            out[len++] = digits[byte >> 4];
            out[len++] = digits[byte & 15];
        }
    }
    return len;
}

size_t encoded_word_print(struct span text, size_t room, char word[static ENCODED_WORD_MAX],
                          size_t *used)
{
    static const struct span start = SPAN_LITERAL("=?utf-8?q?"), end = SPAN_LITERAL("?=");
    size_t len = start.len;

    assert(room >= ENCODED_WORD_LEAST && room <= ENCODED_WORD_MAX);
    memcpy(word, start.data, start.len);
    *used = 0;
    while (*used < text.len) {
        struct span rest = span_from(text, *used);
        uint32_t character;
        size_t bytes = utf8_first(rest, &character), printed;
        char q[3 * CHARACTER_MAX];

        bytes = bytes > 0 ? bytes : 1; /* a reader shows a broken byte as such */
        printed = print_q(span_until(rest, bytes), q);
        if (len + printed + end.len > room)
            break;
        memcpy(word + len, q, printed);
        len += printed;
        *used += bytes;
    }
    memcpy(word + len, end.data, end.len);
    return len + end.len;
}
