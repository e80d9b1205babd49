/* Cuts a policy into its words. Nothing is looked up here: keywords are words like others. */
/* SPDX-License-Identifier: ISC */
#include "lexer.h"

static bool is_word_byte(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || c == '-' || c == '_';
}
static bool is_date_byte(char c)
{
    return ascii_is_digit(c) || c == '-' || c == ':';
}
static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_at_end(const struct lexer *lexer)
{
    return lexer->at >= lexer->source.len;
}
static char peek(const struct lexer *lexer)
{
    return lexer->source.data[lexer->at];
}

/* Over one byte; a character counts as one column, however many bytes it has. */
static void step(struct lexer *lexer)
{
    char c = peek(lexer);
    lexer->at++;
    if (c == '\n') {
        lexer->line++;
        lexer->column = 1;
    } else if (is_at_end(lexer) || ((unsigned char)peek(lexer) & 0xC0) != 0x80) {
        lexer->column++;
    }
}

static struct place here(const struct lexer *lexer)
{
    return (struct place){lexer->line, lexer->column, lexer->at};
}

static void skip_blanks(struct lexer *lexer)
{
    while (!is_at_end(lexer)) {
        if (peek(lexer) == '#') {
            while (!is_at_end(lexer) && peek(lexer) != '\n')
                step(lexer);
        } else if (is_blank(peek(lexer))) {
            step(lexer);
        } else {
            return;
        }
    }
}

static void take_while(struct lexer *lexer, bool (*is_part)(char), enum token_kind kind,
                       struct token *token)
{
    const size_t begin = lexer->at;

    while (!is_at_end(lexer) && is_part(peek(lexer)))
        step(lexer);
    token->kind = kind;
    token->text = span_make(lexer->source.data + begin, lexer->at - begin);
}

/* A fault inside a string keeps the first place; the string is still read to its end, so that what
 * follows it makes sense. */
static void spoil(struct token *token, struct place place, const char *fault)
{
    if (token->kind == TOKEN_BAD)
        return;
    token->kind = TOKEN_BAD;
    token->place = place;
    token->fault = fault;
}

/* The content with `\"` and `\\` undone. */
static void unescape(struct token *token, struct span raw, struct arena *arena)
{
    char *text = arena_take_array(arena, raw.len, 1);
    size_t len = 0;

    if (!text) {
        spoil(token, token->place, "there is no memory left for this string");
        return;
    }
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.data[i] == '\\')
            i++;
        text[len++] = raw.data[i];
    }
    token->text = span_make(text, len);
}

static void take_string(struct lexer *lexer, struct arena *arena, struct token *token)
{
    const struct place opening = token->place;
    bool has_escapes = false;

    token->kind = TOKEN_STRING;
    step(lexer);
    const size_t begin = lexer->at;
    while (!is_at_end(lexer) && peek(lexer) != '"' && peek(lexer) != '\n') {
        const struct place place = here(lexer);
        const char c = peek(lexer);
        step(lexer);
        if (c == '\\') {
            has_escapes = true;
            if (!is_at_end(lexer) && (peek(lexer) == '"' || peek(lexer) == '\\'))
                step(lexer);
            else
                spoil(token, place, "in a string only \\\" and \\\\ may begin with a backslash");
        } else if ((unsigned char)c < 0x20 || c == 0x7F) {
            spoil(token, place, "a string holds no tabs and no other control characters");
        }
    }
    const struct span raw = span_make(lexer->source.data + begin, lexer->at - begin);
    if (is_at_end(lexer) || peek(lexer) != '"') {
        token->kind = TOKEN_STRING; /* this is the fault that matters */
        spoil(token, opening, "the string that begins here has no closing \" on its line");
        return;
    }
    step(lexer);
    if (raw.len > POLICY_STRING_MAX)
        spoil(token, opening, "the string is longer than 1024 bytes");
    token->text = raw;
    if (has_escapes && token->kind == TOKEN_STRING)
        unescape(token, raw, arena);
}

void lexer_next(struct lexer *lexer, struct arena *arena, struct token *token)
{
    skip_blanks(lexer);
    *token = (struct token){.kind = TOKEN_END, .place = here(lexer)};
    token->starts_line = lexer->line != lexer->line_of_last;
    if (is_at_end(lexer))
        return;
    const char c = peek(lexer);
    if (ascii_is_letter(c)) {
        take_while(lexer, is_word_byte, TOKEN_WORD, token);
    } else if (ascii_is_digit(c)) {
        take_while(lexer, is_date_byte, TOKEN_DATE, token);
        if (span_index(token->text, '-') == token->text.len &&
            span_index(token->text, ':') == token->text.len)
            token->kind = TOKEN_NUMBER;
    } else if (c == '"') {
        take_string(lexer, arena, token);
    } else {
        token->kind = TOKEN_MARK;
        token->text = span_make(lexer->source.data + lexer->at, 1);
        step(lexer);
        if (!memchr("{}(),", c, 5))
            spoil(token, token->place, "this character has no meaning outside a string");
        while (!is_at_end(lexer) && ((unsigned char)peek(lexer) & 0xC0) == 0x80)
            step(lexer);
    }
    lexer->line_of_last = lexer->line;
}
_Static_assert(POLICY_STRING_MAX == 1024, "a fault's text tells this number");
