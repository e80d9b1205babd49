/* A stream without TLS: strict lines however they arrive, buffered writes, and waits that end. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/descriptor.h"
#include "base/memory.h"
#include "net/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define X10 "xxxxxxxxxx"

/* A stream and the raw other end of its connection. */
struct pair {
    struct stream *stream;
    int peer;
};

static struct pair pair_open(void)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    return (struct pair){stream_new(ends[0]), ends[1]};
}

static void pair_close(struct pair *pair)
{
    stream_free(pair->stream);
    descriptor_close(&pair->peer);
}

static void say(int peer, struct span bytes)
{
    assert_int_equal(send(peer, bytes.data, bytes.len, MSG_NOSIGNAL), bytes.len);
}

static struct deadline over(void)
{
    return deadline_in_ms(-1);
}

static struct deadline soon(void)
{
    return deadline_in_ms(20000);
}

/* What reading lines to the end came to, as text: "line|line|end", and so on. */
static void read_all(struct stream *stream, struct deadline until, char *out, size_t size)
{
    struct span line;
    struct error why;
    size_t len = strlen(out);

    while (stream_read_line(stream, until, &line, &why))
        len += (size_t)snprintf(out + len, size - len, "%.*s|", SPAN_ARGS(line));
    if (stream_timed_out(stream) && until.monotonic_ns < soon().monotonic_ns - 1000000000)
        return;
    snprintf(out + len, size - len, "%s",
             why.kind == ERROR_TEMPORARY        ? "end"
             : stream_line_was_long(stream)     ? "long"
             : strcmp(why.status, "5.5.2") == 0 ? "bare"
                                                : "?");
}

static const struct line_case {
    const char *name;
    struct span wire;
    const char *read;
} lines[] = {
    {"lines end in CRLF", SPAN_LITERAL("EHLO a\r\n\r\nQUIT\r\n"), "EHLO a||QUIT|end"},
    {"a line without end is none", SPAN_LITERAL("one\r\ntwo"), "one|end"},
    {"a CR at the end is no line", SPAN_LITERAL("one\r"), "end"},
    {"a bare LF ends no line", SPAN_LITERAL("one\ntwo\r\n"), "bare"},
    {"a bare LF at once", SPAN_LITERAL("\nx\r\n"), "bare"},
    {"a bare CR is refused", SPAN_LITERAL("one\rtwo\r\n"), "bare"},
    {"CR CR LF is refused", SPAN_LITERAL("one\r\r\n"), "bare"},
    {"LF CR is refused", SPAN_LITERAL("one\n\r\n"), "bare"},
    {"a good line goes before a bad one", SPAN_LITERAL("good\r\nbad\n\r\n"), "good|bare"},
    {"NUL is a byte like others", SPAN_LITERAL("\0\r\n"), "|end"},
    {"bytes above ASCII too", SPAN_LITERAL("\xff\x85\r\n"), "\xff\x85|end"},
    {"nothing at all", SPAN_LITERAL(""), "end"},
};

static void lines_read_alike_however_they_arrive(void **state)
{
    const struct line_case *c = *state;

    for (size_t cut = 0; cut <= c->wire.len; cut++) {
        struct pair pair = pair_open();
        char read[256] = "";

        say(pair.peer, span_until(c->wire, cut));
        read_all(pair.stream, over(), read, sizeof read);
        if (!strstr(read, "bare")) {
            say(pair.peer, span_from(c->wire, cut));
            descriptor_close(&pair.peer);
            read_all(pair.stream, soon(), read, sizeof read);
        }
        assert_string_equal(read, c->read);
        pair_close(&pair);
    }
}

static void a_byte_at_a_time_makes_the_same_lines(void **state)
{
    const struct line_case *c = *state;
    struct pair pair = pair_open();
    char read[256] = "";

    for (size_t i = 0; i < c->wire.len && !strstr(read, "bare"); i++) {
        say(pair.peer, span_make(c->wire.data + i, 1));
        read_all(pair.stream, over(), read, sizeof read);
    }
    if (!strstr(read, "bare")) {
        descriptor_close(&pair.peer);
        read_all(pair.stream, soon(), read, sizeof read);
    }
    assert_string_equal(read, c->read);
    pair_close(&pair);
}

