/* Our use of libcrypto against the vectors of the RFCs. */
/* SPDX-License-Identifier: ISC */
#include "crypto.h"

#include "base/wire.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void from_hex(const char *hex, void *out, size_t len)
{
    assert_true(hex_parse(span_of(hex), out, len));
}

static void assert_hex(const void *bytes, size_t len, const char *hex)
{
    char text[2 * 200 + 1];

    assert_true(len <= 200);
    hex_print(bytes, len, text);
    assert_string_equal(text, hex);
}

/* RFC 4231, cases whose key is no longer than a block. */
static const struct {
    const char *key, *text, *mac;
} macs[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
};

static void hmac_is_as_in_rfc_4231(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof macs / sizeof macs[0]; i++) {
        uint8_t key[64], text[64], mac[32];
        size_t key_len = strlen(macs[i].key) / 2, len = strlen(macs[i].text) / 2;
        struct hmac hmac;

        from_hex(macs[i].key, key, key_len);
        from_hex(macs[i].text, text, len);
        hmac_begin(&hmac, key, key_len);
        hmac_add(&hmac, text, 3);
        hmac_add(&hmac, text + 3, len - 3);
        hmac_end(&hmac, mac);
        assert_hex(mac, sizeof mac, macs[i].mac);
    }
}

/* RFC 5869, appendix A: the first block of the output. Case 3's info is empty; those of 1 and 2 are
 * no text for `label`, so case 1 is made by its parts. */
