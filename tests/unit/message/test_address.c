/* Envelope addresses: which are taken, as what, and how they are printed again. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/memory.h"
#include "message/address.h"
#include "message/limits.h"

#define TEN_A "aaaaaaaaaa"
#define FIFTY_A TEN_A TEN_A TEN_A TEN_A TEN_A
#define LABEL_63 FIFTY_A TEN_A "aaa"

static void assert_span(struct span got, const char *expected)
{
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.data, expected, got.len);
}

/* `local` NULL: refused with `status`. `printed` NULL: as the path between the brackets. */
static const struct path_case {
    const char *name, *text;
    bool may_be_null;
    const char *local, *domain, *rest, *printed, *status;
} paths[] = {
    {"a plain recipient", "<a@partner.example>", false, "a", "partner.example", "",
     "a@partner.example"},
    {"parameters follow after a space", "<a@x.example> SIZE=5", true, "a", "x.example", " SIZE=5",
     "a@x.example"},
    {"S22: a quoted bracket and a blank end nothing",
     "<\"foo@evil.example> ORCPT=rfc822;x@evil.example\"@partner.example>", false,
     "foo@evil.example> ORCPT=rfc822;x@evil.example", "partner.example", "",
     "\"foo@evil.example> ORCPT=rfc822;x@evil.example\"@partner.example"},
    {"S22: nor do they in a sender",
     "<\"foo@evil.example> ORCPT=rfc822;x@evil.example\"@partner.example> SIZE=1", true,
     "foo@evil.example> ORCPT=rfc822;x@evil.example", "partner.example", " SIZE=1",
     "\"foo@evil.example> ORCPT=rfc822;x@evil.example\"@partner.example"},
    {"S23: a blank keeps its quotes", "<\"a b\"@partner.example>", true, "a b", "partner.example",
     "", "\"a b\"@partner.example"},
    {"S23: quote and at sign keep theirs", "<\"x\\\"y@z\"@partner.example>", false, "x\"y@z",
     "partner.example", "", "\"x\\\"y@z\"@partner.example"},
    {"S23: needless quotes go", "<\"plain\"@partner.example>", false, "plain", "partner.example",
     "", "plain@partner.example"},
    {"needless escapes go", "<\"p\\l\\ain\"@x.example>", false, "plain", "x.example", "",
     "plain@x.example"},
    {"an escaped backslash stays", "<\"a\\\\b\"@x.example>", false, "a\\b", "x.example", "",
     "\"a\\\\b\"@x.example"},
    {"an empty quoted local part is one", "<\"\"@x.example>", false, "", "x.example", "",
     "\"\"@x.example"},
    {"dots at the ends stand in quotes", "<\".a..b.\"@x.example>", false, ".a..b.", "x.example", "",
     "\".a..b.\"@x.example"},
    {"S24: one space after the colon of MAIL", " <a@partner.example>", true, "a", "partner.example",
     "", "a@partner.example"},
    {"S24: one space after the colon of RCPT", " <nurse@clinic.example>", false, "nurse",
     "clinic.example", "", "nurse@clinic.example"},
    {"two spaces are one too many", "  <a@x.example>", false, .status = "5.5.4"},
    {"S25: Postmaster without a domain", "<Postmaster>", false, "Postmaster", "", "", "Postmaster"},
    {"S25: postMaStER with one", "<postMaStER@clinic.example>", false, "postMaStER",
     "clinic.example", "", "postMaStER@clinic.example"},
    {"S25: POSTMASTER in capitals", "<POSTMASTER@CLINIC.EXAMPLE>", false, "POSTMASTER",
     "clinic.example", "", "POSTMASTER@clinic.example"},
    {"postmaster in quotes needs a domain", "<\"postmaster\">", false, .status = "5.1.3"},
    {"postmaster without a domain sends nothing", "<Postmaster>", true, .status = "5.1.7"},
    {"S26: a domain's case is lost, a local part's kept", "<Ann@PARTNER.example>", false, "Ann",
     "partner.example", "", "Ann@partner.example"},
    {"S27: the null sender", "<>", true, "", "", "", ""},
    {"S27: the null sender with parameters", "<> BODY=8BITMIME", true, "", "", " BODY=8BITMIME",
     ""},
    {"S27: a blank in brackets is no path", "< >", true, .status = "5.5.4"},
    {"S27: nothing is no path", "", true, .status = "5.5.4"},
    {"a space is no path", " ", true, .status = "5.5.4"},
    {"an opening bracket is no path", "<", true, .status = "5.5.4"},
    {"nobody receives as <>", "<>", false, .status = "5.1.3"},
    {"no brackets", "a@x.example", false, .status = "5.5.4"},
    {"no closing bracket", "<a@x.example", false, .status = "5.1.3"},
    {"no blank before the parameters", "<a@x.example>SIZE=1", true, .status = "5.5.4"},
    {"a tab is no blank there", "<a@x.example>\tSIZE=1", true, .status = "5.5.4"},
    {"two brackets", "<<a@x.example>>", false, .status = "5.1.3"},
    {"a blank before the bracket's end", "<a@x.example >", false, .status = "5.1.3"},
    {"a source route is dropped", "<@a.example,@b.example:c@d.example>", false, "c", "d.example",
     "", "c@d.example"},
    {"a source route needs its colon", "<@a.example c@d.example>", false, .status = "5.1.3"},
    {"a source route needs at signs", "<@a.example,b.example:c@d.example>", false,
     .status = "5.1.3"},
    {"a source route needs a mailbox", "<@a.example:>", true, .status = "5.1.7"},
    {"a final dot of the domain goes", "<a@x.example.>", false, "a", "x.example", "",
     "a@x.example"},
    {"two final dots do not", "<a@x.example..>", false, .status = "5.1.3"},
    {"a domain that is a dot", "<a@.>", false, .status = "5.1.3"},
    {"no domain", "<a@>", false, .status = "5.1.3"},
    {"no local part", "<@x.example>", false, .status = "5.1.3"},
    {"two at signs", "<a@b@x.example>", false, .status = "5.1.3"},
    {"two dots in a local part", "<a..b@x.example>", false, .status = "5.1.3"},
    {"a dot at its start", "<.a@x.example>", false, .status = "5.1.3"},
    {"a dot at its end", "<a.@x.example>", true, .status = "5.1.7"},
    {"all that an atom may hold", "<!#$%&'*+-/=?^_`{|}~.9Z@x.example>", false,
     "!#$%&'*+-/=?^_`{|}~.9Z", "x.example", "", "!#$%&'*+-/=?^_`{|}~.9Z@x.example"},
    {"an 8-bit local part", "<b\xc3\xbcro@x.example>", false, .status = "5.1.3"},
    {"an 8-bit byte in quotes", "<\"b\xfc\"@x.example>", true, .status = "5.1.7"},
    {"an 8-bit domain", "<a@b\xc3\xbcro.example>", false, .status = "5.1.3"},
    {"a control in quotes", "<\"a\rb\"@x.example>", false, .status = "5.1.3"},
    {"an escaped control in quotes", "<\"a\\\tb\"@x.example>", false, .status = "5.1.3"},
    {"quotes without an end", "<\"a@x.example>", false, .status = "5.1.3"},
    {"quotes that end in an escape", "<\"a\\", false, .status = "5.1.3"},
    {"text after quotes", "<\"a\"b@x.example>", false, .status = "5.1.3"},
    {"a literal of IPv4", "<a@[192.0.2.1]>", false, "a", "[192.0.2.1]", "", "a@[192.0.2.1]"},
    {"a literal of IPv6", "<a@[IPv6:2001:DB8::1]>", false, "a", "[ipv6:2001:db8::1]", "",
     "a@[ipv6:2001:db8::1]"},
    {"a literal of five numbers", "<a@[192.0.2.1.5]>", false, .status = "5.1.3"},
    {"a literal of IPv6 without its tag", "<a@[2001:db8::1]>", false, .status = "5.1.3"},
    {"a literal without an end", "<a@[192.0.2.1>", false, .status = "5.1.3"},
    {"an empty literal", "<a@[]>", false, .status = "5.1.3"},
    {"a long literal", "<a@[" FIFTY_A FIFTY_A "]>", false, .status = "5.1.3"},
    {"an address in the place of a domain", "<a@127.0.0.1>", false, .status = "5.1.3"},
    {"a long local part, as newsletters have it",
     "<bounce-" FIFTY_A "-ann.somebody=clinic.example@news.example>", true,
     "bounce-" FIFTY_A "-ann.somebody=clinic.example", "news.example", "",
     "bounce-" FIFTY_A "-ann.somebody=clinic.example@news.example"},
    {"254 bytes fit", "<" FIFTY_A FIFTY_A FIFTY_A FIFTY_A FIFTY_A "a@xy>", false,
     FIFTY_A FIFTY_A FIFTY_A FIFTY_A FIFTY_A "a", "xy", "",
     FIFTY_A FIFTY_A FIFTY_A FIFTY_A FIFTY_A "a@xy"},
    {"255 do not", "<" FIFTY_A FIFTY_A FIFTY_A FIFTY_A FIFTY_A "aa@xy>", false, .status = "5.1.3"},
    {"quotes count", "<\"" FIFTY_A FIFTY_A FIFTY_A FIFTY_A FIFTY_A " \"@x>", false,
     .status = "5.1.3"},
};

