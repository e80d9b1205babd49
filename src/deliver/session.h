/* A session with a mail server that is, and stays, what a demand asked for: only such a one exists
 * as a `struct session`, so that nothing else can be told MAIL. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/scoped.h"
#include "deliver/deliver.h"
#include "net/stream.h"
#include "verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum tls_need {
    TLS_NEED_NONE,  /* cleartext with its permit, a unix socket, loopback inwards */
    TLS_NEED_ANY,   /* TLS with anybody */
    TLS_NEED_NAMED, /* a chain to our roots and one of `names` */
};
/* Where to, and what the other side must prove there. Made by route.c alone. */
struct target {
    struct span host; /* MX host or route, for journal, SNI and limits */
    struct sockaddr_storage address;
    socklen_t address_len;
    char address_text[ADDRESS_TEXT_SIZE];
    bool is_lmtp;
    bool has_equals; /* other hosts of its preference */
    enum tls_need need;
    struct span server_name;  /* SNI; empty: none */
    const struct span *names; /* TLS_NEED_NAMED */
    size_t name_count;
    const char *mechanism; /* what the session is then called in the journal: */
    const char *level;     /* "none", "pkix", "pin"; "encrypt", "verify", … */
};

/* What a session's owner lends it for opening. */
struct session_terms {
    struct tls_client *tls;
    const struct deliver_limits *limits;
    struct span our_name; /* for EHLO */
    /* Told of the stream while it lives, so that somebody can end its waits: NULL when it goes. */
    void (*watch)(void *self, struct stream *stream);
    void *self;
};

enum smtp_offer {
    OFFER_PIPELINING = 1,
    OFFER_8BITMIME = 2,
    OFFER_CHUNKING = 4,
    OFFER_STARTTLS = 8,
    OFFER_SIZE = 16,
};

struct session;
/* Connects, greets, takes up TLS as the target needs, greets again. On failure *end says how the
 * host ended; *is_dead whether it did not even answer (connect, greeting). `key` is the demand:
 * way, names and policy domain in one text; the session serves that demand and no other. */
MUST_USE bool session_open(const struct session_terms *terms, const struct target *target,
                           struct span key, struct arena *arena, struct session **out,
                           struct verdict *end, bool *is_dead);
/* QUIT where the talk is in step, then closes. Accepts NULL. */
void session_free(struct session *session);
SCOPED_FREE(session)

bool session_serves(const struct session *session, struct span key);
/* No reply is open, nothing came unasked, and it is young enough. */
bool session_is_fit(struct session *session, const struct deliver_limits *limits);
struct stream *session_stream(struct session *session);
unsigned session_offers(const struct session *session);   /* of enum smtp_offer */
uint64_t session_size_max(const struct session *session); /* 0: no limit told */
bool session_is_lmtp(const struct session *session);
unsigned session_messages(const struct session *session);
void session_count_message(struct session *session);
/* The talk is out of step or over: it will only be closed. */
void session_spoil(struct session *session);
bool session_is_spoiled(const struct session *session);

/* What the journal tells of it. `proof` is NULL without TLS. */
struct session_facts {
    struct span host;
    const char *address;
    const char *mechanism, *level;
    const struct tls_proof *proof;
};
struct session_facts session_facts(const struct session *session);
