/* letterlock: what an administrator types. Finds the command, and leaves the rest to it. */
/* SPDX-License-Identifier: ISC */
#include "cli.h"

#include "base/log.h"

#include <stdarg.h>

static const struct {
    const char *words[2];
    int (*run)(const struct cli *cli);
    const char *arguments, *meaning;
} commands[] = {
    {{"check", NULL}, check_command, "FILE", "is the policy right, and what does it mean?"},
    {{"decide", NULL},
     decide_command,
     "FILE MESSAGE [--from A] [--to A]… [--through T]",
     "which rule would a message meet, and why? Sends nothing"},
    {{"status", NULL}, status_command, "", "the gateway, its roles, and what waits"},
    {{"queue", NULL}, queue_command, "[list] [--destination D]", "what waits, and why"},
    {{"queue", "destinations"}, NULL, "", "what waits, by destination"},
    {{"queue", "hold"}, NULL, "ID[/N] [--reason TEXT]", "holds deliveries of a message"},
    {{"queue", "release"}, NULL, "ID[/N] [--reason TEXT]", "lets a held one go on"},
    {{"queue", "decide"},
     NULL,
     "ID[/N] [--reason TEXT]",
     "decides a held one anew, by the policy in force"},
    {{"queue", "retry"}, NULL, "ID[/N] [--reason TEXT]", "tries now"},
    {{"queue", "delete"}, NULL, "ID[/N] [--reason TEXT]", "deletes; nobody is told"},
    {{"deliveries", NULL},
     deliveries_command,
     "[--last N] [--json]",
     "the newest messages' deliveries: which rule, which way, what happened"},
    {{"trace", NULL}, trace_command, "ID", "the journey of one message"},
    {{"audit", "verify"},
     audit_verify_command,
     "[--key FILE]",
     "is every event there, in order, as it was written?"},
    {{"audit", "checkpoint"}, audit_checkpoint_command, "", "signs the journal as it is now"},
    {{"journal", "catalogue"}, journal_catalogue_command, "", "all events, as Markdown"},
    {{"key", "new"}, key_new_command, "PATH", "makes a master key"},
    {{"key", "rotate"},
     key_rotate_command,
     "FILE --new-master PATH",
     "another master key (while the gateway is stopped)"},
    {{"reload", NULL}, reload_command, "", "loads the policy anew"},
    {{"stop", NULL}, stop_command, "", "ends the gateway"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *out)
{
    fputs("usage: letterlock [-c FILE | --state DIR] COMMAND …\n\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %s%s%s %s\n      %s\n", commands[i].words[0],
                commands[i].words[1] ? " " : "", commands[i].words[1] ? commands[i].words[1] : "",
                commands[i].arguments, commands[i].meaning);
    fputs("\nThe gateway's state is found by -c (its policy), --state, or $LETTERLOCK_STATE; else "
          "it\n"
          "is /var/lib/letterlock. See letterlock(1).\n",
          out);
}

int cli_fail(const char *format, ...)
{
    va_list arguments;

    fputs("letterlock: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return EXIT_FAILURE;
}

const char *cli_option(const struct cli *cli, int *at, const char *name)
{
    if (strcmp(cli->arguments[*at], name) != 0)
        return NULL;
    if (*at + 1 >= cli->count)
        exit(cli_fail("%s needs a value", name));
    return cli->arguments[++*at];
}

/* A command of two words that has no function of its own is its first word's. */
static int run(struct cli *cli)
{
    const char *first = cli->count > 0 ? cli->arguments[0] : "";

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *second = commands[i].words[1];

        if (!commands[i].run || strcmp(first, commands[i].words[0]) != 0)
            continue;
        if (second && (cli->count < 2 || strcmp(cli->arguments[1], second) != 0))
            continue;
        cli->arguments += second ? 2 : 1;
        cli->count -= second ? 2 : 1;
        return commands[i].run(cli);
    }
    if (*first)
        cli_fail("there is no command \"%s\"", first);
    print_usage(stderr);
    return EXIT_FAILURE;
}

int main(int count, char **arguments)
{
    struct cli cli = {.arguments = arguments, .count = count};
    int at = 1;

    log_begin("letterlock", LOG_LEVEL_WARNING);
    for (; at < count && arguments[at][0] == '-'; at++) {
        const char *value;

        if (strcmp(arguments[at], "-h") == 0 || strcmp(arguments[at], "--help") == 0) {
            print_usage(stdout);
            return EXIT_SUCCESS;
        }
        if ((value = cli_option(&cli, &at, "-c")) != NULL)
            cli.policy_path = value;
        else if ((value = cli_option(&cli, &at, "--state")) != NULL)
            cli.state = value;
        else
            return cli_fail("there is no option %s: see letterlock --help", arguments[at]);
    }
    cli.arguments += at;
    cli.count -= at;
    return run(&cli);
}
