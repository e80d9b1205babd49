/* The owner of a private key signs with it, and refuses keys of no use. */
/* SPDX-License-Identifier: ISC */
#include "cmocka_house.h"

#include "net/tls.h"
#include "tls_lab.h"

#include <openssl/sha.h>

static const struct key_case {
    const char *name;
    struct lab_wish wish;
    bool is_accepted;
} keys[] = {
    {"P-256", {.curve = "P-256"}, true},
    {"P-384", {.curve = "P-384"}, true},
    {"P-521", {.curve = "P-521"}, true},
    {"RSA of 2048 bits", {.rsa_bits = 2048}, true},
    {"RSA of 1024 bits", {.rsa_bits = 1024}, false},
    {"a curve outside of NIST's", {.curve = "secp256k1"}, false},
    {"a curve too small", {.curve = "P-224"}, false},
};

static void a_key_is_accepted_or_refused(void **state)
{
    const struct key_case *c = *state;
    struct lab_certificate lab = lab_make(c->wish), other = lab_make((struct lab_wish){0});
    scoped(tls_key) key = NULL;
    struct error why = {0};

    assert_int_equal(tls_key_parse(span_of(lab.key_pem), &key, &why), c->is_accepted);
    if (c->is_accepted) {
        assert_true(tls_key_fits(key, span_of(lab.pem)));
        assert_false(tls_key_fits(key, span_of(other.pem)));
        assert_false(tls_key_fits(key, span_of("no certificate")));
    } else {
        assert_null(key);
        assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    }
    lab_forget(&lab);
    lab_forget(&other);
}

static void an_ec_key_signs_a_digest(void **state)
{
    struct lab_certificate lab = lab_make((struct lab_wish){0});
    scoped(tls_key) key = NULL;
    struct error why;
    uint8_t digest[32] = {1, 2, 3}, signature[TLS_SIGNATURE_MAX];
    size_t len = 0;
    EVP_PKEY_CTX *context;

    (void)state;
    assert_true(tls_key_parse(span_of(lab.key_pem), &key, &why));
    assert_true(tls_key_sign(key, span_make(digest, sizeof digest), signature, &len));
    context = EVP_PKEY_CTX_new(lab.key, NULL);
    assert_int_equal(EVP_PKEY_verify_init(context), 1);
    assert_int_equal(EVP_PKEY_verify(context, signature, len, digest, sizeof digest), 1);
    EVP_PKEY_CTX_free(context);
    lab_forget(&lab);
}

static void an_rsa_key_signs_a_whole_block_only(void **state)
{
    struct lab_certificate lab = lab_make((struct lab_wish){.rsa_bits = 2048});
    scoped(tls_key) key = NULL;
    struct error why;
    uint8_t block[256] = {0, 1, 0xff}, signature[TLS_SIGNATURE_MAX], back[256];
    size_t len = 0, back_len = sizeof back;
    EVP_PKEY_CTX *context;

    (void)state;
    assert_true(tls_key_parse(span_of(lab.key_pem), &key, &why));
    assert_true(tls_key_sign(key, span_make(block, sizeof block), signature, &len));
    assert_int_equal(len, 256);
    context = EVP_PKEY_CTX_new(lab.key, NULL);
    assert_int_equal(EVP_PKEY_encrypt_init(context), 1);
    EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING);
    assert_int_equal(EVP_PKEY_encrypt(context, back, &back_len, signature, len), 1);
    assert_memory_equal(back, block, sizeof block);
    EVP_PKEY_CTX_free(context);
    len = 7;
    assert_false(tls_key_sign(key, span_make(block, 255), signature, &len));
    assert_false(tls_key_sign(key, span_make(block, 32), signature, &len));
    assert_int_equal(len, 7);
    lab_forget(&lab);
}

static void a_key_behind_a_passphrase_is_refused_without_asking(void **state)
{
    struct lab_certificate lab = lab_make((struct lab_wish){0});
    BIO *out = BIO_new(BIO_s_mem());
    struct tls_key *key = NULL;
    struct error why;
    char *pem;

    (void)state;
    PEM_write_bio_PrivateKey(out, lab.key, EVP_aes_128_cbc(), NULL, 0, NULL, "words");
    pem = lab_text(out);
    assert_false(tls_key_parse(span_of(pem), &key, &why));
    assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    free(pem);
    lab_forget(&lab);
}

static void no_cut_of_a_key_is_a_key(void **state)
{
    struct lab_certificate lab = lab_make((struct lab_wish){0});
    size_t whole = strlen(lab.key_pem) - 1; /* the last line end is not needed */

    (void)state;
    for (size_t len = 0; len < whole; len++) {
        struct tls_key *key = NULL;
        struct error why;

        assert_false(tls_key_parse(span_make(lab.key_pem, len), &key, &why));
        assert_null(key);
    }
    lab_forget(&lab);
}

static void a_fingerprint_is_the_hash_of_the_first_certificate(void **state)
{
    struct lab_certificate lab = lab_make((struct lab_wish){0});
    unsigned char *der = NULL, wanted[TLS_FINGERPRINT_BYTES];
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES] = {0};
    int len = i2d_X509(lab.certificate, &der);
    struct error why;

    (void)state;
    SHA256(der, (size_t)len, wanted);
    OPENSSL_free(der);
    assert_true(tls_fingerprint(span_of(lab.pem), fingerprint, &why));
    assert_memory_equal(fingerprint, wanted, sizeof wanted);
    assert_false(tls_fingerprint(span_of(lab.key_pem), fingerprint, &why));
    assert_int_equal(why.kind, ERROR_IMPOSSIBLE);
    assert_false(tls_fingerprint((struct span){NULL, 0}, fingerprint, &why));
    for (size_t cut = 0; cut < strlen(lab.pem) - 1; cut++)
        assert_false(tls_fingerprint(span_make(lab.pem, cut), fingerprint, &why));
    assert_memory_equal(fingerprint, wanted, sizeof wanted);
    lab_forget(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ec_key_signs_a_digest),
        cmocka_unit_test(an_rsa_key_signs_a_whole_block_only),
        cmocka_unit_test(a_key_behind_a_passphrase_is_refused_without_asking),
        cmocka_unit_test(no_cut_of_a_key_is_a_key),
        cmocka_unit_test(a_fingerprint_is_the_hash_of_the_first_certificate),
    };
    return cmocka_run_group_tests_name("tls_key", tests, NULL, NULL) +
           run_table("keys", keys, a_key_is_accepted_or_refused);
}
