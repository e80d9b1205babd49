/* IP networks as text has them. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/scoped.h"
#include "base/span.h"

#include <stdint.h>

enum { NETWORK_BYTES = 16 };

/* A network "192.0.2.0/24" or one address. */
struct network {
    uint8_t bytes[NETWORK_BYTES]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned prefix;              /* 0 … 128 */
};
/* False also where bits are set behind the prefix: which network was meant cannot be known. */
MUST_USE bool network_parse(struct span text, struct network *network);
/* Does `outer` hold all of `inner`? */
bool network_covers(const struct network *outer, const struct network *inner);
/* An IPv4 address's four bytes as ::ffff:a.b.c.d. */
void network_map_ipv4(const void *ipv4, uint8_t bytes[static NETWORK_BYTES]);
