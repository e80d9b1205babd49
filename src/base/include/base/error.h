/* A failure says what its caller can do next. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/scoped.h"

#include <stdbool.h>

/* What the caller can do about a failure. The ladder acts on this alone. */
enum error_kind {
    ERROR_NONE,
    ERROR_TEMPORARY,  /* may succeed later: stay on this rung and retry */
    ERROR_IMPOSSIBLE, /* cannot succeed this way: climb to the next rung */
    ERROR_REJECTED,   /* refused for good by the other side: return to the sender, never climb */
    ERROR_INTERNAL,   /* our own fault: hold the message and tell an administrator */
};

enum { ERROR_TEXT_SIZE = 240 };

/* Lives on the caller's stack, so that failing never allocates. */
struct error {
    enum error_kind kind;
    const char
        *status; /* static storage; in mail rooms an RFC 3463 code such as "4.7.5", else "" */
    char text[ERROR_TEXT_SIZE]; /* safe for logs: never an address, a subject, or a peer's words */
};

/* Fills *why and gives false, so that a failing function can `return error_set(…)`. */
bool error_set(struct error *why, enum error_kind kind, const char *status, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* As error_set with ERROR_INTERNAL, "4.3.0", and the system's text for errno_value at the end. */
bool error_system(struct error *why, int errno_value, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts context before the text: "in the EHLO reply: …". Gives false. */
bool error_within(struct error *why, const char *context);

/* "temporary", "impossible", … */
const char *error_kind_name(enum error_kind kind);
