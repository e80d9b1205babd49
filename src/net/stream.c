/* A connection as a session sees it: lines and bytes in, bytes out, and each wait has its end. */
/* SPDX-License-Identifier: ISC */
#include "base/descriptor.h"
#include "base/memory.h"
#include "base/secret.h"
#include "stream_private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    /* How long a read sleeps in the kernel. Most answers come sooner, and then cost one system call
     * instead of three (try, poll, try again); a deadline that is nearer is waited for by poll().
     */
    SLEEP_S = 10,
    IDLE_MS = 1000, /* after this long, poll()ing, a stream gives its buffers back */
};

/* A line, its CR and its LF must fit, whatever was read before them. */
_Static_assert(STREAM_LINE_MAX + 2 <= STREAM_READ_BUFFER, "the longest line does not fit");

struct stream *stream_new(int fd)
{
    struct stream *stream = fd >= 0 ? memory_allocate(sizeof *stream) : NULL;
    const struct timeval sleep = {.tv_sec = SLEEP_S};
    const int on = 1;

    if (!stream || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &sleep, sizeof sleep) != 0) {
        memory_release(stream);
        descriptor_close(&fd);
        return NULL;
    }
    stream->fd = fd;
    stream->patience = deadline_past;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* in vain on a unix socket */
    return stream;
}

static void release(char **block, size_t size)
{
    if (*block)
        secret_wipe(*block, size);
    memory_release(*block);
    *block = NULL;
}

/* A socket that is closed with bytes unread is reset, and the peer may lose our last words. */
static void drop_unread(int fd)
{
    char bytes[1024];

    for (size_t i = 0; i < STREAM_READ_BUFFER / sizeof bytes; i++)
        if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) < (ssize_t)sizeof bytes)
            break;
    secret_wipe(bytes, sizeof bytes);
}

void stream_free(struct stream *stream)
{
    if (!stream)
        return;
    stream_tls_end(stream);
    if (!stream->has_ended && !stream->has_failed)
        drop_unread(stream->fd);
    descriptor_close(&stream->fd);
    release(&stream->input, STREAM_READ_BUFFER);
    release(&stream->output, STREAM_WRITE_BUFFER);
    memory_release(stream);
}

static bool out_of_time(struct stream *stream, struct error *why)
{
    stream->timed_out = true;
    return error_set(why, ERROR_TEMPORARY, "4.4.2", "the peer took too long");
}

/* Buffers without content are not kept for a stream that idles. Only while it reads: a line that
 * was read lies in the input until the next read, and a flush writes from the output. */
static void give_back_buffers(struct stream *stream)
{
    if (stream->start == stream->end) {
        release(&stream->input, STREAM_READ_BUFFER);
        stream->start = stream->scanned = stream->end = 0;
    }
    if (stream->output_len == 0)
        release(&stream->output, STREAM_WRITE_BUFFER);
}

static bool wait_for(struct stream *stream, enum step step, struct deadline until,
                     bool may_give_back, struct error *why)
{
    struct pollfd wanted = {.fd = stream->fd, .events = step == STEP_WAIT_READ ? POLLIN : POLLOUT};

    for (;;) {
        int left = deadline_left_ms(until), ready;

        if (left == 0)
            return out_of_time(stream, why);
        if (may_give_back && (stream->input || stream->output) && left > IDLE_MS)
            left = IDLE_MS;
        ready = poll(&wanted, 1, left);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR) {
            stream->has_failed = true;
            return error_set(why, ERROR_TEMPORARY, "4.4.2", "waiting for a peer: %s",
                             strerrordesc_np(errno));
        }
        if (ready == 0 && may_give_back) {
            give_back_buffers(stream);
            may_give_back = false; /* half a line stays; the rest of the wait is one sleep */
        }
    }
}

bool stream_wait(struct stream *stream, enum step step, struct deadline until, struct error *why)
{
    return wait_for(stream, step, until, false, why);
}

