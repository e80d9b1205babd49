/* The role that sends mail: it opens what the record in hand binds it to, and nothing else. */
/* SPDX-License-Identifier: ISC */
#include "common.h"

#include "base/log.h"
#include "deliver/deliver.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "sandbox.h"

#include <sys/socket.h>

struct deliverer {
    struct common common;
    struct handover *handover;
    struct tls_client *tls;
    struct resolver *resolver;
    struct deliver *deliver;
};

static bool sign(void *self, struct span input, uint8_t *signature, size_t *signature_len)
{
    return keeper_sign_tls(self, 0, input, signature, signature_len);
}

static bool make_tls(struct deliverer *d, const struct settings *settings, struct error *why)
{
    const struct tls_signer signer = {.sign = sign, .self = d->common.keeper};
    bool has_certificate = settings->certificate_pem.len > 0;

    return tls_client_new(settings->roots_pem, settings->certificate_pem,
                          has_certificate ? &signer : NULL, &d->tls, why);
}

/* As if the supervisor had gone, so that the role ends; the supervisor then starts it again. */
static void begin_anew(void *self)
{
    (void)self;
    log_plain(LOG_LEVEL_ALARM, "without a resolver this role begins anew");
    (void)shutdown(FD_LINK, SHUT_RD);
}

static bool make_resolver(struct deliverer *d, const struct settings *settings, struct error *why)
{
    const struct resolver_terms terms = {
        .forward_address = settings->resolver.host,
        .forward_port = settings->resolver.port,
        .trust_anchors = settings->trust_anchors,
        .on_broken = begin_anew,
    };

    return resolver_new(&terms, &d->resolver, why);
}

static bool set_limit(void *limits, struct span name, long long value)
{
    return deliver_limits_set(limits, name, value);
}

static bool begin(struct deliverer *d, struct error *why)
{
    struct common *common = &d->common;
    struct deliver_terms terms;

    /* The resolver makes threads, and Landlock holds for threads made after it: so the files are
     * shut first, and what the resolver cannot read then, it must not need. */
    if (!common_begin(common, why) || !make_tls(d, policy_settings(common->first), why) ||
        !handover_attach(FD_HANDOVER, HANDOVER_CONSUMER, &d->handover, why) ||
        !common_enter(common, why) || !make_resolver(d, policy_settings(common->first), why))
        return false;
    resolver_warm_up(d->resolver);
    if (!sandbox_shut_calls(ROLE_DELIVER, why))
        return false;
    terms = (struct deliver_terms){
        .policy = common->slot,
        .store = common->store,
        .shared = common->shared,
        .handover = d->handover,
        .keeper = common->keeper,
        .resolver = d->resolver,
        .tls = d->tls,
        .clock = &common->clock,
        .entropy = &entropy_of_system,
    };
    deliver_limits_default(&terms.limits);
    common_test_limits("deliver.", set_limit, &terms.limits);
    return deliver_start(&terms, &d->deliver, why);
}

int deliver_main(const struct role_arguments *arguments)
{
    static struct deliverer deliverer = {.common.role = ROLE_DELIVER};
    struct deliverer *d = &deliverer;
    struct error why;

    d->common.arguments = arguments;
    if (!begin(d, &why))
        return common_hopeless(&why);
    log_plain(LOG_LEVEL_INFO, "ready");
    deliver_stop(d->deliver, common_watch(&d->common, &(struct common_hooks){0}));
    deliver_free(d->deliver);
    common_end(&d->common);
    handover_free(d->handover);
    resolver_free(d->resolver);
    tls_client_free(d->tls);
    return EXIT_SUCCESS;
}
