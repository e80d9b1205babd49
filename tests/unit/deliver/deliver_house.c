/* The delivering half of a gateway, built up and torn down for tests. */
/* SPDX-License-Identifier: ISC */
#include "deliver_house.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "dns_lab.h"
#include "peer.h"
#include "rooms_house.h"
#include "tls_lab.h"

#include <sqlite3.h>
#include <sys/socket.h>

struct house house;

enum { WAIT_ROUNDS = 4000, WAIT_MS = 5 };

static const struct lab_record zone[] = {
    {"r.example", LAB_MX, "20 mx2.r.example"},
    {"r.example", LAB_MX, "10 mx1.r.example"},
    {"mx1.r.example", LAB_A, "127.0.0.11"},
    {"mx2.r.example", LAB_A, "127.0.0.12"},
    {"one.example", LAB_MX, "10 mx1.r.example"},
    {"plain.example", LAB_MX, "10 mx1.r.example"},
    {"d2.example", LAB_A, "127.0.0.11"},
    {"null.example", LAB_MX, "0 ."},
    {"null.example", LAB_A, "127.0.0.11"},
    {"loop.example", LAB_MX, "10 localhost"},
    {"self.example", LAB_MX, "10 mx.clinic.example"},
    {"mx.clinic.example", LAB_A, "127.0.0.11"},
    {"own.example", LAB_MX, "10 host.own.example"},
    {"host.own.example", LAB_A, "127.0.0.30"},
    {"zero.example", LAB_MX, "10 z.zero.example"},
    {"z.zero.example", LAB_A, "0.0.0.0"},
    {"z.zero.example", LAB_AAAA, "::"},
    {"private.example", LAB_MX, "10 p.private.example"},
    {"p.private.example", LAB_A, "10.0.0.1"},
    {"busy.example", LAB_MX, "10 mx1.r.example"},
    {"busy.example", LAB_MX, "20 localhost"},
    {"evil.example", LAB_MX, "10 mx2.r.example"},
    {"gone.example", LAB_MX, "10 gone.gone.example"},
    {"gone.example", LAB_MX, "20 mx2.r.example"},
    {"six.example", LAB_MX, "10 six.r.example"},
    {"six.r.example", LAB_AAAA, "fe80::1"},
    {"six.r.example", LAB_AAAA, "100::1"},
    {"six.r.example", LAB_A, "127.0.0.11"},
    {"silent.example", LAB_A, "127.0.0.11"},
    {"broken.example", LAB_A, "127.0.0.11"},
};
static const struct lab_rule questions[] = {
    {"silent.example", LAB_MX, LAB_SILENCE, 0},
    {"broken.example", LAB_MX, LAB_RCODE, 2},
    {"nx.example", 0, LAB_RCODE, 3},
};

static struct {
    char directory[DIRECTORY_SIZE];
    struct lab_certificate authority, good, strange;
    struct tls_key *good_key, *strange_key;
    struct tls_server *good_tls, *strange_tls;
    struct tls_client *client;
    struct lab_server dns;
    struct resolver *resolver;
    struct policy_slot *slot;
    struct keeper_house keeper;
    struct store_shared *shared;
    struct handover *producer, *consumer;
    struct deliver_limits limits;
    uint16_t port;
} rooms;

static void swallow_log(void *self, struct span line)
{
    (void)self;
    if (getenv("SHOW_LOG"))
        fprintf(stderr, "%.*s", (int)line.len, line.data);
}

