/* fuzz-deps: base message */
/* Every header text is valid UTF-8 of bounded size, and what we write reads back the same. */
/* SPDX-License-Identifier: ISC */
#include "base/buffer.h"
#include "base/memory.h"
#include "message/header.h"
#include "message/limits.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_utf8(struct span text)
{
    for (size_t i = 0; i < text.len;) {
        unsigned char first = (unsigned char)text.data[i++];
        unsigned more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;

        if ((first >= 0x80 && first < 0xC2) || first > 0xF4 || more > text.len - i)
            return false;
        for (; more > 0; more--)
            if (((unsigned char)text.data[i++] & 0xC0) != 0x80)
                return false;
    }
    return true;
}

static bool may_be_in_a_field(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.data[i] >= 0 && text.data[i] < ' ') || text.data[i] == 0x7F)
            return false;
    return true;
}

/* Words that already look encoded are not written as such: they would read back decoded. */
static void assert_written_and_read(struct span text, struct arena *arena)
{
    scoped_buffer out;
    struct header_field field;
    size_t position = 0;

    buffer_init(&out, MIB(1));
    header_write(&out, SPAN_LITERAL("Subject"), text);
    if (out.failed) { /* a word of more than a line, or controls */
        assert(!may_be_in_a_field(text) || text.len > 300);
        return;
    }
    assert(header_next(buffer_span(&out), &position, &field) && position == out.len);
    if (!memmem(text.data, text.len, "=?", 2))
        assert(span_equal(header_text(field.value, arena), span_trim(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span value = span_make(data, size), text;
    scoped(arena) arena = arena_new("fuzz", MIB(1));

    text = header_text(value, arena);
    assert(text.data && text.len <= HEADER_TEXT_MAX && is_utf8(text));
    assert(text_has(text, SPAN_LITERAL("")) && text_has(text, text));
    if (size < 4096) /* what is longer may be cut */
        assert_written_and_read(text, arena);
    return 0;
}
