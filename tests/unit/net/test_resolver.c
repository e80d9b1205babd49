/* The resolver tells "no" from "cannot tell", whatever a name server does. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/memory.h"
#include "dns_lab.h"
#include "dns_signer.h"
#include "net/resolver.h"

#include <fcntl.h>
#include <sys/stat.h>

static const struct lab_rule rules[] = {
    {"silent.example", 0, LAB_SILENCE, 0},       {"servfail.example", 0, LAB_RCODE, 2},
    {"gone.example", 0, LAB_RCODE, 3},           {"notimp.example", 0, LAB_RCODE, 4},
    {"refused.example", 0, LAB_RCODE, 5},        {"formerr.example", 0, LAB_RCODE, 1},
    {"long.example", 0, LAB_TRUNCATE, 0},        {"no6.example", LAB_AAAA, LAB_RCODE, 2},
    {"only6.example", LAB_A, LAB_RCODE, 2},      {"half.example", LAB_AAAA, LAB_RCODE, 2},
    {"notimp6.example", LAB_AAAA, LAB_RCODE, 4},
};

#define LABEL60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct lab_record records[] = {
    {"one.example", LAB_MX, "10 MX.One.Example"},
    {"two.example", LAB_MX, "20 b.two.example"},
    {"two.example", LAB_MX, "10 a.two.example"},
    {"null.example", LAB_MX, "0 ."},
    {"nullbeside.example", LAB_MX, "0 ."},
    {"nullbeside.example", LAB_MX, "10 mx.example"},
    {"nulltwice.example", LAB_MX, "0 ."},
    {"nulltwice.example", LAB_MX, "10 ."},
    {"repeat.example", LAB_MX, "30 mx.example"},
    {"repeat.example", LAB_MX, "20 other.example"},
    {"repeat.example", LAB_MX, "10 MX.example"},
    {"odd.example", LAB_MX, "10 a b.example"},
    {"odd.example", LAB_MX, "20 good_host-1.example"},
    {"odd.example", LAB_MX, "30 b\xc3\xa4r.example"},
    {"odd.example", LAB_MX, "40 \\;rm.example"},
    {"numeric.example", LAB_MX, "10 192.0.2.7"},
    {"numeric.example", LAB_MX, "20 7up.example"},
    {"oddonly.example", LAB_MX, "10 a b.example"},
    {"zero.example", LAB_MX, "65535 last.example"},
    {"zero.example", LAB_MX, "0 first.example"},
    {"long.example", LAB_MX, "10 mx.long.example"},
    {"longname.example", LAB_MX, "10 " LABEL60 "." LABEL60 "." LABEL60 "." LABEL60 ".example"},
    {"alias.example", LAB_CNAME, "one.example"},
    {"aliasnone.example", LAB_CNAME, "none.example"},
    {"loop1.example", LAB_CNAME, "loop2.example"},
    {"loop2.example", LAB_CNAME, "loop1.example"},
    {"self.example", LAB_CNAME, "self.example"},
    {"host.example", LAB_A, "192.0.2.1"},
    {"host.example", LAB_AAAA, "2001:db8::1"},
    {"no6.example", LAB_A, "192.0.2.3"},
    {"notimp6.example", LAB_A, "192.0.2.3"},
    {"only6.example", LAB_AAAA, "2001:db8::3"},
    {"four.example", LAB_A, "192.0.2.4"},
    {"aliased.example", LAB_CNAME, "four.example"},
    {"laboratory.test", LAB_A, "192.0.2.5"},
    {"name.bogus.example", LAB_A, "192.0.2.6"},
    {"bogus.example", LAB_MX, "10 mx.example"},
    {"signed", LAB_MX, "10 mx.signed"},
    {"mx.signed", LAB_A, "192.0.2.8"},
    {"forged.signed", LAB_MX, "10 mx.signed"},
    {"forged.signed", LAB_A, "192.0.2.8"},
};

static struct lab_server server = {.rules = rules,
                                   .records = records,
                                   .rule_count = COUNT(rules),
                                   .record_count = COUNT(records),
                                   .answer = signer_answer};

/* A DS that fits no key: what lies below cannot be proven. */
static const char anchors[] = "; a comment\r\n\n"
                              "bogus.example. IN DS 12345 13 2 "
                              "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";

