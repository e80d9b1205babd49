/* Is the policy right, and what does it mean? Also where commands find the policy and the state. */
/* SPDX-License-Identifier: ISC */
#include "cli.h"

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/memory.h"

#include <unistd.h>

struct policy *cli_load_policy(const char *path, bool warns, struct arena *arena)
{
    const struct policy_reader reader = policy_reader_of_disk(path);
    struct policy_complaints complaints = {0};
    struct policy *policy;
    struct span text;
    scoped_buffer told;
    struct error why;

    buffer_init(&told, MIB(4));
    if (!file_read(path, POLICY_TEXT_MAX, arena, &text, &why)) {
        cli_fail("%s", why.text);
        return NULL;
    }
    policy = policy_load(span_of(path), text, &reader, clock_wall_ms(&clock_of_system), arena,
                         &complaints);
    if (policy && !warns)
        return policy;
    policy_complaints_print(&complaints, span_of(path), &told);
    fflush(stdout);
    if (!descriptor_write_all(STDERR_FILENO, buffer_span(&told), &why))
        cli_fail("%s", why.text);
    return policy;
}

bool cli_state(const struct cli *cli, char out[STATE_PATH_MAX])
{
    scoped(arena) arena = arena_new("the policy", CLI_ARENA_MAX);
    const char *environment = getenv("LETTERLOCK_STATE");
    struct span state = SPAN_LITERAL("/var/lib/letterlock");
    scoped(policy) policy = NULL;

    if (cli->state) {
        state = span_of(cli->state);
    } else if (cli->policy_path) {
        policy = arena ? cli_load_policy(cli->policy_path, false, arena) : NULL;
        if (!policy)
            return false;
        state = policy_settings(policy)->state_directory;
    } else if (environment) {
        state = span_of(environment);
    }
    return snprintf(out, STATE_PATH_MAX, "%.*s", SPAN_ARGS(state)) < STATE_PATH_MAX;
}

int check_command(const struct cli *cli)
{
    scoped(arena) arena = arena_new("the policy", CLI_ARENA_MAX);
    const char *path = cli->count > 0 ? cli->arguments[0] : cli->policy_path;
    scoped(policy) policy = NULL;
    scoped_buffer printed;
    struct error why;

    buffer_init(&printed, MIB(64));
    if (!path || cli->count > 1)
        return cli_fail("which file? letterlock check FILE");
    if (!arena)
        return cli_fail("no memory");
    policy = cli_load_policy(path, true, arena);
    if (!policy)
        return cli_fail("%s cannot be used", path);
    buffer_append_format(&printed, "# %s, as it was understood:\n", path);
    policy_print(policy, &printed);
    if (printed.failed)
        return cli_fail("no memory");
    if (!descriptor_write_all(STDOUT_FILENO, buffer_span(&printed), &why))
        return cli_fail("%s", why.text);
    return EXIT_SUCCESS;
}
