/* The few edits that we make to a header, as pieces of memory: the message itself is never copied.
 */
/* SPDX-License-Identifier: ISC */
#include "message/edits.h"

#include "message/header.h"
#include "message/limits.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <stdio.h>

/* What names recipients that others shall not see (RFC 5322 sections 3.6.3 and 3.6.6). */
static const struct span hidden_fields[] = {SPAN_LITERAL("Bcc"), SPAN_LITERAL("Resent-Bcc")};

static bool is_hidden(struct span name)
{
    for (size_t i = 0; i < sizeof hidden_fields / sizeof hidden_fields[0]; i++)
        if (span_equal_caseless(name, hidden_fields[i]))
            return true;
    return false;
}

/* A name or an address literal, as "from" may be followed by; anything else goes into a comment. */
static bool is_plain_name(struct span name)
{
    bool is_literal = name.len > 2 && name.data[0] == '[' && name.data[name.len - 1] == ']';
    const char *signs = is_literal ? ".:" : "-_.";

    if (is_literal)
        name = span_from(span_until(name, name.len - 1), 1);
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_letter(name.data[i]) && !ascii_is_digit(name.data[i]) &&
            (name.data[i] == '\0' || !strchr(signs, name.data[i])))
            return false;
    return name.len > 0;
}

/* Text from outside inside a comment, which it cannot leave. */
static void put_comment_text(struct buffer *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '(' || c == ')' || c == '\\')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, c >= ' ' && c <= '~' ? c : '?');
    }
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3). */
static void put_literal(struct buffer *out, struct span ip)
{
    bool is_ipv6 = span_index(ip, ':') < ip.len;

    buffer_append(out, is_ipv6 ? SPAN_LITERAL("[IPv6:") : SPAN_LITERAL("["));
    buffer_append(out, ip);
    buffer_append_byte(out, ']');
}

/* "from NAME ([IP])", or "from [IP] (helo TEXT)" where the client's name is none. */
static void put_from(struct buffer *out, const struct received_facts *facts)
{
    struct span helo = span_until(facts->helo, ADDRESS_DOMAIN_MAX);

    buffer_append(out, SPAN_LITERAL("from "));
    if (is_plain_name(helo)) {
        buffer_append(out, helo);
        buffer_append(out, SPAN_LITERAL(" ("));
        put_literal(out, facts->client_ip);
    } else {
        put_literal(out, facts->client_ip);
        buffer_append(out, SPAN_LITERAL(" (helo "));
        put_comment_text(out, helo);
    }
    buffer_append_byte(out, ')');
}

enum { CLAUSES_MAX = 6 }; /* from, by, with, id, for, date */

/* The clauses of a Received field in one buffer. Spans into it are made only when it is complete,
 * since it moves as it grows. */
struct clauses {
    struct buffer text;
    size_t ends[CLAUSES_MAX];
    size_t count;
};

static void end_clause(struct clauses *c)
{
    c->ends[c->count++] = c->text.len;
}

static void put_clause(struct clauses *c, const char *word, struct span text, const char *end)
{
    buffer_append(&c->text, span_of(word));
    buffer_append(&c->text, text);
    buffer_append(&c->text, span_of(end));
    end_clause(c);
}

static void put_with(struct clauses *c, const struct received_facts *facts)
{
    buffer_append(&c->text, SPAN_LITERAL("with "));
    buffer_append(&c->text, facts->protocol);
    if (facts->tls.len > 0) {
        buffer_append(&c->text, SPAN_LITERAL(" ("));
        put_comment_text(&c->text, facts->tls);
        buffer_append_byte(&c->text, ')');
    }
    end_clause(c);
}

