/* Finds the end of DATA and takes the stuffed dots out, a run of text at a time. */
/* SPDX-License-Identifier: ISC */
#include "dots.h"

#include <string.h>

/* From within a line to behind its end, or to the end of the bytes. */
static const char *pass_line(struct dots *dots, const char *at, const char *end)
{
    const char *lf = memchr(at, '\n', (size_t)(end - at));

    if (!lf) {
        dots->state = end[-1] == '\r' ? DOTS_AFTER_CR : DOTS_INSIDE;
        return end;
    }
    /* A LF that comes first has no CR before it: that state is DOTS_AFTER_CR. */
    dots->state = lf > at && lf[-1] == '\r' ? DOTS_LINE_START : DOTS_INSIDE;
    return lf + 1;
}

static const char *pass_after_cr(struct dots *dots, const char *at)
{
    if (*at != '\n') {
        dots->state = DOTS_INSIDE;
        return at;
    }
    dots->state = DOTS_LINE_START;
    return at + 1;
}

/* What follows the dot at the start of a line. True when it was settled: *at is then behind it. */
static bool pass_dot(struct dots *dots, const char **at, const char *end)
{
    if (dots->state == DOTS_DOT && *at < end) {
        dots->state = **at == '\r' ? DOTS_DOT_CR : DOTS_INSIDE;
        *at += dots->state == DOTS_DOT_CR;
    }
    if (dots->state == DOTS_DOT_CR && *at < end && **at == '\n') {
        dots->state = DOTS_END;
        *at += 1;
    }
    return dots->state == DOTS_INSIDE;
}

bool dots_next(struct dots *dots, struct span *bytes, struct span *text)
{
    const char *at = bytes->data, *end = bytes->data + bytes->len, *start;

    if (bytes->len == 0 || dots->state == DOTS_END)
        return false;
    if ((dots->state == DOTS_DOT || dots->state == DOTS_DOT_CR) && !pass_dot(dots, &at, end)) {
        *bytes = span_make(at, (size_t)(end - at));
        if (dots->state != DOTS_DOT_CR || at == end)
            return false;
        dots->state = DOTS_AFTER_CR; /* the held-back CR was text */
        *text = SPAN_LITERAL("\r");
        return true;
    }
    start = at;
    while (at < end) {
        if (dots->state == DOTS_LINE_START && *at == '.') {
            struct span run = span_make(start, (size_t)(at - start));

            dots->state = DOTS_DOT;
            *bytes = span_make(at + 1, (size_t)(end - at - 1));
            if (run.len == 0)
                return dots_next(dots, bytes, text);
            *text = run;
            return true;
        }
        at = dots->state == DOTS_AFTER_CR ? pass_after_cr(dots, at) : pass_line(dots, at, end);
    }
    *bytes = span_make(end, 0);
    *text = span_make(start, (size_t)(end - start));
    return true;
}
