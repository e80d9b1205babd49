/* A gateway's receiving half in one process: a real store, a keeper in a thread, a ring whose other
 * end we hold, listeners on loopback, and clients that talk by a script. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "cmocka_house.h"

#include "audit/event.h"
#include "base/arena.h"
#include "net/stream.h"
#include "receive/receive.h"
#include "session.h"

/* Who listens how. */
enum door {
    DOOR_MX,          /* smtp, trusts nobody */
    DOOR_MX_TRUSTING, /* smtp, trusts 127.0.0.2 */
    DOOR_MX_PLAIN,    /* smtp without a certificate */
    DOOR_SUBMISSION,  /* trusts 127.0.0.0/8 */
    DOOR_SUBMISSIONS, /* the same, TLS at once */
    DOOR_STRANGE,     /* submission, trusts a network that no client is in */
    DOOR_RELAY,       /* trusts the client certificate of the house */
    DOOR_COUNT
};

struct house {
    struct receive *receive;
    struct store *store;
    struct store_shared *shared;
    struct handover *consumer; /* NULL where nobody delivers */
    struct policy_slot *slot;
    uint16_t ports[DOOR_COUNT];
};
extern struct house house;

/* Starts all of it with limits cut by name; NULL ends them. */
struct cut {
    const char *name;
    long long value;
};
void house_open(const struct cut *cuts, bool has_deliverer);
void house_close(void);
/* Stops receiving alone. */
void house_stop(int64_t grace_ms);

/* A client on 127.0.0.`host`. */
struct stream *house_connect(enum door door, unsigned host);
/* Its TLS; with the client certificate of the house, or without. False: no handshake. */
bool house_start_tls(struct stream *client, bool with_certificate);

/* Plays a script, a step a line; fails the test where the server does otherwise.
 *     > TEXT     sends TEXT and CRLF; \r \n \t \\ \xHH are escapes. Neighbours are one write.
 *     >> TEXT    sends TEXT alone
 *     < TEXT     a whole reply comes, and its last line begins with TEXT
 *     tls        a handshake; `tls certificate` with ours
 *     shut       closes our sending side
 *     eof        the server has closed, and said no more
 *     gone       the server has closed, whatever it said */
void play(struct stream *client, const char *script);
/* The same on a connection of its own. */
void play_at(enum door door, unsigned host, const char *script);

/* Waits until no session is left and all leaves are on disk. */
void house_settle(void);
/* Leaves of this kind in the journal so far. */
size_t house_leaves(enum event_kind kind);
/* The newest leaf of the kind has this text (or number, for numbers) in this field. */
void assert_last_leaf(enum event_kind kind, enum event_field_id field, const char *text);
/* Messages in the store so far. */
uint64_t house_messages(void);
uint64_t house_messages_now(void); /* without waiting for sessions to end */
/* The next message handed over; lives in the arena. NULL .body.data: none. */
struct fresh_message house_take(struct arena *arena);
