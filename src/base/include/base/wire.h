/* Canonical bytes: big-endian numbers and length-prefixed spans, for disk formats, siblings,
 * hashes. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/buffer.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

void wire_put_u8(struct buffer *out, uint8_t value);
void wire_put_u16(struct buffer *out, uint16_t value);
void wire_put_u32(struct buffer *out, uint32_t value);
void wire_put_u64(struct buffer *out, uint64_t value);
void wire_put_bytes(struct buffer *out, const void *bytes, size_t len); /* no length before it */
void wire_put_span(struct buffer *out, struct span text);               /* u32 length, then bytes */

/* Reading past the end fails and sticks; a failed reader yields zeros and empty spans. */
struct wire_reader {
    struct span rest;
    bool failed;
};
uint8_t wire_get_u8(struct wire_reader *in);
uint16_t wire_get_u16(struct wire_reader *in);
uint32_t wire_get_u32(struct wire_reader *in);
uint64_t wire_get_u64(struct wire_reader *in);
/* Copies exactly len bytes (zeros when failed). */
void wire_get_bytes(struct wire_reader *in, void *out, size_t len);
/* The span lies in the input; longer than `limit` is a failure. */
struct span wire_get_span(struct wire_reader *in, size_t limit);
/* True when nothing failed and nothing is left over. */
bool wire_is_done(const struct wire_reader *in);

/* Lower-case hex. `out` holds 2 * len + 1 bytes. */
void hex_print(const void *bytes, size_t len, char *out);
MUST_USE bool hex_parse(struct span text, void *out, size_t len);