static void subkey_is_hkdf_expand_as_in_rfc_5869(void **state)
{
    struct key prk, out;
    uint8_t info[10], one = 1;
    struct hmac hmac;

    (void)state;
    from_hex("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04", prk.bytes, 32);
    subkey(&prk, "", &out);
    assert_hex(out.bytes, 32, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");

    from_hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", prk.bytes, 32);
    from_hex("f0f1f2f3f4f5f6f7f8f9", info, sizeof info);
    hmac_begin(&hmac, prk.bytes, 32);
    hmac_add(&hmac, info, sizeof info);
    hmac_add(&hmac, &one, 1);
    hmac_end(&hmac, out.bytes);
    assert_hex(out.bytes, 32, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

static void different_labels_make_different_subkeys(void **state)
{
    struct key key = {{1}}, a, b;

    (void)state;
    subkey(&key, LABEL_CONTENT, &a);
    subkey(&key, LABEL_TEXT, &b);
    assert_memory_not_equal(a.bytes, b.bytes, KEY_BYTES);
    assert_memory_not_equal(a.bytes, key.bytes, KEY_BYTES);
}

static void key_wrap_is_as_in_rfc_3394(void **state)
{
    struct key under, plain, opened;
    uint8_t wrapped[WRAPPED_KEY_BYTES];
    struct wrapper wrapper;

    (void)state;
    assert_true(wrapper_init(&wrapper));
    from_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", under.bytes, 32);
    from_hex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f", plain.bytes, 32);
    for (int twice = 0; twice < 2; twice++) { /* the contexts are used again */
        key_wrap(&wrapper, &under, &plain, wrapped);
        assert_hex(wrapped, sizeof wrapped,
                   "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd"
                   "21");
        assert_true(key_unwrap(&wrapper, &under, wrapped, &opened));
        assert_memory_equal(&opened, &plain, sizeof plain);
    }
    wrapper_clear(&wrapper);
}

/* The two implementations must not be able to tell each other's keys from their own. */
static void many_keys_are_wrapped_as_libcrypto_wraps_each(void **state)
{
    static struct key plain[KEEPER_PAIRS_MAX];
    static uint8_t wrapped[KEEPER_PAIRS_MAX][WRAPPED_KEY_BYTES];
    EVP_CIPHER_CTX *theirs = EVP_CIPHER_CTX_new();
    struct key under, opened;
    struct wrapper wrapper;

    (void)state;
    entropy_fill(&entropy_of_system, plain, sizeof plain);
    entropy_fill(&entropy_of_system, &under, sizeof under);
    EVP_CIPHER_CTX_set_flags(theirs, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    assert_true(wrapper_init(&wrapper));
    key_wrap_all(&wrapper, &under, plain, KEEPER_PAIRS_MAX, wrapped);
    for (size_t i = 0; i < KEEPER_PAIRS_MAX; i++) {
        uint8_t expected[WRAPPED_KEY_BYTES];
        int len = 0;

        assert_int_equal(EVP_EncryptInit_ex2(theirs, EVP_aes_256_wrap(), under.bytes, NULL, NULL),
                         1);
        assert_int_equal(EVP_EncryptUpdate(theirs, expected, &len, plain[i].bytes, KEY_BYTES), 1);
        assert_int_equal(len, WRAPPED_KEY_BYTES);
        assert_memory_equal(wrapped[i], expected, sizeof expected);
        assert_true(key_unwrap(&wrapper, &under, wrapped[i], &opened));
        assert_memory_equal(&opened, &plain[i], sizeof opened);
    }
    EVP_CIPHER_CTX_free(theirs);
    wrapper_clear(&wrapper);
}

static void any_changed_bit_of_a_wrapped_key_is_refused(void **state)
{
    struct key under = {{7}}, plain = {{8}}, opened = {{9}}, before = opened;
    uint8_t wrapped[WRAPPED_KEY_BYTES];
    struct wrapper wrapper;

    (void)state;
    assert_true(wrapper_init(&wrapper));
    key_wrap(&wrapper, &under, &plain, wrapped);
    for (size_t bit = 0; bit < 8 * sizeof wrapped; bit++) {
        wrapped[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(key_unwrap(&wrapper, &under, wrapped, &opened));
        assert_memory_equal(&opened, &before, sizeof before);
        wrapped[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(key_unwrap(&wrapper, &under, wrapped, &opened)); /* no failure is left behind */
    wrapper_clear(&wrapper);
}

/* McGrew and Viega's case 16: its 20 authenticated bytes are our id of 16 and a `what` of 4. */
static void gcm_is_as_in_its_specification(void **state)
{
    EVP_CIPHER_CTX *gcm = gcm_new();
    struct key key;
    uint8_t nonce[GCM_NONCE_BYTES], plain[60], sealed[76], opened[60];
    struct gcm_input input = {.nonce = nonce, .what = "\xab\xad\xda\xd2"};
    struct span pieces[2] = {span_make(plain, 13), span_make(plain + 13, 47)};

    (void)state;
    from_hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", key.bytes, 32);
    from_hex("cafebabefacedbaddecaf888", nonce, sizeof nonce);
    from_hex("feedfacedeadbeeffeedfacedeadbeef", input.message.bytes, ID_BYTES);
    from_hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0"
             "e2449a6b525b16aedf5aa0de657ba637b39",
             plain, sizeof plain);
    gcm_seal(gcm, &key, &input, pieces, 2, sealed);
    assert_hex(
        sealed, sizeof sealed,
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b0"
        "8b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
    assert_true(gcm_open(gcm, NULL, &input, span_make(sealed, sizeof sealed), opened));
    assert_memory_equal(opened, plain, sizeof plain);
    sealed[75] ^= 1;
    assert_false(gcm_open(gcm, NULL, &input, span_make(sealed, sizeof sealed), opened));
    for (size_t i = 0; i < sizeof opened; i++)
        assert_int_equal(opened[i], 0); /* nothing readable is left */
    EVP_CIPHER_CTX_free(gcm);
}

static void scrypt_is_as_in_rfc_7914(void **state)
{
    struct key key;

    (void)state;
    assert_true(
        scrypt_key(SPAN_LITERAL("pleaseletmein"), SPAN_LITERAL("SodiumChloride"), 14, &key));
    assert_hex(key.bytes, 32, "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2");
}

static void ed25519_is_as_in_rfc_8032(void **state)
{
    struct key secret;
    uint8_t key[32], signature[64];

    (void)state;
    from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", secret.bytes, 32);
    assert_true(ed25519_public(&secret, key));
    assert_hex(key, 32, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    assert_true(ed25519_sign(&secret, SPAN_LITERAL("\x72"), signature));
    assert_hex(
        signature, 64,
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f"
        "3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    assert_true(ed25519_verify(key, SPAN_LITERAL("\x72"), signature));
    assert_false(ed25519_verify(key, SPAN_LITERAL("\x73"), signature));
    for (size_t i = 0; i < sizeof signature; i++) {
        signature[i] ^= 0x10;
        assert_false(ed25519_verify(key, SPAN_LITERAL("\x72"), signature));
        signature[i] ^= 0x10;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_is_as_in_rfc_4231),
        cmocka_unit_test(subkey_is_hkdf_expand_as_in_rfc_5869),
        cmocka_unit_test(different_labels_make_different_subkeys),
        cmocka_unit_test(key_wrap_is_as_in_rfc_3394),
        cmocka_unit_test(many_keys_are_wrapped_as_libcrypto_wraps_each),
        cmocka_unit_test(any_changed_bit_of_a_wrapped_key_is_refused),
        cmocka_unit_test(gcm_is_as_in_its_specification),
        cmocka_unit_test(scrypt_is_as_in_rfc_7914),
        cmocka_unit_test(ed25519_is_as_in_rfc_8032),
    };

    return cmocka_run_group_tests_name("libcrypto in our words", tests, NULL, NULL);
}
