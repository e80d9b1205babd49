/* A message in hand, and a job: those of its deliveries that go to one destination. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/id.h"
#include "delivery.h"
#include "keys/sealing.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deliver;
struct destination;

enum body_state {
    BODY_SEALED, /* as claimed: not read */
    BODY_OPEN,
    BODY_BROKEN, /* it does not open, ever: `why` */
};
/* One message, shared by its jobs. What stands above `lock` is fixed before the first job is given
 * out; what stands below is read and written by whoever has it to himself (letter_enter()), and
 * read by its jobs once it is open. */
struct letter {
    struct deliver *deliver;
    struct arena *arena; /* record fields */
    struct id id;
    struct span organisation;
    int64_t accepted_at_ms;
    uint64_t size; /* of the body, as the record says */
    bool is_sender_known, is_report;
    struct wrapped_keys wrapped;
    struct span sealed_sender;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_entered;
    bool has_content_key, has_record_key, has_sender;
    struct message_keys keys;
    struct arena *secrets; /* wiped: the sender, and a fresh message's body */
    struct span sender;    /* plain, canonical; empty: the null sender */
    enum body_state body_state;
    struct error why;
    struct buffer content; /* wiped: a claimed message's body */
    struct span body;
    bool has_8bit;
    unsigned users; /* jobs that may still need what is secret here */
    unsigned refs;  /* jobs */

    size_t bytes_counted;   /* the schedule's */
    struct job *fresh_jobs; /* while they are made */
};

enum job_kind {
    JOB_ATTEMPT, /* by the network */
    JOB_EXPIRED, /* patience or hold is over: no network */
};
struct job {
    enum job_kind kind;
    struct letter *letter;
    struct arena *arena; /* wiped: recipients, ladders, replies, leaves */
    struct span destination_name;
    struct destination *destination; /* once it is with the schedule */
    struct delivery *deliveries;
    size_t count;
    atomic_uint refs;
    const char *why_untrusted; /* the rows that it was made of are to be held; NULL: they are not */
    struct job *next;          /* in whatever list it is */
    struct job *next_in_hand;  /* the schedule's */
};

/* NULL: memory is out. The first reference is the caller's. */
struct letter *letter_new(struct deliver *deliver);
void letter_unref(struct letter *letter);
/* With `count` zeroed deliveries; takes references of the letter. The job's first is the caller's.
 */
struct job *job_new(struct letter *letter, enum job_kind kind, struct span destination,
                    size_t count);
void job_ref(struct job *job);
void job_unref(struct job *job); /* the last one frees it */
/* Whoever accepted it has looked at the sender too, but he goes into a command line: nothing but an
 * address may. False: it is none. */
MUST_USE bool letter_has_sound_sender(struct letter *letter, struct error *why);
/* What is secret in the letter is of no more use to this job. Once for each job. */
void job_drop_secrets(struct job *job);

/* Does it send anything? If not, it is opened by its record key alone: what is held, or is over, or
 * stands on a ladder that begins with `hold` or `return`. */
bool job_needs_content(const struct job *job, const struct delivery *delivery);
/* Opens the keys, checks each delivery's tag and opens its recipient. Deliveries that fail are
 * refused with a verdict: OUTCOME_INTERNAL where the tag does not fit or something does not open,
 * OUTCOME_TEMPORARY where the keeper could not be asked. */
void job_open_records(struct job *job);
/* The body too. False: *end says for all of the job what it means (internal: it does not open;
 * temporary: the store could not be asked). */
MUST_USE bool job_open_body(struct job *job, struct verdict *end);
