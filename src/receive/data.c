/* Reading a message, by DATA or in chunks: every byte is looked at as it comes, and what may not be
 * taken is read to its end and answered once. */
/* SPDX-License-Identifier: ISC */
#include "dots.h"
#include "session.h"

#include "base/memory.h"

static const struct refusal too_large = {552, "5.3.4",
                                         "The message is larger than any that is taken here"};
static const struct refusal too_much = {452, "4.3.1", "Too much mail at once, try again shortly"};

static void begin_text(struct session *session)
{
    struct transaction *transaction = &session->transaction;

    session->body.limit = session_largest_message(transaction->policy);
    transaction->overflow = NULL;
    content_begin(&transaction->content, policy_settings(transaction->policy)->hostname);
}

/* From now on the text is only read past. */
static void drop_text(struct session *session, const struct refusal *overflow)
{
    if (!session->transaction.overflow)
        session->transaction.overflow = overflow;
    buffer_clear(&session->body);
    service_give_bytes(session->receive, session->transaction.bytes_taken);
    session->transaction.bytes_taken = 0;
}

/* Lets the body grow by doubling, as far as the memory of all messages allows. */
static const struct refusal *make_room(struct session *session, size_t more)
{
    struct transaction *transaction = &session->transaction;
    struct buffer *body = &session->body;
    size_t needed, capacity = body->capacity > RECEIVE_BODY_FIRST ? body->capacity
                                                                  : (size_t)RECEIVE_BODY_FIRST;

    if (!size_add(body->len, more, &needed) || needed > body->limit)
        return &too_large;
    if (needed <= transaction->bytes_taken)
        return NULL;
    while (capacity < needed)
        capacity *= 2; /* needed is below the limit, which is far from all numbers */
    if (capacity > body->limit && body->capacity <= body->limit)
        capacity = body->limit;
    if (!service_take_bytes(session->receive, capacity))
        return &too_much;
    service_give_bytes(session->receive, transaction->bytes_taken);
    transaction->bytes_taken = capacity;
    return capacity <= body->capacity || buffer_reserve(body, capacity - body->len) ? NULL
                                                                                    : &too_much;
}

static void keep_text(struct session *session, struct span text)
{
    struct transaction *transaction = &session->transaction;
    const struct refusal *overflow;

    if (transaction->overflow || transaction->content.is_broken)
        return;
    content_feed(&transaction->content, text);
    overflow = transaction->content.is_broken ? NULL : make_room(session, text.len);
    if (transaction->content.is_broken || overflow || !buffer_append(&session->body, text))
        drop_text(session, overflow);
}

/* The reply for a text that may not be taken. */
static struct refusal refusal_of_content(const struct content *content, const struct error *why)
{
    static const struct refusal too_wide = {
        554, "5.6.0", "A line of the message is longer than any that is taken here"};
    static const struct refusal rows[] = {
        {550, "5.6.0",
         "The message breaks the rules of its form: lines end in CRLF alone, and "
         "hold no NUL"},
        {552, "5.3.4", "The message's header is larger than any that is taken here"},
        {554, "5.4.6", "The message is going in circles"},
    };

    if (content->is_too_wide)
        return too_wide;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (span_equal(span_of(why->status), span_of(rows[i].status)))
            return rows[i];
    return rows[0];
}

/* The whole text is here. True when it went on to be accepted, or not; false when it was unsound.
 */
static bool finish(struct session *session)
{
    struct transaction *transaction = &session->transaction;
    struct refusal refusal;
    struct error why;
    bool is_sound = true;

    session->messages++;
    if (transaction->overflow) {
        tell_refused(session, EVENT_MESSAGE_REFUSED, transaction->overflow->status,
                     transaction->overflow->text);
        say_refusal(session, transaction->overflow);
    } else if (!content_end(&transaction->content, &why)) {
        refusal = refusal_of_content(&transaction->content, &why);
        tell_refused(session, EVENT_MESSAGE_REFUSED, why.status, why.text);
        say_refusal(session, &refusal);
        is_sound = !span_equal(span_of(why.status), SPAN_LITERAL("5.6.0"));
    } else {
        accept_message(session);
    }
    session_reset(session);
    return is_sound;
}

/* How much is read of one message, taken or not. */
static unsigned long long drain_limit(const struct session *session)
{
    size_t largest =
        session->transaction.is_open ? session_largest_message(session->transaction.policy) : 0;

    return 2ULL * largest + RECEIVE_DRAIN_MARGIN;
}

static void say_endless(struct session *session)
{
    tell_refused(session, EVENT_MESSAGE_REFUSED, "5.3.4", "a message without end");
    say_last(session, 421, "4.7.0", "Far too large, closing");
}

