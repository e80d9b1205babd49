/* fuzz-deps: base */
/* Whatever is read as a run of numbers and spans writes back as the very bytes it was read from. */
/* SPDX-License-Identifier: ISC */
#include "base/memory.h"
#include "base/wire.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SPAN_LIMIT = 1000 };

/* Reads one field of the kind that `kind` chooses, and writes it again. */
static void copy_field(struct wire_reader *in, unsigned kind, struct buffer *out)
{
    char bytes[7];

    switch (kind % 6) {
    case 0:
        wire_put_u8(out, wire_get_u8(in));
        break;
    case 1:
        wire_put_u16(out, wire_get_u16(in));
        break;
    case 2:
        wire_put_u32(out, wire_get_u32(in));
        break;
    case 3:
        wire_put_u64(out, wire_get_u64(in));
        break;
    case 4:
        wire_get_bytes(in, bytes, sizeof bytes);
        wire_put_bytes(out, bytes, sizeof bytes);
        break;
    default:
        wire_put_span(out, wire_get_span(in, SPAN_LIMIT));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span all = span_make(data, size), kinds = span_until(all, 8);
    struct wire_reader in = {.rest = span_from(all, 8)};
    const struct span input = in.rest;
    scoped_buffer out;
    size_t read = 0;

    buffer_init(&out, MIB(1));
    for (size_t i = 0; i < kinds.len; i++) {
        bool had_failed = in.failed;
        size_t len = out.len;

        copy_field(&in, (unsigned char)kinds.data[i], &out);
        assert(in.failed || !had_failed); /* a failure sticks */
        if (in.failed)
            buffer_truncate(&out, len); /* zeros came, which were not in the input */
        else
            read = input.len - in.rest.len;
    }
    assert(span_equal(buffer_span(&out), span_until(input, read)));
    assert(wire_is_done(&in) == (!in.failed && read == input.len));
    return 0;
}
