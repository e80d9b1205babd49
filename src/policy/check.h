/* What is done once a file has been parsed: names are found, files read, and the whole is checked.
 */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "complaint.h"

struct checker {
    struct policy *policy;
    struct book *book;
    const struct policy_reader *reader;
    int64_t now_ms;
};
/* Indexes the names, reads the files, and gives every V its list and every rule its ladder. False
 * when memory is out; what is wrong with the policy is told to the book alone. */
MUST_USE bool resolve(struct checker *checker);
/* What must be true of organisations, rules and permits. */
MUST_USE bool check_sections(struct checker *checker);
/* What the daemon cannot do without, and listeners. */
void check_settings(struct checker *checker);
/* Of a setting that nobody wrote: no line is shown. */
static inline struct place place_of_nothing(void)
{
    return (struct place){1, 1, SIZE_MAX};
}
bool complain_of_memory(struct checker *checker);
