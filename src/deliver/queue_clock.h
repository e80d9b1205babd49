/* The time by which mail is due: the wall clock's, but never set back while we live. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/clock.h"
#include "base/scoped.h"

#include <stdbool.h>
#include <stdint.h>

/* Thread-safe. */
struct queue_clock;
struct queue_clock *queue_clock_new(const struct clock *clock); /* NULL: memory is out */
void queue_clock_free(struct queue_clock *queue_clock);
SCOPED_FREE(queue_clock)
int64_t queue_clock_ms(struct queue_clock *queue_clock);
/* How far that is ahead of the wall clock; 0 unless that was set back. */
int64_t queue_clock_ahead_ms(struct queue_clock *queue_clock);
/* How far the wall clock was set, in all, since this was last asked. False: it was not. */
bool queue_clock_was_set(struct queue_clock *queue_clock, int64_t *by_ms);
