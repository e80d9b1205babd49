/* What stands in the store, in the journal and in the ring after a message was taken. */
/* SPDX-License-Identifier: ISC */
#include "receive_house.h"

#include "base/memory.h"
#include "keys/sealing.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define HELLO "< 220 \n> EHLO a.example\n< 250 \n"

/* The house with one message handed over. */
struct taken {
    struct arena *arena;
    struct fresh_message fresh;
    bool found;
    struct store_message message;
    struct store_delivery *deliveries;
    size_t count;
};

static struct taken take_id(struct arena *arena, struct id id)
{
    struct taken taken = {.arena = arena};
    struct error why;

    house_settle();
    assert_true(store_find_message(house.store, id, arena, &taken.found, &taken.message,
                                   &taken.deliveries, &taken.count, &why));
    return taken;
}

static struct taken take(struct arena *arena)
{
    struct fresh_message fresh;
    struct taken taken;

    house_settle();
    fresh = house_take(arena);
    assert_non_null(fresh.body.data);
    taken = take_id(arena, fresh.id);
    taken.fresh = fresh;
    assert_true(taken.found);
    return taken;
}

static void assert_span(struct span got, const char *wanted)
{
    if (!span_equal(got, span_of(wanted)))
        print_error("wanted: %s\n   got: %.*s\n", wanted, SPAN_ARGS(got));
    assert_true(span_equal(got, span_of(wanted)));
}

/* Below our own field, of which *ours is all. */
static struct span below_received(struct span body, struct span *ours)
{
    size_t end = 0;

    assert_true(span_starts_with(body, SPAN_LITERAL("Received: ")));
    do
        end += span_index(span_from(body, end), '\n') + 1;
    while (end < body.len && (body.data[end] == ' ' || body.data[end] == '\t'));
    *ours = span_until(body, end);
    return span_from(body, end);
}

static bool has(struct span text, const char *word)
{
    return memmem(text.data, text.len, word, strlen(word)) != NULL;
}

/* ---- bytes ---- */

static const struct bytes_case {
    const char *name, *wire; /* as a script sends it, with the end of data */
    struct span body;        /* below our field */
} bytes_cases[] = {
    {"address fields are not rewritten",
     "> DATA\n< 354 \n> From: Q. Public (MD) <q@partner.example>\n"
     "> To: \"a\" <A@Clinic.Example> , b@clinic.example\n> CC:x@clinic.example\n> X-Empty:\n"
     ">> X-Tab:\\t a  \\r\\n\n> \n> text\n> \n> \n> \n> .\n< 250 2.0.0\n",
     SPAN_LITERAL("From: Q. Public (MD) <q@partner.example>\r\n"
                  "To: \"a\" <A@Clinic.Example> , b@clinic.example\r\nCC:x@clinic.example\r\n"
                  "X-Empty:\r\nX-Tab:\t a  \r\n\r\ntext\r\n\r\n\r\n\r\n")},
    {"dots are unstuffed by DATA",
     "> DATA\n< 354 \n> S: x\n> \n> ..leading\n> ..\n> ...two\n> .\n< 250 2.0.0\n",
     SPAN_LITERAL("S: x\r\n\r\n.leading\r\n.\r\n..two\r\n")},
    {"dots are left alone in chunks",
     ">> BDAT 28 LAST\\r\\nSubject: x\\r\\n\\r\\n.a\\r\\n.\\r\\n..\\r\\nb\\r\\n\n< 250 2.0.0\n",
     SPAN_LITERAL("Subject: x\r\n\r\n.a\r\n.\r\n..\r\nb\r\n")},
    {"chunks make one text",
     ">> BDAT 6\\r\\nS: x\\r\\nBDAT 2\\r\\n\\r\\nBDAT 0\\r\\nBDAT 2 LAST\\r\\nhi\n"
     "< 250 2.0.0 6\n< 250 2.0.0 2\n< 250 2.0.0 0\n< 250 2.0.0 Ok\n",
     SPAN_LITERAL("S: x\r\n\r\nhi")},
    {"8-bit text is 8-bit text, declared or not",
     ">> DATA\\r\\nS: x\\r\\n\\r\\ngr\\xfc\\xdfe\\r\\n.\\r\\n\n< 354 \n< 250 2.0.0\n",
     SPAN_LITERAL("S: x\r\n\r\ngr\xfc\xdf"
                  "e\r\n")},
    {"an empty text gets its empty line", "> DATA\n< 354 \n> .\n< 250 2.0.0\n",
     SPAN_LITERAL("\r\n")},
    {"Bcc stays as it is on the MX listener",
     "> DATA\n< 354 \n> Bcc: b@clinic.example\n> \n> x\n> .\n< 250 2.0.0\n",
     SPAN_LITERAL("Bcc: b@clinic.example\r\n\r\nx\r\n")},
};

