/* A growing run of bytes, born with its largest size. A failed append sticks: check once at the
 * end. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/scoped.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data; /* owned */
    size_t len;
    size_t capacity;
    size_t limit;   /* bytes; never exceeded */
    bool is_secret; /* wiped when it moves and when it ends */
    bool failed;    /* over the limit or out of memory; every later append is ignored */
};

void buffer_init(struct buffer *buffer, size_t limit);
void buffer_init_secret(struct buffer *buffer, size_t limit);
void buffer_clear(struct buffer *buffer); /* gives the memory back; the limit stays; not failed */
void buffer_truncate(struct buffer *buffer, size_t len); /* shorter, keeping the memory */
bool buffer_append(struct buffer *buffer, struct span text);
bool buffer_append_byte(struct buffer *buffer, char byte);
bool buffer_append_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
/* Makes room for at least `more` bytes after .len; NULL when failed. The caller adds to .len. */
char *buffer_reserve(struct buffer *buffer, size_t more);
static inline struct span buffer_span(const struct buffer *buffer)
{
    return (struct span){buffer->data ? buffer->data : "", buffer->len};
}
static inline void buffer_clear_at_end(struct buffer *buffer)
{
    buffer_clear(buffer);
}
/* `scoped_buffer b; buffer_init(&b, limit);` */
#define scoped_buffer __attribute__((cleanup(buffer_clear_at_end))) struct buffer
