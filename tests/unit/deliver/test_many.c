/* Many recipients, hosts, messages and sessions: who gets what, and nobody twice. */
/* SPDX-License-Identifier: ISC */
#include "deliver_house.h"

#include "base/memory.h"

#include <poll.h>
#include <stdio.h>

#define OPEN(...) house_open(&(struct plan){__VA_ARGS__})
#define PEERS(array) .peers = (array), .peer_count = COUNT(array)
#define MANNERS(array) .manners = (array), .manner_count = COUNT(array)
#define LIMITS(array) .limits = (array), .limit_count = COUNT(array)

static struct id send_to(const char *ladder, const char *recipient)
{
    return house_accept(&(struct letter_plan){.ladder = ladder, .recipients = {recipient}});
}

static void a_dead_first_host_is_passed_over(void **state)
{
    const struct peer peers[] = {{.number = 11, .flags = PEER_DEAD},
                                 {.number = 12, .flags = PEER_TLS}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ tls verify, hold }", "a@r.example");
    house_expect(id, 1, DELIVERY_DELIVERED);
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_HOST, "mx2.r.example");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_ADDRESS, "127.0.0.12");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_MECHANISM, "pkix");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_LEVEL, "verify");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_TLS_VERSION, "TLSv1.3");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_REASON, "passed over: mx1.r.example");
    house_close();
}

static void a_host_without_address_is_passed_over(void **state)
{
    const struct peer peers[] = {{.number = 12, .flags = PEER_TLS}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ tls verify, hold }", "a@gone.example");
    house_expect(id, 1, DELIVERY_DELIVERED);
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_REASON, "gone.gone.example");
    house_close();
}

static void a_bogus_ipv6_address_does_not_stop_ipv4(void **state)
{
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ tls encrypt, hold }", "a@six.example");
    house_expect(id, 1, DELIVERY_DELIVERED);
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_ADDRESS, "127.0.0.11");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_MECHANISM, "none");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_LEVEL, "encrypt");
    house_close();
}

static void a_silent_host_costs_one_timeout(void **state)
{
    static const struct manner silent[] = {{"GREETING", "", 0}};
    static const struct limit_cut cuts[] = {{"greeting_timeout_ms", 200}, {"first_sessions", 1}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(silent)},
                                 {.number = 12, .flags = PEER_TLS}};
    struct id ids[10];

    (void)state;
    OPEN(PEERS(peers), LIMITS(cuts));
    for (size_t i = 0; i < COUNT(ids); i++)
        ids[i] = send_to("{ tls verify, hold }", "a@r.example");
    for (size_t i = 0; i < COUNT(ids); i++)
        house_expect(ids[i], 1, DELIVERY_DELIVERED);
    assert_int_equal(peer_count(11, "[connect]"), 1);
    house_close();
}

/* "220" to STARTTLS and then silence: no byte in the clear, no new try without TLS, another host.
 */
static void a_silent_handshake_costs_one_timeout(void **state)
{
    static const struct manner silent[] = {{"HANDSHAKE", "", 0}};
    static const struct limit_cut cuts[] = {{"handshake_timeout_ms", 100}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(silent)},
                                 {.number = 12, .flags = PEER_TLS}};
    struct id alone, helped;

    (void)state;
    OPEN(PEERS(peers), LIMITS(cuts));
    helped = send_to("{ tls encrypt, hold }", "a@r.example");
    house_expect(helped, 1, DELIVERY_DELIVERED);
    assert_leaf_has(helped, 1, EVENT_DELIVERY_DELIVERED, FIELD_HOST, "mx2.r.example");
    alone = send_to("{ tls encrypt, hold }", "a@one.example");
    assert_leaf_has(alone, 1, EVENT_DELIVERY_DEFERRED, FIELD_STATUS, "4.4.2");
    assert_int_equal(peer_count(11, "[connect]"), 2);
    assert_int_equal(peer_count(11, "STARTTLS"), 2);
    assert_int_equal(peer_count(11, "MAIL"), 0);
    house_close();
}

/* Is its first delivery leased? */
static bool is_in_hand(struct id id)
{
    scoped(arena) arena = arena_new("look", MIB(4));
    struct store_message message;
    struct store_delivery *deliveries;
    struct error why;
    size_t count;
    bool found;

    assert_true(
        store_find_message(house.store, id, arena, &found, &message, &deliveries, &count, &why));
    return deliveries[0].lease != 0;
}

