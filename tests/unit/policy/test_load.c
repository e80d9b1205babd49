/* Loading: settings, files, many errors at once, and a policy that threads share. */
/* SPDX-License-Identifier: ISC */
#include "policy_house.h"

#include "base/descriptor.h"

#include <stdio.h>
#include <unistd.h>

static const char whole_policy[] =
    "hostname \"mx.clinic.example\"\n"
    "state \"/var/lib/letterlock\"\n"
    "certificate \"c\" key \"/secret/key.pem\"\n"
    "trust anchor \"anchor\"\n"
    "resolver \"127.0.0.1 port 5353\"\n"
    "master key credential \"letterlock\"\n"
    "administrator \"postmaster@clinic.example\"\n"
    "largest message 25 MB\n"
    "listen smtp port 25\n"
    "listen submission port 587 on \"192.0.2.1\" trusting certificate ehr\n"
    "listen relay port 26 on \"10.0.0.1\" trusting network \"10.0.0.0/8\"\n"
    "listen submissions port 465 trusting certificate "
    "\"SHA256:00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\"\n"
    "domains \"clinic.example\"\n"
    "list ehr { \"EHR.clinic.example\", \"lab.clinic.example\" }\n"
    "list partners from \"partners.txt\"\n"
    "ladder safe { tls verify for 4 hours, hold }\n"
    "route \"clinic.example\" to lmtp \"unix:/run/lmtp\"\n"
    "send \"partners\" when to partners by { tls secure named \"mx.partner.example\", return }\n"
    "send \"everything else\" by safe\n";

