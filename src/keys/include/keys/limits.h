/* The limits of this room, each with its reason. */
/* SPDX-License-Identifier: ISC */
#pragma once

enum {
    SEAL_CHUNK_BYTES =
        65536,              /* of plain text a sealed chunk holds: a reader needs no more memory */
    SEAL_TEXT_MAX = 8192,   /* an address, a subject, a peer's reply */
    KEEPER_PAIRS_MAX = 128, /* pairs in one reply of the keeper */
    KEEPER_ORGANISATION_NAME_MAX = 128,
    KEEPER_RECIPIENT_MAX = 512, /* a recipient's address, sealed */
    KEEPER_LADDER_MAX = 2048,
    KEEPER_CERTIFICATES_MAX = 16, /* TLS private keys held */
    /* Unwraps for `deliver` in any minute: restarts and retries need some, a thief would need more.
     */
    KEEPER_UNWRAPS_A_MINUTE = 60000,
    KEEPER_ANSWER_MS = 10000, /* how long a role waits for the keeper before it says "temporary" */
    /* Content ends with the longest queue life: 5 days of ladder, 7 of hold, and a margin. */
    CONTENT_CLASS_DAYS = 14,
    /* What trace shows (addresses, replies) lives as long as health records' journals must: 6
       years. */
    RECORD_CLASS_DAYS = 2192,
};
