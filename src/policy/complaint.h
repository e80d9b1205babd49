/* What is wrong with a policy, gathered as it is found. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "model.h"

/* Where complaints go: to policy_load's caller, or (for a stored ladder) into one struct error. */
struct book {
    struct span source;
    struct arena *arena;
    struct policy_complaints *complaints; /* NULL: the first goes to `why` */
    struct error *why;
    bool failed; /* an error was found, told or not */
};
void book_init(struct book *book, struct span source, struct arena *arena,
               struct policy_complaints *complaints);
/* Gives false, so that a failing function can `return complain(…)`. The text is a sentence without
 * a dot; it never quotes a string of the policy, so that it is safe for logs. */
bool complain(struct book *book, enum policy_severity severity, struct place place,
              const char *format, ...) PRINTF_LIKE(4, 5);
/* Enough errors were told: reading on tells nothing new. */
bool book_is_full(const struct book *book);
/* In the order of the file. */
void book_sort(struct book *book);
