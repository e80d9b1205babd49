/* What is written down, what is returned, and what happens when the database was touched. */
/* SPDX-License-Identifier: ISC */
#include "deliver_house.h"

#include "base/memory.h"

#include <poll.h>

#define OPEN(...) house_open(&(struct plan){__VA_ARGS__})
#define PEERS(array) .peers = (array), .peer_count = COUNT(array)
#define MANNERS(array) .manners = (array), .manner_count = COUNT(array)

enum { DAY_MS = 24 * 60 * 60 * 1000 };

/* SQL for the bytes with another first one: never by chance the same. */
#define CHANGED(column)                                                                            \
    "CAST(CASE substr(" column ", 1, 1) WHEN x'00' THEN x'01' ELSE x'00' END || substr(" column    \
    ", 2) AS BLOB)"

static struct id send_to(const char *ladder, const char *recipient)
{
    return house_accept(&(struct letter_plan){.ladder = ladder, .recipients = {recipient}});
}

static void wait_for(unsigned peer, const char *text)
{
    for (size_t i = 0; i < 4000 && peer_count(peer, text) == 0; i++)
        poll(NULL, 0, 5);
    assert_true(peer_count(peer, text) > 0);
}

static bool message_has(struct span message, const char *text)
{
    return memmem(message.data, message.len, text, strlen(text)) != NULL;
}

static void a_failure_comes_back_as_one_report(void **state)
{
    static const struct manner refuses[] = {
        {"RCPT",
         "550-5.1.1 nobody\r\n550 5.1.1 a\rFinal-Recipient: rfc822; boss@clinic.example\r\n", 0}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(refuses)},
                                 {.number = 19, .flags = PEER_LMTP}};
    scoped(arena) arena = arena_new("report", MIB(4));
    struct span report;
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = house_accept(&(struct letter_plan){.ladder = "{ tls verify, hold }",
                                            .recipients = {"a@one.example", "b@one.example"}});
    house_expect(id, 1, DELIVERY_RETURNED);
    house_expect(id, 2, DELIVERY_RETURNED);
    wait_for(19, "[final]");
    assert_int_equal(house_reports(), 1);
    assert_int_equal(peer_count(19, "MAIL FROM:<>"), 1);
    assert_int_equal(peer_count(19, "RCPT TO:<nurse@clinic.example>"), 1);
    report = peer_message(19, arena);
    assert_true(message_has(report, "a@one.example"));
    assert_true(message_has(report, "b@one.example"));
    assert_true(message_has(report, "5.1.1"));
    assert_true(message_has(report, "Action: failed"));
    assert_false(message_has(report, "a letter")); /* the subject */
    assert_false(message_has(report, "\nFinal-Recipient: rfc822; boss"));
    assert_true(house_leaf(id, 1, EVENT_DELIVERY_RETURNED, FIELD_REPORT, arena).len > 0);
    house_close();
}

static void a_failure_that_cannot_be_stored_waits(void **state)
{
    static const struct manner refuses[] = {{"MAIL", "~550 5.7.1 no\r\n", 0}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(refuses)},
                                 {.number = 19, .flags = PEER_LMTP}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ tls verify, hold }", "a@one.example");
    wait_for(11, "MAIL");
    house_block_store();
    peers_release();
    wait_for(11, "[end]");
    house_free_store();
    house_expect(id, 1, DELIVERY_RETURNED);
    wait_for(19, "[final]");
    assert_int_equal(house_reports(), 1);
    assert_int_equal(house_count_leaves(id, 1, EVENT_DELIVERY_RETURNED), 1);
    house_close();
}

static void a_bounce_never_bounces(void **state)
{
    static const struct manner refuses[] = {{"RCPT", "550 5.1.1 nobody\r\n", 0}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(refuses)},
                                 {.number = 19, .flags = PEER_LMTP, MANNERS(refuses)}};
    scoped(arena) arena = arena_new("id", KIB(64));
    struct span report;
    struct id id, report_id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ tls verify, hold }", "a@one.example");
    report = house_leaf(id, 1, EVENT_DELIVERY_RETURNED, FIELD_REPORT, arena);
    assert_true(id_parse(report, &report_id));
    house_expect(report_id, 1, DELIVERY_RETURNED);
    assert_leaf_has(report_id, 1, EVENT_DELIVERY_RETURNED, FIELD_REASON, "no report: it is one");
    assert_int_equal(house_reports(), 1);
    house_close();
}