/* A resolver of its own for each row: libunbound remembers which servers were slow. */
static struct resolver *resolver_for(unsigned timeout_ms)
{
    struct resolver_terms terms = {.forward_address = SPAN_LITERAL("127.0.0.1"),
                                   .forward_port = server.port,
                                   .trust_anchors = span_of(anchors),
                                   .timeout_ms = timeout_ms};
    struct resolver *resolver = NULL;
    struct error why;

    assert_true(resolver_new(&terms, &resolver, &why));
    return resolver;
}

static const struct mx_case {
    const char *name, *domain;
    enum answer answer;
    const char *hosts; /* "10 a, 20 b"; "null"; "implicit x" */
    unsigned timeout_ms;
} mxes[] = {
    {"one host, in lower case", "One.EXAMPLE.", ANSWER_YES, "10 mx.one.example", 0},
    {"the better preference first", "two.example", ANSWER_YES, "10 a.two.example, 20 b.two.example",
     0},
    {"preferences from 0 to 65535", "zero.example", ANSWER_YES,
     "0 first.example, 65535 last.example", 0},
    {"a null MX", "null.example", ANSWER_YES, "null", 0},
    {"a null MX beside another is ignored", "nullbeside.example", ANSWER_YES, "10 mx.example", 0},
    {"a null MX twice is no null MX", "nulltwice.example", ANSWER_UNKNOWN, "", 0},
    {"a host that repeats counts once", "repeat.example", ANSWER_YES,
     "10 mx.example, 20 other.example", 0},
    {"names that are none are left out", "odd.example", ANSWER_YES, "20 good_host-1.example", 0},
    {"an address in a name's place is left out", "numeric.example", ANSWER_YES, "20 7up.example",
     0},
    {"only names that are none", "oddonly.example", ANSWER_UNKNOWN, "", 0},
    {"a long name is a name", "longname.example", ANSWER_YES,
     "10 " LABEL60 "." LABEL60 "." LABEL60 "." LABEL60 ".example", 0},
    {"no MX makes the domain its own host", "none.example", ANSWER_YES, "implicit none.example", 0},
    {"an alias is followed", "alias.example", ANSWER_YES, "10 mx.one.example", 0},
    {"an alias of a domain without MX", "aliasnone.example", ANSWER_YES,
     "implicit aliasnone.example", 0},
    {"an answer too long for UDP comes by TCP", "long.example", ANSWER_YES, "10 mx.long.example",
     0},
    {"NXDOMAIN is a no", "gone.example", ANSWER_NO, "", 0},
    {"SERVFAIL is unknown", "servfail.example", ANSWER_UNKNOWN, "", 0},
    {"REFUSED is unknown", "refused.example", ANSWER_UNKNOWN, "", 0},
    {"NOTIMP is unknown", "notimp.example", ANSWER_UNKNOWN, "", 0},
    {"FORMERR is unknown", "formerr.example", ANSWER_UNKNOWN, "", 0},
    {"silence is unknown", "silent.example", ANSWER_UNKNOWN, "", 50},
    {"bogus is unknown", "bogus.example", ANSWER_UNKNOWN, "", 0},
    {"a loop is unknown", "loop1.example", ANSWER_UNKNOWN, "", 0},
    {"an alias of itself is unknown", "self.example", ANSWER_UNKNOWN, "", 0},
    {"an empty name is a no", "", ANSWER_NO, "", 0},
    {"a dot is a no", ".", ANSWER_NO, "", 0},
    {"an empty label is a no", "a..example", ANSWER_NO, "", 0},
    {"a blank is a no", "a b.example", ANSWER_NO, "", 0},
    {"an escape is a no", "a\\.b.example", ANSWER_NO, "", 0},
    {"a label too long is a no", LABEL60 "aaaa.example", ANSWER_NO, "", 0},
    {"a name too long is a no", LABEL60 "." LABEL60 "." LABEL60 "." LABEL60 "." LABEL60 ".example",
     ANSWER_NO, "", 0},
};

static void print_hosts(const struct mx_hosts *found, char *out, size_t size)
{
    size_t len = 0;

    if (found->is_null)
        snprintf(out, size, "null");
    else if (found->is_implicit)
        snprintf(out, size, "implicit %.*s", SPAN_ARGS(found->hosts[0].name));
    else
        for (size_t i = 0; i < found->count; i++)
            len += (size_t)snprintf(out + len, size - len, "%s%u %.*s", i > 0 ? ", " : "",
                                    found->hosts[i].preference, SPAN_ARGS(found->hosts[i].name));
}