static void bytes_pass_whole(void **state)
{
    const struct bytes_case *c = *state;
    scoped(arena) arena = arena_new_secret("test", MIB(8));
    scoped(stream) client = house_connect(DOOR_MX, 9);
    struct taken taken;
    struct span ours;

    play(client, HELLO "> MAIL FROM:<a@partner.example>\n< 250 \n"
                       "> RCPT TO:<nurse@clinic.example>\n< 250 \n");
    play(client, c->wire);
    play(client, "> QUIT\n< 221 \neof\n");
    taken = take(arena);
    assert_true(span_equal(below_received(taken.fresh.body, &ours), c->body));
    assert_int_equal(taken.message.size, taken.fresh.body.len);
    assert_int_equal(taken.message.has_8bit, has(c->body, "\xfc"));
    assert_int_equal(taken.fresh.has_8bit, taken.message.has_8bit);
}

/* A message of `lines` long lines by BDAT and by DATA is the same, chunk by chunk. */
static void sealed_body_opens_to_the_same_bytes(void **state)
{
    enum { LINES = 3000, LINE = 100 };
    scoped(arena) arena = arena_new_secret("test", MIB(32));
    scoped(content_cipher) cipher = NULL;
    scoped_buffer text, sealed, plain;
    struct taken taken;
    struct key content;
    struct error why;
    struct span ours;
    bool is_last = false;

    (void)state;
    buffer_init(&text, MIB(1));
    buffer_init(&sealed, MIB(2));
    buffer_init(&plain, MIB(2));
    buffer_append(&text, SPAN_LITERAL("S: x\r\n\r\n"));
    for (size_t i = 0; i < LINES; i++)
        buffer_append_format(&text, "%0*zu\r\n", LINE - 2, i);
    {
        scoped(stream) client = house_connect(DOOR_MX, 9);
        struct deadline until = deadline_in_ms(20000);

        play(client, HELLO "> MAIL FROM:<a@partner.example>\n< 250 \n"
                           "> RCPT TO:<nurse@clinic.example>\n< 250 \n> DATA\n< 354 \n");
        assert_true(stream_write(client, buffer_span(&text), until, &why));
        play(client, "> .\n< 250 2.0.0\n> QUIT\n< 221 \n");
    }
    taken = take(arena);
    assert_true(span_equal(below_received(taken.fresh.body, &ours), buffer_span(&text)));
    memcpy(content.bytes, taken.fresh.keys, sizeof content.bytes);
    cipher = content_cipher_new(&content, taken.fresh.id);
    for (uint32_t i = 0; !is_last; i++) {
        buffer_truncate(&sealed, 0);
        assert_true(store_read_body(house.store, taken.fresh.id, i, &sealed, &is_last, &why));
        assert_true(content_open(cipher, i, is_last, buffer_span(&sealed), &plain, &why));
        assert_false(has(buffer_span(&sealed), "S: x"));
    }
    assert_true(span_equal(buffer_span(&plain), taken.fresh.body));
}

/* ---- our own fields ---- */

