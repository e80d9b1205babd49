/* Placeholder of keys/sealing.c until it is written. */
