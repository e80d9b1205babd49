/* Too large, too long, too many, too slow; and the end of the process. */
/* SPDX-License-Identifier: ISC */
#include "receive_house.h"

#include "base/descriptor.h"
#include "base/memory.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO "< 220 \n> EHLO a.example\n< 250 \n"
#define ENVELOPE                                                                                   \
    "> MAIL FROM:<a@partner.example>\n< 250 2.1.0\n> RCPT TO:<nurse@clinic.example>\n< 250 "       \
    "2.1.5\n"

/* Each test has a house of its own, with its own limits. */
static const struct cut no_cuts[] = {{NULL, 0}};

static int open_with(const struct cut *cuts)
{
    house_open(cuts, false);
    return 0;
}

static int open_house(void **state)
{
    (void)state;
    return open_with(no_cuts);
}

static int close_house(void **state)
{
    (void)state;
    house_settle();
    assert_int_equal(house.receive->bytes_in_flight, 0);
    assert_int_equal(house.receive->transactions, 0);
    house_close();
    return 0;
}

static void send_many(struct stream *client, const char *piece, size_t times)
{
    struct error why;

    for (size_t i = 0; i < times; i++)
        if (!stream_write(client, span_of(piece), deadline_in_ms(20000), &why))
            return; /* the server has had enough, as the test then finds */
    (void)!stream_flush(client, deadline_in_ms(20000), &why);
}

/* ---- large ---- */

static void a_large_message_is_drained_and_answered_once(void **state)
{
    scoped(stream) client = house_connect(DOOR_MX, 9);

    (void)state;
    play(client, HELLO ENVELOPE "> DATA\n");
    send_many(client, "a line of some fifty bytes, which is not that long\r\n", 100000); /* 5 MB */
    play(client, "> .\n> MAIL FROM:<a@partner.example>\n< 354 \n< 552 5.3.4\n< 250 2.1.0\n"
                 "> QUIT\n< 221 \neof\n");
    assert_int_equal(house_messages(), 0);
    assert_int_equal(house_leaves(EVENT_MESSAGE_REFUSED), 1);
}

static void an_endless_message_is_cut(void **state)
{
    scoped(stream) client = house_connect(DOOR_MX, 9);

    (void)state;
    play(client, HELLO ENVELOPE "> DATA\n< 354 \n");
    send_many(client, "a line of some fifty bytes, which is not that long\r\n",
              1400000); /* 73 MB */
    assert_int_equal(house_leaves(EVENT_MESSAGE_REFUSED), 1);
    assert_last_leaf(EVENT_MESSAGE_REFUSED, FIELD_REASON, "a message without end");
}

static void a_text_without_line_ends_is_refused(void **state)
{
    scoped(stream) client = house_connect(DOOR_MX, 9);

    (void)state;
    play(client, HELLO ENVELOPE "> DATA\n< 354 \n");
    send_many(client, "0123456789012345678901234567890123456789012345678901234567890123", 2000);
    play(client, ">> \\r\\n.\\r\\n\n< 554 5.6.0\neof\n");
}

static void a_chunk_that_is_too_large_is_drained_and_answered_once(void **state)
{
    scoped(stream) client = house_connect(DOOR_MX, 9);

    (void)state;
    play(client, HELLO ENVELOPE "> BDAT 3\n>> abc\n> BDAT 2000000\n< 250 2.0.0\n");
    send_many(client, "0123456789", 200000);
    play(client, "> BDAT 3 LAST\n>> abc\n< 552 5.3.4\n< 503 5.5.1\n> RSET\n< 250 \n" ENVELOPE
                 "> BDAT 3 LAST\n>> abc\n< 250 2.0.0 Ok\n> QUIT\n< 221 \neof\n");
    assert_int_equal(house_messages(), 1);
    play_at(DOOR_MX, 9, HELLO ENVELOPE "> BDAT 99999999999\n< 421 4.7.0\neof\n");
    play_at(DOOR_MX, 9,
            HELLO ENVELOPE "> BDAT 3\n>> abc\n< 250 \n> BDAT 18446744073709551615\n"
                           "< 421 4.7.0\neof\n");
}

