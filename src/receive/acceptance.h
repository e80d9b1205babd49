/* A message on its way into safe keeping: what was decided, and the stored messages it becomes. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "keys/sealing.h"
#include "message/edits.h"
#include "session.h"
#include "store/store.h"

/* One recipient's delivery before it has a number. */
struct decided {
    const struct recipient *recipient;
    struct span address;     /* printed */
    struct span destination; /* the queue's key */
    struct span ladder;      /* printed */
    struct decision decision;
    enum delivery_state state;
    uint32_t rung;
    int64_t ends_at_ms;
    int32_t content_day; /* its content must live so long */
    size_t group;
};

/* The deliveries that go in one organisation's name, in one direction: a stored message. */
struct group {
    size_t organisation;
    bool is_inward;
    struct span organisation_name;
    size_t count;   /* of deliveries */
    size_t waiting; /* of them, due at once */
    int32_t content_day;

    struct id id;
    struct key_pair pair;
    struct buffer sealed; /* the body's chunks, one behind the other */
    size_t bytes_taken;   /* of service_take_bytes(), for it */
    uint64_t lease;       /* 0: not handed over */
    size_t reserved;      /* of handover_reserve(), where lease is not 0 */
    struct store_delivery *deliveries;
    struct fresh_delivery *fresh;
    struct store_change change;
};

struct acceptance {
    struct session *session;
    const struct policy *policy;
    struct arena *arena;
    int64_t now_ms;
    struct facts facts; /* all but the recipient */
    struct span sender; /* printed */
    struct decided *decided;
    size_t count, refused;
    struct pieces pieces; /* as it will be sent: ours and the client's bytes */
    struct group groups[RECEIVE_GROUPS_MAX];
    size_t group_count;
};

/* ---- decide.c ---- */

/* Asks the policy for every recipient, and gathers the answers in groups. */
MUST_USE bool acceptance_decide(struct acceptance *acceptance, struct error *why);

/* ---- pack.c ---- */

/* Seals the group's message and writes its rows and leaves down in group->change. */
MUST_USE bool group_pack(struct acceptance *acceptance, struct group *group, struct error *why);
/* Hands over what is fresh; after the commit. */
void group_hand_over(const struct acceptance *acceptance, struct group *group);
/* Wipes and gives back whatever the group holds; at any stage. */
void group_clear(const struct acceptance *acceptance, struct group *group);
