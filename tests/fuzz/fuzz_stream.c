/* fuzz-deps: base net */
/* A stream's lines do not depend on how the bytes arrived: whole, or cut anywhere in two. */
/* SPDX-License-Identifier: ISC */
#include "net/stream.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 20000 };

/* What reading came to: the lines, each behind its length, and how it ended. */
struct transcript {
    char bytes[4 * INPUT_MAX];
    size_t len;
    bool is_over;
};

static void add(struct transcript *t, const void *bytes, size_t len)
{
    assert(t->len + len <= sizeof t->bytes);
    if (len > 0)
        memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
}

/* Reads all lines that are there; skips those that are too long, as receive does. */
static void read_lines(struct stream *stream, struct transcript *t)
{
    const struct deadline now = deadline_in_ms(-1);
    struct span line;
    struct error why;

    while (!t->is_over) {
        if (stream_read_line(stream, now, &line, &why)) {
            assert(line.len <= STREAM_LINE_MAX);
            assert(span_index(line, '\r') == line.len && span_index(line, '\n') == line.len);
            add(t, &line.len, sizeof line.len);
            add(t, line.data, line.len);
        } else if (stream_line_was_long(stream)) {
            add(t, "long", 4);
            t->is_over = true;
        } else if (why.kind == ERROR_IMPOSSIBLE) {
            add(t, "bare", 4);
            t->is_over = true;
        } else {
            return;
        }
    }
}

static void play(const uint8_t *data, size_t size, size_t cut, struct transcript *t)
{
    int ends[2];
    struct stream *stream;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || !(stream = stream_new(ends[0])))
        abort();
    t->len = 0;
    t->is_over = false;
    if (send(ends[1], data, cut, MSG_NOSIGNAL) != (ssize_t)cut)
        abort();
    read_lines(stream, t);
    if (send(ends[1], data + cut, size - cut, MSG_NOSIGNAL) != (ssize_t)(size - cut))
        abort();
    read_lines(stream, t);
    stream_free(stream);
    close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct transcript whole, parts;
    size_t cut;

    if (size < 2 || size > INPUT_MAX)
        return 0;
    cut = ((size_t)data[0] << 8 | data[1]) % (size - 1);
    play(data + 2, size - 2, 0, &whole);
    play(data + 2, size - 2, cut < size - 2 ? cut : size - 2, &parts);
    assert(whole.len == parts.len && memcmp(whole.bytes, parts.bytes, whole.len) == 0);
    return 0;
}
