/* The keeper's file on the disk: opened under a master key, replaced whole, its classes destroyed
 * when their day has passed. */
/* SPDX-License-Identifier: ISC */
#include "base/descriptor.h"
#include "base/memory.h"
#include "base/secret.h"
#include "keeper_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(KEEPER_FILE_MAC_BYTES == SHA256_DIGEST_LENGTH, "the file ends in an HMAC-SHA-256");

/* ---- the master key ---- */

struct master_keys {
    struct key wrapping, authenticating;
};

static void wipe_master_keys(struct master_keys *keys)
{
    secret_wipe(keys, sizeof *keys);
}
#define scoped_master_keys __attribute__((cleanup(wipe_master_keys))) struct master_keys

static bool derive(const struct keeper_master *master, const struct keeper_derivation *derivation,
                   struct master_keys *keys, struct error *why)
{
    struct key key;

    if (master->kind != derivation->kind)
        return error_set(why, ERROR_INTERNAL, "4.3.0",
                         "the keeper's file does not open: it wants %s",
                         derivation->kind == KEEPER_MASTER_RAW ? "a key" : "a passphrase");
    switch (master->kind) {
    case KEEPER_MASTER_RAW:
        if (master->secret.len != KEY_BYTES)
            return error_set(why, ERROR_IMPOSSIBLE, "4.3.0", "a master key has %d bytes, not %zu",
                             KEY_BYTES, master->secret.len);
        memcpy(key.bytes, master->secret.data, KEY_BYTES);
        break;
    case KEEPER_MASTER_PASSPHRASE:
        if (master->secret.len == 0)
            return error_set(why, ERROR_IMPOSSIBLE, "4.3.0", "the passphrase is empty");
        if (!scrypt_key(master->secret, span_make(derivation->salt, sizeof derivation->salt),
                        derivation->log2_n, &key))
            return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory to stretch a passphrase");
        break;
    }
    subkey(&key, LABEL_WRAP, &keys->wrapping);
    subkey(&key, LABEL_FILE, &keys->authenticating);
    secret_wipe(&key, sizeof key);
    return true;
}

static struct keeper_derivation new_derivation(enum keeper_master_kind kind,
                                               const struct entropy *entropy)
{
    struct keeper_derivation derivation = {.kind = kind};

    if (kind == KEEPER_MASTER_PASSPHRASE)
        derivation.log2_n = SCRYPT_LOG2_N;
    entropy_fill(entropy, derivation.salt, sizeof derivation.salt);
    return derivation;
}

static void authenticate(const struct key *key, struct span text,
                         uint8_t mac[static KEEPER_FILE_MAC_BYTES])
{
    struct hmac hmac;

    hmac_begin(&hmac, key->bytes, sizeof key->bytes);
    hmac_add(&hmac, text.data, text.len);
    hmac_end(&hmac, mac);
}

/* ---- writing ---- */