static const struct long_case {
    const char *name;
    size_t len;
    const char *ending;
    bool is_read, is_long;
} long_lines[] = {
    {"the longest line is read", STREAM_LINE_MAX, "\r\n", true, false},
    {"one byte more is too long", STREAM_LINE_MAX + 1, "\r\n", false, true},
    {"without an end it is too long", STREAM_LINE_MAX + 1, "", false, true},
    {"the longest with a bare LF is bare", STREAM_LINE_MAX, "\n", false, false},
    {"the longest with a bare CR is bare", STREAM_LINE_MAX, "\rx", false, false},
    {"beyond the limit it is long whatever it holds", STREAM_LINE_MAX + 1, "\n", false, true},
    {"a buffer full is too long", STREAM_READ_BUFFER, "\r\n", false, true},
};

static void a_long_line_is_read_or_not(void **state)
{
    const struct long_case *c = *state;
    static char text[STREAM_READ_BUFFER + 8];

    memset(text, 'x', sizeof text);
    memcpy(text + c->len, c->ending, strlen(c->ending));
    for (size_t before = 0; before < 3; before++) {
        struct pair pair = pair_open();
        struct span line = {NULL, 0};
        struct error why;

        /* Lines before it move the start of the long one through the buffer. */
        for (size_t i = 0; i < before; i++) {
            say(pair.peer, SPAN_LITERAL(X10 X10 X10 "\r\n"));
            assert_true(stream_read_line(pair.stream, soon(), &line, &why));
        }
        say(pair.peer, span_make(text, c->len + strlen(c->ending)));
        assert_int_equal(stream_read_line(pair.stream, soon(), &line, &why), c->is_read);
        assert_int_equal(stream_line_was_long(pair.stream), c->is_long);
        if (c->is_read)
            assert_int_equal(line.len, c->len);
        else
            assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
        pair_close(&pair);
    }
}

static void after_a_long_line_the_next_one_is_read(void **state)
{
    struct pair pair = pair_open();
    static char text[20000];
    struct span line;
    struct error why;

    (void)state;
    memset(text, 'x', sizeof text);
    text[9000] = '\r'; /* bare ones end no line, here neither */
    text[9500] = '\n';
    say(pair.peer, span_make(text, sizeof text));
    say(pair.peer, SPAN_LITERAL("\r"));
    assert_false(stream_read_line(pair.stream, soon(), &line, &why));
    assert_true(stream_line_was_long(pair.stream));
    assert_false(stream_skip_line(pair.stream, 30000, over(), &why));
    assert_true(stream_timed_out(pair.stream));
    say(pair.peer, SPAN_LITERAL("x\r\nnext\r\n"));
    assert_true(stream_skip_line(pair.stream, 30000, soon(), &why));
    assert_true(stream_read_line(pair.stream, soon(), &line, &why));
    assert_true(span_equal(line, span_of("next")));
    assert_false(stream_line_was_long(pair.stream));
    pair_close(&pair);
}

