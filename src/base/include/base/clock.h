/* Time as a thing that is handed in, so that a five-day back-off is a test of milliseconds. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A moment of the monotonic clock by which something must have happened. */
struct deadline {
    int64_t monotonic_ns;
};

struct clock {
    int64_t (*wall_ms)(void *self);      /* milliseconds since 1970, UTC */
    int64_t (*monotonic_ns)(void *self); /* never goes back */
    void *self;
};

/* The machine's clocks. */
extern const struct clock clock_of_system;

/* A clock that stands still until it is told to move; for tests. Both readings move together. */
struct clock_by_hand {
    int64_t wall_ms;
    int64_t monotonic_ns;
};
struct clock clock_by_hand(struct clock_by_hand *hand);
void clock_by_hand_move(struct clock_by_hand *hand, int64_t ms);

static inline int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock->self);
}
static inline int64_t clock_monotonic_ns(const struct clock *clock)
{
    return clock->monotonic_ns(clock->self);
}

/* Sockets wait by the machine's monotonic clock: deadlines are always of it. */
struct deadline deadline_in_ms(int64_t ms);
struct deadline deadline_earlier(struct deadline a, struct deadline b);
bool deadline_is_over(struct deadline deadline);
/* For poll(): 0 when it is over, never above a day, rounded up. */
int deadline_left_ms(struct deadline deadline);

/* "2026-11-25T12:44:36Z"; `out` holds at least 25 bytes. For wall times of years 1970 to 9999. */
enum { CLOCK_ISO_SIZE = 25, CLOCK_RFC5322_SIZE = 40 };
void clock_print_iso(int64_t wall_ms, char out[CLOCK_ISO_SIZE]);
/* "Wed, 25 Nov 2026 12:44:36 +0000" (RFC 5322 section 3.3). */
void clock_print_rfc5322(int64_t wall_ms, char out[CLOCK_RFC5322_SIZE]);
/* Days since 1970-01-01, UTC. */
int32_t clock_day(int64_t wall_ms);
/* Midnight (UTC, ms) at the start of a civil date; false where there is no such date. */
bool clock_from_date(int year, int month, int day, int64_t *wall_ms);
