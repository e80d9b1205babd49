/* One transaction with a mail server on loopback that says just these lines: what is kept back,
 * what spoils a session, what is still heard of a peer that hangs up. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/memory.h"
#include "smtp_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_MS = 20000 };

/* The peer reads one line before each of its replies but the first, and then whatever comes until
 * we are gone. */
struct script {
    const char *replies[8];
    size_t data_before_last; /* so many bytes are read before the last reply, which hangs up */
};

static struct {
    struct script script;
    int listening;
    pthread_t thread;
    size_t rest; /* bytes that came behind the last line */
} peer;

static void reply_with(struct stream *stream, const char *text)
{
    struct error why;

    assert_true(stream_write(stream, span_of(text), deadline_in_ms(WAIT_MS), &why));
    assert_true(stream_flush(stream, deadline_in_ms(WAIT_MS), &why));
}

static bool read_bytes(struct stream *stream, size_t at_most)
{
    struct error why;
    struct span bytes;

    while (peer.rest < at_most) {
        if (!stream_peek(stream, deadline_in_ms(WAIT_MS), &bytes, &why) || bytes.len == 0)
            return false;
        peer.rest += bytes.len;
        stream_consume(stream, bytes.len);
    }
    return true;
}

static void *play(void *unused)
{
    struct stream *stream = stream_new(accept(peer.listening, NULL, NULL));
    struct error why;
    struct span line;
    bool goes_on = true;

    (void)unused;
    for (size_t i = 0; goes_on && peer.script.replies[i]; i++) {
        bool is_last = !peer.script.replies[i + 1];

        if (is_last && peer.script.data_before_last > 0)
            goes_on = read_bytes(stream, peer.script.data_before_last);
        else if (i > 0)
            goes_on = stream_read_line(stream, deadline_in_ms(WAIT_MS), &line, &why);
        if (goes_on)
            reply_with(stream, peer.script.replies[i]);
    }
    if (peer.script.data_before_last == 0)
        read_bytes(stream, SIZE_MAX);
    stream_free(stream);
    return NULL;
}

static void watch_nothing(void *self, struct stream *stream)
{
    (void)self, (void)stream;
}

static struct session *open_session(const struct script *script,
                                    const struct deliver_limits *limits, struct arena *arena)
{
    const struct session_terms terms = {
        .limits = limits, .our_name = SPAN_LITERAL("mx.clinic.example"), .watch = watch_nothing};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    struct target target = {.host = SPAN_LITERAL("mx.example"),
                            .address_len = sizeof address,
                            .address_text = "127.0.0.1",
                            .need = TLS_NEED_NONE,
                            .mechanism = "none",
                            .level = "cleartext"};
    struct session *session;
    struct verdict end;
    bool is_dead;

    peer.script = *script;
    peer.rest = 0;
    peer.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer.listening, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(peer.listening, 1), 0);
    assert_int_equal(getsockname(peer.listening, (struct sockaddr *)&address, &len), 0);
    memcpy(&target.address, &address, sizeof address);
    assert_int_equal(pthread_create(&peer.thread, NULL, play, NULL), 0);
    assert_true(
        session_open(&terms, &target, SPAN_LITERAL("key"), arena, &session, &end, &is_dead));
    return session;
}

static void close_session(struct session *session)
{
    session_free(session);
    pthread_join(peer.thread, NULL);
    close(peer.listening);
}

static bool never(void *self, bool is_past)
{
    *(unsigned *)self += is_past;
    return !is_past;
}
static bool always(void *self, bool is_past)
{
    *(unsigned *)self += is_past;
    return true;
}

struct row {
    const char *name;
    struct script script;
    size_t size; /* of the body; so much more is on the wire when all was sent: */
    size_t whole;
    bool is_stopping;
    enum transaction_end end;
    enum outcome outcome; /* where it was answered */
    const char *status;
    bool is_spoiled;
};

#define PLAIN "250-peer\r\n250 8BITMIME\r\n"
#define CHUNKING "250-peer\r\n250-CHUNKING\r\n250 8BITMIME\r\n"
#define OK "250 2.0.0 ok\r\n"

static const struct row rows[] = {
    {"the line with the dot stays while we stop",
     {{"220 hi\r\n", PLAIN, OK, OK, "354 go\r\n"}, 0},
     102,
     sizeof ".\r\n" - 1,
     true,
     TRANSACTION_STOPPED,
     OUTCOME_DELIVERED,
     "",
     true},
    {"a small chunk's last byte stays while we stop",
     {{"220 hi\r\n", CHUNKING, OK, OK}, 0},
     102,
     sizeof "BDAT 102 LAST\r\n" - 1,
     true,
     TRANSACTION_STOPPED,
     OUTCOME_DELIVERED,
     "",
     true},
    {"a large chunk's last byte too",
     {{"220 hi\r\n", CHUNKING, OK, OK}, 0},
     300000,
     sizeof "BDAT 300000 LAST\r\n" - 1,
     true,
     TRANSACTION_STOPPED,
     OUTCOME_DELIVERED,
     "",
     true},
    {"354 behind the text puts the talk out of step",
     {{"220 hi\r\n", CHUNKING, OK, OK, "354 more\r\n"}, 0},
     102,
     0,
     false,
     TRANSACTION_ANSWERED,
     OUTCOME_TEMPORARY,
     "4.5.0",
     true},
    {"354 to MAIL too",
     {{"220 hi\r\n", PLAIN, "354 go\r\n"}, 0},
     102,
     0,
     false,
     TRANSACTION_ANSWERED,
     OUTCOME_TEMPORARY,
     "4.5.0",
     true},
    {"what is said in the middle of the text counts, though the line breaks",
     {{"220 hi\r\n", PLAIN, OK, OK, "354 go\r\n", "552 5.3.4 too big\r\n"}, 100000},
     30000000,
     0,
     false,
     TRANSACTION_ANSWERED,
     OUTCOME_IMPOSSIBLE,
     "5.3.4",
     true},
};

static void transaction_ends_as_said(void **state)
{
    const struct row *row = *state;
    scoped(arena) arena = arena_new("test", MIB(1));
    struct deliver_limits limits;
    scoped_buffer body;
    unsigned asked = 0;
    struct recipient recipient = {.address = SPAN_LITERAL("a@one.example")};
    struct recipient *const recipients[] = {&recipient};
    struct envelope envelope = {.sender = SPAN_LITERAL("nurse@clinic.example")};
    const struct transaction_terms terms = {.limits = &limits,
                                            .arena = arena,
                                            .past_final = row->is_stopping ? never : always,
                                            .self = &asked};
    struct session *session;

    deliver_limits_default(&limits);
    buffer_init(&body, MIB(64));
    while (body.len < row->size)
        buffer_append(&body, SPAN_LITERAL("text\r\n"));
    envelope.body = buffer_span(&body);
    session = open_session(&row->script, &limits, arena);
    assert_int_equal(transaction_run(session, &envelope, recipients, 1, &terms), row->end);
    if (row->end == TRANSACTION_ANSWERED) {
        assert_true(recipient.has_verdict);
        assert_string_equal(recipient.verdict.status, row->status);
        assert_int_equal(recipient.verdict.outcome, row->outcome);
    } else {
        assert_false(recipient.has_verdict);
        assert_int_equal(asked, 1);
    }
    assert_int_equal(session_is_spoiled(session), row->is_spoiled);
    close_session(session);
    if (row->end == TRANSACTION_STOPPED)
        assert_in_range(peer.rest, 0, row->whole + body.len - 1);
}

int main(void)
{
    return run_table("one transaction", rows, transaction_ends_as_said);
}
