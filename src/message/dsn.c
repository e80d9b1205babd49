/* Reports of failed deliveries (RFC 3464): what happened and what to do in plain words, then the
 * same for programs. Nothing of the message is in them, and a peer's words stand only where we put
 * them. */
/* SPDX-License-Identifier: ISC */
#include "message/dsn.h"

#include "message/header.h"
#include "message/limits.h"

#include "base/clock.h"
#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

enum { TEXT_COLUMNS = 72 };

/* A report being written. */
struct report {
    const struct dsn_facts *facts;
    struct buffer *out;
    struct buffer value; /* the value of the field at hand, made anew for each */
    char boundary[sizeof "letterlock-" + ID_TEXT_SIZE];
};

/* What the sender can do. The first row whose status fits, the class (its first digit) apart. */
static const struct {
    const char *status;
    const char *advice;
} advices[] = {
    {".1.10", "This domain takes no mail at all. Please check the part after the \"@\"."},
    {".1.2", "Please check the part of the address after the \"@\" for a mistake."},
    {".1.", "Please check the address for a mistake, or ask the recipient for the right one."},
    {".2.2", "Please tell the recipient in another way that the mailbox is full."},
    {".2.", "Please reach the recipient in another way: the mailbox takes no mail at present."},
    {".3.4", "The message is too big for the other side. Please send less at a time."},
    {".4.6", "The message would go in circles. Please tell your mail administrator."},
    {".4.", "Please check the part of the address after the \"@\"; if it is right, the other side "
            "may be out of order: send again later, or reach the recipient in another way."},
    {".6.", "The other side cannot take a message of this form. Please tell your mail "
            "administrator."},
    {".7.", "Please reach the recipient in another way, or ask your mail administrator what this "
            "address needs."},
    {"", "Please pass this report on to your mail administrator."},
};

