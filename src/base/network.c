/* IP networks: one way to read them, whoever writes them into a policy or a table of ours. */
/* SPDX-License-Identifier: ISC */
#include "base/network.h"

#include <arpa/inet.h>

enum { MAPPED_BITS = 96, PREFIX_DIGITS_MAX = 3 };

void network_map_ipv4(const void *ipv4, uint8_t bytes[static NETWORK_BYTES])
{
    static const uint8_t mapped[MAPPED_BITS / 8] = {[10] = 0xFF, [11] = 0xFF};

    memcpy(bytes, mapped, sizeof mapped);
    memcpy(bytes + sizeof mapped, ipv4, 4);
}

static bool parse_host(struct span host, uint8_t bytes[static NETWORK_BYTES], bool *is_v4)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;

    if (host.len == 0 || host.len >= sizeof text || span_index(host, '\0') < host.len)
        return false;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    *is_v4 = inet_pton(AF_INET, text, &v4) == 1;
    if (*is_v4)
        network_map_ipv4(&v4, bytes);
    return *is_v4 || inet_pton(AF_INET6, text, bytes) == 1;
}

bool network_parse(struct span text, struct network *network)
{
    struct network parsed = {.prefix = 8 * NETWORK_BYTES};
    struct span host, prefix;
    unsigned long long bits;
    bool has_prefix = span_split(text, '/', &host, &prefix), is_v4;

    if (!parse_host(host, parsed.bytes, &is_v4))
        return false;
    if (has_prefix) {
        if (prefix.len > PREFIX_DIGITS_MAX || !span_number(prefix, is_v4 ? 32 : 128, &bits))
            return false;
        parsed.prefix = (unsigned)bits + (is_v4 ? MAPPED_BITS : 0);
    }
    for (unsigned bit = parsed.prefix; bit < 8 * NETWORK_BYTES; bit++)
        if (parsed.bytes[bit / 8] >> (7 - bit % 8) & 1)
            return false;
    *network = parsed;
    return true;
}

bool network_covers(const struct network *outer, const struct network *inner)
{
    unsigned whole = outer->prefix / 8, rest = outer->prefix % 8;

    return inner->prefix >= outer->prefix && memcmp(inner->bytes, outer->bytes, whole) == 0 &&
           (rest == 0 || (inner->bytes[whole] ^ outer->bytes[whole]) >> (8 - rest) == 0);
}