static const struct nobody_row {
    const char *name, *sender, *reason;
    bool is_stranger;
} nobodies[] = {
    {"a stranger gets no report", "x@one.example", "not known", true},
    {"the null sender gets no report", "", "null sender", false},
};

static void nobody_is_told(void **state)
{
    const struct nobody_row *row = *state;
    static const struct manner refuses[] = {{"RCPT", "550 5.1.1 nobody\r\n", 0}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(refuses)}};
    struct id id;

    OPEN(PEERS(peers));
    id = house_accept(&(struct letter_plan){.ladder = "{ tls verify, hold }",
                                            .recipients = {"a@one.example"},
                                            .sender = row->sender,
                                            .is_stranger = row->is_stranger});
    house_expect(id, 1, DELIVERY_RETURNED);
    assert_leaf_has(id, 1, EVENT_DELIVERY_RETURNED, FIELD_REASON, row->reason);
    assert_int_equal(house_reports(), 0);
    house_close();
}

static void what_was_refused_beside_others_is_returned(void **state)
{
    const struct peer peers[] = {{.number = 19, .flags = PEER_LMTP}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ return }", "a@one.example");
    house_expect(id, 1, DELIVERY_RETURNED);
    assert_leaf_has(id, 1, EVENT_DELIVERY_RETURNED, FIELD_STATUS, "5.7.1");
    wait_for(19, "[final]");
    house_close();
}

static void five_days_are_enough(void **state)
{
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS},
                                 {.number = 19, .flags = PEER_LMTP}};
    scoped(arena) arena = arena_new("report", MIB(4));
    struct span report;
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = house_accept(&(struct letter_plan){.ladder = "{ tls verify, return }",
                                            .recipients = {"a@one.example"},
                                            .is_stored_only = true,
                                            .accepted_ago_ms = 6 * (int64_t)DAY_MS});
    house_expect(id, 1, DELIVERY_RETURNED);
    assert_leaf_has(id, 1, EVENT_DELIVERY_RETURNED, FIELD_STATUS, "4.4.7");
    wait_for(19, "[final]");
    report = peer_message(19, arena);
    assert_true(message_has(report, "Status: 4.4.7"));
    assert_true(message_has(report, "Action: failed"));
    assert_int_equal(peer_count(11, "[connect]"), 0);
    house_close();
}

static void patience_that_is_over_climbs_without_the_network(void **state)
{
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = house_accept(&(struct letter_plan){.ladder = "{ tls verify for 1 hour, hold }",
                                            .recipients = {"a@one.example"},
                                            .is_stored_only = true,
                                            .accepted_ago_ms = DAY_MS});
    house_expect(id, 1, DELIVERY_HELD);
    assert_int_equal(peer_count(11, "[connect]"), 0);
    house_close();
}

static void a_hold_that_ends_returns_and_never_sends(void **state)
{
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS},
                                 {.number = 19, .flags = PEER_LMTP}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = house_accept(&(struct letter_plan){.ladder = "{ tls verify, hold }",
                                            .recipients = {"a@one.example"},
                                            .is_held = true,
                                            .ends_in_ms = -1000});
    house_expect(id, 1, DELIVERY_RETURNED);
    assert_int_equal(peer_count(11, "[connect]"), 0);
    wait_for(19, "[final]");
    house_close();
}

static void what_a_rule_held_too_long_is_reported(void **state)
{
    static const char *const ladders[] = {"{ hold for 1 day }", "{ return }"};
    const struct peer peers[] = {{.number = 19, .flags = PEER_LMTP}};

    (void)state;
    for (size_t i = 0; i < COUNT(ladders); i++) {
        struct id id;

        OPEN(PEERS(peers));
        id = house_accept(&(struct letter_plan){.ladder = ladders[i],
                                                .recipients = {"a@one.example", "b@one.example"},
                                                .is_stored_only = true,
                                                .accepted_ago_ms = 2 * (int64_t)DAY_MS});
        house_expect(id, 1, DELIVERY_RETURNED);
        house_expect(id, 2, DELIVERY_RETURNED);
        wait_for(19, "[final]");
        assert_int_equal(house_reports(), 1);
        house_close();
    }
}

