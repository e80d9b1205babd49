/* A private key that is not here: it has its public half, and asks the signer for each signature.
 */
/* SPDX-License-Identifier: ISC */
#pragma once

#include "net/tls.h"

#include <openssl/evp.h>

/* NULL when memory is out or the key is neither EC nor RSA. *signer is copied; its `self` must live
 * as long as any session of the context that the key goes to. */
EVP_PKEY *signer_key_new(EVP_PKEY *public_key, const struct tls_signer *signer);
