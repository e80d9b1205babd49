/* The parser's tools: a token in hand, what was expected, the nearest word. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "complaint.h"
#include "lexer.h"

struct parser {
    struct lexer lexer;
    struct token token; /* the one in hand */
    struct book *book;
    struct arena *arena;          /* of what is built */
    struct policy *policy;        /* NULL: a stored ladder, not a file */
    struct organisation *section; /* where the statement stands */
    struct place statement;       /* its first word */
    unsigned braces;              /* open before the token in hand */
    unsigned depth;               /* of parentheses */
};

/* One of the words that may stand here. The next slice of the language adds rows, or takes the mark
 * off them. */
struct choice {
    const char *word;
    int value;
    bool is_later; /* known, but this build does not carry it out */
};
#define CHOOSE(p, rows, what, value) choose(p, rows, sizeof(rows) / sizeof(rows)[0], what, value)

void advance(struct parser *p);
/* Complains at the token in hand; gives false. A bad token's own fault goes first. */
bool fail(struct parser *p, const char *format, ...) PRINTF_LIKE(2, 3);
/* "expected WHAT, found …" */
bool fail_expected(struct parser *p, const char *what);
bool fail_memory(struct parser *p);

bool is_word(const struct parser *p, const char *word);
bool is_mark(const struct parser *p, char mark);
/* These take the token when it fits. */
bool take_word(struct parser *p, const char *word);
bool take_mark(struct parser *p, char mark);
MUST_USE bool expect_word(struct parser *p, const char *word);
MUST_USE bool expect_mark(struct parser *p, char mark, const char *what);
/* `what` names it for the message. Strings are never empty. */
MUST_USE bool expect_string(struct parser *p, const char *what, struct span *text);
MUST_USE bool expect_number(struct parser *p, const char *what, unsigned long long max,
                            unsigned long long *number);
/* A new name: lower case, no keyword. */
MUST_USE bool expect_name(struct parser *p, const char *what, struct span *name);
MUST_USE bool choose(struct parser *p, const struct choice *rows, size_t count, const char *what,
                     int *value);

/* Larger words. */
MUST_USE bool expect_domain(struct parser *p, const char *what, struct span *domain);
MUST_USE bool expect_port(struct parser *p, uint16_t *port);
MUST_USE bool expect_duration(struct parser *p, int64_t *ms);
MUST_USE bool expect_size(struct parser *p, uint64_t *bytes);
/* The moment at which the day ends. */
MUST_USE bool expect_date(struct parser *p, int64_t *end_ms);
MUST_USE bool expect_value(struct parser *p, const char *what, struct value *value);
/* A list of one string. */
MUST_USE bool value_of_string(struct parser *p, struct span text, struct place place,
                              struct value *value);
/* `{ rung, … }`, as written; in a file with what must be true of a ladder. */
MUST_USE bool expect_rungs(struct parser *p, struct ladder *ladder);
MUST_USE bool expect_condition(struct parser *p, struct condition **condition);

/* Words of the whole language. */
bool word_is_keyword(struct span word);
bool word_is_later(struct span word);
/* Is `word` near enough to `other` for a hint, and nearer than *best? */
bool word_is_nearer(struct span word, struct span other, unsigned *best);

/* Statements: settings.c and statements.c hold the rows. */
enum { STATEMENT_IN_ORGANISATION = 1, STATEMENT_BEGINS_RUNG = 2 };
struct statement {
    const char *word;
    bool (*parse)(struct parser *p);
    unsigned flags;
    bool is_later;
};
extern const struct statement statements[];
extern const size_t statement_count;
/* Reads statements up to the end of the file or the section's `}`. */
void parse_statements(struct parser *p);

bool parse_hostname(struct parser *p);
bool parse_state(struct parser *p);
bool parse_certificate(struct parser *p);
bool parse_roots(struct parser *p);
bool parse_trust_anchor(struct parser *p);
bool parse_resolver(struct parser *p);
bool parse_laboratory(struct parser *p);
bool parse_master_key(struct parser *p);
bool parse_administrator(struct parser *p);
bool parse_largest_message(struct parser *p);
bool parse_listen(struct parser *p);
bool parse_route(struct parser *p);
bool parse_domains(struct parser *p);
bool parse_list(struct parser *p);
bool parse_ladder(struct parser *p);
bool parse_permit(struct parser *p);
bool parse_rule(struct parser *p);
bool parse_organisation(struct parser *p);

/* Room for one more in an array that doubles; NULL when memory is out. */
void *array_grow(struct arena *arena, void *array, size_t count, size_t size);