static void the_hosts_of_a_domain_are_found(void **state)
{
    const struct mx_case *c = *state;
    scoped(resolver) resolver = resolver_for(c->timeout_ms);
    scoped(arena) arena = arena_new("test", KIB(64));
    struct mx_hosts found = {.count = 77};
    struct error why = {0};
    char printed[512] = "";
    enum answer answer =
        resolver_mx(resolver, span_of(c->domain), &entropy_of_system, arena, &found, &why);

    assert_int_equal(answer, c->answer);
    if (answer == ANSWER_YES) {
        print_hosts(&found, printed, sizeof printed);
        assert_string_equal(printed, c->hosts);
        assert_false(found.is_secure);
        return;
    }
    assert_int_equal(found.count, 77); /* no result was written */
    assert_string_equal(why.status, answer == ANSWER_NO ? "5.1.2" : "4.4.3");
    assert_int_equal(why.kind, answer == ANSWER_NO ? ERROR_IMPOSSIBLE : ERROR_TEMPORARY);
}

static const struct address_case {
    const char *name, *host;
    enum answer answer;
    const char *addresses;
    bool is_partial;
    unsigned timeout_ms;
} hosts[] = {
    {"IPv6 before IPv4", "host.example", ANSWER_YES, "2001:db8::1 192.0.2.1 ", false, 0},
    {"IPv4 alone", "four.example", ANSWER_YES, "192.0.2.4 ", false, 0},
    {"an alias", "aliased.example", ANSWER_YES, "192.0.2.4 ", false, 0},
    {"IPv6 could not be asked", "no6.example", ANSWER_YES, "192.0.2.3 ", true, 0},
    {"IPv6 is not implemented", "notimp6.example", ANSWER_YES, "192.0.2.3 ", true, 0},
    {"IPv4 could not be asked", "only6.example", ANSWER_YES, "2001:db8::3 ", true, 0},
    {"one absent, one not to be asked", "half.example", ANSWER_UNKNOWN, "", false, 0},
    {"neither exists", "none.example", ANSWER_NO, "", false, 0},
    {"no such name", "gone.example", ANSWER_NO, "", false, 0},
    {"neither could be asked", "servfail.example", ANSWER_UNKNOWN, "", false, 0},
    {"silence", "silent.example", ANSWER_UNKNOWN, "", false, 50},
    {"a loop", "loop1.example", ANSWER_UNKNOWN, "", false, 0},
    {"bogus", "name.bogus.example", ANSWER_UNKNOWN, "", false, 0},
    {"a name of laboratories", "laboratory.test", ANSWER_YES, "192.0.2.5 ", false, 0},
    {"an IPv4 address is its own answer", "192.0.2.99", ANSWER_YES, "192.0.2.99 ", false, 0},
    {"an IPv6 address too", "2001:DB8::99", ANSWER_YES, "2001:db8::99 ", false, 0},
    {"no host has this name", "a b", ANSWER_NO, "", false, 0},
};

static void the_addresses_of_a_host_are_found(void **state)
{
    const struct address_case *c = *state;
    scoped(resolver) resolver = resolver_for(c->timeout_ms);
    scoped(arena) arena = arena_new("test", KIB(64));
    struct host_addresses found = {.count = 77};
    struct error why = {0};
    char printed[512] = "";
    enum answer answer = resolver_addresses(resolver, span_of(c->host), arena, &found, &why);

    assert_int_equal(answer, c->answer);
    if (answer != ANSWER_YES) {
        assert_int_equal(found.count, 77);
        assert_string_equal(why.status, answer == ANSWER_NO ? "5.1.2" : "4.4.3");
        return;
    }
    for (size_t i = 0; i < found.count; i++) {
        strcat(strcat(printed, found.addresses[i].text), " ");
        assert_int_equal(found.addresses[i].len, found.addresses[i].address.ss_family == AF_INET
                                                     ? sizeof(struct sockaddr_in)
                                                     : sizeof(struct sockaddr_in6));
    }
    assert_string_equal(printed, c->addresses);
    assert_int_equal(found.is_partial, c->is_partial);
    assert_false(found.is_secure);
}

