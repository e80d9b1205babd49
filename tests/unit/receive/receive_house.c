/* The receiving half of a gateway, built up and torn down for tests. */
/* SPDX-License-Identifier: ISC */
#include "receive_house.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/wire.h"
#include "rooms_house.h"
#include "tls_lab.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

struct house house;

static const char policy_text[] =
    "hostname \"mx.clinic.example\" state \"/s\" certificate \"c\" key \"k\"\n"
    "master key passphrase listen smtp port 25\n"
    "largest message 1 MB\n"
    "administrator \"postmaster@clinic.example\"\n"
    "domains \"gateway.example\"\n"
    "refuse \"no such patient\" when to \"refused.example\"\n"
    "send \"gateway mail\" by { tls verify }\n"
    "organisation \"Clinic\" {\n"
    "  domains \"clinic.example\", \"noroute.example\"\n"
    "  route \"clinic.example\" to lmtp \"unix:/run/lmtp\"\n"
    "  refuse \"no such patient\" when to \"refused.example\"\n"
    "  refuse \"wörds\" when subject has \"[refuse]\"\n"
    "  hold \"look at it\" when subject has \"[hold]\" for 30 days\n"
    "  send \"bounce\" when to \"bounce.example\" by { return }\n"
    "  send \"all\" by { tls verify for 4 hours, hold }\n"
    "}\n"
    "organisation \"Ward\" {\n"
    "  domains \"ward.example\"\n"
    "  route \"ward.example\" to lmtp \"127.0.0.1 port 24\"\n"
    "  send \"all\" by { tls verify }\n"
    "}\n";

static struct {
    char directory[DIRECTORY_SIZE];
    struct lab_certificate authority, server, client;
    struct tls_key *server_key, *client_key;
    struct tls_server *tls;
    struct tls_client *as_anybody, *as_known;
    struct handover *producer;
    struct keeper_house keeper;
    struct listener how[DOOR_COUNT];
    int listening[DOOR_COUNT];
    char fingerprint[80];
    struct span certificate_names[1];
    struct receive_terms terms;
} rooms;

static const struct span loopback = SPAN_LITERAL("127.0.0.0/8");
static const struct span neighbour = SPAN_LITERAL("127.0.0.2");
static const struct span nowhere = SPAN_LITERAL("192.0.2.0/24");

static void swallow_log(void *self, struct span line)
{
    (void)self, (void)line;
}

/* ---- TLS ---- */

static struct lab_certificate make_lab(const char *names, const struct lab_certificate *issuer)
{
    return lab_make(
        (struct lab_wish){.names = names, .issuer = issuer, .is_authority = issuer == NULL});
}

static void make_tls(void)
{
    struct tls_server_terms terms = {.asks_client_certificate = true};
    struct tls_signer signer = {.sign = tls_key_sign};
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
    struct error why;

    rooms.authority = make_lab(NULL, NULL);
    rooms.server = make_lab("DNS:mx.clinic.example", &rooms.authority);
    rooms.client = make_lab("DNS:ehr.clinic.example", &rooms.authority);
    assert_true(tls_key_parse(span_of(rooms.server.key_pem), &rooms.server_key, &why));
    assert_true(tls_key_parse(span_of(rooms.client.key_pem), &rooms.client_key, &why));
    terms.certificate_pem = span_of(rooms.server.pem);
    terms.client_roots_pem = span_of(rooms.authority.pem);
    terms.signer = (struct tls_signer){.sign = tls_key_sign, .self = rooms.server_key};
    assert_true(tls_server_new(&terms, &rooms.tls, &why));
    signer.self = rooms.client_key;
    assert_true(
        tls_client_new(span_of(rooms.authority.pem), span_of(""), NULL, &rooms.as_anybody, &why));
    assert_true(tls_client_new(span_of(rooms.authority.pem), span_of(rooms.client.pem), &signer,
                               &rooms.as_known, &why));
    assert_true(tls_fingerprint(span_of(rooms.client.pem), fingerprint, &why));
    memcpy(rooms.fingerprint, "sha256:", 7);
    hex_print(fingerprint, sizeof fingerprint, rooms.fingerprint + 7);
}

