/* The journal's Merkle tree (RFC 9162 section 2.1): append-only, 64 hashes of memory. Pure. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/span.h"

#include <stddef.h>
#include <stdint.h>

enum { MERKLE_HASH_BYTES = 32, MERKLE_SALT_BYTES = 16, MERKLE_DEPTH_MAX = 64 };

struct merkle_hash {
    uint8_t bytes[MERKLE_HASH_BYTES];
};
/* The roots of the perfect subtrees, largest first: as many as `size` has one bits. */
struct merkle_tree {
    uint64_t size;
    struct merkle_hash peaks[MERKLE_DEPTH_MAX];
};
/* SHA-256(0x00 || SHA-256(salt || canonical)): a row may be purged later and the tree still
 * verifies. */
struct merkle_hash merkle_leaf(const uint8_t salt[MERKLE_SALT_BYTES], struct span canonical);
void merkle_append(struct merkle_tree *tree, const struct merkle_hash *leaf);
/* Of an empty tree: SHA-256 of nothing. */
struct merkle_hash merkle_root(const struct merkle_tree *tree);
