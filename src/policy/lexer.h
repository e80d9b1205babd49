/* The words of a policy: where each stands and what it is. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "model.h"

enum token_kind {
    TOKEN_WORD,   /* a letter, then letters, digits, hyphens, underscores */
    TOKEN_STRING, /* .text is the content, escapes undone */
    TOKEN_NUMBER,
    TOKEN_DATE, /* digits with hyphens or colons */
    TOKEN_MARK, /* one of { } ( ) , */
    TOKEN_END,
    TOKEN_BAD, /* .fault says why; the lexer goes on behind it */
};
struct token {
    enum token_kind kind;
    struct span text;
    struct place place;
    bool starts_line;
    const char *fault;
};

struct lexer {
    struct span source; /* valid UTF-8, without NUL */
    size_t at;
    unsigned line, column;
    unsigned line_of_last; /* line on which the token before ended */
};
/* After the end it gives TOKEN_END again. `arena` holds strings that had escapes. */
void lexer_next(struct lexer *lexer, struct arena *arena, struct token *token);
