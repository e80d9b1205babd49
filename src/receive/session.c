/* The SMTP dialogue, one function a command, as RFC 5321 section 4.1 tells it. */
/* SPDX-License-Identifier: ISC */
#include "session.h"

#include "store/limits.h"

#include <assert.h>

void session_reset(struct session *session)
{
    struct transaction *transaction = &session->transaction;

    if (transaction->is_open) {
        service_leave_transaction(session->receive);
        service_give_bytes(session->receive, transaction->bytes_taken);
        service_give_bytes(session->receive, transaction->attempts * RECEIVE_RECIPIENT_BYTES);
        policy_free(transaction->policy);
    }
    transaction->is_open = false;
    transaction->policy = NULL;
    transaction->bytes_taken = transaction->attempts = 0;
    buffer_truncate(&session->body, 0);
    if (session->body.capacity > RECEIVE_BODY_KEPT || session->body.failed)
        buffer_clear(&session->body);
    if (session->arena)
        arena_reset(session->arena);
}

size_t session_largest_message(const struct policy *policy)
{
    size_t largest = policy_settings(policy)->largest_message;

    return largest < STORE_BODY_MAX - RECEIVE_BODY_MARGIN ? largest
                                                          : STORE_BODY_MAX - RECEIVE_BODY_MARGIN;
}

static void say_no(struct session *session, const struct refusal *why)
{
    say_wrong(session, why->code, why->status, why->text);
}

/* ---- who are you ---- */

static bool offers_tls(const struct session *session)
{
    return session->listener->tls && !stream_is_tls(session->stream);
}

static bool take_name(struct session *session, struct span name, bool is_extended)
{
    if (!helo_name_is_tolerable(name) || name.len > sizeof session->helo) {
        say_wrong(session, 501, "5.5.4", "Say what you are called");
        return false;
    }
    session_reset(session);
    memcpy(session->helo, name.data, name.len);
    session->helo_len = name.len;
    session->is_extended = is_extended;
    return true;
}

static void ehlo(struct session *session, struct span name)
{
    struct policy *policy;

    if (!take_name(session, name, true))
        return;
    policy = policy_slot_get(session->receive->terms.policy);
    say_more(session, 250, "%.*s", SPAN_ARGS(policy_settings(policy)->hostname));
    say_more(session, 250, "PIPELINING");
    say_more(session, 250, "SIZE %zu", session_largest_message(policy));
    say_more(session, 250, "8BITMIME");
    say_more(session, 250, "CHUNKING");
    if (offers_tls(session))
        say_more(session, 250, "STARTTLS");
    say(session, 250, NULL, "ENHANCEDSTATUSCODES");
    policy_free(policy);
}

static void helo(struct session *session, struct span name)
{
    struct policy *policy;

    if (!take_name(session, name, false))
        return;
    policy = policy_slot_get(session->receive->terms.policy);
    say(session, 250, NULL, "%.*s", SPAN_ARGS(policy_settings(policy)->hostname));
    policy_free(policy);
}

static bool shake_hands(struct session *session)
{
    struct error why;

    if (!stream_start_tls_server(
            session->stream, session->listener->tls,
            deadline_in_ms(session->receive->terms.limits.handshake_timeout_ms), &why)) {
        error_within(&why, "TLS handshake with a client");
        tell_refused(session, EVENT_MESSAGE_REFUSED, why.status, why.text);
        session->is_over = true;
        return false;
    }
    trust_client(session); /* what its certificate says comes to what its address said */
    return true;
}

static void starttls(struct session *session, struct span argument)
{
    struct error why;

    (void)argument;
    if (!offers_tls(session)) {
        say_wrong(session, 503, "5.5.1", "TLS is on, or not to be had here");
        return;
    }
    /* Clear bytes behind the command may be anybody's: they are thrown away with the connection,
     * and never read as commands of the protected session (RFC 3207 section 4.2). */
    if (stream_unread(session->stream) > 0) {
        tell_refused(session, EVENT_MESSAGE_REFUSED, "5.5.1", "commands pipelined after STARTTLS");
        say_last(session, 554, "5.5.1", "Nothing may follow STARTTLS in the clear, closing");
        return;
    }
    say(session, 220, "2.0.0", "Ready to start TLS");
    if (!stream_flush(session->stream,
                      deadline_in_ms(session->receive->terms.limits.handshake_timeout_ms), &why)) {
        session->is_over = true;
        return;
    }
    session_reset(session); /* nothing learnt in the clear is believed */
    session->helo_len = 0;
    session->is_extended = false;
    (void)shake_hands(session);
}

