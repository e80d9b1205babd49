/* Saying and hearing: replies are gathered and leave together before a wait, and every wait ends at
 * its deadline or with the process. */
/* SPDX-License-Identifier: ISC */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <unistd.h>

enum {
    REPLY_SIZE = 512, /* RFC 5321 section 4.5.3.1.5, CRLF counted */
    /* A stream that has waited this long by itself gives its buffers back. */
    IDLE_MS = 1000,
};

static struct deadline write_deadline(const struct session *session)
{
    return deadline_in_ms(session->receive->terms.limits.command_timeout_ms);
}

static void write_out(struct session *session, const char *line, size_t len)
{
    struct error why;

    if (!stream_write(session->stream, span_make(line, len), write_deadline(session), &why))
        session->is_over = true;
}

static bool flush(struct session *session)
{
    struct error why;

    if (!stream_flush(session->stream, write_deadline(session), &why))
        session->is_over = true;
    return !session->is_over;
}

/* Puts printf's text and a CRLF behind what stands in `line` already. */
PRINTF_LIKE(4, 0)
static void finish_line(struct session *session, char line[static REPLY_SIZE], int begun,
                        const char *format, va_list arguments)
{
    size_t room = REPLY_SIZE - 2 - (size_t)begun, len;
    int put = vsnprintf(line + begun, room, format, arguments);

    len = put < 0 ? 0 : (size_t)put < room ? (size_t)put : room - 1;
    len += (size_t)begun;
    for (size_t i = 0; i < len; i++)
        if (line[i] < ' ' || line[i] > '~')
            line[i] = '?'; /* a rule's or an organisation's name may hold more than ASCII */
    memcpy(line + len, "\r\n", 2);
    write_out(session, line, len + 2);
}

void say(struct session *session, unsigned code, const char *status, const char *format, ...)
{
    char line[REPLY_SIZE];
    int begun =
        snprintf(line, sizeof line, "%u %s%s", code, status ? status : "", status ? " " : "");
    va_list arguments;

    va_start(arguments, format);
    finish_line(session, line, begun, format, arguments);
    va_end(arguments);
}

void say_more(struct session *session, unsigned code, const char *format, ...)
{
    char line[REPLY_SIZE];
    int begun = snprintf(line, sizeof line, "%u-", code);
    va_list arguments;

    va_start(arguments, format);
    finish_line(session, line, begun, format, arguments);
    va_end(arguments);
}

void say_refusal(struct session *session, const struct refusal *refusal)
{
    say(session, refusal->code, refusal->status, "%s", refusal->text);
}

void say_last(struct session *session, unsigned code, const char *status, const char *text)
{
    say(session, code, status, "%s", text);
    cut_short(session);
}

void say_wrong(struct session *session, unsigned code, const char *status, const char *text)
{
    say(session, code, status, "%s", text);
    if (++session->errors < session->receive->terms.limits.errors_max)
        return;
    tell_refused(session, EVENT_MESSAGE_REFUSED, "4.7.0", "too many wrong commands");
    say_last(session, 421, "4.7.0", "Too many errors, closing");
}

static void say_too_slow(struct session *session)
{
    say_last(session, 421, "4.4.2", "Nothing came in time, closing");
}

static void say_stopping(struct session *session)
{
    say_last(session, 421, "4.3.2", "This server is going down, try again shortly");
}

enum heard { HEARD_BYTES, HEARD_NOTHING, HEARD_STOP, HEARD_FAILURE };

/* Waits for the socket, and for the end of the process where `heeds_stop`. */
static enum heard wait_for_bytes(struct session *session, struct deadline until, bool heeds_stop)
{
    struct pollfd wanted[] = {
        {.fd = stream_descriptor(session->stream), .events = POLLIN},
        {.fd = heeds_stop ? session->receive->stop_event : -1, .events = POLLIN},
    };
    int ready;

    do
        ready = poll(wanted, 2, deadline_left_ms(until));
    while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return HEARD_FAILURE;
    if (wanted[0].revents != 0)
        return HEARD_BYTES; /* also what is left of a client that has gone */
    return wanted[1].revents != 0 ? HEARD_STOP : HEARD_NOTHING;
}

/* The same for a client that may be away for long: its stream's buffers are given back. */
static enum heard wait_patiently(struct session *session, struct deadline until)
{
    struct deadline soon = deadline_earlier(deadline_in_ms(IDLE_MS), until);
    enum heard heard = wait_for_bytes(session, soon, true);
    struct error why;
    struct span bytes;

    if (heard != HEARD_NOTHING || deadline_is_over(until))
        return heard;
    soon = deadline_earlier(deadline_in_ms(IDLE_MS + 1), until);
    if (stream_peek(session->stream, soon, &bytes, &why))
        return HEARD_BYTES;
    if (stream_is_over(session->stream))
        return HEARD_FAILURE;
    return wait_for_bytes(session, until, true);
}

/* What is here already, without waiting; empty where there is nothing, or no more. */
static struct span take_a_look(struct session *session)
{
    struct span bytes = {"", 0};
    struct error why;

    if (!stream_peek(session->stream, deadline_in_ms(0), &bytes, &why))
        bytes.len = 0;
    return bytes;
}

/* Is a whole line here already? If not, whatever we have said must leave before we wait, or two
 * polite parties would wait for each other (RFC 2920 section 3.2). *may_wait: the rest of it must
 * come from the socket, which is open. */
