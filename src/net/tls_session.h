/* One handshake's question and its answers, between the contexts (tls.c) and the stream. */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "base/error.h"
#include "net/tls.h"

#include <openssl/ssl.h>

/* Lives as long as its SSL. */
struct tls_session {
    const struct tls_check *check; /* a client's; only while the handshake lasts */
    char verified_name[TLS_NAME_SIZE];
};

/* A new SSL with *session attached; NULL (ERROR_INTERNAL) when memory is out. The SSL keeps what it
 * needs of the context alive. */
SSL *tls_server_begin(struct tls_server *server, struct tls_session *session, struct error *why);
SSL *tls_client_begin(struct tls_client *client, const struct tls_check *check,
                      struct tls_session *session, struct error *why);
/* What the finished handshake proved. */
void tls_prove(const SSL *ssl, const struct tls_session *session, struct tls_proof *proof);
