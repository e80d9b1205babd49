/* Everything durable, behind one contract: takes sealed bytes and opaque journal leaves, assigns
 * order and hash at commit. SQL lives nowhere else.
 *
 * Lock order: writer queue, then the fair lock (shared.h). No lock is held by callers. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/error.h"
#include "base/id.h"
#include "base/scoped.h"
#include "base/span.h"
#include "store/limits.h"
#include "store/merkle.h"
#include "store/shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

enum store_mode {
    STORE_READ_WRITE, /* starts the writer thread */
    STORE_READ_ONLY,  /* for tools: verify, trace without a daemon */
};
/* Opens or creates the database in the directory (schema version 1; another version is an
 * ERROR_INTERNAL that names both). `shared` may be NULL for a process that is alone with the store.
 */
MUST_USE bool store_open(const char *directory, enum store_mode mode, struct store_shared *shared,
                         const struct clock *clock, const struct entropy *entropy,
                         struct store **out, struct error *why);
/* Waits for what was posted, then closes. */
void store_close(struct store *store);
static inline void store_free(struct store *store)
{
    store_close(store);
}
SCOPED_FREE(store)

/* ---- what is written ---- */

/* A journal leaf, opaque here but for what it is looked up by. */
struct store_leaf {
    uint16_t kind;
    struct id message;        /* none: about the gateway */
    uint32_t delivery;        /* its number; 0: about the message as a whole */
    struct span organisation; /* name; "" is the gateway's own */
    int64_t at_ms;
    struct span detail; /* canonical bytes, at most STORE_LEAF_DETAIL_MAX */
};

enum delivery_state {
    DELIVERY_WAITING,   /* due at .due_at_ms; leased where .lease is not 0 */
    DELIVERY_HELD,      /* until .ends_at_ms */
    DELIVERY_DELIVERED, /* the four ends: */
    DELIVERY_RETURNED,
    DELIVERY_DELETED, /* by an administrator */
    DELIVERY_DROPPED,
    DELIVERY_STATE_COUNT
};

struct store_delivery {
    uint32_t number; /* within the message, from 1 */
    enum delivery_state state;
    struct span
        destination;       /* the queue's key: the domain in lower case, or "route:<host>:<port>" */
    struct span recipient; /* sealed */
    struct span ladder;    /* text */
    struct span rule;      /* name of the rule that decided */
    bool is_rule_of_gateway;
    uint8_t policy_digest[32];
    uint8_t tag[32];
    uint32_t rung;
    uint32_t attempts;
    int64_t rung_since_ms, due_at_ms, ends_at_ms; /* ends: the rung's or the hold's patience;
                                                     INT64_MAX: none */
    uint64_t lease;                               /* 0: none */
    struct span last_reason;                      /* safe for logs; at most 240 bytes */
    int64_t begun_at_ms; /* when an administrator let its ladder begin again; 0: never. Set by a
                            move, not at acceptance */
};
struct store_message {
    struct id id;
    struct span organisation;
    int64_t accepted_at_ms;
    uint64_t size;                                        /* plain bytes of the body */
    bool has_8bit, is_sender_known, is_inward, is_report; /* is_report: a DSN of ours */
    struct span wrapped_content;                          /* empty once erased */
    struct span wrapped_record;
    int32_t content_day, record_day;
    struct span sender; /* sealed */
    struct span facts;  /* sealed */
};