/* --- many records --- */

static struct lab_record many[200];
static char many_data[200][32];

static void many_hosts_are_cut_and_equals_are_shuffled(void **state)
{
    struct lab_server big = {.records = many, .record_count = COUNT(many)};
    struct resolver_terms terms = {.forward_address = SPAN_LITERAL("127.0.0.1")};
    scoped(arena) arena = arena_new("test", MIB(1));
    struct entropy_by_seed seed = {1};
    struct entropy entropy = entropy_by_seed(&seed);
    struct resolver *resolver = NULL;
    struct span first = {NULL, 0};
    bool has_changed = false;
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT(many); i++) {
        snprintf(many_data[i], sizeof many_data[i], "%zu h%zu.example", i < 180 ? 20 : i % 4, i);
        many[i] = (struct lab_record){"many.example", LAB_MX, many_data[i]};
    }
    lab_server_start(&big);
    terms.forward_port = big.port;
    assert_true(resolver_new(&terms, &resolver, &why));
    resolver_warm_up(resolver);
    resolver_warm_up(resolver);
    for (int round = 0; round < 10; round++) {
        struct mx_hosts found;

        assert_int_equal(
            resolver_mx(resolver, SPAN_LITERAL("many.example"), &entropy, arena, &found, &why),
            ANSWER_YES);
        assert_int_equal(found.count, RESOLVER_HOSTS_MAX);
        for (size_t i = 1; i < found.count; i++)
            assert_true(found.hosts[i - 1].preference <= found.hosts[i].preference);
        assert_int_equal(found.hosts[19].preference, 3); /* the twenty best are all there */
        assert_int_equal(found.hosts[20].preference, 20);
        has_changed = has_changed || (first.data && !span_equal(first, found.hosts[0].name));
        first = found.hosts[0].name;
    }
    assert_true(has_changed);
    resolver_free(resolver);
    lab_server_stop(&big);
}

static void many_addresses_leave_room_for_the_other_family(void **state)
{
    struct lab_server big = {.records = many, .record_count = 60};
    struct resolver_terms terms = {.forward_address = SPAN_LITERAL("127.0.0.1")};
    scoped(arena) arena = arena_new("test", MIB(1));
    struct resolver *resolver = NULL;
    struct host_addresses found;
    struct error why;

    (void)state;
    for (size_t i = 0; i < 60; i++) {
        snprintf(many_data[i], sizeof many_data[i], i < 30 ? "192.0.2.%zu" : "2001:db8::%zu", i);
        many[i] = (struct lab_record){"many.example", i < 30 ? LAB_A : LAB_AAAA, many_data[i]};
    }
    lab_server_start(&big);
    terms.forward_port = big.port;
    assert_true(resolver_new(&terms, &resolver, &why));
    assert_int_equal(
        resolver_addresses(resolver, SPAN_LITERAL("many.example"), arena, &found, &why),
        ANSWER_YES);
    assert_int_equal(found.count, RESOLVER_ADDRESSES_MAX);
    assert_int_equal(found.addresses[7].address.ss_family, AF_INET6);
    assert_int_equal(found.addresses[8].address.ss_family, AF_INET);
    resolver_free(resolver);
    lab_server_stop(&big);
}

/* --- signatures --- */

static char signed_anchor[256];

static void a_signed_zone_is_secure_and_a_forged_signature_unknown(void **state)
{
    struct resolver_terms terms = {.forward_address = SPAN_LITERAL("127.0.0.1"),
                                   .forward_port = server.port,
                                   .trust_anchors = span_of(signed_anchor)};
    scoped(arena) arena = arena_new("test", KIB(64));
    struct resolver *resolver = NULL;
    struct mx_hosts found;
    struct host_addresses addresses;
    struct error why;

    (void)state;
    assert_true(resolver_new(&terms, &resolver, &why));
    assert_int_equal(
        resolver_mx(resolver, SPAN_LITERAL("signed"), &entropy_of_system, arena, &found, &why),
        ANSWER_YES);
    assert_true(found.is_secure);
    assert_int_equal(
        resolver_mx(resolver, SPAN_LITERAL("mx.signed"), &entropy_of_system, arena, &found, &why),
        ANSWER_YES);
    assert_true(found.is_implicit && found.is_secure); /* "no MX" was proven by NSEC */
    assert_int_equal(
        resolver_addresses(resolver, SPAN_LITERAL("mx.signed"), arena, &addresses, &why),
        ANSWER_YES);
    assert_true(addresses.is_secure);
    assert_int_equal(
        resolver_mx(resolver, SPAN_LITERAL("one.example"), &entropy_of_system, arena, &found, &why),
        ANSWER_YES);
    assert_false(found.is_secure);
    assert_int_equal(resolver_mx(resolver, SPAN_LITERAL("forged.signed"), &entropy_of_system, arena,
                                 &found, &why),
                     ANSWER_UNKNOWN);
    assert_string_equal(why.text, "DNS: forged.signed: the answer is bogus (DNSSEC)");
    assert_int_equal(
        resolver_addresses(resolver, SPAN_LITERAL("forged.signed"), arena, &addresses, &why),
        ANSWER_UNKNOWN);
    resolver_free(resolver);
}

