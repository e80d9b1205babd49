/* Failures told on the caller's stack: what to do next, a status for the mail world, a reason. */
/* SPDX-License-Identifier: ISC */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    [ERROR_NONE] = "none",
    [ERROR_TEMPORARY] = "temporary",
    [ERROR_IMPOSSIBLE] = "impossible",
    [ERROR_REJECTED] = "rejected",
    [ERROR_INTERNAL] = "internal",
};
_Static_assert(sizeof kind_names / sizeof kind_names[0] == ERROR_INTERNAL + 1,
               "a kind without name");

static __attribute__((format(printf, 4, 0))) void fill(struct error *why, enum error_kind kind,
                                                       const char *status, const char *format,
                                                       va_list arguments)
{
    char text[ERROR_TEXT_SIZE];

    /* Built aside: an argument may well be the old text of *why. */
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    why->kind = kind;
    why->status = status;
    memcpy(why->text, text, sizeof text);
}

bool error_set(struct error *why, enum error_kind kind, const char *status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fill(why, kind, status, format, arguments);
    va_end(arguments);
    return false;
}

bool error_system(struct error *why, int errno_value, const char *format, ...)
{
    const char *reason = strerrordesc_np(errno_value); /* thread-safe, and never translated */
    va_list arguments;
    size_t len;

    va_start(arguments, format);
    fill(why, ERROR_INTERNAL, "4.3.0", format, arguments);
    va_end(arguments);
    len = strlen(why->text);
    if (reason)
        snprintf(why->text + len, sizeof why->text - len, ": %s", reason);
    else
        snprintf(why->text + len, sizeof why->text - len, ": system error %d", errno_value);
    return false;
}

bool error_within(struct error *why, const char *context)
{
    return error_set(why, why->kind, why->status, "%s: %s", context, why->text);
}

const char *error_kind_name(enum error_kind kind)
{
    return kind_names[kind];
}