static void continuation_lines_without_number_cost_little(void **state)
{
    scoped(stream) client = house_connect(DOOR_MX, 9);

    (void)state;
    play(client, HELLO ENVELOPE "> DATA\n> X: a\n");
    send_many(client, " b\r\n b\r\n b\r\n b\r\n b\r\n b\r\n b\r\n b\r\n b\r\n b\r\n", 300000);
    play(client, "> .\n< 354 \n< 552 5.3.4\n> QUIT\n< 221 \neof\n");
}

static void a_line_without_end_is_refused_once(void **state)
{
    static const size_t borders[] = {512, 1000, 2048, 4096, 8192, 16384};

    (void)state;
    for (size_t i = 0; i < COUNT(borders); i++) {
        scoped(stream) client = house_connect(DOOR_MX, 9);
        scoped_buffer line;

        buffer_init(&line, KIB(64));
        buffer_append_format(&line, "NOOP %0*d", (int)borders[i] - 5, 0);
        play(client, HELLO);
        send_many(client, line.data, 1);
        play(client, "> MAIL FROM:<x@evil.example>\n");
        play(client, borders[i] < 8192 ? "< 250 2.0.0 Still\n> RCPT TO:<nurse@clinic.example>\n"
                                         "< 503 5.5.1\n> QUIT\n< 221 \neof\n"
                                       : "< 500 5.5.2 Line\neof\n");
    }
    {
        scoped(stream) client = house_connect(DOOR_MX, 9);

        play(client, "< 220 \n>> EHLO \n");
        send_many(client, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1100);
        play(client, "< 500 5.5.2\n");
    }
    {
        scoped(stream) client = house_connect(DOOR_MX, 9);

        play(client, "< 220 \n");
        send_many(client, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                  100000);
    }
}

/* ---- many ---- */

static int open_small(void **state)
{
    static const struct cut cuts[] = {
        {"sessions_per_address", 3}, {"sessions_max", 6},     {"active_max", 2},
        {"recipients_max", 2},       {"messages_max", 2},     {"bytes_in_flight_max", 60000},
        {"commands_max", 12},        {"idle_threads_min", 1}, {NULL, 0}};

    (void)state;
    return open_with(cuts);
}

static void one_address_does_not_shut_out_the_others(void **state)
{
    struct stream *idle[7];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        idle[i] = house_connect(DOOR_MX, 2);
        play(idle[i], "< 220 \n");
    }
    for (size_t i = 0; i < 20; i++)
        play_at(DOOR_MX, 2, "< 421 4.7.0 Too many\neof\n");
    for (size_t i = 3; i < 6; i++) {
        idle[i] = house_connect(DOOR_SUBMISSION, 3);
        play(idle[i], "< 220 \n");
    }
    play_at(DOOR_MX, 4, "< 421 4.3.2 Too many\neof\n"); /* and all together are too many */
    for (size_t i = 0; i < 6; i++)
        stream_free(idle[i]);
    house_settle();
    play_at(DOOR_MX, 2, "< 220 \n> QUIT\n< 221 \neof\n");
}

static void a_few_at_a_time_may_be_inside_a_message(void **state)
{
    scoped(stream) a = house_connect(DOOR_MX, 2);
    scoped(stream) b = house_connect(DOOR_MX, 3);
    scoped(stream) c = house_connect(DOOR_MX, 4);

    (void)state;
    play(a, HELLO ENVELOPE);
    play(b, HELLO ENVELOPE);
    play(c, HELLO "> MAIL FROM:<a@partner.example>\n< 452 4.3.1\n");
    play(a, "> RSET\n< 250 \n");
    play(c, ENVELOPE "> QUIT\n< 221 \neof\n");
}

