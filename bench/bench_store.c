/* How many messages a second the store makes durable, and what a long queue does to a claim. */
/* SPDX-License-Identifier: ISC */
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/entropy.h"
#include "base/memory.h"
#include "store/store.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS_MAX = 256, BODY_BYTES = 4096, BULK = 100, DESTINATIONS = 50 };

struct load {
    struct store *store;
    size_t messages;
    _Atomic size_t next;
    uint64_t lease;
    bool is_delivered; /* each message is moved to its end, posted without waiting */
    struct ended *ended;
};
/* One posted move. */
struct ended {
    struct store_posting posting;
    struct store_change change;
    struct store_leaf leaf;
};

static char body[BODY_BYTES];
static const struct span wrapped = SPAN_LITERAL("0123456789abcdef0123456789abcdef01234567");

static void must(bool done, const struct error *why)
{
    if (done)
        return;
    fprintf(stderr, "%s\n", why->text);
    exit(1);
}

static double seconds(void)
{
    return (double)clock_monotonic_ns(&clock_of_system) / 1e9;
}

static struct store_leaf leaf_of(struct id id, uint32_t delivery, uint16_t kind)
{
    return (struct store_leaf){
        .kind = kind,
        .message = id,
        .delivery = delivery,
        .organisation = SPAN_LITERAL("clinic"),
        .at_ms = clock_wall_ms(&clock_of_system),
        .detail = SPAN_LITERAL("a detail of about a hundred bytes, which is what most events of "
                               "ours say about themselves, or so.."),
    };
}

static void fill(struct store_change *change, struct store_delivery *delivery, char *domain,
                 size_t number, uint64_t lease)
{
    static const struct span sealed_body = {body, BODY_BYTES};
    int64_t now = clock_wall_ms(&clock_of_system);

    snprintf(domain, 32, "d%zu.example", number % DESTINATIONS);
    *delivery = (struct store_delivery){
        .number = 1,
        .destination = span_of(domain),
        .recipient = wrapped,
        .ladder = SPAN_LITERAL("tls secure for 4 hours, then return"),
        .rule = SPAN_LITERAL("outwards"),
        .due_at_ms = lease ? now + 300000 : now,
        .ends_at_ms = now + 4 * 3600000,
        .lease = lease,
    };
    *change = (struct store_change){
        .kind = STORE_ACCEPT,
        .accept = {.message = {.id = id_make(&clock_of_system, &entropy_of_system),
                               .organisation = SPAN_LITERAL("clinic"),
                               .accepted_at_ms = now,
                               .size = BODY_BYTES,
                               .wrapped_content = wrapped,
                               .wrapped_record = wrapped,
                               .sender = wrapped,
                               .facts = wrapped},
                   .body = &sealed_body,
                   .body_count = 1,
                   .deliveries = delivery,
                   .delivery_count = 1},
    };
}

static void note_end(struct store_posting *posting, const struct error *why)
{
    (void)posting;
    must(why == NULL, why);
}

static void post_end(struct load *load, size_t number, struct id id)
{
    struct ended *ended = &load->ended[number];

    ended->leaf = leaf_of(id, 1, 3);
    ended->change = (struct store_change){
        .kind = STORE_MOVE,
        .move = {.message = id,
                 .delivery = 1,
                 .expected_lease = load->lease,
                 .expected_state = DELIVERY_WAITING,
                 .state = DELIVERY_DELIVERED,
                 .last_reason = SPAN_LITERAL("250 2.0.0")},
        .leaves = &ended->leaf,
        .leaf_count = 1,
    };
    ended->posting =
        (struct store_posting){.batch = {.changes = &ended->change, .count = 1}, .done = note_end};
    store_post(load->store, &ended->posting);
}

static void *accept_messages(void *self)
{
    struct load *load = self;
    struct store_change change;
    struct store_delivery delivery;
    struct error why;
    char domain[32];
    size_t number;

    while ((number = atomic_fetch_add(&load->next, 1)) < load->messages) {
        fill(&change, &delivery, domain, number, load->lease);
        struct store_leaf leaves[2] = {leaf_of(change.accept.message.id, 0, 1),
                                       leaf_of(change.accept.message.id, 1, 2)};
        change.leaves = leaves;
        change.leaf_count = 2;
        must(store_commit(load->store, &(struct store_batch){&change, 1}, &why), &why);
        if (load->is_delivered)
            post_end(load, number, change.accept.message.id);
    }
    return NULL;
}

