/* The limits of this room, each with its reason. */
/* SPDX-License-Identifier: ISC */
#pragma once

enum {
    STORE_SCHEMA_VERSION = 1,
    STORE_RECIPIENTS_MAX = 1000, /* deliveries of one message */
    STORE_BODY_MAX = 64 << 20,   /* a sealed body kept inline in the store */
    STORE_GROUP_MAX = 512,       /* changes in one commit: beyond it latency suffers and nothing is gained */
    STORE_POSTED_MAX = 4096,     /* batches that wait for the writer; store_post() waits beyond */
    STORE_LEAF_DETAIL_MAX = 8192,
    STORE_CLAIM_MAX = 512,       /* deliveries claimed at once */
    STORE_CHECKPOINT_LEAVES = 1000, /* leaves after which the doorbell for a checkpoint rings */
    HANDOVER_BYTES = 64 << 20,   /* fresh mail in memory between receive and deliver */
    HANDOVER_ENTRY_MAX = 1 << 20 /* a larger message is read back from the store */
};