/* ---- the envelope ---- */

static bool grow_arena(struct session *session)
{
    if (session->arena)
        return true;
    session->arena = arena_new_secret("transaction", RECEIVE_ARENA_MAX);
    if (!session->arena)
        return false;
    /* The first block is made large enough for a common transaction, and is kept by each reset. */
    (void)arena_take(session->arena, RECEIVE_ARENA_FIRST);
    arena_reset(session->arena);
    return true;
}

/* All that MAIL's argument says. */
struct mail {
    struct address sender;
    struct mail_parameters parameters;
    const char *fault;
    size_t organisation;
};

static bool parse_path(struct session *session, struct span argument, struct span keyword,
                       struct address *address, struct span *parameters, const char **fault,
                       struct refusal *why)
{
    struct span path;
    struct error error;

    if (!path_follows(argument, keyword, &path)) {
        *why = (struct refusal){501, "5.5.4", "Say MAIL FROM:<address> or RCPT TO:<address>"};
        return false;
    }
    if (!address_parse_path(path, keyword.len == 5, session->arena, address, parameters, &error)) {
        *why = refusal_of_address(&error);
        return false;
    }
    if (path.len > 0 && path.data[0] == ' ')
        *fault = "a space before the address";
    return true;
}

static bool judge_mail(struct session *session, const struct policy *policy, struct span argument,
                       struct mail *mail, struct refusal *why)
{
    struct span parameters;
    size_t largest = session_largest_message(policy);

    if (!trust_mail(session, why) ||
        !parse_path(session, argument, SPAN_LITERAL("FROM:"), &mail->sender, &parameters,
                    &mail->fault, why) ||
        !mail_parameters_parse(parameters, session->is_trusted, &mail->parameters, why))
        return false;
    if (mail->parameters.size > largest) {
        *why = (struct refusal){552, "5.3.4", "The message is larger than any that is taken here"};
        return false;
    }
    if (!trust_sender(session, policy, &mail->sender, &mail->organisation, why))
        return false;
    if (!service_has_bytes(session->receive, mail->parameters.size)) {
        *why = (struct refusal){452, "4.3.1", "Too much mail at once, try again shortly"};
        return false;
    }
    return true;
}

static void open_transaction(struct session *session, struct policy *policy,
                             const struct mail *mail)
{
    struct transaction *transaction = &session->transaction;

    transaction->is_open = true;
    transaction->policy = policy;
    transaction->sender = mail->sender;
    transaction->sender_organisation = mail->organisation;
    transaction->recipients = NULL;
    transaction->recipient_count = transaction->recipient_capacity = 0;
    transaction->has_chunks = transaction->is_refused = false;
    transaction->fault = mail->fault;
    transaction->overflow = NULL;
}

static void mail(struct session *session, struct span argument)
{
    const struct receive_limits *limits = &session->receive->terms.limits;
    struct mail mail = {.fault = NULL};
    struct refusal why;
    struct policy *policy;

    if (session->messages >= limits->messages_max) {
        say_last(session, 421, "4.7.0", "Enough messages for one connection, closing");
        return;
    }
    session_reset(session);
    session->transaction.is_told = false;
    if (!grow_arena(session) || !service_enter_transaction(session->receive)) {
        say(session, 452, "4.3.1", "Too much mail at once, try again shortly");
        return;
    }
    policy = policy_slot_get(session->receive->terms.policy);
    if (!judge_mail(session, policy, argument, &mail, &why)) {
        tell_refused(session, EVENT_MESSAGE_REFUSED, why.status, why.text);
        service_leave_transaction(session->receive);
        policy_free(policy);
        say_no(session, &why);
        return;
    }
    open_transaction(session, policy, &mail);
    say(session, 250, "2.1.0", "Sender ok");
}

/* Room for one more, in an array that doubles. */
static bool grow_recipients(struct session *session)
{
    struct transaction *transaction = &session->transaction;
    size_t capacity = transaction->recipient_capacity ? 2 * transaction->recipient_capacity : 4;
    struct recipient *grown;

    if (transaction->recipient_count < transaction->recipient_capacity)
        return true;
    grown = arena_take_array(session->arena, capacity, sizeof *grown);
    if (!grown)
        return false;
    if (transaction->recipient_count > 0)
        memcpy(grown, transaction->recipients, transaction->recipient_count * sizeof *grown);
    transaction->recipients = grown;
    transaction->recipient_capacity = capacity;
    return true;
}