static void received_tells_who_and_how(void **state)
{
    scoped(arena) arena = arena_new_secret("test", MIB(8));
    struct taken taken;
    struct span ours;
    char id[ID_TEXT_SIZE];

    (void)state;
    play_at(DOOR_MX, 9,
            "< 220 \n> HELO a.example\n< 250 \n> MAIL FROM:<a@partner.example>\n< 250 \n"
            "> RCPT TO:<nurse@clinic.example>\n< 250 \n> DATA\n< 354 \n> S: x\n> .\n< 250 \n");
    taken = take(arena);
    below_received(taken.fresh.body, &ours);
    id_print(taken.fresh.id, id);
    assert_true(has(ours, "a.example ([127.0.0.9])"));
    assert_true(has(ours, "by mx.clinic.example"));
    assert_true(has(ours, "with SMTP"));
    assert_true(has(ours, "<nurse@clinic.example>"));
    assert_true(has(ours, id));
    play_at(DOOR_MX, 9,
            HELLO
            "> STARTTLS\n< 220 \ntls\n> EHLO b.example\n< 250 \n"
            "> MAIL FROM:<a@partner.example>\n< 250 \n> RCPT TO:<nurse@clinic.example>\n< 250 \n"
            "> RCPT TO:<boss@clinic.example>\n< 250 \n> DATA\n< 354 \n> S: x\n> .\n< 250 \n");
    taken = take(arena);
    below_received(taken.fresh.body, &ours);
    assert_true(has(ours, "b.example ([127.0.0.9])"));
    assert_true(has(ours, "with ESMTPS"));
    assert_true(has(ours, "TLSv1.3"));
    assert_false(has(ours, "clinic.example>")); /* nobody learns of the other */
}

static void submission_adds_what_is_missing_and_hides_bcc(void **state)
{
    scoped(arena) arena = arena_new_secret("test", MIB(8));
    struct taken taken;

    (void)state;
    play_at(DOOR_SUBMISSIONS, 9,
            "tls\n" HELLO
            "> MAIL FROM:<nurse@clinic.example>\n< 250 \n> RCPT TO:<a@partner.example>\n< 250 \n"
            "> DATA\n< 354 \n> From: nurse@clinic.example\n> Bcc: secret@clinic.example\n"
            "> Subject: x\n> \n> hi\n> .\n< 250 \n");
    taken = take(arena);
    assert_true(has(taken.fresh.body, "\r\nDate: "));
    assert_true(has(taken.fresh.body, "\r\nMessage-ID: <"));
    assert_false(has(taken.fresh.body, "Bcc"));
    assert_true(taken.fresh.is_sender_known);
}

/* ---- deliveries ---- */

static void delivery_inwards_takes_the_route(void **state)
{
    scoped(arena) arena = arena_new_secret("test", MIB(8));
    struct taken taken;
    struct binding binding = {.delivery = 1};
    struct key content;
    uint8_t tag[BINDING_TAG_BYTES];

    (void)state;
    play_at(DOOR_MX, 9,
            HELLO "> MAIL FROM:<>\n< 250 \n> RCPT TO:<\"nurse\"@Clinic.example>\n< 250 \n"
                  "> DATA\n< 354 \n> S: x\n> .\n< 250 \n");
    taken = take(arena);
    assert_int_equal(taken.count, 1);
    assert_span(taken.message.organisation, "Clinic");
    assert_true(taken.message.is_inward);
    assert_false(taken.message.is_sender_known);
    assert_false(taken.message.is_report);
    assert_int_equal(taken.fresh.sender.len, 0);
    assert_span(taken.deliveries[0].destination, "route:unix:/run/lmtp");
    assert_span(taken.deliveries[0].ladder, "{ route, return }");
    assert_span(taken.deliveries[0].rule, "inwards");
    assert_int_equal(taken.deliveries[0].state, DELIVERY_WAITING);
    assert_true(taken.deliveries[0].lease == taken.fresh.lease && taken.fresh.lease != 0);
    assert_true(taken.deliveries[0].due_at_ms > taken.message.accepted_at_ms);
    assert_int_equal(taken.fresh.delivery_count, 1);
    assert_span(taken.fresh.deliveries[0].recipient, "nurse@clinic.example");
    assert_span(taken.fresh.deliveries[0].destination, "route:unix:/run/lmtp");
    binding.message = taken.fresh.id;
    binding.organisation = taken.message.organisation;
    binding.recipient = taken.fresh.deliveries[0].recipient;
    binding.ladder = taken.deliveries[0].ladder;
    memcpy(binding.policy_digest, taken.fresh.policy_digest, sizeof binding.policy_digest);
    memcpy(content.bytes, taken.fresh.keys, sizeof content.bytes);
    binding_tag(&content, &binding, tag);
    assert_memory_equal(tag, taken.deliveries[0].tag, sizeof tag);
    assert_last_leaf(EVENT_MESSAGE_ACCEPTED, FIELD_LISTENER, "smtp");
    assert_last_leaf(EVENT_MESSAGE_ACCEPTED, FIELD_ADDRESS, "127.0.0.9");
    assert_last_leaf(EVENT_DELIVERY_DECIDED, FIELD_RULE, "inwards");
    assert_last_leaf(EVENT_DELIVERY_DECIDED, FIELD_STATE, "0");
}