/* ---- listeners ---- */

static void listen_at(enum door door)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 512), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    house.ports[door] = ntohs(address.sin_port);
    rooms.listening[door] = fd;
}

static void set_doors(struct receive_listener listeners[static DOOR_COUNT])
{
    rooms.certificate_names[0] = span_of(rooms.fingerprint);
    rooms.how[DOOR_MX] = (struct listener){.kind = LISTENER_SMTP};
    rooms.how[DOOR_MX_PLAIN] = (struct listener){.kind = LISTENER_SMTP};
    rooms.how[DOOR_MX_TRUSTING] = (struct listener){
        .kind = LISTENER_SMTP, .trust = TRUST_NETWORK, .trusted = &neighbour, .trusted_count = 1};
    rooms.how[DOOR_SUBMISSION] = (struct listener){.kind = LISTENER_SUBMISSION,
                                                   .trust = TRUST_NETWORK,
                                                   .trusted = &loopback,
                                                   .trusted_count = 1};
    rooms.how[DOOR_SUBMISSIONS] = rooms.how[DOOR_SUBMISSION];
    rooms.how[DOOR_SUBMISSIONS].kind = LISTENER_SUBMISSIONS;
    rooms.how[DOOR_STRANGE] = rooms.how[DOOR_SUBMISSION];
    rooms.how[DOOR_STRANGE].trusted = &nowhere;
    rooms.how[DOOR_RELAY] = (struct listener){.kind = LISTENER_RELAY,
                                              .trust = TRUST_CERTIFICATE,
                                              .trusted = rooms.certificate_names,
                                              .trusted_count = 1};
    for (enum door door = 0; door < DOOR_COUNT; door++) {
        listen_at(door);
        listeners[door] = (struct receive_listener){
            .fd = rooms.listening[door],
            .how = &rooms.how[door],
            .tls = door == DOOR_MX_PLAIN ? NULL : rooms.tls,
        };
    }
}

/* ---- all of it ---- */

void house_open(const struct cut *cuts, bool has_deliverer)
{
    static struct receive_listener listeners[DOOR_COUNT];
    struct error why;
    int fd;

    log_divert(swallow_log, NULL);
    memset(&rooms, 0, sizeof rooms);
    memset(&house, 0, sizeof house);
    directory_make("receive", rooms.directory);
    house.slot = slot_of(span_of(policy_text));
    make_tls();
    keeper_house_open(&rooms.keeper, rooms.directory);
    assert_true(store_shared_create(&fd, &why));
    assert_true(store_shared_attach(fd, &house.shared, &why));
    close(fd);
    assert_true(store_open(rooms.directory, STORE_READ_WRITE, house.shared, &clock_of_system,
                           &entropy_of_system, &house.store, &why));
    assert_true(handover_create(&fd, &why));
    if (has_deliverer)
        assert_true(handover_attach(fd, HANDOVER_CONSUMER, &house.consumer, &why));
    assert_true(handover_attach(fd, HANDOVER_PRODUCER, &rooms.producer, &why));
    close(fd);
    set_doors(listeners);
    rooms.terms = (struct receive_terms){
        .listeners = listeners,
        .listener_count = DOOR_COUNT,
        .policy = house.slot,
        .store = house.store,
        .shared = house.shared,
        .handover = rooms.producer,
        .keeper = rooms.keeper.clients[KEEPER_PEER_RECEIVE],
        .clock = &clock_of_system,
        .entropy = &entropy_of_system,
    };
    receive_limits_default(&rooms.terms.limits);
    for (; cuts && cuts->name; cuts++)
        assert_true(receive_limits_set(&rooms.terms.limits, span_of(cuts->name), cuts->value));
    assert_true(receive_start(&rooms.terms, &house.receive, &why));
}

void house_stop(int64_t grace_ms)
{
    receive_stop(house.receive, deadline_in_ms(grace_ms));
}