/* --- threads, and questions left behind --- */

static void *ask_many(void *argument)
{
    scoped(arena) arena = arena_new("test", MIB(1));
    uintptr_t wrong = 0;

    for (int i = 0; i < 20; i++) {
        struct mx_hosts found;
        struct error why;

        wrong += resolver_mx(argument, SPAN_LITERAL("two.example"), &entropy_of_system, arena,
                             &found, &why) != ANSWER_YES;
        wrong += resolver_mx(argument, SPAN_LITERAL("gone.example"), &entropy_of_system, arena,
                             &found, &why) != ANSWER_NO;
    }
    return (void *)wrong;
}

static void many_threads_ask_one_resolver(void **state)
{
    scoped(resolver) resolver = resolver_for(0);
    pthread_t threads[8];
    void *wrong;

    (void)state;
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_create(&threads[i], NULL, ask_many, resolver);
    for (size_t i = 0; i < COUNT(threads); i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

static void the_wait_is_bounded_and_the_resolver_goes_on(void **state)
{
    scoped(resolver) resolver = resolver_for(60);
    scoped(arena) arena = arena_new("test", MIB(1));
    struct deadline enough = deadline_in_ms(5000); /* libunbound alone would wait for longer */
    struct mx_hosts found;
    struct error why;

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(resolver_mx(resolver, SPAN_LITERAL("silent.example"), &entropy_of_system,
                                     arena, &found, &why),
                         ANSWER_UNKNOWN);
    assert_non_null(strstr(why.text, "silent.example: no answer in time"));
    assert_false(deadline_is_over(enough));
}

static void an_answer_is_asked_for_once_and_then_remembered(void **state)
{
    scoped(resolver) resolver = resolver_for(0);
    scoped(arena) arena = arena_new("test", MIB(1));
    struct mx_hosts found;
    struct error why;
    unsigned asked;

    (void)state;
    assert_int_equal(
        resolver_mx(resolver, SPAN_LITERAL("one.example"), &entropy_of_system, arena, &found, &why),
        ANSWER_YES);
    asked = atomic_load(&server.questions);
    assert_int_equal(
        resolver_mx(resolver, SPAN_LITERAL("one.example"), &entropy_of_system, arena, &found, &why),
        ANSWER_YES);
    assert_int_equal(atomic_load(&server.questions), asked);
}

static void a_server_that_is_not_there_is_unknown(void **state)
{
    struct resolver_terms terms = {
        .forward_address = SPAN_LITERAL("::1"), .forward_port = 1, .timeout_ms = 200};
    scoped(arena) arena = arena_new("test", MIB(1));
    struct resolver *resolver = NULL;
    struct mx_hosts found;
    struct error why;

    (void)state;
    assert_true(resolver_new(&terms, &resolver, &why));
    assert_int_equal(
        resolver_mx(resolver, SPAN_LITERAL("one.example"), &entropy_of_system, arena, &found, &why),
        ANSWER_UNKNOWN);
    assert_string_equal(why.status, "4.4.3");
    resolver_free(resolver);
}

/* The end of libunbound's pipe that answers are read from: the third of the sockets that a resolver
 * opens. */
static int answers_fd(int first)
{
    int sockets = 0;

    for (int fd = first; fd < first + 64; fd++) {
        struct stat about;

        if (fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode) && ++sockets == 3)
            return fd;
    }
    return -1;
}

static void note_once(void *self)
{
    atomic_fetch_add((_Atomic unsigned *)self, 1);
}

static void a_broken_pipe_is_told_once_and_nobody_waits(void **state)
{
    _Atomic unsigned told = 0;
    struct resolver_terms terms = {.forward_address = SPAN_LITERAL("127.0.0.1"),
                                   .forward_port = server.port,
                                   .timeout_ms = 60000,
                                   .on_broken = note_once,
                                   .self = &told};
    scoped(arena) arena = arena_new("test", MIB(1));
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC), fd;
    struct deadline enough = deadline_in_ms(20000);
    struct resolver *resolver = NULL;
    struct mx_hosts found;
    struct error why;

    (void)state;
    assert_true(resolver_new(&terms, &resolver, &why));
    fd = answers_fd(nothing);
    resolver_warm_up(resolver);
    assert_true(dup2(nothing, fd) == fd);
    close(nothing);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(resolver_mx(resolver, SPAN_LITERAL("one.example"), &entropy_of_system,
                                     arena, &found, &why),
                         ANSWER_UNKNOWN);
        assert_string_equal(why.status, "4.4.3");
    }
    assert_false(deadline_is_over(enough));
    resolver_free(resolver);
    assert_int_equal(atomic_load(&told), 1);
}

