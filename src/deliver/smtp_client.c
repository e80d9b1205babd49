/* MAIL, RCPT, the bytes and the verdicts, as RFC 5321 section 3.3 and RFC 2033 tell them. */
/* SPDX-License-Identifier: ISC */
#include "smtp_client.h"

#include <assert.h>
#include <stdio.h>

enum { BLOCK_BYTES = 65536, LAST_WORD_MS = 1000 };

struct transaction {
    struct session *session;
    struct stream *stream;
    const struct envelope *envelope;
    struct recipient *const *recipients;
    size_t count;
    const struct transaction_terms *terms;
    bool is_pipelined, is_chunked;
    size_t taken; /* recipients that RCPT took */
    struct verdict mail, data;
    bool mail_refused, data_refused;
    bool is_lost; /* the line broke, or what came could not be read; `loss` says how */
    bool is_past; /* the last byte may have left */
    struct verdict loss;
};

static bool lose(struct transaction *t, const struct error *why, const struct smtp_reply *reply)
{
    t->is_lost = true;
    session_spoil(t->session);
    verdict_of_error(&t->loss, why, OUTCOME_TEMPORARY);
    if (reply)
        verdict_quote(&t->loss, reply, t->terms->arena);
    return false;
}

static struct deadline command_deadline(const struct transaction *t)
{
    return deadline_in_ms(t->terms->limits->command_timeout_ms);
}

static bool say(struct transaction *t, const struct span *pieces, size_t count)
{
    struct deadline until = command_deadline(t);
    struct error why;

    for (size_t i = 0; i < count; i++)
        if (!stream_write(t->stream, pieces[i], until, &why))
            return lose(t, &why, NULL);
    return true;
}

static bool flush(struct transaction *t, struct deadline until)
{
    struct error why;

    return stream_flush(t->stream, until, &why) || lose(t, &why, NULL);
}

/* A 421 ends the session, whatever it answered. */
static bool hear_any(struct transaction *t, int timeout_ms, struct smtp_reply *reply)
{
    struct error why;

    if (!smtp_reply_read(t->stream, deadline_in_ms(timeout_ms), reply, &why))
        return lose(t, &why, reply);
    if (reply->code == 421)
        session_spoil(t->session);
    return true;
}

/* A 3yz asks for more where nothing is left to say: replies and questions are out of step, and the
 * next "250" might be the answer to something else. */
static bool hear(struct transaction *t, int timeout_ms, struct smtp_reply *reply)
{
    if (!hear_any(t, timeout_ms, reply))
        return false;
    if (reply->code / 100 == 3)
        session_spoil(t->session);
    return true;
}

static bool say_mail(struct transaction *t)
{
    unsigned offers = session_offers(t->session);
    char size[40] = "";

    if (offers & OFFER_SIZE)
        snprintf(size, sizeof size, " SIZE=%zu", t->envelope->body.len);
    return say(t,
               (struct span[]){SPAN_LITERAL("MAIL FROM:<"), t->envelope->sender, SPAN_LITERAL(">"),
                               t->envelope->has_8bit ? SPAN_LITERAL(" BODY=8BITMIME")
                                                     : (struct span){"", 0},
                               span_of(size), SPAN_LITERAL("\r\n")},
               6);
}

static bool say_rcpt(struct transaction *t, size_t i)
{
    return say(t,
               (struct span[]){SPAN_LITERAL("RCPT TO:<"), t->recipients[i]->address,
                               SPAN_LITERAL(">\r\n")},
               3);
}

static bool hear_mail(struct transaction *t)
{
    struct smtp_reply reply;

    if (!hear(t, t->terms->limits->command_timeout_ms, &reply))
        return false;
    t->mail_refused = reply.code / 100 != 2;
    verdict_of_reply(&t->mail, &reply, SMTP_STEP_MAIL, t->terms->arena);
    return true;
}

/* Writes the verdict of who was not taken; who was taken waits for the end of the data. */
static bool hear_rcpt(struct transaction *t, size_t i)
{
    struct recipient *recipient = t->recipients[i];
    struct smtp_reply reply;

    if (!hear(t, t->terms->limits->command_timeout_ms, &reply))
        return false;
    if (t->mail_refused) /* these replies only say that there was no MAIL */
        return true;
    if (reply.code / 100 == 2) {
        t->taken++;
        return true;
    }
    verdict_of_rcpt(&recipient->verdict, &reply, t->taken, t->terms->arena);
    recipient->has_verdict = true;
    return true;
}

static bool hear_data(struct transaction *t)
{
    struct smtp_reply reply;

    if (!hear_any(t, t->terms->limits->data_timeout_ms, &reply))
        return false;
    t->data_refused = reply.code != 354;
    if (t->data_refused)
        verdict_of_reply(&t->data, &reply, SMTP_STEP_DATA, t->terms->arena);
    if (t->data_refused && reply.code / 100 < 4) /* "250" to DATA: it does not know what it says */
        session_spoil(t->session);
    else if (!t->data_refused && t->taken == 0)
        session_spoil(t->session); /* it waits for a text that nobody should get */
    return true;
}

