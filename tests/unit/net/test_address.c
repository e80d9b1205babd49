/* IP addresses: as text, in networks, and of the outside world or not. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "net/resolver.h"
#include "net/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static struct sockaddr_storage address_from(const char *text)
{
    struct sockaddr_storage made = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        memcpy(&made, &v4, sizeof v4);
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        memcpy(&made, &v6, sizeof v6);
    else
        made.ss_family = AF_UNIX;
    return made;
}

static const struct public_case {
    const char *name; /* the address, and what it is */
    bool is_public;
} addresses[] = {
    {"8.8.8.8", true},
    {"1.1.1.1", true},
    {"0.0.0.0 unspecified", false},
    {"0.1.2.3 this network", false},
    {"10.255.0.1 private", false},
    {"11.0.0.1", true},
    {"100.63.255.255", true},
    {"100.64.0.1 shared", false},
    {"100.128.0.1", true},
    {"127.0.0.1 loopback", false},
    {"127.255.255.254 loopback", false},
    {"128.0.0.1", true},
    {"169.254.169.254 link-local", false},
    {"172.15.255.255", true},
    {"172.16.0.1 private", false},
    {"172.31.255.255 private", false},
    {"172.32.0.1", true},
    {"192.0.0.8 dummy", false},
    {"192.0.0.9 port control anycast", true},
    {"192.0.2.1 documentation", false},
    {"192.88.99.1 old relay", false},
    {"192.168.1.1 private", false},
    {"192.169.1.1", true},
    {"198.17.255.255", true},
    {"198.18.0.1 benchmarks", false},
    {"198.19.255.255 benchmarks", false},
    {"198.51.100.1 documentation", false},
    {"203.0.113.1 documentation", false},
    {"224.0.0.1 multicast", false},
    {"239.1.2.3 multicast", false},
    {"240.0.0.1 reserved", false},
    {"255.255.255.255 broadcast", false},
    {":: unspecified", false},
    {"::1 loopback", false},
    {"::ffff:10.0.0.1 mapped private", false},
    {"::ffff:8.8.8.8 mapped", true},
    {"::8.8.8.8 compatible", false},
    {"64:ff9b::808:808 translation", false},
    {"100::1 discard", false},
    {"2001::1 Teredo", false},
    {"2001:db8::1 documentation", false},
    {"2001:4860:4860::8888", true},
    {"2002:808:808::1 6to4", false},
    {"2a00:1450::1", true},
    {"3fff::1 documentation", false},
    {"3ffe::1", true},
    {"4000::1 not given out", false},
    {"fc00::1 unique local", false},
    {"fd12::1 unique local", false},
    {"fe80::1 link-local", false},
    {"fec0::1 site-local", false},
    {"ff02::1 multicast", false},
    {"unix", false},
};

static void an_address_is_public_or_not(void **state)
{
    const struct public_case *c = *state;
    char text[64];
    struct sockaddr_storage address;

    snprintf(text, sizeof text, "%.*s", (int)strcspn(c->name, " "), c->name);
    address = address_from(text);
    assert_int_equal(address_is_public((struct sockaddr *)&address), c->is_public);
}

static const struct network_case {
    const char *name; /* the text */
    bool is_network;
    const char *inside, *outside;
} networks[] = {
    {"192.0.2.0/24", true, "192.0.2.255", "192.0.3.0"},
    {"192.0.2.7", true, "192.0.2.7", "192.0.2.6"},
    {"192.0.2.7/32", true, "::ffff:192.0.2.7", "192.0.2.6"},
    {"0.0.0.0/0", true, "255.1.2.3", "2001:db8::1"},
    {"::/0", true, "2001:db8::1", NULL},
    {"::/0 ", false, NULL, NULL},
    {"172.16.0.0/12", true, "172.31.0.1", "172.32.0.1"},
    {"2001:db8::/33", true, "2001:db8:7fff::1", "2001:db8:8000::1"},
    {"2001:db8::1", true, "2001:db8::1", "2001:db8::2"},
    {"192.0.2.1/24", false, NULL, NULL},
    {"192.0.2.0/33", false, NULL, NULL},
    {"192.0.2.0/", false, NULL, NULL},
    {"192.0.2.0/-1", false, NULL, NULL},
    {"192.0.2.0/24/1", false, NULL, NULL},
    {"192.0.2/24", false, NULL, NULL},
    {"192.0.2.0x/24", false, NULL, NULL},
    {"2001:db8::/129", false, NULL, NULL},
    {"2001:db8::1/64", false, NULL, NULL},
    {"fe80::1%eth0", false, NULL, NULL},
    {"/24", false, NULL, NULL},
    {"", false, NULL, NULL},
    {"mail.example", false, NULL, NULL},
    {"1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222:3333", false, NULL, NULL},
};

static void a_network_is_parsed(void **state)
{
    const struct network_case *c = *state;
    struct network network = {.prefix = 77};
    struct sockaddr_storage address;

    assert_int_equal(network_parse(span_of(c->name), &network), c->is_network);
    if (!c->is_network)
        assert_int_equal(network.prefix, 77);
    if (c->inside) {
        address = address_from(c->inside);
        assert_true(network_holds(&network, (struct sockaddr *)&address));
    }
    if (c->outside) {
        address = address_from(c->outside);
        assert_false(network_holds(&network, (struct sockaddr *)&address));
    }
    address = address_from("unix");
    assert_false(network_holds(&network, (struct sockaddr *)&address));
}

static void a_nul_is_part_of_no_network(void **state)
{
    struct network network;

    (void)state;
    assert_false(network_parse(SPAN_LITERAL("192.0.2.7\0"), &network));
    assert_false(network_parse((struct span){NULL, 0}, &network));
}

static void addresses_are_printed(void **state)
{
    static const char *const texts[] = {"192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7", "unix"};

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct sockaddr_storage address = address_from(texts[i]);
        char printed[ADDRESS_TEXT_SIZE];

        address_text((struct sockaddr *)&address, printed);
        assert_string_equal(printed, texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nul_is_part_of_no_network),
        cmocka_unit_test(addresses_are_printed),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL) +
           run_table("public", addresses, an_address_is_public_or_not) +
           run_table("networks", networks, a_network_is_parsed);
}