static void measure(const char *directory, struct store_shared *shared, const char *what,
                    size_t threads, size_t messages, bool is_delivered)
{
    pthread_t running[THREADS_MAX];
    struct load load = {.messages = messages, .lease = 7, .is_delivered = is_delivered};
    struct error why;

    load.ended = memory_allocate_array(messages, sizeof *load.ended);
    must(store_open(directory, STORE_READ_WRITE, shared, &clock_of_system, &entropy_of_system,
                    &load.store, &why),
         &why);
    double begun = seconds();
    for (size_t i = 0; i < threads; i++)
        pthread_create(&running[i], NULL, accept_messages, &load);
    for (size_t i = 0; i < threads; i++)
        pthread_join(running[i], NULL);
    double took = seconds() - begun;
    store_close(load.store);
    double closed = seconds() - begun;
    memory_release(load.ended);
    printf("%-28s %3zu threads  %8.0f messages/s  (%.0f with the closing)\n", what, threads,
           (double)messages / took, (double)messages / closed);
}

/* Two roles that write one store take turns: each should get half. */
static void measure_two(const char *directory, size_t messages)
{
    struct store_shared *shared;
    struct error why;
    int fd;

    must(store_shared_create(&fd, &why) && store_shared_attach(fd, &shared, &why), &why);
    fflush(stdout);
    for (size_t i = 0; i < 2; i++) {
        if (fork() == 0) {
            measure(directory, shared, i ? "one process of two" : "the other", 20, messages, false);
            fflush(stdout);
            _exit(0);
        }
    }
    while (wait(NULL) > 0)
        ;
    store_shared_free(shared);
    close(fd);
}

/* Waiting deliveries in large batches, then claims of fifty among them. */
static void measure_claims(const char *directory, size_t rows)
{
    static struct store_change changes[BULK];
    static struct store_delivery deliveries[BULK];
    static char domains[BULK][32];
    struct store *store;
    struct error why;

    must(store_open(directory, STORE_READ_WRITE, NULL, &clock_of_system, &entropy_of_system, &store,
                    &why),
         &why);
    double begun = seconds();
    for (size_t done = 0; done < rows; done += BULK) {
        for (size_t i = 0; i < BULK; i++) {
            fill(&changes[i], &deliveries[i], domains[i], done + i, 0);
            changes[i].accept.body_count = 0;
        }
        must(store_commit(store, &(struct store_batch){changes, BULK}, &why), &why);
    }
    printf("%zu rows waiting, made in %.1f s\n", rows, seconds() - begun);

    enum { CLAIMS = 100, CLAIMED = 50 };
    double took = 0;
    size_t found = 0;
    for (size_t i = 0; i < CLAIMS; i++) {
        scoped(arena) arena = arena_new("claim", MIB(4));
        struct store_claimed *claimed;
        size_t count;
        int64_t now = clock_wall_ms(&clock_of_system);
        struct store_claim claim = {.now_ms = now,
                                    .lease_until_ms = now + 300000,
                                    .lease = 9,
                                    .limit = CLAIMED,
                                    .limit_per_destination = 10};
        begun = seconds();
        must(store_claim(store, &claim, arena, &claimed, &count, &why), &why);
        took += seconds() - begun;
        found += count;
    }
    printf("a claim of %d: %.0f us, durable (%zu found by %d claims)\n", CLAIMED,
           took / CLAIMS * 1e6, found, CLAIMS);
    begun = seconds();
    int64_t due;
    must(store_next_due(store, NULL, 0, &due, &why), &why);
    printf("when the next is due: %.0f us\n", (seconds() - begun) * 1e6);
    store_close(store);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_store EMPTY-DIRECTORY [MESSAGES [WAITING-ROWS]]\n");
        return 2;
    }
    size_t messages = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 50000;
    size_t rows = argc > 3 ? (size_t)strtoul(argv[3], NULL, 10) : 0;

    entropy_fill(&entropy_of_system, body, sizeof body);
    measure_two(argv[1], messages / 2); /* processes fork before the first thread starts */
    measure(argv[1], NULL, "accepted", 1, messages / 20, false);
    measure(argv[1], NULL, "accepted", 20, messages, false);
    measure(argv[1], NULL, "accepted", 100, messages, false);
    measure(argv[1], NULL, "accepted and delivered", 20, messages, true);
    if (rows > 0)
        measure_claims(argv[1], rows);
    return 0;
}
