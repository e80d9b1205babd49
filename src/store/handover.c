/* A ring of bytes in shared memory: the producer moves its head, the consumer its tail, and neither
 * believes the other. */
/* SPDX-License-Identifier: ISC */
#include "store/handover.h"

#include "base/entropy.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/wire.h"
#include "shared_memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

/* The layout, version 1: two lines of the cache, the rest of the page empty, then the ring. head
 * and tail count all bytes that ever went through, so that head - tail is what lies there now. */
struct ring_page {
    _Alignas(64) _Atomic uint64_t head; /* the producer's */
    _Alignas(64) _Atomic uint64_t tail; /* the consumer's */
    _Atomic uint64_t lease;             /* the consumer's */
};
enum {
    RING_AT = 4096,
    MEMORY_BYTES = RING_AT + HANDOVER_BYTES,
    LENGTH_BYTES = 8, /* before each entry, big-endian, without itself */
    ENTRY_BYTES_MAX = HANDOVER_ENTRY_MAX + HANDOVER_ENVELOPE_MAX,
    ENTRY_VERSION = 1,
    NAME_MAX_BYTES = 1024, /* of a recipient, a sender, a destination */
    LADDER_MAX_BYTES = 8192
};
_Static_assert((HANDOVER_BYTES & (HANDOVER_BYTES - 1)) == 0, "places are found by masking");
_Static_assert(sizeof(struct ring_page) <= RING_AT, "the ring begins behind the counters");

struct handover {
    struct ring_page *page;
    char *ring;
    enum handover_side side;
    /* The producer's: */
    pthread_mutex_t lock; /* guards head, pending, scratch */
    uint64_t head;        /* ours; what stands in the page is only for the other side */
    size_t pending;       /* reserved and not yet published: dies with the process */
    struct buffer scratch;
    /* The consumer's: */
    uint64_t tail, lease;
};

/* ---- bytes in the ring ---- */

static void copy_in(struct handover *handover, uint64_t at, struct span bytes)
{
    size_t place = at & (HANDOVER_BYTES - 1), until_end = HANDOVER_BYTES - place;
    struct span first = span_until(bytes, until_end), rest = span_from(bytes, first.len);

    if (bytes.len == 0)
        return;
    memcpy(handover->ring + place, first.data, first.len);
    memcpy(handover->ring, rest.data, rest.len);
}

static void copy_out(struct handover *handover, uint64_t at, char *out, size_t len)
{
    size_t place = at & (HANDOVER_BYTES - 1), until_end = HANDOVER_BYTES - place;
    size_t first = len < until_end ? len : until_end;

    memcpy(out, handover->ring + place, first);
    memcpy(out + first, handover->ring, len - first);
}

static void wipe(struct handover *handover, uint64_t at, size_t len)
{
    size_t place = at & (HANDOVER_BYTES - 1), until_end = HANDOVER_BYTES - place;
    size_t first = len < until_end ? len : until_end;

    secret_wipe(handover->ring + place, first);
    secret_wipe(handover->ring, len - first);
}

/* ---- life ---- */

/* Best effort: the limit on locked memory may be low, and then swap must be encrypted. */
static void keep_from_swap(struct handover *handover)
{
    mlock2(handover->page, MEMORY_BYTES, MLOCK_ONFAULT);
}

bool handover_create(int *fd, struct error *why)
{
    return shared_memory_create("letterlock-handover", MEMORY_BYTES, fd, why);
}

/* Wipes and passes over all that lies in the ring. Where a head makes no sense, all of its pages go
 * back to the kernel; locked ones cannot. */
static void empty(struct handover *handover)
{
    uint64_t head = atomic_load(&handover->page->head);

    if (head - handover->tail <= HANDOVER_BYTES) {
        wipe(handover, handover->tail, (size_t)(head - handover->tail));
    } else {
        munlock(handover->page, MEMORY_BYTES);
        if (madvise(handover->ring, HANDOVER_BYTES, MADV_REMOVE) < 0)
            secret_wipe(handover->ring, HANDOVER_BYTES);
        keep_from_swap(handover);
    }
    handover->tail = head;
    atomic_store(&handover->page->tail, head);
}

