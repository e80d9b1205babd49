/* The journal's tree is that of RFC 9162 section 2.1, whatever its size. */
/* SPDX-License-Identifier: ISC */
#include "store_lab.h"

#include <openssl/sha.h>

enum { LEAVES = 70 };

static struct merkle_hash sha(const void *bytes, size_t len)
{
    struct merkle_hash hash;

    SHA256(bytes, len, hash.bytes);
    return hash;
}

/* MTH(D[n]) word for word as the RFC defines it. */
static struct merkle_hash root_by_definition(const struct merkle_hash *leaves, size_t n)
{
    uint8_t both[1 + 2 * MERKLE_HASH_BYTES] = {0x01};
    size_t k = 1;

    if (n == 0)
        return sha("", 0);
    if (n == 1)
        return leaves[0];
    while (2 * k < n)
        k *= 2;
    struct merkle_hash left = root_by_definition(leaves, k);
    struct merkle_hash right = root_by_definition(leaves + k, n - k);
    memcpy(both + 1, left.bytes, sizeof left.bytes);
    memcpy(both + 1 + sizeof left.bytes, right.bytes, sizeof right.bytes);
    return sha(both, sizeof both);
}

static void every_size_has_the_root_of_the_definition(void **state)
{
    struct merkle_hash leaves[LEAVES];
    struct merkle_tree tree = {0};

    (void)state;
    for (size_t n = 0; n < LEAVES; n++) {
        struct merkle_hash root = merkle_root(&tree), expected = root_by_definition(leaves, n);
        assert_int_equal(tree.size, n);
        assert_memory_equal(root.bytes, expected.bytes, sizeof root.bytes);
        leaves[n] = sha(&n, sizeof n);
        merkle_append(&tree, &leaves[n]);
    }
}

static void the_empty_tree_is_the_hash_of_nothing(void **state)
{
    /* SHA-256 of the empty string, as FIPS 180-4's examples print it. */
    static const uint8_t expected[MERKLE_HASH_BYTES] = {
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
        0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
        0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
    struct merkle_hash root = merkle_root(&(struct merkle_tree){0});

    (void)state;
    assert_memory_equal(root.bytes, expected, sizeof expected);
}

static void a_leaf_is_the_prefixed_hash_of_the_salted_bytes(void **state)
{
    static const uint8_t salt[MERKLE_SALT_BYTES] = "0123456789abcde";
    uint8_t salted[MERKLE_SALT_BYTES + 5], prefixed[1 + MERKLE_HASH_BYTES] = {0x00};

    (void)state;
    memcpy(salted, salt, sizeof salt);
    memcpy(salted + sizeof salt, "event", 5);
    struct merkle_hash inner = sha(salted, sizeof salted);
    memcpy(prefixed + 1, inner.bytes, sizeof inner.bytes);
    struct merkle_hash expected = sha(prefixed, sizeof prefixed);
    struct merkle_hash leaf = merkle_leaf(salt, SPAN_LITERAL("event"));
    assert_memory_equal(leaf.bytes, expected.bytes, sizeof leaf.bytes);
}

static void another_salt_is_another_leaf(void **state)
{
    static const uint8_t one[MERKLE_SALT_BYTES] = {1}, other[MERKLE_SALT_BYTES] = {2};
    struct merkle_hash a = merkle_leaf(one, SPAN_LITERAL("event"));
    struct merkle_hash b = merkle_leaf(other, SPAN_LITERAL("event"));

    (void)state;
    assert_memory_not_equal(a.bytes, b.bytes, sizeof a.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_has_the_root_of_the_definition),
        cmocka_unit_test(the_empty_tree_is_the_hash_of_nothing),
        cmocka_unit_test(a_leaf_is_the_prefixed_hash_of_the_salted_bytes),
        cmocka_unit_test(another_salt_is_another_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
