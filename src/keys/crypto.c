/* Placeholder of keys/crypto.c until it is written. */