static void begin_as_consumer(struct handover *handover)
{
    uint64_t before = atomic_load(&handover->page->lease);

    /* Random, because rows may still carry the lease of a consumer of before the last restart; 63
     * bits, because that is what a row holds. */
    do {
        entropy_fill(&entropy_of_system, &handover->lease, sizeof handover->lease);
        handover->lease >>= 1;
    } while (handover->lease == 0 || handover->lease == before);
    /* In this order: what a producer publishes under the old lease after the emptying, it drops, or
     * we do. */
    atomic_store(&handover->page->lease, handover->lease);
    handover->tail = atomic_load(&handover->page->tail);
    empty(handover);
}

static void begin_as_producer(struct handover *handover)
{
    /* A predecessor that was killed while he published has not moved the head: his half entry lies
     * beyond it. */
    handover->head = atomic_load(&handover->page->head);
    uint64_t used = handover->head - atomic_load(&handover->page->tail);
    if (used <= HANDOVER_BYTES - ENTRY_BYTES_MAX - LENGTH_BYTES)
        wipe(handover, handover->head, ENTRY_BYTES_MAX + LENGTH_BYTES);
    pthread_mutex_init(&handover->lock, NULL);
    buffer_init_secret(&handover->scratch, HANDOVER_ENVELOPE_MAX);
}

bool handover_attach(int fd, enum handover_side side, struct handover **out, struct error *why)
{
    struct handover *handover = memory_allocate(sizeof *handover);
    void *memory;

    if (!handover)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "memory is out");
    if (!shared_memory_map(fd, MEMORY_BYTES, &memory, why)) {
        memory_release(handover);
        return false;
    }
    madvise(memory, MEMORY_BYTES, MADV_DONTDUMP);
    handover->page = memory;
    handover->ring = (char *)memory + RING_AT;
    handover->side = side;
    keep_from_swap(handover);
    if (side == HANDOVER_CONSUMER)
        begin_as_consumer(handover);
    else
        begin_as_producer(handover);
    *out = handover;
    return true;
}

void handover_free(struct handover *handover)
{
    if (!handover)
        return;
    if (handover->side == HANDOVER_PRODUCER) {
        buffer_clear(&handover->scratch);
        pthread_mutex_destroy(&handover->lock);
    }
    munmap(handover->page, MEMORY_BYTES);
    memory_release(handover);
}

uint64_t handover_lease(const struct handover *handover)
{
    return atomic_load(&handover->page->lease);
}

/* ---- the producer ---- */

/* Under the lock. A tail that makes no sense leaves no room: then mail goes through the store. */
static bool has_room(const struct handover *handover, size_t bytes)
{
    uint64_t used =
        handover->head - atomic_load_explicit(&handover->page->tail, memory_order_acquire);

    return used <= HANDOVER_BYTES && handover->pending + bytes <= HANDOVER_BYTES - used;
}

bool handover_reserve(struct handover *handover, size_t body_bytes, size_t *reserved)
{
    assert(handover->side == HANDOVER_PRODUCER);
    if (body_bytes > HANDOVER_ENTRY_MAX || handover_lease(handover) == 0)
        return false;
    size_t needed = body_bytes + HANDOVER_MARGIN;
    pthread_mutex_lock(&handover->lock);
    bool is_there = has_room(handover, needed);
    if (is_there)
        handover->pending += needed;
    pthread_mutex_unlock(&handover->lock);
    if (is_there)
        *reserved = needed;
    return is_there;
}

void handover_give_back(struct handover *handover, size_t reserved)
{
    pthread_mutex_lock(&handover->lock);
    assert(reserved <= handover->pending);
    handover->pending -= reserved;
    pthread_mutex_unlock(&handover->lock);
}

/* What the consumer would refuse is not sent. */
static bool is_sound(const struct fresh_message *fresh)
{
    bool is_small = fresh->organisation.len <= NAME_MAX_BYTES &&
                    fresh->sender.len <= NAME_MAX_BYTES &&
                    fresh->delivery_count <= STORE_RECIPIENTS_MAX;

    for (size_t i = 0; i < fresh->delivery_count && is_small; i++)
        is_small = fresh->deliveries[i].recipient.len <= NAME_MAX_BYTES &&
                   fresh->deliveries[i].destination.len <= NAME_MAX_BYTES &&
                   fresh->deliveries[i].ladder.len <= LADDER_MAX_BYTES;
    return is_small;
}

