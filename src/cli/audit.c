/* The journal as an auditor asks for it: is every row there, and what do the events mean? */
/* SPDX-License-Identifier: ISC */
#include "cli.h"

#include "audit/checkpoint_bytes.h"
#include "audit/event.h"
#include "audit/journal.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/entropy.h"
#include "base/memory.h"
#include "base/wire.h"
#include "store/store.h"

#include <inttypes.h>
#include <unistd.h>

enum { ANSWER_MAX = 4096, PATH_SIZE = STATE_PATH_MAX + 64 };

/* What the rows are held against: the keeper's public key, and its last checkpoint where it runs.
 */
struct measure {
    uint8_t key[CHECKPOINT_KEY_BYTES];
    struct checkpoint anchor;
    bool has_anchor;
    bool is_beside_rows; /* whoever can write these could have written the key too */
    char source[PATH_SIZE];
    char contradiction[PATH_SIZE]; /* the file whose key is not what the gateway names as its own */
};

static bool gather(void *self, struct span text)
{
    return buffer_append(self, text);
}

/* The keeper's own word, over the control socket. */
static bool measure_of_keeper(const struct cli *cli, struct measure *measure)
{
    struct span key, rest, checkpoint;
    uint8_t bytes[CHECKPOINT_BYTES_MAX];
    scoped_buffer answer;
    struct error why;

    buffer_init(&answer, ANSWER_MAX);
    if (!gateway_ask(cli, &(struct control_request){.op = CONTROL_ANCHOR}, gather, &answer, &why))
        return false;
    (void)span_split(buffer_span(&answer), '\n', &key, &rest);
    (void)span_split(rest, '\n', &checkpoint, &rest);
    if (checkpoint.len / 2 > sizeof bytes || !hex_parse(key, measure->key, sizeof measure->key) ||
        !hex_parse(checkpoint, bytes, checkpoint.len / 2) ||
        !checkpoint_parse(span_make(bytes, checkpoint.len / 2), &measure->anchor))
        return false;
    measure->has_anchor = true;
    snprintf(measure->source, sizeof measure->source, "the keeper, which runs");
    return true;
}

static bool measure_of_file(const char *path, struct measure *measure)
{
    scoped(arena) arena = arena_new("a key", KIB(64));
    struct span text;
    struct error why;

    if (!arena || !file_read(path, 4096, arena, &text, &why) ||
        !hex_parse(span_until(text, span_index(text, '\n')), measure->key, sizeof measure->key))
        return false;
    snprintf(measure->source, sizeof measure->source, "%s", path);
    return true;
}

/* The control role hands on what the keeper says; a file that can be read may say otherwise. */
static void hold_against(const char *path, const struct measure *keeper, struct measure *measure)
{
    struct measure own = {.has_anchor = false};

    if (measure_of_file(path, &own) && memcmp(own.key, keeper->key, sizeof own.key) != 0)
        snprintf(measure->contradiction, sizeof measure->contradiction, "%s", path);
}

/* The key of the auditor's file where he names one; how far the keeper has signed, where it runs.
 */
static bool find_measure(const struct cli *cli, const char *state, const char *key_path,
                         struct measure *measure)
{
    struct measure keeper = {.has_anchor = false};
    char path[PATH_SIZE];

    if (measure_of_keeper(cli, &keeper)) {
        *measure = keeper;
        snprintf(path, sizeof path, "%s/keeper/checkpoint.pub", state);
        hold_against(path, &keeper, measure);
        if (key_path)
            hold_against(key_path, &keeper, measure);
        return !key_path || measure_of_file(key_path, measure);
    }
    if (key_path)
        return measure_of_file(key_path, measure);
    snprintf(path, sizeof path, "%s/keeper/checkpoint.pub", state);
    if (measure_of_file(path, measure))
        return true;
    snprintf(path, sizeof path, "%s/store/checkpoint.pub", state);
    measure->is_beside_rows = true;
    return measure_of_file(path, measure);
}

static int report(const struct journal_verdict *verdict, const struct measure *measure)
{
    printf("%-12s %" PRIu64 "\n%-12s %" PRIu64 "\n%-12s of %s\n", "Events", verdict->leaves,
           "Checkpoints", verdict->checkpoints, "Key", measure->source);
    if (!measure->has_anchor)
        printf("%-12s the keeper did not answer, so its own last checkpoint was not compared: "
               "events\n%-12s cut off at the end would not show\n",
               "Note", "");
    if (measure->is_beside_rows)
        printf("%-12s the key lies beside what it shall prove: a copy from elsewhere proves more "
               "(--key FILE)\n",
               "Note");
    if (verdict->holds) {
        puts("The journal holds: every event is there, in order, as it was written.");
        return EXIT_SUCCESS;
    }
    printf("%-12s %" PRIu64 "\n", "Bad event", verdict->bad_sequence);
    fflush(stdout);
    return cli_fail("the journal does not hold: %s", verdict->problem);
}

int audit_verify_command(const struct cli *cli)
{
    char state[STATE_PATH_MAX], path[PATH_SIZE];
    struct journal_verdict verdict;
    struct measure measure = {.has_anchor = false};
    const char *key_path = NULL;
    scoped(store) store = NULL;
    struct error why;

    for (int at = 0; at < cli->count; at++)
        if ((key_path = cli_option(cli, &at, "--key")) == NULL)
            return cli_fail("what is \"%s\"? letterlock audit verify [--key FILE]",
                            cli->arguments[at]);
    if (!cli_state(cli, state))
        return cli_fail("the state directory cannot be found");
    if (!find_measure(cli, state, key_path, &measure))
        return cli_fail("no key to verify with: start the gateway, or name the file of the public "
                        "checkpoint key by --key");
    if (*measure.contradiction)
        return cli_fail("the gateway names another key than %s: one of them is not the keeper's",
                        measure.contradiction);
    snprintf(path, sizeof path, "%s/store", state);
    if (!store_open(path, STORE_READ_ONLY, NULL, &clock_of_system, &entropy_of_system, &store,
                    &why))
        return cli_fail("%s", why.text);
    if (!journal_verify(store, measure.key, measure.has_anchor ? &measure.anchor : NULL, &verdict,
                        &why))
        return cli_fail("%s", why.text);
    return report(&verdict, &measure);
}

int audit_checkpoint_command(const struct cli *cli)
{
    return gateway_print(cli, &(struct control_request){.op = CONTROL_CHECKPOINT});
}

int journal_catalogue_command(const struct cli *cli)
{
    scoped_buffer catalogue;
    struct error why;

    (void)cli;
    buffer_init(&catalogue, MIB(1));
    event_catalogue_print(&catalogue);
    return descriptor_write_all(STDOUT_FILENO, buffer_span(&catalogue), &why)
               ? EXIT_SUCCESS
               : cli_fail("%s", why.text);
}
