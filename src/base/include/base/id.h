/* The name of a message: unique, ordered by time, fit for logs. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/clock.h"
#include "base/entropy.h"
#include "base/scoped.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum { ID_BYTES = 16, ID_TEXT_SIZE = 27 /* with the NUL */ };

/* 48 bits of wall-clock milliseconds, then 80 random bits. All zero: no message. */
struct id {
    uint8_t bytes[ID_BYTES];
};

struct id id_make(const struct clock *clock, const struct entropy *entropy);
/* 26 characters of Crockford's base 32, lower case. */
void id_print(struct id id, char out[ID_TEXT_SIZE]);
MUST_USE bool id_parse(struct span text, struct id *id);
bool id_equal(struct id a, struct id b);
bool id_is_none(struct id id);
