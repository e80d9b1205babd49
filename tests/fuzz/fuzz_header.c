/* fuzz-deps: base message */
/* Fields lie side by side in the message, and edits change what their list says and no other byte.
 */
/* SPDX-License-Identifier: ISC */
#include "base/buffer.h"
#include "base/memory.h"
#include "message/edits.h"
#include "message/header.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct span line_end = SPAN_LITERAL("\r\n");

static bool has_bare(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\n' && (i == 0 || text.data[i - 1] != '\r'))
            return true;
        if (text.data[i] == '\r' && (i + 1 == text.len || text.data[i + 1] != '\n'))
            return true;
    }
    return false;
}

/* What the edits should leave of the original, found in the dullest way. */
static void expect_rest(struct span message, bool is_submission, struct buffer *out)
{
    struct header_field field;
    size_t position = 0, before = 0;

    while (header_next(message, &position, &field)) {
        assert(field.whole.data == message.data + before && field.whole.len == position - before);
        assert(field.name.len > 0 && field.name.data == field.whole.data);
        assert(field.value.data > field.name.data + field.name.len - 1);
        assert(field.value.data + field.value.len <= message.data + position);
        before = position;
        if (is_submission && (span_equal_caseless(field.name, SPAN_LITERAL("bcc")) ||
                              span_equal_caseless(field.name, SPAN_LITERAL("resent-bcc"))))
            continue;
        buffer_append(out, field.whole);
    }
    assert(position == before);
    if (message.len == 0 ||
        (position < message.len && !span_starts_with(span_from(message, position), line_end)))
        buffer_append(out, line_end);
    buffer_append(out, span_from(message, position));
}

static void check_edit(struct span message, bool is_submission, struct arena *arena)
{
    static const struct received_facts facts = {.helo = SPAN_LITERAL("client.example"),
                                                .client_ip = SPAN_LITERAL("192.0.2.1"),
                                                .host_name = SPAN_LITERAL("mx.clinic.example"),
                                                .protocol = SPAN_LITERAL("ESMTP")};
    scoped_buffer expected, edited;
    struct header_field field;
    struct pieces pieces;
    struct error why;

    buffer_init(&expected, MIB(8));
    buffer_init(&edited, MIB(8));
    expect_rest(message, is_submission, &expected);
    assert(message_edit(message, is_submission, &facts, arena, &pieces, &why));
    for (size_t i = 0; i < pieces.count; i++)
        buffer_append(&edited, pieces.spans[i]);
    assert(edited.len == pieces.size);
    assert(
        span_equal(span_from(buffer_span(&edited), pieces.spans[0].len), buffer_span(&expected)));
    if (!has_bare(message))
        assert(!has_bare(buffer_span(&edited)));
    assert(header_find(buffer_span(&edited), SPAN_LITERAL("Received"), 0, &field));
    if (is_submission) {
        assert(!header_find(buffer_span(&edited), SPAN_LITERAL("Bcc"), 0, &field));
        assert(header_find(buffer_span(&edited), SPAN_LITERAL("Date"), 0, &field));
        assert(header_find(buffer_span(&edited), SPAN_LITERAL("Message-ID"), 0, &field));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span message = span_make(data, size);
    scoped(arena) arena = arena_new("fuzz", MIB(8));

    check_edit(message, false, arena);
    check_edit(message, true, arena);
    return 0;
}
