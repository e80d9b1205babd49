/* One pass over a message as it arrives: strict line ends, limits, and how often it has been here.
 * Body bytes are looked at by memchr and word by word; only field names are read byte by byte. */
/* SPDX-License-Identifier: ISC */
#include "message/content.h"

#include <stdint.h>

void content_begin(struct content *content, struct span own_name)
{
    /* Not the arrays, which would cost more than a short message does. */
    content->size = content->longest_line = content->header_size = 0;
    content->hops = content->own_hops = 0;
    content->has_8bit = content->has_nul = content->is_broken = content->is_too_wide = false;
    content->why_broken.kind = ERROR_NONE;
    content->own_name = own_name;
    content->line_length = content->line_start = content->header_fields = 0;
    content->place = CONTENT_LINE_START;
    content->after_cr = content->in_received = false;
    content->name_len = content->received_len = 0;
}

static void set_broken(struct content *content, const char *status, const char *reason)
{
    if (content->is_broken)
        return; /* the first reason stays */
    content->is_broken = true;
    (void)error_set(&content->why_broken, ERROR_REJECTED, status, "%s", reason);
}

static void set_bare(struct content *content)
{
    set_broken(content, "5.6.0", "a CR or LF that is no part of a CRLF");
}

static bool has_byte_over_127(struct span bytes)
{
    static const uint64_t high_bits = 0x8080808080808080;
    uint64_t words[4], all = 0;
    size_t i = 0;

    for (; bytes.len - i >= sizeof words; i += sizeof words) {
        memcpy(words, bytes.data + i, sizeof words);
        if ((words[0] | words[1] | words[2] | words[3]) & high_bits)
            return true;
    }
    for (; i < bytes.len; i++)
        all |= (unsigned char)bytes.data[i];
    return (all & high_bits) != 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_separator(char c)
{
    return is_blank(c) || c == ';';
}

/* What follows separators and comments (RFC 5322 section 3.2.2), which nest. */
static struct span skip_comments(struct span text)
{
    size_t depth = 0, i = 0;

    for (; i < text.len; i++) {
        if (text.data[i] == '(')
            depth++;
        else if (depth == 0 && !is_separator(text.data[i]))
            break;
        else if (text.data[i] == ')')
            depth--;
        else if (text.data[i] == '\\')
            i++;
    }
    return span_from(text, i);
}

/* Takes the next word off a Received field's value; false at its end. */
static bool next_word(struct span *value, struct span *word)
{
    struct span rest = skip_comments(*value);
    size_t len = 0;

    while (len < rest.len && !is_separator(rest.data[len]) && rest.data[len] != '(')
        len++;
    *word = span_until(rest, len);
    *value = span_from(rest, len);
    return len > 0;
}

/* The end of a field: was it a Received field of ours? */
static void end_field(struct content *content)
{
    struct span value = span_make(content->received, content->received_len), word;
    bool is_after_by = false;

    if (!content->in_received)
        return;
    content->in_received = false;
    while (next_word(&value, &word)) {
        if (is_after_by && span_equal_caseless(word, content->own_name)) {
            content->own_hops++;
            return;
        }
        is_after_by = span_equal_caseless(word, SPAN_LITERAL("by"));
    }
}

static void begin_body(struct content *content, size_t header_size)
{
    end_field(content);
    content->place = CONTENT_BODY;
    content->header_size = header_size;
}

/* After a field's colon. */
static void begin_value(struct content *content)
{
    static const struct span received = SPAN_LITERAL("Received");

    content->place = CONTENT_VALUE;
    if (++content->header_fields > MESSAGE_HEADER_FIELDS_MAX)
        set_broken(content, "5.3.4", "a header of too many fields");
    if (content->name_len == received.len &&
        span_equal_caseless(span_make(content->name, received.len), received)) {
        content->hops++;
        content->in_received = true;
        content->received_len = 0;
    }
}

/* What a line's first byte makes of it. */
static void begin_line(struct content *content, char first)
{
    if (!is_blank(first)) {
        end_field(content);
        content->place = CONTENT_NAME;
        content->name_len = 0;
    } else if (content->header_fields > 0) {
        content->place = CONTENT_VALUE;
    } else {
        begin_body(content, content->line_start);
    }
}

static void keep_name_byte(struct content *content, char byte)
{
    if (content->name_len < sizeof content->name)
        content->name[content->name_len] = byte;
    content->name_len++;
}

/* A byte of a field's name or of the blanks after it; the very rule of header_next(). */
static void read_name_byte(struct content *content, char byte)
{
    if (byte == ':' && content->name_len > 0)
        begin_value(content);
    else if (is_blank(byte) && content->name_len > 0)
        content->place = CONTENT_NAME_END;
    else if (content->place == CONTENT_NAME && byte > ' ' && byte <= '~' && byte != ':')
        keep_name_byte(content, byte);
    else
        begin_body(content, content->line_start);
}

static void keep_received(struct content *content, struct span text)
{
    text = span_until(text, sizeof content->received - content->received_len);
    memcpy(content->received + content->received_len, text.data, text.len);
    content->received_len += text.len;
}

/* Part of a header line, of at least one byte. */
static void read_header(struct content *content, struct span text)
{
    size_t i = 0;

    if (content->place == CONTENT_LINE_START)
        begin_line(content, text.data[0]);
    while (i < text.len && (content->place == CONTENT_NAME || content->place == CONTENT_NAME_END))
        read_name_byte(content, text.data[i++]);
    if (content->in_received)
        keep_received(content, span_from(text, i));
}

/* Part of a line, or all of it, without its end. */
static void read_text(struct content *content, struct span text)
{
    struct span fitting = span_until(text, MESSAGE_LINE_MAX - content->line_length);

    if (fitting.len > 0 && content->place != CONTENT_BODY)
        read_header(content, fitting);
    content->line_length += fitting.len;
    if (content->line_length > content->longest_line)
        content->longest_line = content->line_length;
    if (fitting.len < text.len) {
        content->is_too_wide = !content->is_broken;
        set_broken(content, "5.6.0", "a line that is too long");
    }
}

/* After a line's CRLF; `next` is where the next line starts. */
static void end_line(struct content *content, size_t next)
{
    switch (content->place) {
    case CONTENT_LINE_START: /* the empty line */
        begin_body(content, next);
        break;
    case CONTENT_NAME:
    case CONTENT_NAME_END:
        begin_body(content, content->line_start);
        break;
    case CONTENT_VALUE:
        content->place = CONTENT_LINE_START;
        if (next > MESSAGE_HEADER_MAX)
            set_broken(content, "5.3.4", "a header that is too big");
        break;
    case CONTENT_BODY:
        break;
    }
    content->line_length = 0;
    content->line_start = next;
}

/* Reads up to the end of the line, or all there is, and gives what follows. Whatever is wrong is
 * noticed in the order of the bytes, so that it does not matter how they were cut. */
static struct span feed_line(struct content *content, struct span bytes)
{
    size_t lf = span_index(bytes, '\n'), cr;
    struct span text = span_until(bytes, lf), rest = span_from(bytes, lf + 1);

    if (content->after_cr && lf > 0) {
        set_bare(content);
        return rest;
    }
    if (lf > 0) {
        content->after_cr = text.data[lf - 1] == '\r';
        text.len -= content->after_cr;
    }
    cr = span_index(text, '\r');
    read_text(content, span_until(text, cr));
    if (cr < text.len || (lf < bytes.len && !content->after_cr))
        set_bare(content);
    if (lf < bytes.len) {
        content->after_cr = false;
        end_line(content, content->size - rest.len);
    }
    return rest;
}

void content_feed(struct content *content, struct span bytes)
{
    content->size += bytes.len;
    content->has_8bit = content->has_8bit || has_byte_over_127(bytes);
    content->has_nul = content->has_nul || span_index(bytes, '\0') < bytes.len;
    while (bytes.len > 0 && !content->is_broken)
        bytes = feed_line(content, bytes);
}

bool content_end(struct content *content, struct error *why)
{
    if (content->after_cr)
        set_bare(content);
    if (content->place == CONTENT_NAME || content->place == CONTENT_NAME_END)
        begin_body(content, content->line_start);
    else if (content->place != CONTENT_BODY)
        content->header_size = content->size;
    end_field(content);
    if (content->header_size > MESSAGE_HEADER_MAX)
        set_broken(content, "5.3.4", "a header that is too big");
    if (content->is_broken) {
        *why = content->why_broken;
        return false;
    }
    if (content->has_nul)
        return error_set(why, ERROR_REJECTED, "5.6.0", "a NUL in the message");
    if (content->hops > MESSAGE_HOPS_MAX || content->own_hops > MESSAGE_OWN_HOPS_MAX)
        return error_set(why, ERROR_REJECTED, "5.4.6", "a message that goes in circles");
    return true;
}
