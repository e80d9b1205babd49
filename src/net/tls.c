/* Placeholder of net/tls.c until it is written. */
