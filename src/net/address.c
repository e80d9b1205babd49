/* IP addresses: their text, the networks they lie in, and whether mail may be sent there. */
/* SPDX-License-Identifier: ISC */
#include "net/resolver.h"
#include "net/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

void address_text(const struct sockaddr *address, char out[ADDRESS_TEXT_SIZE])
{
    const void *bytes = NULL;

    if (address->sa_family == AF_INET)
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    else if (address->sa_family == AF_INET6)
        bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (!bytes || !inet_ntop(address->sa_family, bytes, out, ADDRESS_TEXT_SIZE))
        snprintf(out, ADDRESS_TEXT_SIZE, "unix");
}

/* IPv4 as ::ffff:a.b.c.d. */
static bool bytes_of(const struct sockaddr *address, uint8_t bytes[static NETWORK_BYTES])
{
    if (address->sa_family == AF_INET6) {
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
        return true;
    }
    if (address->sa_family != AF_INET)
        return false;
    network_map_ipv4(&((const struct sockaddr_in *)(const void *)address)->sin_addr, bytes);
    return true;
}

bool network_holds(const struct network *network, const struct sockaddr *address)
{
    struct network host = {.prefix = 8 * NETWORK_BYTES};

    return bytes_of(address, host.bytes) && network_covers(network, &host);
}

/* The special-purpose registries (RFC 6890, as IANA keeps them), without what is globally
 * reachable. A longer entry that is reachable inside of one that is not stands in front of it. */
static const struct {
    const char *network;
    bool is_public;
} special[] = {
    {"0.0.0.0/8", false},      {"10.0.0.0/8", false},      {"100.64.0.0/10", false},
    {"127.0.0.0/8", false},    {"169.254.0.0/16", false},  {"172.16.0.0/12", false},
    {"192.0.0.9/32", true},    {"192.0.0.10/32", true},    {"192.0.0.0/24", false},
    {"192.0.2.0/24", false},   {"192.88.99.0/24", false},  {"192.168.0.0/16", false},
    {"198.18.0.0/15", false},  {"198.51.100.0/24", false}, {"203.0.113.0/24", false},
    {"224.0.0.0/4", false},    {"240.0.0.0/4", false},     {"::ffff:0:0/96", true},
    {"2001:1::1/128", true},   {"2001:1::2/128", true},    {"2001:3::/32", true},
    {"2001:4:112::/48", true}, {"2001:20::/28", true},     {"2001:30::/28", true},
    {"2001::/23", false},      {"2001:db8::/32", false},   {"2002::/16", false},
    {"3fff::/20", false},      {"2000::/3", true},
};

bool address_is_public(const struct sockaddr *address)
{
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        struct network network;

        if (network_parse(span_of(special[i].network), &network) &&
            network_holds(&network, address))
            return special[i].is_public;
    }
    return false; /* in IPv6 only 2000::/3 is given out; no other family leads anywhere */
}