void house_close(void)
{
    receive_free(house.receive);
    store_close(house.store);
    keeper_house_close(&rooms.keeper);
    handover_free(house.consumer);
    handover_free(rooms.producer);
    store_shared_free(house.shared);
    policy_slot_free(house.slot);
    for (enum door door = 0; door < DOOR_COUNT; door++)
        close(rooms.listening[door]);
    tls_client_free(rooms.as_anybody);
    tls_client_free(rooms.as_known);
    tls_server_free(rooms.tls);
    tls_key_free(rooms.server_key);
    tls_key_free(rooms.client_key);
    lab_forget(&rooms.authority);
    lab_forget(&rooms.server);
    lab_forget(&rooms.client);
    directory_remove(rooms.directory);
    log_divert(NULL, NULL);
}

/* ---- clients ---- */

enum { PATIENCE_MS = 20000 };

struct stream *house_connect(enum door door, unsigned host)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(house.ports[door])};
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct stream *client = NULL;
    struct error why;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_addr.s_addr = htonl((INADDR_LOOPBACK & 0xffffff00U) | host);
    assert_true(stream_connect((struct sockaddr *)&to, sizeof to, (struct sockaddr *)&from,
                               sizeof from, deadline_in_ms(PATIENCE_MS), &client, &why));
    return client;
}

bool house_start_tls(struct stream *client, bool with_certificate)
{
    const struct tls_check check = {.server_name = SPAN_LITERAL("mx.clinic.example")};
    struct error why;

    return stream_start_tls_client(client, with_certificate ? rooms.as_known : rooms.as_anybody,
                                   &check, deadline_in_ms(PATIENCE_MS), &why);
}

/* ---- scripts ---- */

static void put_escaped(struct buffer *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i], byte;

        if (c == '\\' && i + 1 < text.len) {
            c = text.data[++i];
            c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : c;
            if (c == 'x' && i + 2 < text.len &&
                hex_parse(span_make(text.data + i + 1, 2), &byte, 1)) {
                c = byte;
                i += 2;
            }
        }
        buffer_append_byte(out, c);
    }
}

static void send_out(struct stream *client, struct buffer *out)
{
    struct error why;
    bool is_sent = stream_write(client, buffer_span(out), deadline_in_ms(PATIENCE_MS), &why) &&
                   stream_flush(client, deadline_in_ms(PATIENCE_MS), &why);

    if (!is_sent)
        print_error("a write failed: %s\n", why.text);
    assert_true(is_sent);
    buffer_truncate(out, 0);
}

static void expect_reply(struct stream *client, struct span wanted)
{
    struct span line = {"", 0};
    struct error why = {.text = ""};
    bool is_here;

    do
        is_here = stream_read_line(client, deadline_in_ms(PATIENCE_MS), &line, &why);
    while (is_here && line.len > 3 && line.data[3] == '-');
    if (!is_here || !span_starts_with(line, wanted)) {
        print_error("wanted: %.*s\n   got: %.*s %s\n", SPAN_ARGS(wanted), SPAN_ARGS(line),
                    why.text);
        fail();
    }
}

static void expect_end(struct stream *client)
{
    struct span bytes = {"", 0};
    struct error why;
    bool is_here = stream_peek(client, deadline_in_ms(PATIENCE_MS), &bytes, &why);

    if (is_here && bytes.len > 0)
        print_error("said beyond its end: %.*s\n", SPAN_ARGS(bytes));
    assert_false(is_here && bytes.len > 0);
    assert_true(stream_is_over(client));
}

static void expect_no_more(struct stream *client)
{
    struct deadline until = deadline_in_ms(PATIENCE_MS);
    struct span bytes = {"", 0};
    struct error why;

    while (stream_peek(client, until, &bytes, &why) && bytes.len > 0)
        stream_consume(client, bytes.len);
    assert_true(stream_is_over(client));
}

