/* A run of bytes that grows by doubling up to the limit it was born with. */
/* SPDX-License-Identifier: ISC */
#include "base/buffer.h"

#include "base/memory.h"
#include "base/secret.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CAPACITY_FIRST = 256 };

void buffer_init(struct buffer *buffer, size_t limit)
{
    *buffer = (struct buffer){.limit = limit};
}

void buffer_init_secret(struct buffer *buffer, size_t limit)
{
    *buffer = (struct buffer){.limit = limit, .is_secret = true};
}

void buffer_clear(struct buffer *buffer)
{
    if (buffer->is_secret && buffer->data)
        secret_wipe(buffer->data, buffer->capacity);
    memory_release(buffer->data);
    *buffer = (struct buffer){.limit = buffer->limit, .is_secret = buffer->is_secret};
}

void buffer_truncate(struct buffer *buffer, size_t len)
{
    assert(len <= buffer->len);
    if (buffer->is_secret && buffer->data)
        secret_wipe(buffer->data + len, buffer->len - len);
    buffer->len = len;
}

/* Each block has one byte more than its capacity, for the NUL that printf writes. */
static bool move(struct buffer *buffer, size_t capacity)
{
    char *moved;
    size_t size;

    if (!size_add(capacity, 1, &size))
        return false;
    if (!buffer->is_secret) {
        moved = memory_resize(buffer->data, buffer->data ? buffer->capacity + 1 : 0, size);
    } else if ((moved = memory_allocate(size)) != NULL && buffer->data) {
        memcpy(moved, buffer->data, buffer->len);
        secret_wipe(buffer->data, buffer->capacity);
        memory_release(buffer->data);
    }
    if (!moved)
        return false;
    buffer->data = moved;
    buffer->capacity = capacity;
    return true;
}

char *buffer_reserve(struct buffer *buffer, size_t more)
{
    size_t needed, capacity;

    if (buffer->failed)
        return NULL;
    if (!size_add(buffer->len, more, &needed) || needed > buffer->limit) {
        buffer->failed = true;
        return NULL;
    }
    if (needed > buffer->capacity || !buffer->data) {
        if (!size_multiply(buffer->capacity, 2, &capacity) || capacity < needed)
            capacity = needed;
        if (capacity < CAPACITY_FIRST)
            capacity = CAPACITY_FIRST;
        if (capacity > buffer->limit)
            capacity = buffer->limit;
        if (!move(buffer, capacity)) {
            buffer->failed = true;
            return NULL;
        }
    }
    return buffer->data + buffer->len;
}

bool buffer_append(struct buffer *buffer, struct span text)
{
    char *end = buffer_reserve(buffer, text.len);

    if (!end)
        return false;
    if (text.len > 0)
        memcpy(end, text.data, text.len);
    buffer->len += text.len;
    return true;
}

bool buffer_append_byte(struct buffer *buffer, char byte)
{
    return buffer_append(buffer, span_make(&byte, 1));
}

bool buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    char *end = NULL;
    int len;

    va_start(arguments, format);
    va_copy(again, arguments);
    len = vsnprintf(NULL, 0, format, arguments);
    if (len < 0)
        buffer->failed = true;
    else
        end = buffer_reserve(buffer, (size_t)len);
    if (end) {
        vsnprintf(end, (size_t)len + 1, format, again);
        buffer->len += (size_t)len;
    }
    va_end(again);
    va_end(arguments);
    return end != NULL;
}
