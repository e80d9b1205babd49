/* The catalogue of events: each step of a message's journey is one of these, and nothing else. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "base/span.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers are on disk: never reused, never changed. The printed catalogue is docs/journal.md. */
enum event_kind {
    EVENT_GATEWAY_STARTED = 1,
    EVENT_POLICY_IN_FORCE = 2, /* digest; by start or reload */
    EVENT_POLICY_REFUSED = 3,  /* a reload's file failed; the old one stays */
    EVENT_EPOCH_BEGUN = 4,     /* the journal is not the one that the keeper last signed */
    EVENT_KEYS_EXPIRED = 5,
    EVENT_CLOCK_SET = 6,         /* by whom ever; the reason says how far */
    EVENT_MESSAGE_ACCEPTED = 10, /* before the 250 */
    EVENT_MESSAGE_REFUSED = 11,  /* 4xx or 5xx in the dialogue, with the reason; no message id */
    EVENT_CLIENT_LEFT = 12,      /* inside a message: nothing was taken */
    EVENT_DELIVERY_DECIDED =
        20, /* rule, ladder, policy digest; state and rung that it begins with */
    EVENT_DELIVERY_DELIVERED = 21,
    EVENT_DELIVERY_DEFERRED = 22, /* stays on its rung */
    EVENT_DELIVERY_CLIMBED = 23,  /* to the next rung */
    EVENT_DELIVERY_HELD = 24,     /* by its ladder, or for our own fault */
    EVENT_DELIVERY_RETURNED = 25, /* failed; a report was stored with it, or why there is none */
    EVENT_DELIVERY_DELETED = 26,  /* by an administrator */
    EVENT_DELIVERY_DROPPED = 27,
    EVENT_DELIVERY_RELEASED = 28, /* by an administrator: rule passed over, new ladder */
    EVENT_DELIVERY_RETRIED = 29,  /* an administrator asked for an attempt now */
    EVENT_DELIVERY_HELD_BY_HAND = 30,
    EVENT_TEXT_OPENED = 40, /* an administrator looked at sealed texts */
};

/* What an event can tell. Numbers are on disk. */
enum event_field_id {
    FIELD_STATE = 1, /* number: enum delivery_state after the event */
    FIELD_RUNG = 2,  /* number: the rung after the event */
    FIELD_RULE = 3,
    FIELD_LADDER = 4,
    FIELD_POLICY_DIGEST = 5, /* 32 bytes */
    FIELD_WAY = 6,           /* text: the rung that was tried */
    FIELD_HOST = 7,          /* MX host or route */
    FIELD_ADDRESS = 8,       /* IP address text of the other side */
    FIELD_TLS_VERSION = 9,
    FIELD_TLS_CIPHER = 10,
    FIELD_CERTIFICATE = 11,        /* 32 bytes: SHA-256 of the peer's leaf */
    FIELD_MECHANISM = 12,          /* "none", "pkix", "pin": what authenticated the peer */
    FIELD_LEVEL = 13,              /* "encrypt", "verify", "secure", "cleartext", "local" */
    FIELD_OUTCOME = 14,            /* "delivered", "temporary", … */
    FIELD_STATUS = 15,             /* RFC 3463 */
    FIELD_REASON = 16,             /* safe for logs */
    FIELD_PEER_REPLY = 17,         /* sealed with the record key */
    FIELD_NEXT_ATTEMPT = 18,       /* number: wall ms */
    FIELD_POSSIBLE_DUPLICATE = 19, /* number 1: the line broke after the final dot */
    FIELD_REPORT = 20,             /* text: id of the DSN */
    FIELD_LISTENER = 21,           /* text: "smtp", "submission", … */
    FIELD_THROUGH = 22,            /* the trusted identity, as in facts */
    FIELD_SIZE = 23,               /* number: bytes */
    FIELD_RECIPIENTS = 24,         /* number */
    FIELD_UID = 25,                /* number: who did it */
    FIELD_COUNT_OF = 26,           /* number */
    FIELD_ATTEMPT = 27,            /* number, from 1 */
    FIELD_EPOCH = 28,              /* number */
    FIELD_ROOT = 29,               /* 32 bytes */
    FIELD_CLIENT_FAULT = 30,       /* text: what a client did wrong and was tolerated */
};
struct event_field {
    enum event_field_id id;
    struct span text; /* for texts and bytes; absent (.data NULL): the field is left out */
    uint64_t number;  /* for numbers */
};
#define EVENT_TEXT(field, value) ((struct event_field){.id = (field), .text = (value)})
#define EVENT_NUMBER(field, value)                                                                 \
    ((struct event_field){.id = (field), .number = (uint64_t)(value)})

/* Builds a leaf; its detail (canonical, versioned) lives in the arena. False when the arena is full
 * or a text is too long for STORE_LEAF_DETAIL_MAX. */
MUST_USE bool event_leaf(enum event_kind kind, struct id message, uint32_t delivery,
                         struct span organisation, int64_t at_ms, const struct event_field *fields,
                         size_t count, struct arena *arena, struct store_leaf *leaf);
/* Back again; the texts lie in the detail. Unknown fields are kept. */
MUST_USE bool event_parse(struct span detail, struct arena *arena, struct event_field **fields,
                          size_t *count, struct error *why);
/* NULL: not there. */
const struct event_field *event_field_find(const struct event_field *fields, size_t count,
                                           enum event_field_id id);
bool event_field_is_number(enum event_field_id id);
const char *event_field_name(enum event_field_id id); /* NULL: unknown */
const char *event_kind_name(uint16_t kind);           /* "message accepted"; NULL: unknown */
const char *event_kind_meaning(uint16_t kind);        /* a sentence, for the catalogue */
/* The whole catalogue, as docs/journal.md prints it (Markdown tables). */
void event_catalogue_print(struct buffer *out);

/* Does a row's state agree with its newest leaf? The store hands over the newest of the delivery's
 * number, so that no event with such a number may be without state and rung (EVENT_TEXT_OPENED is
 * of the message as a whole: 0). */
bool event_agrees(const struct store_claimed *claimed);
