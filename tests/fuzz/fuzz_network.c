/* fuzz-deps: base net */
/* A network that parses holds the address that it is written with, and has a prefix of its size. */
/* SPDX-License-Identifier: ISC */
#include "net/resolver.h"
#include "net/stream.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct network network, again;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    char text[ADDRESS_TEXT_SIZE], with_prefix[ADDRESS_TEXT_SIZE + 5];

    if (!network_parse(span_make(data, size), &network))
        return 0;
    assert(network.prefix <= 128);
    memcpy(&address.sin6_addr, network.bytes, sizeof network.bytes);
    assert(network_holds(&network, (struct sockaddr *)&address));
    (void)address_is_public((struct sockaddr *)&address);
    address_text((struct sockaddr *)&address, text);
    snprintf(with_prefix, sizeof with_prefix, "%s/%u", text, network.prefix);
    assert(network_parse(span_of(with_prefix), &again));
    assert(memcmp(&network, &again, sizeof network) == 0);
    return 0;
}
