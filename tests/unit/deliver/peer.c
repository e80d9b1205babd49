/* Mail servers on loopback that do as they are told, and remember what they saw. */
/* SPDX-License-Identifier: ISC */
#include "peer.h"

#include "base/memory.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_MS = 20000 };

static struct running running[PEERS_MAX];
static size_t running_count;

static atomic_bool is_released;

void peers_release(void)
{
    atomic_store(&is_released, true);
}

static void note(struct running *peer, struct span text)
{
    pthread_mutex_lock(&peer->lock);
    buffer_append(&peer->log, text);
    buffer_append_byte(&peer->log, '\n');
    pthread_mutex_unlock(&peer->lock);
}

struct talk {
    struct running *peer;
    struct stream *stream;
    struct buffer text; /* the message */
    size_t recipients;
    bool is_tls;
};

static const char *manner_for(struct talk *talk, struct span line)
{
    const char *reply = NULL;

    pthread_mutex_lock(&talk->peer->lock);
    for (size_t i = 0; i < talk->peer->plan.manner_count && !reply; i++) {
        const struct manner *manner = &talk->peer->plan.manners[i];

        if (!span_starts_with_caseless(line, span_of(manner->when)))
            continue;
        if (manner->uses > 0 && talk->peer->used[i] >= manner->uses)
            continue;
        talk->peer->used[i]++;
        reply = manner->reply;
    }
    pthread_mutex_unlock(&talk->peer->lock);
    return reply;
}

static bool say(struct talk *talk, const char *text)
{
    struct deadline until = deadline_in_ms(WAIT_MS);
    struct error why;

    return stream_write(talk->stream, span_of(text), until, &why) &&
           stream_flush(talk->stream, until, &why);
}

/* False: the connection is over. */
static bool answer(struct talk *talk, const char *moment, struct span line, const char *ordinary)
{
    const char *reply = manner_for(talk, moment ? span_of(moment) : line);
    struct error why;
    struct span bytes;

    if (!reply)
        return say(talk, ordinary);
    if (reply[0] == '\0') { /* silence */
        while (stream_peek(talk->stream, deadline_in_ms(WAIT_MS), &bytes, &why) && bytes.len > 0)
            stream_consume(talk->stream, bytes.len);
        return false;
    }
    if (reply[0] == '~') {
        while (!atomic_load(&is_released))
            poll(NULL, 0, 1);
        return say(talk, reply + 1);
    }
    if (reply[0] == '!') {
        if (reply[1] != '\0')
            say(talk, reply + 1);
        return false;
    }
    return say(talk, reply);
}

static void take_message(struct talk *talk)
{
    pthread_mutex_lock(&talk->peer->lock);
    buffer_truncate(&talk->peer->message, 0);
    buffer_append(&talk->peer->message, buffer_span(&talk->text));
    pthread_mutex_unlock(&talk->peer->lock);
}

static bool end_message(struct talk *talk)
{
    size_t replies = talk->peer->plan.flags & PEER_LMTP ? talk->recipients : 1;

    take_message(talk);
    note(talk->peer, SPAN_LITERAL("[final]"));
    talk->recipients = 0;
    for (size_t i = 0; i < replies; i++)
        if (!answer(talk, "FINAL", (struct span){"", 0}, "250 2.0.0 taken\r\n"))
            return false;
    return true;
}

static bool read_data(struct talk *talk)
{
    struct error why;
    struct span line;

    buffer_truncate(&talk->text, 0);
    if (!say(talk, "354 go\r\n"))
        return false;
    for (;;) {
        if (!stream_read_line(talk->stream, deadline_in_ms(WAIT_MS), &line, &why))
            return false;
        if (span_equal(line, SPAN_LITERAL(".")))
            return end_message(talk);
        buffer_append(&talk->text, line.len > 0 && line.data[0] == '.' ? span_from(line, 1) : line);
        buffer_append(&talk->text, SPAN_LITERAL("\r\n"));
        if (manner_for(talk, SPAN_LITERAL("MIDDATA"))) {
            say(talk, "421 4.4.2 data timeout\r\n");
            return false;
        }
    }
}

