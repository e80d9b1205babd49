/* From connect to the second EHLO, straight down: what comes out has proven what was demanded. */
/* SPDX-License-Identifier: ISC */
#include "session.h"

#include "base/memory.h"
#include "deliver/limits.h"

#include <assert.h>

struct session {
    struct stream *stream;
    const struct session_terms *terms; /* only while it is opened */
    void (*watch)(void *self, struct stream *stream);
    void *watcher;
    struct arena *arena; /* host, key */
    struct span host, key;
    char address[ADDRESS_TEXT_SIZE];
    const char *mechanism, *level;
    bool is_lmtp, has_equals, is_spoiled;
    unsigned offers;
    uint64_t size_max;
    unsigned messages;
    struct deadline old_at;
};

enum { SESSION_ARENA_MAX = 16 << 10, QUIT_MS = 1000 };

static const struct {
    const char *name;
    enum smtp_offer offer;
} offers[] = {
    {"PIPELINING", OFFER_PIPELINING}, {"8BITMIME", OFFER_8BITMIME}, {"CHUNKING", OFFER_CHUNKING},
    {"STARTTLS", OFFER_STARTTLS},     {"SIZE", OFFER_SIZE},
};

static bool read_reply(struct session *s, int timeout_ms, struct smtp_reply *reply,
                       struct arena *arena, struct verdict *end)
{
    struct error why;

    if (smtp_reply_read(s->stream, deadline_in_ms(timeout_ms), reply, &why))
        return true;
    s->is_spoiled = true;
    verdict_of_error(end, &why, OUTCOME_TEMPORARY);
    verdict_quote(end, reply, arena);
    return false;
}

/* What came unasked is the peer's last word at best: the worse of it and the last reply counts, and
 * nothing of it is taken for the answer to what we say next. */
static bool is_silent(struct session *s, struct arena *arena, struct verdict *end)
{
    struct smtp_reply reply;

    if (stream_unread(s->stream) == 0)
        return true;
    s->is_spoiled = true;
    if (!read_reply(s, QUIT_MS, &reply, arena, end))
        return false;
    verdict_set(end, OUTCOME_TEMPORARY, "4.5.0", "%u came unasked", reply.code);
    verdict_quote(end, &reply, arena);
    return false;
}

static bool ask(struct session *s, const char *verb, struct span argument, struct smtp_reply *reply,
                struct arena *arena, struct verdict *end)
{
    struct deadline until = deadline_in_ms(s->terms->limits->command_timeout_ms);
    struct error why;

    if (!is_silent(s, arena, end))
        return false;
    if (!stream_write(s->stream, span_of(verb), until, &why) ||
        (argument.len > 0 && (!stream_write(s->stream, SPAN_LITERAL(" "), until, &why) ||
                              !stream_write(s->stream, argument, until, &why))) ||
        !stream_write(s->stream, SPAN_LITERAL("\r\n"), until, &why) ||
        !stream_flush(s->stream, until, &why)) {
        s->is_spoiled = true;
        return verdict_of_error(end, &why, OUTCOME_TEMPORARY);
    }
    return read_reply(s, s->terms->limits->command_timeout_ms, reply, arena, end);
}

static void note_offer(struct session *s, struct span line)
{
    struct span name, rest;
    unsigned long long size;

    span_split(line, ' ', &name, &rest);
    for (size_t i = 0; i < sizeof offers / sizeof offers[0]; i++)
        if (span_equal_caseless(name, span_of(offers[i].name)))
            s->offers |= offers[i].offer;
    if (span_equal_caseless(name, SPAN_LITERAL("SIZE")) &&
        span_number(span_trim(rest), UINT64_MAX, &size))
        s->size_max = size;
}

/* What was learnt before is forgotten (RFC 3207 section 4.2). */
static void note_offers(struct session *s, const struct smtp_reply *reply)
{
    size_t position = 0;
    struct span line;

    s->offers = 0;
    s->size_max = 0;
    if (!smtp_reply_next(reply, &position, &line)) /* the first line is a greeting */
        return;
    while (smtp_reply_next(reply, &position, &line))
        note_offer(s, line);
}

