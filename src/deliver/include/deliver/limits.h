/* The limits of this room, each with its reason. */
/* SPDX-License-Identifier: ISC */
#pragma once

enum {
    /* A reply's bytes, CRLFs counted, and its lines: EHLO of the largest hosts takes a tenth. */
    SMTP_REPLY_BYTES_MAX = 8192,
    SMTP_REPLY_LINES_MAX = 128,
    /* Of a peer's words kept for journal and report: sealed, it must fit in a leaf with all else.
     */
    PEER_REPLY_KEPT_MAX = 2048,
    /* Hosts and addresses that one attempt tries: past these it is later's work. */
    ATTEMPT_TARGETS_MAX = 8,
    /* New sessions that one attempt opens to hosts that ended an old one politely (421). */
    ATTEMPT_FRESH_SESSIONS_MAX = 3,
    /* Bytes of one job beside its body: its recipients, leaves and replies. */
    JOB_ARENA_MAX = 16 << 20,
    /* Bytes of one message in hand beside its body: records, ladders. */
    LETTER_ARENA_MAX = 64 << 20,
    /* A body in hand: what the store keeps, with its seals taken off. */
    LETTER_BODY_MAX = 64 << 20,
    /* Bytes of one claim's records. */
    CLAIM_ARENA_MAX = 64 << 20,
    /* Fresh mail that lay so long in the hand-over is left to the store: the lease that receive
     * gave it, twice as long, may have run out and have been claimed. */
    FRESH_AGE_MAX_MS = 60 * 1000,
    /* Jobs in hand, fresh and claimed: a worker is never idle, memory never grows with the queue.
     */
    JOBS_IN_HAND_MAX = 2048,
    /* Jobs that wait for one destination that works; the rest waits in the store. */
    JOBS_PER_DESTINATION_MAX = 1024,
    /* One that has not worked lately gets this part of what is left of half of all: however many
     * are dead, the living have the other half. */
    JOBS_UNPROVEN_SHARE = 4,
    /* Destinations and hosts that are remembered; the oldest idle ones are forgotten. */
    DESTINATIONS_MAX = 8192,
    HOSTS_MAX = 8192,
    TABLE_BUCKETS = 1024,
    /* Letters of one session with a host that has equals: then another draw shares the work. */
    LETTERS_BETWEEN_EQUALS = 10,
    /* How long a success counts as "worked lately". */
    WORKED_LATELY_MS = 10 * 60 * 1000,
    /* A kept session is closed at this age, so that changes in DNS are followed. */
    SESSION_AGE_MAX_MS = 5 * 60 * 1000,
    /* A host that is busy with as many sessions as allowed: its mail waits so long. */
    HOST_BUSY_MS = 2000,
    /* A temporary fault of our own (keeper, store): its mail waits so long. */
    OWN_FAULT_MS = 10 * 1000,
    /* How often results that could not be written are offered to the store again. */
    RECORD_AGAIN_MS = 1000,
    /* The store is looked at so often while fresh mail keeps coming, else when it has work. */
    STORE_LOOK_MS = 1000,
    /* The longest sleep of the runner: after a step of the clock it looks again. */
    RUNNER_SLEEP_MS = 60 * 1000,
    /* A wall clock that differs from the monotonic one by more was set. */
    CLOCK_STEP_MS = 2000,
    /* A worker's stack: TLS and the resolver need some of it. */
    WORKER_STACK_BYTES = 512 << 10,
    /* A report on as many recipients as a message may have, each with as long a reply as is kept.
     */
    REPORT_BYTES_MAX = 8 << 20,
};