static void load_policy(void)
{
    scoped(arena) arena = arena_new("test", MIB(4));
    struct span text =
        arena_format(arena,
                     "hostname \"mx.clinic.example\" state \"/s\" certificate \"c\" key \"k\"\n"
                     "master key passphrase listen smtp port %u on \"127.0.0.30\"\n"
                     "laboratory \"127.0.0.0/8\" port %u\n"
                     "domains \"clinic.example\", \"socket.example\"\n"
                     "route \"clinic.example\" to lmtp \"127.0.0.19 port %u\"\n"
                     "route \"socket.example\" to lmtp \"unix:%s/lmtp\"\n"
                     "permit cleartext to \"plain.example\"\n"
                     "send \"all\" by { tls verify, return }\n",
                     rooms.port, rooms.port, rooms.port, rooms.directory);

    rooms.slot = slot_of(text);
}

static struct tls_server *serve_with(const struct lab_certificate *certificate,
                                     struct tls_key **key)
{
    struct tls_server_terms terms = {.certificate_pem = span_of(certificate->pem)};
    struct tls_server *server;
    struct error why;

    assert_true(tls_key_parse(span_of(certificate->key_pem), key, &why));
    terms.signer = (struct tls_signer){.sign = tls_key_sign, .self = *key};
    assert_true(tls_server_new(&terms, &server, &why));
    return server;
}

/* Certificates are dear: made once for all tests of a program. */
static void make_tls(void)
{
    static const char names[] = "DNS:mx1.r.example,DNS:mx2.r.example,DNS:d2.example";
    struct error why;

    if (rooms.client)
        return;
    rooms.authority = lab_make((struct lab_wish){.is_authority = true});
    rooms.good = lab_make((struct lab_wish){.names = names, .issuer = &rooms.authority});
    rooms.strange = lab_make((struct lab_wish){.names = names});
    rooms.good_tls = serve_with(&rooms.good, &rooms.good_key);
    rooms.strange_tls = serve_with(&rooms.strange, &rooms.strange_key);
    assert_true(
        tls_client_new(span_of(rooms.authority.pem), span_of(""), NULL, &rooms.client, &why));
}

static void cut_limits(const struct plan *plan)
{
    static const struct limit_cut usual[] = {
        {"connect_timeout_ms", 2000}, {"greeting_timeout_ms", 2000},
        {"command_timeout_ms", 2000}, {"data_timeout_ms", 2000},
        {"final_timeout_ms", 3000},   {"handshake_timeout_ms", 2000},
        {"idle_session_ms", 300},     {"workers_max", 8},
    };

    deliver_limits_default(&rooms.limits);
    for (size_t i = 0; i < COUNT(usual); i++)
        assert_true(deliver_limits_set(&rooms.limits, span_of(usual[i].name), usual[i].value));
    for (size_t i = 0; i < plan->limit_count; i++)
        assert_true(deliver_limits_set(&rooms.limits, span_of(plan->limits[i].name),
                                       plan->limits[i].value));
}

void house_open(const struct plan *plan)
{
    struct resolver_terms dns = {.forward_address = SPAN_LITERAL("127.0.0.1"), .timeout_ms = 1000};
    struct error why;
    int fd;

    log_divert(swallow_log, NULL);
    make_tls();
    directory_make("deliver", rooms.directory);
    house.directory = rooms.directory;
    rooms.port = 0;
    peers_start(plan->peers, plan->peer_count, &rooms.port, rooms.good_tls, rooms.strange_tls);
    if (rooms.port == 0)
        rooms.port = 2525;
    load_policy();
    rooms.dns = (struct lab_server){.rules = questions,
                                    .rule_count = COUNT(questions),
                                    .records = zone,
                                    .record_count = COUNT(zone)};
    lab_server_start(&rooms.dns);
    dns.forward_port = rooms.dns.port;
    assert_true(resolver_new(&dns, &rooms.resolver, &why));
    keeper_house_open(&rooms.keeper, rooms.directory);
    assert_true(store_shared_create(&fd, &why));
    assert_true(store_shared_attach(fd, &rooms.shared, &why));
    close(fd);
    assert_true(store_open(rooms.directory, STORE_READ_WRITE, rooms.shared, &clock_of_system,
                           &entropy_of_system, &house.store, &why));
    assert_true(handover_create(&fd, &why));
    assert_true(handover_attach(fd, HANDOVER_PRODUCER, &rooms.producer, &why));
    assert_true(handover_attach(fd, HANDOVER_CONSUMER, &rooms.consumer, &why));
    close(fd);
    cut_limits(plan);
    if (!plan->is_idle)
        house_start();
}