/* Is it there already, and would it be one organisation too many? */
static bool is_known(const struct transaction *transaction, const struct recipient *new,
                     bool *is_group_too_many)
{
    const struct recipient *first_of_group[RECEIVE_GROUPS_MAX];
    size_t groups = 0;
    bool has_group = false;

    for (size_t i = 0; i < transaction->recipient_count; i++) {
        const struct recipient *known = &transaction->recipients[i];
        size_t group = 0;

        if (address_equal(&known->address, &new->address))
            return true;
        has_group = has_group || (known->organisation == new->organisation &&
                                  known->is_inward == new->is_inward);
        while (group < groups && (first_of_group[group]->organisation != known->organisation ||
                                  first_of_group[group]->is_inward != known->is_inward))
            group++;
        if (group == groups && groups < RECEIVE_GROUPS_MAX)
            first_of_group[groups++] = known;
    }
    *is_group_too_many = !has_group && groups == RECEIVE_GROUPS_MAX;
    return false;
}

static bool judge_recipient(struct session *session, struct span argument,
                            struct recipient *recipient, struct refusal *why)
{
    struct transaction *transaction = &session->transaction;
    struct span parameters;

    return parse_path(session, argument, SPAN_LITERAL("TO:"), &recipient->address, &parameters,
                      &transaction->fault, why) &&
           rcpt_parameters_parse(parameters, why) &&
           trust_recipient(session, transaction->policy, session->arena, recipient, why);
}

/* However a client may repeat itself, what that costs us is counted and has an end. */
static bool may_try(struct session *session)
{
    struct transaction *transaction = &session->transaction;

    if (transaction->attempts >= 2 * (size_t)session->receive->terms.limits.recipients_max) {
        say(session, 452, "4.5.3", "Too many recipients, send to this one separately");
        return false;
    }
    if (!service_take_bytes(session->receive, RECEIVE_RECIPIENT_BYTES)) {
        say(session, 452, "4.3.1", "Too much mail at once, try again shortly");
        return false;
    }
    transaction->attempts++;
    return true;
}

static void rcpt(struct session *session, struct span argument)
{
    struct transaction *transaction = &session->transaction;
    struct recipient recipient = {.route = NULL};
    struct refusal why;
    bool is_too_many = false;

    if (transaction->has_chunks) {
        say_wrong(session, 503, "5.5.1", "The message has begun");
        return;
    }
    if (!may_try(session))
        return;
    if (!judge_recipient(session, argument, &recipient, &why)) {
        tell_refused(session, EVENT_MESSAGE_REFUSED, why.status, why.text);
        say_no(session, &why);
        return;
    }
    if (!is_known(transaction, &recipient, &is_too_many)) {
        if (is_too_many ||
            transaction->recipient_count >= session->receive->terms.limits.recipients_max ||
            transaction->recipient_count >= STORE_RECIPIENTS_MAX) {
            say(session, 452, "4.5.3", "Too many recipients, send to this one separately");
            return;
        }
        if (!grow_recipients(session)) {
            say(session, 452, "4.3.1", "Too much mail at once, try again shortly");
            return;
        }
        transaction->recipients[transaction->recipient_count++] = recipient;
    }
    say(session, 250, "2.1.5", "Recipient ok");
}

/* ---- the rest ---- */

static void rset(struct session *session, struct span argument)
{
    (void)argument;
    session_reset(session);
    say(session, 250, "2.0.0", "Forgotten");
}

static void noop(struct session *session, struct span argument)
{
    (void)argument;
    say(session, 250, "2.0.0", "Still here");
}

static void quit(struct session *session, struct span argument)
{
    (void)argument;
    say(session, 221, "2.0.0", "Goodbye");
    session->is_over = true; /* nothing may follow, so that nobody need be waited for */
}

static void vrfy(struct session *session, struct span argument)
{
    (void)argument;
    say(session, 252, "2.5.0", "Send mail and see");
}

static void help(struct session *session, struct span argument)
{
    (void)argument;
    say(session, 214, "2.0.0", "EHLO HELO STARTTLS MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT");
}

static void not_offered(struct session *session, struct span argument)
{
    (void)argument; /* of AUTH it may be a password: it goes nowhere */
    say_wrong(session, 502, "5.5.1", "Not offered here");
}

/* When a command may come. Data commands see to that themselves: what follows them must be read. */
enum needs {
    NEEDS_NOTHING,
    NEEDS_NAME = 1 << 0,        /* after EHLO or HELO */
    NEEDS_TRANSACTION = 1 << 1, /* after MAIL */
    NEEDS_NO_TRANSACTION = 1 << 2,
    NEEDS_NO_ARGUMENT = 1 << 3,
};

