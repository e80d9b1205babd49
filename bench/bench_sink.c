/* A sink: takes all mail as fast as it can, throws it away, and tells when the last one came. */
/* SPDX-License-Identifier: ISC */
#include "base/arena.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/memory.h"
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

enum { WAIT_MS = 600000, PEM_MAX = 65536 };

static struct tls_server *tls;
static atomic_long taken;
static long wanted;

static bool say(struct stream *stream, const char *text)
{
    struct error why;

    return stream_write(stream, span_of(text), deadline_in_ms(WAIT_MS), &why);
}

static void count_one(void)
{
    if (atomic_fetch_add(&taken, 1) + 1 == wanted) {
        printf("last_ns=%lld\n", (long long)clock_monotonic_ns(&clock_of_system));
        fflush(stdout);
    }
}

/* Up to and with CRLF.CRLF; the five bytes may come in pieces. */
static bool skip_data(struct stream *stream)
{
    static const char end[] = "\r\n.\r\n";
    size_t matched = 2; /* as if a CRLF stood before */
    struct span bytes;
    struct error why;

    for (;;) {
        if (!stream_peek(stream, deadline_in_ms(WAIT_MS), &bytes, &why) || bytes.len == 0)
            return false;
        for (size_t i = 0; i < bytes.len; i++) {
            matched = bytes.data[i] == end[matched] ? matched + 1 : bytes.data[i] == '\r';
            if (matched == 5) {
                stream_consume(stream, i + 1);
                return true;
            }
        }
        stream_consume(stream, bytes.len);
    }
}

static bool skip_chunk(struct stream *stream, size_t size)
{
    struct span bytes;
    struct error why;

    while (size > 0) {
        if (!stream_peek(stream, deadline_in_ms(WAIT_MS), &bytes, &why) || bytes.len == 0)
            return false;
        const size_t part = bytes.len < size ? bytes.len : size;
        stream_consume(stream, part);
        size -= part;
    }
    return true;
}

static bool take_command(struct stream *stream, struct span line)
{
    struct error why;

    if (span_starts_with_caseless(line, SPAN_LITERAL("EHLO")))
        return say(stream, "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n") &&
               (!tls || stream_is_tls(stream) || say(stream, "250-STARTTLS\r\n")) &&
               say(stream, "250 SIZE 100000000\r\n");
    if (span_starts_with_caseless(line, SPAN_LITERAL("STARTTLS")))
        return say(stream, "220 go\r\n") && stream_flush(stream, deadline_in_ms(WAIT_MS), &why) &&
               stream_start_tls_server(stream, tls, deadline_in_ms(WAIT_MS), &why);
    if (span_starts_with_caseless(line, SPAN_LITERAL("DATA"))) {
        if (!say(stream, "354 go\r\n") || !stream_flush(stream, deadline_in_ms(WAIT_MS), &why) ||
            !skip_data(stream))
            return false;
        count_one();
        return say(stream, "250 2.0.0 taken\r\n");
    }
    if (span_starts_with_caseless(line, SPAN_LITERAL("BDAT "))) {
        const bool is_last = span_ends_with_caseless(line, SPAN_LITERAL(" LAST"));

        if (!skip_chunk(stream, strtoul(line.data + 5, NULL, 10)))
            return false;
        if (is_last)
            count_one();
        return say(stream, "250 2.0.0 taken\r\n");
    }
    if (span_starts_with_caseless(line, SPAN_LITERAL("QUIT"))) {
        (void)(say(stream, "221 bye\r\n") && stream_flush(stream, deadline_in_ms(WAIT_MS), &why));
        return false;
    }
    return say(stream, "250 2.0.0 ok\r\n");
}

static void *serve(void *self)
{
    struct stream *stream = self;
    struct span line;
    struct error why;
    bool goes_on = say(stream, "220 sink ESMTP\r\n");

    while (goes_on) {
        if (stream_unread(stream) == 0 && !stream_flush(stream, deadline_in_ms(WAIT_MS), &why))
            break;
        goes_on = stream_read_line(stream, deadline_in_ms(WAIT_MS), &line, &why) &&
                  take_command(stream, line);
    }
    stream_free(stream);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    struct error why = {0};

    if (argc < 4) {
        fprintf(stderr, "bench_sink ADDRESS PORT MESSAGES [CERTIFICATE KEY]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    wanted = strtol(argv[3], NULL, 10);
    if (argc > 5) {
        struct arena *arena = arena_new("keys", MIB(1));
        struct tls_server_terms terms = {0};
        struct tls_key *key;
        struct span key_pem;

        if (!file_read(argv[4], PEM_MAX, arena, &terms.certificate_pem, &why) ||
            !file_read(argv[5], PEM_MAX, arena, &key_pem, &why) ||
            !tls_key_parse(key_pem, &key, &why)) {
            fprintf(stderr, "bench_sink: %s\n", why.text);
            return 1;
        }
        terms.signer = (struct tls_signer){.sign = tls_key_sign, .self = key};
        if (!tls_server_new(&terms, &tls, &why)) {
            fprintf(stderr, "bench_sink: %s\n", why.text);
            return 1;
        }
    }
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    here.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    inet_pton(AF_INET, argv[1], &here.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (const struct sockaddr *)&here, sizeof here) < 0 ||
        listen(listener, 512) < 0) {
        perror("bench_sink");
        return 1;
    }
    for (;;) {
        const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;

        if (fd < 0)
            continue;
        struct stream *stream = stream_new(fd);
        if (stream && pthread_create(&thread, NULL, serve, stream) == 0)
            pthread_detach(thread);
    }
}