/* That we ourselves are a worse host of the domain says nothing while a better one is but busy. */
static void a_busy_host_is_no_loop(void **state)
{
    static const struct manner slow[] = {{"FINAL", "~250 2.0.0 taken\r\n", 1}};
    static const struct limit_cut one[] = {{"sessions_per_host", 1}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(slow)}};
    struct id first, second;

    (void)state;
    OPEN(PEERS(peers), LIMITS(one));
    first = send_to("{ tls verify, hold }", "a@busy.example");
    while (peer_count(11, "[final]") == 0)
        poll(NULL, 0, 1);
    second = send_to("{ tls verify, hold }", "a@busy.example");
    while (is_in_hand(second))
        poll(NULL, 0, 1);
    peers_release();
    house_expect(first, 1, DELIVERY_DELIVERED);
    house_expect(second, 1, DELIVERY_DELIVERED);
    house_close();
}

/* A host that takes one session and turns away the next is not dead: nothing was tried. */
static void one_session_too_many_is_no_attempt(void **state)
{
    static const struct manner crowded[] = {{"GREETING", "220 peer.example\r\n", 1},
                                            {"GREETING", "!421 4.7.0 too many\r\n", 1},
                                            {"FINAL", "~250 2.0.0 taken\r\n", 1}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(crowded)}};
    struct id first, second;

    (void)state;
    OPEN(PEERS(peers));
    first = send_to("{ tls verify, hold }", "a@one.example");
    while (peer_count(11, "[final]") == 0)
        poll(NULL, 0, 1);
    second = send_to("{ tls verify, hold }", "a@one.example");
    while (is_in_hand(second))
        poll(NULL, 0, 1);
    assert_int_equal(house_count_leaves(second, 1, EVENT_DELIVERY_DEFERRED), 0);
    peers_release();
    house_expect(first, 1, DELIVERY_DELIVERED);
    house_expect(second, 1, DELIVERY_DELIVERED);
    house_close();
}

static void who_was_served_is_not_offered_to_the_next_host(void **state)
{
    static const struct manner first[] = {{"RCPT TO:<b@", "451 4.7.1 later\r\n", 0}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(first)},
                                 {.number = 12, .flags = PEER_TLS}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = house_accept(&(struct letter_plan){.ladder = "{ tls verify, hold }",
                                            .recipients = {"a@r.example", "b@r.example"}});
    house_expect(id, 1, DELIVERY_DELIVERED);
    house_expect(id, 2, DELIVERY_DELIVERED);
    assert_int_equal(peer_count(12, "RCPT TO:<a@"), 0);
    assert_int_equal(peer_count(12, "RCPT TO:<b@"), 1);
    house_close();
}

static void too_many_recipients_means_the_next_transaction(void **state)
{
    static const struct {
        const char *name, *reply;
    } codes[] = {{"552 5.5.3", "552 5.5.3 too many\r\n"}, {"452 4.5.3", "452 4.5.3 too many\r\n"}};

    (void)state;
    for (size_t c = 0; c < COUNT(codes); c++) {
        const struct manner crowd[] = {{"RCPT", "250 2.1.5 ok\r\n", 20},
                                       {"RCPT", codes[c].reply, 10}};
        const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(crowd)}};
        struct letter_plan plan = {.ladder = "{ tls verify, hold }"};
        char names[30][24];
        struct id id;

        for (size_t i = 0; i < COUNT(names); i++) {
            snprintf(names[i], sizeof names[i], "p%zu@one.example", i);
            plan.recipients[i] = names[i];
        }
        OPEN(PEERS(peers));
        id = house_accept(&plan);
        for (uint32_t i = 1; i <= COUNT(names); i++)
            house_expect(id, i, DELIVERY_DELIVERED);
        assert_int_equal(peer_count(11, "[connect]"), 1);
        assert_int_equal(peer_count(11, "[final]"), 2);
        assert_int_equal(house_reports(), 0);
        house_close();
    }
}

static void lmtp_gives_each_recipient_his_reply(void **state)
{
    static const struct manner replies[] = {{"FINAL", "250 2.1.5 ok\r\n", 1},
                                            {"FINAL", "452 4.2.2 quota\r\n", 1},
                                            {"FINAL", "550 5.2.1 no\r\n", 1}};
    const struct peer peers[] = {{.number = 19, .flags = PEER_LMTP, MANNERS(replies)}};
    struct id id, second;

    (void)state;
    OPEN(PEERS(peers));
    id = house_accept(&(struct letter_plan){
        .ladder = "{ route, return }",
        .is_stranger = true,
        .recipients = {"a@clinic.example", "b@clinic.example", "c@clinic.example"}});
    house_expect(id, 1, DELIVERY_DELIVERED);
    house_expect(id, 3, DELIVERY_RETURNED);
    assert_leaf_has(id, 2, EVENT_DELIVERY_DEFERRED, FIELD_STATUS, "4.2.2");
    assert_leaf_has(id, 3, EVENT_DELIVERY_RETURNED, FIELD_STATUS, "5.2.1");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_LEVEL, "local");
    second = send_to("{ route, return }", "a@clinic.example");
    house_expect(second, 1, DELIVERY_DELIVERED);
    assert_int_equal(peer_count(19, "[connect]"), 1);
    house_close();
}

