/* A policy with all its files goes through a sealed memfd and comes out the same. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/descriptor.h"
#include "base/memory.h"
#include "bundle.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static char directory[64];

static const char policy_text[] = "hostname \"mx.gateway.example\"\n"
                                  "state \"/var/lib/letterlock\"\n"
                                  "roots \"roots.pem\"\n"
                                  "master key credential \"letterlock\"\n"
                                  "domains \"clinic.example\"\n"
                                  "listen smtp port 25\n"
                                  "certificate \"chain.pem\" key \"key.pem\"\n"
                                  "list partners from \"partners.txt\"\n"
                                  "hold \"partners\" when to partners\n"
                                  "send \"all\" by { tls verify, return }\n";

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void put_file(const char *name, const char *text)
{
    struct error why;

    assert_true(file_replace(path_of(name), span_of(text), 0600, &why));
}

static struct policy *make(int *fd, struct policy_complaints *complaints, struct arena *arena,
                           struct error *why)
{
    return bundle_make(path_of("policy.conf"), 0, arena, complaints, fd, why);
}

static void a_bundle_loads_without_files(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(32));
    struct policy_complaints complaints;
    scoped_descriptor fd = -1;
    struct error why;
    scoped(policy) made = make(&fd, &complaints, arena, &why);
    struct policy *loaded = NULL;

    (void)state;
    if (!made)
        fail_msg("%.*s", SPAN_ARGS(complaints.count ? complaints.list[0].text : span_of(why.text)));
    for (const char *const *name =
             (const char *const[]){"policy.conf", "roots.pem", "chain.pem", "partners.txt", NULL};
         *name; name++)
        assert_int_equal(unlink(path_of(*name)), 0);
    if (!bundle_load(fd, 0, &loaded, &why))
        fail_msg("%s", why.text);
    assert_memory_equal(policy_digest(loaded), policy_digest(made), POLICY_DIGEST_BYTES);
    assert_true(span_equal(policy_settings(loaded)->certificate_pem,
                           policy_settings(made)->certificate_pem));
    assert_true(policy_settings(loaded)->roots_pem.len > 0);
    policy_free(loaded);
}

static void nobody_can_write_into_a_bundle(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(32));
    struct policy_complaints complaints;
    scoped_descriptor fd = -1;
    struct error why;
    scoped(policy) made = make(&fd, &complaints, arena, &why);

    (void)state;
    assert_non_null(made);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_ptr_equal(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

static void what_is_cut_does_not_load(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(32));
    struct policy_complaints complaints;
    scoped_descriptor fd = -1;
    struct error why;
    scoped(policy) made = make(&fd, &complaints, arena, &why);
    struct span bytes;

    (void)state;
    assert_non_null(made);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_true(descriptor_read_all(fd, MIB(1), arena, &bytes, &why));
    for (size_t len = 0; len < bytes.len; len += 1 + len / 64) {
        scoped_descriptor cut = sealed_memfd("test", span_until(bytes, len), &why);
        struct policy *loaded = NULL;

        assert_true(cut >= 0);
        assert_false(bundle_load(cut, 0, &loaded, &why));
        assert_int_equal(why.kind, ERROR_INTERNAL);
        assert_null(loaded);
    }
}

static void an_error_in_the_policy_is_told_with_its_line(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(32));
    struct policy_complaints complaints;
    int fd = -1;
    struct error why;

    (void)state;
    put_file("policy.conf", "hostname \"mx.gateway.example\"\nsned \"x\" by { hold }\n");
    assert_null(make(&fd, &complaints, arena, &why));
    assert_int_equal(why.kind, ERROR_NONE);
    assert_true(complaints.error_count > 0);
    assert_int_equal(fd, -1);
}

static void a_missing_policy_is_told(void **state)
{
    scoped(arena) arena = arena_new("test", MIB(32));
    struct policy_complaints complaints;
    int fd = -1;
    struct error why;

    (void)state;
    assert_int_equal(unlink(path_of("policy.conf")), 0);
    assert_null(make(&fd, &complaints, arena, &why));
    assert_int_not_equal(why.kind, ERROR_NONE);
    assert_int_equal(complaints.count, 0);
}

static int begin(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/letterlock-bundle-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    put_file("policy.conf", policy_text);
    put_file("roots.pem", "roots\n");
    put_file("chain.pem", "a chain\n");
    put_file("partners.txt", "partner.example\n");
    return 0;
}

static int end(void **state)
{
    char command[96];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_bundle_loads_without_files, begin, end),
        cmocka_unit_test_setup_teardown(nobody_can_write_into_a_bundle, begin, end),
        cmocka_unit_test_setup_teardown(what_is_cut_does_not_load, begin, end),
        cmocka_unit_test_setup_teardown(an_error_in_the_policy_is_told_with_its_line, begin, end),
        cmocka_unit_test_setup_teardown(a_missing_policy_is_told, begin, end),
    };

    return cmocka_run_group_tests_name("bundles", tests, NULL, NULL);
}
