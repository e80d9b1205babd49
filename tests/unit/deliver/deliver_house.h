/* A gateway's delivering half in one process: a real store, a keeper in a thread, a name server and
 * mail servers on loopback that do as their scripts say. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "cmocka_house.h"

#include "audit/event.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "deliver/deliver.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- mail servers ---- */

/* What a peer says when a line begins with `when` ("GREETING", "HANDSHAKE" and "FINAL" stand for
 * those moments); the first rule with uses left counts. A reply of "" is silence until we leave;
 * one that begins with "!" is said before it closes; one that begins with "~" waits for
 * peers_release(). */
struct manner {
    const char *when, *reply;
    int uses; /* 0: always */
};
enum {
    PEER_TLS = 1,
    PEER_CHUNKING = 2,
    PEER_NO_PIPELINING = 4,
    PEER_NO_8BIT = 8,
    PEER_LMTP = 16,
    PEER_DEAD = 32,     /* nobody listens */
    PEER_STRANGER = 64, /* a certificate of another root */
    PEER_UNIX = 128,    /* at the socket that all mail for socket.example goes to */
};
/* At 127.0.0.<number>, at the laboratory's port. */
struct peer {
    unsigned number, flags;
    const struct manner *manners;
    size_t manner_count;
};
enum { PEERS_MAX = 6, MANNERS_MAX = 12 };

void peers_release(void);
/* What the peer saw, all connections in order: each command line, "[tls]", "[connect]", "[end]". */
struct span peer_log(unsigned number, struct arena *arena);
/* The last message that it took, unstuffed. */
struct span peer_message(unsigned number, struct arena *arena);
/* How often this text is in the log. */
size_t peer_count(unsigned number, const char *text);

/* ---- the gateway ---- */

struct limit_cut {
    const char *name;
    long long value;
};
/* The zone that all see is at the top of deliver_house.c. */
struct plan {
    const struct peer *peers;
    size_t peer_count;
    const struct limit_cut *limits;
    size_t limit_count;
    bool is_idle; /* the room is not started: see house_start() */
};
struct house {
    struct store *store;
    struct deliver *deliver;
    const char *directory;
};
extern struct house house;

void house_open(const struct plan *plan);
void house_close(void);
/* Starts, or stops, the room alone. */
void house_start(void);
void house_stop(void);

struct letter_plan {
    const char *ladder;
    const char *recipients[120];
    const char *sender;  /* NULL: nurse@clinic.example; "": the null sender */
    struct span body;    /* .data NULL: a small one */
    bool is_stored_only; /* not handed over: read back from the store */
    bool is_stranger;    /* the sender is not known to us */
    bool is_held;
    int64_t accepted_ago_ms; /* so long ago */
    int64_t ends_in_ms;      /* 0: as the ladder says */
};
struct id house_accept(const struct letter_plan *plan);

/* Waits until the delivery has left this state (fails the test after a while), and gives the new
 * one. */
enum delivery_state house_wait(struct id id, uint32_t number, enum delivery_state leaves);
void house_expect(struct id id, uint32_t number, enum delivery_state state);
/* Waits for a leaf of the kind, and tells this field of the newest one (a number in decimal; empty:
 * no such field). */
struct span house_leaf(struct id id, uint32_t number, enum event_kind kind,
                       enum event_field_id field, struct arena *arena);
size_t house_count_leaves(struct id id, uint32_t number, enum event_kind kind);
/* The same for "has it in it". */
void assert_leaf_has(struct id id, uint32_t number, enum event_kind kind, enum event_field_id field,
                     const char *text);
/* Opens the peer's words of that leaf. */
struct span house_reply(struct id id, uint32_t number, enum event_kind kind, struct arena *arena);
/* SQL behind the store's back; while the room is stopped. */
void house_tamper(const char *sql);
/* The store can write nothing until it is freed again. */
void house_block_store(void);
void house_free_store(void);
/* Messages in the store that are reports. */
size_t house_reports(void);