ssize_t stream_receive(const struct stream *stream, char *out, size_t size)
{
    ssize_t got;

    do {
        /* Asked anew each time: one record may come in thousands of pieces, and the last of them
         * shall not be waited for any longer than the first. */
        bool may_sleep = deadline_left_ms(stream->patience) > SLEEP_S * 1000;

        got = recv(stream->fd, out, size, may_sleep ? 0 : MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    return got;
}

static enum step plain_step(const char *doing, struct error *why)
{
    error_set(why, ERROR_TEMPORARY, "4.4.2", "%s: %s", doing, strerrordesc_np(errno));
    return STEP_FAILED;
}

static enum step read_some(struct stream *stream, char *out, size_t size, size_t *len,
                           struct error *why)
{
    ssize_t got;

    if (stream->tls)
        return stream_tls_read(stream, out, size, len, why);
    got = stream_receive(stream, out, size);
    if (got > 0) {
        *len = (size_t)got;
        return STEP_DONE;
    }
    if (got == 0) {
        stream->has_ended = true;
        return STEP_END;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return STEP_WAIT_READ;
    stream->has_failed = true;
    return plain_step("reading from a peer", why);
}

static enum step write_some(struct stream *stream, struct span bytes, size_t *len,
                            struct error *why)
{
    ssize_t put;

    if (stream->tls)
        return stream_tls_write(stream, bytes, len, why);
    do
        put = send(stream->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (put < 0 && errno == EINTR);
    if (put >= 0) {
        *len = (size_t)put;
        return STEP_DONE;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return STEP_WAIT_WRITE;
    stream->takes_no_more = true;
    return plain_step("writing to a peer", why);
}

/* Makes room behind `end`: there is some wherever less than a whole buffer is unread, and not so
 * little that the next read would be hardly worth its system call. */
static bool make_room(struct stream *stream, struct error *why)
{
    if (!stream->input && !(stream->input = memory_allocate(STREAM_READ_BUFFER))) {
        stream->has_failed = true;
        return error_set(why, ERROR_TEMPORARY, "4.4.2", "no memory for a read buffer");
    }
    if (stream->start == stream->end) {
        stream->start = stream->scanned = stream->end = 0;
    } else if (stream->end > STREAM_READ_BUFFER / 2 && stream->start > 0) {
        memmove(stream->input, stream->input + stream->start, stream->end - stream->start);
        stream->scanned -= stream->start;
        stream->end -= stream->start;
        stream->start = 0;
    }
    return true;
}

/* One try to read more. STEP_DONE where the buffer is full too: nothing is lost by not reading. */
static enum step try_fill(struct stream *stream, struct error *why)
{
    enum step step;
    size_t len;

    if (stream->has_failed) {
        error_set(why, ERROR_TEMPORARY, "4.4.2", "the connection is broken");
        return STEP_FAILED;
    }
    if (stream->has_ended)
        return STEP_END;
    if (!make_room(stream, why))
        return STEP_FAILED;
    if (stream->end == STREAM_READ_BUFFER)
        return STEP_DONE;
    step =
        read_some(stream, stream->input + stream->end, STREAM_READ_BUFFER - stream->end, &len, why);
    if (step == STEP_DONE)
        stream->end += len;
    return step;
}

/* At least one byte more, within the deadline; *is_end at the end of the stream. */
static bool fill(struct stream *stream, struct deadline until, bool *is_end, struct error *why)
{
    *is_end = false;
    for (;;) {
        enum step step;

        stream->patience = until;
        step = try_fill(stream, why);
        stream->patience = deadline_past;
        switch (step) {
        case STEP_DONE:
            return true;
        case STEP_END:
            *is_end = true;
            return true;
        case STEP_FAILED:
            return false;
        case STEP_WAIT_READ:
        case STEP_WAIT_WRITE:
            if (!wait_for(stream, step, until, true, why))
                return false;
        }
    }
}

static struct span unread(const struct stream *stream)
{
    return span_make(stream->input ? stream->input + stream->start : "",
                     stream->end - stream->start);
}

/* What the unread bytes begin with. The first byte that breaks a rule decides, so that the answer
 * does not depend on how the bytes arrived. */
enum line { LINE_OPEN, LINE_WHOLE, LINE_BARE, LINE_LONG };

static enum line scan_line(struct stream *stream, size_t *len)
{
    struct span bytes = unread(stream);
    size_t from = stream->scanned - stream->start;
    struct span head = span_until(bytes, STREAM_LINE_MAX + 1);
    size_t end = from + span_index(span_from(head, from), '\r');

    end = from + span_index(span_from(span_until(head, end), from), '\n');
    if (end > STREAM_LINE_MAX)
        return LINE_LONG; /* no end within the limit */
    stream->scanned = stream->start + end;
    if (end == bytes.len)
        return LINE_OPEN;
    if (bytes.data[end] == '\n')
        return LINE_BARE;
    if (end + 1 == bytes.len)
        return LINE_OPEN; /* a CR whose LF may yet come */
    *len = end;
    return bytes.data[end + 1] == '\n' ? LINE_WHOLE : LINE_BARE;
}

bool stream_read_line(struct stream *stream, struct deadline until, struct span *line,
                      struct error *why)
{
    stream->line_was_long = false;
    for (;;) {
        size_t len = 0;
        bool is_end;

        switch (scan_line(stream, &len)) {
        case LINE_WHOLE:
            *line = span_until(unread(stream), len);
            stream_consume(stream, len + 2);
            return true;
        case LINE_BARE:
            return error_set(why, ERROR_IMPOSSIBLE, "5.5.2", "a bare CR or LF in a line");
        case LINE_LONG:
            stream->line_was_long = true;
            return error_set(why, ERROR_IMPOSSIBLE, "5.5.2", "a line of more than %d bytes",
                             STREAM_LINE_MAX);
        case LINE_OPEN:
            break;
        }
        if (!fill(stream, until, &is_end, why))
            return false;
        if (is_end)
            return error_set(why, ERROR_TEMPORARY, "4.4.2", "the peer closed the connection");
    }
}

bool stream_skip_line(struct stream *stream, size_t limit, struct deadline until, struct error *why)
{
    bool after_cr = false, is_end;

    for (size_t skipped = 0; skipped < limit; skipped++) {
        char byte;

        if (stream->start == stream->end) {
            if (!fill(stream, until, &is_end, why))
                return false;
            if (is_end)
                return error_set(why, ERROR_TEMPORARY, "4.4.2", "the peer closed the connection");
        }
        byte = stream->input[stream->start];
        stream_consume(stream, 1);
        if (after_cr && byte == '\n')
            return true;
        after_cr = byte == '\r';
    }
    return error_set(why, ERROR_IMPOSSIBLE, "5.5.2", "a line of more than %zu bytes", limit);
}

bool stream_peek(struct stream *stream, struct deadline until, struct span *bytes,
                 struct error *why)
{
    bool is_end = false;

    if (stream->start == stream->end && !fill(stream, until, &is_end, why))
        return false;
    *bytes = is_end ? span_make("", 0) : unread(stream);
    return true;
}

void stream_consume(struct stream *stream, size_t len)
{
    assert(len <= stream->end - stream->start);
    stream->start += len;
    if (stream->scanned < stream->start)
        stream->scanned = stream->start;
}

/* Writes all of it, past the buffer. */
static bool put_out(struct stream *stream, struct span bytes, struct deadline until,
                    struct error *why)
{
    if (stream->has_failed || stream->takes_no_more)
        return error_set(why, ERROR_TEMPORARY, "4.4.2", "the connection is broken");
    while (bytes.len > 0) {
        size_t len = 0;
        enum step step = write_some(stream, bytes, &len, why);

        switch (step) {
        case STEP_DONE:
            bytes = span_from(bytes, len);
            break;
        case STEP_WAIT_READ:
        case STEP_WAIT_WRITE:
            if (!stream_wait(stream, step, until, why)) {
                stream->takes_no_more = true; /* half was written: nothing may follow it */
                return false;
            }
            break;
        case STEP_END:
            return error_set(why, ERROR_TEMPORARY, "4.4.2", "the peer closed the connection");
        case STEP_FAILED:
            return false;
        }
    }
    return true;
}

bool stream_flush(struct stream *stream, struct deadline until, struct error *why)
{
    struct span bytes = span_make(stream->output, stream->output_len);

    if (bytes.len == 0)
        return true;
    stream->output_len = 0; /* what a failed flush did not write is never written later */
    return put_out(stream, bytes, until, why);
}

bool stream_write(struct stream *stream, struct span bytes, struct deadline until,
                  struct error *why)
{
    while (bytes.len > 0) {
        size_t room = STREAM_WRITE_BUFFER - stream->output_len;
        size_t len = bytes.len < room ? bytes.len : room;

        if (stream->output_len == 0 && bytes.len >= STREAM_WRITE_BUFFER)
            return put_out(stream, bytes, until, why);
        if (!stream->output && !(stream->output = memory_allocate(STREAM_WRITE_BUFFER))) {
            stream->has_failed = true;
            return error_set(why, ERROR_TEMPORARY, "4.4.2", "no memory for a write buffer");
        }
        memcpy(stream->output + stream->output_len, bytes.data, len);
        stream->output_len += len;
        bytes = span_from(bytes, len);
        if (stream->output_len == STREAM_WRITE_BUFFER && !stream_flush(stream, until, why))
            return false;
    }
    return true;
}

size_t stream_unread(struct stream *stream)
{
    int waiting = 0;
    char byte;
    struct error unused;

    if (stream->tls) {
        /* What waits in the socket may be an alert or a ticket and no data: reading tells. */
        if (stream->start == stream->end)
            (void)try_fill(stream, &unused);
        return stream->end - stream->start + (size_t)SSL_pending(stream->tls);
    }
    if (ioctl(stream->fd, FIONREAD, &waiting) != 0 || waiting < 0)
        waiting = 0;
    if (waiting == 0 && recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        stream->has_ended = true;
    return stream->end - stream->start + (size_t)waiting;
}

void stream_discard_unread(struct stream *stream)
{
    if (stream->input)
        secret_wipe(stream->input + stream->start, stream->end - stream->start);
    stream->start = stream->scanned = stream->end = 0;
}

bool stream_timed_out(const struct stream *stream)
{
    return stream->timed_out;
}

bool stream_line_was_long(const struct stream *stream)
{
    return stream->line_was_long;
}

bool stream_is_over(const struct stream *stream)
{
    return stream->has_ended || stream->has_failed || stream->takes_no_more;
}

int stream_descriptor(const struct stream *stream)
{
    return stream->fd;
}

void stream_shut(struct stream *stream)
{
    shutdown(stream->fd, SHUT_RDWR);
}

static bool connect_within(int fd, const struct sockaddr *to, socklen_t to_len,
                           struct deadline until, int *problem)
{
    struct pollfd wanted = {.fd = fd, .events = POLLOUT};
    socklen_t size = sizeof *problem;
    int ready;

    *problem = 0;
    if (connect(fd, to, to_len) == 0)
        return true;
    if (errno != EINPROGRESS && errno != EINTR) {
        *problem = errno;
        return false;
    }
    do
        ready = poll(&wanted, 1, deadline_left_ms(until));
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        *problem = ETIMEDOUT;
    else if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, problem, &size) != 0)
        *problem = errno;
    return *problem == 0;
}

bool stream_connect(const struct sockaddr *to, socklen_t to_len, const struct sockaddr *source,
                    socklen_t source_len, struct deadline until, struct stream **out,
                    struct error *why)
{
    scoped_descriptor fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stream *stream;
    char name[ADDRESS_TEXT_SIZE];
    int problem = fd < 0 ? errno : 0;

    address_text(to, name);
    if (fd >= 0 && source && bind(fd, source, source_len) != 0)
        problem = errno;
    if (problem == 0)
        connect_within(fd, to, to_len, until, &problem);
    if (problem != 0)
        return error_set(why, ERROR_TEMPORARY, "4.4.1", "connecting to %s: %s", name,
                         strerrordesc_np(problem));
    fcntl(fd, F_SETFL, 0); /* it blocked not for connecting; now reads may sleep */
    stream = stream_new(fd);
    fd = -1; /* the stream's now, or closed already */
    if (!stream)
        return error_set(why, ERROR_TEMPORARY, "4.4.1", "no memory for a connection");
    *out = stream;
    return true;
}
