/* The role that takes mail: it can seal messages and open none. */
/* SPDX-License-Identifier: ISC */
#include "common.h"

#include "base/log.h"
#include "net/tls.h"
#include "receive/receive.h"
#include "sandbox.h"

struct receiver {
    struct common common;
    struct handover *handover;
    struct tls_server *tls[2]; /* that asks for no client certificate, that asks */
    struct receive_listener listeners[LISTENERS_MAX];
    struct receive *receive;
};

static bool sign(void *self, struct span input, uint8_t *signature, size_t *signature_len)
{
    return keeper_sign_tls(self, 0, input, signature, signature_len);
}

static bool make_tls(struct receiver *r, const struct settings *settings, bool asks,
                     struct error *why)
{
    const struct tls_server_terms terms = {
        .certificate_pem = settings->certificate_pem,
        .signer = {.sign = sign, .self = r->common.keeper},
        .asks_client_certificate = asks,
        .client_roots_pem = asks ? settings->roots_pem : (struct span){"", 0},
    };

    return r->tls[asks] || tls_server_new(&terms, &r->tls[asks], why);
}

static bool make_listeners(struct receiver *r, const struct settings *settings, struct error *why)
{
    if (settings->listener_count != r->common.arguments->listener_count)
        return error_set(why, ERROR_INTERNAL, "", "other listeners were handed over");
    for (size_t i = 0; i < settings->listener_count; i++) {
        const struct listener *how = &settings->listeners[i];
        bool asks = how->trust == TRUST_CERTIFICATE;

        if (settings->certificate_pem.len > 0 && !make_tls(r, settings, asks, why))
            return error_within(why, "in the certificate");
        r->listeners[i] =
            (struct receive_listener){.fd = FD_LISTENERS + (int)i, .how = how, .tls = r->tls[asks]};
    }
    return true;
}

static bool set_limit(void *limits, struct span name, long long value)
{
    return receive_limits_set(limits, name, value);
}

static bool begin(struct receiver *r, struct error *why)
{
    struct common *common = &r->common;
    struct receive_terms terms;

    if (!common_begin(common, why) || !make_listeners(r, policy_settings(common->first), why) ||
        !handover_attach(FD_HANDOVER, HANDOVER_PRODUCER, &r->handover, why) ||
        !common_enter(common, why) || !sandbox_shut_calls(ROLE_RECEIVE, why))
        return false;
    terms = (struct receive_terms){
        .listeners = r->listeners,
        .listener_count = common->arguments->listener_count,
        .policy = common->slot,
        .store = common->store,
        .shared = common->shared,
        .handover = r->handover,
        .keeper = common->keeper,
        .clock = &common->clock,
        .entropy = &entropy_of_system,
    };
    receive_limits_default(&terms.limits);
    common_test_limits("receive.", set_limit, &terms.limits);
    return receive_start(&terms, &r->receive, why);
}

int receive_main(const struct role_arguments *arguments)
{
    static struct receiver receiver = {.common.role = ROLE_RECEIVE};
    struct receiver *r = &receiver;
    struct error why;

    r->common.arguments = arguments;
    if (!begin(r, &why))
        return common_hopeless(&why);
    log_plain(LOG_LEVEL_INFO, "ready");
    receive_stop(r->receive, common_watch(&r->common, &(struct common_hooks){0}));
    receive_free(r->receive);
    common_end(&r->common);
    handover_free(r->handover);
    tls_server_free(r->tls[0]);
    tls_server_free(r->tls[1]);
    return EXIT_SUCCESS;
}