static const struct tamper_row {
    const char *name, *sql, *reason;
} tampers[] = {
    {"a changed body is held", "UPDATE message SET first_chunk = " CHANGED("first_chunk") "",
     "the body"},
    {"a cut body is held", "UPDATE message SET first_chunk = substr(first_chunk, 1, 20)",
     "the body"},
    {"a changed content key is held",
     "UPDATE message SET wrapped_content = " CHANGED("wrapped_content") "", "the keeper"},
    {"a changed record key is held",
     "UPDATE message SET wrapped_record = " CHANGED("wrapped_record") "", "the keeper"},
    {"keys that are gone hold it", "UPDATE message SET wrapped_content = NULL", "keys are gone"},
    {"a changed tag is held", "UPDATE delivery SET tag = " CHANGED("tag") "", "the keeper"},
    {"a weaker ladder is held", "UPDATE delivery SET ladder = '{ tls encrypt, hold }'",
     "the keeper"},
    {"a ladder that is none is held", "UPDATE delivery SET ladder = 'x'", "ladder"},
    {"swapped recipients are held",
     "CREATE TEMP TABLE t AS SELECT number, recipient FROM delivery; UPDATE delivery SET recipient "
     "= (SELECT t.recipient FROM t WHERE t.number = 3 - delivery.number)",
     ""},
    {"another recipient is held", "UPDATE delivery SET recipient = substr(recipient, 1, 20)",
     "the keeper"},
    {"another rung is held", "UPDATE delivery SET rung = 1", "does not agree"},
    {"another policy is held", "UPDATE delivery SET policy_digest = zeroblob(32)", "the keeper"},
    {"a changed leaf is held",
     "UPDATE event SET detail = CAST(detail || x'00' AS BLOB) WHERE delivery > 0",
     "does not agree"},
    {"leaves that are gone hold it", "DELETE FROM event", "does not agree"},
};

static void what_was_touched_is_held(void **state)
{
    const struct tamper_row *row = *state;
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS}};
    struct id id;

    OPEN(PEERS(peers), .is_idle = true);
    id = house_accept(&(struct letter_plan){.ladder = "{ tls verify, hold }",
                                            .recipients = {"a@one.example", "b@one.example"},
                                            .is_stored_only = true});
    house_tamper(row->sql);
    house_start();
    house_expect(id, 1, DELIVERY_HELD);
    house_expect(id, 2, DELIVERY_HELD);
    assert_leaf_has(id, 1, EVENT_DELIVERY_HELD, FIELD_REASON, row->reason);
    assert_leaf_has(id, 1, EVENT_DELIVERY_HELD, FIELD_OUTCOME, "internal");
    assert_int_equal(peer_count(11, "MAIL"), 0);
    house_close();
}

/* A row's destination says where it waits, and never where it goes. */
static void a_changed_destination_leads_nobody_astray(void **state)
{
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS},
                                 {.number = 12, .flags = PEER_TLS}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers), .is_idle = true);
    id = house_accept(&(struct letter_plan){
        .ladder = "{ tls verify, hold }", .recipients = {"a@one.example"}, .is_stored_only = true});
    house_tamper("UPDATE destination SET name = 'evil.example'");
    house_start();
    house_expect(id, 1, DELIVERY_DELIVERED);
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_HOST, "mx1.r.example");
    assert_int_equal(peer_count(12, "[connect]"), 0);
    house_close();
}

/* Whoever hands it over is outside too: a sender that is no address is in no command. */
static void a_sender_who_is_no_address_is_held(void **state)
{
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS}};

    (void)state;
    for (int is_stored_only = 0; is_stored_only < 2; is_stored_only++) {
        struct id id;

        OPEN(PEERS(peers));
        id =
            house_accept(&(struct letter_plan){.ladder = "{ tls verify, hold }",
                                               .recipients = {"a@one.example"},
                                               .sender = "a@one.example>\r\nRCPT TO:<x@one.example",
                                               .is_stored_only = is_stored_only});
        house_expect(id, 1, DELIVERY_HELD);
        assert_leaf_has(id, 1, EVENT_DELIVERY_HELD, FIELD_REASON, "the sender");
        assert_int_equal(peer_count(11, "MAIL"), 0);
        house_close();
    }
}