static void skipping_has_a_limit_and_an_end(void **state)
{
    struct pair pair = pair_open();
    struct error why;

    (void)state;
    say(pair.peer, SPAN_LITERAL("0123456789"));
    assert_false(stream_skip_line(pair.stream, 5, soon(), &why));
    assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    assert_string_equal(why.status, "5.5.2");
    descriptor_close(&pair.peer);
    assert_false(stream_skip_line(pair.stream, 50, soon(), &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    pair_close(&pair);
}

static void a_silent_peer_meets_the_deadline(void **state)
{
    struct pair pair = pair_open();
    struct span line = {NULL, 0};
    struct error why;

    (void)state;
    assert_false(stream_read_line(pair.stream, deadline_in_ms(10), &line, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_string_equal(why.status, "4.4.2");
    assert_true(stream_timed_out(pair.stream));
    assert_false(stream_is_over(pair.stream));
    assert_null(line.data);
    pair_close(&pair);
}

static void *drip(void *argument)
{
    int peer = *(int *)argument;
    char byte = 'x';

    while (send(peer, &byte, 1, MSG_NOSIGNAL) == 1) {
        struct timespec pause = {.tv_nsec = 1000000};

        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void a_byte_now_and_then_does_not_stretch_the_deadline(void **state)
{
    struct pair pair = pair_open();
    pthread_t thread;
    struct span line;
    struct error why;

    (void)state;
    pthread_create(&thread, NULL, drip, &pair.peer);
    assert_false(stream_read_line(pair.stream, deadline_in_ms(50), &line, &why));
    assert_true(stream_timed_out(pair.stream));
    stream_shut(pair.stream);
    pthread_join(thread, NULL);
    pair_close(&pair);
}

static void what_is_peeked_stays_until_consumed(void **state)
{
    struct pair pair = pair_open();
    struct span bytes, line;
    struct error why;

    (void)state;
    say(pair.peer, SPAN_LITERAL("BDAT 3\r\nabcQUIT\r\n"));
    assert_true(stream_read_line(pair.stream, soon(), &line, &why));
    assert_true(stream_peek(pair.stream, soon(), &bytes, &why));
    assert_true(span_equal(bytes, span_of("abcQUIT\r\n")));
    assert_true(stream_peek(pair.stream, over(), &bytes, &why));
    stream_consume(pair.stream, 3);
    assert_true(stream_read_line(pair.stream, over(), &line, &why));
    assert_true(span_equal(line, span_of("QUIT")));
    assert_false(stream_peek(pair.stream, over(), &bytes, &why));
    assert_true(stream_timed_out(pair.stream));
    descriptor_close(&pair.peer);
    assert_true(stream_peek(pair.stream, soon(), &bytes, &why));
    assert_int_equal(bytes.len, 0);
    assert_true(stream_is_over(pair.stream));
    pair_close(&pair);
}

static void unread_bytes_are_counted_and_thrown_away(void **state)
{
    struct pair pair = pair_open();
    struct span line;
    struct error why;

    (void)state;
    assert_int_equal(stream_unread(pair.stream), 0);
    say(pair.peer, SPAN_LITERAL("STARTTLS\r\nRCPT"));
    assert_int_equal(stream_unread(pair.stream), 14);
    assert_true(stream_read_line(pair.stream, soon(), &line, &why));
    assert_int_equal(stream_unread(pair.stream), 4);
    say(pair.peer, SPAN_LITERAL(" TO"));
    assert_int_equal(stream_unread(pair.stream), 7);
    stream_discard_unread(pair.stream);
    assert_int_equal(stream_unread(pair.stream), 3);
    say(pair.peer, SPAN_LITERAL("\r\n"));
    assert_true(stream_read_line(pair.stream, soon(), &line, &why));
    assert_true(span_equal(line, span_of(" TO")));
    assert_false(stream_is_over(pair.stream));
    descriptor_close(&pair.peer);
    assert_int_equal(stream_unread(pair.stream), 0);
    assert_true(stream_is_over(pair.stream));
    pair_close(&pair);
}

static void small_writes_go_out_together(void **state)
{
    struct pair pair = pair_open();
    char got[64];
    struct error why;

    (void)state;
    assert_true(stream_flush(pair.stream, over(), &why));
    assert_true(stream_write(pair.stream, SPAN_LITERAL("250-a\r\n"), soon(), &why));
    assert_true(stream_write(pair.stream, SPAN_LITERAL("250 b\r\n"), soon(), &why));
    assert_int_equal(recv(pair.peer, got, sizeof got, MSG_DONTWAIT), -1);
    assert_true(stream_flush(pair.stream, soon(), &why));
    assert_int_equal(recv(pair.peer, got, sizeof got, MSG_DONTWAIT), 14);
    assert_memory_equal(got, "250-a\r\n250 b\r\n", 14);
    pair_close(&pair);
}

struct reader {
    int peer;
    size_t len;
    unsigned sum;
};

static void *read_to_end(void *argument)
{
    struct reader *reader = argument;
    char bytes[1000];
    ssize_t got;

    while ((got = recv(reader->peer, bytes, sizeof bytes, 0)) > 0)
        for (ssize_t i = 0; i < got; i++)
            reader->sum = reader->sum * 31 + (unsigned char)bytes[i], reader->len++;
    return NULL;
}

static void large_and_small_writes_keep_their_order(void **state)
{
    static char big[300000];
    static const size_t sizes[] = {1, 16383, 16384, 1, 0, 16385, 100, 250000, 5};
    struct pair pair = pair_open();
    struct reader reader = {.peer = pair.peer};
    unsigned sum = 0;
    size_t total = 0;
    pthread_t thread;
    struct error why;

    (void)state;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7 + i / 251);
    pthread_create(&thread, NULL, read_to_end, &reader);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        assert_true(stream_write(pair.stream, span_make(big + i, sizes[i]), soon(), &why));
        for (size_t j = 0; j < sizes[i]; j++)
            sum = sum * 31 + (unsigned char)big[i + j], total++;
    }
    assert_true(stream_flush(pair.stream, soon(), &why));
    stream_shut(pair.stream);
    pthread_join(thread, NULL);
    assert_int_equal(reader.len, total);
    assert_int_equal(reader.sum, sum);
    pair_close(&pair);
}

static void a_peer_that_does_not_read_meets_the_deadline(void **state)
{
    static char big[4000000];
    struct pair pair = pair_open();
    struct error why;

    (void)state;
    assert_false(stream_write(pair.stream, span_make(big, sizeof big), deadline_in_ms(20), &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_string_equal(why.status, "4.4.2");
    assert_true(stream_timed_out(pair.stream));
    /* Half of it went out: nothing that would be read as its rest may follow. */
    assert_true(stream_is_over(pair.stream));
    assert_true(stream_write(pair.stream, SPAN_LITERAL("QUIT"), soon(), &why));
    assert_false(stream_flush(pair.stream, soon(), &why));
    pair_close(&pair);
}

static void writing_to_a_peer_that_has_gone_is_an_error_and_no_signal(void **state)
{
    struct pair pair = pair_open();
    struct error why;

    (void)state;
    descriptor_close(&pair.peer);
    assert_true(stream_write(pair.stream, SPAN_LITERAL("x"), soon(), &why));
    assert_false(stream_flush(pair.stream, soon(), &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_string_equal(why.status, "4.4.2");
    assert_true(stream_is_over(pair.stream));
    assert_true(stream_write(pair.stream, SPAN_LITERAL("x"), soon(), &why));
    assert_false(stream_flush(pair.stream, soon(), &why));
    pair_close(&pair);
}

static void *shut_it(void *stream)
{
    stream_shut(stream);
    return NULL;
}

static void shutting_from_another_thread_ends_a_wait(void **state)
{
    struct pair pair = pair_open();
    pthread_t thread;
    struct span line;
    struct error why;

    (void)state;
    pthread_create(&thread, NULL, shut_it, pair.stream);
    assert_false(stream_read_line(pair.stream, soon(), &line, &why));
    assert_false(stream_timed_out(pair.stream));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    pthread_join(thread, NULL);
    pair_close(&pair);
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t len = sizeof *address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)address, &len), 0);
    return listener;
}

static void a_listener_is_reached(void **state)
{
    struct sockaddr_in address, from = {.sin_family = AF_INET}, seen;
    scoped_descriptor listener = listen_on_loopback(&address);
    scoped(stream) client = NULL;
    scoped(stream) server = NULL;
    socklen_t len = sizeof seen;
    struct span line;
    struct error why;

    (void)state;
    from.sin_addr.s_addr = htonl(0x7f000009);
    assert_true(stream_connect((struct sockaddr *)&address, sizeof address,
                               (struct sockaddr *)&from, sizeof from, soon(), &client, &why));
    server = stream_new(accept(listener, (struct sockaddr *)&seen, &len));
    assert_int_equal(ntohl(seen.sin_addr.s_addr), 0x7f000009);
    assert_true(stream_write(client, SPAN_LITERAL("hello\r\n"), soon(), &why));
    assert_true(stream_flush(client, soon(), &why));
    assert_true(stream_read_line(server, soon(), &line, &why));
    assert_true(span_equal(line, span_of("hello")));
    assert_true(stream_descriptor(server) >= 0);
}

static void a_port_without_a_listener_is_temporary(void **state)
{
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address);
    struct stream *stream = NULL;
    struct error why;

    (void)state;
    descriptor_close(&listener);
    assert_false(stream_connect((struct sockaddr *)&address, sizeof address, NULL, 0, soon(),
                                &stream, &why));
    assert_null(stream);
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_string_equal(why.status, "4.4.1");
    assert_string_equal(why.text, "connecting to 127.0.0.1: Connection refused");
}

static void a_source_address_that_is_not_ours_is_temporary(void **state)
{
    struct sockaddr_in address, from = {.sin_family = AF_INET};
    scoped_descriptor listener = listen_on_loopback(&address);
    struct stream *stream = NULL;
    struct error why;

    (void)state;
    from.sin_addr.s_addr = htonl(0xc0000201);
    assert_true(listener >= 0);
    assert_false(stream_connect((struct sockaddr *)&address, sizeof address,
                                (struct sockaddr *)&from, sizeof from, soon(), &stream, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_string_equal(why.status, "4.4.1");
}

static void a_unix_socket_is_reached(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    scoped_descriptor listener = socket(AF_UNIX, SOCK_STREAM, 0);
    scoped(stream) client = NULL;
    char text[ADDRESS_TEXT_SIZE];
    struct error why;

    (void)state;
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "letterlock-test-%d", getpid());
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_true(stream_connect((struct sockaddr *)&address, sizeof address, NULL, 0, soon(),
                               &client, &why));
    address_text((struct sockaddr *)&address, text);
    assert_string_equal(text, "unix");
}

static void no_memory_is_an_error_and_leaks_nothing(void **state)
{
    struct pair pair = pair_open();
    int ends[2];
    struct span line;
    struct error why;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    memory_fail_after(1);
    assert_null(stream_new(ends[0]));
    assert_int_equal(recv(ends[1], &line, 1, 0), 0); /* the other end is closed */
    close(ends[1]);
    say(pair.peer, SPAN_LITERAL("x\r\n"));
    memory_fail_after(1);
    assert_false(stream_write(pair.stream, SPAN_LITERAL("x"), soon(), &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    pair_close(&pair);
    pair = pair_open();
    say(pair.peer, SPAN_LITERAL("x\r\n"));
    memory_fail_after(1);
    assert_false(stream_read_line(pair.stream, soon(), &line, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    memory_fail_after(0);
    assert_null(stream_new(-1));
    stream_free(NULL);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_long_line_the_next_one_is_read),
        cmocka_unit_test(skipping_has_a_limit_and_an_end),
        cmocka_unit_test(a_silent_peer_meets_the_deadline),
        cmocka_unit_test(a_byte_now_and_then_does_not_stretch_the_deadline),
        cmocka_unit_test(what_is_peeked_stays_until_consumed),
        cmocka_unit_test(unread_bytes_are_counted_and_thrown_away),
        cmocka_unit_test(small_writes_go_out_together),
        cmocka_unit_test(large_and_small_writes_keep_their_order),
        cmocka_unit_test(a_peer_that_does_not_read_meets_the_deadline),
        cmocka_unit_test(writing_to_a_peer_that_has_gone_is_an_error_and_no_signal),
        cmocka_unit_test(shutting_from_another_thread_ends_a_wait),
        cmocka_unit_test(a_listener_is_reached),
        cmocka_unit_test(a_port_without_a_listener_is_temporary),
        cmocka_unit_test(a_source_address_that_is_not_ours_is_temporary),
        cmocka_unit_test(a_unix_socket_is_reached),
        cmocka_unit_test(no_memory_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL) +
           run_table("lines", lines, lines_read_alike_however_they_arrive) +
           run_table("bytes", lines, a_byte_at_a_time_makes_the_same_lines) +
           run_table("long lines", long_lines, a_long_line_is_read_or_not);
}
