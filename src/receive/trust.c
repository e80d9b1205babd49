/* Who a client is and what it may do: our own servers may write to anybody in our name, everybody
 * else only to us. */
/* SPDX-License-Identifier: ISC */
#include "session.h"

#include "base/wire.h"
#include "net/resolver.h"

#include <assert.h>
#include <netinet/in.h>

const char *listener_word(const struct session *session)
{
    static const char *const words[] = {
        [LISTENER_SMTP] = "smtp",
        [LISTENER_SUBMISSION] = "submission",
        [LISTENER_SUBMISSIONS] = "submissions",
        [LISTENER_RELAY] = "relay",
    };

    return words[session->listener->how->kind];
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    static const char *const loopback[] = {"127.0.0.0/8", "::1"};
    struct network network;

    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
        if (network_parse(span_of(loopback[i]), &network) &&
            network_holds(&network, (const struct sockaddr *)address))
            return true;
    return address->ss_family == AF_UNIX;
}

static bool is_in_network(const struct session *session, struct span text)
{
    struct network network;

    return network_parse(text, &network) &&
           network_holds(&network, (const struct sockaddr *)&session->address);
}

/* "sha256:<hex>" names one certificate; anything else a name in one that leads to our roots. */
static bool has_certificate(const struct session *session, struct span wanted)
{
    static const struct span prefix = SPAN_LITERAL("sha256:");
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
    const struct tls_proof *proof;

    if (!stream_is_tls(session->stream))
        return false;
    proof = stream_proof(session->stream);
    if (!proof->has_certificate)
        return false;
    if (!span_starts_with_caseless(wanted, prefix))
        return proof->is_chain_verified && stream_peer_has_name(session->stream, wanted);
    wanted = span_from(wanted, prefix.len);
    return wanted.len == sizeof fingerprint * 2 &&
           hex_parse(wanted, fingerprint, sizeof fingerprint) &&
           memcmp(fingerprint, proof->fingerprint, sizeof fingerprint) == 0;
}

void trust_client(struct session *session)
{
    const struct listener *how = session->listener->how;
    const char *word = "";
    bool (*is)(const struct session *, struct span) = NULL;

    session->is_loopback = is_loopback(&session->address);
    session->is_trusted = false;
    snprintf(session->through, sizeof session->through, "%s", session->address_text);
    switch (how->trust) {
    case TRUST_NOBODY:
        return;
    case TRUST_CERTIFICATE:
        word = "certificate";
        is = has_certificate;
        break;
    case TRUST_NETWORK:
        word = "network";
        is = is_in_network;
        break;
    }
    for (size_t i = 0; i < how->trusted_count && !session->is_trusted; i++) {
        if (!is(session, how->trusted[i]))
            continue;
        session->is_trusted = true;
        snprintf(session->through, sizeof session->through, "%s %s %.*s", session->address_text,
                 word, SPAN_ARGS(how->trusted[i]));
    }
}

static bool refuse(struct refusal *why, unsigned code, const char *status, const char *text)
{
    *why = (struct refusal){code, status, text};
    return false;
}

/* Outsiders are welcome on the MX listener alone, in the clear too. Our own servers speak TLS there
 * and on a relay, but for those on this machine; submission is always under TLS. */
bool trust_mail(const struct session *session, struct refusal *why)
{
    bool needs_trust = true, needs_tls = !session->is_loopback;

    switch (session->listener->how->kind) {
    case LISTENER_SMTP:
        needs_trust = false;
        needs_tls = needs_tls && session->is_trusted;
        break;
    case LISTENER_SUBMISSION:
    case LISTENER_SUBMISSIONS:
        needs_tls = true;
        break;
    case LISTENER_RELAY:
        break;
    }
    if (needs_tls && !stream_is_tls(session->stream))
        return refuse(why, 530, "5.7.0", "Must issue a STARTTLS command first");
    if (needs_trust && !session->is_trusted)
        return refuse(why, 530, "5.7.0", "Authentication required: this client is not known here");
    return true;
}

bool trust_sender(const struct session *session, const struct policy *policy,
                  const struct address *sender, size_t *organisation, struct refusal *why)
{
    bool is_ours;

    *organisation = 0; /* the gateway's own: whose a bounce of our servers is, nobody knows */
    if (address_is_null(sender))
        return true;
    if (sender->domain.len == 0)
        return refuse(why, 553, "5.1.7", "A sender's address needs a domain");
    is_ours = policy_organisation_of_domain(policy, sender->domain, organisation);
    if (session->is_trusted && !is_ours)
        return refuse(why, 550, "5.7.1", "Senders here are of our own domains");
    if (!session->is_trusted && is_ours)
        return refuse(why, 550, "5.7.1", "Our own domains do not write to us from outside");
    return true;
}

/* The domain of ours that our own host name lies in: mx.clinic.example's is clinic.example. */
static bool home_domain(const struct policy *policy, struct span *domain)
{
    size_t organisation;

    for (*domain = policy_settings(policy)->hostname; domain->len > 0;
         *domain = span_from(*domain, span_index(*domain, '.') + 1))
        if (policy_organisation_of_domain(policy, *domain, &organisation))
            return true;
    return false;
}

/* <Postmaster> is always there (RFC 5321 section 4.5.1): the administrator, else the postmaster of
 * the domain that we live in. */
static bool find_postmaster(const struct policy *policy, struct arena *arena,
                            struct address *address)
{
    struct span administrator = policy_settings(policy)->administrator;
    struct error why;

    if (administrator.len > 0)
        return address_parse(administrator, arena, address, &why);
    address->local = SPAN_LITERAL("postmaster");
    return home_domain(policy, &address->domain);
}

/* What the policy knows of the recipient's address. */
static bool look_up(const struct policy *policy, struct recipient *recipient)
{
    bool is_ours =
        policy_organisation_of_domain(policy, recipient->address.domain, &recipient->organisation);

    if (!is_ours)
        recipient->organisation = 0;
    recipient->route = policy_route(policy, &recipient->address);
    recipient->is_inward = is_ours && recipient->route;
    return is_ours;
}

bool trust_recipient(const struct session *session, const struct policy *policy,
                     struct arena *arena, struct recipient *recipient, struct refusal *why)
{
    bool is_ours = look_up(policy, recipient);

    /* <Postmaster>, and the postmaster of a domain of ours without a way inwards, is the gateway's,
     * wherever that is: an outsider may write to him. */
    if (recipient->address.domain.len == 0 ||
        (!session->is_trusted && is_ours && !recipient->route &&
         address_is_postmaster(&recipient->address))) {
        if (!find_postmaster(policy, arena, &recipient->address))
            return refuse(why, 550, "5.1.1", "No postmaster is set here");
        (void)look_up(policy, recipient);
    } else if (!session->is_trusted && !recipient->route) {
        return is_ours ? refuse(why, 550, "5.1.1", "No such mailbox here")
                       : refuse(why, 550, "5.7.1", "Relaying denied");
    }
    if (session->is_trusted && !recipient->is_inward)
        recipient->organisation = session->transaction.sender_organisation;
    return true;
}