static void begin_waiting(struct session *session)
{
    session->transaction.end_of_data = deadline_in_ms(session->receive->terms.limits.data_total_ms);
}

/* ---- DATA ---- */

static bool may_have_data(struct session *session, struct span argument, struct refusal *why)
{
    const struct transaction *transaction = &session->transaction;

    if (argument.len > 0)
        *why = (struct refusal){501, "5.5.4", "Nothing follows this command"};
    else if (!transaction->is_open)
        *why = (struct refusal){503, "5.5.1", "Say MAIL first"};
    else if (transaction->has_chunks)
        *why = (struct refusal){503, "5.5.1", "This message comes in chunks"};
    else if (transaction->recipient_count == 0)
        *why = (struct refusal){554, "5.5.1", "No valid recipients"};
    else
        return true;
    return false;
}

/* What follows a refused DATA at once is a message's text, and text is never run as commands. */
static void refuse_data(struct session *session, const struct refusal *why)
{
    say_wrong(session, why->code, why->status, why->text);
    session->was_data_refused = true;
    if (stream_unread(session->stream) > 0) {
        tell_refused(session, EVENT_MESSAGE_REFUSED, why->status, "text behind a refused DATA");
        cut_short(session);
    }
}

/* Up to the true end of the text. False: the session is over. */
static bool read_dotted(struct session *session)
{
    const unsigned long long limit = drain_limit(session);
    unsigned long long heard = 0;
    struct dots dots = {0};
    struct span bytes, rest, text;

    while (!dots_ended(&dots)) {
        if (!hear_data(session, &bytes))
            return false;
        rest = bytes;
        while (dots_next(&dots, &rest, &text))
            keep_text(session, text);
        stream_consume(session->stream, bytes.len - rest.len);
        heard += bytes.len;
        if (heard > limit) {
            say_endless(session);
            return false;
        }
    }
    return true;
}

void data_command(struct session *session, struct span argument)
{
    struct refusal why;

    if (!may_have_data(session, argument, &why)) {
        refuse_data(session, &why);
        return;
    }
    say(session, 354, NULL, "Go on, and end with a dot on a line of its own");
    begin_text(session);
    begin_waiting(session);
    if (!read_dotted(session))
        return;
    if (!finish(session)) /* who writes such text may see another end than we do */
        cut_short(session);
}

/* ---- BDAT ---- */

static bool may_have_chunk(struct session *session, struct refusal *why)
{
    const struct transaction *transaction = &session->transaction;

    if (!transaction->is_open)
        *why = (struct refusal){503, "5.5.1", "Say MAIL first"};
    else if (transaction->recipient_count == 0)
        *why = (struct refusal){554, "5.5.1", "No valid recipients"};
    else if (transaction->is_refused)
        *why = (struct refusal){503, "5.5.1", "The message was refused already"};
    else
        return true;
    return false;
}

/* Exactly so many bytes, whatever they hold. */
static bool read_chunk(struct session *session, unsigned long long size, bool keeps)
{
    while (size > 0) {
        struct span bytes;

        if (!hear_data(session, &bytes))
            return false;
        if (bytes.len > size)
            bytes.len = (size_t)size;
        if (keeps)
            keep_text(session, bytes);
        stream_consume(session->stream, bytes.len);
        size -= bytes.len;
    }
    return true;
}

void bdat_command(struct session *session, struct span argument)
{
    struct transaction *transaction = &session->transaction;
    unsigned long long size;
    bool is_last, keeps;
    struct refusal why;

    if (!bdat_parse(argument, &size, &is_last)) {
        /* What follows may be a chunk of any length: it cannot be told from commands. */
        tell_refused(session, EVENT_MESSAGE_REFUSED, "5.5.4", "a chunk without a size");
        say_last(session, 501, "5.5.4", "Say BDAT and a size, closing");
        return;
    }
    if (size > drain_limit(session)) {
        say_endless(session);
        return;
    }
    keeps = may_have_chunk(session, &why);
    if (!transaction->has_chunks || !transaction->is_open)
        begin_waiting(session);
    if (keeps && !transaction->has_chunks) {
        transaction->has_chunks = true;
        begin_text(session);
    }
    if (keeps && size > session->body.limit - session->body.len)
        drop_text(session, &too_large);
    if (!read_chunk(session, size, keeps))
        return;
    if (!keeps) {
        say_wrong(session, why.code, why.status, why.text);
    } else if (is_last) {
        (void)finish(session);
    } else if (transaction->overflow) {
        transaction->is_refused = true;
        tell_refused(session, EVENT_MESSAGE_REFUSED, transaction->overflow->status,
                     transaction->overflow->text);
        say_refusal(session, transaction->overflow);
    } else {
        say(session, 250, "2.0.0", "%llu octets received", size);
    }
}
