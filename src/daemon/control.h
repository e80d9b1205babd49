/* The control role from inside: what its threads share, and how an answer is built. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "audit/event.h"
#include "common.h"
#include "daemon/control_protocol.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

struct control {
    struct common common;
    const struct board *board;
    atomic_bool is_stopping;
    int stop_event; /* an eventfd that becomes readable, for good, when it is time to end */
    pthread_t journal;
    pthread_t threads[CONTROL_THREADS];
    size_t thread_count;
};

/* One request and its answer, on one thread. */
struct answer {
    struct control *control;
    int fd;
    uid_t uid; /* whose request this is */
    const struct control_request *request;
    struct policy *policy; /* in force when it came */
    struct arena *arena;   /* until the answer's end; wiped */
    int64_t now_ms;
    struct buffer out; /* frames go out when it is full */
    bool is_broken;    /* nobody reads any more */
};
void answer_say(struct answer *answer, const char *format, ...) PRINTF_LIKE(2, 3);
void answer_say_text(struct answer *answer, struct span text);
/* For one connection that was accepted. Closes nothing. */
void control_serve(struct control *control, int fd);

/* One event of the gateway or of a delivery, with nothing else, flushed. */
MUST_USE bool control_journal(struct control *control, enum event_kind kind, struct id message,
                              uint32_t delivery, struct span organisation,
                              const struct event_field *fields, size_t count, struct error *why);

/* What each operation does: false with *why for the asker. */
bool control_status(struct answer *answer, struct error *why);
bool control_queue(struct answer *answer, struct error *why);
bool control_destinations(struct answer *answer, struct error *why);
bool control_trace(struct answer *answer, struct error *why);
bool control_hold(struct answer *answer, struct error *why);
bool control_release(struct answer *answer, struct error *why);
bool control_retry(struct answer *answer, struct error *why);
bool control_delete(struct answer *answer, struct error *why);
bool control_decide(struct answer *answer, struct error *why);
bool control_checkpoint(struct answer *answer, struct error *why);
bool control_anchor(struct answer *answer, struct error *why);
bool control_deliveries(struct answer *answer, struct error *why);
/* A sealed text for the asker, by the keeper: the trace_opener of a `struct answer`. Whoever calls
 * it has journalled EVENT_TEXT_OPENED before. */
bool control_open_text(void *self, const struct store_message *message, const char *what,
                       struct span sealed, struct buffer *out);

/* ---- acts on one delivery: control_act.c, control_decide.c ---- */

struct subject {
    struct store_message message;
    struct store_delivery delivery;
    const struct store_journal_row *rows; /* the message's */
    size_t row_count;
};
/* What an act writes: the row's new state, and the leaves that tell of it. */
enum { ACT_LEAVES_MAX = 2 };
struct act {
    struct store_move move;
    struct store_leaf leaves[ACT_LEAVES_MAX];
    size_t leaf_count;
    const char *said; /* to the asker, after it is done */
};
/* Starts with a move that changes nothing. */
void act_begin(struct act *act, const struct subject *subject);
/* A leaf of the delivery with the state and rung of act->move, then the fields. */
MUST_USE bool act_tell(struct answer *answer, struct act *act, const struct subject *subject,
                       enum event_kind kind, const struct event_field *fields, size_t count,
                       struct error *why);
/* The content must live so long from now: where its class ends before, the keeper wraps it again
 * under a later one, with this move. */
MUST_USE bool act_keep_content(struct answer *answer, struct act *act,
                               const struct subject *subject, int64_t life_ms, struct error *why);
/* Runs the policy again over the stored facts: .rule (may be empty) and those that were released
 * before are passed over. */
MUST_USE bool act_decide_again(struct answer *answer, struct act *act,
                               const struct subject *subject, struct span rule, struct error *why);