/* RFC 5321 section 4.4. With more than one recipient a "for" clause would name hidden ones. */
static void put_received(struct buffer *out, const struct received_facts *facts)
{
    const struct span *recipient = facts->only_recipient;
    struct span parts[CLAUSES_MAX];
    char id[ID_TEXT_SIZE], date[CLOCK_RFC5322_SIZE];
    struct clauses c = {0};

    buffer_init(&c.text, KIB(4));
    id_print(facts->message, id);
    clock_print_rfc5322(facts->received_at_ms, date);
    put_from(&c.text, facts);
    end_clause(&c);
    put_clause(&c, "by ", facts->host_name, "");
    put_with(&c, facts);
    put_clause(&c, "id ", span_of(id), recipient ? "" : ";");
    if (recipient)
        put_clause(&c, "for <", *recipient, ">;");
    put_clause(&c, "", span_of(date), "");
    for (size_t i = 0; i < c.count; i++)
        parts[i] = span_from(span_until(buffer_span(&c.text), c.ends[i]), i ? c.ends[i - 1] : 0);
    header_write_parts(out, SPAN_LITERAL("Received"), parts, c.count);
    out->failed |= c.text.failed;
    buffer_clear(&c.text);
}

/* What a submitting client may leave to us (RFC 6409 sections 8.2 and 8.3). */
static void put_missing(struct buffer *out, struct span original,
                        const struct received_facts *facts)
{
    struct header_field found;
    char id[ID_TEXT_SIZE], date[CLOCK_RFC5322_SIZE], message_id[sizeof id + ADDRESS_DOMAIN_MAX + 4];
    int len;

    if (!header_find(original, SPAN_LITERAL("Date"), 0, &found)) {
        clock_print_rfc5322(facts->received_at_ms, date);
        header_write(out, SPAN_LITERAL("Date"), span_of(date));
    }
    if (!header_find(original, SPAN_LITERAL("Message-ID"), 0, &found)) {
        id_print(facts->message, id);
        len = snprintf(message_id, sizeof message_id, "<%s@%.*s>", id, SPAN_ARGS(facts->host_name));
        out->failed |= (size_t)len >= sizeof message_id;
        header_write(out, SPAN_LITERAL("Message-ID"), span_of(message_id));
    }
}

static void add_piece(struct pieces *pieces, struct span piece)
{
    if (piece.len == 0)
        return;
    pieces->spans[pieces->count++] = piece;
    pieces->size += piece.len;
}

/* Does the header section, which ends at `end`, want an empty line of ours there? */
static bool wants_empty_line(struct span original, size_t end)
{
    if (original.len == 0)
        return true;
    return end < original.len && !span_starts_with(span_from(original, end), SPAN_LITERAL("\r\n"));
}

/* The original's pieces: without its hidden fields, and with an empty line where the header section
 * ends without one. */
static void add_original(struct pieces *pieces, struct span original, bool without_hidden)
{
    struct header_field field;
    size_t position = 0, kept = 0; /* the next piece starts at `kept` */

    while (header_next(original, &position, &field)) {
        if (!without_hidden || !is_hidden(field.name))
            continue;
        add_piece(pieces, span_from(span_until(original, position - field.whole.len), kept));
        kept = position;
    }
    if (wants_empty_line(original, position)) {
        add_piece(pieces, span_from(span_until(original, position), kept));
        add_piece(pieces, SPAN_LITERAL("\r\n"));
        kept = position;
    }
    add_piece(pieces, span_from(original, kept));
}

static size_t count_hidden(struct span original)
{
    struct header_field field;
    size_t position = 0, count = 0;

    while (header_next(original, &position, &field))
        count += is_hidden(field.name);
    return count;
}

bool message_edit(struct span original, bool is_submission, const struct received_facts *facts,
                  struct arena *arena, struct pieces *out, struct error *why)
{
    struct pieces pieces = {0};
    struct span ours;
    scoped_buffer added;
    /* Ours, a piece before each hidden field, the header's rest, the empty line, the body. */
    size_t most = 4 + (is_submission ? count_hidden(original) : 0);

    buffer_init(&added, KIB(8));
    put_received(&added, facts);
    if (is_submission)
        put_missing(&added, original, facts);
    if (added.failed)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "our header fields cannot be written");
    ours = arena_copy(arena, buffer_span(&added));
    pieces.spans = arena_take_array(arena, most, sizeof *pieces.spans);
    if (!ours.data || !pieces.spans)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "no memory for a message's edits");
    add_piece(&pieces, ours);
    add_original(&pieces, original, is_submission);
    *out = pieces;
    return true;
}
