/* The parser's tools: what every statement is read with. */
/* SPDX-License-Identifier: ISC */
#include "parser.h"

#include <stdarg.h>

enum { WORD_SHOWN_MAX = 40 };

void *array_grow(struct arena *arena, void *array, size_t count, size_t size)
{
    /* Full at each power of two. */
    if (count > 0 && (count & (count - 1)) != 0)
        return array;
    void *larger = arena_take_array(arena, count > 0 ? 2 * count : 1, size);
    if (larger && count > 0)
        memcpy(larger, array, count * size);
    return larger;
}

void advance(struct parser *p)
{
    if (is_mark(p, '{'))
        p->braces++;
    else if (is_mark(p, '}') && p->braces > 0)
        p->braces--;
    lexer_next(&p->lexer, p->arena, &p->token);
}

/* ---- complaints ---- */

bool fail(struct parser *p, const char *format, ...)
{
    char text[320];
    va_list arguments;

    if (p->token.kind == TOKEN_BAD)
        return complain(p->book, POLICY_ERROR, p->token.place, "%s", p->token.fault);
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return complain(p->book, POLICY_ERROR, p->token.place, "%s", text);
}

bool fail_memory(struct parser *p)
{
    return complain(p->book, POLICY_ERROR, p->token.place,
                    "there is no memory left for this policy");
}

/* The token in hand, in words; a string's content is nobody's business in a log. */
static const char *found(const struct parser *p, char out[static 64])
{
    const struct span text = span_until(p->token.text, WORD_SHOWN_MAX);

    switch (p->token.kind) {
    case TOKEN_STRING:
        return "a string";
    case TOKEN_END:
        return "the end of the file";
    case TOKEN_BAD:
        return "something else";
    case TOKEN_WORD:
    case TOKEN_NUMBER:
    case TOKEN_DATE:
    case TOKEN_MARK:
        break;
    }
    snprintf(out, 64, "`%.*s`", SPAN_ARGS(text));
    return out;
}

static bool fail_later(struct parser *p)
{
    return fail(p, "`%.*s` is a word of the language that this build does not carry out yet",
                SPAN_ARGS(p->token.text));
}

bool fail_expected(struct parser *p, const char *what)
{
    char shown[64];

    if (p->token.kind == TOKEN_WORD && word_is_later(p->token.text))
        return fail_later(p);
    return fail(p, "expected %s, found %s", what, found(p, shown));
}

/* ---- tokens ---- */

bool is_word(const struct parser *p, const char *word)
{
    return p->token.kind == TOKEN_WORD && span_equal(p->token.text, span_of(word));
}

bool is_mark(const struct parser *p, char mark)
{
    return p->token.kind == TOKEN_MARK && p->token.text.data[0] == mark;
}

bool take_word(struct parser *p, const char *word)
{
    if (!is_word(p, word))
        return false;
    advance(p);
    return true;
}

bool take_mark(struct parser *p, char mark)
{
    if (!is_mark(p, mark))
        return false;
    advance(p);
    return true;
}

bool expect_word(struct parser *p, const char *word)
{
    char what[48], shown[64];
    unsigned best = 3;

    if (take_word(p, word))
        return true;
    snprintf(what, sizeof what, "`%s`", word);
    if (p->token.kind == TOKEN_WORD && word_is_nearer(p->token.text, span_of(word), &best))
        return fail(p, "expected %s, found %s; did you mean `%s`?", what, found(p, shown), word);
    return fail_expected(p, what);
}

bool expect_mark(struct parser *p, char mark, const char *what)
{
    return take_mark(p, mark) || fail_expected(p, what);
}

bool expect_string(struct parser *p, const char *what, struct span *text)
{
    char expected[96];

    if (p->token.kind != TOKEN_STRING) {
        snprintf(expected, sizeof expected, "%s in quotes", what);
        return fail_expected(p, expected);
    }
    if (p->token.text.len == 0)
        return fail(p, "expected %s, found an empty string", what);
    *text = p->token.text;
    advance(p);
    return true;
}

bool expect_number(struct parser *p, const char *what, unsigned long long max,
                   unsigned long long *number)
{
    if (p->token.kind != TOKEN_NUMBER)
        return fail_expected(p, what);
    if (!span_number(p->token.text, max, number))
        return fail(p, "expected %s of at most %llu", what, max);
    advance(p);
    return true;
}