static void path_is_read(void **state)
{
    const struct path_case *c = *state;
    scoped(arena) arena = arena_new("test", KIB(8));
    struct address address = {SPAN_LITERAL("untouched"), SPAN_LITERAL("untouched")};
    struct span rest = SPAN_LITERAL("untouched");
    struct error why = {0};

    assert_int_equal(
        address_parse_path(span_of(c->text), c->may_be_null, arena, &address, &rest, &why),
        c->local != NULL);
    if (!c->local) {
        assert_int_equal(why.kind, ERROR_REJECTED);
        assert_string_equal(why.status, c->status);
        assert_span(address.local, "untouched");
        assert_span(rest, "untouched");
        return;
    }
    assert_int_equal(why.kind, ERROR_NONE);
    assert_span(address.local, c->local);
    assert_span(address.domain, c->domain);
    assert_span(rest, c->rest);
    assert_span(address_print(&address, arena), c->printed);
}

static void what_is_printed_parses_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        scoped(arena) arena = arena_new("test", KIB(8));
        struct address address, again;
        struct span rest;
        struct error why;

        if (!address_parse_path(span_of(paths[i].text), paths[i].may_be_null, arena, &address,
                                &rest, &why) ||
            address_is_null(&address))
            continue;
        assert_true(address_parse(address_print(&address, arena), arena, &again, &why));
        assert_true(span_equal(address.local, again.local));
        assert_true(span_equal(address.domain, again.domain));
        assert_true(address_equal(&address, &again));
    }
}