/* All of an entry but the body, which comes last. */
static void put_envelope(struct buffer *out, const struct fresh_message *fresh)
{
    wire_put_u8(out, ENTRY_VERSION);
    wire_put_u64(out, fresh->lease);
    wire_put_bytes(out, fresh->id.bytes, sizeof fresh->id.bytes);
    wire_put_u64(out, (uint64_t)fresh->accepted_at_ms);
    wire_put_u8(out, fresh->has_8bit);
    wire_put_u8(out, fresh->is_sender_known);
    wire_put_bytes(out, fresh->keys, sizeof fresh->keys);
    wire_put_bytes(out, fresh->policy_digest, sizeof fresh->policy_digest);
    wire_put_span(out, fresh->organisation);
    wire_put_span(out, fresh->sender);
    wire_put_u32(out, (uint32_t)fresh->delivery_count);
    for (size_t i = 0; i < fresh->delivery_count; i++) {
        wire_put_u32(out, fresh->deliveries[i].number);
        wire_put_span(out, fresh->deliveries[i].recipient);
        wire_put_span(out, fresh->deliveries[i].destination);
        wire_put_span(out, fresh->deliveries[i].ladder);
    }
}

/* Under the lock, with the envelope in scratch. */
static bool write_entry(struct handover *handover, const struct span *pieces, size_t count,
                        size_t body_bytes)
{
    scoped_buffer length;
    uint64_t at = handover->head;
    size_t total = handover->scratch.len + 4 + body_bytes; /* 4: the body's own length */

    buffer_init(&length, LENGTH_BYTES);
    wire_put_u64(&length, total);
    wire_put_u32(&handover->scratch, (uint32_t)body_bytes);
    if (handover->scratch.failed || length.failed || body_bytes > HANDOVER_ENTRY_MAX ||
        !has_room(handover, LENGTH_BYTES + total))
        return false;
    copy_in(handover, at, buffer_span(&length));
    at += LENGTH_BYTES;
    copy_in(handover, at, buffer_span(&handover->scratch));
    at += handover->scratch.len;
    for (size_t i = 0; i < count; i++) {
        copy_in(handover, at, pieces[i]);
        at += pieces[i].len;
    }
    handover->head = at;
    atomic_store_explicit(&handover->page->head, at, memory_order_release);
    return true;
}

/* A message that does not go in is not lost: its rows are due when their lease runs out. */
void handover_publish(struct handover *handover, size_t reserved, const struct fresh_message *fresh,
                      const struct span *body_pieces, size_t piece_count,
                      struct store_shared *shared)
{
    size_t body_bytes = 0;
    bool is_countable = true, is_written = false;

    for (size_t i = 0; i < piece_count; i++)
        is_countable = is_countable && size_add(body_bytes, body_pieces[i].len, &body_bytes);
    pthread_mutex_lock(&handover->lock);
    assert(reserved <= handover->pending);
    handover->pending -= reserved;
    if (is_countable && is_sound(fresh) && fresh->lease == handover_lease(handover)) {
        put_envelope(&handover->scratch, fresh);
        is_written = write_entry(handover, body_pieces, piece_count, body_bytes);
        if (handover->scratch.failed)
            buffer_clear(&handover->scratch);
        buffer_truncate(&handover->scratch, 0); /* wipes the keys */
    }
    pthread_mutex_unlock(&handover->lock);
    if (is_written && shared)
        doorbell_ring(shared, DOORBELL_QUEUE);
}

/* ---- the consumer ---- */

/* The producer reads mail from strangers and may be in their hands: he is not to be trusted with a
 * length. Each number is read from the ring once, and checked before it is used. */
static size_t length_of_next(struct handover *handover, bool *makes_sense)
{
    uint64_t head = atomic_load_explicit(&handover->page->head, memory_order_acquire);
    uint64_t there = head - handover->tail;
    char bytes[LENGTH_BYTES];

    *makes_sense = true;
    if (there == 0)
        return 0;
    *makes_sense = there <= HANDOVER_BYTES && there > LENGTH_BYTES;
    if (!*makes_sense)
        return 0;
    copy_out(handover, handover->tail, bytes, sizeof bytes);
    struct wire_reader in = {.rest = span_make(bytes, sizeof bytes)};
    uint64_t length = wire_get_u64(&in);
    *makes_sense = length > 0 && length <= ENTRY_BYTES_MAX && length <= there - LENGTH_BYTES;
    return *makes_sense ? (size_t)length : 0;
}

