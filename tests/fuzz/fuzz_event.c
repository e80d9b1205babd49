/* fuzz-deps: base keys store audit */
/* An event's detail that parses is printed back to fields that are the same, and its journey can be
 * told without a control character. */
/* SPDX-License-Identifier: ISC */
#include "audit/event.h"
#include "audit/trace.h"
#include "base/memory.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void tell(struct span detail, uint16_t kind)
{
    const struct store_message message = {.id = {{1}}};
    const struct store_journal_row row = {.leaf = {.kind = kind, .detail = detail}};
    scoped_buffer story;
    struct error why;

    buffer_init(&story, MIB(1));
    if (!trace_write(&message, NULL, 0, &row, 1, NULL, 0, &story, &why))
        return;
    for (size_t i = 0; i < story.len; i++)
        assert((unsigned char)story.data[i] >= ' ' || story.data[i] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(arena) arena = arena_new("fuzz", MIB(4));
    struct event_field *fields, *again;
    struct store_leaf leaf;
    size_t count, again_count;
    bool has_unknown = false;
    struct error why;

    if (size < 2 || size > STORE_LEAF_DETAIL_MAX)
        return 0;
    tell(span_make(data + 1, size - 1), data[0]);
    if (!event_parse(span_make(data + 1, size - 1), arena, &fields, &count, &why))
        return 0;
    for (size_t i = 0; i < count; i++)
        has_unknown = has_unknown || !event_field_name(fields[i].id);
    if (has_unknown) /* kept, but not ours to write */
        return 0;
    assert(event_leaf(EVENT_DELIVERY_HELD, (struct id){{0}}, 1, SPAN_LITERAL(""), 0, fields, count,
                      arena, &leaf));
    assert(event_parse(leaf.detail, arena, &again, &again_count, &why));
    assert(again_count == count);
    for (size_t i = 0; i < count; i++)
        assert(again[i].id == fields[i].id && again[i].number == fields[i].number &&
               span_equal(again[i].text, fields[i].text));
    return 0;
}
