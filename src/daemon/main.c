/* letterlockd: the gateway. What the command line asks for is done elsewhere. */
/* SPDX-License-Identifier: ISC */
#include "base/log.h"
#include "role.h"
#include "supervisor.h"

#include <getopt.h>
#include <unistd.h>

static const char usage[] =
    "usage: letterlockd -c FILE [-n] [-v]\n"
    "  -c FILE  the policy: what may leave, and how\n"
    "  -n       only check it\n"
    "  -v       log more\n"
    "The gateway runs in the foreground and logs to standard error. SIGHUP loads the policy anew,\n"
    "SIGTERM ends the gateway. See letterlockd(8).\n";

/* In builds with a sanitizer: its leak checker looks into its own process from another one at the
 * end, which no role's walls allow. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}
#endif

int main(int count, char **arguments)
{
    static const struct option options[] = {
        {"role", required_argument, NULL, 'R'}, /* the supervisor's own, not for people */
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *policy_path = NULL;
    bool only_check = false;
    enum log_level least = LOG_LEVEL_INFO;
    int option;

    while ((option = getopt_long(count, arguments, "c:nvh", options, NULL)) != -1) {
        switch (option) {
        case 'R':
            return role_main(optarg);
        case 'c':
            policy_path = optarg;
            break;
        case 'n':
            only_check = true;
            break;
        case 'v':
            least = LOG_LEVEL_DEBUG;
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default: /* getopt has said what is wrong */
            fputs(usage, stderr);
            return EXIT_FAILURE;
        }
    }
    if (!policy_path || optind != count) {
        fputs(usage, stderr);
        return EXIT_FAILURE;
    }
    return only_check ? supervise_check(policy_path) : supervise(policy_path, least);
}