static bool read_chunk(struct talk *talk, struct span argument)
{
    unsigned long long size;
    struct span number, rest, bytes;
    struct error why;

    span_split(argument, ' ', &number, &rest);
    if (!span_number(number, 1 << 30, &size))
        return false;
    buffer_truncate(&talk->text, 0);
    while (size > 0) {
        if (!stream_peek(talk->stream, deadline_in_ms(WAIT_MS), &bytes, &why) || bytes.len == 0)
            return false;
        bytes = span_until(bytes, (size_t)size);
        buffer_append(&talk->text, bytes);
        stream_consume(talk->stream, bytes.len);
        size -= bytes.len;
    }
    return end_message(talk);
}

static bool say_hello(struct talk *talk, struct span line)
{
    unsigned flags = talk->peer->plan.flags;
    char text[300];

    snprintf(text, sizeof text, "250-peer.example\r\n%s%s%s%s250-SIZE 10000000\r\n250 HELP\r\n",
             flags & PEER_NO_PIPELINING ? "" : "250-PIPELINING\r\n",
             flags & PEER_NO_8BIT ? "" : "250-8BITMIME\r\n",
             flags & PEER_CHUNKING ? "250-CHUNKING\r\n" : "",
             flags & PEER_TLS && !talk->is_tls ? "250-STARTTLS\r\n" : "");
    return answer(talk, NULL, line, text);
}

static bool start_tls(struct talk *talk, struct span line)
{
    struct error why;

    if (!answer(talk, NULL, line, "220 2.0.0 go\r\n"))
        return false;
    stream_discard_unread(talk->stream);
    if (!answer(talk, "HANDSHAKE", (struct span){"", 0}, ""))
        return false;
    if (!stream_start_tls_server(talk->stream, talk->peer->tls, deadline_in_ms(WAIT_MS), &why)) {
        note(talk->peer, SPAN_LITERAL("[no tls]"));
        return false;
    }
    note(talk->peer, SPAN_LITERAL("[tls]"));
    talk->is_tls = true;
    return true;
}

static bool do_command(struct talk *talk, struct span line)
{
    note(talk->peer, line);
    if (span_starts_with_caseless(line, SPAN_LITERAL("EHLO")) ||
        span_starts_with_caseless(line, SPAN_LITERAL("LHLO")))
        return say_hello(talk, line);
    if (span_starts_with_caseless(line, SPAN_LITERAL("STARTTLS")))
        return start_tls(talk, line);
    if (span_starts_with_caseless(line, SPAN_LITERAL("BDAT ")))
        return read_chunk(talk, span_from(line, 5));
    if (span_equal_caseless(line, SPAN_LITERAL("DATA"))) {
        const char *reply = manner_for(talk, line);

        if (reply)
            return say(talk, reply);
        return talk->recipients > 0 ? read_data(talk) : say(talk, "554 5.5.1 nobody\r\n");
    }
    if (span_starts_with_caseless(line, SPAN_LITERAL("RCPT"))) {
        const char *reply = manner_for(talk, line);

        if (!reply || reply[0] == '2')
            talk->recipients++;
        return say(talk, reply ? reply : "250 2.1.5 ok\r\n");
    }
    if (span_starts_with_caseless(line, SPAN_LITERAL("QUIT"))) {
        say(talk, "221 2.0.0 bye\r\n");
        return false;
    }
    return answer(talk, NULL, line, "250 2.0.0 ok\r\n");
}

