/* Secrets are read while the supervisor still may, checked, and sealed into memory for the keeper.
 */
/* SPDX-License-Identifier: ISC */
#include "secrets.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/wire.h"
#include "bundle.h"
#include "daemon/master_key.h"
#include "limits.h"
#include "net/tls.h"

#include <sys/mman.h>
#include <unistd.h>

enum { SECRETS_VERSION = 1 };

static bool gather_tls_key(const struct settings *settings, const char *policy_path,
                           struct arena *arena, struct buffer *pem, struct error *why)
{
    const char *path = path_beside_policy(policy_path, settings->key_path, arena);
    scoped(tls_key) key = NULL;

    if (!path)
        return error_set(why, ERROR_INTERNAL, "", "the private key's path is of no use");
    if (!secret_file_read(path, "the private key", SECRET_KEY_FILE_MAX, pem, why))
        return false;
    if (!tls_key_parse(buffer_span(pem), &key, why))
        return error_within(why, "in the private key");
    if (!tls_key_fits(key, settings->certificate_pem))
        return error_set(why, ERROR_INTERNAL, "",
                         "the private key %s is not that of the certificate", path);
    return true;
}

/* A mapping that is never ended keeps the pages of the memfd out of the swap, where that is
 * allowed.
 */
static void keep_in_memory(int fd, size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

    if (pages == MAP_FAILED || mlock(pages, size) != 0)
        log_plain(LOG_LEVEL_INFO, "the secrets could not be locked in memory");
    if (pages != MAP_FAILED)
        (void)madvise(pages, size, MADV_DONTDUMP);
}

bool secrets_gather(const struct settings *settings, const char *policy_path, int *secrets,
                    struct error *why)
{
    scoped(arena) arena = arena_new("paths of secrets", KIB(64));
    enum keeper_master_kind kind;
    scoped_buffer secret, pem, packed;
    int fd;

    buffer_init_secret(&secret, SECRET_PASSPHRASE_MAX);
    buffer_init_secret(&pem, SECRET_KEY_FILE_MAX + 8192);
    buffer_init_secret(&packed, SECRETS_BYTES_MAX);
    if (!arena)
        return error_set(why, ERROR_INTERNAL, "", "no memory for secrets");
    if (!master_key_read(settings, policy_path, &kind, &secret, why))
        return false;
    if (settings->certificate_path.len > 0 &&
        !gather_tls_key(settings, policy_path, arena, &pem, why))
        return false;
    wire_put_u8(&packed, SECRETS_VERSION);
    wire_put_u8(&packed, (uint8_t)kind);
    wire_put_span(&packed, buffer_span(&secret));
    wire_put_span(&packed, buffer_span(&pem));
    if (packed.failed)
        return error_set(why, ERROR_INTERNAL, "", "no memory for secrets");
    fd = sealed_memfd("letterlock-secrets", buffer_span(&packed), why);
    if (fd < 0)
        return false;
    keep_in_memory(fd, packed.len);
    *secrets = fd;
    return true;
}

bool secrets_receive(int fd, struct arena *arena, struct secrets *secrets, struct error *why)
{
    struct wire_reader in;
    struct secrets found = {0};
    uint8_t version, kind;

    if (lseek(fd, 0, SEEK_SET) != 0 ||
        !descriptor_read_all(fd, SECRETS_BYTES_MAX, arena, &in.rest, why))
        return error_set(why, ERROR_INTERNAL, "", "the secrets were not handed over");
    in.failed = false;
    version = wire_get_u8(&in);
    kind = wire_get_u8(&in);
    found.master.secret = wire_get_span(&in, SECRET_PASSPHRASE_MAX);
    found.key_pem = wire_get_span(&in, SECRET_KEY_FILE_MAX + 8192);
    if (!wire_is_done(&in) || version != SECRETS_VERSION || kind > KEEPER_MASTER_PASSPHRASE)
        return error_set(why, ERROR_INTERNAL, "",
                         "the secrets that were handed over make no sense");
    found.master.kind = (enum keeper_master_kind)kind;
    *secrets = found;
    return true;
}
