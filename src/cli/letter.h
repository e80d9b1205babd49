/* A message in a file, as `letterlock decide` sees it: its envelope and its facts. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "message/address.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <stddef.h>

enum { LETTER_RECIPIENTS_MAX = 1000 };

struct letter {
    struct span bytes; /* with CRLF line ends */
    bool had_bare_lines;
    struct address from;
    struct address *to;
    size_t to_count;
    struct span subject; /* decoded, as rules see it */
    const char *refusal; /* why the gateway would not take it; NULL: it would */
};
/* Reads the file. The envelope is `from` and the `to`s (texts of options), or where these are
 * absent what From, To, Cc and Bcc say. All lives in the arena. */
MUST_USE bool letter_read(const char *path, const char *from, const char *const *to,
                          size_t to_count, struct arena *arena, struct letter *letter,
                          struct error *why);