static int open_old(const struct keeper_file *file)
{
    return file->path ? open(file->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
}

/* What the file that was replaced held goes too, as far as the file system lets us: where another
 * name still leads to it (a copy made by link), it is not ours to destroy. */
static void overwrite(int fd)
{
    static const char zeros[4096];
    struct error ignored;
    struct stat old;

    if (fd < 0 || fstat(fd, &old) != 0 || old.st_nlink != 0)
        return;
    for (off_t at = 0; at < old.st_size; at += (off_t)sizeof zeros)
        if (!descriptor_write_all(fd, span_make(zeros, sizeof zeros), &ignored))
            return;
    fdatasync(fd);
}

static bool write_table(const struct keeper_file *file, const struct keeper_table *table,
                        const struct key *authenticating, int32_t from_day, struct error *why)
{
    scoped_buffer out;
    uint8_t mac[KEEPER_FILE_MAC_BYTES];

    buffer_init(&out, KEEPER_FILE_MAX);
    if (!file->path)
        return true;
    if (!buffer_reserve(&out, KEEPER_FILE_FIXED_BYTES +
                                  table->class_count * KEEPER_CLASS_PRINTED_BYTES) ||
        !keeper_table_print(table, from_day, &out))
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory to write the keeper's file");
    authenticate(authenticating, buffer_span(&out), mac);
    if (!buffer_append(&out, span_make(mac, sizeof mac)))
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory to write the keeper's file");
    return file_replace(file->path, buffer_span(&out), 0600, why) ||
           error_within(why, "the keeper's file");
}

bool keeper_file_save(struct keeper_file *file, struct error *why)
{
    return write_table(file, &file->table, &file->authenticating, INT32_MIN, why);
}

/* ---- opening ---- */

static void file_free_parts(struct keeper_file *file)
{
    keeper_table_clear(&file->table);
    wrapper_clear(&file->wrapper);
    memory_release(file->path);
    descriptor_close(&file->lock);
}

void keeper_file_free(struct keeper_file *file)
{
    if (!file)
        return;
    file_free_parts(file);
    secret_wipe(file, sizeof *file);
    munlock(file, sizeof *file);
    memory_release(file);
}

static struct keeper_file *file_new(const char *path)
{
    struct keeper_file *file = memory_allocate(sizeof *file);
    size_t len = path ? strlen(path) : 0;

    if (!file)
        return NULL;
    (void)mlock(file, sizeof *file); /* a small limit must not keep the gateway from its work */
    file->lock = -1;
    if (path && (file->path = memory_allocate(len + 1)) != NULL)
        memcpy(file->path, path, len + 1);
    if ((path && !file->path) || !wrapper_init(&file->wrapper)) {
        keeper_file_free(file);
        return NULL;
    }
    return file;
}

static bool take_lock(struct keeper_file *file, struct error *why)
{
    char beside[PATH_MAX];

    if ((size_t)snprintf(beside, sizeof beside, "%s.lock", file->path) >= sizeof beside)
        return error_system(why, ENAMETOOLONG, "the keeper's file");
    file->lock = open(beside, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->lock < 0)
        return error_system(why, errno, "%s", beside);
    if (flock(file->lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno != EWOULDBLOCK)
        return error_system(why, errno, "%s", beside);
    return error_set(why, ERROR_TEMPORARY, "4.3.0",
                     "another process has the keeper's file open: %s", file->path);
}

/* The public half comes from the private one, so that the two always fit. */
static bool read_checkpoint_key(struct keeper_file *file, struct error *why)
{
    struct key secret;
    bool read =
        key_unwrap(&file->wrapper, &file->wrapping, file->table.checkpoint_wrapped, &secret) &&
        ed25519_public(&secret, file->checkpoint_key);

    secret_wipe(&secret, sizeof secret);
    return read || error_set(why, ERROR_INTERNAL, "4.3.0", "the checkpoint key does not open");
}

static bool load(struct keeper_file *file, const struct keeper_master *master, struct error *why)
{
    scoped(arena) arena = arena_new("the keeper's file", 2 * (size_t)KEEPER_FILE_MAX);
    struct keeper_derivation derivation;
    scoped_master_keys keys;
    uint8_t mac[KEEPER_FILE_MAC_BYTES];
    struct span text, body;

    if (!arena)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory to read the keeper's file");
    if (!file_read(file->path, KEEPER_FILE_MAX, arena, &text, why))
        return error_within(why, "the keeper's file");
    if (text.len < sizeof mac)
        return error_set(why, ERROR_INTERNAL, "4.3.0", "this is no keeper's file: too short");
    body = span_until(text, text.len - sizeof mac);
    if (!keeper_derivation_parse(body, &derivation, why) ||
        !derive(master, &derivation, &keys, why))
        return false;
    authenticate(&keys.authenticating, body, mac);
    if (!secret_equal(mac, text.data + body.len, sizeof mac))
        return error_set(
            why, ERROR_INTERNAL, "4.3.0",
            "the keeper's file does not open under this master key, or it was changed");
    if (!keeper_table_parse(body, &file->table, why))
        return false;
    file->wrapping = keys.wrapping;
    file->authenticating = keys.authenticating;
    return read_checkpoint_key(file, why);
}

static bool make(struct keeper_file *file, const struct keeper_master *master,
                 const struct entropy *entropy, struct error *why)
{
    scoped_master_keys keys;
    struct key secret;

    file->table.derivation = new_derivation(master->kind, entropy);
    if (!derive(master, &file->table.derivation, &keys, why))
        return false;
    file->wrapping = keys.wrapping;
    file->authenticating = keys.authenticating;
    entropy_fill(entropy, secret.bytes, sizeof secret.bytes);
    key_wrap(&file->wrapper, &file->wrapping, &secret, file->table.checkpoint_wrapped);
    secret_wipe(&secret, sizeof secret);
    return read_checkpoint_key(file, why) && keeper_file_save(file, why);
}

bool keeper_file_open(const char *path, const struct keeper_master *master, bool may_create,
                      const struct entropy *entropy, struct keeper_file **out, struct error *why)
{
    scoped(keeper_file) file = file_new(path);
    bool is_new;

    if (!file)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory for the keeper's file");
    if (!take_lock(file, why))
        return false;
    is_new = may_create && access(path, F_OK) != 0 && errno == ENOENT;
    if (is_new ? !make(file, master, entropy, why) : !load(file, master, why))
        return false;
    *out = file;
    file = NULL;
    return true;
}

bool keeper_file_new_in_memory(const struct keeper_master *master, const struct entropy *entropy,
                               struct keeper_file **out, struct error *why)
{
    scoped(keeper_file) file = file_new(NULL);

    if (!file)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory for the keeper's file");
    if (!make(file, master, entropy, why))
        return false;
    *out = file;
    file = NULL;
    return true;
}

void keeper_file_checkpoint_key(const struct keeper_file *file, uint8_t key[CHECKPOINT_KEY_BYTES])
{
    memcpy(key, file->checkpoint_key, CHECKPOINT_KEY_BYTES);
}

bool keeper_file_sign(struct keeper_file *file, struct span text,
                      uint8_t signature[static CHECKPOINT_SIGNATURE_BYTES])
{
    struct key secret;
    bool was_signed =
        key_unwrap(&file->wrapper, &file->wrapping, file->table.checkpoint_wrapped, &secret) &&
        ed25519_sign(&secret, text, signature);

    secret_wipe(&secret, sizeof secret);
    return was_signed;
}

/* ---- rotation and expiry ---- */

static bool wrap_again(struct keeper_file *file, const struct key *wrapping,
                       uint8_t wrapped[static WRAPPED_KEY_BYTES])
{
    struct key key;
    bool opened = key_unwrap(&file->wrapper, &file->wrapping, wrapped, &key);

    if (opened)
        key_wrap(&file->wrapper, wrapping, &key, wrapped);
    secret_wipe(&key, sizeof key);
    return opened;
}

bool keeper_file_rotate(struct keeper_file *file, const struct keeper_master *new_master,
                        const struct entropy *entropy, struct error *why)
{
    struct keeper_table turned = file->table; /* shares the classes, which do not change */
    scoped_descriptor old = open_old(file);
    scoped_master_keys keys;
    size_t count = file->table.organisation_count;
    bool done;

    turned.derivation = new_derivation(new_master->kind, entropy);
    if (!derive(new_master, &turned.derivation, &keys, why))
        return false;
    turned.organisations = memory_allocate_array(count, sizeof *turned.organisations);
    if (!turned.organisations)
        return error_set(why, ERROR_TEMPORARY, "4.3.1", "no memory to rotate the master key");
    turned.organisation_room = count;
    done = wrap_again(file, &keys.wrapping, turned.checkpoint_wrapped);
    for (size_t i = 0; i < count && done; i++) {
        turned.organisations[i] = file->table.organisations[i];
        done = wrap_again(file, &keys.wrapping, turned.organisations[i].wrapped);
    }
    if (!done)
        error_set(why, ERROR_INTERNAL, "4.3.0", "a key in the keeper's file does not open");
    else
        done = write_table(file, &turned, &keys.authenticating, INT32_MIN, why);
    if (!done) {
        memory_release(turned.organisations);
        return false;
    }
    overwrite(old);
    memory_release(file->table.organisations);
    file->table = turned;
    file->wrapping = keys.wrapping;
    file->authenticating = keys.authenticating;
    return true;
}

bool keeper_file_expire(struct keeper_file *file, int32_t today, size_t *destroyed,
                        struct error *why)
{
    scoped_descriptor old = -1;
    size_t past = 0;

    for (size_t i = 0; i < file->table.class_count; i++)
        past += file->table.classes[i].day < today;
    if (past > 0) {
        /* On the disk first: after a failed write all is as before, and is tried again. */
        old = open_old(file);
        file->table.destroyed += past;
        if (!write_table(file, &file->table, &file->authenticating, today, why)) {
            file->table.destroyed -= past;
            return false;
        }
        overwrite(old);
    }
    *destroyed = keeper_classes_remove_before(&file->table, today);
    return true;
}

/* ---- organisations and classes ---- */

static bool organisation_key(struct keeper_file *file, size_t index, struct key *key)
{
    return index < file->table.organisation_count &&
           key_unwrap(&file->wrapper, &file->wrapping, file->table.organisations[index].wrapped,
                      key);
}

/* A fresh key, wrapped; nobody has seen it in the clear. */
static void wrap_fresh(struct keeper_file *file, const struct key *under,
                       const struct entropy *entropy, uint8_t wrapped[static WRAPPED_KEY_BYTES])
{
    struct key fresh;

    entropy_fill(entropy, fresh.bytes, sizeof fresh.bytes);
    key_wrap(&file->wrapper, under, &fresh, wrapped);
    secret_wipe(&fresh, sizeof fresh);
}

static bool add_organisation(struct keeper_file *file, struct span name,
                             const struct entropy *entropy)
{
    struct keeper_organisation organisation = {.name_len = name.len};

    assert(name.len <= sizeof organisation.name); /* empty: the gateway's own */
    memcpy(organisation.name, name.data, name.len);
    wrap_fresh(file, &file->wrapping, entropy, organisation.wrapped);
    return keeper_organisation_add(&file->table, &organisation);
}

/* *added tells whether it was missing. */
static bool ensure_class(struct keeper_file *file, const struct keeper_class_name *name,
                         const struct entropy *entropy, bool *added)
{
    size_t organisation = keeper_organisation_index(&file->table, name->organisation);
    struct keeper_class class = {
        .organisation = (uint32_t)organisation, .kind = name->kind, .day = name->day};
    struct key under;
    bool is_there, done;

    if (organisation == file->table.organisation_count &&
        !add_organisation(file, name->organisation, entropy))
        return false;
    keeper_class_index(&file->table, class.organisation, class.kind, class.day, &is_there);
    if (is_there)
        return true;
    done = organisation_key(file, organisation, &under);
    if (done) {
        wrap_fresh(file, &under, entropy, class.wrapped);
        done = keeper_class_add(&file->table, &class);
    }
    secret_wipe(&under, sizeof under);
    *added = done;
    return done;
}

static void take_back(struct keeper_file *file, const struct keeper_class_name *name)
{
    bool is_there;
    size_t at = keeper_class_index(
        &file->table, (uint32_t)keeper_organisation_index(&file->table, name->organisation),
        name->kind, name->day, &is_there);

    if (is_there)
        keeper_class_remove(&file->table, at);
}

bool keeper_file_ensure(struct keeper_file *file, const struct keeper_class_name *names,
                        size_t count, const struct entropy *entropy, struct error *why)
{
    enum { CLASSES_AT_ONCE = KEEPER_CLASS_KIND_COUNT };
    size_t organisations = file->table.organisation_count;
    bool added[CLASSES_AT_ONCE] = {false}, any = false, done = true;

    assert(count <= CLASSES_AT_ONCE);
    for (size_t i = 0; i < count && done; i++) {
        done = ensure_class(file, &names[i], entropy, &added[i]);
        any = any || added[i];
    }
    if (!done)
        error_set(why, ERROR_TEMPORARY, "4.3.1",
                  "the keeper has no room for another organisation or class");
    if (done && (!any || keeper_file_save(file, why)))
        return true;
    /* A key that is not on the disk must not be used: what it sealed could never be opened. */
    for (size_t i = 0; i < count; i++)
        if (added[i])
            take_back(file, &names[i]);
    file->table.organisation_count = organisations;
    return false;
}

bool keeper_file_class_key(struct keeper_file *file, const struct keeper_class_name *name,
                           struct key *key)
{
    size_t organisation = keeper_organisation_index(&file->table, name->organisation);
    struct key under;
    bool is_there, opened;
    size_t at;

    if (organisation == file->table.organisation_count)
        return false;
    at = keeper_class_index(&file->table, (uint32_t)organisation, name->kind, name->day, &is_there);
    opened = is_there && organisation_key(file, organisation, &under) &&
             key_unwrap(&file->wrapper, &under, file->table.classes[at].wrapped, key);
    secret_wipe(&under, sizeof under);
    return opened;
}