void house_start(void)
{
    struct deliver_terms terms = {.policy = rooms.slot,
                                  .store = house.store,
                                  .shared = rooms.shared,
                                  .handover = rooms.consumer,
                                  .keeper = rooms.keeper.clients[KEEPER_PEER_DELIVER],
                                  .resolver = rooms.resolver,
                                  .tls = rooms.client,
                                  .clock = &clock_of_system,
                                  .entropy = &entropy_of_system,
                                  .limits = rooms.limits};
    struct error why;

    assert_true(deliver_start(&terms, &house.deliver, &why));
}

void house_stop(void)
{
    deliver_stop(house.deliver, deadline_in_ms(500));
    deliver_free(house.deliver);
    house.deliver = NULL;
}

void house_close(void)
{
    if (house.deliver)
        house_stop();
    peers_stop();
    store_close(house.store);
    handover_free(rooms.producer);
    handover_free(rooms.consumer);
    store_shared_free(rooms.shared);
    keeper_house_close(&rooms.keeper);
    resolver_free(rooms.resolver);
    lab_server_stop(&rooms.dns);
    policy_slot_free(rooms.slot);
    directory_remove(rooms.directory);
    log_divert(NULL, NULL);
}

/* ---- accepting ---- */

struct acceptance {
    const struct letter_plan *plan;
    struct arena *arena;
    struct id id;
    int64_t now_ms;
    struct key_pair pair;
    struct span sender, body;
    struct ladder ladder;
    struct span ladder_text;
    const struct policy *policy;
    struct store_delivery deliveries[120];
    struct fresh_delivery fresh[120];
    struct store_leaf leaves[121];
    size_t count;
    uint64_t lease;
    size_t reserved;
};

static struct span seal(struct acceptance *a, const char *what, struct span plain)
{
    scoped_buffer out;

    buffer_init(&out, KIB(16));
    assert_true(text_seal(&a->pair.keys.record, a->id, what, plain, &entropy_of_system, &out));
    return arena_copy(a->arena, buffer_span(&out));
}

static void add_delivery(struct acceptance *a, const char *recipient)
{
    struct store_delivery *delivery = &a->deliveries[a->count];
    struct step step = ladder_begin(&a->ladder, a->now_ms);
    struct binding binding = {.message = a->id,
                              .delivery = (uint32_t)a->count + 1,
                              .organisation = SPAN_LITERAL(""),
                              .ladder = a->ladder_text};
    struct address address;
    const struct route *route;
    struct error why;

    assert_true(address_parse(span_of(recipient), a->arena, &address, &why));
    route = policy_route(a->policy, &address);
    binding.recipient = address_print(&address, a->arena);
    *delivery = (struct store_delivery){
        .number = (uint32_t)a->count + 1,
        .state = step.kind == STEP_HOLD || a->plan->is_held ? DELIVERY_HELD : DELIVERY_WAITING,
        .destination =
            !route ? address.domain
            : route->is_unix
                ? arena_format(a->arena, "route:unix:%.*s", SPAN_ARGS(route->host))
                : arena_format(a->arena, "route:%.*s:%u", SPAN_ARGS(route->host), route->port),
        .recipient = seal(a, TEXT_RECIPIENT, binding.recipient),
        .ladder = a->ladder_text,
        .rule = SPAN_LITERAL("all"),
        .rung = (uint32_t)step.rung,
        .rung_since_ms = a->now_ms,
        .due_at_ms = a->now_ms + (a->lease ? 120000 : 0),
        .ends_at_ms = a->plan->ends_in_ms ? clock_wall_ms(&clock_of_system) + a->plan->ends_in_ms
                                          : step.rung_ends_at_ms,
        .lease = a->lease,
    };
    memcpy(binding.policy_digest, policy_digest(a->policy), POLICY_DIGEST_SIZE);
    memcpy(delivery->policy_digest, binding.policy_digest, POLICY_DIGEST_SIZE);
    binding_tag(&a->pair.keys.content, &binding, delivery->tag);
    a->fresh[a->count] = (struct fresh_delivery){.number = delivery->number,
                                                 .recipient = binding.recipient,
                                                 .destination = delivery->destination,
                                                 .ladder = a->ladder_text};
    const struct event_field fields[] = {EVENT_NUMBER(FIELD_STATE, delivery->state),
                                         EVENT_NUMBER(FIELD_RUNG, delivery->rung)};
    assert_true(event_leaf(EVENT_DELIVERY_DECIDED, a->id, delivery->number, SPAN_LITERAL(""),
                           a->now_ms, fields, COUNT(fields), a->arena, &a->leaves[a->count + 1]));
    a->count++;
}

