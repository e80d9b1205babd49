/* Only CRLF . CRLF ends a text, and the pieces in which it arrives play no part. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "dots.h"

static const struct dots_case {
    const char *name;
    struct span wire;
    struct span text; /* what was sent, dots unstuffed */
    size_t rest;      /* bytes behind the end; SIZE_MAX: no end came */
} cases[] = {
    {"a line and the end", SPAN_LITERAL("a\r\n.\r\n"), SPAN_LITERAL("a\r\n"), 0},
    {"an empty text", SPAN_LITERAL(".\r\n"), SPAN_LITERAL(""), 0},
    {"what follows is left alone", SPAN_LITERAL("a\r\n.\r\nQUIT\r\n"), SPAN_LITERAL("a\r\n"), 6},
    {"a stuffed dot is taken out", SPAN_LITERAL("..\r\n..a\r\n.\r\n"), SPAN_LITERAL(".\r\n.a\r\n"),
     0},
    {"a lone stuffed dot too", SPAN_LITERAL(".a\r\n.\r\n"), SPAN_LITERAL("a\r\n"), 0},
    {"a dot within a line stays", SPAN_LITERAL("a.\r\n.\r\n"), SPAN_LITERAL("a.\r\n"), 0},
    {"LF . LF is no end", SPAN_LITERAL("a\n.\nb\r\n.\r\n"), SPAN_LITERAL("a\n.\nb\r\n"), 0},
    {"LF . CRLF is no end", SPAN_LITERAL("a\n.\r\nb\r\n.\r\n"), SPAN_LITERAL("a\n.\r\nb\r\n"), 0},
    {"CR . CRLF is no end", SPAN_LITERAL("a\r.\r\nb\r\n.\r\n"), SPAN_LITERAL("a\r.\r\nb\r\n"), 0},
    {"CR . CR is no end", SPAN_LITERAL("a\r.\rb\r\n.\r\n"), SPAN_LITERAL("a\r.\rb\r\n"), 0},
    {"LF CR . CRLF is no end", SPAN_LITERAL("a\n\r.\r\nb\r\n.\r\n"),
     SPAN_LITERAL("a\n\r.\r\nb\r\n"), 0},
    {"CRLF . LF is no end", SPAN_LITERAL("a\r\n.\nb\r\n.\r\n"), SPAN_LITERAL("a\r\n\nb\r\n"), 0},
    {"CRLF . CR is no end", SPAN_LITERAL("a\r\n.\rb\r\n.\r\n"), SPAN_LITERAL("a\r\n\rb\r\n"), 0},
    {"CRLF . CR CRLF is no end", SPAN_LITERAL("a\r\n.\r\r\nb\r\n.\r\n"),
     SPAN_LITERAL("a\r\n\r\r\nb\r\n"), 0},
    {"a NUL after the dot is no end", SPAN_LITERAL("a\r\n.\0\r\nb\r\n.\r\n"),
     SPAN_LITERAL("a\r\n\0\r\nb\r\n"), 0},
    {"a NUL within the last CRLF is no end", SPAN_LITERAL("a\r\n.\r\0\nb\r\n.\r\n"),
     SPAN_LITERAL("a\r\n\r\0\nb\r\n"), 0},
    {"a NUL before it is nothing to it", SPAN_LITERAL("a\0\r\n.\r\n"), SPAN_LITERAL("a\0\r\n"), 0},
    {"a text that breaks off has no end", SPAN_LITERAL("a\r\n"), SPAN_LITERAL("a\r\n"), SIZE_MAX},
    {"a dot that breaks off is no text yet", SPAN_LITERAL("a\r\n."), SPAN_LITERAL("a\r\n"),
     SIZE_MAX},
    {"nor is its CR", SPAN_LITERAL("a\r\n.\r"), SPAN_LITERAL("a\r\n"), SIZE_MAX},
    {"many empty lines", SPAN_LITERAL("\r\n\r\n\r\n.\r\n"), SPAN_LITERAL("\r\n\r\n\r\n"), 0},
    {"many dots in a row", SPAN_LITERAL(".....\r\n.\r\n"), SPAN_LITERAL("....\r\n"), 0},
};

static void feed(struct dots *dots, struct span piece, char *text, size_t *len, size_t *rest)
{
    struct span run;

    if (dots_ended(dots)) {
        *rest += piece.len;
        return;
    }
    while (dots_next(dots, &piece, &run)) {
        memcpy(text + *len, run.data, run.len);
        *len += run.len;
    }
    assert_true(dots_ended(dots) || piece.len == 0);
    *rest += piece.len;
}

static void text_is_found(void **state)
{
    const struct dots_case *c = *state;

    /* In two pieces, cut at every byte; and byte by byte. */
    for (size_t cut = 0; cut <= c->wire.len + 1; cut++) {
        struct dots dots = {0};
        char text[256];
        size_t len = 0, rest = 0;

        if (cut <= c->wire.len) {
            feed(&dots, span_until(c->wire, cut), text, &len, &rest);
            feed(&dots, span_from(c->wire, cut), text, &len, &rest);
        } else {
            for (size_t i = 0; i < c->wire.len; i++)
                feed(&dots, span_make(c->wire.data + i, 1), text, &len, &rest);
        }
        assert_int_equal(dots_ended(&dots), c->rest != SIZE_MAX);
        assert_int_equal(rest, c->rest == SIZE_MAX ? 0 : c->rest);
        assert_true(span_equal(span_make(text, len), c->text));
    }
}

int main(void)
{
    return run_table("texts", cases, text_is_found);
}