void play(struct stream *client, const char *script)
{
    struct span rest = span_of(script), step;
    scoped_buffer out;

    buffer_init(&out, MIB(64));
    while (rest.len > 0) {
        (void)span_split(rest, '\n', &step, &rest);
        if (span_starts_with(step, SPAN_LITERAL(">> "))) {
            put_escaped(&out, span_from(step, 3));
            continue;
        }
        if (span_starts_with(step, SPAN_LITERAL(">"))) {
            put_escaped(&out, span_from(step, 2));
            buffer_append(&out, SPAN_LITERAL("\r\n"));
            continue;
        }
        if (out.len > 0)
            send_out(client, &out);
        if (span_starts_with(step, SPAN_LITERAL("< ")))
            expect_reply(client, span_from(step, 2));
        else if (span_equal(step, SPAN_LITERAL("tls")))
            assert_true(house_start_tls(client, false));
        else if (span_equal(step, SPAN_LITERAL("tls certificate")))
            assert_true(house_start_tls(client, true));
        else if (span_equal(step, SPAN_LITERAL("shut")))
            shutdown(stream_descriptor(client), SHUT_WR);
        else if (span_equal(step, SPAN_LITERAL("eof")))
            expect_end(client);
        else if (span_equal(step, SPAN_LITERAL("gone")))
            expect_no_more(client);
        else if (step.len > 0)
            fail_msg("no such step: %.*s", SPAN_ARGS(step));
    }
    if (out.len > 0)
        send_out(client, &out);
}

void play_at(enum door door, unsigned host, const char *script)
{
    scoped(stream) client = house_connect(door, host);

    play(client, script);
}

/* ---- what became of it ---- */

void house_settle(void)
{
    struct deadline until = deadline_in_ms(PATIENCE_MS);
    unsigned left;

    do {
        pthread_mutex_lock(&house.receive->lock);
        left = house.receive->sessions + house.receive->refusals_posted;
        pthread_mutex_unlock(&house.receive->lock);
        if (left > 0)
            poll(NULL, 0, 1);
        assert_false(deadline_is_over(until));
    } while (left > 0);
}

struct leaf_search {
    enum event_kind kind;
    size_t count;
    struct arena *arena;
    struct span detail;
};

static bool count_leaf(void *self, const struct store_journal_row *row)
{
    struct leaf_search *search = self;

    if (row->leaf.kind != search->kind)
        return true;
    search->count++;
    if (search->arena)
        search->detail = arena_copy(search->arena, row->leaf.detail);
    return true;
}

size_t house_leaves(enum event_kind kind)
{
    struct leaf_search search = {.kind = kind};
    struct error why;

    house_settle();
    assert_true(store_each_leaf(house.store, 0, count_leaf, &search, &why));
    return search.count;
}

void assert_last_leaf(enum event_kind kind, enum event_field_id field, const char *text)
{
    scoped(arena) arena = arena_new("test", MIB(8));
    struct leaf_search search = {.kind = kind, .arena = arena};
    struct event_field *fields;
    const struct event_field *found;
    size_t count;
    struct error why;
    char shown[256];

    house_settle();
    assert_true(store_each_leaf(house.store, 0, count_leaf, &search, &why));
    assert_true(search.count > 0);
    assert_true(event_parse(search.detail, arena, &fields, &count, &why));
    found = event_field_find(fields, count, field);
    assert_non_null(found);
    if (event_field_is_number(field))
        snprintf(shown, sizeof shown, "%llu", (unsigned long long)found->number);
    else
        snprintf(shown, sizeof shown, "%.*s", (int)found->text.len, found->text.data);
    assert_string_equal(shown, text);
}

uint64_t house_messages_now(void)
{
    struct store_counts counts;
    struct error why;

    assert_true(store_count(house.store, &counts, &why));
    return counts.messages;
}

uint64_t house_messages(void)
{
    house_settle();
    return house_messages_now();
}

struct fresh_message house_take(struct arena *arena)
{
    struct fresh_message fresh;

    if (!handover_take(house.consumer, arena, &fresh))
        return (struct fresh_message){.body = {NULL, 0}};
    return fresh;
}