enum store_change_kind {
    STORE_ACCEPT,  /* a message with its sealed body, deliveries and leaves */
    STORE_MOVE,    /* a delivery into another state or rung, only if its lease (or state) is as
                      expected */
    STORE_LEAF,    /* a leaf alone */
    STORE_PUT_OFF, /* nothing of this destination is claimed before .due_at_ms */
    STORE_DESTINATION_UP, /* the destination works: its put-off and failure count end */
};
struct store_move {
    struct id message;
    uint32_t delivery;
    uint64_t expected_lease; /* must be the row's; 0 for an administrator's act */
    enum delivery_state expected_state;
    int64_t expected_rung_since_ms; /* 0: any. An administrator's act must not undo a climb that
                                       came while he looked */
    enum delivery_state state;      /* an end erases the wrapped content key and the body with the
                                       message's last delivery */
    uint32_t rung, attempts;
    int64_t rung_since_ms, due_at_ms, ends_at_ms;
    struct span last_reason;
    /* A new binding (an administrator's act); ladder.data NULL: unchanged. */
    struct span ladder, rule;
    bool is_rule_of_gateway;
    uint8_t tag[32], policy_digest[32];
    struct span wrapped_content; /* .data NULL: unchanged; an earlier day changes nothing */
    int32_t content_day;
    int64_t begun_at_ms; /* the ladder begins again; 0: unchanged */
};
struct store_change {
    enum store_change_kind kind;
    union {
        struct {
            struct store_message message;
            const struct span *body; /* sealed chunks, in order */
            size_t body_count;
            const struct store_delivery *deliveries;
            size_t delivery_count;
        } accept;
        struct store_move move;
        struct {
            struct span destination;
            int64_t due_at_ms;
            uint32_t failures;
        } put_off; /* and STORE_DESTINATION_UP: .destination alone */
    };
    /* With the change, in this order, whatever its kind. */
    const struct store_leaf *leaves;
    size_t leaf_count;
};
/* All or nothing. */
struct store_batch {
    const struct store_change *changes;
    size_t count;
};
/* Returns after the flush: durable. Joins the group of whoever else waits. ERROR_TEMPORARY 4.3.1
 * when the disk is full or failed (nothing of the batch is then believed to be there),
 * ERROR_INTERNAL when a move's expectation does not hold (nothing of the batch was done). */
MUST_USE bool store_commit(struct store *store, const struct store_batch *batch, struct error *why);
/* Joins a group without waiting; `batch` and all it points to must live until `done` is called
 * (once, by the writer thread; it must not block nor call the store). Order is kept. */
struct store_posting {
    struct store_batch batch;
    void (*done)(struct store_posting *posting, const struct error *why); /* why NULL: durable */
    struct store_posting *next;                                           /* the store's */
};
void store_post(struct store *store, struct store_posting *posting);

/* ---- claiming ---- */

struct store_claimed {
    struct store_message message;
    struct store_delivery delivery;
    struct store_leaf last_leaf; /* the delivery's newest */
    bool is_leaf_whole;          /* its hash is that of its row, which is one of the tree's */
};
/* What its owner has in hand, however its lease looks. Asked on the writer's thread: it must not
 * block nor call the store. */
struct store_hand {
    bool (*has)(void *self, struct id message, uint32_t delivery); /* NULL: nothing is in hand */
    void *self;
};
struct store_claim {
    int64_t now_ms, lease_until_ms;
    uint64_t lease; /* of the claimer: handover_lease() */
    size_t limit;   /* at most STORE_CLAIM_MAX */
    size_t limit_per_destination;
    const struct span *skip; /* destinations that are busy enough */
    size_t skip_count;
    struct store_hand hand; /* of the claimer */
};
/* Due deliveries of destinations that are due, and deliveries (waiting or held) whose patience is
 * over, these also of destinations that are skipped or put off: ending them needs no connection.
 * Leased in one transaction, records in the arena. Deliveries of one message come together, in
 * order of the id. Leases that have run out end here first, but for
 * those of the claimer on what it has in hand (the clock may have leapt): these are renewed. An
 * arena that is full ends the claim early (ERROR_TEMPORARY where not one fits). A delivery whose
 * message's row is gone comes with the id alone. ERROR_INTERNAL: no lease, one that ends before
 * now, or a limit above STORE_CLAIM_MAX.
 */
MUST_USE bool store_claim(struct store *store, const struct store_claim *claim, struct arena *arena,
                          struct store_claimed **out, size_t *count, struct error *why);
/* When the next claim may find something (skip as there), the end of a lease included; INT64_MAX:
 * nothing waits. */
MUST_USE bool store_next_due(struct store *store, const struct span *skip, size_t skip_count,
                             int64_t *due_at_ms, struct error *why);
/* Longer leases for what is still being delivered, and for nothing else: what was born leased, and
 * never reached its claimer because receive died on the way, must run out. */
struct store_renewal {
    uint64_t lease;
    int64_t until_ms;
    struct store_hand hand;
};
MUST_USE bool store_leases_renew(struct store *store, const struct store_renewal *renewal,
                                 struct error *why);
/* At the consumer's start: rows leased to anybody else are free and due. */
MUST_USE bool store_leases_end(struct store *store, uint64_t living_lease, int64_t now_ms,
                               struct error *why);
/* A sealed chunk of a body, by number from 0: appended to `out`; *is_last: it is the last one.
 * ERROR_INTERNAL when it is not there. */