static void seal_body(struct acceptance *a, struct span *chunks, size_t *count)
{
    struct content_cipher *cipher = content_cipher_new(&a->pair.keys.content, a->id);

    *count = a->body.len > SEAL_CHUNK_BYTES ? (a->body.len - 1) / SEAL_CHUNK_BYTES + 1 : 1;
    for (size_t i = 0; i < *count; i++) {
        struct span plain = span_until(span_from(a->body, i * SEAL_CHUNK_BYTES), SEAL_CHUNK_BYTES);
        scoped_buffer out;

        buffer_init(&out, KIB(80));
        assert_true(content_seal(cipher, (uint32_t)i, i + 1 == *count, &plain, 1, &out));
        chunks[i] = arena_copy(a->arena, buffer_span(&out));
    }
    content_cipher_free(cipher);
}

static void commit(struct acceptance *a)
{
    struct span chunks[64];
    struct store_change change = {.kind = STORE_ACCEPT};
    struct store_batch batch = {.changes = &change, .count = 1};
    bool has_8bit = false;
    struct error why;

    for (size_t i = 0; i < a->body.len; i++)
        has_8bit = has_8bit || (unsigned char)a->body.data[i] > 127;
    seal_body(a, chunks, &change.accept.body_count);
    change.accept.body = chunks;
    change.accept.deliveries = a->deliveries;
    change.accept.delivery_count = a->count;
    change.accept.message = (struct store_message){
        .id = a->id,
        .organisation = SPAN_LITERAL(""),
        .accepted_at_ms = a->now_ms,
        .size = a->body.len,
        .has_8bit = has_8bit,
        .is_sender_known = !a->plan->is_stranger,
        .wrapped_content = span_make(a->pair.wrapped.content, WRAPPED_KEY_BYTES),
        .wrapped_record = span_make(a->pair.wrapped.record, WRAPPED_KEY_BYTES),
        .content_day = a->pair.wrapped.content_day,
        .record_day = a->pair.wrapped.record_day,
        .sender = seal(a, TEXT_SENDER, a->sender),
        .facts = seal(a, TEXT_FACTS, SPAN_LITERAL("facts")),
    };
    assert_true(event_leaf(EVENT_MESSAGE_ACCEPTED, a->id, 0, SPAN_LITERAL(""), a->now_ms, NULL, 0,
                           a->arena, &a->leaves[0]));
    change.leaves = a->leaves;
    change.leaf_count = a->count + 1;
    if (!store_commit(house.store, &batch, &why))
        fail_msg("%s", why.text);
    if (a->lease) {
        struct fresh_message fresh = {.id = a->id,
                                      .lease = a->lease,
                                      .organisation = SPAN_LITERAL(""),
                                      .accepted_at_ms = a->now_ms,
                                      .has_8bit = has_8bit,
                                      .is_sender_known = !a->plan->is_stranger,
                                      .sender = a->sender,
                                      .deliveries = a->fresh,
                                      .delivery_count = a->count};

        memcpy(fresh.keys, a->pair.keys.content.bytes, KEY_BYTES);
        memcpy(fresh.keys + KEY_BYTES, a->pair.keys.record.bytes, KEY_BYTES);
        memcpy(fresh.policy_digest, policy_digest(a->policy), POLICY_DIGEST_SIZE);
        handover_publish(rooms.producer, a->reserved, &fresh, &a->body, 1, rooms.shared);
    } else {
        doorbell_ring(rooms.shared, DOORBELL_QUEUE);
    }
}