static const char *advice_for(const char *status)
{
    struct span detail = span_from(span_of(status), 1);
    size_t i = 0;

    while (!span_starts_with(detail, span_of(advices[i].status)))
        i++; /* ends at the last row, which fits all */
    return advices[i].advice;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Line ends that a reply of several lines rightly has, and blanks, become one blank. */
static size_t blanks_at(struct span text, size_t at)
{
    size_t end = at;

    while (end < text.len)
        if (is_blank(text.data[end]))
            end++;
        else if (end + 1 < text.len && text.data[end] == '\r' && text.data[end + 1] == '\n')
            end += 2;
        else
            break;
    return end - at;
}

/* A byte from outside, printable or as \xNN. */
static void put_escaped_byte(struct buffer *out, char c)
{
    if (c >= ' ' && c <= '~' && c != '\\')
        buffer_append_byte(out, c);
    else
        buffer_append_format(out, "\\x%02X", (unsigned)(unsigned char)c);
}

/* A name or an address from outside: what stands there cannot end its line, whatever it is. */
static void put_escaped(struct buffer *out, struct span text)
{
    size_t end = out->len + DSN_REPLY_MAX; /* true ones are far shorter */

    for (size_t i = 0; i < text.len && out->len + 4 <= end; i++)
        put_escaped_byte(out, text.data[i]);
}

/* A peer's words as one line, cut at DSN_REPLY_MAX. */
static void put_reply(struct buffer *out, struct span text)
{
    static const struct span cut = SPAN_LITERAL(" [cut]");
    size_t end = out->len + DSN_REPLY_MAX - cut.len, i = blanks_at(text, 0);

    while (i < text.len) {
        size_t blanks = blanks_at(text, i);

        if (i + blanks == text.len)
            return;
        if (out->len + 4 > end) {
            buffer_append(out, cut);
            return;
        }
        put_escaped_byte(out, blanks > 0 ? ' ' : text.data[i]);
        i += blanks > 0 ? blanks : 1;
    }
}

static void start_value(struct report *r, const char *prefix)
{
    buffer_truncate(&r->value, 0);
    buffer_append(&r->value, span_of(prefix));
}

static void end_field(struct report *r, const char *name)
{
    header_write(r->out, span_of(name), buffer_span(&r->value));
}

static void put_field(struct report *r, const char *name, const char *value)
{
    header_write(r->out, span_of(name), span_of(value));
}

/* "Final-Recipient: rfc822; TEXT" and its kin. */
static void put_typed_field(struct report *r, const char *name, const char *type, struct span text)
{
    start_value(r, type);
    put_escaped(&r->value, text);
    end_field(r, name);
}

static void put_date(struct report *r, const char *name, int64_t at_ms)
{
    char date[CLOCK_RFC5322_SIZE];

    clock_print_rfc5322(at_ms, date);
    put_field(r, name, date);
}

static void put_line_end(struct report *r)
{
    buffer_append(r->out, SPAN_LITERAL("\r\n"));
}

/* A paragraph of words, indented and broken into lines. */
static void put_paragraph(struct report *r, size_t indent, struct span text)
{
    static const struct span spaces = SPAN_LITERAL("      ");
    size_t column = 0;
    bool goes_on = true;
    struct span word;

    assert(indent <= spaces.len);
    while (goes_on) {
        goes_on = span_split(text, ' ', &word, &text);
        if (column > 0 && column + 1 + word.len > TEXT_COLUMNS) {
            put_line_end(r);
            column = 0;
        }
        buffer_append(r->out, column > 0 ? SPAN_LITERAL(" ") : span_until(spaces, indent));
        buffer_append(r->out, word);
        column += word.len + (column > 0 ? 1 : indent);
    }
    put_line_end(r);
}

/* The same for words that may hold anything, behind a beginning of ours. */
static void put_reply_paragraph(struct report *r, size_t indent, const char *beginning,
                                struct span reply)
{
    start_value(r, beginning);
    put_reply(&r->value, reply);
    put_paragraph(r, indent, buffer_span(&r->value));
}

static void put_message_header(struct report *r)
{
    char id[ID_TEXT_SIZE];

    start_value(r, "Mail Delivery System <MAILER-DAEMON@");
    buffer_append(&r->value, r->facts->host_name);
    buffer_append_byte(&r->value, '>');
    end_field(r, "From");
    start_value(r, "<");
    buffer_append(&r->value, r->facts->sender);
    buffer_append_byte(&r->value, '>');
    end_field(r, "To");
    put_date(r, "Date", r->facts->now_ms);
    id_print(r->facts->report, id);
    start_value(r, "<");
    buffer_append_format(&r->value, "%s@", id);
    buffer_append(&r->value, r->facts->host_name);
    buffer_append_byte(&r->value, '>');
    end_field(r, "Message-ID");
    put_field(r, "Subject", "Your message could not be delivered");
    put_field(r, "Auto-Submitted", "auto-replied");
    put_field(r, "MIME-Version", "1.0");
    start_value(r, "multipart/report; report-type=delivery-status;");
    buffer_append_format(&r->value, " boundary=\"%s\"", r->boundary);
    end_field(r, "Content-Type");
    put_line_end(r);
}

static void begin_part(struct report *r, const char *type, const char *description)
{
    buffer_append_format(r->out, "--%s\r\n", r->boundary);
    put_field(r, "Content-Type", type);
    put_field(r, "Content-Description", description);
    put_line_end(r);
}

static void tell_of_recipient(struct report *r, const struct dsn_recipient *recipient)
{
    start_value(r, "<");
    put_escaped(&r->value, recipient->address);
    buffer_append_byte(&r->value, '>');
    put_paragraph(r, 2, buffer_span(&r->value));
    if (recipient->reason.len > 0)
        put_reply_paragraph(r, 4, "", recipient->reason);
    if (recipient->peer_reply.len > 0)
        put_reply_paragraph(r, 4, "The other side's mail server answered: ", recipient->peer_reply);
    put_paragraph(r, 4, span_of(advice_for(recipient->status)));
    put_line_end(r);
}

static void put_text(struct report *r)
{
    const struct dsn_facts *facts = r->facts;
    char id[ID_TEXT_SIZE], date[CLOCK_RFC5322_SIZE];

    begin_part(r, "text/plain; charset=us-ascii", "What happened");
    start_value(r, "This is the mail gateway ");
    buffer_append(&r->value, facts->host_name);
    buffer_append(&r->value, SPAN_LITERAL(". Your message could not be delivered to "));
    if (facts->recipient_count == 1)
        buffer_append(&r->value, SPAN_LITERAL("the recipient below"));
    else
        buffer_append_format(&r->value, "the %zu recipients below", facts->recipient_count);
    buffer_append(&r->value, SPAN_LITERAL(", and it will not be tried again."));
    put_paragraph(r, 0, buffer_span(&r->value));
    put_line_end(r);
    for (size_t i = 0; i < facts->recipient_count; i++)
        tell_of_recipient(r, &facts->recipients[i]);

    clock_print_rfc5322(facts->arrived_at_ms, date);
    start_value(r, "Your message came to this gateway on ");
    buffer_append_format(&r->value,
                         "%s. For its protection this report holds neither its "
                         "subject nor its text.",
                         date);
    put_paragraph(r, 0, buffer_span(&r->value));
    put_line_end(r);
    id_print(facts->message, id);
    put_paragraph(r, 0, SPAN_LITERAL("If you ask somebody for help, please quote this number:"));
    start_value(r, id);
    put_paragraph(r, 2, buffer_span(&r->value));
    put_line_end(r);
}

/* The fields of one recipient (RFC 3464 section 2.3), after the empty line that begins them. There
 * is no Original-Recipient: it repeats what a sender gave as ORCPT, and none is taken. */
static void put_recipient(struct report *r, const struct dsn_recipient *recipient)
{
    put_line_end(r);
    put_typed_field(r, "Final-Recipient", "rfc822; ", recipient->address);
    put_field(r, "Action", "failed");
    put_field(r, "Status", recipient->status);
    if (recipient->remote_host.len > 0)
        put_typed_field(r, "Remote-MTA", "dns; ", recipient->remote_host);
    if (recipient->peer_reply.len > 0) {
        start_value(r, "smtp; ");
        put_reply(&r->value, recipient->peer_reply);
        end_field(r, "Diagnostic-Code");
    }
    if (recipient->last_attempt_ms != 0)
        put_date(r, "Last-Attempt-Date", recipient->last_attempt_ms);
}

static void put_status(struct report *r)
{
    char id[ID_TEXT_SIZE];

    begin_part(r, "message/delivery-status", "The same for programs");
    put_typed_field(r, "Reporting-MTA", "dns; ", r->facts->host_name);
    put_date(r, "Arrival-Date", r->facts->arrived_at_ms);
    id_print(r->facts->message, id);
    put_field(r, "X-Letterlock-Message", id);
    for (size_t i = 0; i < r->facts->recipient_count; i++)
        put_recipient(r, &r->facts->recipients[i]);
    put_line_end(r);
}

/* Of the original only what we ourselves know of it. */
static void put_original(struct report *r)
{
    char id[ID_TEXT_SIZE], date[CLOCK_RFC5322_SIZE];
    struct span parts[2];

    begin_part(r, "text/rfc822-headers", "Where the message was");
    id_print(r->facts->message, id);
    clock_print_rfc5322(r->facts->arrived_at_ms, date);
    start_value(r, "by ");
    buffer_append(&r->value, r->facts->host_name);
    buffer_append_format(&r->value, " id %s;", id);
    parts[0] = buffer_span(&r->value);
    parts[1] = span_of(date);
    header_write_parts(r->out, SPAN_LITERAL("Received"), parts, 2);
    put_line_end(r);
    buffer_append_format(r->out, "--%s--\r\n", r->boundary);
}

bool dsn_write(const struct dsn_facts *facts, struct buffer *out, struct error *why)
{
    struct report r = {.facts = facts, .out = out};
    char id[ID_TEXT_SIZE];

    assert(facts->recipient_count > 0);
    if (facts->sender.len == 0) /* RFC 5321 section 6.1 */
        return error_set(why, ERROR_INTERNAL, "5.4.6", "a report on a message without a sender");
    id_print(facts->report, id);
    (void)snprintf(r.boundary, sizeof r.boundary, "letterlock-%s", id);
    buffer_init(&r.value, KIB(2));
    put_message_header(&r);
    put_text(&r);
    put_status(&r);
    put_original(&r);
    out->failed = out->failed || r.value.failed;
    buffer_clear(&r.value);
    if (out->failed)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "a report cannot be written");
    return true;
}