MUST_USE bool store_read_body(struct store *store, struct id message, uint32_t number,
                              struct buffer *out, bool *is_last, struct error *why);
MUST_USE bool store_destination_failures(struct store *store, struct span destination,
                                         uint32_t *failures, struct error *why);

/* ---- looking ---- (any thread; readers do not wait for the writer) */

/* *found false: no such message. */
MUST_USE bool store_find_message(struct store *store, struct id id, struct arena *arena,
                                 bool *found, struct store_message *message,
                                 struct store_delivery **deliveries, size_t *delivery_count,
                                 struct error *why);
/* Journal rows of one message, oldest first. */
struct store_journal_row {
    uint64_t sequence; /* from 0, without gaps */
    struct store_leaf leaf;
    uint8_t salt[MERKLE_SALT_BYTES];
    struct merkle_hash hash; /* as stored; zeros where the row holds what we never write */
    bool is_purged;          /* salt and detail are gone */
};
MUST_USE bool store_find_journal(struct store *store, struct id message, struct arena *arena,
                                 struct store_journal_row **rows, size_t *count, struct error *why);
/* Waiting and held deliveries after (message, delivery), in order of the id; at most `limit`.
 * `destination` empty: all. For the queue command. */
struct store_queued {
    struct store_message message;
    struct store_delivery delivery;
};
MUST_USE bool store_list_queue(struct store *store, struct span destination, struct id after,
                               uint32_t after_delivery, size_t limit, struct arena *arena,
                               struct store_queued **out, size_t *count, struct error *why);
/* The newest messages of all, newest first. */
MUST_USE bool store_list_latest(struct store *store, size_t limit, struct arena *arena,
                                struct id **out, size_t *count, struct error *why);
struct store_destination {
    struct span name;
    uint64_t waiting, held;
    int64_t next_due_ms; /* of the earliest waiting delivery that nobody has leased, or the
                            put-off's end when later; INT64_MAX: none */
    uint32_t failures;
};
/* Those with waiting or held deliveries, the fullest first. */
MUST_USE bool store_list_destinations(struct store *store, size_t limit, struct arena *arena,
                                      struct store_destination **out, size_t *count,
                                      struct error *why);
struct store_counts {
    uint64_t waiting, held, delivered, returned, deleted, dropped, messages, leaves;
};
MUST_USE bool store_count(struct store *store, struct store_counts *counts, struct error *why);

/* ---- the journal ---- */

/* The canonical bytes that a leaf's hash covers: version, sequence, kind, message, delivery,
 * organisation, time, detail. */
void store_leaf_canonical(uint64_t sequence, const struct store_leaf *leaf, struct buffer *out);
/* Is the row's hash that of what the row says? False when purged. `scratch` holds the bytes of any
 * row of ours: STORE_LEAF_CANONICAL_MAX; it may serve many rows. */
bool store_row_is_whole(const struct store_journal_row *row, struct buffer *scratch);
struct store_tree {
    uint64_t epoch;
    struct merkle_tree tree;
};
MUST_USE bool store_tree_read(struct store *store, struct store_tree *tree, struct error *why);
/* Begins a new epoch over the same rows (a restored backup): the next leaf names the gap. */
MUST_USE bool store_epoch_begin(struct store *store, uint64_t epoch, const struct store_leaf *leaf,
                                struct error *why);
/* Rows in order from `sequence`; `visit` false stops. Rows that are missing show as a jump. From 0
 * begins with what somebody may have put before it: such a sequence is above INT64_MAX. */
MUST_USE bool store_each_leaf(struct store *store, uint64_t from_sequence,
                              bool (*visit)(void *self, const struct store_journal_row *row),
                              void *self, struct error *why);
struct store_checkpoint {
    uint64_t epoch, size;
    struct span bytes; /* the signed checkpoint, as audit wrote it */
};
MUST_USE bool store_put_checkpoint(struct store *store, const struct store_checkpoint *checkpoint,
                                   struct error *why);
MUST_USE bool store_each_checkpoint(struct store *store,
                                    bool (*visit)(void *self,
                                                  const struct store_checkpoint *checkpoint),
                                    void *self, struct error *why);
/* Policies by digest: what a past decision was made under. */
MUST_USE bool store_put_policy(struct store *store, const uint8_t digest[static 32],
                               struct span text, struct error *why);
MUST_USE bool store_find_policy(struct store *store, const uint8_t digest[static 32],
                                struct arena *arena, bool *found, struct span *text,
                                struct error *why);
