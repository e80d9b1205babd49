/* Reads a message from a file and finds its envelope, where no option gives it, in the header. */
/* SPDX-License-Identifier: ISC */
#include "letter.h"

#include "base/descriptor.h"
#include "base/memory.h"
#include "message/content.h"
#include "message/header.h"

enum { LETTER_MAX = 256 << 20 };

/* Files that editors write end their lines in LF alone; on the wire it is CRLF. */
static bool with_crlf(struct letter *letter, struct span text, struct arena *arena,
                      struct error *why)
{
    scoped_buffer lines;
    struct span copy;

    buffer_init(&lines, 2 * (size_t)LETTER_MAX);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\n' && (i == 0 || text.data[i - 1] != '\r')) {
            buffer_append_byte(&lines, '\r');
            letter->had_bare_lines = true;
        }
        buffer_append_byte(&lines, text.data[i]);
    }
    if (lines.len > 0 && lines.data[lines.len - 1] != '\n') {
        buffer_append(&lines, SPAN_LITERAL("\r\n"));
        letter->had_bare_lines = true;
    }
    copy = lines.failed ? (struct span){NULL, 0} : arena_copy(arena, buffer_span(&lines));
    if (!copy.data)
        return error_set(why, ERROR_TEMPORARY, "", "no memory for the message");
    letter->bytes = copy;
    return true;
}

static void judge(struct letter *letter, struct arena *arena)
{
    struct content content;
    struct error why;

    content_begin(&content, (struct span){"", 0});
    content_feed(&content, letter->bytes);
    if (!content_end(&content, &why))
        letter->refusal = arena_string(arena, span_of(why.text));
}

/* ---- addresses in the header ---- */

/* The first mailbox of a list; *rest is what follows its comma. Quoted commas part nothing. */
static struct span first_mailbox(struct span list, struct span *rest)
{
    bool is_quoted = false;
    struct span mailbox;
    size_t end = 0, open;

    for (; end < list.len && (is_quoted || (list.data[end] != ',' && list.data[end] != ';')); end++)
        if (list.data[end] == '"')
            is_quoted = !is_quoted;
    mailbox = span_trim(span_until(list, end));
    *rest = span_from(list, end + 1);
    open = mailbox.len;
    while (open > 0 && mailbox.data[open - 1] != '<')
        open--;
    if (open > 0) {
        mailbox = span_from(mailbox, open);
        mailbox = span_until(mailbox, span_index(mailbox, '>'));
    }
    return span_trim(mailbox);
}

static bool add_recipient(struct letter *letter, struct span text, struct arena *arena,
                          struct error *why)
{
    if (letter->to_count == LETTER_RECIPIENTS_MAX)
        return error_set(why, ERROR_REJECTED, "", "there are over %d recipients",
                         LETTER_RECIPIENTS_MAX);
    if (!address_parse(text, arena, &letter->to[letter->to_count], why))
        return error_within(why, "in a recipient's address");
    letter->to_count++;
    return true;
}

static bool add_recipients_of(struct letter *letter, struct span name, struct arena *arena,
                              struct error *why)
{
    struct header_field field;

    for (size_t n = 0; header_find(letter->bytes, name, n, &field); n++) {
        struct span rest = header_text(field.value, arena);

        while (rest.len > 0) {
            struct span mailbox = first_mailbox(rest, &rest);

            if (mailbox.len > 0 && !add_recipient(letter, mailbox, arena, why))
                return false;
        }
    }
    return true;
}

static bool find_sender(struct letter *letter, const char *from, struct arena *arena,
                        struct error *why)
{
    struct header_field field;
    struct span text, rest;

    letter->from = (struct address){0};
    if (from && (*from == '\0' || strcmp(from, "<>") == 0))
        return true; /* the null sender */
    if (from)
        text = span_of(from);
    else if (header_find(letter->bytes, SPAN_LITERAL("From"), 0, &field))
        text = first_mailbox(header_text(field.value, arena), &rest);
    else
        return error_set(why, ERROR_REJECTED, "",
                         "it has no From field: name the sender by --from");
    return address_parse(text, arena, &letter->from, why) ||
           error_within(why, "in the sender's address");
}

static bool find_recipients(struct letter *letter, const char *const *to, size_t to_count,
                            struct arena *arena, struct error *why)
{
    letter->to = arena_take_array(arena, LETTER_RECIPIENTS_MAX, sizeof *letter->to);
    if (!letter->to)
        return error_set(why, ERROR_TEMPORARY, "", "no memory for the recipients");
    for (size_t i = 0; i < to_count; i++)
        if (!add_recipient(letter, span_of(to[i]), arena, why))
            return false;
    if (to_count == 0 && (!add_recipients_of(letter, SPAN_LITERAL("To"), arena, why) ||
                          !add_recipients_of(letter, SPAN_LITERAL("Cc"), arena, why) ||
                          !add_recipients_of(letter, SPAN_LITERAL("Bcc"), arena, why)))
        return false;
    return letter->to_count > 0 ||
           error_set(why, ERROR_REJECTED, "", "it has no recipients: name them by --to");
}

bool letter_read(const char *path, const char *from, const char *const *to, size_t to_count,
                 struct arena *arena, struct letter *letter, struct error *why)
{
    struct letter read = {0};
    struct span text;

    if (!file_read(path, LETTER_MAX, arena, &text, why) || !with_crlf(&read, text, arena, why))
        return false;
    judge(&read, arena);
    read.subject = header_subject(read.bytes, arena);
    if (!read.subject.data)
        return error_set(why, ERROR_TEMPORARY, "", "no memory for the subject");
    if (!find_sender(&read, from, arena, why) || !find_recipients(&read, to, to_count, arena, why))
        return false;
    *letter = read;
    return true;
}
