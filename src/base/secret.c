/* Placeholder of base/secret.c until it is written. */