bool expect_name(struct parser *p, const char *what, struct span *name)
{
    const struct span word = p->token.text;

    if (p->token.kind != TOKEN_WORD)
        return fail_expected(p, what);
    if (word_is_keyword(word))
        return fail(p, "`%.*s` is a keyword; choose another name", SPAN_ARGS(word));
    for (size_t i = 0; i < word.len; i++)
        if (ascii_is_upper(word.data[i]) || word.data[i] == '_')
            return fail(p, "a name has lower-case letters, digits and hyphens only");
    if (word.len > POLICY_NAME_MAX)
        return fail(p, "a name has at most %d letters", POLICY_NAME_MAX);
    *name = word;
    advance(p);
    return true;
}

bool choose(struct parser *p, const struct choice *rows, size_t count, const char *what, int *value)
{
    const char *nearest = NULL;
    unsigned best = 3;
    char shown[64];

    if (p->token.kind != TOKEN_WORD)
        return fail_expected(p, what);
    for (size_t i = 0; i < count; i++) {
        if (span_equal(p->token.text, span_of(rows[i].word))) {
            if (rows[i].is_later)
                return fail_later(p);
            *value = rows[i].value;
            advance(p);
            return true;
        }
        if (word_is_nearer(p->token.text, span_of(rows[i].word), &best))
            nearest = rows[i].word;
    }
    if (!nearest || word_is_later(p->token.text))
        return fail_expected(p, what);
    return fail(p, "expected %s, found %s; did you mean `%s`?", what, found(p, shown), nearest);
}

/* ---- statements ---- */

static const struct statement *statement_here(const struct parser *p)
{
    if (p->token.kind != TOKEN_WORD)
        return NULL;
    for (size_t i = 0; i < statement_count; i++)
        if (span_equal(p->token.text, span_of(statements[i].word)))
            return &statements[i];
    return NULL;
}

/* After an error: on to what is surely the start of a statement, or to the section's end. Within
 * braces that the broken statement opened, `hold` may be a rung, but `send` is none. */
static void recover(struct parser *p, unsigned braces)
{
    while (p->token.kind != TOKEN_END) {
        const struct statement *statement = p->token.starts_line ? statement_here(p) : NULL;

        if (statement && (p->braces <= braces || !(statement->flags & STATEMENT_BEGINS_RUNG))) {
            p->braces = braces;
            return;
        }
        if (is_mark(p, '}') && p->braces <= braces)
            return;
        advance(p);
    }
}

/* A word that begins no statement is often a misspelt one that should have gone on with the last.
 */
static bool fail_no_statement(struct parser *p)
{
    static const char *const goes_on[] = {"and", "by", "for",      "named", "on",
                                          "or",  "to", "trusting", "until", "when"};
    const char *nearest = NULL;
    unsigned best = 3;
    char shown[64];

    if (is_word(p, "when"))
        return fail(p, "`when` stands directly behind a rule's name");
    if (p->token.kind != TOKEN_WORD || word_is_keyword(p->token.text))
        return fail_expected(p, "the first word of a statement");
    for (size_t i = 0; i < statement_count; i++)
        if (word_is_nearer(p->token.text, span_of(statements[i].word), &best))
            nearest = statements[i].word;
    for (size_t i = 0; i < sizeof goes_on / sizeof goes_on[0]; i++)
        if (word_is_nearer(p->token.text, span_of(goes_on[i]), &best))
            nearest = goes_on[i];
    if (!nearest)
        return fail_expected(p, "the first word of a statement");
    return fail(p, "expected the first word of a statement, found %s; did you mean `%s`?",
                found(p, shown), nearest);
}

static bool parse_statement(struct parser *p)
{
    const struct statement *statement = statement_here(p);

    if (!statement)
        return fail_no_statement(p);
    if (statement->is_later)
        return fail_later(p);
    if (p->section->number != 0 && !(statement->flags & STATEMENT_IN_ORGANISATION))
        return fail(p,
                    "`%s` speaks of the whole gateway and cannot stand inside an organisation; "
                    "is a `}` missing before it?",
                    statement->word);
    p->statement = p->token.place;
    p->depth = 0;
    return statement->parse(p);
}

void parse_statements(struct parser *p)
{
    const bool is_inside = p->section->number != 0;
    const unsigned braces = p->braces;

    while (p->token.kind != TOKEN_END && !book_is_full(p->book)) {
        if (is_mark(p, '}')) {
            if (is_inside)
                return;
            fail(p, "this `}` closes nothing");
            advance(p);
            continue;
        }
        if (is_inside && is_word(p, "organisation"))
            return; /* its `}` is missing, as parse_organisation() will say */
        const size_t at = p->lexer.at;
        if (parse_statement(p))
            continue;
        if (p->lexer.at == at)
            advance(p); /* a broken statement takes at least its first word */
        recover(p, braces);
    }
}
