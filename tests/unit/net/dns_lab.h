/* A tiny name server on loopback, UDP and TCP, that answers by a script and misbehaves by it. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/span.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LAB_A = 1, LAB_CNAME = 5, LAB_SOA = 6, LAB_MX = 15, LAB_AAAA = 28 };

/* What becomes of a question for a name (and type, where it is not 0). */
enum lab_action {
    LAB_ANSWER, /* with the records below, or "no such record" */
    LAB_SILENCE,
    LAB_RCODE,    /* the number behind it */
    LAB_TRUNCATE, /* over UDP; over TCP the answer comes */
};
struct lab_rule {
    const char *name;
    uint16_t type;
    enum lab_action action;
    unsigned rcode;
};
struct lab_record {
    const char *name;
    uint16_t type;
    const char *data; /* "10 mx.example", "192.0.2.1", … */
};

struct lab_packet {
    uint8_t bytes[16384];
    size_t len;
};

struct lab_server {
    const struct lab_rule *rules;
    const struct lab_record *records;
    size_t rule_count, record_count;
    int udp, tcp, stop[2];
    uint16_t port;
    pthread_t thread;
    atomic_uint questions, tcp_questions;
    /* Answers in the place of the records where it says true (dns_signer.h). */
    bool (*answer)(const struct lab_server *s, const char *name, unsigned type,
                   struct lab_packet *out, unsigned *answers, unsigned *authority);
};

static inline void lab_put(struct lab_packet *p, const void *bytes, size_t len)
{
    if (p->len + len > sizeof p->bytes)
        abort();
    memcpy(p->bytes + p->len, bytes, len);
    p->len += len;
}

