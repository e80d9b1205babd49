/* Times, durations and strangers' texts as a person reads them on a terminal. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/buffer.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* What a terminal would obey (utf8_visible()), and all that is not ASCII where the words are a
 * stranger's, is shown as \xNN. */
void words_safe(struct buffer *out, struct span text, bool is_strange);
/* "2026-11-25 12:44:36 UTC" */
void words_time(struct buffer *out, int64_t wall_ms);
/* "12 minutes", "3 days": as exact as a person is. Not negative. */
void words_duration(struct buffer *out, int64_t ms);
/* "1 byte", "2 bytes" */
void words_count(struct buffer *out, uint64_t count, const char *one, const char *many);
