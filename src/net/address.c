/* IP addresses: their text, the networks they lie in, and whether mail may be sent there. */
/* SPDX-License-Identifier: ISC */
#include "net/resolver.h"
#include "net/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

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
static bool bytes_of(const struct sockaddr *address, uint8_t bytes[16])
{
    if (address->sa_family == AF_INET6) {
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
        return true;
    }
    if (address->sa_family != AF_INET)
        return false;
    memcpy(bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(bytes + sizeof mapped_prefix,
           &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    return true;
}

static bool begins_with(const uint8_t bytes[16], const uint8_t network[16], unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    return memcmp(bytes, network, whole) == 0 &&
           (rest == 0 || ((bytes[whole] ^ network[whole]) >> (8 - rest)) == 0);
}

bool network_holds(const struct network *network, const struct sockaddr *address)
{
    uint8_t bytes[16];

    return bytes_of(address, bytes) && begins_with(bytes, network->bytes, network->prefix);
}

bool network_parse(struct span text, struct network *network)
{
    struct network parsed = {.prefix = 0};
    struct span host, length;
    char name[INET6_ADDRSTRLEN];
    unsigned long long prefix = 128;
    bool has_length = span_split(text, '/', &host, &length), is_v4;

    if (host.len == 0 || host.len >= sizeof name || span_index(host, '\0') < host.len)
        return false;
    memcpy(name, host.data, host.len);
    name[host.len] = '\0';
    is_v4 = inet_pton(AF_INET, name, parsed.bytes + sizeof mapped_prefix) == 1;
    if (is_v4)
        memcpy(parsed.bytes, mapped_prefix, sizeof mapped_prefix);
    else if (inet_pton(AF_INET6, name, parsed.bytes) != 1)
        return false;
    if (has_length && !span_number(length, is_v4 ? 32 : 128, &prefix))
        return false;
    parsed.prefix = (unsigned)prefix + (has_length && is_v4 ? 96 : 0);
    /* Bits behind the prefix are a slip of the pen: which network was meant cannot be known. */
    for (unsigned bit = parsed.prefix; bit < 128; bit++)
        if (parsed.bytes[bit / 8] >> (7 - bit % 8) & 1)
            return false;
    *network = parsed;
    return true;
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
