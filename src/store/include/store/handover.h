/* Fresh mail on its way from receive to deliver: a ring in shared memory, so that what was just
 * committed need not be read back and unwrapped. What does not fit waits in the store. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/id.h"
#include "base/span.h"
#include "store/limits.h"
#include "store/shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fresh_delivery {
    uint32_t number;
    struct span recipient;   /* plain */
    struct span destination; /* the queue's key, as in the store */
    struct span ladder;
};
/* One message with those of its deliveries that are due at once. */
struct fresh_message {
    struct id id;
    uint64_t lease; /* the lease that the store rows carry */
    struct span organisation;
    int64_t accepted_at_ms;
    bool has_8bit, is_sender_known;
    uint8_t keys[64]; /* content key, record key */
    uint8_t policy_digest[32];
    struct span sender; /* plain; empty: the null sender */
    struct span body;   /* the message as it will be sent */
    const struct fresh_delivery *deliveries;
    size_t delivery_count;
};

struct handover;
/* Makes the memfd (never swapped where the system allows it, not in core dumps). */
MUST_USE bool handover_create(int *fd, struct error *why);
/* Maps it, for one producing process and one consuming one. As producer: gives back what a killed
 * predecessor had reserved. As consumer: throws away what lies there and begins a new lease (see
 * store_leases_end()). */
enum handover_side { HANDOVER_PRODUCER, HANDOVER_CONSUMER };
MUST_USE bool handover_attach(int fd, enum handover_side side, struct handover **out,
                              struct error *why);
void handover_free(struct handover *handover);
SCOPED_FREE(handover)

/* The lease of the consumer that lives now: rows of fresh mail are born leased to it. 0: none lives
 * yet. */
uint64_t handover_lease(const struct handover *handover);
/* Producer, any thread: room for a message of so many body bytes? Then it must be published or
 * given back. False: full, or too large; the rows are then born unleased and due. */
bool handover_reserve(struct handover *handover, size_t body_bytes, size_t *reserved);
void handover_give_back(struct handover *handover, size_t reserved);
/* After the commit. The pieces of the body are copied in. Rings DOORBELL_QUEUE only when the
 * consumer may be asleep. A message whose lease is no longer the consumer's is dropped (its rows
 * were freed). */
void handover_publish(struct handover *handover, size_t reserved, const struct fresh_message *fresh,
                      const struct span *body_pieces, size_t piece_count,
                      struct store_shared *shared);
/* Consumer: the next message, copied into the (secret) arena; false: none is there now. Wipes its
 * place in the ring. A ring that makes no sense (the producer is not trusted) is emptied with an
 * alarm. */
bool handover_take(struct handover *handover, struct arena *arena, struct fresh_message *fresh);
/* Bytes of the next entry, or 0: to decide before taking it. */
size_t handover_next_size(struct handover *handover);
