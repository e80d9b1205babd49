/* The journal's Merkle tree: perfect subtrees are kept as peaks, so that appending costs about one
 * hash. */
/* SPDX-License-Identifier: ISC */
#include "store/merkle.h"

#include <assert.h>
#include <openssl/evp.h>
#include <pthread.h>

/* RFC 9162 section 2.1.1: what is hashed says whether it is a leaf or a node, so that neither can
 * be passed off as the other. */
enum { PREFIX_LEAF = 0x00, PREFIX_NODE = 0x01 };

/* Fetching an algorithm takes locks in OpenSSL 3: once a process. A context is a thread's own. */
static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static pthread_key_t context_of_thread;
static EVP_MD *sha256;

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

static void prepare(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    assert(sha256);
    int failed = pthread_key_create(&context_of_thread, free_context);
    assert(!failed);
}

/* A process whose SHA-256 fails must not go on writing a journal, hence the asserts. */
static EVP_MD_CTX *hash_begin(void)
{
    pthread_once(&prepared, prepare);
    EVP_MD_CTX *context = pthread_getspecific(context_of_thread);
    if (!context) {
        context = EVP_MD_CTX_new();
        assert(context);
        int failed = pthread_setspecific(context_of_thread, context);
        assert(!failed);
    }
    int begun = EVP_DigestInit_ex2(context, sha256, NULL);
    assert(begun == 1);
    return context;
}

static void hash_add(EVP_MD_CTX *context, const void *bytes, size_t len)
{
    int added = EVP_DigestUpdate(context, bytes, len);
    assert(added == 1);
}

static struct merkle_hash hash_end(EVP_MD_CTX *context)
{
    struct merkle_hash hash;
    int ended = EVP_DigestFinal_ex(context, hash.bytes, NULL);
    assert(ended == 1);
    return hash;
}

static struct merkle_hash node(const struct merkle_hash *left, const struct merkle_hash *right)
{
    const uint8_t prefix = PREFIX_NODE;
    EVP_MD_CTX *context = hash_begin();
    hash_add(context, &prefix, 1);
    hash_add(context, left->bytes, sizeof left->bytes);
    hash_add(context, right->bytes, sizeof right->bytes);
    return hash_end(context);
}

static size_t peak_count(const struct merkle_tree *tree)
{
    return (size_t)__builtin_popcountll(tree->size);
}

struct merkle_hash merkle_leaf(const uint8_t salt[MERKLE_SALT_BYTES], struct span canonical)
{
    const uint8_t prefix = PREFIX_LEAF;
    EVP_MD_CTX *context = hash_begin();
    hash_add(context, salt, MERKLE_SALT_BYTES);
    hash_add(context, canonical.data, canonical.len);
    struct merkle_hash salted = hash_end(context);

    context = hash_begin();
    hash_add(context, &prefix, 1);
    hash_add(context, salted.bytes, sizeof salted.bytes);
    return hash_end(context);
}

void merkle_append(struct merkle_tree *tree, const struct merkle_hash *leaf)
{
    struct merkle_hash grown = *leaf;
    size_t count = peak_count(tree);

    /* As in a binary counter: each one bit that carries is a peak that becomes a left half. */
    for (uint64_t carry = tree->size; carry & 1; carry >>= 1)
        grown = node(&tree->peaks[--count], &grown);
    tree->peaks[count] = grown;
    tree->size++;
}

struct merkle_hash merkle_root(const struct merkle_tree *tree)
{
    size_t count = peak_count(tree);

    if (count == 0)
        return hash_end(hash_begin());
    struct merkle_hash root = tree->peaks[--count];
    while (count > 0)
        root = node(&tree->peaks[--count], &root);
    return root;
}
