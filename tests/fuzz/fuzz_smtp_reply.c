/* fuzz-deps: base net message keys policy store audit deliver */
/* A reply read whole and a reply read in two parts are the same reply, and no byte is made up. */
/* SPDX-License-Identifier: ISC */
#include "smtp_reply.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span wire = {(const char *)data, size}, text;
    static struct smtp_reply whole, part;
    size_t used, part_used, position = 0, lines = 0;
    enum reply_progress progress = smtp_reply_parse(wire, &whole, &used);

    assert(used <= size && whole.len <= sizeof whole.text && whole.len <= used);
    if (progress != REPLY_WHOLE)
        return 0;
    assert(whole.code >= 200 && whole.code <= 599 && strlen(whole.status) < sizeof whole.status);
    while (smtp_reply_next(&whole, &position, &text))
        lines++;
    assert(lines == whole.lines);
    /* What stands behind the reply changes nothing of it; what is cut off leaves it unfinished. */
    assert(smtp_reply_parse(span_until(wire, used), &part, &part_used) == REPLY_WHOLE);
    assert(part_used == used && part.code == whole.code && part.len == whole.len &&
           memcmp(part.text, whole.text, whole.len) == 0 && strcmp(part.status, whole.status) == 0);
    for (size_t cut = 0; cut < used && cut < 256; cut++)
        assert(smtp_reply_parse(span_until(wire, cut), &part, &part_used) == REPLY_MORE);
    return 0;
}