static void settings_are_read(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    struct policy_complaints complaints;
    scoped(policy) policy = load_text(whole_policy, arena, &complaints);
    assert_non_null(policy);
    const struct settings *s = policy_settings(policy);

    assert_span(s->hostname, "mx.clinic.example");
    assert_span(s->state_directory, "/var/lib/letterlock");
    assert_span(s->certificate_path, "c");
    assert_span(s->certificate_pem, "the chain");
    assert_span(s->key_path, "/secret/key.pem"); /* named, never read: it is on no shelf */
    assert_span(s->roots_path, "/etc/ssl/certs/ca-certificates.crt");
    assert_span(s->roots_pem, "the roots");
    assert_span(s->trust_anchors, "the anchor");
    assert_span(s->resolver.host, "127.0.0.1");
    assert_int_equal(s->resolver.port, 5353);
    assert_int_equal(s->master_key, MASTER_KEY_CREDENTIAL);
    assert_span(s->master_key_source, "letterlock");
    assert_span(s->administrator, "postmaster@clinic.example");
    assert_int_equal(s->largest_message, 25 << 20);
    assert_int_equal(s->laboratory.host.len, 0);
    assert_int_equal(s->listener_count, 4);
    assert_int_equal(s->listeners[0].kind, LISTENER_SMTP);
    assert_span(s->listeners[0].address, "::");
    assert_int_equal(s->listeners[0].trust, TRUST_NOBODY);
    assert_int_equal(s->listeners[1].trusted_count, 2);
    assert_span(s->listeners[1].trusted[0], "ehr.clinic.example");
    assert_int_equal(s->listeners[2].trust, TRUST_NETWORK);
    assert_span(s->listeners[2].trusted[0], "10.0.0.0/8");
    assert_int_equal(s->listeners[2].line, 11);
    assert_span(s->listeners[3].trusted[0],
                "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
}

static void what_is_left_out_has_a_default(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    scoped(policy) policy = must_load("", arena);
    const struct settings *s = policy_settings(policy);

    assert_int_equal(s->largest_message, 50 << 20);
    assert_span(s->roots_path, "/etc/ssl/certs/ca-certificates.crt");
    assert_int_equal(s->resolver.host.len, 0);
    assert_int_equal(s->master_key, MASTER_KEY_PASSPHRASE);
    assert_int_equal(s->trust_anchors.len, 0);
}

static const struct missing_case {
    const char *name, *text, *message;
} missing[] = {
    {"hostname",
     "state \"/s\" certificate \"c\" key \"k\" master key passphrase listen smtp port 25",
     "`hostname` is missing"},
    {"state",
     "hostname \"x.example\" certificate \"c\" key \"k\" master key passphrase listen smtp port 25",
     "`state` is missing"},
    {"certificate", "hostname \"x.example\" state \"/s\" master key passphrase listen smtp port 25",
     "`certificate` is missing"},
    {"master key",
     "hostname \"x.example\" state \"/s\" certificate \"c\" key \"k\" listen smtp port 25",
     "`master key` is missing"},
    {"listen",
     "hostname \"x.example\" state \"/s\" certificate \"c\" key \"k\" master key passphrase",
     "`listen` is missing"},
    {"the certificate's file",
     "hostname \"x.example\" state \"/s\" certificate \"gone\" key \"k\" master key passphrase "
     "listen smtp port 25",
     "cannot read the file of the certificate: there is no such file"},
    {"the file of the roots",
     "hostname \"x.example\" state \"/s\" certificate \"c\" key \"k\" master key passphrase "
     "roots \"gone\" listen smtp port 25",
     "cannot read the file of the root certificates"},
    {"the file of the trust anchors",
     "hostname \"x.example\" state \"/s\" certificate \"c\" key \"k\" master key passphrase "
     "trust anchor \"gone\" listen smtp port 25",
     "cannot read the file of the trust anchors"},
    {"bytes that are not UTF-8", "hostname \"\xC3\x28\"", "not UTF-8"},
    {"a character cut at the end", "hostname \"x.example\" # \xC3", "not UTF-8"},
    {"half a surrogate pair", "# \xED\xA0\x80", "not UTF-8"},
    {"a character written too long", "# \xC0\xAF", "not UTF-8"},
    {"a character beyond Unicode", "# \xF4\x90\x80\x80", "not UTF-8"},
    {"a byte order mark", "\xEF\xBB\xBFhostname \"x.example\"", "byte order mark"},
};

static void what_is_missing_is_told(void **state)
{
    const struct missing_case *c = *state;
    scoped(arena) arena = arena_new("test", MIB(4));
    struct policy_complaints complaints;
    scoped(policy) policy = load_text(c->text, arena, &complaints);

    assert_null(policy);
    assert_int_equal(complaints.error_count, 1);
    assert_true(span_has(complaints.list[0].text, c->message));
}

static void key_file_is_warned_of(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    struct policy_complaints complaints;
    scoped(policy) policy =
        load_text("hostname \"x.example\" state \"/s\" certificate \"c\" key \"k\" "
                  "master key file \"/k\" listen smtp port 25",
                  arena, &complaints);

    assert_non_null(policy);
    assert_int_equal(complaints.count, 1);
    assert_true(span_has(complaints.list[0].text, "a key file beside the data protects little"));
}

static void laboratory_is_said_first(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    struct policy_complaints complaints;
    scoped(policy) policy =
        load_text("hostname \"x.example\" state \"/s\" certificate \"c\" key \"k\"\n"
                  "listen relay port 2525 on \"127.0.0.1\"\nmaster key file \"/k\"\n"
                  "laboratory \"127.0.0.0/8\" port 2500\n",
                  arena, &complaints);

    assert_non_null(policy);
    assert_int_equal(complaints.count, 3);
    assert_int_equal(complaints.list[0].line, 4);
    assert_true(span_has(complaints.list[0].text, "127.0.0.0/8 count as public"));
    assert_true(span_has(complaints.list[0].text, "port 2500"));
    assert_int_equal(complaints.list[1].line, 2);
    assert_span(policy_settings(policy)->laboratory.host, "127.0.0.0/8");
}

/* ---- many errors ---- */

static void reading_goes_on_behind_an_error(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    struct policy_complaints complaints;
    scoped(policy) policy =
        load_after_needed("ladder safe {\n  tls verfy,\n  hold\n}\n"        /* line 3 */
                          "organisation \"A\" {\n  domians \"a.example\"\n" /* line 7 */
                          "  send \"x\" by { tls verify, return }\n}\n"
                          "refuse \"y\" when size over 5\n" /* line 10: no unit, seen in line 11 */
                          "hold \"z\" whn size over 1 MB\n" /* line 11 */
                          "send \"last\" by { tls verify }\n",
                          arena, &complaints);
    static const unsigned lines[] = {3, 7, 11, 11};

    assert_null(policy);
    assert_int_equal(complaints.error_count, COUNT(lines));
    for (size_t i = 0; i < COUNT(lines); i++)
        assert_int_equal(complaints.list[i].line, lines[i]);
}

static void a_run_tells_ten_errors(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    struct policy_complaints complaints;
    scoped(policy) policy = load_text(
        "state\nstate\nstate\nstate\nstate\nstate\nstate\nstate\nstate\nstate\nstate\nstate\n",
        arena, &complaints);

    assert_null(policy);
    assert_int_equal(complaints.error_count, POLICY_ERRORS_MAX);
}

static void caret_stands_below_its_character(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    struct policy_complaints complaints;
    scoped(policy) policy =
        load_after_needed("\trefuse \"äö\"\twhn size over 1 MB\n", arena, &complaints);
    scoped_buffer out;

    buffer_init(&out, KIB(4));
    policy_complaints_print(&complaints, SPAN_LITERAL("a.conf"), &out);
    assert_span(buffer_span(&out),
                "a.conf:2:14: error: expected the first word of a statement, found `whn`; did you "
                "mean `when`?\n"
                "\trefuse \"äö\"\twhn size over 1 MB\n"
                "\t           \t^\n");
    assert_null(policy);
}

static void policy_cut_anywhere_loads_or_complains(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof whole_policy; len++) {
        scoped(arena) arena = arena_new("test", MIB(4));
        struct policy_complaints complaints;
        scoped(policy) policy = policy_load(SPAN_LITERAL("cut"), span_make(whole_policy, len),
                                            &shelf_reader, now_ms, arena, &complaints);

        assert_int_equal(policy == NULL, complaints.error_count > 0);
    }
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    bool loaded = false;

    for (unsigned n = 1; n < 400 && !loaded; n++) {
        scoped(arena) arena = arena_new("test", MIB(4));
        struct policy_complaints complaints;

        memory_fail_after(n);
        scoped(policy) policy = load_text(whole_policy, arena, &complaints);
        loaded = policy != NULL;
        assert_int_equal(policy == NULL, complaints.error_count > 0);
        memory_fail_after(0);
    }
    assert_true(loaded);
}

