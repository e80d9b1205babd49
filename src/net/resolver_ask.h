/* Questions to libunbound with a real bound on the wait, which the library itself does not give. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "net/resolver.h"

#include <stdbool.h>
#include <unbound.h>

enum { DNS_A = 1, DNS_MX = 15, DNS_AAAA = 28 };

/* One question on its way; owned by the thread that asked. */
struct question;

/* Asks without waiting; NULL (ERROR_TEMPORARY 4.4.3) when it could not be asked. */
struct question *question_ask(struct resolver *resolver, const char *name, int type,
                              struct error *why);
/* When every wait for what is asked now must end. */
struct deadline question_deadline(const struct resolver *resolver);

/* What became of it. The result, also of a failed question, ends with question_free(). */
struct dns_result {
    enum answer answer; /* YES: there is data; NO: proven that there is none */
    bool is_nxdomain;   /* with NO: the very name does not exist */
    bool is_secure;
    const struct ub_result *data; /* with YES */
};
/* Waits until the deadline at most. With ANSWER_UNKNOWN *why is set; asking for a NULL question is
 * UNKNOWN, and leaves *why as question_ask() set it. */
struct dns_result question_wait(struct question *question, struct deadline until,
                                struct error *why);
/* Accepts NULL. An answer that comes later is dropped (libunbound still caches it). */
void question_free(struct question *question);
SCOPED_FREE(question)