static void all_text_together_stays_under_its_cap(void **state)
{
    scoped(stream) a = house_connect(DOOR_MX, 2);
    scoped(stream) b = house_connect(DOOR_MX, 3);

    (void)state;
    play(a, HELLO "> MAIL FROM:<a@partner.example> SIZE=60001\n< 452 4.3.1\n" ENVELOPE
                  "> BDAT 33000\n");
    send_many(a, "0123456789", 3300);
    play(a, "< 452 4.3.1\n> RSET\n< 250 \n" ENVELOPE "> BDAT 30000\n"); /* it holds 32 KiB now */
    send_many(a, "0123456789", 3000);
    play(a, "< 250 2.0.0\n");
    play(b, HELLO ENVELOPE "> BDAT 20000\n"); /* and two of 16 and 32 are too much */
    send_many(b, "0123456789", 2000);
    play(b, "< 452 4.3.1\n> RSET\n< 250 \n");
    play(a, "> RSET\n< 250 \n");
    play(b, ENVELOPE "> DATA\n< 354 \n> S: x\n> .\n< 250 2.0.0\n> QUIT\n< 221 \neof\n");
}

static void recipients_messages_and_commands_are_counted(void **state)
{
    (void)state;
    play_at(DOOR_MX, 9,
            HELLO ENVELOPE "> RCPT TO:<b@clinic.example>\n< 250 \n"
                           "> RCPT TO:<c@clinic.example>\n< 452 4.5.3\n"
                           "> RCPT TO:<b@clinic.example>\n< 250 \n"
                           "> RCPT TO:<b@clinic.example>\n< 452 4.5.3\n"
                           "> DATA\n< 354 \n> .\n< 250 \n> QUIT\n< 221 \neof\n");
    play_at(DOOR_MX, 9,
            HELLO ENVELOPE "> DATA\n< 354 \n> .\n< 250 \n" ENVELOPE "> DATA\n< 354 \n> .\n< 250 \n"
                           "> MAIL FROM:<a@partner.example>\n< 421 4.7.0\neof\n");
    play_at(
        DOOR_MX, 9,
        "< 220 \n> NOOP\n> NOOP\n> NOOP\n> NOOP\n> NOOP\n> NOOP\n> NOOP\n> NOOP\n> NOOP\n> NOOP\n"
        "> NOOP\n> NOOP\n> NOOP\n< 250 \n< 250 \n< 250 \n< 250 \n< 250 \n< 250 \n< 250 \n< 250 \n"
        "< 250 \n< 250 \n< 250 \n< 250 \n< 421 4.7.0\neof\n");
}

/* More sessions than threads at the start. */
static void the_pool_grows_and_shrinks(void **state)
{
    struct stream *clients[40];
    unsigned threads;

    (void)state;
    for (size_t i = 0; i < COUNT(clients); i++) {
        clients[i] = house_connect(DOOR_MX, 10 + (unsigned)i);
        play(clients[i], "< 220 \n");
    }
    for (size_t i = 0; i < COUNT(clients); i++) {
        play(clients[i], "> QUIT\n< 221 \neof\n");
        stream_free(clients[i]);
    }
    house_settle();
    pthread_mutex_lock(&house.receive->lock);
    threads = house.receive->threads;
    pthread_mutex_unlock(&house.receive->lock);
    assert_true(threads < 40 + (unsigned)DOOR_COUNT);
    play_at(DOOR_MX, 9, HELLO ENVELOPE "> DATA\n< 354 \n> .\n< 250 \n> QUIT\n< 221 \neof\n");
}

static int open_few_threads(void **state)
{
    static const struct cut cuts[] = {{"idle_threads_min", 1}, {"idle_threads_max", 2}, {NULL, 0}};

    (void)state;
    return open_with(cuts);
}

/* ---- slow ---- */

static int open_hasty(void **state)
{
    static const struct cut cuts[] = {{"command_timeout_ms", 300},
                                      {"data_timeout_ms", 300},
                                      {"data_total_ms", 900},
                                      {"handshake_timeout_ms", 300},
                                      {NULL, 0}};

    (void)state;
    return open_with(cuts);
}

