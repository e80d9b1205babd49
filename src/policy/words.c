/* Every keyword of the language, and how near one word is to another. */
/* SPDX-License-Identifier: ISC */
#include "parser.h"

/* Marked: no part of the language that this build carries out uses the word. They are reserved all
 * the same, so that a file which is valid today stays valid. */
static const struct {
    const char *word;
    bool is_later;
} words[] = {
    {"account", true},
    {"administrator", false},
    {"always", true},
    {"an", true},
    {"anchor", false},
    {"and", false},
    {"as", true},
    {"at", true},
    {"automatic", true},
    {"bare", true},
    {"behind", true},
    {"between", true},
    {"bulk", true},
    {"by", false},
    {"byte", false},
    {"bytes", false},
    {"calendar", true},
    {"certain", true},
    {"certificate", false},
    {"choice", true},
    {"cleartext", false},
    {"code", true},
    {"copy", true},
    {"credential", false},
    {"day", false},
    {"days", false},
    {"domains", false},
    {"else", true},
    {"encrypt", false},
    {"escalate", true},
    {"file", false},
    {"finds", true},
    {"for", false},
    {"from", false},
    {"google", true},
    {"has", false},
    {"header", true},
    {"hold", false},
    {"hostname", false},
    {"hour", false},
    {"hours", false},
    {"in", true},
    {"include", true},
    {"key", false},
    {"laboratory", false},
    {"ladder", false},
    {"largest", false},
    {"least", true},
    {"likely", true},
    {"list", false},
    {"listen", false},
    {"lmtp", false},
    {"master", false},
    {"may", true},
    {"message", false},
    {"microsoft-365", true},
    {"minute", false},
    {"minutes", false},
    {"most", true},
    {"named", false},
    {"network", false},
    {"newcomer", true},
    {"newlines", true},
    {"normalised", true},
    {"not", false},
    {"notice", true},
    {"notices", true},
    {"observe", true},
    {"old", true},
    {"on", false},
    {"or", false},
    {"organisation", false},
    {"over", false},
    {"passphrase", false},
    {"permit", false},
    {"pgp", true},
    {"phi", true},
    {"port", false},
    {"portal", true},
    {"possible", true},
    {"proxy", true},
    {"question", true},
    {"recipients", false},
    {"refuse", false},
    {"relay", false},
    {"replies", true},
    {"resolver", false},
    {"return", false},
    {"roots", false},
    {"route", false},
    {"rungs", true},
    {"sealed", true},
    {"second", false},
    {"seconds", false},
    {"secure", false},
    {"send", false},
    {"size", false},
    {"smime", true},
    {"sms", true},
    {"smtp", false},
    {"smtps", true},
    {"source", true},
    {"state", false},
    {"store", true},
    {"subject", false},
    {"submission", false},
    {"submissions", false},
    {"tenant", true},
    {"text", true},
    {"texts", true},
    {"through", false},
    {"time", true},
    {"tls", false},
    {"to", false},
    {"trust", false},
    {"trusting", false},
    {"unreadable", true},
    {"until", false},
    {"verify", false},
    {"weaker", true},
    {"week", false},
    {"weeks", false},
    {"when", false},
    {"with", true},
    {"words", true},
    {"drop", true},
};

bool word_is_keyword(struct span word)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (span_equal(word, span_of(words[i].word)))
            return true;
    return false;
}

bool word_is_later(struct span word)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i].is_later && span_equal(word, span_of(words[i].word)))
            return true;
    return false;
}

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

/* The distance of Damerau and Levenshtein in its "optimal string alignment" form, three rows of the
 * table at a time. */
unsigned word_distance(struct span a, struct span b, unsigned limit)
{
    unsigned rows[3][POLICY_NAME_MAX + 1];

    if (a.len > POLICY_NAME_MAX || b.len > POLICY_NAME_MAX)
        return limit + 1;
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        const unsigned *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
        unsigned *row = rows[i % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            const bool same = ascii_lower(a.data[i - 1]) == ascii_lower(b.data[j - 1]);

            row[j] = least(above[j - 1] + !same, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return least(rows[a.len % 3][b.len], limit + 1);
}

bool word_is_nearer(struct span word, struct span other, unsigned *best)
{
    /* A third of the letters may be wrong, and never more than two. */
    const unsigned limit = least(2, (unsigned)((word.len > other.len ? word.len : other.len) / 3));
    const unsigned distance = word_distance(word, other, limit);

    if (distance > limit || distance >= *best)
        return false;
    *best = distance;
    return true;
}