static void lmtp_that_closes_early_leaves_the_rest_unknown(void **state)
{
    static const struct manner replies[] = {{"FINAL", "250 2.1.5 ok\r\n", 1}, {"FINAL", "!", 1}};
    const struct peer peers[] = {{.number = 19, .flags = PEER_LMTP, MANNERS(replies)}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = house_accept(&(struct letter_plan){
        .ladder = "{ route, return }", .recipients = {"a@clinic.example", "b@clinic.example"}});
    house_expect(id, 1, DELIVERY_DELIVERED);
    assert_leaf_has(id, 2, EVENT_DELIVERY_DEFERRED, FIELD_POSSIBLE_DUPLICATE, "1");
    house_close();
}

static void a_route_leads_to_a_unix_socket(void **state)
{
    const struct peer peers[] = {{.number = 19, .flags = PEER_LMTP | PEER_UNIX}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = house_accept(&(struct letter_plan){
        .ladder = "{ route, return }", .recipients = {"a@socket.example", "b@socket.example"}});
    house_expect(id, 1, DELIVERY_DELIVERED);
    house_expect(id, 2, DELIVERY_DELIVERED);
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_ADDRESS, "unix");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_LEVEL, "local");
    assert_int_equal(peer_count(19, "[final]"), 1);
    house_close();
}

static void a_unix_socket_without_a_listener_defers(void **state)
{
    const struct peer peers[] = {{.number = 19, .flags = PEER_LMTP | PEER_UNIX | PEER_DEAD}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ route, return }", "a@socket.example");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DEFERRED, FIELD_REASON, "connecting to unix");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DEFERRED, FIELD_STATUS, "4.4.1");
    house_close();
}

/* A port that speaks no LMTP is a slip in our own settings, and no verdict on anybody's letter. */
static void a_refused_lhlo_defers(void **state)
{
    static const struct manner refuses[] = {{"LHLO", "500 5.5.1 what\r\n", 0}};
    const struct peer peers[] = {{.number = 19, .flags = PEER_LMTP, MANNERS(refuses)}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ route, return }", "a@clinic.example");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DEFERRED, FIELD_REASON, "500 to LHLO");
    house_close();
}

static void a_session_serves_many_messages(void **state)
{
    static const struct limit_cut one[] = {{"first_sessions", 1}, {"sessions_per_destination", 1}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS}};
    struct id ids[12];

    (void)state;
    OPEN(PEERS(peers), LIMITS(one));
    for (size_t i = 0; i < COUNT(ids); i++)
        ids[i] = send_to("{ tls verify, hold }", "a@one.example");
    for (size_t i = 0; i < COUNT(ids); i++)
        house_expect(ids[i], 1, DELIVERY_DELIVERED);
    assert_int_equal(peer_count(11, "[connect]"), 1);
    assert_int_equal(peer_count(11, "[final]"), COUNT(ids));
    house_close();
}

/* The same host, but another level or another domain: what was proven for one says nothing for
 * the other. */
static void a_session_serves_one_demand_only(void **state)
{
    static const struct limit_cut one[] = {{"idle_session_ms", 60000}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS}};

    (void)state;
    OPEN(PEERS(peers), LIMITS(one));
    house_expect(send_to("{ tls encrypt, hold }", "a@one.example"), 1, DELIVERY_DELIVERED);
    house_expect(send_to("{ tls verify, hold }", "a@one.example"), 1, DELIVERY_DELIVERED);
    house_expect(send_to("{ tls secure named \"mx1.r.example\", hold }", "a@one.example"), 1,
                 DELIVERY_DELIVERED);
    house_expect(send_to("{ tls verify, hold }", "a@r.example"), 1, DELIVERY_DELIVERED);
    assert_int_equal(peer_count(11, "[connect]"), 4);
    house_close();
}