static void a_path_cut_anywhere_is_refused(void **state)
{
    static const struct span whole = SPAN_LITERAL("<@r.example:\"a \\\" b\"@[IPv6:2001:db8::1]>");
    scoped(arena) arena = arena_new("test", KIB(16));
    struct address address;
    struct span rest;
    struct error why;

    (void)state;
    for (size_t len = 0; len <= whole.len; len++)
        assert_int_equal(
            address_parse_path(span_until(whole, len), false, arena, &address, &rest, &why),
            len == whole.len);
}

static void a_full_arena_is_our_own_fault(void **state)
{
    static const char *const texts[] = {"<ann@x.example>", "<\"a b\"@x.example>"};

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct address address;
        struct span rest;
        struct error why;

        for (size_t limit = 0; limit <= 16; limit += 16) {
            scoped(arena) arena = arena_new("test", limit);

            assert_false(address_parse_path(span_of(texts[i]), true, arena, &address, &rest, &why));
            assert_int_equal(why.kind, ERROR_INTERNAL);
            assert_string_equal(why.status, "4.3.0");
        }
    }
}

static void print_into_a_full_arena_gives_null(void **state)
{
    struct address address = {SPAN_LITERAL("a"), SPAN_LITERAL("x.example")};
    scoped(arena) arena = arena_new("test", 0);

    (void)state;
    assert_null(address_print(&address, arena).data);
}

static const struct mailbox_case {
    const char *name, *text;
    bool is_address;
} mailboxes[] = {
    {"a mailbox", "a@x.example", true},
    {"postmaster", "postmaster", true},
    {"nothing", "", false},
    {"brackets", "<a@x.example>", false},
    {"a blank at its end", "a@x.example ", false},
    {"a blank at its start", " a@x.example", false},
    {"no domain", "ann", false},
    {"a domain alone", "@x.example", false},
    {"a route", "@r.example:a@x.example", false},
};

static void mailbox_is_read(void **state)
{
    const struct mailbox_case *c = *state;
    scoped(arena) arena = arena_new("test", KIB(4));
    struct address address;
    struct error why = {0};

    assert_int_equal(address_parse(span_of(c->text), arena, &address, &why), c->is_address);
    if (!c->is_address)
        assert_string_equal(why.status, "5.1.3");
}

