/* A message's journey, told as a person would. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "store/store.h"

#include <stdbool.h>

/* Opens a sealed text, or writes "(sealed)" where it may not. */
struct trace_opener {
    bool (*open)(void *self, const struct store_message *message, const char *what,
                 struct span sealed, struct buffer *out);
    void *self;
};
/* Sender, recipients, and each event in order with its time: what was decided and by which rule,
 * each attempt with host, TLS, proof and outcome, what it waits for now. */
MUST_USE bool trace_write(const struct store_message *message,
                          const struct store_delivery *deliveries, size_t delivery_count,
                          const struct store_journal_row *rows, size_t row_count,
                          const struct trace_opener *opener, int64_t now_ms, struct buffer *out,
                          struct error *why);