static void the_same_recipient_gets_one_copy(void **state)
{
    scoped(arena) arena = arena_new_secret("test", MIB(8));
    struct taken taken;

    (void)state;
    play_at(DOOR_SUBMISSIONS, 9,
            "tls\n" HELLO "> MAIL FROM:<nurse@clinic.example>\n< 250 \n"
            "> RCPT TO:<a@partner.example>\n< 250 2.1.5\n> RCPT TO:<\"a\"@partner.example>\n< 250 "
            "2.1.5\n"
            "> RCPT TO:<a@PARTNER.example>\n< 250 2.1.5\n> DATA\n< 354 \n> S: x\n> .\n< 250 \n");
    taken = take(arena);
    assert_int_equal(taken.count, 1);
    assert_span(taken.deliveries[0].destination, "partner.example");
    assert_span(taken.deliveries[0].ladder, "{ tls verify for 4 hours, hold for 7 days }");
    assert_true(taken.deliveries[0].ends_at_ms == taken.message.accepted_at_ms + 4 * 3600 * 1000);
    assert_last_leaf(EVENT_MESSAGE_ACCEPTED, FIELD_RECIPIENTS, "1");
    assert_last_leaf(EVENT_MESSAGE_ACCEPTED, FIELD_THROUGH, "127.0.0.9 network 127.0.0.0/8");
    assert_last_leaf(EVENT_MESSAGE_ACCEPTED, FIELD_TLS_VERSION, "TLSv1.3");
}

static void postmasters_are_one(void **state)
{
    scoped(arena) arena = arena_new_secret("test", MIB(8));
    struct taken taken;

    (void)state;
    play_at(DOOR_MX, 9,
            HELLO "> MAIL FROM: <a@partner.example>\n< 250 \n> RCPT TO:<Postmaster>\n< 250 \n"
                  "> RCPT TO:<postMaStER@clinic.example>\n< 250 \n"
                  "> RCPT TO:<POSTMASTER@CLINIC.EXAMPLE>\n< 250 \n"
                  "> RCPT TO:<postmaster@noroute.example>\n< 250 \n> DATA\n< 354 \n> S: x\n> .\n"
                  "< 250 \n");
    taken = take(arena);
    assert_int_equal(taken.count, 1);
    assert_span(taken.deliveries[0].destination, "route:unix:/run/lmtp");
    assert_last_leaf(EVENT_MESSAGE_ACCEPTED, FIELD_CLIENT_FAULT, "a space before the address");
}

/* Outwards, inwards in two organisations: three stored messages, one transaction, one text. */
static void each_organisation_has_a_message_of_its_own(void **state)
{
    scoped(arena) arena = arena_new_secret("test", MIB(8));
    struct taken taken[3];
    struct span ours;
    uint64_t before = house_messages();

    (void)state;
    play_at(DOOR_SUBMISSIONS, 9,
            "tls\n" HELLO "> MAIL FROM:<nurse@clinic.example>\n< 250 \n"
            "> RCPT TO:<a@partner.example>\n< 250 \n> RCPT TO:<boss@clinic.example>\n< 250 \n"
            "> RCPT TO:<x@ward.example>\n< 250 \n> RCPT TO:<b@third.example>\n< 250 \n"
            "> DATA\n< 354 \n> Message-ID: <1@x>\n> Date: now\n> .\n< 250 \n");
    assert_int_equal(house_messages() - before, 3);
    for (size_t i = 0; i < COUNT(taken); i++)
        taken[i] = take(arena);
    assert_int_equal(taken[0].count, 2);
    assert_span(taken[0].message.organisation, "Clinic");
    assert_false(taken[0].message.is_inward);
    assert_span(taken[1].message.organisation, "Clinic");
    assert_true(taken[1].message.is_inward);
    assert_span(taken[2].message.organisation, "Ward");
    assert_true(taken[2].message.is_inward);
    assert_span(taken[2].deliveries[0].destination, "route:127.0.0.1:24");
    assert_memory_not_equal(taken[0].fresh.keys, taken[1].fresh.keys, sizeof taken[0].fresh.keys);
    assert_true(span_equal(taken[0].fresh.body, taken[1].fresh.body));
    assert_true(span_equal(taken[0].fresh.body, taken[2].fresh.body));
    below_received(taken[0].fresh.body, &ours);
    assert_false(has(ours, "for <"));
}