static const struct equal_case {
    const char *name, *a, *b;
    bool are_equal;
} equals[] = {
    {"a domain's case does not count", "a@partner.example", "a@PARTNER.Example", true},
    {"a local part's does", "a@x.example", "A@x.example", false},
    {"but for postmaster", "postmaster@x.example", "POSTmaster@x.example", true},
    {"postmaster of another domain", "postmaster@x.example", "postmaster@y.example", false},
    {"needless quotes do not count", "\"plain\"@x.example", "plain@x.example", true},
    {"a final dot does not count", "a@x.example.", "a@x.example", true},
    {"another local part", "a@x.example", "b@x.example", false},
    {"postmaster and somebody", "postmaster@x.example", "b@x.example", false},
    {"somebody and postmaster", "b@x.example", "postmaster@x.example", false},
};

static void addresses_are_compared(void **state)
{
    const struct equal_case *c = *state;
    scoped(arena) arena = arena_new("test", KIB(4));
    struct address a, b;
    struct error why;

    assert_true(address_parse(span_of(c->a), arena, &a, &why));
    assert_true(address_parse(span_of(c->b), arena, &b, &why));
    assert_int_equal(address_equal(&a, &b), c->are_equal);
    assert_int_equal(address_equal(&b, &a), c->are_equal);
}

static const struct name_case {
    const char *name, *text;
    bool is_domain, is_helo;
} names[] = {
    {"a host name", "mx1.clinic.example", true, true},
    {"one label", "localhost", true, true},
    {"capitals", "LAPTOP", true, true},
    {"an underscore", "my_pc.local", true, true},
    {"S74: a trailing hyphen", "cabinet-nord-.example", false, true},
    {"a leading hyphen", "-rf.example", false, true},
    {"S74: two dots", "a..b", false, true},
    {"a final dot", "a.example.", false, true},
    {"a dot at the start", ".example", false, true},
    {"nothing", "", false, false},
    {"S74: a blank inside", "ex ample", false, false},
    {"a tab", "a\tb", false, false},
    {"an address literal", "[192.0.2.1]", false, true},
    {"an IPv6 literal", "[IPv6:2001:db8::1]", false, true},
    {"an address without brackets", "192.0.2.1", false, true},
    {"an address that a careless resolver reads", "127.1", false, true},
    {"a number", "1", false, true},
    {"digits in the last label", "host.example1", true, true},
    {"an 8-bit byte", "b\xc3\xbcro.example", false, false},
    {"a control", "a\x01", false, false},
    {"DEL", "a\x7f", false, false},
    {"a parenthesis", "a(b", false, true},
    {"a label of 63", LABEL_63 ".example", true, true},
    {"a label of 64", LABEL_63 "a.example", false, true},
    {"255 bytes", LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63, true, true},
    {"S74: more than 255 bytes", LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63 ".a", false,
     false},
};

static void name_is_judged(void **state)
{
    const struct name_case *c = *state;

    assert_int_equal(domain_is_valid(span_of(c->text)), c->is_domain);
    assert_int_equal(helo_name_is_tolerable(span_of(c->text)), c->is_helo);
}

static void a_nul_is_nowhere_an_address(void **state)
{
    static const struct span texts[] = {
        SPAN_LITERAL("a\0b@x.example"), SPAN_LITERAL("a@x\0.example"),
        SPAN_LITERAL("\"a\0b\"@x.example"), SPAN_LITERAL("a@[192.0.2.1\0]")};
    scoped(arena) arena = arena_new("test", KIB(4));
    struct address address;
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_false(address_parse(texts[i], arena, &address, &why));
    assert_false(domain_is_valid(SPAN_LITERAL("a\0b")));
    assert_false(helo_name_is_tolerable(SPAN_LITERAL("a\0b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_parses_back),
        cmocka_unit_test(a_path_cut_anywhere_is_refused),
        cmocka_unit_test(a_full_arena_is_our_own_fault),
        cmocka_unit_test(print_into_a_full_arena_gives_null),
        cmocka_unit_test(a_nul_is_nowhere_an_address),
    };

    return run_table("paths", paths, path_is_read) +
           run_table("mailboxes", mailboxes, mailbox_is_read) +
           run_table("equality", equals, addresses_are_compared) +
           run_table("names", names, name_is_judged) +
           cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}