static void a_limit_of_messages_is_met_by_a_new_session(void **state)
{
    static const struct manner by_mail[] = {{"MAIL", "250 ok\r\n", 2},
                                            {"MAIL", "!421 4.7.0 maximum reached\r\n", 1},
                                            {"MAIL", "250 ok\r\n", 2},
                                            {"MAIL", "!421 4.7.0 maximum reached\r\n", 1}};
    static const struct manner by_rcpt[] = {{"RCPT", "250 ok\r\n", 2},
                                            {"RCPT", "452 4.4.5 enough\r\n", 1},
                                            {"RCPT", "250 ok\r\n", 2},
                                            {"RCPT", "452 4.4.5 enough\r\n", 1}};
    static const struct limit_cut one[] = {{"first_sessions", 1}, {"sessions_per_destination", 1}};
    const struct peer kinds[][1] = {{{.number = 11, .flags = PEER_TLS, MANNERS(by_mail)}},
                                    {{.number = 11, .flags = PEER_TLS, MANNERS(by_rcpt)}}};

    (void)state;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct id ids[6];

        OPEN(PEERS(kinds[k]), LIMITS(one));
        for (size_t i = 0; i < COUNT(ids); i++)
            ids[i] = send_to("{ tls verify, hold }", "a@one.example");
        for (size_t i = 0; i < COUNT(ids); i++) {
            house_expect(ids[i], 1, DELIVERY_DELIVERED);
            assert_int_equal(house_count_leaves(ids[i], 1, EVENT_DELIVERY_DEFERRED), 0);
        }
        assert_int_equal(peer_count(11, "[final]"), COUNT(ids));
        house_close();
    }
}

static void a_greylisted_delivery_comes_again(void **state)
{
    static const struct manner grey[] = {{"RCPT", "450 4.2.0 greylisted\r\n", 4}};
    static const struct limit_cut soon[] = {{"retry_first_ms", 20}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(grey)}};
    size_t deferred;
    struct id id;
    char attempt[8];

    (void)state;
    OPEN(PEERS(peers), LIMITS(soon));
    id = send_to("{ tls verify, hold }", "a@one.example");
    house_expect(id, 1, DELIVERY_DELIVERED);
    /* A kept session that is put off is followed by a new one at once: some count but once. */
    deferred = house_count_leaves(id, 1, EVENT_DELIVERY_DEFERRED);
    assert_in_range(deferred, 1, 4);
    snprintf(attempt, sizeof attempt, "%zu", deferred + 1);
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_ATTEMPT, attempt);
    house_close();
}

static void a_dead_destination_does_not_hold_up_the_living(void **state)
{
    static const struct manner silent[] = {{"GREETING", "", 0}};
    static const struct limit_cut cuts[] = {{"greeting_timeout_ms", 3000}, {"first_sessions", 2}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(silent)},
                                 {.number = 12, .flags = PEER_TLS}};
    struct id alive[10];

    (void)state;
    OPEN(PEERS(peers), LIMITS(cuts));
    for (size_t i = 0; i < 300; i++)
        send_to("{ tls verify, hold }", "a@one.example");
    for (size_t i = 0; i < COUNT(alive); i++)
        alive[i] = send_to("{ tls verify, hold }", "a@gone.example");
    for (size_t i = 0; i < COUNT(alive); i++)
        house_expect(alive[i], 1, DELIVERY_DELIVERED);
    assert_true(peer_count(11, "[connect]") <= 2);
    house_close();
}

static void an_idle_session_is_closed_by_quit(void **state)
{
    static const struct limit_cut soon[] = {{"idle_session_ms", 30}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS}};

    (void)state;
    OPEN(PEERS(peers), LIMITS(soon));
    house_expect(send_to("{ tls verify, hold }", "a@one.example"), 1, DELIVERY_DELIVERED);
    for (size_t i = 0; i < 2000 && peer_count(11, "QUIT") == 0; i++)
        poll(NULL, 0, 5);
    assert_int_equal(peer_count(11, "QUIT"), 1);
    house_close();
}

static const char odd_body[] = "Subject: n\r\n\r\n.\r\n..\r\n.leading\r\nab\0cd\r\nNEXT\r\n";

static void bytes_arrive_as_they_are(void **state)
{
    static const unsigned ways[] = {PEER_TLS, PEER_TLS | PEER_CHUNKING,
                                    PEER_TLS | PEER_NO_PIPELINING};
    const struct span body = {odd_body, sizeof odd_body - 1};

    (void)state;
    for (size_t w = 0; w < COUNT(ways); w++) {
        for (int stored = 0; stored < 2; stored++) {
            const struct peer peers[] = {{.number = 11, .flags = ways[w]}};
            scoped(arena) arena = arena_new("message", MIB(8));
            struct span got;
            struct id id;

            OPEN(PEERS(peers));
            id = house_accept(&(struct letter_plan){.ladder = "{ tls verify, hold }",
                                                    .recipients = {"a@one.example"},
                                                    .body = body,
                                                    .is_stored_only = stored == 1});
            house_expect(id, 1, DELIVERY_DELIVERED);
            got = peer_message(11, arena);
            assert_int_equal(got.len, body.len);
            assert_memory_equal(got.data, body.data, body.len);
            assert_int_equal(peer_count(11, "BODY=8BITMIME"), 0);
            house_close();
        }
    }
}