static struct id last_id;

static bool keep_id(void *self, const struct store_journal_row *row)
{
    (void)self;
    if (row->leaf.kind == EVENT_MESSAGE_ACCEPTED)
        last_id = row->leaf.message;
    return true;
}

static struct taken last_stored(struct arena *arena)
{
    struct taken taken;
    struct error why;

    house_settle();
    assert_true(store_each_leaf(house.store, 0, keep_id, NULL, &why));
    taken = take_id(arena, last_id);
    assert_true(taken.found);
    return taken;
}

static void held_mail_waits_on_a_ladder_that_holds(void **state)
{
    scoped(arena) arena = arena_new_secret("test", MIB(8));
    struct taken taken;
    const int64_t day_ms = 24 * 3600 * 1000;

    (void)state;
    play_at(DOOR_SUBMISSIONS, 9,
            "tls\n" HELLO "> MAIL FROM:<nurse@clinic.example>\n< 250 \n"
            "> RCPT TO:<a@partner.example>\n< 250 \n"
            "> DATA\n< 354 \n> Subject: plain\n> Subject: =?utf-8?q?=5BHold=5D?=\n> .\n< 250 \n");
    taken = last_stored(arena);
    assert_int_equal(taken.deliveries[0].state, DELIVERY_HELD);
    assert_span(taken.deliveries[0].ladder, "{ hold for 30 days }");
    assert_span(taken.deliveries[0].rule, "look at it");
    assert_true(taken.deliveries[0].ends_at_ms == taken.message.accepted_at_ms + 30 * day_ms);
    assert_true(taken.message.content_day >= clock_day(taken.message.accepted_at_ms) + 35);
    assert_true(taken.deliveries[0].lease == 0);
    assert_null(house_take(arena).body.data);
    assert_last_leaf(EVENT_DELIVERY_DECIDED, FIELD_STATE, "1");
}

static void some_refused_get_their_mail_back(void **state)
{
    scoped(arena) arena = arena_new_secret("test", MIB(8));
    struct taken taken;

    (void)state;
    play_at(DOOR_SUBMISSIONS, 9,
            "tls\n" HELLO "> MAIL FROM:<nurse@clinic.example>\n< 250 \n"
            "> RCPT TO:<a@partner.example>\n< 250 \n> RCPT TO:<x@refused.example>\n< 250 \n"
            "> RCPT TO:<x@bounce.example>\n< 250 \n> DATA\n< 354 \n> S: x\n> .\n< 250 \n");
    taken = take(arena);
    assert_int_equal(taken.count, 3);
    assert_span(taken.deliveries[0].rule, "all");
    assert_span(taken.deliveries[1].rule, "no such patient");
    assert_span(taken.deliveries[1].ladder, "{ return }");
    assert_int_equal(taken.deliveries[1].state, DELIVERY_WAITING);
    assert_span(taken.deliveries[2].rule, "bounce");
    assert_span(taken.deliveries[2].ladder, "{ return }");
}

static void texts_are_sealed(void **state)
{
    scoped(arena) arena = arena_new_secret("test", MIB(8));
    scoped_buffer plain;
    struct taken taken;
    struct facts facts;
    struct key record;
    struct policy *policy = policy_slot_get(house.slot);
    struct error why;

    (void)state;
    buffer_init(&plain, KIB(16));
    play_at(
        DOOR_SUBMISSIONS, 9,
        "tls\n" HELLO "> MAIL FROM:<nurse@clinic.example>\n< 250 \n"
        "> RCPT TO:<a@partner.example>\n< 250 \n> DATA\n< 354 \n> Subject: canary\n> .\n< 250 \n");
    taken = take(arena);
    memcpy(record.bytes, taken.fresh.keys + KEY_BYTES, sizeof record.bytes);
    assert_false(has(taken.message.sender, "nurse"));
    assert_true(
        text_open(&record, taken.fresh.id, TEXT_SENDER, taken.message.sender, &plain, &why));
    assert_span(buffer_span(&plain), "nurse@clinic.example");
    buffer_truncate(&plain, 0);
    assert_true(text_open(&record, taken.fresh.id, TEXT_RECIPIENT, taken.deliveries[0].recipient,
                          &plain, &why));
    assert_span(buffer_span(&plain), "a@partner.example");
    buffer_truncate(&plain, 0);
    assert_true(text_open(&record, taken.fresh.id, TEXT_FACTS, taken.message.facts, &plain, &why));
    assert_true(facts_parse(buffer_span(&plain), policy, &facts, &why));
    assert_span(facts.subject, "canary");
    assert_span(facts.from.local, "nurse");
    assert_int_equal(facts.recipients, 1);
    policy_free(policy);
}

