/* Header fields: finding them where they lie, and the one writer for all that we add. */
/* SPDX-License-Identifier: ISC */
#include "message/header.h"

#include "base/utf8.h"
#include "encoded_word.h"
#include "message/limits.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_control(char c)
{
    return (c >= '\0' && c < ' ') || c == '\x7f';
}

static bool is_ascii(char c)
{
    return ((unsigned char)c & 0x80) == 0;
}

/* RFC 5322 section 2.2: printable ASCII but the colon. */
static bool is_name_byte(char c)
{
    return c > ' ' && c <= '~' && c != ':';
}

/* The start of the line after this one, or the text's length. Only CRLF ends a line (RFC 5321
 * section 2.3.8): a lone LF is a byte like any other. */
static size_t next_line(struct span text, size_t at)
{
    while (at < text.len) {
        at += span_index(span_from(text, at), '\n');
        if (at == text.len)
            break;
        at++;
        if (at >= 2 && text.data[at - 2] == '\r')
            return at;
    }
    return text.len;
}

static struct span without_line_end(struct span line)
{
    if (line.len >= 2 && line.data[line.len - 2] == '\r' && line.data[line.len - 1] == '\n')
        line.len -= 2;
    return line;
}

bool header_next(struct span message, size_t *position, struct header_field *field)
{
    struct span rest = span_from(message, *position);
    size_t name_len = 0, colon, end;

    while (name_len < rest.len && is_name_byte(rest.data[name_len]))
        name_len++;
    colon = name_len;
    while (colon < rest.len && is_blank(rest.data[colon])) /* obsolete, RFC 5322 section 4.5.8 */
        colon++;
    if (name_len == 0 || colon == rest.len || rest.data[colon] != ':')
        return false;
    end = next_line(rest, colon);
    while (end < rest.len && is_blank(rest.data[end]))
        end = next_line(rest, end);
    field->name = span_until(rest, name_len);
    field->whole = span_until(rest, end);
    field->value = without_line_end(span_from(field->whole, colon + 1));
    *position += end;
    return true;
}

bool header_find(struct span message, struct span name, size_t n, struct header_field *field)
{
    struct header_field candidate;
    size_t position = 0;

    while (header_next(message, &position, &candidate)) {
        if (!span_equal_caseless(candidate.name, name) || n-- > 0)
            continue;
        *field = candidate;
        return true;
    }
    return false;
}

static void put_cut(struct buffer *out, struct span text)
{
    buffer_append(out, utf8_until(text, HEADER_TEXT_MAX - out->len));
}

struct span header_subject(struct span message, struct arena *arena)
{
    struct header_field field;
    size_t position = 0, found = 0;
    scoped_buffer subject;

    buffer_init_secret(&subject, HEADER_TEXT_MAX);
    while (header_next(message, &position, &field)) {
        struct span text;

        if (!span_equal_caseless(field.name, SPAN_LITERAL("Subject")))
            continue;
        text = header_text(field.value, arena);
        if (!text.data)
            return text;
        put_cut(&subject, found++ > 0 ? SPAN_LITERAL(" ") : SPAN_LITERAL(""));
        put_cut(&subject, text);
    }
    return subject.failed ? (struct span){NULL, 0} : arena_copy(arena, buffer_span(&subject));
}

bool text_has(struct span text, struct span word)
{
    const char first = word.len > 0 ? ascii_lower(word.data[0]) : '\0';

    for (size_t at = 0; at + word.len <= text.len; at++)
        if (word.len == 0 || (ascii_lower(text.data[at]) == first &&
                              span_starts_with_caseless(span_from(text, at), word)))
            return true;
    return false;
}

/* A field being written, and how far its last line has come. */
struct field_writer {
    struct buffer *out;
    size_t column;
    bool has_text; /* before it no line ends: readers exist that take "Name:" alone as empty */
};

