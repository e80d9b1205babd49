/* The keeper and its siblings over their sockets: threads, lost requests, a keeper killed. */
/* SPDX-License-Identifier: ISC */
#include "keeper_client.h"
#include "keeper_protocol.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct keeper_master master = {KEEPER_MASTER_RAW,
                                            SPAN_LITERAL("0123456789abcdef0123456789abcdef")};
static const struct id message = {{1, 2, 3}};
#define ORGANISATION SPAN_LITERAL("clinic")
#define LADDER SPAN_LITERAL("{ tls verify, return }")
enum { TODAY = 20000, CONTENT_DAY = TODAY + 14, RECORD_DAY = TODAY + 2192 };

/* A clock that a test moves while the keeper reads it. */
static atomic_llong wall_ms;
static int64_t read_wall_ms(void *self)
{
    (void)self;
    return atomic_load(&wall_ms);
}
static int64_t read_monotonic_ns(void *self)
{
    (void)self;
    return atomic_load(&wall_ms) * 1000000;
}
static const struct clock the_clock = {read_wall_ms, read_monotonic_ns, NULL};

static bool sign_reversed(void *key, struct span input, uint8_t *signature, size_t *len)
{
    (void)key;
    for (size_t i = 0; i < input.len; i++)
        signature[i] = (uint8_t)input.data[input.len - 1 - i];
    *len = input.len;
    return true;
}
static const struct keeper_signer signer = {sign_reversed, NULL};

static char log_text[8192];
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static void keep_log(void *self, struct span line)
{
    size_t len = strlen(log_text);

    (void)self;
    pthread_mutex_lock(&log_mutex);
    if (len + line.len < sizeof log_text)
        memcpy(log_text + len, line.data, line.len);
    pthread_mutex_unlock(&log_mutex);
}

/* The house: a keeper's file, three socketpairs, and the thread that is the keeper's process. */
static struct house {
    struct keeper_terms terms;
    int siblings[KEEPER_PEER_COUNT]; /* the other ends */
    int stop[2];
    pthread_t thread;
    bool runs;
} house;

static void *run(void *terms)
{
    keeper_run(terms);
    return NULL;
}

static void start_keeper(void)
{
    assert_int_equal(pthread_create(&house.thread, NULL, run, &house.terms), 0);
    house.runs = true;
}

static void stop_keeper(void)
{
    char byte = 0;

    assert_int_equal(write(house.stop[1], &byte, 1), 1);
    pthread_join(house.thread, NULL);
    assert_int_equal(read(house.stop[0], &byte, 1), 1);
    house.runs = false;
}

static int begin(void **state)
{
    struct error why;

    (void)state;
    atomic_store(&wall_ms, (int64_t)TODAY * 86400000 + 1000);
    memset(log_text, 0, sizeof log_text);
    log_divert(keep_log, NULL);
    house = (struct house){.terms = {.signers = &signer,
                                     .signer_count = 1,
                                     .clock = &the_clock,
                                     .entropy = &entropy_of_system}};
    if (!keeper_file_new_in_memory(&master, &entropy_of_system, &house.terms.file, &why) ||
        pipe(house.stop) != 0)
        return -1;
    house.terms.stop = house.stop[0];
    for (size_t i = 0; i < KEEPER_PEER_COUNT; i++) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
            return -1;
        house.terms.peers[i] = pair[0];
        house.siblings[i] = pair[1];
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (house.runs)
        stop_keeper();
    for (size_t i = 0; i < KEEPER_PEER_COUNT; i++) {
        descriptor_close(&house.terms.peers[i]);
        descriptor_close(&house.siblings[i]);
    }
    descriptor_close(&house.stop[0]);
    descriptor_close(&house.stop[1]);
    keeper_file_free(house.terms.file);
    log_divert(NULL, NULL);
    return 0;
}

static struct keeper *connect_as_with(enum keeper_peer peer, int answer_ms, int again_ms)
{
    struct keeper *keeper =
        keeper_connect_with(house.siblings[peer], &entropy_of_system, answer_ms, again_ms);

    assert_non_null(keeper);
    house.siblings[peer] = -1; /* it is the client's now */
    return keeper;
}

static struct keeper *connect_as(enum keeper_peer peer)
{
    struct keeper *keeper = keeper_connect(house.siblings[peer], &entropy_of_system);

    assert_non_null(keeper);
    house.siblings[peer] = -1;
    return keeper;
}