static bool name_in_steps(struct transaction *t)
{
    for (size_t i = 0; i < t->count && !session_is_spoiled(t->session); i++)
        if (!say_rcpt(t, i) || !flush(t, command_deadline(t)) || !hear_rcpt(t, i))
            return false;
    return true;
}

static bool talk_in_steps(struct transaction *t)
{
    if (!say_mail(t) || !flush(t, command_deadline(t)) || !hear_mail(t))
        return false;
    if (t->mail_refused)
        return true;
    if (!name_in_steps(t))
        return false;
    if (t->is_chunked || t->taken == 0 || session_is_spoiled(t->session))
        return true;
    return say(t, &SPAN_LITERAL("DATA\r\n"), 1) && flush(t, command_deadline(t)) && hear_data(t);
}

/* RFC 2920: one group, and every reply is read, whatever the first one was. */
static bool talk_in_a_group(struct transaction *t)
{
    if (!say_mail(t))
        return false;
    for (size_t i = 0; i < t->count; i++)
        if (!say_rcpt(t, i))
            return false;
    if (!t->is_chunked && !say(t, &SPAN_LITERAL("DATA\r\n"), 1))
        return false;
    if (!flush(t, command_deadline(t)) || !hear_mail(t))
        return false;
    for (size_t i = 0; i < t->count; i++)
        if (session_is_spoiled(t->session) || !hear_rcpt(t, i))
            return session_is_spoiled(t->session) && !t->is_lost;
    return t->is_chunked || session_is_spoiled(t->session) || hear_data(t);
}

/* In blocks, each with a deadline of its own, so that a slow line is no broken one. */
static bool send_block(struct transaction *t, struct span bytes)
{
    struct error why;

    for (size_t at = 0; at < bytes.len; at += BLOCK_BYTES)
        if (!stream_write(t->stream, span_until(span_from(bytes, at), BLOCK_BYTES),
                          deadline_in_ms(t->terms->limits->data_timeout_ms), &why))
            return lose(t, &why, NULL);
    return true;
}

/* Dot-stuffing (RFC 5321 section 4.5.2): bytes between dots at line starts go out uncopied. */
static bool send_stuffed(struct transaction *t, struct span body)
{
    size_t from = 0, at = 0;

    if (body.len > 0 && body.data[0] == '.' && !send_block(t, SPAN_LITERAL(".")))
        return false;
    while (at < body.len) {
        const char *found = memmem(body.data + at, body.len - at, "\n.", 2);

        if (!found)
            break;
        at = (size_t)(found - body.data) + 1;
        if (!send_block(t, (struct span){body.data + from, at - from}) ||
            !send_block(t, SPAN_LITERAL(".")))
            return false;
        from = at;
    }
    return send_block(t, span_from(body, from));
}

/* What makes the message whole, and is kept back for past_final(): of a chunk its last byte, else
 * the line with the dot. */
static struct span last_bytes(const struct transaction *t)
{
    struct span body = t->envelope->body;

    if (t->is_chunked)
        return span_from(body, body.len - 1);
    if (body.len < 2 || memcmp(body.data + body.len - 2, "\r\n", 2) != 0)
        return SPAN_LITERAL("\r\n.\r\n");
    return SPAN_LITERAL(".\r\n");
}

static bool send_all_but_last(struct transaction *t)
{
    struct span body = t->envelope->body;
    char command[48];

    if (!t->is_chunked)
        return send_stuffed(t, body);
    snprintf(command, sizeof command, "BDAT %zu LAST\r\n", body.len);
    return send_block(t, span_of(command)) && send_block(t, span_until(body, body.len - 1));
}

static void give(struct recipient *recipient, const struct verdict *verdict)
{
    recipient->verdict = *verdict;
    recipient->has_verdict = true;
}

static void give_rest(struct transaction *t, const struct verdict *verdict)
{
    for (size_t i = 0; i < t->count; i++)
        if (!t->recipients[i]->has_verdict)
            give(t->recipients[i], verdict);
}

/* One reply for all (SMTP), or one for each recipient that was taken (LMTP, RFC 2033). */
static bool hear_final(struct transaction *t)
{
    struct smtp_reply reply;
    struct verdict verdict;
    bool is_lmtp = session_is_lmtp(t->session), has_reply = false;

    for (size_t i = 0; i < t->count; i++) {
        if (t->recipients[i]->has_verdict)
            continue;
        if (is_lmtp || !has_reply) {
            if (!hear(t, t->terms->limits->final_timeout_ms, &reply))
                return false;
            verdict_of_reply(&verdict, &reply, SMTP_STEP_FINAL, t->terms->arena);
            has_reply = true;
        }
        give(t->recipients[i], &verdict);
    }
    return true;
}

/* The line broke while the text went: the peer's last word, where it is still there, says why. */
static void hear_last_word(struct transaction *t)
{
    struct smtp_reply reply;
    struct error why;
    struct verdict verdict;

    if (!smtp_reply_read(t->stream, deadline_in_ms(LAST_WORD_MS), &reply, &why))
        return;
    verdict_of_reply(&verdict, &reply, SMTP_STEP_FINAL, t->terms->arena);
    if (verdict.outcome == OUTCOME_DELIVERED) { /* of half a message? */
        verdict_within(&t->loss, "it said yes before it had all");
        return;
    }
    t->loss = verdict;
}

