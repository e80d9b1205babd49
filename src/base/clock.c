/* The machine's clocks, a clock moved by hand, deadlines, and dates by our own arithmetic. */
/* SPDX-License-Identifier: ISC */
#include "base/clock.h"

#include <stddef.h>
#include <stdio.h>
#include <time.h>

static const int64_t ns_per_ms = 1000000, ms_per_day = 86400000;

static int64_t read_clock(clockid_t which, int64_t unit_ns)
{
    struct timespec now;

    clock_gettime(which, &now); /* cannot fail for the clocks that we name */
    return (int64_t)now.tv_sec * (1000000000 / unit_ns) + now.tv_nsec / unit_ns;
}

static int64_t system_wall_ms(void *self)
{
    (void)self;
    return read_clock(CLOCK_REALTIME, ns_per_ms);
}

static int64_t system_monotonic_ns(void *self)
{
    (void)self;
    return read_clock(CLOCK_MONOTONIC, 1);
}

const struct clock clock_of_system = {.wall_ms = system_wall_ms,
                                      .monotonic_ns = system_monotonic_ns};

static int64_t hand_wall_ms(void *self)
{
    return ((const struct clock_by_hand *)self)->wall_ms;
}

static int64_t hand_monotonic_ns(void *self)
{
    return ((const struct clock_by_hand *)self)->monotonic_ns;
}

struct clock clock_by_hand(struct clock_by_hand *hand)
{
    return (struct clock){.wall_ms = hand_wall_ms, .monotonic_ns = hand_monotonic_ns, .self = hand};
}

void clock_by_hand_move(struct clock_by_hand *hand, int64_t ms)
{
    hand->wall_ms += ms;
    hand->monotonic_ns += ms * ns_per_ms;
}

struct deadline deadline_in_ms(int64_t ms)
{
    int64_t ns;

    /* What lies beyond the clock's range is never. */
    if (__builtin_mul_overflow(ms, ns_per_ms, &ns) ||
        __builtin_add_overflow(system_monotonic_ns(NULL), ns, &ns))
        ns = ms > 0 ? INT64_MAX : INT64_MIN;
    return (struct deadline){ns};
}

struct deadline deadline_earlier(struct deadline a, struct deadline b)
{
    return a.monotonic_ns < b.monotonic_ns ? a : b;
}

bool deadline_is_over(struct deadline deadline)
{
    return system_monotonic_ns(NULL) >= deadline.monotonic_ns;
}

int deadline_left_ms(struct deadline deadline)
{
    int64_t now = system_monotonic_ns(NULL), left_ns, left_ms;

    if (deadline.monotonic_ns <= now)
        return 0;
    if (__builtin_sub_overflow(deadline.monotonic_ns, now, &left_ns))
        return (int)ms_per_day;
    /* Rounded up: a wait that ends just before the deadline would spin. */
    left_ms = left_ns / ns_per_ms + (left_ns % ns_per_ms > 0);
    return left_ms < ms_per_day ? (int)left_ms : (int)ms_per_day;
}

struct civil {
    int year, month, day; /* 1 … 12, 1 … 31 */
    int hour, minute, second;
    int weekday; /* 0 is Sunday */
};

/* The calendar repeats every 400 years, which are 146,097 days. Years are counted from March, so
 * that the leap day is the last of its year, and months then begin at (153 * month + 2) / 5 days.
 */
enum { DAYS_OF_ERA = 146097, DAYS_TO_1970 = 719468 /* from 0000-03-01 */ };

static int64_t days_of_date(int year, int month, int day)
{
    int64_t from_march = month > 2 ? month - 3 : month + 9;
    int64_t years = month > 2 ? year : year - 1;
    int64_t era = years / 400, year_of_era = years % 400;

    return era * DAYS_OF_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
           (153 * from_march + 2) / 5 + day - 1 - DAYS_TO_1970;
}

static struct civil civil_of(int64_t wall_ms)
{
    const int64_t last_ms = 253402300799999; /* the end of year 9999 */
    int64_t within_ms = wall_ms < 0 ? 0 : wall_ms > last_ms ? last_ms : wall_ms;
    int64_t days = within_ms / ms_per_day, seconds = within_ms % ms_per_day / 1000;
    int64_t from_era = days + DAYS_TO_1970, era = from_era / DAYS_OF_ERA;
    int64_t day_of_era = from_era % DAYS_OF_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * day_of_year + 2) / 153;
    int month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);

    return (struct civil){
        .year = (int)(era * 400 + year_of_era) + (month <= 2),
        .month = month,
        .day = (int)(day_of_year - (153 * from_march + 2) / 5 + 1),
        .hour = (int)(seconds / 3600),
        .minute = (int)(seconds / 60 % 60),
        .second = (int)(seconds % 60),
        .weekday = (int)((days + 4) % 7), /* 1970-01-01 was a Thursday */
    };
}

void clock_print_iso(int64_t wall_ms, char out[CLOCK_ISO_SIZE])
{
    struct civil t = civil_of(wall_ms);

    snprintf(out, CLOCK_ISO_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)t.year % 10000,
             (unsigned)t.month % 100, (unsigned)t.day % 100, (unsigned)t.hour % 100,
             (unsigned)t.minute % 100, (unsigned)t.second % 100);
}

void clock_print_rfc5322(int64_t wall_ms, char out[CLOCK_RFC5322_SIZE])
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct civil t = civil_of(wall_ms);

    snprintf(out, CLOCK_RFC5322_SIZE, "%s, %u %s %04u %02u:%02u:%02u +0000", days[t.weekday],
             (unsigned)t.day % 100, months[t.month - 1], (unsigned)t.year % 10000,
             (unsigned)t.hour % 100, (unsigned)t.minute % 100, (unsigned)t.second % 100);
}

int32_t clock_day(int64_t wall_ms)
{
    int64_t day = wall_ms / ms_per_day - (wall_ms % ms_per_day < 0);

    return day > INT32_MAX ? INT32_MAX : day < INT32_MIN ? INT32_MIN : (int32_t)day;
}

bool clock_from_date(int year, int month, int day, int64_t *wall_ms)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (year < 1 || year > 9999 || month < 1 || month > 12)
        return false;
    if (day < 1 || day > lengths[month - 1] + (month == 2 && is_leap))
        return false;
    *wall_ms = days_of_date(year, month, day) * ms_per_day;
    return true;
}
