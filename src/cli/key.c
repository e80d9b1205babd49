/* The master key: making one, and wrapping everything under another one. */
/* SPDX-License-Identifier: ISC */
#include "cli.h"

#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/entropy.h"
#include "base/secret.h"
#include "base/wire.h"
#include "daemon/master_key.h"
#include "keys/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MASTER_MAX = 1024, PATH_SIZE = STATE_PATH_MAX + 64 };

int key_new_command(const struct cli *cli)
{
    char text[2 * KEY_BYTES + 1];
    scoped_descriptor fd = -1;
    uint8_t key[KEY_BYTES];
    struct error why;
    bool written;

    if (cli->count != 1)
        return cli_fail("where? letterlock key new PATH");
    fd = open(cli->arguments[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return cli_fail("%s is there already, and may be all that opens stored mail: it stays",
                        cli->arguments[0]);
    if (fd < 0)
        return cli_fail("%s cannot be made: %s", cli->arguments[0], strerror(errno));
    entropy_fill(&entropy_of_system, key, sizeof key);
    hex_print(key, sizeof key, text);
    text[2 * KEY_BYTES] = '\n';
    written = descriptor_write_all(fd, span_make(text, sizeof text), &why) && fsync(fd) == 0;
    secret_wipe(key, sizeof key);
    secret_wipe(text, sizeof text);
    if (!written) {
        (void)unlink(cli->arguments[0]);
        return cli_fail("%s cannot be written", cli->arguments[0]);
    }
    printf(
        "A master key was made: %s\n"
        "Keep a copy elsewhere, apart from backups of the state. Without it, mail that is stored\n"
        "sealed can never be opened again.\n",
        cli->arguments[0]);
    return EXIT_SUCCESS;
}

bool cli_lock_state(const char *state, int *lock)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s/run/lock", state);
    *lock = open(path, O_RDWR | O_CLOEXEC);
    if (*lock >= 0 && flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    descriptor_close(lock);
    return false;
}

/* keeper_file_rotate() replaces the file: it must stay the keeper's own. */
static bool rotate(const char *path, const struct keeper_master *old,
                   const struct keeper_master *new, struct error *why)
{
    scoped(keeper_file) file = NULL;
    struct stat before;

    if (stat(path, &before) != 0)
        return error_system(why, errno, "%s cannot be found", path);
    if (!keeper_file_open(path, old, false, &entropy_of_system, &file, why))
        return false;
    if (!keeper_file_rotate(file, new, &entropy_of_system, why))
        return false;
    if (chown(path, before.st_uid, before.st_gid) != 0)
        return error_system(why, errno, "%s cannot be given back to the keeper", path);
    return true;
}

static int rotate_under(const struct cli *cli, const char *policy_path, const char *new_path,
                        const struct policy *policy)
{
    const struct settings *settings = policy_settings(policy);
    struct keeper_master old, new = {.kind = KEEPER_MASTER_RAW};
    struct cli own = {.state = cli->state, .policy_path = policy_path};
    char state[STATE_PATH_MAX], path[PATH_SIZE];
    scoped_buffer old_key, new_key;
    scoped_descriptor lock = -1;
    struct error why;

    buffer_init_secret(&old_key, MASTER_MAX);
    buffer_init_secret(&new_key, MASTER_MAX);
    if (!cli_state(&own, state))
        return cli_fail("the state directory cannot be found");
    if (!cli_lock_state(state, &lock))
        return cli_fail("the gateway over %s runs, or has never run: stop it first", state);
    if (!master_key_read(settings, policy_path, &old.kind, &old_key, &why) ||
        !master_key_read_file(new_path, &new_key, &why))
        return cli_fail("%s", why.text);
    old.secret = buffer_span(&old_key);
    new.secret = buffer_span(&new_key);
    snprintf(path, sizeof path, "%s/keeper/keys", state);
    if (!rotate(path, &old, &new, &why))
        return cli_fail("%s", why.text);
    printf(
        "All keys are now under the master key in %s. Before the gateway starts, let the policy\n"
        "name it:\n\n    master key file \"%s\"\n\nor hand the same bytes over as the credential. "
        "The old master key opens nothing of this state any\nmore, but it does open backups of "
        "keeper/ that were made before.\n",
        new_path, new_path);
    return EXIT_SUCCESS;
}

int key_rotate_command(const struct cli *cli)
{
    scoped(arena) arena = arena_new("the policy", CLI_ARENA_MAX);
    const char *policy_path = cli->policy_path, *new_path = NULL;
    scoped(policy) policy = NULL;

    for (int at = 0; at < cli->count; at++) {
        const char *value = cli_option(cli, &at, "--new-master");

        if (value)
            new_path = value;
        else
            policy_path = cli->arguments[at];
    }
    if (!policy_path || !new_path)
        return cli_fail("letterlock key rotate FILE --new-master PATH");
    if (!arena)
        return cli_fail("no memory");
    policy = cli_load_policy(policy_path, false, arena);
    if (!policy)
        return cli_fail("%s cannot be used", policy_path);
    return rotate_under(cli, policy_path, new_path, policy);
}