/* ---- trouble of our own ---- */

static void a_commit_that_fails_is_no_250(void **state)
{
    struct rlimit before, none;
    uint64_t messages = house_messages();
    scoped(stream) client = house_connect(DOOR_MX, 9);

    (void)state;
    play(client, HELLO "> MAIL FROM:<a@partner.example>\n< 250 \n"
                       "> RCPT TO:<nurse@clinic.example>\n< 250 \n"
                       ">> BDAT 6\\r\\nS: x\\r\\nBDAT 2\\r\\n\\r\\n\n< 250 2.0.0\n< 250 2.0.0\n");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 1;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    play(client, ">> BDAT 2 LAST\\r\\nhi\n> NOOP\n< 451 4.3.0\n< 250 \n");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    play(client,
         "> MAIL FROM:<a@partner.example>\n< 250 \n> RCPT TO:<nurse@clinic.example>\n< 250 \n"
         "> DATA\n< 354 \n> S: y\n> .\n< 250 2.0.0\n> QUIT\n< 221 \neof\n");
    assert_int_equal(house_messages() - messages, 1);
}

/* The end of data without an allocation of the client's own, which would fail in the server's
 * place. */
static char answer_to_dot(struct stream *client)
{
    int fd = stream_descriptor(client);
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char reply[512];

    assert_int_equal(send(fd, ".\r\n", 3, MSG_NOSIGNAL), 3);
    assert_int_equal(poll(&readable, 1, 20000), 1);
    assert_true(recv(fd, reply, sizeof reply, 0) > 4);
    return reply[0];
}

static void memory_that_is_out_is_a_4xx_and_nothing_is_half_kept(void **state)
{
    unsigned refused = 0;

    (void)state;
    for (unsigned n = 1; n <= 60; n++) {
        scoped(stream) client = house_connect(DOOR_MX, 9);
        uint64_t messages = house_messages_now();
        char first;

        play(client, HELLO "> MAIL FROM:<a@partner.example>\n< 250 \n"
                           "> RCPT TO:<nurse@clinic.example>\n< 250 \n> DATA\n< 354 \n> S: x\n");
        memory_fail_after(n);
        first = answer_to_dot(client);
        memory_fail_after(0);
        assert_true(first == '2' || first == '4');
        refused += first == '4';
        assert_int_equal(house_messages_now() - messages, first == '2');
        play(client, "> NOOP\n< 250 \n> QUIT\n< 221 \neof\n");
    }
    assert_true(refused > 0);
}

static int drain(void **state)
{
    scoped(arena) arena = arena_new_secret("test", MIB(64));

    (void)state;
    while (house_take(arena).body.data)
        ;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealed_body_opens_to_the_same_bytes),
        cmocka_unit_test(received_tells_who_and_how),
        cmocka_unit_test(submission_adds_what_is_missing_and_hides_bcc),
        cmocka_unit_test_setup(delivery_inwards_takes_the_route, drain),
        cmocka_unit_test_setup(the_same_recipient_gets_one_copy, drain),
        cmocka_unit_test_setup(postmasters_are_one, drain),
        cmocka_unit_test_setup(each_organisation_has_a_message_of_its_own, drain),
        cmocka_unit_test_setup(held_mail_waits_on_a_ladder_that_holds, drain),
        cmocka_unit_test_setup(some_refused_get_their_mail_back, drain),
        cmocka_unit_test_setup(texts_are_sealed, drain),
        cmocka_unit_test_setup(a_commit_that_fails_is_no_250, drain),
        cmocka_unit_test_setup(memory_that_is_out_is_a_4xx_and_nothing_is_half_kept, drain),
    };
    int failures;

    house_open(NULL, true);
    failures = run_table("bytes", bytes_cases, bytes_pass_whole) +
               cmocka_run_group_tests(tests, NULL, NULL);
    house_close();
    return failures;
}