static void a_large_message_of_several_chunks_arrives_whole(void **state)
{
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS}};
    scoped(arena) arena = arena_new("message", MIB(16));
    size_t size = MIB(1);
    char *body = calloc(1, size);
    struct span got;
    struct id id;

    (void)state;
    for (size_t i = 0; i < size; i++)
        body[i] = i % 64 == 62   ? '\r'
                  : i % 64 == 63 ? '\n'
                  : i % 64 == 0  ? '.'
                                 : (char)('a' + i % 23);
    OPEN(PEERS(peers));
    id = house_accept(&(struct letter_plan){.ladder = "{ tls verify, hold }",
                                            .recipients = {"a@one.example"},
                                            .body = {body, size},
                                            .is_stored_only = true});
    house_expect(id, 1, DELIVERY_DELIVERED);
    got = peer_message(11, arena);
    assert_int_equal(got.len, size);
    assert_memory_equal(got.data, body, size);
    house_close();
    free(body);
}

static void eight_bit_text_is_declared_or_impossible(void **state)
{
    const struct span body = SPAN_LITERAL("Subject: u\r\n\r\ngr\xc3\xbc\xc3\x9f\r\n");
    static const struct {
        unsigned flags;
        enum delivery_state end;
        size_t declared;
    } rows[] = {{PEER_TLS, DELIVERY_DELIVERED, 1}, {PEER_TLS | PEER_NO_8BIT, DELIVERY_HELD, 0}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct peer peers[] = {{.number = 11, .flags = rows[i].flags}};
        struct id id;

        OPEN(PEERS(peers));
        id = house_accept(&(struct letter_plan){
            .ladder = "{ tls verify, hold }", .recipients = {"a@one.example"}, .body = body});
        house_expect(id, 1, rows[i].end);
        assert_int_equal(peer_count(11, "BODY=8BITMIME"), rows[i].declared);
        house_close();
    }
}

static void each_rung_is_climbed_at_once_and_told(void **state)
{
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS | PEER_STRANGER}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ tls secure, tls verify, tls encrypt, hold }", "a@one.example");
    house_expect(id, 1, DELIVERY_DELIVERED);
    assert_int_equal(house_count_leaves(id, 1, EVENT_DELIVERY_CLIMBED), 2);
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_LEVEL, "encrypt");
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_RUNG, "2");
    house_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_first_host_is_passed_over),
        cmocka_unit_test(a_host_without_address_is_passed_over),
        cmocka_unit_test(a_bogus_ipv6_address_does_not_stop_ipv4),
        cmocka_unit_test(a_silent_host_costs_one_timeout),
        cmocka_unit_test(a_silent_handshake_costs_one_timeout),
        cmocka_unit_test(a_busy_host_is_no_loop),
        cmocka_unit_test(one_session_too_many_is_no_attempt),
        cmocka_unit_test(who_was_served_is_not_offered_to_the_next_host),
        cmocka_unit_test(too_many_recipients_means_the_next_transaction),
        cmocka_unit_test(lmtp_gives_each_recipient_his_reply),
        cmocka_unit_test(lmtp_that_closes_early_leaves_the_rest_unknown),
        cmocka_unit_test(a_route_leads_to_a_unix_socket),
        cmocka_unit_test(a_unix_socket_without_a_listener_defers),
        cmocka_unit_test(a_refused_lhlo_defers),
        cmocka_unit_test(a_session_serves_many_messages),
        cmocka_unit_test(a_session_serves_one_demand_only),
        cmocka_unit_test(a_limit_of_messages_is_met_by_a_new_session),
        cmocka_unit_test(a_greylisted_delivery_comes_again),
        cmocka_unit_test(a_dead_destination_does_not_hold_up_the_living),
        cmocka_unit_test(an_idle_session_is_closed_by_quit),
        cmocka_unit_test(bytes_arrive_as_they_are),
        cmocka_unit_test(a_large_message_of_several_chunks_arrives_whole),
        cmocka_unit_test(eight_bit_text_is_declared_or_impossible),
        cmocka_unit_test(each_rung_is_climbed_at_once_and_told),
    };

    return cmocka_run_group_tests_name("many", tests, NULL, NULL);
}
