/* A network is read in one way, or not at all. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/network.h"

static const struct parse_case {
    const char *name; /* the text */
    bool is_network;
    unsigned prefix;
} parses[] = {
    {"192.0.2.0/24", true, 120},
    {"192.0.2.7", true, 128},
    {"192.0.2.7/32", true, 128},
    {"0.0.0.0/0", true, 96},
    {"::/0", true, 0},
    {"2001:db8::/32", true, 32},
    {"::ffff:192.0.2.0/120", true, 120},
    {"", false, 0},
    {"/", false, 0},
    {"192.0.2.0/", false, 0},
    {"192.0.2.0/33", false, 0},
    {"192.0.2.0/-1", false, 0},
    {"192.0.2.0/0024", false, 0},
    {"192.0.2.0/24/1", false, 0},
    {"192.0.2.1/24", false, 0},
    {"192.0.2/24", false, 0},
    {"2001:db8::/129", false, 0},
    {"2001:db8::1/64", false, 0},
    {"fe80::1%lo", false, 0},
    {"0123:4567:89ab:cdef:0123:4567:89ab:cdef:0123:4567", false, 0},
    {"host.example", false, 0},
};

static void a_text_is_a_network_or_none(void **state)
{
    const struct parse_case *c = *state;
    struct network network = {.prefix = 77};

    assert_int_equal(network_parse(span_of(c->name), &network), c->is_network);
    assert_int_equal(network.prefix, c->is_network ? c->prefix : 77);
}

static void a_nul_ends_no_address(void **state)
{
    struct network network;

    (void)state;
    assert_false(network_parse(SPAN_LITERAL("192.0.2.7\0"), &network));
    assert_false(network_parse((struct span){NULL, 0}, &network));
}

static const struct cover_case {
    const char *name, *outer, *inner;
    bool covers;
} covers[] = {
    {"itself", "192.0.2.0/24", "192.0.2.0/24", true},
    {"an address of it", "192.0.2.0/24", "192.0.2.255", true},
    {"an address beside it", "192.0.2.0/24", "192.0.3.0", false},
    {"a part of it", "10.0.0.0/9", "10.127.0.0/16", true},
    {"what it is a part of", "10.127.0.0/16", "10.0.0.0/9", false},
    {"a bit within a byte", "172.16.0.0/12", "172.32.0.0", false},
    {"one address", "192.0.2.7", "192.0.2.7", true},
    {"IPv4 within IPv6", "192.0.2.0/24", "::ffff:192.0.2.7", true},
    {"all of IPv4 is not IPv6", "0.0.0.0/0", "2001:db8::1", false},
    {"all", "::/0", "192.0.2.7", true},
};

static void a_network_covers_what_lies_in_it(void **state)
{
    const struct cover_case *c = *state;
    struct network outer, inner;

    assert_true(network_parse(span_of(c->outer), &outer));
    assert_true(network_parse(span_of(c->inner), &inner));
    assert_int_equal(network_covers(&outer, &inner), c->covers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nul_ends_no_address),
    };

    return run_table("networks", parses, a_text_is_a_network_or_none) +
           run_table("in each other", covers, a_network_covers_what_lies_in_it) +
           cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
