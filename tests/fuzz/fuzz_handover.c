/* fuzz-deps: base store */
/* Whatever a producer leaves in the ring, its consumer takes only whole messages of its own lease,
 * and the ring is usable afterwards. */
/* SPDX-License-Identifier: ISC */
#include "base/log.h"
#include "base/memory.h"
#include "store/handover.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Where handover.c keeps its counters, and the offset of the lease in an entry. */
enum { HEAD_AT = 0, TAIL_AT = 64, RING_AT = 4096, LEASE_AT = 8 + 1, ENTRIES_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct handover *consumer;
static uint8_t *memory;
static struct arena *arena;

static void ignore(void *self, struct span line)
{
    (void)self;
    (void)line;
}

static void prepare(void)
{
    struct error why;
    int fd;

    log_divert(ignore, NULL);
    arena = arena_new_secret("fuzz", MIB(8));
    if (!handover_create(&fd, &why) || !handover_attach(fd, HANDOVER_CONSUMER, &consumer, &why))
        abort();
    memory = mmap(NULL, RING_AT + HANDOVER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED || !arena)
        abort();
}

/* All that the message names must lie within memory of ours. */
static void touch(struct span bytes)
{
    volatile char last = 0;

    for (size_t i = 0; i < bytes.len; i++)
        last = bytes.data[i];
    (void)last;
}

static void check(const struct fresh_message *fresh)
{
    assert(fresh->lease == handover_lease(consumer));
    assert(fresh->delivery_count <= STORE_RECIPIENTS_MAX);
    assert(fresh->body.len <= HANDOVER_ENTRY_MAX);
    touch(fresh->organisation);
    touch(fresh->sender);
    touch(fresh->body);
    for (size_t i = 0; i < fresh->delivery_count; i++) {
        touch(fresh->deliveries[i].recipient);
        touch(fresh->deliveries[i].destination);
        touch(fresh->deliveries[i].ladder);
    }
}

static void put(uint64_t at, uint8_t byte)
{
    memory[RING_AT + (at & (HANDOVER_BYTES - 1))] = byte;
}

/* The input: one byte that moves the head away from the end of what follows, one that says whether
 * the lease is put in where it belongs, then the ring's bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t tail, head, lease;
    size_t taken = 0;
    struct fresh_message fresh;

    if (!consumer)
        prepare();
    if (size < 2)
        return 0;
    memcpy(&tail, memory + TAIL_AT, sizeof tail);
    for (size_t i = 2; i < size; i++)
        put(tail + i - 2, data[i]);
    lease = handover_lease(consumer);
    for (size_t i = 0; i < sizeof lease && (data[1] & 1); i++)
        put(tail + LEASE_AT + i, (uint8_t)(lease >> (56 - 8 * i)));
    head = tail + size - 2 + (uint64_t)(int64_t)(int8_t)data[0];
    memcpy(memory + HEAD_AT, &head, sizeof head);

    while (handover_take(consumer, arena, &fresh)) {
        check(&fresh);
        arena_reset(arena);
        assert(++taken <= ENTRIES_MAX + size);
    }
    assert(handover_next_size(consumer) == 0);
    memcpy(&tail, memory + TAIL_AT, sizeof tail);
    assert(tail == head);
    arena_reset(arena);
    return 0;
}