static void a_silent_client_is_cut_once(void **state)
{
    (void)state;
    play_at(DOOR_MX, 9, "< 220 \n< 421 4.4.2\neof\n");
    play_at(DOOR_MX, 9, "< 220 \n>> NO\n< 421 4.4.2\neof\n");
    play_at(DOOR_MX, 9, HELLO ENVELOPE "> DATA\n< 354 \n< 421 4.4.2\neof\n");
    play_at(DOOR_MX, 9,
            HELLO ENVELOPE "> DATA\n< 354 \n> Subject: x\n< 421 4.4.2\n"
                           ">> RCPT TO:<nurse@clinic.example>\\r\\n.\\r\\n\neof\n");
    play_at(DOOR_SUBMISSIONS, 9, "eof\n"); /* no ClientHello: no word either */
    assert_int_equal(house_messages(), 0);
    assert_int_equal(house_leaves(EVENT_CLIENT_LEFT), 2);
}

static void a_trickle_is_cut_too(void **state)
{
    scoped(stream) client = house_connect(DOOR_MX, 9);
    bool is_cut = false;

    (void)state;
    play(client, HELLO ENVELOPE "> DATA\n< 354 \n");
    for (size_t i = 0; i < 100 && !is_cut; i++) {
        struct span bytes;
        struct error why;

        send_many(client, "x", 1);
        is_cut = stream_peek(client, deadline_in_ms(50), &bytes, &why);
    }
    assert_true(is_cut);
    play(client, "< 421 4.4.2\neof\n");
    assert_int_equal(house_messages(), 0);
}

static int open_with_few_refusals(void **state)
{
    static const struct cut cuts[] = {{"refusals_a_minute", 2}, {NULL, 0}};

    (void)state;
    return open_with(cuts);
}

static void strangers_fill_no_journal(void **state)
{
    (void)state;
    for (size_t i = 0; i < 5; i++)
        play_at(DOOR_MX, 9,
                HELLO "> MAIL FROM:<a@partner.example>\n< 250 \n> RCPT TO:<a@else.example>\n"
                      "< 550 5.7.1\n> QUIT\n< 221 \neof\n");
    assert_int_equal(house_leaves(EVENT_MESSAGE_REFUSED), 2);
}

static int open_short_session(void **state)
{
    static const struct cut cuts[] = {{"session_total_ms", 300}, {NULL, 0}};

    (void)state;
    return open_with(cuts);
}

static void a_session_has_an_end(void **state)
{
    scoped(stream) client = house_connect(DOOR_MX, 9);
    struct deadline until = deadline_in_ms(20000);
    struct span line = {"", 0};
    struct error why;

    (void)state;
    play(client, "< 220 \n");
    do {
        send_many(client, "NOOP\r\n", 1);
        assert_true(stream_read_line(client, until, &line, &why));
    } while (span_starts_with(line, SPAN_LITERAL("250 ")));
    assert_true(span_starts_with(line, SPAN_LITERAL("421 4.4.2")));
}

/* ---- TLS ---- */

/* What comes in the clear behind a close_notify is never data and never a command. */
static void clear_bytes_after_tls_are_not_heard(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 4096; size *= 4096) {
        scoped(stream) client = house_connect(DOOR_MX, 9);
        scoped_descriptor copy = dup(stream_descriptor(client));
        static char bytes[4096];

        memset(bytes, 'A', sizeof bytes);
        play(client, HELLO "> STARTTLS\n< 220 \ntls\n> EHLO a\n< 250 \n" ENVELOPE "> BDAT 1000\n");
        send_many(client, "0123456789", 40);
        stream_free(client); /* its last word is the close_notify */
        client = NULL;
        assert_true(send(copy, bytes, size, MSG_NOSIGNAL) >= 0);
        house_settle();
    }
    assert_int_equal(house_messages(), 0);
    assert_int_equal(house_leaves(EVENT_CLIENT_LEFT), 2);
}

static void a_handshake_that_fails_ends_the_session(void **state)
{
    (void)state;
    play_at(DOOR_MX, 9, HELLO "> STARTTLS\n< 220 \n>> EHLO again\\r\\n\n");
    play_at(DOOR_MX, 9, HELLO "> STARTTLS\n< 220 \nshut\n");
    assert_int_equal(house_leaves(EVENT_MESSAGE_REFUSED), 2);
}

