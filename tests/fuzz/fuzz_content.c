/* fuzz-deps: base message */
/* What is learnt of a message does not depend on the pieces in which it came, and is the truth. */
/* SPDX-License-Identifier: ISC */
#include "message/content.h"
#include "message/header.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says how the rest is cut: 0, all at once; else pieces of so many bytes. */
static bool learn(struct span message, size_t piece, struct content *content, struct error *why)
{
    content_begin(content, SPAN_LITERAL("mx.example"));
    while (piece > 0 && message.len > piece) {
        content_feed(content, span_until(message, piece));
        message = span_from(message, piece);
    }
    content_feed(content, message);
    return content_end(content, why);
}

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

static size_t header_end(struct span message, unsigned *hops)
{
    struct header_field field;
    size_t end = 0;

    *hops = 0;
    while (header_next(message, &end, &field))
        *hops += span_equal_caseless(field.name, SPAN_LITERAL("Received"));
    return end + (span_starts_with(span_from(message, end), SPAN_LITERAL("\r\n")) ? 2 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct content whole, cut;
    struct error why_whole = {0}, why_cut = {0};
    struct span message;
    unsigned hops;
    bool is_taken;

    if (size == 0)
        return 0;
    message = span_make(data + 1, size - 1);
    is_taken = learn(message, 0, &whole, &why_whole);
    assert(learn(message, data[0], &cut, &why_cut) == is_taken);
    assert(whole.size == message.len && cut.size == message.len);
    assert(whole.has_8bit == cut.has_8bit && whole.has_nul == cut.has_nul);
    if (!is_taken) {
        assert(why_whole.status == why_cut.status);
        assert(span_equal(span_of(why_whole.text), span_of(why_cut.text)));
    }
    if (whole.is_broken)
        return 0;
    assert(!has_bare(message));
    assert(whole.header_size == header_end(message, &hops) && whole.hops == hops);
    assert(whole.header_size == cut.header_size && whole.longest_line == cut.longest_line);
    assert(whole.hops == cut.hops && whole.own_hops == cut.own_hops);
    assert(whole.own_hops <= whole.hops);
    return 0;
}