static bool greet(struct session *s, struct arena *arena, struct verdict *end)
{
    struct smtp_reply reply;

    if (!read_reply(s, s->terms->limits->greeting_timeout_ms, &reply, arena, end)) {
        verdict_within(end, "waiting for the greeting");
        return false;
    }
    if (reply.code == 220)
        return true;
    /* A 5yz here ends this host alone, and may be over tomorrow. */
    verdict_set(end, OUTCOME_TEMPORARY,
                reply.code / 100 == 4 && reply.status[0] != '\0' ? reply.status : "4.3.2",
                "%u as a greeting", reply.code);
    verdict_quote(end, &reply, arena);
    return false;
}

static bool say_ehlo(struct session *s, const struct target *target, bool is_final,
                     struct arena *arena, struct verdict *end)
{
    struct smtp_reply reply;

    if (!ask(s, target->is_lmtp ? "LHLO" : "EHLO", s->terms->our_name, &reply, arena, end))
        return false;
    if (reply.code / 100 == 2) {
        note_offers(s, &reply);
        return true;
    }
    if (reply.code / 100 == 5 && !is_final) { /* HELO is no way round TLS */
        verdict_set(end, OUTCOME_IMPOSSIBLE_FOR_NOW, "5.7.4", "%u to EHLO: it offers no STARTTLS",
                    reply.code);
        verdict_quote(end, &reply, arena);
        return false;
    }
    if (reply.code / 100 == 5 && target->is_lmtp) { /* our own server, or our own settings */
        verdict_set(end, OUTCOME_TEMPORARY, "4.3.5", "%u to LHLO: does it speak LMTP?", reply.code);
        verdict_quote(end, &reply, arena);
        return false;
    }
    if (reply.code / 100 == 5 && target->need == TLS_NEED_NONE && reply.code != 521 &&
        reply.code != 554) {
        if (!ask(s, "HELO", s->terms->our_name, &reply, arena, end))
            return false;
        if (reply.code / 100 == 2) {
            s->offers = 0;
            s->size_max = 0;
            return true;
        }
    }
    verdict_of_reply(end, &reply, SMTP_STEP_EHLO, arena);
    return false;
}

/* Turns the session into a TLS session, as RFC 3207 section 4 says. */
static bool start_tls(struct session *s, const struct target *target, struct arena *arena,
                      struct verdict *end)
{
    struct tls_check check = {.server_name = target->server_name,
                              .demands_certificate = target->need == TLS_NEED_NAMED,
                              .names = target->names,
                              .name_count = target->name_count};
    struct smtp_reply reply;
    struct error why;

    if (!(s->offers & OFFER_STARTTLS))
        return verdict_set(end, OUTCOME_IMPOSSIBLE_FOR_NOW, "5.7.4", "it offers no STARTTLS");
    if (!ask(s, "STARTTLS", (struct span){0}, &reply, arena, end))
        return false;
    if (reply.code != 220) {
        bool is_temporary = reply.code / 100 == 4;

        verdict_set(end, is_temporary ? OUTCOME_TEMPORARY : OUTCOME_IMPOSSIBLE_FOR_NOW,
                    is_temporary ? "4.7.4" : "5.7.4",
                    is_temporary ? "it has no TLS just now (%u)" : "it refused STARTTLS (%u)",
                    reply.code);
        verdict_quote(end, &reply, arena);
        return false;
    }
    /* Bytes that came before the handshake may be anybody's: never read them as the peer's. */
    if (stream_unread(s->stream) > 0) {
        s->is_spoiled = true;
        return verdict_set(end, OUTCOME_TEMPORARY, "4.7.5",
                           "spoke before TLS began: somebody may be tampering with the line");
    }
    if (!stream_start_tls_client(s->stream, s->terms->tls, &check,
                                 deadline_in_ms(s->terms->limits->handshake_timeout_ms), &why)) {
        s->is_spoiled = true;
        if (why.kind == ERROR_INTERNAL) /* memory is out: no reason to hold anything */
            why.kind = ERROR_TEMPORARY;
        return verdict_of_error(end, &why, OUTCOME_IMPOSSIBLE_FOR_NOW);
    }
    return true;
}

/* What the session is, against what was demanded of it: the last gate before it may exist. */
static bool has_proven(const struct session *s, const struct target *target, struct verdict *end)
{
    const struct tls_proof *proof;

    if (target->need == TLS_NEED_NONE)
        return true;
    if (!stream_is_tls(s->stream))
        return verdict_set(end, OUTCOME_INTERNAL, "4.3.5", "a session without the TLS it needs");
    proof = stream_proof(s->stream);
    if (target->need == TLS_NEED_NAMED &&
        (!proof->has_certificate || !proof->is_chain_verified || proof->verified_name[0] == '\0'))
        return verdict_set(end, OUTCOME_IMPOSSIBLE_FOR_NOW, "5.7.5",
                           "its certificate was not verified");
    return true;
}

