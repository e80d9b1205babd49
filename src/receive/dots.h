/* The text of DATA in pieces of any size: dot-stuffing undone, and its one true end found. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/span.h"

#include <stdbool.h>

/* Only CRLF ends a line here and only CRLF "." CRLF ends the text (RFC 5321 section 4.1.1.4); a
 * lone CR or LF is a byte like any other, which content_feed() then finds. Start it zeroed: the
 * text begins as if after a CRLF. */
struct dots {
    enum {
        DOTS_LINE_START,
        DOTS_DOT,    /* a dot at the start of a line was seen and is not text */
        DOTS_DOT_CR, /* and a CR behind it, which may yet turn out to be text */
        DOTS_INSIDE, /* a line */
        DOTS_AFTER_CR,
        DOTS_END,
    } state;
};

/* Takes from the front of *bytes the next run of text into *text (a slice, or a lone CR of ours).
 * False when *bytes has no more text: it is then empty, or begins behind the end, which
 * dots_ended() tells. */
bool dots_next(struct dots *dots, struct span *bytes, struct span *text);
static inline bool dots_ended(const struct dots *dots)
{
    return dots->state == DOTS_END;
}
