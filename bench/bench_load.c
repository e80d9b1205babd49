/* Load: N sessions that each send messages as fast as the server takes them; prints the seconds. */
/* SPDX-License-Identifier: ISC */
#include "base/clock.h"
#include "net/stream.h"
#include "net/tls.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAIT_MS = 120000, REPLY_LINES_MAX = 100 };

struct load {
    struct sockaddr_in to;
    const char *sender, *recipient_domain;
    struct tls_client *tls; /* NULL: in the clear */
    char *text;             /* the message, with its final dot */
    long messages;
    atomic_long next;
};

static void give_up(const char *what, const struct error *why)
{
    fprintf(stderr, "bench_load: %s: %s\n", what, why->text);
    exit(1);
}

static void expect(struct stream *stream, char first, const char *what)
{
    struct span line;
    struct error why = {0};

    for (unsigned i = 0; i < REPLY_LINES_MAX; i++) {
        if (!stream_read_line(stream, deadline_in_ms(WAIT_MS), &line, &why))
            give_up(what, &why);
        if (line.len < 4 || line.data[3] != '-')
            break;
    }
    if (line.len == 0 || line.data[0] != first) {
        fprintf(stderr, "bench_load: %s: %.*s\n", what, SPAN_ARGS(line));
        exit(1);
    }
}

static void say(struct stream *stream, const char *text)
{
    struct error why = {0};

    if (!stream_write(stream, span_of(text), deadline_in_ms(WAIT_MS), &why) ||
        !stream_flush(stream, deadline_in_ms(WAIT_MS), &why))
        give_up("write", &why);
}

static void *run_session(void *self)
{
    struct load *load = self;
    struct stream *stream = NULL;
    struct error why = {0};
    char envelope[512];
    long number;

    if (!stream_connect((const struct sockaddr *)&load->to, sizeof load->to, NULL, 0,
                        deadline_in_ms(WAIT_MS), &stream, &why))
        give_up("connect", &why);
    expect(stream, '2', "greeting");
    say(stream, "EHLO load.example\r\n");
    expect(stream, '2', "EHLO");
    if (load->tls) {
        const struct tls_check check = {0};

        say(stream, "STARTTLS\r\n");
        expect(stream, '2', "STARTTLS");
        if (!stream_start_tls_client(stream, load->tls, &check, deadline_in_ms(WAIT_MS), &why))
            give_up("TLS", &why);
        say(stream, "EHLO load.example\r\n");
        expect(stream, '2', "EHLO");
    }
    while ((number = atomic_fetch_add(&load->next, 1)) < load->messages) {
        snprintf(envelope, sizeof envelope, "MAIL FROM:<%s>\r\nRCPT TO:<r%ld@%s>\r\nDATA\r\n",
                 load->sender, number % 100, load->recipient_domain);
        say(stream, envelope);
        expect(stream, '2', "MAIL");
        expect(stream, '2', "RCPT");
        expect(stream, '3', "DATA");
        say(stream, load->text);
        expect(stream, '2', "end of data");
    }
    say(stream, "QUIT\r\n");
    stream_free(stream);
    return NULL;
}

/* A message of about `size` bytes in lines of 72. */
static char *make_text(size_t size)
{
    static const char header[] = "From: load@clinic.example\r\nTo: r@sink.example\r\n"
                                 "Subject: load\r\nDate: Wed, 25 Nov 2026 12:00:00 +0000\r\n"
                                 "Message-ID: <load@clinic.example>\r\n\r\n";
    char *text = calloc(1, size + sizeof header + 128);
    size_t length = sizeof header - 1;

    memcpy(text, header, length);
    while (length < size) {
        memset(text + length, 'x', 72);
        memcpy(text + length + 72, "\r\n", 2);
        length += 74;
    }
    memcpy(text + length, ".\r\n", 4);
    return text;
}

int main(int argc, char **argv)
{
    static struct load load;
    struct error why = {0};

    if (argc < 8) {
        fprintf(stderr,
                "bench_load ADDRESS PORT SESSIONS MESSAGES SIZE SENDER DOMAIN [tls ROOTS]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    load.to.sin_family = AF_INET;
    load.to.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    inet_pton(AF_INET, argv[1], &load.to.sin_addr);
    const unsigned sessions = (unsigned)strtoul(argv[3], NULL, 10);
    load.messages = strtol(argv[4], NULL, 10);
    load.text = make_text(strtoul(argv[5], NULL, 10));
    load.sender = argv[6];
    load.recipient_domain = argv[7];
    if (argc > 9) {
        static char pem[65536];
        FILE *roots = fopen(argv[9], "r");
        const size_t length = roots ? fread(pem, 1, sizeof pem, roots) : 0;

        if (!tls_client_new(span_make(pem, length), SPAN_LITERAL(""), NULL, &load.tls, &why))
            give_up("roots", &why);
    }
    pthread_t *threads = calloc(sessions, sizeof *threads);
    const int64_t start = clock_monotonic_ns(&clock_of_system);
    for (unsigned i = 0; i < sessions; i++)
        pthread_create(&threads[i], NULL, run_session, &load);
    for (unsigned i = 0; i < sessions; i++)
        pthread_join(threads[i], NULL);
    const int64_t end = clock_monotonic_ns(&clock_of_system);
    printf("start_ns=%lld end_ns=%lld messages=%ld\n", (long long)start, (long long)end,
           load.messages);
    return 0;
}
