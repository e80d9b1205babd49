/* One SMTP session as its commands, its data and its acceptance see it. What it knew of a message
 * is wiped with the transaction: whoever takes this process over learns nothing of the past. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "audit/event.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "base/id.h"
#include "command.h"
#include "message/address.h"
#include "message/content.h"
#include "net/stream.h"
#include "policy/policy.h"
#include "receive/limits.h"
#include "service.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { HELO_SIZE = 256, THROUGH_SIZE = 384 };

struct recipient {
    struct address address;
    const struct route *route; /* NULL: by the MX of its domain */
    size_t organisation;       /* in whose name it is decided and kept */
    bool is_inward;
};

/* From MAIL to the end of data. All but the policy and the text lives in the session's arena. */
struct transaction {
    bool is_open;
    struct policy *policy; /* the one in force at MAIL; ours to free */
    struct address sender;
    size_t sender_organisation; /* of a trusted client's sender */
    struct recipient *recipients;
    size_t recipient_count, recipient_capacity;
    size_t attempts;   /* RCPTs, each with its RECEIVE_RECIPIENT_BYTES taken */
    bool has_chunks;   /* BDAT has begun: no DATA, no RCPT any more */
    bool is_refused;   /* a chunk was refused: only RSET helps (RFC 3030 section 2) */
    bool is_told;      /* the journal has heard of its refusal */
    const char *fault; /* what the client did wrong and was tolerated; NULL: nothing */
    struct deadline end_of_data;
    /* The text so far; kept in size by data.c. */
    struct content content;
    const struct refusal *overflow; /* why the text is only drained any more */
    size_t bytes_taken;             /* of service_take_bytes() */
};

struct session {
    struct receive *receive;
    const struct receive_listener *listener;

    /* The client. */
    struct sockaddr_storage address;
    socklen_t address_len;
    char address_text[ADDRESS_TEXT_SIZE];
    bool is_loopback;
    bool is_trusted;
    char through[THROUGH_SIZE]; /* the fact of that name: "IP", "IP network N", … */

    /* The dialogue. */
    struct stream *stream;
    struct deadline end;
    char helo[HELO_SIZE];
    size_t helo_len;  /* 0: not said yet */
    bool is_extended; /* EHLO, not HELO */
    unsigned errors;  /* wrong commands since the last message that was taken */
    unsigned commands, messages;
    bool was_data_refused; /* the last command: what comes next may be text, and never commands */
    bool is_over;          /* the last reply is written, or can no longer be */
    bool is_cut_short;     /* by us: the client may still be talking */

    struct transaction transaction;
    struct arena *arena; /* of the transaction; NULL until the first one */
    struct buffer body;  /* the text; its memory is kept for the next when it is small */

    /* The listener's: all sessions of one address. */
    struct session *next;
    uint64_t address_key;
};

/* From the greeting to the last reply. The stream is open, in the clear. */
void session_run(struct session *session);
/* Ends the transaction, if one is open, and forgets all of it. */
void session_reset(struct session *session);
/* The largest message under this policy: what it says, as far as the store can take it. */
size_t session_largest_message(const struct policy *policy);

/* ---- talk.c: saying and hearing ---- */

/* One reply line; `status` NULL: none. Buffered until the session would wait. */
void say(struct session *session, unsigned code, const char *status, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* A line of a reply that goes on. */
void say_more(struct session *session, unsigned code, const char *format, ...) PRINTF_LIKE(3, 4);
void say_refusal(struct session *session, const struct refusal *refusal);
/* The same for a command that was wrong: who makes too many of them is sent away. */
void say_wrong(struct session *session, unsigned code, const char *status, const char *text);
/* The last reply; the session is over. */
void say_last(struct session *session, unsigned code, const char *status, const char *text);
/* The next command line. False: there is none, the client was told why, and the session is over. */
bool hear_line(struct session *session, struct span *line);
/* The next bytes of a message, to be consumed; they are never empty. False: none come, and the
 * session is over. */
bool hear_data(struct session *session, struct span *bytes);
/* Ends the session from our side, without another word. */
static inline void cut_short(struct session *session)
{
    session->is_over = session->is_cut_short = true;
}
/* Writes what is left to be written, and gives it time to arrive where the client was cut short. */
void say_goodbye(struct session *session);

/* ---- data.c: reading a message ---- */

/* Each reads its data and answers; a finished message is handed to accept_message(). */
void data_command(struct session *session, struct span argument);
void bdat_command(struct session *session, struct span argument);

/* ---- accept.c: keeping it ---- */

/* Decides, seals, commits, and only then says 250; or says why not. The text is whole and sound. */
void accept_message(struct session *session);

/* ---- trust.c: who may do what ---- */

/* "smtp", "submission", … */
const char *listener_word(const struct session *session);
/* Who the client is, by its address and its certificate: at the start, and once TLS is on. */
void trust_client(struct session *session);
/* May this client begin a message at all, now? */
bool trust_mail(const struct session *session, struct refusal *why);
/* May it send as `sender`? *organisation: in whose name. */
bool trust_sender(const struct session *session, const struct policy *policy,
                  const struct address *sender, size_t *organisation, struct refusal *why);
/* May it write to this recipient? Fills in the rest of it; <postmaster> becomes an address. */
bool trust_recipient(const struct session *session, const struct policy *policy,
                     struct arena *arena, struct recipient *recipient, struct refusal *why);

/* ---- refused.c: what the journal hears of what was not taken ---- */

/* At most one leaf a transaction, posted without waiting. `reason` is safe for logs. */
void tell_refused(struct session *session, enum event_kind kind, const char *status,
                  const char *reason);
/* Waits until the store has dealt with all of them. */
void wait_refusals_told(struct receive *receive);
