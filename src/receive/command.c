/* Reads command lines and the parameters of MAIL, RCPT and BDAT, strictly and without a copy. */
/* SPDX-License-Identifier: ISC */
#include "command.h"

#include "base/memory.h"

#include <limits.h>

static bool refuse(struct refusal *why, unsigned code, const char *status, const char *text)
{
    *why = (struct refusal){code, status, text};
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool command_split(struct span line, struct span *verb, struct span *argument)
{
    size_t len = 0;

    for (size_t i = 0; i < line.len; i++)
        if (((unsigned char)line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 127)
            return false;
    while (len < line.len && ascii_is_letter(line.data[len]))
        len++;
    if (len < line.len && !is_blank(line.data[len]))
        len = 0; /* "RCPT:" and "X-FOO" are no verbs */
    *verb = span_until(line, len);
    *argument = span_trim(span_from(line, len));
    return true;
}

/* One parameter `keyword[=value]` from the front of *text; *has_one false at its end. */
struct parameter {
    struct span keyword, value;
    bool has_value;
};

static bool is_keyword(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_is_letter(s.data[i]) && !ascii_is_digit(s.data[i]) &&
            (s.data[i] != '-' || i == 0))
            return false;
    return s.len > 0;
}

static bool is_value(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < '!' || s.data[i] > '~' || s.data[i] == '=')
            return false;
    return s.len > 0;
}

static bool next_parameter(struct span *text, struct parameter *out, bool *has_one,
                           struct refusal *why)
{
    struct span word, rest = *text;

    if (rest.len > 0 && !is_blank(rest.data[0]))
        return refuse(why, 501, "5.5.4", "A space must follow the address");
    rest = span_trim(rest);
    *has_one = rest.len > 0;
    if (rest.len == 0)
        return true;
    word = span_until(rest, span_index(rest, ' '));
    *text = span_from(rest, word.len);
    out->has_value = span_split(word, '=', &out->keyword, &out->value);
    if (!is_keyword(out->keyword) || (out->has_value && !is_value(out->value)))
        return refuse(why, 501, "5.5.4", "A parameter is malformed");
    return true;
}

static bool take_size(struct mail_parameters *out, const struct parameter *p, struct refusal *why)
{
    if (out->has_size || !p->has_value)
        return refuse(why, 501, "5.5.4", "SIZE takes one number");
    for (size_t i = 0; i < p->value.len; i++)
        if (!ascii_is_digit(p->value.data[i]))
            return refuse(why, 501, "5.5.4", "SIZE takes one number");
    if (!span_number(p->value, ULLONG_MAX, &out->size))
        return refuse(why, 552, "5.3.4", "The message is larger than any that is taken here");
    out->has_size = true;
    return true;
}

static bool take_body(struct mail_parameters *out, const struct parameter *p, struct refusal *why)
{
    bool is_8bit = p->has_value && span_equal_caseless(p->value, SPAN_LITERAL("8BITMIME"));

    if (out->has_body || !p->has_value ||
        (!is_8bit && !span_equal_caseless(p->value, SPAN_LITERAL("7BIT"))))
        return refuse(why, 501, "5.5.4", "BODY is 7BIT or 8BITMIME");
    out->has_body = true;
    out->is_8bit = is_8bit;
    return true;
}

static int hex_digit(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; /* RFC 3461 section 4: upper case only */
}

/* "<>" or xtext (RFC 3461 section 4) that hides no control: it is read to know that, and forgotten.
 */
static bool is_harmless_xtext(struct span s)
{
    if (span_equal(s, SPAN_LITERAL("<>")))
        return true;
    for (size_t i = 0; i < s.len; i++) {
        int high, low;

        if (s.data[i] != '+')
            continue;
        if (s.len - i < 3)
            return false;
        high = hex_digit(s.data[i + 1]);
        low = hex_digit(s.data[i + 2]);
        if (high < 2 || low < 0 || (high == 7 && low == 15))
            return false;
        i += 2;
    }
    return true;
}

static bool take_auth(struct mail_parameters *out, const struct parameter *p, struct refusal *why)
{
    if (out->has_auth || !p->has_value || !is_harmless_xtext(p->value))
        return refuse(why, 501, "5.5.4", "AUTH is malformed");
    out->has_auth = true;
    return true;
}

bool mail_parameters_parse(struct span text, bool tolerates_auth, struct mail_parameters *out,
                           struct refusal *why)
{
    static const struct {
        const char *keyword;
        bool (*take)(struct mail_parameters *, const struct parameter *, struct refusal *);
    } known[] = {{"SIZE", take_size}, {"BODY", take_body}, {"AUTH", take_auth}};
    struct mail_parameters read = {0};
    struct parameter parameter;
    bool has_one;

    while (next_parameter(&text, &parameter, &has_one, why)) {
        size_t i = 0, count = sizeof known / sizeof known[0] - (tolerates_auth ? 0 : 1);

        if (!has_one) {
            *out = read;
            return true;
        }
        while (i < count && !span_equal_caseless(parameter.keyword, span_of(known[i].keyword)))
            i++;
        if (i == count)
            return refuse(why, 555, "5.5.4", "A parameter is not known here");
        if (!known[i].take(&read, &parameter, why))
            return false;
    }
    return false;
}

bool rcpt_parameters_parse(struct span text, struct refusal *why)
{
    struct parameter parameter;
    bool has_one;

    if (!next_parameter(&text, &parameter, &has_one, why))
        return false;
    return !has_one || refuse(why, 555, "5.5.4", "A parameter is not known here");
}

bool bdat_parse(struct span argument, unsigned long long *size, bool *is_last)
{
    struct span number, word;
    bool has_word = span_split(argument, ' ', &number, &word);

    word = span_trim(word);
    if (has_word && !span_equal_caseless(word, SPAN_LITERAL("LAST")))
        return false;
    if (!span_number(number, ULLONG_MAX, size))
        return false;
    *is_last = has_word;
    return true;
}

bool path_follows(struct span argument, struct span keyword, struct span *path)
{
    if (!span_starts_with_caseless(argument, keyword))
        return false;
    *path = span_from(argument, keyword.len);
    return true;
}

struct refusal refusal_of_address(const struct error *why)
{
    static const struct {
        const char *status;
        struct refusal refusal;
    } rows[] = {
        {"5.5.4", {501, "5.5.4", "Say FROM:<address> or TO:<address>"}},
        {"5.1.7", {553, "5.1.7", "The sender's address is malformed"}},
        {"5.1.3", {553, "5.1.3", "The recipient's address is malformed"}},
    };

    if (why->kind == ERROR_REJECTED)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            if (span_equal(span_of(why->status), span_of(rows[i].status)))
                return rows[i].refusal;
    return (struct refusal){451, "4.3.0", "The address could not be read just now"};
}
