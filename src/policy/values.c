/* The larger words of the language: durations, sizes, dates, domains, lists or strings. */
/* SPDX-License-Identifier: ISC */
#include "parser.h"

#include "base/clock.h"

enum unit_kind { SECONDS, MINUTES, HOURS, DAYS, WEEKS };
static const int64_t unit_ms[] = {
    [SECONDS] = 1000,      [MINUTES] = 60000,      [HOURS] = 3600000,
    [DAYS] = 24 * 3600000, [WEEKS] = 7 * 86400000,
};
static const struct choice duration_units[] = {
    {"second", SECONDS, false},  {"seconds", SECONDS, false}, {"minute", MINUTES, false},
    {"minutes", MINUTES, false}, {"hour", HOURS, false},      {"hours", HOURS, false},
    {"day", DAYS, false},        {"days", DAYS, false},       {"week", WEEKS, false},
    {"weeks", WEEKS, false},
};
static const struct choice size_units[] = {
    {"byte", 0, false}, {"bytes", 0, false}, {"KB", 10, false},
    {"MB", 20, false},  {"GB", 30, false},
};

bool expect_duration(struct parser *p, int64_t *ms)
{
    const int64_t longest = POLICY_DURATION_DAYS_MAX * unit_ms[DAYS];
    const struct place place = p->token.place;
    unsigned long long number;
    int unit;

    if (!expect_number(p, "a duration such as 30 minutes", 1000000000, &number) ||
        !CHOOSE(p, duration_units, "`seconds`, `minutes`, `hours`, `days` or `weeks`", &unit))
        return false;
    /* 10^9 weeks are below 2^63 ms. */
    const int64_t value = (int64_t)number * unit_ms[unit];
    if (value == 0)
        return complain(p->book, POLICY_ERROR, place, "a duration is at least 1 second");
    if (value > longest)
        return complain(p->book, POLICY_ERROR, place, "a duration is at most %d days",
                        POLICY_DURATION_DAYS_MAX);
    *ms = value;
    return true;
}

bool expect_size(struct parser *p, uint64_t *bytes)
{
    unsigned long long number;
    int shift;

    /* 2^30 GB are below 2^64 bytes. */
    if (!expect_number(p, "a size such as 25 MB", 1 << 30, &number) ||
        !CHOOSE(p, size_units, "`KB`, `MB`, `GB` or `bytes`", &shift))
        return false;
    *bytes = (uint64_t)number << shift;
    return true;
}

bool expect_date(struct parser *p, int64_t *end_ms)
{
    const char *const what = "a date such as 2027-01-31";
    const struct span text = p->token.text;
    unsigned long long year, month, day;
    int64_t start_ms;

    if (p->token.kind != TOKEN_DATE || text.len != 10 || text.data[4] != '-' || text.data[7] != '-')
        return fail_expected(p, what);
    if (!span_number(span_until(text, 4), 9999, &year) ||
        !span_number(span_until(span_from(text, 5), 2), 12, &month) ||
        !span_number(span_from(text, 8), 31, &day) || year < 1970 ||
        !clock_from_date((int)year, (int)month, (int)day, &start_ms))
        return fail(p, "there is no such day; expected %s", what);
    *end_ms = start_ms + unit_ms[DAYS];
    advance(p);
    return true;
}

bool expect_port(struct parser *p, uint16_t *port)
{
    unsigned long long number;

    if (!expect_word(p, "port"))
        return false;
    if (p->token.kind == TOKEN_NUMBER &&
        (!span_number(p->token.text, UINT16_MAX, &number) || number == 0))
        return fail(p, "a port is a number from 1 to 65535");
    if (!expect_number(p, "a port number", UINT16_MAX, &number))
        return false;
    *port = (uint16_t)number;
    return true;
}

static struct span lower_copy(struct arena *arena, struct span text)
{
    char *copy = arena_take_array(arena, text.len, 1);

    for (size_t i = 0; copy && i < text.len; i++)
        copy[i] = ascii_lower(text.data[i]);
    return span_make(copy, text.len);
}

bool expect_domain(struct parser *p, const char *what, struct span *domain)
{
    const struct place place = p->token.place;
    struct span text;

    if (!expect_string(p, what, &text))
        return false;
    if (text.data[0] == '.')
        return complain(p->book, POLICY_ERROR, place,
                        "expected %s exactly, without a dot at its start", what);
    if (!domain_is_valid(text))
        return complain(p->book, POLICY_ERROR, place, "expected %s such as \"x.example\"", what);
    text = lower_copy(p->arena, text);
    if (!text.data)
        return fail_memory(p);
    *domain = text;
    return true;
}

bool value_of_string(struct parser *p, struct span text, struct place place, struct value *value)
{
    struct list *list = arena_take(p->arena, sizeof *list);
    struct span *texts = arena_take(p->arena, sizeof *texts);
    struct place *places = arena_take(p->arena, sizeof *places);

    if (!list || !texts || !places)
        return fail_memory(p);
    texts[0] = text;
    places[0] = place;
    list->texts = texts;
    list->places = places;
    list->count = 1;
    list->place = place;
    if (!list_complete(list, p->arena))
        return fail_memory(p);
    *value = (struct value){.list = list, .place = place};
    return true;
}

bool expect_value(struct parser *p, const char *what, struct value *value)
{
    const struct place place = p->token.place;
    char expected[96];
    struct span text;

    if (p->token.kind == TOKEN_STRING)
        return expect_string(p, what, &text) && value_of_string(p, text, place, value);
    snprintf(expected, sizeof expected, "%s in quotes or the name of a list", what);
    if (p->token.kind != TOKEN_WORD || word_is_keyword(p->token.text))
        return fail_expected(p, expected);
    if (!expect_name(p, expected, &text))
        return false;
    *value = (struct value){.name = text, .place = place};
    return true;
}
