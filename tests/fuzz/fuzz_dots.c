/* fuzz-deps: base net message keys policy store audit receive */
/* The text of DATA is the same however it was cut, and ends at the first CRLF . CRLF alone. */
/* SPDX-License-Identifier: ISC */
#include "base/buffer.h"
#include "base/memory.h"
#include "dots.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct dots *dots, struct span piece, struct buffer *text, size_t *rest)
{
    struct span run;

    while (dots_next(dots, &piece, &run))
        buffer_append(text, run);
    assert(dots_ended(dots) || piece.len == 0);
    *rest += piece.len;
}

/* As one would write it with all of the text in hand. False: it has no end. */
static bool read_plainly(struct span wire, struct buffer *text, size_t *rest)
{
    bool at_start = true;

    for (size_t i = 0; i < wire.len; i++) {
        if (at_start && span_starts_with(span_from(wire, i), SPAN_LITERAL(".\r\n"))) {
            *rest = wire.len - i - 3;
            return true;
        }
        if (!at_start || wire.data[i] != '.')
            buffer_append_byte(text, wire.data[i]);
        at_start = i > 0 && wire.data[i] == '\n' && wire.data[i - 1] == '\r';
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t cut = size > 0 ? data[0] : 0, rest = 0, plain_rest = 0;
    struct span wire = span_from(span_make(data, size), 1);
    struct dots dots = {0};
    scoped_buffer text, plain;
    bool has_end;

    buffer_init(&text, MIB(64));
    buffer_init(&plain, MIB(64));
    feed(&dots, span_until(wire, cut), &text, &rest);
    feed(&dots, span_from(wire, cut), &text, &rest);
    has_end = read_plainly(wire, &plain, &plain_rest);
    assert(has_end == dots_ended(&dots));
    if (has_end)
        assert(rest == plain_rest);
    else if (plain.len > text.len) /* a CR behind a dot, which may yet be the end's */
        assert(plain.len == text.len + 1 && plain.data[text.len] == '\r');
    assert(text.len <= plain.len &&
           memcmp(buffer_span(&text).data, buffer_span(&plain).data, text.len) == 0);
    assert(!has_end || text.len == plain.len);
    return 0;
}