static void *serve_one(void *self)
{
    struct talk talk = *(struct talk *)self;
    struct span line;
    struct error why;
    char copy[STREAM_LINE_MAX];

    free(self);
    buffer_init(&talk.text, MIB(8));
    note(talk.peer, SPAN_LITERAL("[connect]"));
    if (answer(&talk, "GREETING", (struct span){"", 0}, "220 peer.example\r\n"))
        while (stream_read_line(talk.stream, deadline_in_ms(WAIT_MS), &line, &why)) {
            memcpy(copy, line.data, line.len);
            if (!do_command(&talk, (struct span){copy, line.len}))
                break;
        }
    note(talk.peer, SPAN_LITERAL("[end]"));
    stream_free(talk.stream);
    buffer_clear(&talk.text);
    atomic_fetch_sub(&talk.peer->talks, 1);
    return NULL;
}

static void *serve(void *self)
{
    struct running *peer = self;
    int fd;

    while ((fd = accept(peer->listening, NULL, NULL)) >= 0) {
        struct talk *talk = calloc(1, sizeof *talk);
        pthread_t thread;

        *talk = (struct talk){.peer = peer, .stream = stream_new(fd)};
        atomic_fetch_add(&peer->talks, 1);
        pthread_create(&thread, NULL, serve_one, talk);
        pthread_detach(thread);
    }
    return NULL;
}

static int at_number(unsigned number, uint16_t *port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr = {htonl(0x7f000000U + number)}};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    *port = ntohs(address.sin_port);
    return fd;
}

static int at_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/lmtp", house.directory);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

void peers_start(const struct peer *plans, size_t count, uint16_t *port, struct tls_server *good,
                 struct tls_server *strange)
{
    running_count = count;
    atomic_store(&is_released, false);
    for (size_t i = 0; i < count; i++) {
        struct running *peer = &running[i];

        *peer = (struct running){.plan = plans[i],
                                 .tls = plans[i].flags & PEER_STRANGER ? strange : good};
        pthread_mutex_init(&peer->lock, NULL);
        buffer_init(&peer->log, MIB(4));
        buffer_init(&peer->message, MIB(8));
        peer->listening =
            plans[i].flags & PEER_UNIX ? at_socket() : at_number(plans[i].number, port);
        if (plans[i].flags & PEER_DEAD)
            continue;
        assert_int_equal(listen(peer->listening, 64), 0);
        pthread_create(&peer->thread, NULL, serve, peer);
    }
}

void peers_stop(void)
{
    for (size_t i = 0; i < running_count; i++) {
        struct running *peer = &running[i];

        shutdown(peer->listening, SHUT_RDWR);
        if (!(peer->plan.flags & PEER_DEAD))
            pthread_join(peer->thread, NULL);
        while (atomic_load(&peer->talks) > 0)
            poll(NULL, 0, 1);
        close(peer->listening);
        buffer_clear(&peer->log);
        buffer_clear(&peer->message);
        pthread_mutex_destroy(&peer->lock);
    }
    running_count = 0;
}

static struct running *find(unsigned number)
{
    for (size_t i = 0; i < running_count; i++)
        if (running[i].plan.number == number)
            return &running[i];
    fail_msg("no such peer");
    return NULL;
}

struct span peer_log(unsigned number, struct arena *arena)
{
    struct running *peer = find(number);
    struct span log;

    pthread_mutex_lock(&peer->lock);
    log = span_of(arena_string(arena, buffer_span(&peer->log)));
    pthread_mutex_unlock(&peer->lock);
    return log;
}

struct span peer_message(unsigned number, struct arena *arena)
{
    struct running *peer = find(number);
    struct span message;

    pthread_mutex_lock(&peer->lock);
    message = arena_copy(arena, buffer_span(&peer->message));
    pthread_mutex_unlock(&peer->lock);
    return message;
}

size_t peer_count(unsigned number, const char *text)
{
    scoped(arena) arena = arena_new("log", MIB(8));
    const char *at = peer_log(number, arena).data;
    size_t count = 0;

    while ((at = strstr(at, text))) {
        count++;
        at += strlen(text);
    }
    return count;
}