struct id house_accept(const struct letter_plan *plan)
{
    static const char small[] = "Subject: a letter\r\n\r\nhello\r\n.dot\r\n";
    struct acceptance *a = calloc(1, sizeof *a);
    struct error why;
    struct id id;
    int32_t today = clock_day(clock_wall_ms(&clock_of_system));

    a->plan = plan;
    a->arena = arena_new("acceptance", MIB(64));
    a->id = id = id_make(&clock_of_system, &entropy_of_system);
    a->now_ms = clock_wall_ms(&clock_of_system) - plan->accepted_ago_ms;
    a->policy = policy_slot_get(rooms.slot);
    a->sender = span_of(plan->sender ? plan->sender : "nurse@clinic.example");
    a->body = plan->body.data ? plan->body : span_of(small);
    assert_true(ladder_parse(span_of(plan->ladder), a->arena, &a->ladder, &why));
    a->ladder_text = ladder_print(&a->ladder, a->arena);
    assert_true(keeper_take_pair(rooms.keeper.clients[KEEPER_PEER_RECEIVE], SPAN_LITERAL(""),
                                 today + CONTENT_CLASS_DAYS, today + RECORD_CLASS_DAYS, &a->pair,
                                 &why));
    if (!plan->is_stored_only && !plan->is_held &&
        handover_reserve(rooms.producer, a->body.len, &a->reserved))
        a->lease = handover_lease(rooms.consumer);
    for (size_t i = 0; plan->recipients[i]; i++)
        add_delivery(a, plan->recipients[i]);
    commit(a);
    policy_free((struct policy *)a->policy);
    arena_free(a->arena);
    free(a);
    return id;
}

/* ---- looking ---- */

static enum delivery_state state_of(struct id id, uint32_t number, uint32_t *attempts)
{
    scoped(arena) arena = arena_new("look", MIB(4));
    struct store_message message;
    struct store_delivery *deliveries;
    struct error why;
    size_t count;
    bool found;

    assert_true(
        store_find_message(house.store, id, arena, &found, &message, &deliveries, &count, &why));
    assert_true(found && number <= count);
    *attempts = deliveries[number - 1].attempts;
    return deliveries[number - 1].state;
}

enum delivery_state house_wait(struct id id, uint32_t number, enum delivery_state leaves)
{
    uint32_t attempts;

    for (size_t i = 0; i < WAIT_ROUNDS; i++) {
        enum delivery_state state = state_of(id, number, &attempts);

        if (state != leaves)
            return state;
        poll(NULL, 0, WAIT_MS);
    }
    fail_msg("the delivery stays in state %d", leaves);
    return leaves;
}

void house_expect(struct id id, uint32_t number, enum delivery_state state)
{
    uint32_t attempts;

    for (size_t i = 0; i < WAIT_ROUNDS; i++) {
        if (state_of(id, number, &attempts) == state)
            return;
        poll(NULL, 0, WAIT_MS);
    }
    assert_int_equal(state_of(id, number, &attempts), state);
}