static const struct command {
    struct span verb;
    void (*run)(struct session *session, struct span argument);
    unsigned needs;
} commands[] = {
    {SPAN_LITERAL("MAIL"), mail, NEEDS_NAME | NEEDS_NO_TRANSACTION},
    {SPAN_LITERAL("RCPT"), rcpt, NEEDS_TRANSACTION},
    {SPAN_LITERAL("DATA"), data_command, NEEDS_NOTHING},
    {SPAN_LITERAL("BDAT"), bdat_command, NEEDS_NOTHING},
    {SPAN_LITERAL("RSET"), rset, NEEDS_NO_ARGUMENT},
    {SPAN_LITERAL("QUIT"), quit, NEEDS_NO_ARGUMENT},
    {SPAN_LITERAL("EHLO"), ehlo, NEEDS_NOTHING},
    {SPAN_LITERAL("HELO"), helo, NEEDS_NOTHING},
    {SPAN_LITERAL("STARTTLS"), starttls, NEEDS_NO_ARGUMENT},
    {SPAN_LITERAL("NOOP"), noop, NEEDS_NOTHING},
    {SPAN_LITERAL("VRFY"), vrfy, NEEDS_NOTHING},
    {SPAN_LITERAL("HELP"), help, NEEDS_NOTHING},
    {SPAN_LITERAL("EXPN"), not_offered, NEEDS_NOTHING},
    {SPAN_LITERAL("AUTH"), not_offered, NEEDS_NOTHING},
};

static const struct command *find_command(struct span verb)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (span_equal_caseless(verb, commands[i].verb))
            return &commands[i];
    return NULL;
}

static bool may_come(const struct session *session, const struct command *command,
                     struct span argument, struct refusal *why)
{
    if ((command->needs & NEEDS_NO_ARGUMENT) && argument.len > 0)
        *why = (struct refusal){501, "5.5.4", "Nothing follows this command"};
    else if ((command->needs & NEEDS_NAME) && session->helo_len == 0)
        *why = (struct refusal){503, "5.5.1", "Say EHLO first"};
    else if ((command->needs & NEEDS_TRANSACTION) && !session->transaction.is_open)
        *why = (struct refusal){503, "5.5.1", "Say MAIL first"};
    else if ((command->needs & NEEDS_NO_TRANSACTION) && session->transaction.is_open)
        *why = (struct refusal){503, "5.5.1", "One message at a time"};
    else
        return true;
    return false;
}

static void answer(struct session *session, struct span line)
{
    struct span verb = {"", 0}, argument = {"", 0};
    bool is_clean = command_split(line, &verb, &argument);
    const struct command *command = is_clean ? find_command(verb) : NULL;
    bool was_data_refused = session->was_data_refused;
    struct refusal why;

    session->was_data_refused = false;
    if (!command && was_data_refused) {
        /* The text of a message whose DATA was refused: none of its lines may be run. */
        tell_refused(session, EVENT_MESSAGE_REFUSED, "5.5.2", "text after a refused DATA");
        say_last(session, 521, "5.5.2", "This is no command, closing");
    } else if (!command) {
        say_wrong(session, 500, "5.5.2", "No such command");
    } else if (!may_come(session, command, argument, &why)) {
        say_no(session, &why);
    } else {
        command->run(session, argument);
    }
}

static void greet(struct session *session)
{
    struct policy *policy = policy_slot_get(session->receive->terms.policy);

    say(session, 220, NULL, "%.*s ESMTP Letterlock", SPAN_ARGS(policy_settings(policy)->hostname));
    policy_free(policy);
}

void session_run(struct session *session)
{
    const struct receive_limits *limits = &session->receive->terms.limits;
    struct span line;

    session->end = deadline_in_ms(limits->session_total_ms);
    buffer_init_secret(&session->body, RECEIVE_BODY_FIRST);
    trust_client(session);
    if (session->listener->how->kind != LISTENER_SUBMISSIONS || shake_hands(session)) {
        greet(session);
        while (hear_line(session, &line)) {
            if (++session->commands > limits->commands_max) {
                say_last(session, 421, "4.7.0", "Too many commands, closing");
                break;
            }
            answer(session, line);
        }
        say_goodbye(session);
    }
    session_reset(session);
    buffer_clear(&session->body);
    arena_free(session->arena);
    session->arena = NULL;
}
