/* The master key and the private key on their way from files to the keeper. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "daemon/master_key.h"
#include "secrets.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64], certificate[4096];
static unsigned warnings;

static const char *path_of(const char *name)
{
    static char path[4][128];
    static unsigned turn;
    char *here = path[turn++ % 4];

    snprintf(here, sizeof path[0], "%s/%s", directory, name);
    return here;
}

static void put_file(const char *name, struct span bytes, mode_t mode)
{
    struct error why;

    assert_true(file_replace(path_of(name), bytes, mode, &why));
    assert_int_equal(chmod(path_of(name), mode), 0);
}

static const struct key_case {
    const char *name;
    struct span file;
    bool is_key;
} keys[] = {
    {"32 bytes are a key", SPAN_LITERAL("0123456789abcdef0123456789abcdef"), true},
    {"64 digits are a key",
     SPAN_LITERAL("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"), true},
    {"64 digits and a line end are a key",
     SPAN_LITERAL("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"), true},
    {"nothing is no key", SPAN_LITERAL(""), false},
    {"31 bytes are no key", SPAN_LITERAL("0123456789abcdef0123456789abcde"), false},
    {"63 digits are no key",
     SPAN_LITERAL("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1"), false},
    {"64 letters are no key",
     SPAN_LITERAL("g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"), false},
};

static void a_file_holds_a_key_or_not(void **state)
{
    const struct key_case *c = *state;
    scoped_buffer key;
    struct error why;

    buffer_init_secret(&key, 64);
    put_file("master", c->file, 0600);
    assert_int_equal(master_key_read_file(path_of("master"), &key, &why), c->is_key);
    assert_int_equal(key.len, c->is_key ? KEY_BYTES : 0);
}

static void count_warning(void *self, struct span line)
{
    (void)self;
    (void)line;
    warnings++;
}

static void a_key_that_others_can_read_is_warned_of(void **state)
{
    scoped_buffer key;
    struct error why;

    (void)state;
    buffer_init_secret(&key, 64);
    put_file("master", SPAN_LITERAL("0123456789abcdef0123456789abcdef"), 0640);
    warnings = 0;
    log_divert(count_warning, NULL);
    assert_true(master_key_read_file(path_of("master"), &key, &why));
    log_divert(NULL, NULL);
    assert_int_equal(warnings, 1);
}

static void make_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    FILE *file;

    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
    file = fmemopen(certificate, sizeof certificate, "w");
    PEM_write_X509(file, x509);
    fclose(file);
    file = fopen(path_of("key.pem"), "w");
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    file = fopen(path_of("other.pem"), "w");
    PEM_write_PrivateKey(file, other, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    chmod(path_of("key.pem"), 0600);
    chmod(path_of("other.pem"), 0600);
    X509_free(x509);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static struct settings settings_with(const char *key)
{
    return (struct settings){.certificate_path = SPAN_LITERAL("chain.pem"),
                             .certificate_pem = span_of(certificate),
                             .key_path = span_of(key),
                             .master_key = MASTER_KEY_FILE,
                             .master_key_source = SPAN_LITERAL("master")};
}

static void what_is_gathered_is_received(void **state)
{
    scoped(arena) arena = arena_new_secret("test", MIB(1));
    struct settings settings = settings_with("key.pem");
    scoped_descriptor fd = -1;
    struct secrets secrets;
    struct error why;

    (void)state;
    put_file("master", SPAN_LITERAL("0123456789abcdef0123456789abcdef"), 0600);
    if (!secrets_gather(&settings, path_of("policy.conf"), &fd, &why))
        fail_msg("%s", why.text);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    for (unsigned again = 0; again < 2; again++) { /* a keeper that is started again gets it too */
        assert_true(secrets_receive(fd, arena, &secrets, &why));
        assert_int_equal(secrets.master.kind, KEEPER_MASTER_RAW);
        assert_true(
            span_equal(secrets.master.secret, SPAN_LITERAL("0123456789abcdef0123456789abcdef")));
        assert_true(span_starts_with(secrets.key_pem, SPAN_LITERAL("-----BEGIN PRIVATE KEY")));
    }
}

static void a_key_of_another_certificate_is_refused(void **state)
{
    struct settings settings = settings_with("other.pem");
    int fd = -1;
    struct error why;

    (void)state;
    assert_false(secrets_gather(&settings, path_of("policy.conf"), &fd, &why));
    assert_non_null(strstr(why.text, "is not that of the certificate"));
    assert_int_equal(fd, -1);
}

static void no_master_key_is_refused(void **state)
{
    struct settings settings = settings_with("key.pem");
    int fd = -1;
    struct error why;

    (void)state;
    settings.master_key = MASTER_KEY_NONE;
    assert_false(secrets_gather(&settings, path_of("policy.conf"), &fd, &why));
    assert_non_null(strstr(why.text, "names no master key"));
}

static void a_credential_is_read_where_the_service_manager_put_it(void **state)
{
    struct settings settings = settings_with("key.pem");
    scoped_descriptor fd = -1;
    struct error why;

    (void)state;
    settings.master_key = MASTER_KEY_CREDENTIAL;
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_false(secrets_gather(&settings, path_of("policy.conf"), &fd, &why));
    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    assert_true(secrets_gather(&settings, path_of("policy.conf"), &fd, &why));
    unsetenv("CREDENTIALS_DIRECTORY");
}

static int begin(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/letterlock-secrets-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    make_certificate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_others_can_read_is_warned_of),
        cmocka_unit_test(what_is_gathered_is_received),
        cmocka_unit_test(a_key_of_another_certificate_is_refused),
        cmocka_unit_test(no_master_key_is_refused),
        cmocka_unit_test(a_credential_is_read_where_the_service_manager_put_it),
    };
    char command[128];
    int failures;

    if (begin(NULL) != 0)
        return 1;
    failures = run_table("keys", keys, a_file_holds_a_key_or_not) +
               cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return failures + (system(command) != 0);
}
