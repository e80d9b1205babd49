/* Placeholder of net/tls_key.c until it is written. */
