/* The role that holds the keys: it has no network, and answers its siblings in fixed structs. */
/* SPDX-License-Identifier: ISC */
#include "common.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/wire.h"
#include "net/tls.h"
#include "sandbox.h"
#include "secrets.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static bool open_file(const struct role_arguments *arguments, const struct keeper_master *master,
                      struct keeper_file **file, struct error *why)
{
    char path[STATE_PATH_MAX + 32];

    snprintf(path, sizeof path, "%s/keeper/keys", arguments->state_directory);
    return keeper_file_open(path, master, arguments->may_create_keys, &entropy_of_system, file,
                            why);
}

/* For those who verify the journal without this keeper. */
static bool publish_checkpoint_key(const struct role_arguments *arguments,
                                   const struct keeper_file *file, struct error *why)
{
    char path[STATE_PATH_MAX + 32], text[2 * CHECKPOINT_KEY_BYTES + 2];
    uint8_t key[CHECKPOINT_KEY_BYTES];

    keeper_file_checkpoint_key(file, key);
    hex_print(key, sizeof key, text);
    text[2 * CHECKPOINT_KEY_BYTES] = '\n';
    snprintf(path, sizeof path, "%s/keeper/checkpoint.pub", arguments->state_directory);
    return file_replace(path, span_make(text, 2 * CHECKPOINT_KEY_BYTES + 1), 0644, why);
}

/* Nothing of a keeper belongs on a disk. Asked for once all is there: a passphrase's scrypt takes
 * more memory for a moment than may be locked. */
static void lock_memory(void)
{
    if (mlockall(MCL_CURRENT) != 0)
        log_plain(LOG_LEVEL_INFO, "the keeper's keys are locked in memory, but not all of it");
}

/* The secrets live in an arena that is wiped at the end of this function. */
static bool begin(const struct role_arguments *arguments, struct tls_key **key,
                  struct keeper_file **file, struct error *why)
{
    scoped(arena) arena = arena_new_secret("secrets", 2 * SECRETS_BYTES_MAX);
    struct secrets secrets;

    if (!arena)
        return error_set(why, ERROR_TEMPORARY, "", "no memory for secrets");
    if (!secrets_receive(FD_SECRETS, arena, &secrets, why))
        return false;
    (void)close(FD_SECRETS);
    if (secrets.key_pem.len > 0 && !tls_key_parse(secrets.key_pem, key, why))
        return false;
    if (!sandbox_shut_files(ROLE_KEEPER, arguments->state_directory, why) ||
        !open_file(arguments, &secrets.master, file, why) ||
        !publish_checkpoint_key(arguments, *file, why))
        return false;
    lock_memory();
    return sandbox_shut_calls(ROLE_KEEPER, why);
}

int keeper_main(const struct role_arguments *arguments)
{
    const struct clock clock = common_clock();
    scoped(keeper_file) file = NULL;
    scoped(tls_key) key = NULL;
    struct keeper_signer signer;
    struct keeper_terms terms;
    struct error why;

    if (!begin(arguments, &key, &file, &why))
        return common_hopeless(&why);
    signer = (struct keeper_signer){.sign = tls_key_sign, .key = key};
    terms = (struct keeper_terms){
        .file = file,
        .signers = &signer,
        .signer_count = key ? 1 : 0,
        .peers = {[KEEPER_PEER_RECEIVE] = FD_PEERS + KEEPER_PEER_RECEIVE,
                  [KEEPER_PEER_DELIVER] = FD_PEERS + KEEPER_PEER_DELIVER,
                  [KEEPER_PEER_CONTROL] = FD_PEERS + KEEPER_PEER_CONTROL},
        .clock = &clock,
        .entropy = &entropy_of_system,
        /* The supervisor says one thing to a keeper, to end, and its own end says the same. */
        .stop = FD_LINK,
    };
    (void)shutdown(FD_LINK, SHUT_WR); /* says that it is ready: see role.h */
    log_plain(LOG_LEVEL_INFO, "ready");
    keeper_run(&terms);
    return EXIT_SUCCESS;
}