static void take(struct keeper *keeper, struct key_pair *pair)
{
    struct error why = {0};

    if (!keeper_take_pair(keeper, ORGANISATION, CONTENT_DAY, RECORD_DAY, pair, &why))
        fail_msg("%s", why.text);
}

/* A delivery bound as `receive` would. */
static struct keeper_delivery bind_as_receive(const struct key_pair *pair, struct span ladder,
                                              struct buffer *sealed)
{
    struct keeper_delivery delivery = {.wrapped = pair->wrapped,
                                       .binding = {.message = message,
                                                   .delivery = 1,
                                                   .organisation = ORGANISATION,
                                                   .recipient = SPAN_LITERAL("ann@x.example"),
                                                   .ladder = ladder}};

    binding_tag(&pair->keys.content, &delivery.binding, delivery.tag);
    buffer_init(sealed, KEEPER_RECIPIENT_MAX);
    assert_true(text_seal(&pair->keys.record, message, TEXT_RECIPIENT, delivery.binding.recipient,
                          &entropy_of_system, sealed));
    delivery.binding.recipient = (struct span){NULL, 0};
    delivery.sealed_recipient = buffer_span(sealed);
    return delivery;
}

static void a_message_sealed_by_receive_is_opened_by_deliver(void **state)
{
    struct keeper *receive = connect_as(KEEPER_PEER_RECEIVE);
    struct keeper *deliver = connect_as(KEEPER_PEER_DELIVER);
    struct keeper_delivery delivery;
    struct message_keys keys;
    struct key_pair pair;
    scoped_buffer sealed;
    struct error why;

    (void)state;
    start_keeper();
    take(receive, &pair);
    delivery = bind_as_receive(&pair, LADDER, &sealed);
    assert_true(keeper_unwrap(deliver, &delivery, &keys, &why));
    assert_memory_equal(&keys, &pair.keys, sizeof keys);
    delivery.is_held = true;
    assert_false(keeper_unwrap(deliver, &delivery, &keys, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_non_null(strstr(why.text, "held"));
    delivery.is_held = false;
    delivery.tag[0] ^= 1;
    assert_false(keeper_unwrap(deliver, &delivery, &keys, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_non_null(strstr(why.text, "tag"));
    assert_false(keeper_unwrap(receive, &delivery, &keys, &why)); /* not its part */
    assert_non_null(strstr(why.text, "role"));
    stop_keeper();
    assert_non_null(strstr(log_text, "keeper refused a request"));
    keeper_free(receive);
    keeper_free(deliver);
}

static void an_administrator_binds_again_and_reads_one_text(void **state)
{
    struct keeper *receive = connect_as(KEEPER_PEER_RECEIVE);
    struct keeper *control = connect_as(KEEPER_PEER_CONTROL);
    struct keeper *deliver = connect_as(KEEPER_PEER_DELIVER);
    static const uint8_t digest[32] = {4};
    struct keeper_delivery delivery;
    struct message_keys keys;
    struct key_pair pair;
    scoped_buffer sealed, text;
    struct error why;

    (void)state;
    buffer_init(&text, SEAL_TEXT_MAX);
    start_keeper();
    take(receive, &pair);
    delivery = bind_as_receive(&pair, SPAN_LITERAL("{ hold }"), &sealed);
    delivery.is_held = true;
    assert_true(keeper_bind_again(control, &delivery, LADDER, digest, CONTENT_DAY + 1, 1000,
                                  delivery.tag, &delivery.wrapped, &why));
    assert_int_equal(delivery.wrapped.content_day, CONTENT_DAY + 1);
    delivery.binding.ladder = LADDER;
    memcpy(delivery.binding.policy_digest, digest, sizeof digest);
    delivery.is_held = false;
    assert_true(keeper_unwrap(deliver, &delivery, &keys, &why));
    assert_memory_equal(&keys, &pair.keys, sizeof keys);
    assert_true(keeper_open_text(control, message, ORGANISATION, &delivery.wrapped, TEXT_RECIPIENT,
                                 delivery.sealed_recipient, 1000, &text, &why));
    assert_true(span_equal(buffer_span(&text), SPAN_LITERAL("ann@x.example")));
    assert_false(keeper_open_text(control, message, ORGANISATION, &delivery.wrapped, TEXT_SENDER,
                                  delivery.sealed_recipient, 1000, &text, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    stop_keeper();
    assert_non_null(strstr(log_text, "delivery bound again"));
    assert_non_null(strstr(log_text, "uid=1000"));
    assert_null(strstr(log_text, "ann")); /* nothing personal is logged */
    keeper_free(receive);
    keeper_free(control);
    keeper_free(deliver);
}

static void a_checkpoint_is_signed_and_kept(void **state)
{
    struct keeper *control = connect_as(KEEPER_PEER_CONTROL);
    struct checkpoint checkpoint = {.epoch = 1, .size = 5, .root = {6}, .at_ms = 7}, last;
    uint8_t key[CHECKPOINT_KEY_BYTES];
    struct error why;

    (void)state;
    start_keeper();
    assert_true(keeper_last_checkpoint(control, &last, key, &why));
    assert_int_equal(last.size, 0);
    assert_true(keeper_sign_checkpoint(control, &checkpoint, &why));
    assert_true(checkpoint_verify(&checkpoint, key));
    assert_true(keeper_last_checkpoint(control, &last, key, &why));
    assert_memory_equal(&last, &checkpoint, sizeof last);
    checkpoint.size = 4;
    assert_false(keeper_sign_checkpoint(control, &checkpoint, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    keeper_free(control);
}

static void a_handshake_is_signed_through_the_keeper(void **state)
{
    struct keeper *receive = connect_as(KEEPER_PEER_RECEIVE);
    uint8_t signature[KEEPER_SIGNATURE_MAX];
    static const char too_long[KEEPER_TLS_INPUT_MAX + 1];
    size_t len = 0;

    (void)state;
    start_keeper();
    assert_true(keeper_sign_tls(receive, 0, SPAN_LITERAL("abc"), signature, &len));
    assert_int_equal(len, 3);
    assert_memory_equal(signature, "cba", 3);
    assert_false(keeper_sign_tls(receive, 1, SPAN_LITERAL("abc"), signature, &len));
    assert_false(
        keeper_sign_tls(receive, 0, span_make(too_long, sizeof too_long), signature, &len));
    keeper_free(receive);
}

static void what_is_too_long_for_the_keeper_is_said_at_once(void **state)
{
    struct keeper *deliver = connect_as(KEEPER_PEER_DELIVER); /* and nobody would answer */
    static const char text[MIB(1)];
    struct keeper_delivery delivery = {.binding = {.organisation = ORGANISATION}};
    struct span *fields[] = {&delivery.binding.organisation, &delivery.binding.ladder,
                             &delivery.sealed_recipient};
    struct message_keys keys;
    struct key_pair pair;
    struct error why;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct span before = *fields[i];

        *fields[i] = span_make(text, sizeof text);
        assert_false(keeper_unwrap(deliver, &delivery, &keys, &why));
        assert_int_equal(why.kind, ERROR_INTERNAL);
        *fields[i] = before;
    }
    assert_false(keeper_take_pair(deliver, span_make(text, sizeof text), 1, 1, &pair, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    keeper_free(deliver);
}

static void a_keeper_that_does_not_answer_is_temporary(void **state)
{
    struct keeper *receive = connect_as_with(KEEPER_PEER_RECEIVE, 30, 10);
    struct key_pair pair = {.wrapped = {.content_day = 1}};
    struct error why;

    (void)state;
    assert_false(keeper_take_pair(receive, ORGANISATION, CONTENT_DAY, RECORD_DAY, &pair, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    assert_string_equal(why.status, "4.3.0");
    assert_int_equal(pair.wrapped.content_day, 1); /* nothing was written */
    keeper_free(receive);
}

static void a_keeper_that_is_gone_is_temporary(void **state)
{
    struct keeper *receive = connect_as(KEEPER_PEER_RECEIVE);
    struct key_pair pair;
    struct error why;

    (void)state;
    descriptor_close(&house.terms.peers[KEEPER_PEER_RECEIVE]);
    assert_false(keeper_take_pair(receive, ORGANISATION, CONTENT_DAY, RECORD_DAY, &pair, &why));
    assert_int_equal(why.kind, ERROR_TEMPORARY);
    keeper_free(receive);
}

static void a_socket_filled_while_the_keeper_was_away_is_no_end(void **state)
{
    static const char junk[3000];
    struct keeper *receive;
    struct key_pair pair;
    size_t filled = 0;

    (void)state;
    /* What one that was here before had asked, up to the brim. */
    while (send(house.siblings[KEEPER_PEER_RECEIVE], junk, sizeof junk, MSG_DONTWAIT) > 0)
        filled++;
    assert_true(filled > 2);
    receive = connect_as_with(KEEPER_PEER_RECEIVE, 10000, 10);
    start_keeper();
    take(receive, &pair);
    keeper_free(receive);
}

struct asker {
    struct keeper *keeper;
    struct key_pair pair;
};

static void *take_one(void *self)
{
    struct asker *asker = self;

    take(asker->keeper, &asker->pair);
    return NULL;
}

static void a_request_lost_with_a_killed_keeper_is_asked_again(void **state)
{
    struct asker asker = {.keeper = connect_as_with(KEEPER_PEER_RECEIVE, 20000, 20)};
    struct keeper_request *lost = memory_allocate(sizeof *lost);
    struct key_pair next;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, take_one, &asker), 0);
    /* The keeper that has read it dies with it; the supervisor has the sockets still. */
    assert_true(recv(house.terms.peers[KEEPER_PEER_RECEIVE], lost, sizeof *lost, 0) > 0);
    start_keeper();
    pthread_join(thread, NULL);
    assert_int_equal(asker.pair.wrapped.content_day, CONTENT_DAY);
    /* Answers to what was repeated come late, and are not taken for answers to what comes next. */
    for (size_t i = 0; i < 3 * KEEPER_PAIRS_MAX; i++) {
        take(asker.keeper, &next);
        assert_memory_not_equal(&next.keys, &asker.pair.keys, sizeof next.keys);
    }
    stop_keeper();
    start_keeper(); /* another one, on the same sockets */
    for (size_t i = 0; i < 2 * KEEPER_PAIRS_MAX; i++)
        take(asker.keeper, &next);
    memory_release(lost);
    keeper_free(asker.keeper);
}

static void a_reply_to_another_request_is_thrown_away(void **state)
{
    struct asker asker = {.keeper = connect_as(KEEPER_PEER_RECEIVE)};
    struct keeper_request *asked = memory_allocate(sizeof *asked);
    struct keeper_reply *reply = memory_allocate(sizeof *reply);
    int fd = house.terms.peers[KEEPER_PEER_RECEIVE];
    size_t size = keeper_operations[KEEPER_OP_PAIRS].reply_size;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, take_one, &asker), 0);
    assert_true(recv(fd, asked, sizeof *asked, 0) > 0);
    reply->head = asked->head;
    reply->head.number--; /* late */
    assert_true(send(fd, reply, size, 0) > 0);
    reply->head = asked->head;
    reply->head.op = KEEPER_OP_UNWRAP; /* to something else */
    assert_true(send(fd, reply, size, 0) > 0);
    assert_true(send(fd, reply, 3, 0) > 0); /* to nothing */
    reply->head = asked->head;
    reply->as.pairs[0].wrapped.content_day = 77;
    assert_true(send(fd, reply, size, 0) > 0);
    pthread_join(thread, NULL);
    assert_int_equal(asker.pair.wrapped.content_day, 77);
    memory_release(asked);
    memory_release(reply);
    keeper_free(asker.keeper);
}

static void *answer_with_a_wrong_length(void *unused)
{
    struct keeper_request *asked = memory_allocate(sizeof *asked);
    struct keeper_head head;
    int fd = house.terms.peers[KEEPER_PEER_RECEIVE];

    (void)unused;
    assert_true(recv(fd, asked, sizeof *asked, 0) > 0);
    head = asked->head;
    assert_true(send(fd, &head, sizeof head, 0) > 0);
    memory_release(asked);
    return NULL;
}

static void a_reply_of_a_wrong_length_is_an_error(void **state)
{
    struct keeper *receive = connect_as(KEEPER_PEER_RECEIVE);
    struct key_pair pair;
    pthread_t thread;
    struct error why;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, answer_with_a_wrong_length, NULL), 0);
    assert_false(keeper_take_pair(receive, ORGANISATION, CONTENT_DAY, RECORD_DAY, &pair, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    pthread_join(thread, NULL);
    keeper_free(receive);
}

static void one_request_fills_the_stock(void **state)
{
    struct keeper *receive = connect_as_with(KEEPER_PEER_RECEIVE, 50, 20);
    struct key_pair *pairs = memory_allocate_array(KEEPER_PAIRS_MAX, sizeof *pairs), more;
    struct error why;

    (void)state;
    start_keeper();
    take(receive, &pairs[0]);
    stop_keeper();
    for (size_t i = 1; i < KEEPER_PAIRS_MAX; i++) {
        take(receive, &pairs[i]); /* nobody is there to ask */
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(&pairs[i], &pairs[j], sizeof pairs[i]);
    }
    assert_false(keeper_take_pair(receive, ORGANISATION, CONTENT_DAY, RECORD_DAY, &more, &why));
    memory_release(pairs);
    keeper_free(receive);
}

static void the_stock_keeps_organisations_and_days_apart(void **state)
{
    struct keeper *receive = connect_as(KEEPER_PEER_RECEIVE);
    struct key_pair pair;
    struct error why;

    (void)state;
    start_keeper();
    for (int round = 0; round < 3; round++)
        /* More than there are stocks: the oldest make room. */
        for (int i = 0; i < KEEPER_STOCKS_MAX + 3; i++) {
            assert_true(keeper_take_pair(receive, i % 2 ? ORGANISATION : SPAN_LITERAL("praxis"),
                                         CONTENT_DAY + i / 2, RECORD_DAY, &pair, &why));
            assert_int_equal(pair.wrapped.content_day, CONTENT_DAY + i / 2);
        }
    assert_int_equal(house.terms.file->table.organisation_count, 2);
    keeper_free(receive);
}

enum { THREADS = 6, TAKES = 300 };
struct worker {
    struct keeper *receive, *deliver;
    unsigned failures;
};

static void *take_and_unwrap(void *self)
{
    struct worker *worker = self;

    for (unsigned i = 0; i < TAKES; i++) {
        struct message_keys keys;
        struct key_pair pair;
        struct error why;

        if (!keeper_take_pair(worker->receive, ORGANISATION, CONTENT_DAY, RECORD_DAY, &pair,
                              &why)) {
            worker->failures++;
            continue;
        }
        if (i % 8 == 0) {
            scoped_buffer sealed;
            struct keeper_delivery delivery = bind_as_receive(&pair, LADDER, &sealed);

            if (!keeper_unwrap(worker->deliver, &delivery, &keys, &why) ||
                memcmp(&keys, &pair.keys, sizeof keys) != 0)
                worker->failures++;
        }
    }
    return NULL;
}

static void several_threads_share_a_client(void **state)
{
    struct keeper *receive = connect_as(KEEPER_PEER_RECEIVE);
    struct keeper *deliver = connect_as(KEEPER_PEER_DELIVER);
    struct worker workers[THREADS];
    pthread_t threads[THREADS];

    (void)state;
    start_keeper();
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.receive = receive, .deliver = deliver};
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_unwrap, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    keeper_free(receive);
    keeper_free(deliver);
}

static void classes_expire_when_the_keeper_starts_and_when_a_day_has_passed(void **state)
{
    struct keeper *receive = connect_as(KEEPER_PEER_RECEIVE);
    struct keeper *deliver = connect_as(KEEPER_PEER_DELIVER);
    struct keeper_class_name old = {ORGANISATION, KEEPER_CLASS_CONTENT, TODAY - 1};
    struct keeper_delivery delivery;
    struct message_keys keys;
    struct key_pair pair;
    scoped_buffer sealed;
    struct error why;

    (void)state;
    assert_true(keeper_file_ensure(house.terms.file, &old, 1, &entropy_of_system, &why));
    start_keeper();
    take(receive, &pair);
    delivery = bind_as_receive(&pair, LADDER, &sealed);
    assert_true(keeper_unwrap(deliver, &delivery, &keys, &why));
    atomic_store(&wall_ms, (int64_t)(CONTENT_DAY + 1) * 86400000);
    /* The request that wakes it may be answered first; the next one comes after midnight's work. */
    if (!keeper_unwrap(deliver, &delivery, &keys, &why))
        assert_int_equal(why.kind, ERROR_INTERNAL);
    assert_false(keeper_unwrap(deliver, &delivery, &keys, &why));
    assert_non_null(strstr(why.text, "expired"));
    stop_keeper();
    assert_int_equal(house.terms.file->table.class_count, 1);
    keeper_free(receive);
    keeper_free(deliver);
}

static void a_clock_that_has_leapt_destroys_nothing_before_midnight(void **state)
{
    struct keeper *control = connect_as(KEEPER_PEER_CONTROL);
    struct keeper_class_name old = {ORGANISATION, KEEPER_CLASS_CONTENT, TODAY - 40};
    struct checkpoint last;
    uint8_t key[CHECKPOINT_KEY_BYTES];
    struct error why;

    (void)state;
    assert_true(keeper_file_ensure(house.terms.file, &old, 1, &entropy_of_system, &why));
    house.terms.file->table.has_checkpoint = true;
    house.terms.file->table.last.at_ms = (int64_t)(TODAY - KEEPER_SILENCE_DAYS - 1) * 86400000;
    start_keeper();
    for (int i = 0; i < 3; i++)
        assert_true(keeper_last_checkpoint(control, &last, key, &why));
    stop_keeper();
    assert_int_equal(house.terms.file->table.class_count, 1);
    assert_non_null(strstr(log_text, "is the clock right"));
    start_keeper();
    assert_true(keeper_last_checkpoint(control, &last, key, &why));
    atomic_store(&wall_ms, (int64_t)(TODAY + 1) * 86400000);
    for (int i = 0; i < 2; i++) /* the second comes after midnight's work */
        assert_true(keeper_last_checkpoint(control, &last, key, &why));
    stop_keeper();
    assert_int_equal(house.terms.file->table.class_count, 0);
    keeper_free(control);
}

static void packets_that_mean_nothing_do_not_stop_the_keeper(void **state)
{
    struct keeper *receive = connect_as(KEEPER_PEER_RECEIVE);
    int fd = house.siblings[KEEPER_PEER_DELIVER];
    struct keeper_head head = {.version = KEEPER_PROTOCOL_VERSION, .op = KEEPER_OP_UNWRAP};
    char *long_one = memory_allocate(60000);
    struct key_pair pair;

    (void)state;
    start_keeper();
    assert_int_equal(send(fd, "", 0, 0), 0);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    memcpy(long_one, &head, sizeof head);
    assert_int_equal(send(fd, long_one, 60000, 0), 60000);
    memset(&head, 0, sizeof head);
    assert_int_equal(recv(fd, &head, sizeof head, 0), sizeof head);
    assert_int_equal(head.status, KEEPER_MALFORMED);
    descriptor_close(&house.siblings[KEEPER_PEER_DELIVER]); /* one sibling ends */
    take(receive, &pair);                                   /* the others are served */
    memory_release(long_one);
    keeper_free(receive);
}

static void a_keeper_whose_siblings_have_all_gone_ends(void **state)
{
    (void)state;
    house.terms.stop = -1;
    for (size_t i = 0; i < KEEPER_PEER_COUNT; i++)
        descriptor_close(&house.siblings[i]);
    keeper_run(&house.terms); /* returns */
}

static void memory_that_is_out_is_told(void **state)
{
    int pair[2];

    (void)state;
    memory_fail_after(1);
    keeper_run(&house.terms); /* returns, and says why */
    memory_fail_after(1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_null(keeper_connect(pair[0], &entropy_of_system)); /* and has closed it */
    memory_fail_after(0);
    assert_int_equal(write(pair[1], "x", 1), -1);
    descriptor_close(&pair[1]);
    assert_non_null(strstr(log_text, "no memory for the keeper"));
}

#define WITH_HOUSE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOUSE(a_message_sealed_by_receive_is_opened_by_deliver),
        WITH_HOUSE(an_administrator_binds_again_and_reads_one_text),
        WITH_HOUSE(a_checkpoint_is_signed_and_kept),
        WITH_HOUSE(a_handshake_is_signed_through_the_keeper),
        WITH_HOUSE(what_is_too_long_for_the_keeper_is_said_at_once),
        WITH_HOUSE(a_keeper_that_does_not_answer_is_temporary),
        WITH_HOUSE(a_keeper_that_is_gone_is_temporary),
        WITH_HOUSE(a_socket_filled_while_the_keeper_was_away_is_no_end),
        WITH_HOUSE(a_request_lost_with_a_killed_keeper_is_asked_again),
        WITH_HOUSE(a_reply_to_another_request_is_thrown_away),
        WITH_HOUSE(a_reply_of_a_wrong_length_is_an_error),
        WITH_HOUSE(one_request_fills_the_stock),
        WITH_HOUSE(the_stock_keeps_organisations_and_days_apart),
        WITH_HOUSE(several_threads_share_a_client),
        WITH_HOUSE(classes_expire_when_the_keeper_starts_and_when_a_day_has_passed),
        WITH_HOUSE(a_clock_that_has_leapt_destroys_nothing_before_midnight),
        WITH_HOUSE(packets_that_mean_nothing_do_not_stop_the_keeper),
        WITH_HOUSE(a_keeper_whose_siblings_have_all_gone_ends),
        WITH_HOUSE(memory_that_is_out_is_told),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("the keeper and its siblings", tests, NULL, NULL);
}
