/* The limits of this room that no setting changes, each with its reason. */
/* SPDX-License-Identifier: ISC */
#pragma once

enum {
    /* A session's stack. Measured: 48 KiB are enough for a TLS handshake and for an acceptance.
     * Only what is touched costs memory. The sanitizers need more for the same depth. */
    RECEIVE_STACK_BYTES = 128 << 10,
    RECEIVE_STACK_BYTES_SANITIZED = 2 << 20,
    /* What a transaction needs beside its text: recipients, decisions, leaves, sealed texts. */
    RECEIVE_ARENA_MAX = 16 << 20,
    /* Of these, what one RCPT may come to before the message is committed: it counts as bytes in
     * flight, whether the recipient was taken or not. */
    RECEIVE_RECIPIENT_BYTES = 3 << 10,
    /* Taken at once at the first transaction, so that a common one needs no second block. */
    RECEIVE_ARENA_FIRST = 12 << 10,
    /* The text's buffer begins with this much, and is kept for the next message up to this much. */
    RECEIVE_BODY_FIRST = 16 << 10,
    RECEIVE_BODY_KEPT = 64 << 10,
    /* The sealed body is kept inline in the store; this much of its cap is for our header fields
     * and the seals of the chunks. */
    RECEIVE_BODY_MARGIN = 128 << 10,
    /* A sender who does not look at replies is read past the largest message, so that he gets his
     * 552 and keeps the connection; he who never ends is cut at twice the largest and this. */
    RECEIVE_DRAIN_MARGIN = 64 << 20,
    /* Stored messages that one transaction is split into: one for each organisation concerned.
     * Each is a copy of the text, so recipients beyond it are asked to come in another one. */
    RECEIVE_GROUPS_MAX = 8,
    /* Journal leaves about refusals on their way to the disk; more are counted, not written, as are
     * those beyond the limit of a minute. */
    RECEIVE_REFUSALS_MAX = 512,
    /* Descriptors that sessions leave to the store, the siblings and the journal. */
    RECEIVE_DESCRIPTORS_KEPT = 128,
    /* Fresh mail is leased to the deliverer this long; then anybody may claim it. */
    RECEIVE_LEASE_MS = 120000,
    /* How long a closing session listens for what is still under way, so that the last reply is
     * not lost to a reset, and how much of it is read. */
    RECEIVE_LINGER_MS = 1000,
    RECEIVE_LINGER_BYTES = 1 << 20,
};