static inline void lab_put16(struct lab_packet *p, unsigned value)
{
    lab_put(p, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static inline void lab_put_name(struct lab_packet *p, const char *name)
{
    while (*name != '\0' && strcmp(name, ".") != 0) {
        size_t len = strcspn(name, ".");

        lab_put(p, &(uint8_t){(uint8_t)len}, 1);
        lab_put(p, name, len);
        name += len + (name[len] == '.');
    }
    lab_put(p, "", 1);
}

static inline void lab_put_record(struct lab_packet *p, const struct lab_record *record)
{
    uint8_t address[16];
    size_t at;
    char *end;

    lab_put_name(p, record->name);
    lab_put16(p, record->type);
    lab_put16(p, 1);
    lab_put(p, "\0\0\0\x3c", 4);
    at = p->len;
    lab_put16(p, 0);
    switch (record->type) {
    case LAB_A:
        inet_pton(AF_INET, record->data, address);
        lab_put(p, address, 4);
        break;
    case LAB_AAAA:
        inet_pton(AF_INET6, record->data, address);
        lab_put(p, address, 16);
        break;
    case LAB_MX:
        lab_put16(p, (unsigned)strtoul(record->data, &end, 10));
        lab_put_name(p, end + 1);
        break;
    case LAB_SOA:
        lab_put_name(p, "ns.example");
        lab_put_name(p, "root.example");
        lab_put(p, "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1", 20);
        break;
    default:
        lab_put_name(p, record->data);
    }
    p->bytes[at] = (uint8_t)((p->len - at - 2) >> 8);
    p->bytes[at + 1] = (uint8_t)(p->len - at - 2);
}

static inline const struct lab_rule *lab_rule_for(const struct lab_server *s, const char *name,
                                                  unsigned type)
{
    static const struct lab_rule answer = {"", 0, LAB_ANSWER, 0};

    for (size_t i = 0; i < s->rule_count; i++)
        if (strcasecmp(s->rules[i].name, name) == 0 &&
            (s->rules[i].type == 0 || s->rules[i].type == type))
            return &s->rules[i];
    return &answer;
}

/* The records of a name and, as a resolver gives them, of what it is an alias for. */
static inline unsigned lab_answers(const struct lab_server *s, const char *name, unsigned type,
                                   struct lab_packet *out)
{
    unsigned count = 0;

    for (unsigned hops = 0; hops < 4 && name; hops++) {
        const char *next = NULL;

        for (size_t i = 0; i < s->record_count; i++) {
            const struct lab_record *record = &s->records[i];

            if (strcasecmp(record->name, name) != 0 ||
                (record->type != type && record->type != LAB_CNAME))
                continue;
            lab_put_record(out, record);
            count++;
            if (record->type == LAB_CNAME)
                next = record->data;
        }
        name = next;
    }
    return count;
}

/* False: no answer is given. */
static inline bool lab_reply(struct lab_server *s, const uint8_t *asked, size_t len, bool is_tcp,
                             struct lab_packet *out)
{
    const struct lab_rule *rule;
    char name[256] = "";
    size_t at = 12, text = 0;
    unsigned type, answers = 0, authority = 0, rcode, flags;

    if (len < 17)
        return false;
    while (at < len && asked[at] != 0) {
        memcpy(name + text, asked + at + 1, asked[at]);
        text += asked[at];
        name[text++] = '.';
        at += asked[at] + 1u;
    }
    if (text > 0)
        name[text - 1] = '\0';
    type = (unsigned)(asked[at + 1] << 8 | asked[at + 2]);
    rule = lab_rule_for(s, name, type);
    atomic_fetch_add(&s->questions, 1);
    if (is_tcp)
        atomic_fetch_add(&s->tcp_questions, 1);
    if (rule->action == LAB_SILENCE)
        return false;
    rcode = rule->action == LAB_RCODE ? rule->rcode : 0;
    flags = 0x8180u | rcode | (rule->action == LAB_TRUNCATE && !is_tcp ? 0x0200u : 0);
    out->len = 0;
    lab_put(out, asked, 2);
    lab_put16(out, flags);
    lab_put(out, "\0\1\0\0\0\0\0\0", 8);
    lab_put(out, asked + 12, at + 5 - 12);
    if (rcode == 0 && (flags & 0x0200u) == 0 &&
        !(s->answer && s->answer(s, name, type, out, &answers, &authority)))
        answers = lab_answers(s, name, type, out);
    if (answers == 0 && authority == 0 && (rcode == 0 || rcode == 3)) {
        lab_put_record(out, &(struct lab_record){"example", LAB_SOA, ""});
        authority = 1;
    }
    out->bytes[6] = (uint8_t)(answers >> 8);
    out->bytes[7] = (uint8_t)answers;
    out->bytes[9] = (uint8_t)authority;
    return true;
}

static inline void lab_serve_tcp(struct lab_server *s)
{
    int fd = accept(s->tcp, NULL, NULL);
    uint8_t asked[2048], head[2];
    struct lab_packet out;
    size_t len;

    if (fd < 0)
        return;
    if (recv(fd, head, 2, MSG_WAITALL) == 2 && (len = (size_t)(head[0] << 8 | head[1])) < 2048 &&
        recv(fd, asked, len, MSG_WAITALL) == (ssize_t)len && lab_reply(s, asked, len, true, &out)) {
        head[0] = (uint8_t)(out.len >> 8);
        head[1] = (uint8_t)out.len;
        send(fd, head, 2, MSG_NOSIGNAL | MSG_MORE);
        send(fd, out.bytes, out.len, MSG_NOSIGNAL);
    }
    close(fd);
}

static inline void *lab_serve(void *argument)
{
    struct lab_server *s = argument;
    struct pollfd wanted[3] = {{s->udp, POLLIN, 0}, {s->tcp, POLLIN, 0}, {s->stop[0], POLLIN, 0}};
    struct sockaddr_storage from;
    struct lab_packet out;
    uint8_t asked[2048];

    while (poll(wanted, 3, -1) > 0 && wanted[2].revents == 0) {
        socklen_t from_len = sizeof from;

        if (wanted[0].revents) {
            ssize_t len =
                recvfrom(s->udp, asked, sizeof asked, 0, (struct sockaddr *)&from, &from_len);

            if (len > 0 && lab_reply(s, asked, (size_t)len, false, &out))
                sendto(s->udp, out.bytes, out.len, 0, (struct sockaddr *)&from, from_len);
        }
        if (wanted[1].revents)
            lab_serve_tcp(s);
    }
    return NULL;
}

/* Both sockets on one free port. */
static inline void lab_server_start(struct lab_server *s)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;

    for (;;) {
        address = (struct sockaddr_in){.sin_family = AF_INET};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        s->udp = socket(AF_INET, SOCK_DGRAM, 0);
        s->tcp = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(s->udp, (struct sockaddr *)&address, sizeof address) == 0 &&
            getsockname(s->udp, (struct sockaddr *)&address, &len) == 0 &&
            bind(s->tcp, (struct sockaddr *)&address, sizeof address) == 0)
            break;
        close(s->udp);
        close(s->tcp);
    }
    listen(s->tcp, 10);
    s->port = ntohs(address.sin_port);
    if (pipe(s->stop) != 0 || pthread_create(&s->thread, NULL, lab_serve, s) != 0)
        abort();
}

static inline void lab_server_stop(struct lab_server *s)
{
    if (write(s->stop[1], "x", 1) != 1)
        abort();
    pthread_join(s->thread, NULL);
    close(s->udp);
    close(s->tcp);
    close(s->stop[0]);
    close(s->stop[1]);
}