static void wrong_settings_are_told_at_once(void **state)
{
    static const struct {
        const char *address, *anchors;
    } wrong[] = {
        {"localhost", ""},
        {"127.0.0.1@53", ""},
        {"127.0.0.1 and a very long text that cannot be the address of any name server", ""},
        {"127.0.0.1", "this is no anchor"},
        {"127.0.0.1", "example. IN DS 1 13 2 zz"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct resolver_terms terms = {.forward_address = span_of(wrong[i].address),
                                       .trust_anchors = span_of(wrong[i].anchors)};
        struct resolver *resolver = NULL;
        struct error why;

        assert_false(resolver_new(&terms, &resolver, &why));
        assert_null(resolver);
        assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    }
    resolver_free(NULL);
}

static void no_memory_is_unknown(void **state)
{
    scoped(resolver) resolver = resolver_for(0);
    struct resolver_terms terms = {.timeout_ms = 1};
    struct resolver *none = NULL;
    struct error why;

    (void)state;
    memory_fail_after(1);
    assert_false(resolver_new(&terms, &none, &why));
    assert_int_equal(why.kind, ERROR_INTERNAL);
    memory_fail_after(0);
    resolver_warm_up(resolver);
    for (size_t limit = 0; limit < 4096; limit += 16) {
        scoped(arena) arena = arena_new("test", limit);
        struct mx_hosts found;
        struct host_addresses addresses;
        enum answer answer = resolver_mx(resolver, SPAN_LITERAL("two.example"), &entropy_of_system,
                                         arena, &found, &why);

        assert_true(answer == ANSWER_YES || answer == ANSWER_UNKNOWN);
        arena_reset(arena);
        answer =
            resolver_addresses(resolver, SPAN_LITERAL("host.example"), arena, &addresses, &why);
        assert_true(answer == ANSWER_YES || answer == ANSWER_UNKNOWN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_hosts_are_cut_and_equals_are_shuffled),
        cmocka_unit_test(many_addresses_leave_room_for_the_other_family),
        cmocka_unit_test(a_signed_zone_is_secure_and_a_forged_signature_unknown),
        cmocka_unit_test(many_threads_ask_one_resolver),
        cmocka_unit_test(the_wait_is_bounded_and_the_resolver_goes_on),
        cmocka_unit_test(an_answer_is_asked_for_once_and_then_remembered),
        cmocka_unit_test(a_server_that_is_not_there_is_unknown),
        cmocka_unit_test(a_broken_pipe_is_told_once_and_nobody_waits),
        cmocka_unit_test(wrong_settings_are_told_at_once),
        cmocka_unit_test(no_memory_is_unknown),
    };
    int failures;

    signer_start(signed_anchor, sizeof signed_anchor);
    lab_server_start(&server);
    failures = cmocka_run_group_tests_name("resolver", tests, NULL, NULL) +
               run_table("MX", mxes, the_hosts_of_a_domain_are_found) +
               run_table("addresses", hosts, the_addresses_of_a_host_are_found);
    lab_server_stop(&server);
    EVP_PKEY_free(zone_key);
    return failures;
}