static void one_spoiled_entry_holds_up_no_other(void **state)
{
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS}};
    struct id bad, good;

    (void)state;
    OPEN(PEERS(peers), .is_idle = true);
    bad = house_accept(&(struct letter_plan){
        .ladder = "{ tls verify, hold }", .recipients = {"a@one.example"}, .is_stored_only = true});
    house_tamper("UPDATE message SET first_chunk = " CHANGED("first_chunk") "");
    good = house_accept(&(struct letter_plan){
        .ladder = "{ tls verify, hold }", .recipients = {"a@one.example"}, .is_stored_only = true});
    house_start();
    house_expect(bad, 1, DELIVERY_HELD);
    house_expect(good, 1, DELIVERY_DELIVERED);
    house_close();
}

static void stopping_before_the_dot_puts_back(void **state)
{
    static const struct manner silent[] = {{"MAIL", "", 1}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(silent)}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ tls verify, hold }", "a@one.example");
    wait_for(11, "MAIL");
    house_stop();
    assert_int_equal(house_count_leaves(id, 1, EVENT_DELIVERY_DEFERRED), 0);
    house_start();
    house_expect(id, 1, DELIVERY_DELIVERED);
    assert_leaf_has(id, 1, EVENT_DELIVERY_DELIVERED, FIELD_ATTEMPT, "1");
    house_close();
}

static void stopping_behind_the_dot_tells_of_a_possible_duplicate(void **state)
{
    static const struct manner silent[] = {{"FINAL", "", 1}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(silent)}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ tls verify, hold }", "a@one.example");
    wait_for(11, "[final]");
    house_stop();
    assert_leaf_has(id, 1, EVENT_DELIVERY_DEFERRED, FIELD_POSSIBLE_DUPLICATE, "1");
    house_close();
}

static void a_restart_takes_up_what_was_leased(void **state)
{
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS}};
    struct id id;

    (void)state;
    OPEN(PEERS(peers), .is_idle = true);
    id = house_accept(&(struct letter_plan){
        .ladder = "{ tls verify, hold }", .recipients = {"a@one.example"}, .is_stored_only = true});
    house_tamper("UPDATE delivery SET lease = 12345, due_at = due_at + 100000");
    house_start();
    house_expect(id, 1, DELIVERY_DELIVERED);
    house_close();
}

static void the_peers_words_are_sealed(void **state)
{
    static const struct manner refuses[] = {{"RCPT", "450 4.7.1 patient Smith is unknown\r\n", 0}};
    const struct peer peers[] = {{.number = 11, .flags = PEER_TLS, MANNERS(refuses)}};
    scoped(arena) arena = arena_new("leaf", MIB(1));
    struct span sealed, reason;
    struct id id;

    (void)state;
    OPEN(PEERS(peers));
    id = send_to("{ tls verify, hold }", "a@one.example");
    sealed = house_reply(id, 1, EVENT_DELIVERY_DEFERRED, arena);
    assert_false(message_has(sealed, "Smith"));
    reason = house_leaf(id, 1, EVENT_DELIVERY_DEFERRED, FIELD_REASON, arena);
    assert_false(message_has(reason, "Smith"));
    house_close();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_failure_comes_back_as_one_report),
    cmocka_unit_test(a_failure_that_cannot_be_stored_waits),
    cmocka_unit_test(a_bounce_never_bounces),
    cmocka_unit_test(what_was_refused_beside_others_is_returned),
    cmocka_unit_test(five_days_are_enough),
    cmocka_unit_test(patience_that_is_over_climbs_without_the_network),
    cmocka_unit_test(a_hold_that_ends_returns_and_never_sends),
    cmocka_unit_test(what_a_rule_held_too_long_is_reported),
    cmocka_unit_test(a_changed_destination_leads_nobody_astray),
    cmocka_unit_test(a_sender_who_is_no_address_is_held),
    cmocka_unit_test(one_spoiled_entry_holds_up_no_other),
    cmocka_unit_test(stopping_before_the_dot_puts_back),
    cmocka_unit_test(stopping_behind_the_dot_tells_of_a_possible_duplicate),
    cmocka_unit_test(a_restart_takes_up_what_was_leased),
    cmocka_unit_test(the_peers_words_are_sealed),
};

int main(void)
{
    int failures = cmocka_run_group_tests_name("record", tests, NULL, NULL);

    failures += run_table("nobody to tell", nobodies, nobody_is_told);
    failures += run_table("tampering", tampers, what_was_touched_is_held);
    return failures;
}
