/* Fresh mail goes through the ring whole or not at all, and a hostile ring harms nobody. */
/* SPDX-License-Identifier: ISC */
#include "store_lab.h"

#include "base/log.h"
#include "store/handover.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where handover.c keeps its counters. */
enum { HEAD_AT = 0, TAIL_AT = 64, RING_AT = 4096 };

struct ring {
    int fd;
    struct handover *producer, *consumer;
    struct store_shared *shared;
    char *memory; /* a mapping of its own, for looking and for mischief */
    struct arena *arena;
    size_t alarms;
};

static void count_alarm(void *self, struct span line)
{
    struct ring *ring = self;

    (void)line;
    ring->alarms++;
}

static int set_up(void **state)
{
    struct ring *ring = calloc(1, sizeof *ring);
    struct error why;
    int fd;

    assert_true(handover_create(&ring->fd, &why));
    assert_true(handover_attach(ring->fd, HANDOVER_CONSUMER, &ring->consumer, &why));
    assert_true(handover_attach(ring->fd, HANDOVER_PRODUCER, &ring->producer, &why));
    assert_true(store_shared_create(&fd, &why));
    assert_true(store_shared_attach(fd, &ring->shared, &why));
    close(fd);
    ring->memory =
        mmap(NULL, RING_AT + HANDOVER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
    assert_true(ring->memory != MAP_FAILED);
    ring->arena = arena_new_secret("handed over", MIB(8));
    log_divert(count_alarm, ring);
    *state = ring;
    return 0;
}

static int tear_down(void **state)
{
    struct ring *ring = *state;

    log_divert(NULL, NULL);
    munmap(ring->memory, RING_AT + HANDOVER_BYTES);
    handover_free(ring->producer);
    handover_free(ring->consumer);
    store_shared_free(ring->shared);
    arena_free(ring->arena);
    close(ring->fd);
    free(ring);
    return 0;
}

static struct fresh_delivery two_deliveries[] = {
    {1, SPAN_LITERAL("one@a.example"), SPAN_LITERAL("a.example"), SPAN_LITERAL("tls verify")},
    {2, SPAN_LITERAL("two@b.example"), SPAN_LITERAL("b.example"), SPAN_LITERAL("tls encrypt")},
};

static struct fresh_message message_for(const struct ring *ring, uint8_t number)
{
    struct fresh_message fresh = {
        .id = {{number}},
        .lease = handover_lease(ring->producer),
        .organisation = SPAN_LITERAL("clinic"),
        .accepted_at_ms = LAB_START,
        .has_8bit = true,
        .policy_digest = {7},
        .sender = SPAN_LITERAL("sender@clinic.example"),
        .deliveries = two_deliveries,
        .delivery_count = 2,
    };
    memset(fresh.keys, 0xa0 + number, sizeof fresh.keys);
    return fresh;
}

static bool publish(struct ring *ring, const struct fresh_message *fresh, const char *body,
                    size_t len)
{
    const struct span pieces[] = {{body, len / 3}, {body + len / 3, len - len / 3}};
    size_t reserved;

    if (!handover_reserve(ring->producer, len, &reserved))
        return false;
    handover_publish(ring->producer, reserved, fresh, pieces, 2, ring->shared);
    return true;
}

static void a_message_arrives_as_it_was_sent(void **state)
{
    struct ring *ring = *state;
    struct fresh_message sent = message_for(ring, 1), taken;
    uint32_t seen = doorbell_count(ring->shared, DOORBELL_QUEUE);

    assert_false(handover_take(ring->consumer, ring->arena, &taken));
    assert_true(publish(ring, &sent, "Subject: x\r\n\r\ntext\r\n", 20));
    assert_int_equal(doorbell_count(ring->shared, DOORBELL_QUEUE), seen + 1);
    assert_true(handover_next_size(ring->consumer) > 20);
    assert_true(handover_take(ring->consumer, ring->arena, &taken));
    assert_true(id_equal(taken.id, sent.id));
    assert_true(taken.lease == sent.lease);
    assert_span(taken.organisation, "clinic");
    assert_int_equal(taken.accepted_at_ms, LAB_START);
    assert_true(taken.has_8bit);
    assert_false(taken.is_sender_known);
    assert_memory_equal(taken.keys, sent.keys, sizeof taken.keys);
    assert_memory_equal(taken.policy_digest, sent.policy_digest, 32);
    assert_span(taken.sender, "sender@clinic.example");
    assert_span(taken.body, "Subject: x\r\n\r\ntext\r\n");
    assert_int_equal(taken.delivery_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(taken.deliveries[i].number, i + 1);
        assert_true(span_equal(taken.deliveries[i].recipient, two_deliveries[i].recipient));
        assert_true(span_equal(taken.deliveries[i].destination, two_deliveries[i].destination));
        assert_true(span_equal(taken.deliveries[i].ladder, two_deliveries[i].ladder));
    }
    assert_false(handover_take(ring->consumer, ring->arena, &taken));
    assert_int_equal(ring->alarms, 0);
}

static void nothing_of_a_taken_message_stays_in_the_ring(void **state)
{
    struct ring *ring = *state;
    struct fresh_message sent = message_for(ring, 1), taken;

    assert_true(publish(ring, &sent, "canary in the body", 18));
    assert_non_null(memmem(ring->memory, KIB(64), "canary", 6));
    assert_non_null(memmem(ring->memory, KIB(64), sent.keys, sizeof sent.keys));
    assert_true(handover_take(ring->consumer, ring->arena, &taken));
    for (size_t i = RING_AT; i < KIB(64); i++)
        assert_int_equal(ring->memory[i], 0);
}

static void messages_cross_the_end_of_the_ring(void **state)
{
    enum { BODY = HANDOVER_ENTRY_MAX - 12345, ROUNDS = 150 }; /* twice around, and more */
    struct ring *ring = *state;
    char *body = malloc(BODY);

    for (size_t i = 0; i < BODY; i++)
        body[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < ROUNDS; i++) {
        struct fresh_message sent = message_for(ring, (uint8_t)i), taken;
        assert_true(publish(ring, &sent, body, BODY - i));
        assert_true(handover_take(ring->consumer, ring->arena, &taken));
        assert_int_equal(taken.body.len, BODY - i);
        assert_memory_equal(taken.body.data, body, BODY - i);
        assert_true(id_equal(taken.id, sent.id));
        arena_reset(ring->arena);
    }
    assert_int_equal(ring->alarms, 0);
    free(body);
}

static void a_full_ring_says_so_and_loses_nothing(void **state)
{
    struct ring *ring = *state;
    char *body = calloc(1, HANDOVER_ENTRY_MAX);
    size_t sent = 0, taken = 0, reserved;
    struct fresh_message fresh;

    assert_false(handover_reserve(ring->producer, HANDOVER_ENTRY_MAX + 1, &reserved));
    for (;; sent++) {
        fresh = message_for(ring, (uint8_t)sent);
        if (!publish(ring, &fresh, body, HANDOVER_ENTRY_MAX))
            break;
    }
    assert_in_range(sent, 60, 64);
    while (handover_take(ring->consumer, ring->arena, &fresh)) {
        assert_int_equal(fresh.id.bytes[0], taken++);
        arena_reset(ring->arena);
    }
    assert_int_equal(taken, sent);
    free(body);
}

static void what_is_reserved_is_not_promised_twice(void **state)
{
    struct ring *ring = *state;
    size_t reserved[80], count = 0, more;

    while (handover_reserve(ring->producer, HANDOVER_ENTRY_MAX, &reserved[count]))
        count++;
    assert_in_range(count, 60, 64);
    handover_give_back(ring->producer, reserved[--count]);
    assert_true(handover_reserve(ring->producer, HANDOVER_ENTRY_MAX, &reserved[count++]));
    assert_false(handover_reserve(ring->producer, HANDOVER_ENTRY_MAX, &more));
    /* A producer that was killed takes its reservations with it. */
    struct handover *heir;
    struct error why;
    assert_true(handover_attach(ring->fd, HANDOVER_PRODUCER, &heir, &why));
    assert_true(handover_reserve(heir, HANDOVER_ENTRY_MAX, &more));
    handover_free(heir);
}

static void a_new_consumer_begins_a_new_lease_and_an_empty_ring(void **state)
{
    struct ring *ring = *state;
    struct fresh_message before = message_for(ring, 1), taken;
    uint64_t lease = handover_lease(ring->producer);
    struct error why;

    assert_true(publish(ring, &before, "body", 4));
    handover_free(ring->consumer);
    assert_true(handover_attach(ring->fd, HANDOVER_CONSUMER, &ring->consumer, &why));
    assert_true(handover_lease(ring->producer) != lease);
    assert_true(handover_lease(ring->producer) != 0);
    assert_true(handover_lease(ring->producer) <= INT64_MAX);
    assert_false(handover_take(ring->consumer, ring->arena, &taken));
    /* What was born under the old lease is dropped: its rows are free by now. */
    assert_true(publish(ring, &before, "body", 4));
    assert_false(handover_take(ring->consumer, ring->arena, &taken));
    struct fresh_message after = message_for(ring, 2);
    assert_true(publish(ring, &after, "body", 4));
    assert_true(handover_take(ring->consumer, ring->arena, &taken));
    assert_int_equal(taken.id.bytes[0], 2);
}

static void without_a_consumer_nothing_is_reserved(void **state)
{
    struct handover *lonely;
    struct error why;
    size_t reserved;
    int fd;

    (void)state;
    assert_true(handover_create(&fd, &why));
    assert_true(handover_attach(fd, HANDOVER_PRODUCER, &lonely, &why));
    assert_int_equal(handover_lease(lonely), 0);
    assert_false(handover_reserve(lonely, 10, &reserved));
    handover_free(lonely);
    close(fd);
    assert_false(handover_attach(-1, HANDOVER_CONSUMER, &lonely, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
}

static void what_the_consumer_would_refuse_is_not_sent(void **state)
{
    static char long_name[2000];
    struct ring *ring = *state;
    struct fresh_message fresh = message_for(ring, 1), taken;

    memset(long_name, 'x', sizeof long_name);
    fresh.sender = span_make(long_name, sizeof long_name);
    assert_true(publish(ring, &fresh, "body", 4));
    assert_false(handover_take(ring->consumer, ring->arena, &taken));
    assert_int_equal(ring->alarms, 0);
}

static void a_message_that_does_not_fit_the_arena_is_passed_over(void **state)
{
    struct ring *ring = *state;
    struct fresh_message one = message_for(ring, 1), two = message_for(ring, 2), taken;
    scoped(arena) small = arena_new_secret("small", 2000);
    char body[3000] = {0};

    assert_true(publish(ring, &one, body, sizeof body));
    assert_true(publish(ring, &two, body, 10));
    assert_true(handover_take(ring->consumer, small, &taken));
    assert_int_equal(taken.id.bytes[0], 2);
    assert_int_equal(ring->alarms, 1);
}

/* ---- mischief ---- */

static void poke(struct ring *ring, size_t at, uint64_t value)
{
    memcpy(ring->memory + at, &value, sizeof value);
}

static uint64_t peek(const struct ring *ring, size_t at)
{
    uint64_t value;

    memcpy(&value, ring->memory + at, sizeof value);
    return value;
}

static void a_head_that_makes_no_sense_empties_the_ring(void **state)
{
    static const uint64_t heads[] = {1, 8, HANDOVER_BYTES + 1ull, UINT64_MAX, 1ull << 63};
    struct ring *ring = *state;
    struct fresh_message taken;

    for (size_t i = 0; i < COUNT(heads); i++) {
        poke(ring, HEAD_AT, peek(ring, TAIL_AT) + heads[i]);
        assert_false(handover_take(ring->consumer, ring->arena, &taken));
        assert_int_equal(ring->alarms, i + 1);
        assert_true(peek(ring, TAIL_AT) == peek(ring, HEAD_AT));
    }
    /* And mail goes on, once the producer is a new one. */
    struct error why;
    handover_free(ring->producer);
    assert_true(handover_attach(ring->fd, HANDOVER_PRODUCER, &ring->producer, &why));
    struct fresh_message sent = message_for(ring, 1);
    assert_true(publish(ring, &sent, "body", 4));
    assert_true(handover_take(ring->consumer, ring->arena, &taken));
}

static void a_tail_that_makes_no_sense_leaves_no_room(void **state)
{
    struct ring *ring = *state;
    size_t reserved;

    poke(ring, TAIL_AT, peek(ring, HEAD_AT) + 1);
    assert_false(handover_reserve(ring->producer, 10, &reserved));
    poke(ring, TAIL_AT, peek(ring, HEAD_AT) - HANDOVER_BYTES - 1);
    assert_false(handover_reserve(ring->producer, 10, &reserved));
}

/* An entry cut at any byte, and with any byte turned over: taken or refused, never believed. */
static void a_spoilt_entry_is_refused_at_every_byte(void **state)
{
    struct ring *ring = *state;
    struct fresh_message sent = message_for(ring, 1), taken;
    static char entry[4096];

    assert_true(publish(ring, &sent, "body", 4));
    size_t len = (size_t)(peek(ring, HEAD_AT) - peek(ring, TAIL_AT));
    assert_in_range(len, 100, sizeof entry);
    memcpy(entry, ring->memory + RING_AT, len);
    assert_true(handover_take(ring->consumer, ring->arena, &taken));

    for (size_t i = 0; i < 2 * len; i++) {
        size_t place = (size_t)(peek(ring, TAIL_AT) & (HANDOVER_BYTES - 1));
        size_t there = i < len ? i : len; /* first every cut, then every flip */
        memcpy(ring->memory + RING_AT + place, entry, there);
        if (i >= len)
            ring->memory[RING_AT + place + i - len] ^= 0x41;
        else if (there >= 8)
            ring->memory[RING_AT + place + 7] = (char)(there - 8); /* a length that fits the cut */
        poke(ring, HEAD_AT, peek(ring, TAIL_AT) + there);
        bool is_taken = handover_take(ring->consumer, ring->arena, &taken);
        if (i < len)
            assert_false(is_taken);
        else if (is_taken)
            assert_true(taken.lease == handover_lease(ring->consumer));
        assert_true(peek(ring, TAIL_AT) == peek(ring, HEAD_AT));
        arena_reset(ring->arena);
    }
}

/* ---- threads ---- */

enum { PRODUCERS = 4, EACH = 500 };

static void *produce(void *self)
{
    struct ring *ring = self;

    for (size_t i = 0; i < EACH; i++) {
        struct fresh_message fresh = message_for(ring, (uint8_t)i);
        if (!publish(ring, &fresh, "a body of some bytes", 20))
            i--;
    }
    return NULL;
}

static void many_threads_may_publish(void **state)
{
    struct ring *ring = *state;
    pthread_t threads[PRODUCERS];
    size_t taken = 0;

    for (size_t i = 0; i < PRODUCERS; i++)
        pthread_create(&threads[i], NULL, produce, ring);
    while (taken < PRODUCERS * EACH) {
        uint32_t seen = doorbell_count(ring->shared, DOORBELL_QUEUE);
        struct fresh_message fresh;
        while (handover_take(ring->consumer, ring->arena, &fresh)) {
            assert_span(fresh.body, "a body of some bytes");
            taken++;
            arena_reset(ring->arena);
        }
        if (taken < PRODUCERS * EACH)
            doorbell_wait(ring->shared, DOORBELL_QUEUE, seen, deadline_in_ms(600000));
    }
    for (size_t i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(ring->alarms, 0);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(a_message_arrives_as_it_was_sent),
        ROW(nothing_of_a_taken_message_stays_in_the_ring),
        ROW(messages_cross_the_end_of_the_ring),
        ROW(a_full_ring_says_so_and_loses_nothing),
        ROW(what_is_reserved_is_not_promised_twice),
        ROW(a_new_consumer_begins_a_new_lease_and_an_empty_ring),
        ROW(without_a_consumer_nothing_is_reserved),
        ROW(what_the_consumer_would_refuse_is_not_sent),
        ROW(a_message_that_does_not_fit_the_arena_is_passed_over),
        ROW(a_head_that_makes_no_sense_empties_the_ring),
        ROW(a_tail_that_makes_no_sense_leaves_no_room),
        ROW(a_spoilt_entry_is_refused_at_every_byte),
        ROW(many_threads_may_publish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
