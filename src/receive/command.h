/* Command lines and their parameters, as RFC 5321 section 4.1 and the extensions write them. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "base/span.h"

#include <stdbool.h>

/* A reply that says no. The texts are static and hold nothing from outside. */
struct refusal {
    unsigned code;
    const char *status; /* RFC 3463 */
    const char *text;
};

/* Splits "MAIL FROM:<a@b>" into the verb (letters, maybe none) and what follows the first blanks,
 * without blanks at its end. False when there is a control or NUL in the line. */
MUST_USE bool command_split(struct span line, struct span *verb, struct span *argument);

/* The parameters of MAIL (RFC 1870, 6152). */
struct mail_parameters {
    bool has_size, has_body, has_auth;
    bool is_8bit;            /* BODY=8BITMIME */
    unsigned long long size; /* 0 where none was told: RFC 1870 lets SIZE=0 mean just that */
};
/* `text` is what follows the path: empty, or with a blank before each parameter. AUTH= (RFC 4954
 * section 5) is read and not believed where `tolerates_auth`, else unknown as any other. Fails
 * with 501 5.5.4 for what is malformed or told twice, 555 5.5.4 for what is not offered, and 552
 * 5.3.4 for a size beyond all numbers. */
MUST_USE bool mail_parameters_parse(struct span text, bool tolerates_auth,
                                    struct mail_parameters *out, struct refusal *why);
/* RCPT has none that we offer: 555 5.5.4, or 501 5.5.4 for what is malformed. */
MUST_USE bool rcpt_parameters_parse(struct span text, struct refusal *why);

/* "1000" or "1000 LAST" (RFC 3030 section 2). */
MUST_USE bool bdat_parse(struct span argument, unsigned long long *size, bool *is_last);

/* After "MAIL" or "RCPT": what follows `keyword` ("FROM:", "TO:"); false where it is missing. */
MUST_USE bool path_follows(struct span argument, struct span keyword, struct span *path);
/* The reply for an address that does not parse. */
struct refusal refusal_of_address(const struct error *why);
