/* The report to the sender of what could not be delivered: a message of its own, stored in the same
 * batch as the failure. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "base/id.h"
#include "delivery.h"
#include "job.h"
#include "recording.h"

#include <stdbool.h>
#include <stddef.h>

/* Does anybody get one? Not for reports and null senders (a bounce never bounces), nor for
 * strangers, whose name may be forged. */
bool report_is_due(const struct letter *letter);
/* Adds the report on these deliveries (each with its verdict) of one message to the recording. */
MUST_USE bool report_add(struct job *job, struct delivery *const *failed, size_t count,
                         struct recording *recording, struct id *id, struct error *why);
