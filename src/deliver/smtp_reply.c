/* Reads replies: three digits, a hyphen or a blank, some text; whatever else comes ends the talk.
 */
/* SPDX-License-Identifier: ISC */
#include "smtp_reply.h"

#include <string.h>

void smtp_reply_begin(struct smtp_reply *reply)
{
    reply->code = 0;
    reply->status[0] = '\0';
    reply->lines = 0;
    reply->len = 0;
}

/* "250", and nothing beyond 2yz … 5yz. */
static bool read_code(struct span line, unsigned *code)
{
    if (line.len < 3 || line.data[0] < '2' || line.data[0] > '5')
        return false;
    if (!ascii_is_digit(line.data[1]) || !ascii_is_digit(line.data[2]))
        return false;
    *code = (unsigned)(line.data[0] - '0') * 100 + (unsigned)(line.data[1] - '0') * 10 +
            (unsigned)(line.data[2] - '0');
    return true;
}

/* One to three digits from *position on, and what must follow them. */
static bool skip_digits(struct span text, size_t *position, char after)
{
    size_t start = *position;

    while (*position < text.len && ascii_is_digit(text.data[*position]))
        (*position)++;
    if (*position == start || *position - start > 3)
        return false;
    if (after == '\0')
        return *position == text.len || text.data[*position] == ' ';
    if (*position >= text.len || text.data[*position] != after)
        return false;
    (*position)++;
    return true;
}

/* RFC 2034: "5.1.1 " before the text. The basic code decides, so the class is made to fit it. */
static void read_status(struct smtp_reply *reply, struct span text)
{
    size_t end = 2;

    if (text.len < 5 || text.data[1] != '.')
        return;
    if (text.data[0] != '2' && text.data[0] != '4' && text.data[0] != '5')
        return;
    if (!skip_digits(text, &end, '.') || !skip_digits(text, &end, '\0'))
        return;
    memcpy(reply->status, text.data, end);
    reply->status[end] = '\0';
}

static bool keep(struct smtp_reply *reply, struct span bytes)
{
    size_t room = sizeof reply->text - reply->len;
    size_t len = bytes.len < room ? bytes.len : room;

    memcpy(reply->text + reply->len, bytes.data, len);
    reply->len += len;
    return len == bytes.len;
}

/* Keeps the line without its end, which must be CRLF. */
static bool keep_line(struct smtp_reply *reply, struct span line, struct span *body)
{
    bool is_ended = line.len >= 2 && memcmp(line.data + line.len - 2, "\r\n", 2) == 0;

    *body = is_ended ? span_until(line, line.len - 2) : line;
    if (reply->lines > 0 && !keep(reply, SPAN_LITERAL("\r\n")))
        return false;
    return keep(reply, *body) && is_ended && ++reply->lines <= SMTP_REPLY_LINES_MAX;
}

/* Of lines that differ the worse code counts, with the status that stands beside it. */
static void count_code(struct smtp_reply *reply, unsigned code, struct span text)
{
    if (code > reply->code) {
        reply->code = code;
        reply->status[0] = '\0';
    }
    if (code == reply->code && reply->status[0] == '\0')
        read_status(reply, text);
}

enum reply_progress smtp_reply_line(struct smtp_reply *reply, struct span line)
{
    unsigned code;
    bool is_last;
    struct span body;

    if (!keep_line(reply, line, &body) || !read_code(body, &code))
        return REPLY_BROKEN;
    is_last = body.len == 3 || body.data[3] == ' ';
    if (!is_last && body.data[3] != '-')
        return REPLY_BROKEN;
    count_code(reply, code, span_from(body, 4));
    if (!is_last)
        return REPLY_MORE;
    if (reply->status[0] != '\0')
        reply->status[0] = (char)('0' + reply->code / 100);
    return REPLY_WHOLE;
}

enum reply_progress smtp_reply_parse(struct span wire, struct smtp_reply *reply, size_t *used)
{
    size_t position = 0;
    enum reply_progress progress = REPLY_MORE;

    smtp_reply_begin(reply);
    while (progress == REPLY_MORE && position < wire.len) {
        struct span rest = span_from(wire, position);
        size_t end = span_index(rest, '\n');

        if (end == rest.len)
            break;
        progress = smtp_reply_line(reply, span_until(rest, end + 1));
        position += end + 1;
    }
    *used = position;
    return progress;
}

/* Gathers one line, with its end, in `line`. */
static bool gather_line(struct stream *stream, struct deadline until, char *line, size_t room,
                        size_t *len, struct error *why)
{
    *len = 0;
    for (;;) {
        struct span bytes;
        size_t end, take;

        if (!stream_peek(stream, until, &bytes, why))
            return false;
        if (bytes.len == 0)
            return error_set(why, ERROR_TEMPORARY, "4.4.2", "the peer closed the connection");
        end = span_index(bytes, '\n');
        take = end < bytes.len ? end + 1 : bytes.len;
        if (take > room - *len)
            return error_set(why, ERROR_TEMPORARY, "4.5.0", "a line of the reply is too long");
        memcpy(line + *len, bytes.data, take);
        *len += take;
        stream_consume(stream, take);
        if (end < bytes.len)
            return true;
    }
}

bool smtp_reply_read(struct stream *stream, struct deadline until, struct smtp_reply *reply,
                     struct error *why)
{
    smtp_reply_begin(reply);
    for (;;) {
        char line[STREAM_LINE_MAX];
        size_t len;

        if (!gather_line(stream, until, line, sizeof line, &len, why)) {
            if (reply->lines > 0)
                keep(reply, SPAN_LITERAL("\r\n"));
            keep(reply, (struct span){line, len});
            return false;
        }
        switch (smtp_reply_line(reply, (struct span){line, len})) {
        case REPLY_MORE:
            break;
        case REPLY_WHOLE:
            return true;
        case REPLY_BROKEN:
            return error_set(why, ERROR_TEMPORARY, "4.5.0", "the reply cannot be read");
        }
    }
}

bool smtp_reply_next(const struct smtp_reply *reply, size_t *position, struct span *text)
{
    struct span rest = span_from(smtp_reply_span(reply), *position);
    size_t end = 0;

    if (rest.len == 0)
        return false;
    while (end < rest.len &&
           !(rest.data[end] == '\r' && end + 1 < rest.len && rest.data[end + 1] == '\n'))
        end++;
    *text = span_from(span_until(rest, end), 4);
    *position += end < rest.len ? end + 2 : end;
    return true;
}
