/* letterlock's commands, and what they share. Each command gives the process's exit status. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"
#include "daemon/control_protocol.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <sys/types.h>

enum { CLI_ARENA_MAX = 512 << 20, STATE_PATH_MAX = 1024 };

struct cli {
    const char *policy_path; /* -c FILE; NULL */
    const char *state;       /* --state DIR; NULL */
    char **arguments;        /* after the command's own words */
    int count;
};

int check_command(const struct cli *cli);
int decide_command(const struct cli *cli);
int queue_command(const struct cli *cli);
int trace_command(const struct cli *cli);
int deliveries_command(const struct cli *cli);
int status_command(const struct cli *cli);
int reload_command(const struct cli *cli);
int stop_command(const struct cli *cli);
int audit_verify_command(const struct cli *cli);
int audit_checkpoint_command(const struct cli *cli);
int journal_catalogue_command(const struct cli *cli);
int key_new_command(const struct cli *cli);
int key_rotate_command(const struct cli *cli);

/* "letterlock: …" on standard error. Gives EXIT_FAILURE. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The value of `--name VALUE` at *at, which then stands on VALUE; NULL: something else stands
 * there. An option without its value ends the program with a sentence. */
const char *cli_option(const struct cli *cli, int *at, const char *name);
/* Loads the policy from disk, telling errors on standard error, and warnings if `warns`. NULL: it
 * has errors. */
struct policy *cli_load_policy(const char *path, bool warns, struct arena *arena);
/* STATE: --state, the policy's, $LETTERLOCK_STATE, or /var/lib/letterlock. */
bool cli_state(const struct cli *cli, char out[STATE_PATH_MAX]);
/* Takes the lock that a gateway over this state holds while it runs. False: one runs, or none ever
 * has; *lock is -1. */
bool cli_lock_state(const char *state, int *lock);

/* Asks the gateway, and writes its answer to `out` as it comes. False: nobody answers there, or the
 * request was refused; *why says so. */
bool gateway_ask(const struct cli *cli, const struct control_request *request,
                 bool (*hear)(void *self, struct span text), void *self, struct error *why);
/* The process of the gateway, as the kernel knows it: who made the control socket listen. None of
 * its roles is believed on that, for root may be about to send it a signal. */
bool gateway_process(const struct cli *cli, pid_t *process, struct error *why);
/* The same as gateway_ask(), to standard output; complains of failures. Gives the exit status. */
int gateway_print(const struct cli *cli, const struct control_request *request);