/* The newest leaf of the kind; false: none yet. */
static bool find_leaf(struct id id, uint32_t number, enum event_kind kind, struct arena *arena,
                      struct event_field **fields, size_t *count, size_t *how_many)
{
    struct store_journal_row *rows;
    struct error why;
    size_t row_count;
    bool found = false;

    *how_many = 0;
    assert_true(store_find_journal(house.store, id, arena, &rows, &row_count, &why));
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].leaf.kind == kind && rows[i].leaf.delivery == number) {
            assert_true(event_parse(rows[i].leaf.detail, arena, fields, count, &why));
            (*how_many)++;
            found = true;
        }
    return found;
}

struct span house_leaf(struct id id, uint32_t number, enum event_kind kind,
                       enum event_field_id field, struct arena *arena)
{
    struct event_field *fields;
    size_t count, how_many;
    const struct event_field *found;

    for (size_t i = 0; !find_leaf(id, number, kind, arena, &fields, &count, &how_many); i++) {
        if (i == WAIT_ROUNDS)
            fail_msg("no such leaf comes: %s", event_kind_name((uint16_t)kind));
        poll(NULL, 0, WAIT_MS);
        arena_reset(arena);
    }
    found = event_field_find(fields, count, field);
    if (!found)
        return SPAN_LITERAL("");
    return event_field_is_number(field)
               ? arena_format(arena, "%llu", (unsigned long long)found->number)
               : found->text;
}

size_t house_count_leaves(struct id id, uint32_t number, enum event_kind kind)
{
    scoped(arena) arena = arena_new("leaves", MIB(4));
    struct event_field *fields;
    size_t count, how_many;

    find_leaf(id, number, kind, arena, &fields, &count, &how_many);
    return how_many;
}

void assert_leaf_has(struct id id, uint32_t number, enum event_kind kind, enum event_field_id field,
                     const char *text)
{
    scoped(arena) arena = arena_new("leaf", MIB(4));
    struct span found = house_leaf(id, number, kind, field, arena);

    if (!memmem(found.data, found.len, text, strlen(text)))
        fail_msg("%s has \"%.*s\", not \"%s\"", event_field_name(field), (int)found.len, found.data,
                 text);
}

struct span house_reply(struct id id, uint32_t number, enum event_kind kind, struct arena *arena)
{
    struct span sealed = house_leaf(id, number, kind, FIELD_PEER_REPLY, arena), copy;

    copy = arena_copy(arena, sealed);
    assert_true(copy.len > SEAL_TEXT_OVERHEAD);
    return copy;
}

void house_tamper(const char *sql)
{
    char path[128];
    sqlite3 *database;
    char *problem = NULL;

    snprintf(path, sizeof path, "%s/store.sqlite", rooms.directory);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 5000);
    if (sqlite3_exec(database, sql, NULL, NULL, &problem) != SQLITE_OK)
        fail_msg("%s", problem);
    sqlite3_close(database);
}

static sqlite3 *blocker;

void house_block_store(void)
{
    char path[128];

    snprintf(path, sizeof path, "%s/store.sqlite", rooms.directory);
    assert_int_equal(sqlite3_open(path, &blocker), SQLITE_OK);
    sqlite3_busy_timeout(blocker, 5000);
    assert_int_equal(sqlite3_exec(blocker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

void house_free_store(void)
{
    assert_int_equal(sqlite3_exec(blocker, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(blocker);
}

static int count_row(void *count, int columns, char **values, char **names)
{
    (void)columns, (void)names;
    *(size_t *)count = (size_t)strtoul(values[0], NULL, 10);
    return 0;
}

size_t house_reports(void)
{
    char path[128];
    sqlite3 *database;
    size_t count = 0;

    snprintf(path, sizeof path, "%s/store.sqlite", rooms.directory);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 5000);
    assert_int_equal(sqlite3_exec(database, "SELECT count(*) FROM message WHERE is_report = 1",
                                  count_row, &count, NULL),
                     SQLITE_OK);
    sqlite3_close(database);
    return count;
}