static void refuse_all(struct handover *handover)
{
    log_plain(LOG_LEVEL_ALARM, "the hand-over made no sense and was emptied");
    empty(handover);
}

size_t handover_next_size(struct handover *handover)
{
    bool makes_sense;
    size_t length = length_of_next(handover, &makes_sense);

    if (!makes_sense)
        refuse_all(handover);
    return length;
}

static bool read_deliveries(struct wire_reader *in, struct arena *arena,
                            struct fresh_message *fresh, bool *is_fitting)
{
    uint32_t count = wire_get_u32(in);

    if (in->failed || count > STORE_RECIPIENTS_MAX)
        return false;
    struct fresh_delivery *deliveries =
        arena_take_array(arena, count ? count : 1, sizeof *deliveries);
    *is_fitting = deliveries != NULL;
    if (!deliveries)
        return true;
    for (uint32_t i = 0; i < count; i++) {
        deliveries[i].number = wire_get_u32(in);
        deliveries[i].recipient = wire_get_span(in, NAME_MAX_BYTES);
        deliveries[i].destination = wire_get_span(in, NAME_MAX_BYTES);
        deliveries[i].ladder = wire_get_span(in, LADDER_MAX_BYTES);
    }
    fresh->deliveries = deliveries;
    fresh->delivery_count = count;
    return !in->failed;
}

/* From a private copy, into which the spans point. False: no entry of ours looks like this. */
static bool read_entry(struct span copy, struct arena *arena, struct fresh_message *fresh,
                       bool *is_fitting)
{
    struct wire_reader in = {.rest = copy};

    *fresh = (struct fresh_message){0};
    bool is_version_known = wire_get_u8(&in) == ENTRY_VERSION;
    fresh->lease = wire_get_u64(&in);
    wire_get_bytes(&in, fresh->id.bytes, sizeof fresh->id.bytes);
    fresh->accepted_at_ms = (int64_t)wire_get_u64(&in);
    fresh->has_8bit = wire_get_u8(&in) != 0;
    fresh->is_sender_known = wire_get_u8(&in) != 0;
    wire_get_bytes(&in, fresh->keys, sizeof fresh->keys);
    wire_get_bytes(&in, fresh->policy_digest, sizeof fresh->policy_digest);
    fresh->organisation = wire_get_span(&in, NAME_MAX_BYTES);
    fresh->sender = wire_get_span(&in, NAME_MAX_BYTES);
    if (!is_version_known || !read_deliveries(&in, arena, fresh, is_fitting))
        return false;
    if (!*is_fitting)
        return true;
    fresh->body = wire_get_span(&in, HANDOVER_ENTRY_MAX);
    return wire_is_done(&in);
}

/* Takes the bytes of the next entry out of the ring, where nothing of them stays. */
static struct span take_bytes(struct handover *handover, size_t length, struct arena *arena)
{
    char *copy = arena_take(arena, length);

    if (copy)
        copy_out(handover, handover->tail + LENGTH_BYTES, copy, length);
    wipe(handover, handover->tail, LENGTH_BYTES + length);
    handover->tail += LENGTH_BYTES + length;
    atomic_store_explicit(&handover->page->tail, handover->tail, memory_order_release);
    return span_make(copy, length);
}

bool handover_take(struct handover *handover, struct arena *arena, struct fresh_message *fresh)
{
    struct fresh_message read;
    bool makes_sense, is_fitting = true, is_taken = false;
    size_t length;

    assert(handover->side == HANDOVER_CONSUMER);
    while (!is_taken && (length = handover_next_size(handover)) > 0) {
        struct span copy = take_bytes(handover, length, arena);
        makes_sense = !copy.data || read_entry(copy, arena, &read, &is_fitting);
        if (!makes_sense)
            refuse_all(handover);
        else if (!copy.data || !is_fitting)
            log_plain(LOG_LEVEL_WARNING, "a handed over message did not fit into memory");
        else
            is_taken = read.lease == handover->lease; /* else its rows are free, and due */
    }
    if (is_taken)
        *fresh = read;
    secret_wipe(&read, sizeof read);
    return is_taken;
}