static bool has_line(struct session *session, bool *may_wait)
{
    struct span bytes = take_a_look(session);

    if (span_index(bytes, '\n') < bytes.len)
        return true;
    *may_wait = !stream_is_over(session->stream) &&
                (bytes.len == 0 || stream_unread(session->stream) <= bytes.len);
    return false;
}

/* A TLS ClientHello on a port that begins in the clear, or anything else that is no text, would
 * never bring the end of a line. */
static bool is_text(char first)
{
    return (first >= ' ' && first <= '~') || first == '\r' || first == '\n' || first == '\t';
}

static bool cannot_hear(struct session *session, const struct error *why)
{
    if (stream_is_over(session->stream)) {
        session->is_over = true;
    } else if (why->kind == ERROR_IMPOSSIBLE) {
        tell_refused(session, EVENT_MESSAGE_REFUSED, "5.5.2", why->text);
        say_last(session, 500, "5.5.2",
                 stream_line_was_long(session->stream) ? "Line too long, closing"
                                                       : "Lines end in CRLF, closing");
    } else {
        say_too_slow(session);
    }
    return false;
}

bool hear_line(struct session *session, struct span *line)
{
    const struct receive_limits *limits = &session->receive->terms.limits;
    struct deadline until =
        deadline_earlier(deadline_in_ms(limits->command_timeout_ms), session->end);
    struct error why = {.kind = ERROR_TEMPORARY};
    struct span bytes;
    bool may_wait;

    if (session->is_over)
        return false;
    if (!has_line(session, &may_wait)) {
        enum heard heard = HEARD_BYTES;

        if (!flush(session))
            return false;
        if (may_wait)
            heard = wait_patiently(session, until);
        switch (heard) {
        case HEARD_BYTES:
            break;
        case HEARD_STOP:
            say_stopping(session);
            return false;
        case HEARD_NOTHING:
        case HEARD_FAILURE:
            return cannot_hear(session, &why);
        }
    } else if (deadline_is_over(session->end)) {
        say_too_slow(session);
        return false;
    } else if (deadline_is_over(service_grace(session->receive))) {
        say_stopping(session); /* a client that never pauses */
        return false;
    }
    if (!stream_peek(session->stream, until, &bytes, &why))
        return cannot_hear(session, &why);
    if (bytes.len > 0 && !is_text(bytes.data[0])) {
        tell_refused(session, EVENT_MESSAGE_REFUSED, "5.5.2", "a line that is no text");
        say_last(session, 500, "5.5.2", "This is no command, closing");
        return false;
    }
    return stream_read_line(session->stream, until, line, &why) || cannot_hear(session, &why);
}

static bool no_data(struct session *session, const char *reason)
{
    tell_refused(session, EVENT_CLIENT_LEFT, "4.4.2", reason);
    session->is_over = true;
    return false;
}

/* Waits as long as a client may take for the next piece of its message; once the process is ending,
 * what is on its way may still arrive within the grace. */
static struct deadline wait_for_data(struct session *session)
{
    struct receive *receive = session->receive;
    struct deadline until = deadline_earlier(deadline_in_ms(receive->terms.limits.data_timeout_ms),
                                             session->transaction.end_of_data);

    /* Its end may be known from TLS while the socket stays open: there is nothing to wait for. */
    if (!stream_is_over(session->stream) && !service_is_stopping(receive) &&
        wait_for_bytes(session, until, true) != HEARD_STOP)
        return until;
    return service_is_stopping(receive) ? deadline_earlier(until, service_grace(receive)) : until;
}

static bool data_is_late(struct session *session)
{
    if (service_is_stopping(session->receive)) {
        say_stopping(session);
        return no_data(session, "the server stopped inside a message");
    }
    say_too_slow(session);
    return no_data(session, "the client was too slow inside a message");
}

bool hear_data(struct session *session, struct span *bytes)
{
    struct deadline until =
        deadline_earlier(session->transaction.end_of_data, service_grace(session->receive));
    struct error why;

    if (session->is_over)
        return false;
    if (deadline_is_over(until)) /* also for who never pauses */
        return data_is_late(session);
    *bytes = take_a_look(session);
    if (bytes->len > 0)
        return true;
    if (!flush(session))
        return no_data(session, "the connection broke inside a message");
    until = wait_for_data(session);
    if (stream_peek(session->stream, until, bytes, &why)) {
        if (bytes->len > 0)
            return true;
        return no_data(session, "the client left inside a message");
    }
    if (stream_is_over(session->stream))
        return no_data(session, "the connection broke inside a message");
    return data_is_late(session);
}

void say_goodbye(struct session *session)
{
    struct deadline until = deadline_in_ms(RECEIVE_LINGER_MS);
    int fd = stream_descriptor(session->stream);
    size_t heard = 0;
    struct error why;

    if (!stream_flush(session->stream, until, &why) || stream_is_over(session->stream) ||
        !session->is_cut_short)
        return;
    /* What still comes would make the kernel answer with a reset, and that overtakes our reply.
     * Behind TLS the stream has its own last word to say, so the socket stays open for it. */
    if (!stream_is_tls(session->stream))
        shutdown(fd, SHUT_WR);
    while (heard < RECEIVE_LINGER_BYTES && !service_is_stopping(session->receive)) {
        ssize_t got = recv(fd, NULL, RECEIVE_LINGER_BYTES, MSG_TRUNC | MSG_DONTWAIT);

        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return;
        if (got > 0)
            heard += (size_t)got;
        else if (stream_is_tls(session->stream) ||
                 wait_for_bytes(session, until, true) != HEARD_BYTES)
            return;
    }
}