static bool talk(struct session *s, const struct target *target, struct arena *arena,
                 struct verdict *end, bool *is_dead)
{
    bool wants_tls = target->need != TLS_NEED_NONE;

    if (!greet(s, arena, end)) {
        *is_dead = true;
        return false;
    }
    if (!say_ehlo(s, target, !wants_tls, arena, end))
        return false;
    if (wants_tls && (!start_tls(s, target, arena, end) || !say_ehlo(s, target, true, arena, end)))
        return false;
    return has_proven(s, target, end) && is_silent(s, arena, end);
}

bool session_open(const struct session_terms *terms, const struct target *target, struct span key,
                  struct arena *arena, struct session **out, struct verdict *end, bool *is_dead)
{
    scoped(session) s = memory_allocate(sizeof *s);
    struct error why;
    bool is_open;

    *is_dead = false;
    if (!s || !(s->arena = arena_new("session", SESSION_ARENA_MAX)))
        return verdict_set(end, OUTCOME_TEMPORARY, "4.3.0", "memory is out");
    s->terms = terms;
    s->watch = terms->watch;
    s->watcher = terms->self;
    s->host = arena_copy(s->arena, target->host);
    s->key = arena_copy(s->arena, key);
    memcpy(s->address, target->address_text, sizeof s->address);
    s->mechanism = target->mechanism;
    s->level = target->level;
    s->is_lmtp = target->is_lmtp;
    s->has_equals = target->has_equals;
    s->old_at = deadline_in_ms(SESSION_AGE_MAX_MS);
    if (!s->host.data || !s->key.data)
        return verdict_set(end, OUTCOME_TEMPORARY, "4.3.0", "memory is out");
    if (!stream_connect((const struct sockaddr *)&target->address, target->address_len, NULL, 0,
                        deadline_in_ms(terms->limits->connect_timeout_ms), &s->stream, &why)) {
        *is_dead = true;
        return verdict_of_error(end, &why, OUTCOME_TEMPORARY);
    }
    s->watch(s->watcher, s->stream);
    is_open = talk(s, target, arena, end, is_dead);
    s->terms = NULL;
    if (!is_open)
        return false;
    *out = s;
    s = NULL;
    return true;
}

void session_free(struct session *session)
{
    struct deadline until = deadline_in_ms(QUIT_MS);
    struct error why;

    if (!session)
        return;
    if (session->stream) {
        bool is_polite = !session->is_spoiled && !stream_is_over(session->stream);

        if (is_polite && stream_write(session->stream, SPAN_LITERAL("QUIT\r\n"), until, &why))
            session->is_spoiled = !stream_flush(session->stream, until, &why);
        session->watch(session->watcher, NULL);
        stream_free(session->stream);
    }
    arena_free(session->arena);
    memory_release(session);
}

bool session_serves(const struct session *session, struct span key)
{
    return span_equal(session->key, key);
}

bool session_is_fit(struct session *session, const struct deliver_limits *limits)
{
    return !session->is_spoiled && session->messages < limits->messages_per_session &&
           !(session->has_equals && session->messages >= LETTERS_BETWEEN_EQUALS) &&
           !deadline_is_over(session->old_at) && stream_unread(session->stream) == 0 &&
           !stream_is_over(session->stream);
}

struct stream *session_stream(struct session *session)
{
    return session->stream;
}

unsigned session_offers(const struct session *session)
{
    return session->offers;
}

uint64_t session_size_max(const struct session *session)
{
    return session->size_max;
}

bool session_is_lmtp(const struct session *session)
{
    return session->is_lmtp;
}

unsigned session_messages(const struct session *session)
{
    return session->messages;
}

void session_count_message(struct session *session)
{
    session->messages++;
}

void session_spoil(struct session *session)
{
    session->is_spoiled = true;
}

bool session_is_spoiled(const struct session *session)
{
    return session->is_spoiled;
}

struct session_facts session_facts(const struct session *session)
{
    return (struct session_facts){
        .host = session->host,
        .address = session->address,
        .mechanism = session->mechanism,
        .level = session->level,
        .proof = stream_is_tls(session->stream) ? stream_proof(session->stream) : NULL,
    };
}
