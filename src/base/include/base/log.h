/* The one door for log lines: one line a fact, logfmt, every value escaped, nothing personal. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "base/span.h"

#include <stddef.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ALARM };

struct log_field {
    const char *key;   /* static; lower case and underscores */
    struct span value; /* escaped and quoted as needed; cut at 200 bytes */
};

/* Writes to standard error in one write(): `time level role fact="…" key=value …`. `fact` is a
 * short fixed sentence. Values never hold an address, a subject, or a peer's words. Thread-safe.
 *     log_fact(LOG_LEVEL_INFO, "message accepted", {"message", span_of(id)}, {"rule", rule}); */
#define log_fact(level, fact, ...)                                                                 \
    log_fields(level, fact, (struct log_field[]){__VA_ARGS__},                                     \
               sizeof((struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
void log_fields(enum log_level level, const char *fact, const struct log_field *fields,
                size_t count);
/* A fact without fields, and one with an error's kind, status and text. */
void log_plain(enum log_level level, const char *fact);
void log_error(enum log_level level, const char *fact, const struct error *why);

/* Once at the start of a process. `role` is static. */
void log_begin(const char *role, enum log_level least);
/* Sends lines elsewhere, for tests; NULL puts standard error back. */
void log_divert(void (*sink)(void *self, struct span line), void *self);