static void too_large_a_file_is_refused(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(16));
    struct policy_complaints complaints;
    char *text = test_malloc(POLICY_TEXT_MAX + 1);

    memset(text, '\n', POLICY_TEXT_MAX + 1);
    assert_null(policy_load(SPAN_LITERAL("x"), span_make(text, POLICY_TEXT_MAX + 1), &shelf_reader,
                            now_ms, arena, &complaints));
    assert_true(span_has(complaints.list[0].text, "larger than"));
    test_free(text);
}

/* ---- sharing, digests, files ---- */

static void shared_policy_lives_until_its_last_user(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    scoped(policy) policy = load_text(whole_policy, arena, NULL);
    struct policy *shared = policy_ref(policy);

    assert_ptr_equal(shared, policy);
    policy_free(shared);
    assert_span(policy_settings(policy)->hostname, "mx.clinic.example");
    policy_free(NULL);
}

struct one_file {
    struct span text;
};
static bool read_one(void *self, struct span path, size_t limit, struct arena *arena,
                     struct span *text, struct error *why)
{
    struct one_file *file = self;

    if (!span_equal(path, SPAN_LITERAL("list.txt")))
        return read_shelf(NULL, path, limit, arena, text, why);
    *text = arena_copy(arena, file->text);
    return text->data || error_set(why, ERROR_TEMPORARY, "", "no memory");
}

static struct policy *load_with_list(struct span list, struct arena *arena)
{
    struct one_file file = {list};
    const struct policy_reader reader = {.read = read_one, .self = &file};
    struct policy_complaints complaints;

    return policy_load(SPAN_LITERAL("x"),
                       SPAN_LITERAL(NEEDED "list l from \"list.txt\"\nrefuse \"x\" when to l\n"),
                       &reader, now_ms, arena, &complaints);
}

static void digest_covers_what_lists_hold(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(4));
    scoped(policy) one = load_with_list(SPAN_LITERAL("a.example\n"), arena);
    scoped(policy) same = load_with_list(SPAN_LITERAL("a.example\n"), arena);
    scoped(policy) other = load_with_list(SPAN_LITERAL("b.example\n"), arena);
    scoped_buffer text_of_one, text_of_other;

    buffer_init(&text_of_one, KIB(64));
    buffer_init(&text_of_other, KIB(64));
    policy_print(one, &text_of_one);
    policy_print(other, &text_of_other);
    assert_true(span_equal(buffer_span(&text_of_one), buffer_span(&text_of_other)));
    assert_memory_equal(policy_digest(one), policy_digest(same), POLICY_DIGEST_BYTES);
    assert_memory_not_equal(policy_digest(one), policy_digest(other), POLICY_DIGEST_BYTES);
}

static void large_list_is_searched(void **state)
{
    (void)state;
    enum { ENTRIES = 100000 };
    scoped(arena) arena = arena_new("test", MIB(16));
    scoped_buffer text;
    struct decision decision;

    buffer_init(&text, MIB(8));
    for (unsigned i = 0; i < ENTRIES; i++)
        buffer_append_format(&text,
                             i % 3 == 0   ? "d%u.example\n"
                             : i % 3 == 1 ? ".d%u.example\n"
                                          : "\"a b\"@d%u.example\n",
                             i);
    scoped(policy) policy = load_with_list(buffer_span(&text), arena);
    assert_non_null(policy);
    for (unsigned i = 0; i < ENTRIES; i++) {
        char domain[64];
        struct facts facts = {.to = {SPAN_LITERAL("a b"), {0}}};

        snprintf(domain, sizeof domain, "%sd%u.example", i % 3 == 1 ? "x." : "", i);
        facts.to.domain = span_of(domain);
        policy_decide(policy, &facts, NULL, 0, &decision);
        assert_int_equal(decision.kind, DECISION_REFUSE);
        facts.to.domain = span_from(facts.to.domain, i % 3 == 1 ? 2 : 1);
        policy_decide(policy, &facts, NULL, 0, &decision);
        assert_int_equal(decision.kind, DECISION_HOLD);
    }
}