/* ---- stopping ---- */

static void *stop(void *grace_ms)
{
    house_stop(*(int64_t *)grace_ms);
    return NULL;
}

static void stopping_turns_nobody_away_for_good(void **state)
{
    scoped(stream) idle = house_connect(DOOR_MX, 2);
    scoped(stream) between = house_connect(DOOR_MX, 3);
    scoped(stream) inside = house_connect(DOOR_MX, 4);
    scoped(stream) tls = house_connect(DOOR_MX, 5);
    scoped(stream) waiting = house_connect(DOOR_MX, 6);
    int64_t grace_ms = 2000;
    pthread_t thread;

    (void)state;
    play(idle, HELLO);
    play(between, HELLO ENVELOPE);
    play(tls, HELLO "> STARTTLS\n< 220 \ntls\n");
    play(inside, HELLO ENVELOPE "> DATA\n< 354 \n> Subject: x\n");
    play(waiting, HELLO ENVELOPE "> DATA\n< 354 \n> Subject: x\n");
    assert_int_equal(pthread_create(&thread, NULL, stop, &grace_ms), 0);
    play(idle, "< 421 4.3.2\neof\n");
    play(between, "< 421 4.3.2\neof\n");
    play(tls, "< 421 4.3.2\n");
    play(inside, "> \n> text\n> .\n< 250 2.0.0\n< 421 4.3.2\neof\n"); /* it may finish */
    play(waiting, "< 421 4.3.2\neof\n");                              /* but not for ever */
    pthread_join(thread, NULL);
    assert_int_equal(house_messages(), 1);
}

static unsigned sessions(void)
{
    unsigned count;

    pthread_mutex_lock(&house.receive->lock);
    count = house.receive->sessions;
    pthread_mutex_unlock(&house.receive->lock);
    return count;
}

static void stopping_ends_who_waits_for_a_handshake(void **state)
{
    scoped(stream) client = house_connect(DOOR_SUBMISSIONS, 2);

    (void)state;
    while (sessions() == 0)
        poll(NULL, 0, 1);
    house_stop(0);
    play(client, "eof\n");
}

int main(void)
{
#define IN_A_HOUSE(test, open) cmocka_unit_test_setup_teardown(test, open, close_house)
    const struct CMUnitTest tests[] = {
        IN_A_HOUSE(a_large_message_is_drained_and_answered_once, open_house),
        IN_A_HOUSE(an_endless_message_is_cut, open_house),
        IN_A_HOUSE(a_text_without_line_ends_is_refused, open_house),
        IN_A_HOUSE(a_chunk_that_is_too_large_is_drained_and_answered_once, open_house),
        IN_A_HOUSE(continuation_lines_without_number_cost_little, open_house),
        IN_A_HOUSE(a_line_without_end_is_refused_once, open_house),
        IN_A_HOUSE(one_address_does_not_shut_out_the_others, open_small),
        IN_A_HOUSE(a_few_at_a_time_may_be_inside_a_message, open_small),
        IN_A_HOUSE(all_text_together_stays_under_its_cap, open_small),
        IN_A_HOUSE(recipients_messages_and_commands_are_counted, open_small),
        IN_A_HOUSE(the_pool_grows_and_shrinks, open_few_threads),
        IN_A_HOUSE(a_silent_client_is_cut_once, open_hasty),
        IN_A_HOUSE(a_trickle_is_cut_too, open_hasty),
        IN_A_HOUSE(strangers_fill_no_journal, open_with_few_refusals),
        IN_A_HOUSE(a_session_has_an_end, open_short_session),
        IN_A_HOUSE(clear_bytes_after_tls_are_not_heard, open_house),
        IN_A_HOUSE(a_handshake_that_fails_ends_the_session, open_house),
        IN_A_HOUSE(stopping_turns_nobody_away_for_good, open_house),
        IN_A_HOUSE(stopping_ends_who_waits_for_a_handshake, open_house),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