/* Begins a new line where this one has no room for so much. */
static void end_full_line(struct field_writer *w, size_t len)
{
    if (!w->has_text || w->column + len <= HEADER_FOLD_COLUMN)
        return;
    buffer_append(w->out, SPAN_LITERAL("\r\n"));
    w->column = 0;
}

/* Puts one unbroken piece with the blanks before it. */
static void put(struct field_writer *w, struct span blanks, struct span piece)
{
    end_full_line(w, blanks.len + piece.len);
    w->has_text = true;
    buffer_append(w->out, blanks);
    buffer_append(w->out, piece);
    w->column += blanks.len + piece.len;
    if (w->column > HEADER_LINE_MAX)
        w->out->failed = true;
}

static bool text_is_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_ascii(text.data[i]))
            return false;
    return true;
}

static size_t count_while_blank(struct span text, bool blank)
{
    size_t len = 0;

    while (len < text.len && is_blank(text.data[len]) == blank)
        len++;
    return len;
}

/* How much of the text, which begins with a word that is not ASCII, is one run of such words: the
 * blanks between encoded words vanish in reading, so they are encoded with them. */
static size_t run_to_encode(struct span text)
{
    size_t run = 0;

    for (;;) {
        size_t blanks = count_while_blank(span_from(text, run), true);
        size_t word = count_while_blank(span_from(text, run + blanks), false);

        if (word == 0 || text_is_ascii(span_until(span_from(text, run + blanks), word)))
            return run;
        run += blanks + word;
    }
}

/* What the line has left for an encoded word, or what the next one will have: a line with such a
 * word is one byte longer than the longest word at most (RFC 2047 section 2). */
static size_t room_for_word(const struct field_writer *w, struct span blanks)
{
    size_t taken = w->column + blanks.len;

    if (taken + ENCODED_WORD_LEAST > ENCODED_WORD_MAX + 1)
        return ENCODED_WORD_MAX;
    return taken > 0 ? ENCODED_WORD_MAX + 1 - taken : ENCODED_WORD_MAX;
}

static void put_encoded(struct field_writer *w, struct span blanks, struct span text)
{
    while (text.len > 0) {
        char word[ENCODED_WORD_MAX];
        size_t used, len;

        len = encoded_word_print(text, room_for_word(w, blanks), word, &used);
        put(w, blanks, span_make(word, len));
        blanks = SPAN_LITERAL(" ");
        text = span_from(text, used);
    }
}

static bool may_be_written(struct span name, struct span value)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_byte(name.data[i]))
            return false;
    for (size_t i = 0; i < value.len; i++)
        if (is_control(value.data[i]))
            return false;
    return name.len > 0;
}

/* Puts words as many as the line holds, and the rest on the next ones. */
static void put_text(struct field_writer *w, struct span text)
{
    struct span blanks = SPAN_LITERAL(" ");

    while (text.len > 0) {
        size_t len = count_while_blank(text, false);

        if (text_is_ascii(span_until(text, len))) {
            put(w, blanks, span_until(text, len));
        } else {
            len = run_to_encode(text);
            put_encoded(w, blanks, span_until(text, len));
        }
        text = span_from(text, len);
        len = count_while_blank(text, true);
        blanks = span_until(text, len);
        text = span_from(text, len);
    }
}

void header_write_parts(struct buffer *out, struct span name, const struct span *parts,
                        size_t count)
{
    struct field_writer w = {.out = out, .column = name.len + 1};

    buffer_append(out, name);
    buffer_append_byte(out, ':');
    for (size_t i = 0; i < count; i++) {
        struct span part = span_trim(parts[i]);

        if (!may_be_written(name, part)) {
            out->failed = true;
            return;
        }
        if (1 + part.len <= HEADER_FOLD_COLUMN)
            end_full_line(&w, 1 + part.len);
        put_text(&w, part);
    }
    buffer_append(out, SPAN_LITERAL("\r\n"));
}

void header_write(struct buffer *out, struct span name, struct span value)
{
    header_write_parts(out, name, &value, 1);
}
