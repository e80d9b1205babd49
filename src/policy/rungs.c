/* Ladders as they are read: `{ tls secure named "a" for 1 day, hold }`. */
/* SPDX-License-Identifier: ISC */
#include "parser.h"

#include "base/utf8.h"

enum way_word { WORD_TLS, WORD_CLEARTEXT, WORD_HOLD, WORD_RETURN, WORD_ROUTE };
static const struct choice ways[] = {
    {"tls", WORD_TLS, false},     {"cleartext", WORD_CLEARTEXT, false},
    {"hold", WORD_HOLD, false},   {"return", WORD_RETURN, false},
    {"smime", 0, true},           {"pgp", 0, true},
    {"portal", 0, true},          {"drop", 0, true},
    {"route", WORD_ROUTE, false}, /* the last: in stored ladders only */
};
static const struct choice levels[] = {
    {"encrypt", WAY_TLS_ENCRYPT, false},
    {"verify", WAY_TLS_VERIFY, false},
    {"secure", WAY_TLS_SECURE, false},
};

_Static_assert(WAY_TLS_ENCRYPT < WAY_TLS_VERIFY && WAY_TLS_VERIFY < WAY_TLS_SECURE &&
                   WAY_TLS_SECURE < WAY_ROUTE && WAY_TLS_SECURE < WAY_CLEARTEXT,
               "the ways by TLS come first");

static bool expect_way(struct parser *p, enum way *way)
{
    static const enum way of_word[] = {
        [WORD_CLEARTEXT] = WAY_CLEARTEXT,
        [WORD_HOLD] = WAY_HOLD,
        [WORD_RETURN] = WAY_RETURN,
        [WORD_ROUTE] = WAY_ROUTE,
    };
    const size_t count = sizeof ways / sizeof ways[0] - (p->policy != NULL);
    int word, level;

    if (!choose(p, ways, count, "a way such as `tls verify`, `hold` or `return`", &word))
        return false;
    if (word != WORD_TLS) {
        *way = of_word[word];
        return true;
    }
    if (!CHOOSE(p, levels, "`encrypt`, `verify` or `secure`", &level))
        return false;
    *way = (enum way)level;
    return true;
}

static bool expect_names(struct parser *p, struct rung *rung)
{
    struct span *names = arena_take_array(p->arena, POLICY_NAMED_MAX, sizeof *names);

    if (!names)
        return fail_memory(p);
    if (rung->way == WAY_TLS_ENCRYPT)
        return fail(p, "`tls encrypt` proves no name; `named` goes with `verify` and `secure`");
    advance(p); /* over `named` */
    do {
        if (rung->name_count == POLICY_NAMED_MAX)
            return fail(p, "a rung has at most %d names", POLICY_NAMED_MAX);
        if (!expect_domain(p, "the host's name", &names[rung->name_count]))
            return false;
        rung->name_count++;
    } while (take_word(p, "or"));
    rung->names = names;
    return true;
}

/* `for DURATION` */
static bool expect_patience(struct parser *p, struct rung *rung)
{
    if (rung->way == WAY_RETURN)
        return fail(p, "`return` waits for nothing");
    advance(p);
    const struct place place = p->token.place;
    if (!expect_duration(p, &rung->patience_ms))
        return false;
    if (p->policy && rung->way != WAY_HOLD &&
        rung->patience_ms > (int64_t)LADDER_LIFE_DAYS * 24 * 3600 * 1000)
        complain(p->book, POLICY_WARNING, place,
                 "a delivery lives %d days; a longer `for` changes nothing", LADDER_LIFE_DAYS);
    return true;
}

static bool expect_rung(struct parser *p, struct rung *rung)
{
    const struct place place = p->token.place;

    *rung = (struct rung){0};
    if (!expect_way(p, &rung->way))
        return false;
    if (rung->way <= WAY_TLS_SECURE && is_word(p, "named") && !expect_names(p, rung))
        return false;
    if (p->policy && rung->way == WAY_TLS_SECURE && rung->name_count == 0)
        complain(p->book, POLICY_WARNING, place,
                 "`tls secure` without `named` is impossible in this build until DANE and MTA-STS "
                 "come; the ladder climbs past it");
    return !is_word(p, "for") || expect_patience(p, rung);
}

static bool is_impossible(const struct rung *rung)
{
    return rung->way == WAY_TLS_SECURE && rung->name_count == 0;
}
static bool is_end(const struct rung *rung)
{
    return rung->way == WAY_HOLD || rung->way == WAY_RETURN;
}

