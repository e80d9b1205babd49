/* The words in which tables and stories speak. */
/* SPDX-License-Identifier: ISC */
#include "audit/words.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <inttypes.h>

void words_safe(struct buffer *out, struct span text, bool is_strange)
{
    while (text.len > 0) {
        size_t shown = utf8_visible(text), len = shown > 0 ? shown : 1;

        if (shown == 0 || (is_strange && shown > 1))
            for (size_t i = 0; i < len; i++)
                buffer_append_format(out, "\\x%02x", (unsigned char)text.data[i]);
        else
            buffer_append(out, span_until(text, len));
        text = span_from(text, len);
    }
}

void words_time(struct buffer *out, int64_t wall_ms)
{
    char iso[CLOCK_ISO_SIZE];

    clock_print_iso(wall_ms, iso);
    buffer_append_format(out, "%.10s %.8s UTC", iso, iso + 11);
}

void words_duration(struct buffer *out, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "day"}, {3600000, "hour"}, {60000, "minute"}, {1000, "second"}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        int64_t whole = (ms + units[i].ms / 2) / units[i].ms;

        if (ms >= units[i].ms || units[i].ms == 1000) {
            buffer_append_format(out, "%" PRId64 " %s%s", whole, units[i].unit,
                                 whole == 1 ? "" : "s");
            return;
        }
    }
}

void words_count(struct buffer *out, uint64_t count, const char *one, const char *many)
{
    buffer_append_format(out, "%" PRIu64 " %s", count, count == 1 ? one : many);
}
