/* What asks the running gateway: the queue and what may be done to it, traces, status, its end. */
/* SPDX-License-Identifier: ISC */
#include "cli.h"

#include "base/descriptor.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { STOP_WAIT_S = 60 };

/* "ID" or "ID/N". */
static bool parse_delivery(const char *text, struct control_request *request)
{
    struct span id, number;
    unsigned long long n = 0;

    if (span_split(span_of(text), '/', &id, &number) && !span_number(number, UINT32_MAX, &n))
        return false;
    request->delivery = (uint32_t)n;
    return id_parse(id, &request->message);
}

static int list(const struct cli *cli, int at)
{
    struct control_request request = {.op = CONTROL_QUEUE, .text = {"", 0}};

    for (; at < cli->count; at++) {
        const char *destination = cli_option(cli, &at, "--destination");

        if (!destination)
            return cli_fail("what is \"%s\"? letterlock queue [list] [--destination D]",
                            cli->arguments[at]);
        request.text = span_of(destination);
    }
    return gateway_print(cli, &request);
}

static int act(const struct cli *cli, enum control_op op)
{
    struct control_request request = {.op = op, .text = {"", 0}};
    const char *verb = cli->arguments[0], *which = NULL;

    for (int at = 1; at < cli->count; at++) {
        const char *reason = cli_option(cli, &at, "--reason");

        if (reason)
            request.text = span_of(reason);
        else if (!which)
            which = cli->arguments[at];
        else
            return cli_fail("what is \"%s\"? letterlock queue %s ID[/N] [--reason TEXT]",
                            cli->arguments[at], verb);
    }
    if (!which)
        return cli_fail("which one? letterlock queue %s ID[/N]", verb);
    if (!parse_delivery(which, &request))
        return cli_fail("\"%s\" is no message's name: letterlock queue lists them", which);
    return gateway_print(cli, &request);
}

int queue_command(const struct cli *cli)
{
    static const struct {
        const char *verb;
        enum control_op op;
    } acts[] = {
        {"hold", CONTROL_HOLD},     {"release", CONTROL_RELEASE}, {"retry", CONTROL_RETRY},
        {"delete", CONTROL_DELETE}, {"decide", CONTROL_DECIDE},
    };
    const char *verb = cli->count > 0 ? cli->arguments[0] : "list";

    if (strcmp(verb, "list") == 0)
        return list(cli, 1);
    if (verb[0] == '-')
        return list(cli, 0);
    if (strcmp(verb, "destinations") == 0)
        return gateway_print(cli, &(struct control_request){.op = CONTROL_DESTINATIONS});
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        if (strcmp(verb, acts[i].verb) == 0)
            return act(cli, acts[i].op);
    return cli_fail("there is no command \"queue %s\": see letterlock --help", verb);
}

int trace_command(const struct cli *cli)
{
    struct control_request request = {.op = CONTROL_TRACE, .text = {"", 0}};

    if (cli->count != 1)
        return cli_fail("which message? letterlock trace ID");
    if (!parse_delivery(cli->arguments[0], &request))
        return cli_fail("\"%s\" is no message's name", cli->arguments[0]);
    return gateway_print(cli, &request);
}

int deliveries_command(const struct cli *cli)
{
    struct control_request request = {.op = CONTROL_DELIVERIES};
    const char *last = "", *format = "";
    char text[64];

    for (int at = 0; at < cli->count; at++) {
        const char *value = cli_option(cli, &at, "--last");

        if (value)
            last = value;
        else if (strcmp(cli->arguments[at], "--json") == 0)
            format = " json";
        else
            return cli_fail("what is \"%s\"? letterlock deliveries [--last N] [--json]",
                            cli->arguments[at]);
    }
    snprintf(text, sizeof text, "%.20s%s", last, format);
    request.text = span_of(text);
    return gateway_print(cli, &request);
}

int status_command(const struct cli *cli)
{
    return gateway_print(cli, &(struct control_request){.op = CONTROL_STATUS});
}

/* ---- the supervisor's process ---- */

static bool signal_gateway(const struct cli *cli, int number, pid_t *process)
{
    struct error why;

    if (!gateway_process(cli, process, &why)) {
        cli_fail("%s", why.text);
        return false;
    }
    if (kill(*process, number) != 0) {
        cli_fail("the gateway's process %d cannot be told: %s", *process, strerror(errno));
        return false;
    }
    return true;
}

int reload_command(const struct cli *cli)
{
    pid_t process;

    if (!signal_gateway(cli, SIGHUP, &process))
        return EXIT_FAILURE;
    puts("The gateway loads its policy anew: its log says with what result, letterlock status "
         "which\n"
         "one is in force.");
    return EXIT_SUCCESS;
}

int stop_command(const struct cli *cli)
{
    char state[STATE_PATH_MAX];
    pid_t process;

    if (!cli_state(cli, state) || !signal_gateway(cli, SIGTERM, &process))
        return EXIT_FAILURE;
    for (int waited = 0; waited < STOP_WAIT_S * 10; waited++) {
        scoped_descriptor lock = -1;

        if (cli_lock_state(state, &lock)) {
            puts("The gateway has ended.");
            return EXIT_SUCCESS;
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return cli_fail("the gateway does not end (process %d)", process);
}
