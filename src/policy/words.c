/* Every keyword of the language, and how near one word is to another. */
/* SPDX-License-Identifier: ISC */
#include "parser.h"

/* The words of the language as this build carries it out, each between blanks. */
static const char of_this_build[] =
    " administrator anchor and by byte bytes certificate cleartext credential day days"
    " domains encrypt file for from has hold hostname hour hours key laboratory ladder"
    " largest list listen lmtp master message minute minutes named network not on or"
    " organisation over passphrase permit port recipients refuse relay resolver return"
    " roots route second seconds secure send size smtp state subject submission"
    " submissions through tls to trust trusting until verify week weeks when ";
/* The others. They are reserved all the same, so that a file which is valid today stays valid. */
static const char of_later_ones[] =
    " account always an as at automatic bare behind between bulk calendar certain choice"
    " code copy drop else escalate finds google header in include least likely may"
    " microsoft-365 most newcomer newlines normalised notice notices observe old pgp phi"
    " portal possible proxy question replies rungs sealed smime sms smtps source store"
    " tenant text texts time unreadable weaker with words ";

static bool is_among(struct span word, const char *words)
{
    char between_blanks[POLICY_NAME_MAX + 3];

    if (word.len > POLICY_NAME_MAX)
        return false;
    snprintf(between_blanks, sizeof between_blanks, " %.*s ", SPAN_ARGS(word));
    return strstr(words, between_blanks) != NULL;
}

bool word_is_later(struct span word)
{
    return is_among(word, of_later_ones);
}

bool word_is_keyword(struct span word)
{
    return is_among(word, of_later_ones) || is_among(word, of_this_build);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many letters must be changed, added, dropped or swapped; above `limit`: limit + 1. This is
 * the distance of Damerau and Levenshtein in its "optimal string alignment" form, three rows of the
 * table at a time. */
static unsigned word_distance(struct span a, struct span b, unsigned limit)
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
