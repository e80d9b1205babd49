/* The limits of this room, each with its reason. */
/* SPDX-License-Identifier: ISC */
#pragma once

enum {
    STORE_SCHEMA_VERSION = 1,
    STORE_RECIPIENTS_MAX = 1000, /* deliveries of one message */
    STORE_BODY_MAX = 64 << 20,   /* a sealed body kept inline in the store */
    STORE_LEAF_DETAIL_MAX = 8192,
    STORE_LEAF_CANONICAL_MAX = STORE_LEAF_DETAIL_MAX + 4096, /* with an organisation's name */
    STORE_REASON_MAX = 240,                                  /* bytes of a delivery's last_reason */
    STORE_CLAIM_MAX = 512,                                   /* deliveries claimed at once */
    STORE_CHECKPOINT_LEAVES = 1000, /* leaves after which the doorbell for a checkpoint rings */

    /* The writer. */
    STORE_GROUP_MAX = 512,      /* changes in one commit: beyond it only latency grows */
    STORE_POSTED_MAX = 4096,    /* batches that wait for the writer; store_post() waits beyond */
    STORE_WAITING_MAX = 4096,   /* threads that wait for the writer; more queue behind them */
    STORE_NAMES_MAX = 4096,     /* names whose row the writer remembers */
    STORE_CACHE_KIB = 32 << 10, /* its page cache: the hot ends of all indexes */
    STORE_BUSY_MS = 10000,      /* a process that holds the store longer is stuck */
    /* SQLite's log is copied into the database beyond this, nobody waiting; and beyond the second
     * with other writers kept out, for else it might never end. */
    STORE_WAL_PAGES = 4000,
    STORE_WAL_PAGES_MAX = 16000,

    /* Readers. */
    STORE_READERS_MAX = 4, /* connections, each with a page cache */
    STORE_PAGE_ROWS = 256, /* rows that one read transaction visits: it must not last */

    /* Fresh mail in memory between receive and deliver. */
    HANDOVER_BYTES = 64 << 20,
    HANDOVER_ENTRY_MAX = 1 << 20,   /* a larger message is read back from the store */
    HANDOVER_MARGIN = 4 << 10,      /* reserved beside a body for its envelope; most need less */
    HANDOVER_ENVELOPE_MAX = 2 << 20 /* STORE_RECIPIENTS_MAX of them, with long names */
};
