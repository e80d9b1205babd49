/* The limits of this room, each with its reason. */
/* SPDX-License-Identifier: ISC */
#pragma once

enum {
    SEAL_CHUNK_BYTES =
        65536,              /* of plain text a sealed chunk holds: a reader needs no more memory */
    SEAL_TEXT_MAX = 24576,  /* an address, a peer's reply, a message's facts with its subject */
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
    CONTENT_MARGIN_DAYS = 2, /* the same margin, where a ladder may take longer */
    /* What trace shows (addresses, replies) lives as long as health records' journals must: 6
       years. */
    RECORD_CLASS_DAYS = 2192,

    KEEPER_TLS_INPUT_MAX = 512, /* what a handshake has signed: a digest, or an RSA block */
    KEEPER_SIGNATURE_MAX = 512, /* RSA of 4096 bits */
    KEEPER_ORGANISATIONS_MAX = 1024,
    KEEPER_CLASSES_MAX = 1 << 20, /* 6 years of days, content and record, of 200 organisations */
    KEEPER_STOCKS_MAX = 64, /* organisations and days that pairs are kept for: 1.2 MB at most */
    KEEPER_AGAIN_MS = 2000, /* then a request is repeated: the keeper that had it may be gone */
    KEEPER_COMPLAINTS_A_MINUTE =
        60, /* log lines about refusals: a sibling gone mad fills no disk */
    /* Where the clock says that so much time has passed since the last checkpoint, it may be the
     * clock that is wrong: classes are not destroyed before the next midnight. */
    KEEPER_SILENCE_DAYS = 31,
    /* scrypt's cost for a new file: 128 MiB and about 0.3 s. A file may ask for no less than half
     * of it, and for no more than 1 GiB. */
    SCRYPT_LOG2_N = 17,
    SCRYPT_LOG2_N_LEAST = 16,
    SCRYPT_LOG2_N_MOST = 20,
};