static void files_are_read_beside_the_policy(void **state)
{
    (void)state;
    char folder[] = "/tmp/letterlock-test-XXXXXX", path[64], list[64];
    scoped(arena) arena = arena_new("test", KIB(64));
    struct span text;
    struct error why;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/policy.conf", folder);
    snprintf(list, sizeof list, "%s/list.txt", folder);
    FILE *file = fopen(list, "w");
    assert_non_null(file);
    fputs("x.example\n", file);
    fclose(file);
    const struct policy_reader reader = policy_reader_of_disk(path);
    assert_true(reader.read(reader.self, SPAN_LITERAL("list.txt"), 100, arena, &text, &why));
    assert_span(text, "x.example\n");
    assert_true(reader.read(reader.self, span_of(list), 100, arena, &text, &why));
    assert_false(reader.read(reader.self, SPAN_LITERAL("list.txt"), 5, arena, &text, &why));
    assert_false(reader.read(reader.self, SPAN_LITERAL("gone.txt"), 100, arena, &text, &why));
    assert_false(reader.read(reader.self, SPAN_LITERAL("a\0b"), 100, arena, &text, &why));
    unlink(list);
    rmdir(folder);
}

/* ---- the page for administrators ---- */

/* The page speaks of files that are on no shelf. */
static bool read_anything(void *self, struct span path, size_t limit, struct arena *arena,
                          struct span *text, struct error *why)
{
    (void)self;
    (void)path;
    *text = arena_copy(arena, span_until(SPAN_LITERAL("some text"), limit));
    return text->data || error_set(why, ERROR_TEMPORARY, "", "no memory");
}

/* Every block fenced with ```policy is a whole file, with ```policy-part a part of one. */
static void examples_of_the_page_load(void **state)
{
    (void)state;
    scoped(arena) arena = arena_new("test", MIB(16));
    struct span rest, line, page;
    struct error why;
    size_t examples = 0;

    assert_true(file_read(POLICY_PAGE, MIB(1), arena, &page, &why));
    rest = page;
    while (span_split(rest, '\n', &line, &rest)) {
        const bool is_part = span_equal(line, SPAN_LITERAL("```policy-part"));
        const char *begin = rest.data;

        if (!is_part && !span_equal(line, SPAN_LITERAL("```policy")))
            continue;
        while (span_split(rest, '\n', &line, &rest) && !span_equal(line, SPAN_LITERAL("```")))
            continue;
        const struct span text = span_make(begin, (size_t)(line.data - begin));
        struct policy_complaints complaints;
        const struct policy_reader reader = {.read = read_anything};
        const struct span whole =
            arena_format(arena, "%s%s", is_part ? NEEDED : "", arena_string(arena, text));
        scoped(policy) policy =
            policy_load(SPAN_LITERAL("page"), whole, &reader, now_ms, arena, &complaints);

        for (size_t i = 0; i < complaints.count && !policy; i++)
            print_error("%.*s\n%.*s\n", SPAN_ARGS(complaints.list[i].text),
                        SPAN_ARGS(complaints.list[i].source_line));
        assert_non_null(policy);
        examples++;
    }
    assert_true(examples > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_read),
        cmocka_unit_test(what_is_left_out_has_a_default),
        cmocka_unit_test(key_file_is_warned_of),
        cmocka_unit_test(laboratory_is_said_first),
        cmocka_unit_test(reading_goes_on_behind_an_error),
        cmocka_unit_test(a_run_tells_ten_errors),
        cmocka_unit_test(caret_stands_below_its_character),
        cmocka_unit_test(policy_cut_anywhere_loads_or_complains),
        cmocka_unit_test(memory_that_runs_out_is_told),
        cmocka_unit_test(too_large_a_file_is_refused),
        cmocka_unit_test(shared_policy_lives_until_its_last_user),
        cmocka_unit_test(digest_covers_what_lists_hold),
        cmocka_unit_test(large_list_is_searched),
        cmocka_unit_test(files_are_read_beside_the_policy),
        cmocka_unit_test(examples_of_the_page_load),
    };
    return run_table("what is missing", missing, what_is_missing_is_told) +
           cmocka_run_group_tests_name("loading", tests, NULL, NULL);
}