static bool send_and_hear(struct transaction *t)
{
    if (!send_all_but_last(t)) {
        hear_last_word(t);
        return false;
    }
    if (!t->terms->past_final(t->terms->self, true))
        return false;
    t->is_past = true;
    if (!send_block(t, last_bytes(t)) ||
        !flush(t, deadline_in_ms(t->terms->limits->data_timeout_ms)))
        return false;
    return hear_final(t);
}

static void reset(struct transaction *t)
{
    struct smtp_reply reply;

    if (session_is_spoiled(t->session))
        return;
    if (say(t, &SPAN_LITERAL("RSET\r\n"), 1) && flush(t, command_deadline(t)) &&
        hear(t, t->terms->limits->command_timeout_ms, &reply) && reply.code / 100 == 2)
        return;
    session_spoil(t->session);
}

/* What cannot go by this session is known before a word is said. */
static bool fits(struct transaction *t, struct verdict *verdict)
{
    uint64_t size_max = session_size_max(t->session);

    if (size_max > 0 && t->envelope->body.len > size_max)
        return verdict_set(verdict, OUTCOME_IMPOSSIBLE, "5.3.4",
                           "the message is larger than the %llu bytes that the other side takes",
                           (unsigned long long)size_max);
    if (t->envelope->has_8bit && !(session_offers(t->session) & OFFER_8BITMIME))
        return verdict_set(verdict, OUTCOME_IMPOSSIBLE, "5.6.3",
                           "the message has 8-bit text and the other side offers no 8BITMIME");
    return true;
}

/* Did everybody get a 4yz, as sessions do that have served enough? */
static bool is_put_off(const struct transaction *t)
{
    if (t->mail_refused)
        return t->mail.outcome == OUTCOME_TEMPORARY;
    if (t->taken > 0)
        return false;
    for (size_t i = 0; i < t->count; i++)
        if (!t->recipients[i]->has_verdict ||
            t->recipients[i]->verdict.outcome != OUTCOME_TEMPORARY)
            return false;
    return true;
}

static enum transaction_end again(struct transaction *t, enum transaction_end end)
{
    session_spoil(t->session);
    for (size_t i = 0; i < t->count; i++)
        t->recipients[i]->has_verdict = false;
    return end;
}

/* "Too many" is for the next transaction, provided that this one got somewhere. */
static void put_rest_aside(struct transaction *t)
{
    if (t->taken == 0)
        return;
    for (size_t i = 0; i < t->count; i++)
        if (t->recipients[i]->verdict.is_too_many)
            t->recipients[i]->has_verdict = false;
}

/* The envelope stands, or everybody has a verdict already: true when the bytes may follow. */
static bool may_send(struct transaction *t)
{
    if (t->mail_refused || t->taken == 0 || t->data_refused) {
        give_rest(t, t->mail_refused ? &t->mail : &t->data);
        if (!t->mail_refused)
            reset(t);
        return false;
    }
    if (session_is_spoiled(t->session)) { /* a 421 among the replies to RCPT */
        give_rest(t, &t->data);
        return false;
    }
    return true;
}

/* False: we are stopping, and nothing was sent. */
static bool send_and_judge(struct transaction *t)
{
    if (send_and_hear(t)) {
        put_rest_aside(t);
    } else if (!t->is_lost) {
        return false;
    } else {
        t->loss.may_be_duplicate = t->is_past;
        give_rest(t, &t->loss);
    }
    t->terms->past_final(t->terms->self, false);
    return true;
}

enum transaction_end transaction_run(struct session *session, const struct envelope *envelope,
                                     struct recipient *const *recipients, size_t count,
                                     const struct transaction_terms *terms)
{
    struct transaction t = {.session = session,
                            .stream = session_stream(session),
                            .envelope = envelope,
                            .recipients = recipients,
                            .count = count,
                            .terms = terms,
                            .is_pipelined = session_offers(session) & OFFER_PIPELINING,
                            .is_chunked = (session_offers(session) & OFFER_CHUNKING) &&
                                          envelope->body.len > 0};
    bool is_old = session_messages(session) > 0, is_talked;
    struct verdict verdict;

    verdict_set(&t.data, OUTCOME_TEMPORARY, "4.4.2", "the other side ended the session");
    assert(count > 0 && count <= terms->limits->recipients_per_message);
    if (!fits(&t, &verdict)) {
        give_rest(&t, &verdict);
        return TRANSACTION_ANSWERED;
    }
    session_count_message(session);
    is_talked = t.is_pipelined ? talk_in_a_group(&t) : talk_in_steps(&t);
    if (is_old && (!is_talked || session_is_spoiled(session) || is_put_off(&t)))
        return again(&t, TRANSACTION_AGAIN);
    if (!is_talked)
        give_rest(&t, &t.loss);
    else if (may_send(&t) && !send_and_judge(&t))
        return again(&t, TRANSACTION_STOPPED);
    return TRANSACTION_ANSWERED;
}