/* What must be true of the newest rung beside those before it. */
static bool check_order(struct parser *p, const struct rung *rungs, size_t count,
                        struct place place)
{
    /* From weak to strong: the more, the fewer can read. Nothing is weaker than cleartext. */
    static const int strength[] = {
        [WAY_CLEARTEXT] = 0, [WAY_TLS_ENCRYPT] = 1, [WAY_TLS_VERIFY] = 2, [WAY_TLS_SECURE] = 3,
        [WAY_ROUTE] = 4,     [WAY_HOLD] = 4,        [WAY_RETURN] = 4,
    };
    _Static_assert(sizeof strength / sizeof strength[0] == WAY_COUNT, "a way without a strength");
    const struct rung *rung = &rungs[count - 1];

    if (count > 1 && is_end(&rungs[count - 2]))
        return complain(p->book, POLICY_ERROR, place, "`%s` ends a ladder; nothing stands after it",
                        way_name(rungs[count - 2].way));
    /* No failure widens the readers (the second theorem). A stored ladder was checked when it was
     * written in a file. */
    for (size_t i = 0; p->policy && i + 1 < count; i++)
        if (strength[rung->way] < strength[rungs[i].way])
            return complain(p->book, POLICY_ERROR, place,
                            "a ladder never grows weaker: `%s` could be read by %s, and the "
                            "earlier `%s` only by %s",
                            way_name(rung->way), way_readers(rung->way), way_name(rungs[i].way),
                            way_readers(rungs[i].way));
    return true;
}

/* What a file leaves unsaid is filled in, so that the policy prints as it runs. */
static bool complete(struct parser *p, struct rung *rungs, size_t *count, struct place place)
{
    bool has_possible = false, has_way = false;

    for (size_t i = 0; i < *count; i++) {
        has_way |= !is_end(&rungs[i]);
        has_possible |= !is_end(&rungs[i]) && !is_impossible(&rungs[i]);
    }
    if (has_way && !has_possible)
        return complain(p->book, POLICY_ERROR, place,
                        "every way of this ladder is impossible in this build; add one that is "
                        "not, such as `tls verify`");
    struct rung *last = &rungs[*count - 1];
    if (last->way == WAY_HOLD && last->patience_ms == 0)
        last->patience_ms = (int64_t)HOLD_DEFAULT_DAYS * 24 * 3600 * 1000;
    if (!is_end(last)) {
        if (*count == POLICY_RUNGS_MAX)
            return complain(p->book, POLICY_ERROR, place,
                            "a ladder has at most %d rungs, its `return` counted",
                            POLICY_RUNGS_MAX);
        rungs[(*count)++] = (struct rung){.way = WAY_RETURN};
    }
    return true;
}

static bool fits_its_place(struct parser *p, const struct ladder *ladder, struct place place)
{
    scoped_buffer text;

    buffer_init(&text, POLICY_LADDER_TEXT_MAX);
    print_ladder(ladder, &text);
    return !text.failed || complain(p->book, POLICY_ERROR, place,
                                    "the ladder is longer than %d bytes when it is printed",
                                    POLICY_LADDER_TEXT_MAX);
}

bool expect_rungs(struct parser *p, struct ladder *ladder)
{
    struct rung rungs[POLICY_RUNGS_MAX];
    const struct place place = p->token.place;
    size_t count = 0;

    if (!expect_mark(p, '{', "`{`"))
        return false;
    do {
        const struct place rung_place = p->token.place;

        if (count == POLICY_RUNGS_MAX)
            return fail(p, "a ladder has at most %d rungs", POLICY_RUNGS_MAX);
        if (!expect_rung(p, &rungs[count++]) || !check_order(p, rungs, count, rung_place))
            return false;
    } while (take_mark(p, ','));
    if (!expect_mark(p, '}', "`,` or `}`"))
        return false;
    if (p->policy && !complete(p, rungs, &count, place))
        return false;
    struct rung *copy = arena_take_array(p->arena, count, sizeof *copy);
    if (!copy)
        return fail_memory(p);
    memcpy(copy, rungs, count * sizeof *copy);
    *ladder = (struct ladder){.rungs = copy, .count = count};
    return fits_its_place(p, ladder, place);
}

bool ladder_parse(struct span text, struct arena *arena, struct ladder *ladder, struct error *why)
{
    struct book book = {.source = text, .arena = arena, .why = why};
    struct parser p = {
        .lexer = {.source = text, .line = 1, .column = 1}, .book = &book, .arena = arena};
    struct ladder parsed;
    size_t bad_at;

    if (text.len > POLICY_LADDER_TEXT_MAX || !utf8_is_valid(text, &bad_at) ||
        span_index(text, '\0') != text.len)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "a stored ladder is no ladder's text");
    advance(&p);
    if (!expect_rungs(&p, &parsed))
        return error_within(why, "in a stored ladder");
    if (p.token.kind != TOKEN_END)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "a stored ladder goes on behind its end");
    *ladder = parsed;
    return true;
}
