/* Complaints: told with their place, the line they speak of, and a caret below it. */
/* SPDX-License-Identifier: ISC */
#include "complaint.h"

#include <stdarg.h>

enum {
    COMPLAINT_TEXT_SIZE = 400,
    /* A longer line is not shown: its caret would stand somewhere off the screen. */
    SOURCE_LINE_MAX = 300,
};

void book_init(struct book *book, struct span source, struct arena *arena,
               struct policy_complaints *complaints)
{
    *complaints = (struct policy_complaints){0};
    complaints->list =
        arena_take_array(arena, POLICY_ERRORS_MAX + POLICY_WARNINGS_MAX, sizeof *complaints->list);
    *book = (struct book){.source = source, .arena = arena, .complaints = complaints};
}

static struct span line_around(struct span source, size_t offset)
{
    if (offset > source.len)
        return (struct span){"", 0};
    size_t begin = offset;
    while (begin > 0 && source.data[begin - 1] != '\n')
        begin--;
    struct span line = span_from(source, begin);
    line.len = span_index(line, '\n');
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return line.len > SOURCE_LINE_MAX ? (struct span){"", 0} : line;
}

static void tell(struct book *book, enum policy_severity severity, struct place place,
                 struct span text)
{
    struct policy_complaints *out = book->complaints;
    const size_t warning_count = out->count - out->error_count;

    if (!out->list || (severity == POLICY_ERROR ? out->error_count >= POLICY_ERRORS_MAX
                                                : warning_count >= POLICY_WARNINGS_MAX))
        return;
    text = arena_copy(book->arena, text);
    struct span line = arena_copy(book->arena, line_around(book->source, place.offset));
    if (!text.data || !line.data)
        return;
    out->list[out->count++] = (struct policy_complaint){
        .severity = severity,
        .line = place.line,
        .column = place.column,
        .text = text,
        .source_line = line,
    };
    out->error_count += severity == POLICY_ERROR;
}

bool complain(struct book *book, enum policy_severity severity, struct place place,
              const char *format, ...)
{
    char text[COMPLAINT_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len < 0)
        text[0] = '\0';
    if (book->complaints)
        tell(book, severity, place, span_of(text));
    else if (!book->failed && severity == POLICY_ERROR)
        error_set(book->why, ERROR_INTERNAL, "4.3.0", "column %u: %s", place.column, text);
    book->failed |= severity == POLICY_ERROR;
    return false;
}

bool book_is_full(const struct book *book)
{
    return book->complaints && book->complaints->error_count >= POLICY_ERRORS_MAX;
}

void book_sort(struct book *book)
{
    struct policy_complaint *list = book->complaints->list;

    for (size_t i = 1; i < book->complaints->count; i++) {
        struct policy_complaint moved = list[i];
        size_t at = i;
        for (; at > 0; at--) {
            const struct policy_complaint *before = &list[at - 1];
            if (before->line < moved.line ||
                (before->line == moved.line && before->column <= moved.column))
                break;
            list[at] = *before;
        }
        list[at] = moved;
    }
}

/* Blanks up to the column, tabs kept, so that the caret stands below its character. */
static void print_caret(const struct policy_complaint *complaint, struct buffer *out)
{
    const struct span line = complaint->source_line;
    unsigned column = 1;

    for (size_t i = 0; i < line.len && column < complaint->column; i++) {
        if (i + 1 < line.len && ((unsigned char)line.data[i + 1] & 0xC0) == 0x80)
            continue; /* the bytes of one character */
        buffer_append_byte(out, line.data[i] == '\t' ? '\t' : ' ');
        column++;
    }
    buffer_append(out, SPAN_LITERAL("^\n"));
}

void policy_complaints_print(const struct policy_complaints *complaints, struct span file,
                             struct buffer *out)
{
    for (size_t i = 0; i < complaints->count; i++) {
        const struct policy_complaint *complaint = &complaints->list[i];

        buffer_append(out, file);
        buffer_append_format(out, ":%u:%u: %s: ", complaint->line, complaint->column,
                             complaint->severity == POLICY_ERROR ? "error" : "warning");
        buffer_append(out, complaint->text);
        buffer_append_byte(out, '\n');
        if (complaint->source_line.len == 0)
            continue;
        buffer_append(out, complaint->source_line);
        buffer_append_byte(out, '\n');
        print_caret(complaint, out);
    }
}
